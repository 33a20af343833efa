//! Accounts, and what belongs to them, on SQLite.

pub use super::happened::Happened;

use super::schema;
use super::sqlite::{SqliteStore, decide, many, one, write};
use super::worker::Kind;
use super::{Answer, Decided, Device, Hash, StoreError};
use crate::clock::Wall;
use core::net::IpAddr;
use rusqlite::{Connection, Row, params};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Counts up; never used again.
    pub number: u64,
    /// The address, sealed.
    pub email: Vec<u8>,
    /// The hash of the password, once one was set.
    pub password: Option<Vec<u8>>,
    /// When it was made.
    pub made_at: Wall,
}

/// A line of an account's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub what: Happened,
    /// To what, sealed.
    pub about: Option<Vec<u8>>,
    /// From where, with the host part cleared.
    pub masked: IpAddr,
    /// When.
    pub made_at: Wall,
}

/// A letter that waits to be sent: a line of somebody's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The number of the line.
    pub number: u64,
    /// To whom, sealed.
    pub email: Vec<u8>,
    /// About what.
    pub entry: Entry,
}

/// A line as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts up, with gaps.
    pub number: u64,
    /// What it says.
    pub entry: Entry,
}

/// Which lines of a log are wanted (promise S12).
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Only about this.
    pub what: Option<Happened>,
    /// No older than this.
    pub since: Wall,
    /// Only those before the line with this number.
    pub before: Option<u64>,
}

/// What the store keeps of people. Each call is atomic and durable when answered.
pub trait People: Send + Sync {
    /// Makes the account with this address unless there is one, and an invitation to it.
    fn invite(&self, index: Hash, email: Vec<u8>, ticket: Hash, now: Wall) -> Answer<'_, ()>;
    /// The account an invitation made no earlier than `since` is for.
    fn invited(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>>;
    /// Takes an invitation: sets the password, and ends all invitations and browsers' sessions of the account.
    fn accept(&self, ticket: Hash, since: Wall, password: Vec<u8>) -> Answer<'_, Option<Account>>;
    /// The account with this address.
    fn account(&self, index: Hash) -> Answer<'_, Option<Account>>;
    /// All accounts, oldest first.
    fn accounts(&self) -> Answer<'_, Vec<Account>>;
    /// Notes a browser's session.
    fn sign_in(&self, ticket: Hash, account: u64, masked: IpAddr, now: Wall) -> Answer<'_, ()>;
    /// The account of a browser's session begun no earlier than `since`.
    fn signed_in(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>>;
    /// Ends a browser's session.
    fn sign_out(&self, ticket: Hash) -> Answer<'_, ()>;
    /// Adds a line to an account's log; with `mailed`, a letter about it waits in the outbox.
    fn note(&self, account: u64, entry: Entry, mailed: bool) -> Answer<'_, ()>;
    /// The letters that wait, oldest first, at most so many.
    fn outbox(&self, most: u64) -> Answer<'_, Vec<Letter>>;
    /// Takes a letter out of the outbox.
    fn mailed(&self, letter: u64) -> Answer<'_, ()>;
    /// The log of an account, newest first, at most so many lines.
    fn log(&self, account: u64, wanted: Wanted, most: u64) -> Answer<'_, Vec<Line>>;
    /// The owner's decision, as [`super::Store::decide`]; the device then belongs to this account.
    fn decide_as(
        &self,
        account: u64,
        user_code: String,
        approve: bool,
        since: Wall,
    ) -> Answer<'_, Decided>;
    /// The devices of an account, by name.
    fn devices_of(&self, account: u64) -> Answer<'_, Vec<Device>>;
    /// The account a device belongs to.
    fn owner_of(&self, device: String) -> Answer<'_, Option<u64>>;
}

const ACCOUNT: &str = "a.number, a.email, a.password, a.made_at";

pub(super) fn account(row: &Row<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        number: schema::count(row, 0)?,
        email: schema::column(row, 1)?,
        password: schema::column(row, 2)?,
        made_at: schema::wall(row, 3)?,
    })
}

fn line(row: &Row<'_>) -> Result<Line, StoreError> {
    let what: String = schema::column(row, 1)?;
    let entry = Entry {
        what: Happened::of(&what).ok_or(StoreError::Corrupt { what: "line of a log" })?,
        about: schema::column(row, 2)?,
        masked: schema::masked(row, 3)?.ok_or(StoreError::Corrupt { what: "masked address" })?,
        made_at: schema::wall(row, 4)?,
    };
    Ok(Line { number: schema::count(row, 0)?, entry })
}

