//! What is void, on SQLite: a list that only grows newer, and of which each entry goes when no lease of it could be in
//! use any more.

use super::{log, seconds};
use crate::clock::Wall;
use crate::hub::keeping::{Deletion, Keeping};
use crate::hub::store::sqlite::{many, one, write};
use crate::hub::store::{StoreError, keep, schema};
use core::time::Duration;
use rusqlite::{Connection, params};

/// How long an entry is kept: longer than the longest lease (30 days) with the longest grace (14 days).
pub const VOID_KEPT: Duration = Duration::from_secs(60 * 24 * 3600);

/// The key in `meta` of the last epoch.
const EPOCH: &str = "license_epoch";

/// Counts the epoch up. It is never below the time, so that it counts up over a restored backup as well.
fn next_epoch(connection: &Connection, now: Wall) -> Result<u64, StoreError> {
    let before = epoch(connection)?;
    let next = before.saturating_add(1).max(now.unix_seconds());
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    write(connection, "count an epoch", sql, params![EPOCH, schema::integer(next)])?;
    Ok(next)
}

fn epoch(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    Ok(one(connection, sql, [EPOCH], schema::only_count)?.unwrap_or_default())
}

fn note(connection: &Connection, lid: &str, now: Wall) -> Result<u64, StoreError> {
    let epoch = next_epoch(connection, now)?;
    let sql = "INSERT INTO license_void (lid, epoch, expires_at, made_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (lid) DO NOTHING";
    let until = Wall(now.0.saturating_add(VOID_KEPT));
    let values = params![lid, schema::integer(epoch), seconds(until), seconds(now)];
    write(connection, "make a license void", sql, values)?;
    Ok(epoch)
}

/// Makes a license void that is there.
pub(in crate::hub::store) fn revoke(
    connection: &Connection,
    keeping: Option<&Keeping>,
    lid: &str,
    now: Wall,
) -> Result<Option<u64>, StoreError> {
    if let Some(epoch) = since(connection, lid)? {
        return Ok(Some(epoch));
    }
    let sql = "SELECT count(*) FROM license WHERE lid = ?1";
    if one(connection, sql, [lid], schema::only_count)? != Some(1) {
        return Ok(None);
    }
    keep::note(connection, keeping, Deletion::License(lid))?;
    let epoch = note(connection, lid, now)?;
    let sql = "UPDATE license SET expires_at = ?2 WHERE lid = ?1";
    let until = Wall(now.0.saturating_add(VOID_KEPT));
    write(connection, "note an end", sql, params![lid, seconds(until)])?;
    log(connection, lid, "revoked", now)?;
    Ok(Some(epoch))
}

/// Makes everything void that an account holds; the caller erases the rows (promises L11, P3).
pub(in crate::hub::store) fn void_account(
    connection: &Connection,
    account: i64,
    now: Wall,
) -> Result<(), StoreError> {
    if crate::sabotage::off("license-void") {
        return Ok(());
    }
    let sql = "SELECT lid FROM license WHERE account = ?1";
    for lid in many(connection, sql, [account], schema::only_text)? {
        note(connection, &lid, now)?;
    }
    Ok(())
}

/// Keeps the seats taken that a device sits on whose rows are about to go: its leases end when they end, and not by
/// its word alone that it has destroyed them.
pub(in crate::hub::store) fn void_later(
    connection: &Connection,
    device: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO license_taken (lid, seat, expires_at, made_at)
        SELECT lid, seat, ends_at, made_at FROM license_seat WHERE device = ?1";
    write(connection, "keep a seat", sql, [device]).map(drop)
}

pub(super) fn since(connection: &Connection, lid: &str) -> Result<Option<u64>, StoreError> {
    one(connection, "SELECT epoch FROM license_void WHERE lid = ?1", [lid], schema::only_count)
}

pub(super) fn list(connection: &Connection) -> Result<(u64, Vec<String>), StoreError> {
    let sql = "SELECT lid FROM license_void ORDER BY epoch";
    Ok((epoch(connection)?, many(connection, sql, [], schema::only_text)?))
}
