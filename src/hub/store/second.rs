//! The second step of a sign-in and what comes with it, on SQLite.

use super::people::{Account, by_ticket, end_tickets};
use super::schema;
use super::sqlite::{SqliteStore, many, one, write};
use super::worker::Kind;
use super::{Answer, Hash, StoreError};
use crate::clock::Wall;
use core::net::IpAddr;
use core::time::Duration;
use rusqlite::{Connection, Row, params};

/// How many codes may be wrong in a row, and for how long the step is closed after them.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// So many.
    pub most: u64,
    /// So long.
    pub closed: Duration,
}

/// An account's second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The secret, sealed.
    pub secret: Vec<u8>,
    /// When it was switched on.
    pub made_at: Wall,
}

/// What became of the wish to try a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The account has no second factor.
    Off,
    /// Too many were wrong, not long ago.
    Closed,
    /// The try is counted, and may be made.
    Open {
        /// What to try it against.
        factor: Factor,
        /// No other may follow if it fails.
        last: bool,
    },
}

/// A browser that is signed in, or trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// What its ticket is known by.
    pub ticket: Hash,
    /// From where it was, with the host part cleared; older rows do not say.
    pub masked: Option<IpAddr>,
    /// Since when.
    pub made_at: Wall,
}

/// The lists of browsers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browsers {
    /// Those that are signed in.
    SignedIn,
    /// Those that skip the second step.
    Trusted,
    /// Those that were signed in with before.
    Known,
}

impl Browsers {
    const fn table(self) -> &'static str {
        match self {
            Self::SignedIn => "browser",
            Self::Trusted => "trusted_browser",
            Self::Known => "known_browser",
        }
    }

    /// Where a browser was is not kept of those that are only known.
    const fn masked(self) -> &'static str {
        match self {
            Self::SignedIn | Self::Trusted => "masked",
            Self::Known => "NULL",
        }
    }
}