fn log(
    connection: &Connection,
    account: u64,
    wanted: Wanted,
    most: u64,
) -> Result<Vec<Line>, StoreError> {
    let sql = "SELECT number, what, about, masked, made_at FROM account_log
        WHERE (account = ?1 OR ?6) AND made_at >= ?2 AND number < ?3 AND (?4 IS NULL OR what = ?4)
        ORDER BY number DESC LIMIT ?5";
    let values = params![
        schema::integer(account),
        schema::integer(wanted.since.unix_seconds()),
        schema::integer(wanted.before.unwrap_or(u64::MAX)),
        wanted.what.map(Happened::code),
        schema::integer(most),
        crate::sabotage::off("log-own"),
    ];
    many(connection, sql, values, line)
}

fn invite(
    connection: &Connection,
    index: Hash,
    email: &[u8],
    ticket: Hash,
    now: Wall,
) -> Result<(), StoreError> {
    let now = schema::integer(now.unix_seconds());
    let sql = "INSERT INTO account (email_index, email, made_at) VALUES (?1,?2,?3)
        ON CONFLICT (email_index) DO NOTHING";
    write(connection, "make an account", sql, params![index.as_slice(), email, now])?;
    let sql = "INSERT INTO invitation (ticket, account, made_at)
        SELECT ?2, number, ?3 FROM account WHERE email_index = ?1";
    let values = params![index.as_slice(), ticket.as_slice(), now];
    write(connection, "make an invitation", sql, values).map(drop)
}

/// The account with this number.
pub(super) fn by_number(
    connection: &Connection,
    number: u64,
) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {ACCOUNT} FROM account AS a WHERE a.number = ?1");
    one(connection, &sql, [schema::integer(number)], account)
}

/// The account a ticket of one of the tables of tickets leads to.
pub(super) fn by_ticket(
    connection: &Connection,
    table: &str,
    ticket: Hash,
    since: Wall,
) -> Result<Option<Account>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT} FROM {table} AS t JOIN account AS a ON a.number = t.account
        WHERE t.ticket = ?1 AND t.made_at >= ?2"
    );
    let since = schema::integer(since.unix_seconds());
    let found = one(connection, &sql, params![ticket.as_slice(), since], account)?;
    super::operator::unless_locked(connection, found)
}

fn accept(
    connection: &Connection,
    ticket: Hash,
    since: Wall,
    password: &[u8],
) -> Result<Option<Account>, StoreError> {
    let Some(account) = by_ticket(connection, "invitation", ticket, since)? else {
        return Ok(None);
    };
    let number = schema::integer(account.number);
    let sql = "UPDATE account SET password = ?2 WHERE number = ?1";
    write(connection, "set a password", sql, params![number, password])?;
    end_tickets(connection, account.number, None)?;
    Ok(Some(account))
}

/// Ends everything that an old password or second factor began, but one browser's session.
pub(super) fn end_tickets(
    connection: &Connection,
    account: u64,
    but: Option<Hash>,
) -> Result<(), StoreError> {
    let but = but.unwrap_or_default();
    for table in ["invitation", "browser", "half_session", "trusted_browser", "known_browser"] {
        let sql = format!("DELETE FROM {table} WHERE account = ?1 AND ticket <> ?2");
        let values = params![schema::integer(account), but.as_slice()];
        write(connection, "end what was begun", &sql, values)?;
    }
    Ok(())
}

fn decide_as(
    connection: &Connection,
    account: u64,
    code: &str,
    approve: bool,
    since: Wall,
) -> Result<Decided, StoreError> {
    let decided = decide(connection, code, approve, since)?;
    if decided == Decided::Yes && approve {
        let sql = "UPDATE pending SET account = ?1 WHERE user_code = ?2";
        write(connection, "note the owner", sql, params![schema::integer(account), code])?;
    }
    Ok(decided)
}

fn letter(row: &Row<'_>) -> Result<Letter, StoreError> {
    let Line { number, entry } = line(row)?;
    Ok(Letter { number, email: schema::column(row, 5)?, entry })
}

