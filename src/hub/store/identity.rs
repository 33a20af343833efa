//! What accounts are linked to at providers of identities, on SQLite.

use super::people::{Account, by_number, by_ticket, end_tickets};
use super::schema::{self, integer};
use super::sqlite::{SqliteStore, many, one, write};
use super::worker::Kind;
use super::{Answer, Hash, StoreError};
use crate::clock::Wall;
use rusqlite::{Connection, Row, params};

pub(super) const CREATE: &str = "
CREATE TABLE identity (
    subject BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    issuer BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX identity_account ON identity (account);
";

/// Somebody at a provider, linked to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What issuer and subject together are found by.
    pub subject: Hash,
    /// The issuer, sealed.
    pub issuer: Vec<u8>,
    /// Since when.
    pub made_at: Wall,
}

/// What became of the wish to end a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// It is gone.
    Yes,
    /// There was none.
    None,
    /// Nobody could sign in to the account any more.
    Last,
}

/// What the store keeps of linked identities. Each call is atomic and durable when answered.
pub trait Identities: Send + Sync {
    /// The account somebody at a provider is linked to.
    fn linked(&self, subject: Hash) -> Answer<'_, Option<Account>>;
    /// Links somebody at a provider to an account; false when that one is linked to an account already.
    fn link(&self, account: u64, identity: Identity) -> Answer<'_, bool>;
    /// Takes an invitation made no earlier than `since` for the account of it, without a password: links somebody at a
    /// provider, and ends all invitations and browsers' sessions. Nothing when one of both is not to be had.
    fn accept_linked(
        &self,
        ticket: Hash,
        since: Wall,
        identity: Identity,
    ) -> Answer<'_, Option<Account>>;
    /// Ends a link of an account, but not the last way in.
    fn unlink(&self, account: u64, subject: Hash) -> Answer<'_, Unlinked>;
    /// The links of an account, oldest first.
    fn identities(&self, account: u64) -> Answer<'_, Vec<Identity>>;
}

fn read(row: &Row<'_>) -> Result<Identity, StoreError> {
    let subject: Vec<u8> = schema::column(row, 0)?;
    Ok(Identity {
        subject: Hash::try_from(subject.as_slice())
            .map_err(|_| StoreError::Corrupt { what: "subject of a link" })?,
        issuer: schema::column(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

fn linked(connection: &Connection, subject: Hash) -> Result<Option<Account>, StoreError> {
    let sql = "SELECT account FROM identity WHERE subject = ?1";
    match one(connection, sql, [subject.as_slice()], schema::only_count)? {
        Some(number) => by_number(connection, number),
        None => Ok(None),
    }
}

fn link(connection: &Connection, account: u64, identity: &Identity) -> Result<bool, StoreError> {
    let sql = "INSERT INTO identity (subject, account, issuer, made_at) VALUES (?1,?2,?3,?4)
        ON CONFLICT (subject) DO NOTHING";
    let made_at = integer(identity.made_at.unix_seconds());
    let subject = identity.subject.as_slice();
    let values = params![subject, integer(account), identity.issuer, made_at];
    Ok(write(connection, "link an identity", sql, values)? > 0)
}

fn accept_linked(
    connection: &Connection,
    ticket: Hash,
    since: Wall,
    identity: &Identity,
) -> Result<Option<Account>, StoreError> {
    let Some(account) = by_ticket(connection, "invitation", ticket, since)? else {
        return Ok(None);
    };
    if !link(connection, account.number, identity)? {
        return Ok(None);
    }
    end_tickets(connection, account.number, None)?;
    Ok(Some(account))
}

fn unlink(connection: &Connection, account: u64, subject: Hash) -> Result<Unlinked, StoreError> {
    let number = integer(account);
    // Somebody without a password, and with no link but this one, would be locked out.
    let sql = "DELETE FROM identity WHERE subject = ?1 AND account = ?2 AND (?3
        OR EXISTS (SELECT 1 FROM account WHERE number = ?2 AND password IS NOT NULL)
        OR EXISTS (SELECT 1 FROM identity WHERE account = ?2 AND subject <> ?1))";
    let always = crate::sabotage::off("last-way-in");
    let values = params![subject.as_slice(), number, always];
    if write(connection, "end a link", sql, values)? > 0 {
        return Ok(Unlinked::Yes);
    }
    let sql = "SELECT count(*) FROM identity WHERE subject = ?1 AND account = ?2";
    let values = params![subject.as_slice(), number];
    let is_there = one(connection, sql, values, schema::only_count)? > Some(0);
    Ok(if is_there { Unlinked::Last } else { Unlinked::None })
}

impl Identities for SqliteStore {
    fn linked(&self, subject: Hash) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Read, move |c| linked(c, subject)))
    }

    fn link(&self, account: u64, identity: Identity) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| link(c, account, &identity)))
    }

    fn accept_linked(
        &self,
        ticket: Hash,
        since: Wall,
        identity: Identity,
    ) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Erase, move |c| accept_linked(c, ticket, since, &identity)))
    }

    fn unlink(&self, account: u64, subject: Hash) -> Answer<'_, Unlinked> {
        Box::pin(self.0.call(Kind::Erase, move |c| unlink(c, account, subject)))
    }

    fn identities(&self, account: u64) -> Answer<'_, Vec<Identity>> {
        let sql = "SELECT subject, issuer, made_at FROM identity WHERE account = ?1
            ORDER BY made_at, rowid";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [integer(account)], read)))
    }
}