/// What the store keeps of second factors. Each call is atomic and durable when answered.
pub trait Second: Send + Sync {
    /// The second factor of an account, once one is on.
    fn second(&self, account: u64) -> Answer<'_, Option<Factor>>;
    /// Switches a second factor on, unless one is: its secret, the step of the code that proved it, and its
    /// recovery codes. Ends all that was begun without it but one browser's session.
    fn second_on(
        &self,
        account: u64,
        factor: Factor,
        step: u64,
        codes: Vec<Hash>,
        but: Hash,
    ) -> Answer<'_, bool>;
    /// Switches it off, its recovery codes with it. Ends what [`Second::second_on`] ends.
    fn second_off(&self, account: u64, but: Hash) -> Answer<'_, ()>;
    /// Counts a try before it is made, so that no number of tries at once is more than a few.
    fn attempt(&self, account: u64, patience: Patience, now: Wall) -> Answer<'_, Attempt>;
    /// Takes a right code: no code of this step or an earlier one is good again. False when one was before.
    fn take_step(&self, account: u64, step: u64) -> Answer<'_, bool>;
    /// Takes a recovery code out. False when there is none such.
    fn take_recovery(&self, account: u64, code: Hash) -> Answer<'_, bool>;
    /// Puts new recovery codes in place of all others.
    fn set_recovery(&self, account: u64, codes: Vec<Hash>, now: Wall) -> Answer<'_, ()>;
    /// How many recovery codes are left.
    fn recovery_left(&self, account: u64) -> Answer<'_, u64>;
    /// Notes that a browser has made the first step.
    fn half(&self, ticket: Hash, account: u64, now: Wall) -> Answer<'_, ()>;
    /// The account whose first step was made by this browser no earlier than `since`.
    fn half_of(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>>;
    /// Ends a first step. False when there is none, or none any more.
    fn end_half(&self, ticket: Hash) -> Answer<'_, bool>;
    /// Notes that a browser is trusted.
    fn trust(&self, ticket: Hash, account: u64, masked: IpAddr, now: Wall) -> Answer<'_, ()>;
    /// Whether this ticket was given to a browser of this account no earlier than `since`.
    fn trusts(&self, ticket: Hash, account: u64, since: Wall) -> Answer<'_, bool>;
    /// The browsers of an account, newest first.
    fn browsers(&self, list: Browsers, account: u64, since: Wall) -> Answer<'_, Vec<Browser>>;
    /// Takes one browser, or all, from a list of an account; how many there were.
    fn end_browsers(&self, list: Browsers, account: u64, one: Option<Hash>) -> Answer<'_, u64>;
    /// Sets another password. Ends all that was begun with the old one but one browser's session.
    fn set_password(&self, account: u64, password: Vec<u8>, but: Hash) -> Answer<'_, ()>;
}

fn factor(row: &Row<'_>) -> Result<Factor, StoreError> {
    Ok(Factor { secret: schema::column(row, 0)?, made_at: schema::wall(row, 1)? })
}

fn browser(row: &Row<'_>) -> Result<Browser, StoreError> {
    let ticket: Vec<u8> = schema::column(row, 0)?;
    Ok(Browser {
        ticket: Hash::try_from(ticket.as_slice())
            .map_err(|_| StoreError::Corrupt { what: "hash of a ticket" })?,
        masked: schema::masked(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

fn second_on(
    connection: &Connection,
    account: u64,
    factor: &Factor,
    step: u64,
    codes: &[Hash],
    but: Hash,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO second_factor (account, secret, last_step, wrong, made_at)
        VALUES (?1,?2,?3,0,?4) ON CONFLICT (account) DO NOTHING";
    let made_at = schema::integer(factor.made_at.unix_seconds());
    let values = params![schema::integer(account), factor.secret, schema::integer(step), made_at];
    if write(connection, "switch a second factor on", sql, values)? == 0 {
        return Ok(false);
    }
    set_recovery(connection, account, codes, factor.made_at)?;
    end_tickets(connection, account, Some(but))?;
    Ok(true)
}

fn second_off(connection: &Connection, account: u64, but: Hash) -> Result<(), StoreError> {
    for table in ["second_factor", "recovery_code"] {
        let sql = format!("DELETE FROM {table} WHERE account = ?1");
        write(connection, "switch a second factor off", &sql, [schema::integer(account)])?;
    }
    end_tickets(connection, account, Some(but))
}

fn set_recovery(
    connection: &Connection,
    account: u64,
    codes: &[Hash],
    now: Wall,
) -> Result<(), StoreError> {
    let (account, now) = (schema::integer(account), schema::integer(now.unix_seconds()));
    write(connection, "void codes", "DELETE FROM recovery_code WHERE account = ?1", [account])?;
    let sql = "INSERT INTO recovery_code (code, account, made_at) VALUES (?1,?2,?3)";
    for code in codes {
        write(connection, "note a code", sql, params![code.as_slice(), account, now])?;
    }
    Ok(())
}

fn attempt(
    connection: &Connection,
    account: u64,
    patience: Patience,
    now: Wall,
) -> Result<Attempt, StoreError> {
    let number = schema::integer(account);
    let sql = "SELECT secret, made_at FROM second_factor WHERE account = ?1";
    let Some(factor) = one(connection, sql, [number], factor)? else { return Ok(Attempt::Off) };
    let sql = "SELECT wrong FROM second_factor WHERE account = ?1";
    let before = one(connection, sql, [number], schema::only_count)?.unwrap_or_default();
    let sql = "SELECT locked_at FROM second_factor WHERE account = ?1 AND locked_at IS NOT NULL";
    let closed_at = one(connection, sql, [number], schema::only_count)?;
    let until = |at: u64| Wall::from_unix_seconds(at).0.saturating_add(patience.closed);
    let closed = closed_at.is_some_and(|at| now.0 < until(at));
    if closed && !crate::sabotage::off("second-lock") {
        return Ok(Attempt::Closed);
    }
    let wrong = if closed_at.is_some() { 1 } else { before.saturating_add(1) };
    let last = wrong >= patience.most;
    let sql = "UPDATE second_factor SET wrong = ?2, locked_at = ?3 WHERE account = ?1";
    let locked_at = last.then(|| schema::integer(now.unix_seconds()));
    let values = params![number, schema::integer(wrong), locked_at];
    write(connection, "count a try", sql, values)?;
    Ok(Attempt::Open { factor, last })
}

fn take_step(connection: &Connection, account: u64, step: u64) -> Result<bool, StoreError> {
    let sql = "UPDATE second_factor SET last_step = ?2, wrong = 0, locked_at = NULL
        WHERE account = ?1 AND (last_step < ?2 OR ?3)";
    let again = crate::sabotage::off("second-replay");
    let values = params![schema::integer(account), schema::integer(step), again];
    Ok(write(connection, "take a code", sql, values)? > 0)
}

fn take_recovery(connection: &Connection, account: u64, code: Hash) -> Result<bool, StoreError> {
    let number = schema::integer(account);
    let sql = if crate::sabotage::off("recovery-once") {
        "UPDATE recovery_code SET account = account WHERE account = ?1 AND code = ?2"
    } else {
        "DELETE FROM recovery_code WHERE account = ?1 AND code = ?2"
    };
    if write(connection, "take a recovery code", sql, params![number, code.as_slice()])? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE second_factor SET wrong = 0, locked_at = NULL WHERE account = ?1";
    write(connection, "take a recovery code", sql, [number])?;
    Ok(true)
}

fn trusts(
    connection: &Connection,
    ticket: Hash,
    account: u64,
    since: Wall,
) -> Result<bool, StoreError> {
    let found = by_ticket(connection, "trusted_browser", ticket, since)?;
    let anybodys = crate::sabotage::off("trust-account");
    Ok(found.is_some_and(|found| found.number == account || anybodys))
}

fn end_browsers(
    connection: &Connection,
    list: Browsers,
    account: u64,
    one: Option<Hash>,
) -> Result<u64, StoreError> {
    let sql =
        format!("DELETE FROM {} WHERE account = ?1 AND (?2 IS NULL OR ticket = ?2)", list.table());
    if list == Browsers::Trusted && crate::sabotage::off("trust-revoked") {
        return Ok(1);
    }
    let ticket = one.map(|hash| hash.to_vec());
    write(connection, "end a browser", &sql, params![schema::integer(account), ticket])
}

impl Second for SqliteStore {
    fn second(&self, account: u64) -> Answer<'_, Option<Factor>> {
        let sql = "SELECT secret, made_at FROM second_factor WHERE account = ?1";
        let number = schema::integer(account);
        Box::pin(self.0.call(Kind::Read, move |c| one(c, sql, [number], factor)))
    }

    fn second_on(
        &self,
        account: u64,
        factor: Factor,
        step: u64,
        codes: Vec<Hash>,
        but: Hash,
    ) -> Answer<'_, bool> {
        let work = move |c: &Connection| second_on(c, account, &factor, step, &codes, but);
        Box::pin(self.0.call(Kind::Erase, work))
    }

    fn second_off(&self, account: u64, but: Hash) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| second_off(c, account, but)))
    }

