//! What the operator's commands need of SQLite: the audit log, locked accounts, and what health is read from.

use super::people::end_tickets;
use super::schema::{self, integer};
use super::sqlite::{SqliteStore, many, one, write};
use super::worker::Kind;
use super::{Answer, StoreError};
use crate::clock::Wall;
use rusqlite::{Connection, Row, params};

pub(super) const CREATE: &str = "
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    line TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_made_at ON audit (made_at);
CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    head TEXT NOT NULL,
    mac BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE account_lock (
    account INTEGER PRIMARY KEY REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
";

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Counts from 1.
    pub seq: u64,
    /// Its text, which the next line's hash is of.
    pub line: String,
    /// When it was written.
    pub made_at: Wall,
}

/// Where the audit log ends, vouched for with the hub's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Number and hash of the last line, and its time, as JSON.
    pub head: String,
    /// HMAC of it.
    pub mac: Vec<u8>,
}

/// What the store does for operators. Each call is atomic and durable when answered.
pub trait Operators: Send + Sync {
    /// Where the audit log ends.
    fn audit_head(&self) -> Answer<'_, Option<AuditHead>>;
    /// Adds a line unless another one was added since `before` was read. There is no call that changes one.
    fn add_audit(
        &self,
        before: Option<AuditHead>,
        row: AuditRow,
        head: AuditHead,
    ) -> Answer<'_, bool>;
    /// The lines made no earlier than `since` after the one with this number, at most so many.
    fn audit(&self, since: Wall, after: u64, most: u64) -> Answer<'_, Vec<AuditRow>>;
    /// Locks an account, and ends all that was begun in it. False when it was locked.
    fn lock(&self, account: u64, now: Wall) -> Answer<'_, bool>;
    /// Unlocks an account. False when it was not locked.
    fn unlock(&self, account: u64) -> Answer<'_, bool>;
    /// The accounts that are locked, and since when.
    fn locked(&self) -> Answer<'_, Vec<(u64, Wall)>>;
    /// Ends everything that was begun in an account: its sessions, half sessions, invitations and trust.
    fn end_all(&self, account: u64) -> Answer<'_, ()>;
    /// How many letters wait.
    fn letters_waiting(&self) -> Answer<'_, u64>;
    /// Writes what was there before: fails where nothing can be written.
    fn probe(&self) -> Answer<'_, ()>;
}

fn head(row: &Row<'_>) -> Result<AuditHead, StoreError> {
    Ok(AuditHead { head: schema::column(row, 0)?, mac: schema::column(row, 1)? })
}

fn row(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: schema::count(row, 0)?,
        line: schema::column(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

fn lock_row(row: &Row<'_>) -> Result<(u64, Wall), StoreError> {
    Ok((schema::count(row, 0)?, schema::wall(row, 1)?))
}

fn audit_head(connection: &Connection) -> Result<Option<AuditHead>, StoreError> {
    one(connection, "SELECT head, mac FROM audit_head", [], head)
}

fn add_audit(
    connection: &Connection,
    before: Option<&AuditHead>,
    row: &AuditRow,
    head: &AuditHead,
) -> Result<bool, StoreError> {
    if audit_head(connection)?.as_ref() != before {
        return Ok(false);
    }
    let made_at = integer(row.made_at.unix_seconds());
    let sql = "INSERT INTO audit (seq, line, made_at) VALUES (?1,?2,?3) ON CONFLICT DO NOTHING";
    if write(connection, "note an act", sql, params![integer(row.seq), row.line, made_at])? == 0 {
        return Ok(false);
    }
    let sql = "INSERT OR REPLACE INTO audit_head (one, head, mac, made_at) VALUES (1,?1,?2,?3)";
    let values = params![head.head, head.mac, made_at];
    write(connection, "note where the audit log ends", sql, values)?;
    Ok(true)
}

fn lock(connection: &Connection, account: u64, now: Wall) -> Result<bool, StoreError> {
    let sql = "INSERT INTO account_lock (account, made_at) VALUES (?1,?2) ON CONFLICT DO NOTHING";
    let values = params![integer(account), integer(now.unix_seconds())];
    let fresh = write(connection, "lock an account", sql, values)? > 0;
    end_tickets(connection, account, None)?;
    Ok(fresh)
}

/// Whether an account is locked: nobody signs in to it by any way.
pub(super) fn is_locked(connection: &Connection, account: u64) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM account_lock WHERE account = ?1";
    let count = one(connection, sql, [integer(account)], schema::only_count)?;
    Ok(count > Some(0) && !crate::sabotage::off("account-lock"))
}

impl Operators for SqliteStore {
    fn audit_head(&self) -> Answer<'_, Option<AuditHead>> {
        Box::pin(self.0.call(Kind::Read, audit_head))
    }

    fn add_audit(
        &self,
        before: Option<AuditHead>,
        row: AuditRow,
        head: AuditHead,
    ) -> Answer<'_, bool> {
        let work = move |c: &Connection| add_audit(c, before.as_ref(), &row, &head);
        Box::pin(self.0.call(Kind::Write, work))
    }

    fn audit(&self, since: Wall, after: u64, most: u64) -> Answer<'_, Vec<AuditRow>> {
        let sql = "SELECT seq, line, made_at FROM audit WHERE made_at >= ?1 AND seq > ?2
            ORDER BY seq LIMIT ?3";
        let (since, after, most) = (integer(since.unix_seconds()), integer(after), integer(most));
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, params![since, after, most], row)))
    }

    fn lock(&self, account: u64, now: Wall) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Erase, move |c| lock(c, account, now)))
    }

    fn unlock(&self, account: u64) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| {
            let sql = "DELETE FROM account_lock WHERE account = ?1";
            Ok(write(c, "unlock an account", sql, [integer(account)])? > 0)
        }))
    }

    fn locked(&self) -> Answer<'_, Vec<(u64, Wall)>> {
        let sql = "SELECT account, made_at FROM account_lock ORDER BY account";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [], lock_row)))
    }

    fn end_all(&self, account: u64) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| end_tickets(c, account, None)))
    }

    fn letters_waiting(&self) -> Answer<'_, u64> {
        let sql = "SELECT count(*) FROM outbox";
        let read = move |c: &Connection| one(c, sql, [], schema::only_count);
        Box::pin(async move { Ok(self.0.call(Kind::Read, read).await?.unwrap_or_default()) })
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, |c| {
            let sql = "UPDATE meta SET value = value WHERE key = 'schema'";
            write(c, "write", sql, []).map(drop)
        }))
    }
}

/// What a look-up of a ticket comes to: nobody's while the account is locked.
pub(super) fn unless_locked(
    connection: &Connection,
    found: Option<super::people::Account>,
) -> Result<Option<super::people::Account>, StoreError> {
    match found {
        Some(account) if is_locked(connection, account.number)? => Ok(None),
        found => Ok(found),
    }
}
