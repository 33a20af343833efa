//! Changes of an account's mail address, on SQLite.

use super::people::{Entry, note};
use super::schema::{self, integer};
use super::sqlite::{SqliteStore, many, one, write};
use super::worker::Kind;
use super::{Answer, Hash, StoreError};
use crate::clock::Wall;
use rusqlite::{Connection, Row, params};

pub(super) const CREATE: &str = "
CREATE TABLE address_change (
    account INTEGER PRIMARY KEY REFERENCES account (number) ON DELETE CASCADE,
    email BLOB NOT NULL,
    sent INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
ALTER TABLE outbox ADD COLUMN email BLOB;
";

/// A change that is asked for and not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressChange {
    /// The account.
    pub account: u64,
    /// The address it is to have, sealed.
    pub email: Vec<u8>,
    /// When it was asked for.
    pub made_at: Wall,
}

/// An address as the store takes it.
#[derive(Clone, Debug)]
pub struct SealedAddress {
    /// What it is found by.
    pub index: Hash,
    /// The address, sealed for the account.
    pub email: Vec<u8>,
    /// The one before it, sealed for the outbox.
    pub before: Vec<u8>,
}

/// What became of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The account has the address.
    Yes,
    /// No change waits that was asked for then.
    Over,
    /// The address belongs to another account.
    Taken,
}

/// What the store keeps of changes of addresses. Each call is atomic and durable when answered.
pub trait AddressChanges: Send + Sync {
    /// Notes a change in place of another one, unless that one was asked for after `since`. No letter will be sent
    /// about it when another account has the address.
    fn ask_address(&self, change: AddressChange, index: Hash, since: Wall) -> Answer<'_, bool>;
    /// The change of an account that waits.
    fn address_change(&self, account: u64) -> Answer<'_, Option<AddressChange>>;
    /// Changes whose letter was not sent, oldest first, at most so many.
    fn unsent_changes(&self, most: u64) -> Answer<'_, Vec<AddressChange>>;
    /// Notes that the letter of a change was sent, or can never be.
    fn change_sent(&self, account: u64, made_at: Wall) -> Answer<'_, ()>;
    /// Takes a change back; whether there was one.
    fn end_change(&self, account: u64) -> Answer<'_, bool>;
    /// Gives an account the address of the change that was asked for at that moment, and adds a line to its log; with
    /// `mailed`, a letter about it goes to the address it had. Invitations end.
    fn move_account(
        &self,
        change: AddressChange,
        to: SealedAddress,
        entry: Entry,
        mailed: bool,
    ) -> Answer<'_, Moved>;
}

const COLUMNS: &str = "account, email, made_at";

fn read(row: &Row<'_>) -> Result<AddressChange, StoreError> {
    Ok(AddressChange {
        account: schema::count(row, 0)?,
        email: schema::column(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

fn is_taken(connection: &Connection, index: Hash) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM account WHERE email_index = ?1";
    Ok(one(connection, sql, [index.as_slice()], schema::only_count)? > Some(0))
}

fn ask(
    connection: &Connection,
    change: &AddressChange,
    index: Hash,
    since: Wall,
) -> Result<bool, StoreError> {
    let taken = is_taken(connection, index)?;
    let sql = "INSERT INTO address_change (account, email, sent, made_at) VALUES (?1,?2,?3,?4)
        ON CONFLICT (account) DO UPDATE SET email = excluded.email, sent = excluded.sent,
        made_at = excluded.made_at WHERE made_at <= ?5";
    let values = params![
        integer(change.account),
        change.email,
        taken,
        integer(change.made_at.unix_seconds()),
        integer(since.unix_seconds()),
    ];
    Ok(write(connection, "note a change of address", sql, values)? > 0)
}

fn of(connection: &Connection, account: u64) -> Result<Option<AddressChange>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM address_change WHERE account = ?1");
    one(connection, &sql, [integer(account)], read)
}

fn end(connection: &Connection, account: u64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM address_change WHERE account = ?1";
    Ok(write(connection, "end a change of address", sql, [integer(account)])? > 0)
}

fn move_account(
    connection: &Connection,
    change: &AddressChange,
    to: &SealedAddress,
    entry: &Entry,
    mailed: bool,
) -> Result<Moved, StoreError> {
    let number = integer(change.account);
    let waits = of(connection, change.account)?;
    if waits.is_none_or(|waits| waits != *change) {
        return Ok(Moved::Over);
    }
    if is_taken(connection, to.index)? {
        return Ok(Moved::Taken);
    }
    note(connection, change.account, entry, mailed)?;
    // The one who is to know of it is whoever reads mail at the old address.
    let sql = "UPDATE outbox SET email = ?2
        WHERE entry = (SELECT max(number) FROM account_log WHERE account = ?1)";
    write(connection, "address a letter", sql, params![number, to.before])?;
    let sql = "UPDATE account SET email_index = ?2, email = ?3 WHERE number = ?1";
    let values = params![number, to.index.as_slice(), to.email];
    write(connection, "change an address", sql, values)?;
    let sql = "DELETE FROM invitation WHERE account = ?1";
    write(connection, "end invitations", sql, [number])?;
    end(connection, change.account)?;
    Ok(Moved::Yes)
}

impl AddressChanges for SqliteStore {
    fn ask_address(&self, change: AddressChange, index: Hash, since: Wall) -> Answer<'_, bool> {
        // As an erasure: the address that was asked for before is to be in no file.
        Box::pin(self.0.call(Kind::Erase, move |c| ask(c, &change, index, since)))
    }

    fn address_change(&self, account: u64) -> Answer<'_, Option<AddressChange>> {
        Box::pin(self.0.call(Kind::Read, move |c| of(c, account)))
    }

    fn unsent_changes(&self, most: u64) -> Answer<'_, Vec<AddressChange>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM address_change WHERE sent = 0 ORDER BY made_at LIMIT ?1"
        );
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [integer(most)], read)))
    }

    fn change_sent(&self, account: u64, made_at: Wall) -> Answer<'_, ()> {
        let sql = "UPDATE address_change SET sent = 1 WHERE account = ?1 AND made_at = ?2";
        let values = [integer(account), integer(made_at.unix_seconds())];
        Box::pin(
            self.0.call(Kind::Write, move |c| {
                write(c, "note a letter as sent", sql, values).map(drop)
            }),
        )
    }

    fn end_change(&self, account: u64) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Erase, move |c| end(c, account)))
    }

    fn move_account(
        &self,
        change: AddressChange,
        to: SealedAddress,
        entry: Entry,
        mailed: bool,
    ) -> Answer<'_, Moved> {
        let work = move |c: &Connection| move_account(c, &change, &to, &entry, mailed);
        Box::pin(self.0.call(Kind::Erase, work))
    }
}