    fn attempt(&self, account: u64, patience: Patience, now: Wall) -> Answer<'_, Attempt> {
        Box::pin(self.0.call(Kind::Write, move |c| attempt(c, account, patience, now)))
    }

    fn take_step(&self, account: u64, step: u64) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| take_step(c, account, step)))
    }

    fn take_recovery(&self, account: u64, code: Hash) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Erase, move |c| take_recovery(c, account, code)))
    }

    fn set_recovery(&self, account: u64, codes: Vec<Hash>, now: Wall) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| set_recovery(c, account, &codes, now)))
    }

    fn recovery_left(&self, account: u64) -> Answer<'_, u64> {
        let sql = "SELECT count(*) FROM recovery_code WHERE account = ?1";
        let read = move |c: &Connection| {
            let count = one(c, sql, [schema::integer(account)], schema::only_count)?;
            Ok(count.unwrap_or_default())
        };
        Box::pin(self.0.call(Kind::Read, read))
    }

    fn half(&self, ticket: Hash, account: u64, now: Wall) -> Answer<'_, ()> {
        let sql = "INSERT INTO half_session (ticket, account, made_at) VALUES (?1,?2,?3)";
        Box::pin(self.0.call(Kind::Write, move |c| {
            let now = schema::integer(now.unix_seconds());
            let values = params![ticket.as_slice(), schema::integer(account), now];
            write(c, "note a first step", sql, values).map(drop)
        }))
    }

    fn half_of(&self, ticket: Hash, since: Wall) -> Answer<'_, Option<Account>> {
        Box::pin(self.0.call(Kind::Read, move |c| by_ticket(c, "half_session", ticket, since)))
    }

    fn end_half(&self, ticket: Hash) -> Answer<'_, bool> {
        let sql = "DELETE FROM half_session WHERE ticket = ?1";
        Box::pin(self.0.call(Kind::Erase, move |c| {
            Ok(write(c, "end a first step", sql, [ticket.as_slice()])? > 0)
        }))
    }

    fn trust(&self, ticket: Hash, account: u64, masked: IpAddr, now: Wall) -> Answer<'_, ()> {
        let sql =
            "INSERT INTO trusted_browser (ticket, account, masked, made_at) VALUES (?1,?2,?3,?4)";
        Box::pin(self.0.call(Kind::Write, move |c| {
            let (masked, now) = (masked.to_string(), schema::integer(now.unix_seconds()));
            let values = params![ticket.as_slice(), schema::integer(account), masked, now];
            write(c, "trust a browser", sql, values).map(drop)
        }))
    }

    fn trusts(&self, ticket: Hash, account: u64, since: Wall) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Read, move |c| trusts(c, ticket, account, since)))
    }

    fn browsers(&self, list: Browsers, account: u64, since: Wall) -> Answer<'_, Vec<Browser>> {
        let sql = format!(
            "SELECT ticket, {}, made_at FROM {} WHERE account = ?1 AND made_at >= ?2
            ORDER BY made_at DESC, rowid DESC",
            list.masked(),
            list.table()
        );
        let values = [schema::integer(account), schema::integer(since.unix_seconds())];
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, values, browser)))
    }

    fn end_browsers(&self, list: Browsers, account: u64, one: Option<Hash>) -> Answer<'_, u64> {
        Box::pin(self.0.call(Kind::Erase, move |c| end_browsers(c, list, account, one)))
    }

    fn set_password(&self, account: u64, password: Vec<u8>, but: Hash) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| {
            let sql = "UPDATE account SET password = ?2 WHERE number = ?1";
            write(c, "set a password", sql, params![schema::integer(account), password])?;
            end_tickets(c, account, Some(but))
        }))
    }
}
