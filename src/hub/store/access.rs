//! The unmasked access log, on SQLite: each line sealed for itself.

use super::sqlite::{SqliteStore, many, write};
use super::worker::Kind;
use super::{Answer, StoreError, schema};
use crate::clock::Wall;
use rusqlite::{Row, params};

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// What it says.
    pub text: String,
    /// Which key it is sealed with ([`crate::hub::seal::Seal::id`]).
    pub key: u64,
    /// When the connection was made.
    pub made_at: Wall,
}

/// What the store keeps of whoever connects, where the operator wants that. Each call is atomic and durable when
/// answered.
pub trait Access: Send + Sync {
    /// Adds a line.
    fn note_access(&self, text: String, now: Wall) -> Answer<'_, ()>;
    /// All lines, oldest first.
    fn access_log(&self) -> Answer<'_, Vec<AccessLine>>;
}

pub(super) const CREATE: &str = "
CREATE TABLE access_log (
    number INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    line TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_log_made_at ON access_log (made_at);
";

fn line(row: &Row<'_>) -> Result<AccessLine, StoreError> {
    Ok(AccessLine {
        text: schema::column(row, 0)?,
        key: schema::count(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

impl Access for SqliteStore {
    fn note_access(&self, text: String, now: Wall) -> Answer<'_, ()> {
        let sql = "INSERT INTO access_log (key, line, made_at)
            SELECT value, sealed('access_log.line', ?1), ?2 FROM meta WHERE key = 'seal'";
        let now = schema::integer(now.unix_seconds());
        Box::pin(self.0.call(Kind::Write, move |c| {
            write(c, "note an access", sql, params![text, now]).map(drop)
        }))
    }

    fn access_log(&self) -> Answer<'_, Vec<AccessLine>> {
        let sql =
            "SELECT opened('access_log.line', line), key, made_at FROM access_log ORDER BY number";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [], line)))
    }
}
