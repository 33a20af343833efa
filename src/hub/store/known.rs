//! The browsers an account has been signed in with before, on SQLite.
//!
//! No address is kept of them: that a browser is known says nothing of where it was.

use super::schema::{self, integer};
use super::sqlite::{SqliteStore, one, write};
use super::worker::Kind;
use super::{Answer, Hash, StoreError};
use crate::clock::Wall;
use rusqlite::{Connection, params};

pub(super) const CREATE: &str = "
CREATE TABLE known_browser (
    ticket BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX known_browser_account ON known_browser (account);
CREATE INDEX known_browser_made_at ON known_browser (made_at);
";

/// What the store keeps of known browsers. Each call is atomic and durable when answered.
pub trait Known: Send + Sync {
    /// The first of these tickets that was given to a browser of this account and used no earlier than `since`.
    fn known(&self, tickets: Vec<Hash>, account: u64, since: Wall) -> Answer<'_, Option<Hash>>;
    /// Notes that a browser was used now, for the first time or again.
    fn remember(&self, ticket: Hash, account: u64, now: Wall) -> Answer<'_, ()>;
}

fn known(
    connection: &Connection,
    tickets: &[Hash],
    account: u64,
    since: Wall,
) -> Result<Option<Hash>, StoreError> {
    let sql = "SELECT count(*) FROM known_browser
        WHERE ticket = ?1 AND account = ?2 AND made_at >= ?3";
    let since = integer(since.unix_seconds());
    for ticket in tickets {
        let values = params![ticket.as_slice(), integer(account), since];
        if one(connection, sql, values, schema::only_count)? > Some(0) {
            return Ok(Some(*ticket));
        }
    }
    Ok(None)
}

impl Known for SqliteStore {
    fn known(&self, tickets: Vec<Hash>, account: u64, since: Wall) -> Answer<'_, Option<Hash>> {
        Box::pin(self.0.call(Kind::Read, move |c| known(c, &tickets, account, since)))
    }

    fn remember(&self, ticket: Hash, account: u64, now: Wall) -> Answer<'_, ()> {
        let sql = "INSERT INTO known_browser (ticket, account, made_at) VALUES (?1,?2,?3)
            ON CONFLICT (ticket) DO UPDATE SET made_at = excluded.made_at";
        Box::pin(self.0.call(Kind::Write, move |c| {
            let now = integer(now.unix_seconds());
            let values = params![ticket.as_slice(), integer(account), now];
            write(c, "remember a browser", sql, values).map(drop)
        }))
    }
}
