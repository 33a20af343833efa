//! A database file is opened: made, brought to this version, and cleared of what it held in plain text.

use super::sqlite::{engine, one};
use super::{StoreError, schema, sealing};
use crate::hub::seal::Seal;
use core::time::Duration;
use rusqlite::Connection;
use std::sync::Arc;

/// How long a call waits for another process (the command line beside the server).
const BUSY: Duration = Duration::from_secs(5);

pub(super) fn prepare(connection: &Connection, seal: &Arc<Seal>) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY).map_err(|e| engine("set its patience", e))?;
    sealing::install(connection, seal)?;
    // synchronous=FULL: an answered call survives a power cut. secure_delete: erased rows are overwritten.
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        )
        .map_err(|e| engine("set itself up", e))?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|e| engine("begin", e))?;
    let made = migrate(connection, seal);
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(|e| engine("make its tables", e))?;
    made?;
    clear(connection)
}

fn migrate(connection: &Connection, seal: &Seal) -> Result<(), StoreError> {
    let make = |e| engine("make its tables", e);
    let there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
    let found: i64 = if one(connection, there, [], schema::only_count)? == Some(0) {
        0
    } else {
        sealing::check_key(connection, seal)?;
        let version = "SELECT value FROM meta WHERE key = 'schema'";
        connection.query_row(version, [], |row| row.get(0)).map_err(make)?
    };
    let known = i64::try_from(schema::STEPS.len()).unwrap_or(i64::MAX);
    let future = StoreError::Schema { found, known };
    let steps = usize::try_from(found).ok().and_then(|done| schema::STEPS.get(done..));
    for (step, version) in steps.ok_or(future)?.iter().zip(found.saturating_add(1)..) {
        connection.execute_batch(step).map_err(make)?;
        let note = "INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?1)";
        connection.execute(note, [version]).map_err(make)?;
    }
    if (1..known).contains(&found) {
        // In the same step: a crash before all is cleared does not make it forgotten.
        let note = "INSERT OR REPLACE INTO meta (key, value) VALUES ('uncleared', 1)";
        connection.execute_batch(note).map_err(make)?;
    }
    sealing::note_key(connection, seal)
}

/// Takes what the steps wrote over out of the file and its log: both may hold the plain text of before, in pages
/// that are free by now.
fn clear(connection: &Connection) -> Result<(), StoreError> {
    let sql = "SELECT value FROM meta WHERE key = 'uncleared'";
    if one(connection, sql, [], schema::only_count)?.is_none()
        || crate::sabotage::off("hub-seal-cleared")
    {
        return Ok(());
    }
    let failed = |e| engine("clear its file of what was plain", e);
    connection.execute_batch("VACUUM").map_err(failed)?;
    let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    if connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy).map_err(failed)? != 0 {
        // Another process reads the file of before. The next opening tries again.
        return Ok(());
    }
    connection.execute_batch("DELETE FROM meta WHERE key = 'uncleared'").map_err(failed)
}
