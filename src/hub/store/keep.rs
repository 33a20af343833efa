//! What the store does for backups, holds and the check for stuck deletions.

use super::sqlite::{SqliteStore, engine, one, write};
use super::worker::Kind;
use super::{Answer, Device, Hash, StoreError, dump, hold, replay, schema};
use crate::clock::Wall;
use crate::hub::keeping::archive::Archive;
use crate::hub::keeping::journal::Entry;
use crate::hub::keeping::{Deletion, Keeping};
use rusqlite::Connection;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

/// The key in `meta` of the number of the last entry of the journal.
const JOURNAL: &str = "journal";

/// A legal hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What it is found by.
    pub subject: Hash,
    /// What the operator sees of it, sealed.
    pub label: Vec<u8>,
    /// The reason, sealed.
    pub why: Vec<u8>,
    /// When it ends.
    pub expires_at: Wall,
    /// When it began.
    pub made_at: Wall,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// It stands.
    Yes,
    /// It would last longer than six calendar months from when the first one began.
    TooLong {
        /// The latest end.
        most: Wall,
    },
}

/// Rows that were erased and are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Counts up.
    pub number: u64,
    /// They and the reason, sealed.
    pub rows: Vec<u8>,
    /// When they go.
    pub expires_at: Wall,
    /// When they were erased from everywhere else.
    pub made_at: Wall,
}

/// Backups, holds and their checks. Each call is atomic and durable when answered.
pub trait Keep: Send + Sync {
    /// Notes a hold, or changes the one that stands; none lasts longer than six calendar months in all.
    fn hold(&self, row: Hold) -> Answer<'_, Holding>;
    /// All holds, the first to end first.
    fn holds(&self) -> Answer<'_, Vec<Hold>>;
    /// Ends a hold and erases what it held; whether there was one.
    fn end_hold(&self, subject: Hash) -> Answer<'_, bool>;
    /// What is held as of now, of one that asked for its erasure or of all.
    fn held(&self, about: Option<Hash>, now: Wall) -> Answer<'_, Vec<Held>>;
    /// Writes all rows of one moment into a backup and ends it; how many, and the file, not synced yet.
    fn dump(&self, to: Archive<BufWriter<File>>) -> Answer<'_, (u64, File)>;
    /// How many rows belong to something that was erased.
    fn orphans(&self) -> Answer<'_, u64>;
    /// The devices that these entries of the journal say were erased after they were registered.
    fn without_effect(&self, entries: Vec<Entry>) -> Answer<'_, Vec<Device>>;
    /// The number of the last entry of the journal, as far as the store knows.
    fn journaled(&self) -> Answer<'_, Option<u64>>;
}

/// Notes a deletion that the caller does in the same transaction.
pub(super) fn note(
    connection: &Connection,
    keeping: Option<&Keeping>,
    deletion: Deletion<'_>,
) -> Result<(), StoreError> {
    let Some(keeping) = keeping else { return Ok(()) };
    let noted = keeping.note(deletion).map_err(|e| engine("note a deletion", e))?;
    noted.map_or(Ok(()), |number| set_journaled(connection, number))
}

/// Notes the number of the last entry of the journal.
pub fn set_journaled(connection: &Connection, number: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)";
    let values = (JOURNAL, schema::integer(number));
    write(connection, "count a deletion", sql, values).map(drop)
}

/// See [`Keep::journaled`].
pub fn journaled(connection: &Connection) -> Result<Option<u64>, StoreError> {
    one(connection, "SELECT value FROM meta WHERE key = ?1", [JOURNAL], schema::only_count)
}

fn orphans(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM pragma_foreign_key_check";
    Ok(one(connection, sql, [], schema::only_count)?.unwrap_or_default())
}

impl SqliteStore {
    /// The same, by which deletions are noted in the journal, and what is held is set aside.
    pub fn with(self, keeping: Arc<Keeping>) -> Self {
        Self(self.0, Some(keeping))
    }

    /// Runs a deletion.
    pub(super) fn noted<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, Option<&Keeping>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        let keeping = self.1.clone();
        Box::pin(self.0.call(Kind::Erase, move |c| work(c, keeping.as_deref())))
    }
}

impl Keep for SqliteStore {
    fn hold(&self, row: Hold) -> Answer<'_, Holding> {
        Box::pin(self.0.call(Kind::Erase, move |c| hold::add(c, &row)))
    }

    fn holds(&self) -> Answer<'_, Vec<Hold>> {
        Box::pin(self.0.call(Kind::Read, hold::all))
    }

    fn end_hold(&self, subject: Hash) -> Answer<'_, bool> {
        self.noted(move |c, keeping| hold::end(c, keeping, &subject))
    }

    fn held(&self, about: Option<Hash>, now: Wall) -> Answer<'_, Vec<Held>> {
        Box::pin(self.0.call(Kind::Read, move |c| hold::held_of(c, about.as_ref(), now)))
    }

    fn dump(&self, mut to: Archive<BufWriter<File>>) -> Answer<'_, (u64, File)> {
        // By the one connection that writes: a reader beside it would keep erased bytes in the write-ahead log.
        Box::pin(self.0.call(Kind::Read, move |c| {
            let rows = dump::write(c, &mut to)?;
            let file = to.end().and_then(|file| file.into_inner().map_err(|e| e.into_error()));
            Ok((rows, file.map_err(|e| engine("be copied", e))?))
        }))
    }

    fn orphans(&self) -> Answer<'_, u64> {
        Box::pin(self.0.call(Kind::Read, orphans))
    }

    fn without_effect(&self, entries: Vec<Entry>) -> Answer<'_, Vec<Device>> {
        let keeping = self.1.clone();
        Box::pin(self.0.call(Kind::Read, move |c| {
            keeping.map_or(Ok(Vec::new()), |keeping| replay::without_effect(c, &keeping, &entries))
        }))
    }

    fn journaled(&self) -> Answer<'_, Option<u64>> {
        Box::pin(self.0.call(Kind::Read, journaled))
    }
}