pub(super) fn note(
    connection: &Connection,
    account: u64,
    entry: &Entry,
    mailed: bool,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO account_log (account, what, about, masked, made_at) VALUES (?1,?2,?3,?4,?5)";
    let values = params![
        schema::integer(account),
        entry.what.code(),
        entry.about,
        entry.masked.to_string(),
        schema::integer(entry.made_at.unix_seconds()),
    ];
    write(connection, "note a line of a log", sql, values)?;
    if mailed {
        let sql = "INSERT INTO outbox (entry, made_at) VALUES (last_insert_rowid(), ?1)";
        let now = schema::integer(entry.made_at.unix_seconds());
        write(connection, "put a letter in the outbox", sql, [now])?;
    }
    Ok(())
}

impl People for SqliteStore {
    fn invite(&self, index: Hash, email: Vec<u8>, ticket: Hash, now: Wall) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, move |c| invite(c, index, &email, ticket, now)))
    }

    fn invited(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Read, move |c| by_ticket(c, "invitation", ticket, since)))
    }

    fn accept(&self, ticket: Hash, since: Wall, password: Vec<u8>) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Erase, move |c| accept(c, ticket, since, &password)))
    }

    fn account(&self, index: Hash) -> Answer<'_, Option<Account>> {
        let sql = format!("SELECT {ACCOUNT} FROM account AS a WHERE a.email_index = ?1");
        Box::pin(self.0.call(Kind::Read, move |c| one(c, &sql, [index.as_slice()], account)))
    }

    fn accounts(&self) -> Answer<'_, Vec<Account>> {
        let sql = format!("SELECT {ACCOUNT} FROM account AS a ORDER BY a.number");
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [], account)))
    }

    fn sign_in(&self, ticket: Hash, account: u64, masked: IpAddr, now: Wall) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, move |c| {
            let sql = "INSERT INTO browser (ticket, account, masked, made_at) VALUES (?1,?2,?3,?4)";
            let (masked, now) = (masked.to_string(), schema::integer(now.unix_seconds()));
            let values = params![ticket.as_slice(), schema::integer(account), masked, now];
            write(c, "sign a browser in", sql, values).map(drop)
        }))
    }

    fn signed_in(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Read, move |c| by_ticket(c, "browser", ticket, since)))
    }

    fn sign_out(&self, ticket: Hash) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| {
            let sql = "DELETE FROM browser WHERE ticket = ?1";
            write(c, "sign a browser out", sql, [ticket.as_slice()]).map(drop)
        }))
    }

    fn note(&self, account: u64, entry: Entry, mailed: bool) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, move |c| note(c, account, &entry, mailed)))
    }

    fn outbox(&self, most: u64) -> Answer<'_, Vec<Letter>> {
        let sql =
            "SELECT l.number, l.what, l.about, l.masked, l.made_at, coalesce(o.email, a.email)
            FROM outbox AS o JOIN account_log AS l ON l.number = o.entry
            JOIN account AS a ON a.number = l.account ORDER BY o.entry LIMIT ?1";
        let most = schema::integer(most);
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [most], letter)))
    }

    fn mailed(&self, letter: u64) -> Answer<'_, ()> {
        let number = schema::integer(letter);
        Box::pin(self.0.call(Kind::Write, move |c| {
            let sql = "DELETE FROM outbox WHERE entry = ?1";
            write(c, "take a letter out of the outbox", sql, [number]).map(drop)
        }))
    }

    fn log(&self, account: u64, wanted: Wanted, most: u64) -> Answer<'_, Vec<Line>> {
        Box::pin(self.0.call(Kind::Read, move |c| log(c, account, wanted, most)))
    }

    fn decide_as(
        &self,
        account: u64,
        user_code: String,
        approve: bool,
        since: Wall,
    ) -> Answer<'_, Decided> {
        let work = move |c: &Connection| decide_as(c, account, &user_code, approve, since);
        Box::pin(self.0.call(Kind::Write, work))
    }

    fn devices_of(&self, account: u64) -> Answer<'_, Vec<Device>> {
        let columns = schema::DEVICE;
        let sql = format!("SELECT {columns} FROM device WHERE account = ?1 ORDER BY called");
        let number = schema::integer(account);
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [number], schema::device)))
    }

    fn owner_of(&self, device: String) -> Answer<'_, Option<u64>> {
        let sql = "SELECT account FROM device WHERE id = ?1 AND account IS NOT NULL";
        Box::pin(self.0.call(Kind::Read, move |c| one(c, sql, [device], schema::only_count)))
    }
}
