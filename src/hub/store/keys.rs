//! The second key of a device that changes its key, on SQLite.

use super::sqlite::{known, one, write};
use super::{Device, Hash, Staged, StoreError, keep, schema};
use crate::clock::Wall;
use crate::hub::keeping::{Deletion, Keeping};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};

const BY_OWN: &str =
    "SELECT id, opened('device.name', name), spki, made_at FROM device WHERE key_hash = ?1";
const BY_NEXT: &str =
    "SELECT d.id, opened('device.name', d.name), d.spki, d.made_at FROM device AS d
    JOIN device_key AS k ON k.device = d.id WHERE k.key_hash = ?1";

pub(super) fn device_by_key(
    connection: &Connection,
    key: Hash,
) -> Result<Option<Device>, StoreError> {
    match one(connection, BY_OWN, [key.as_slice()], schema::device)? {
        Some(device) => Ok(Some(device)),
        None => one(connection, BY_NEXT, [key.as_slice()], schema::device),
    }
}

/// Whether a key is, or is to be, that of another device.
pub(super) fn is_anothers(
    connection: &Connection,
    device: &str,
    spki: &[u8],
) -> Result<bool, StoreError> {
    let hash = digest(&SHA256, spki);
    for sql in [
        "SELECT count(*) FROM device WHERE key_hash = ?1 AND id <> ?2",
        "SELECT count(*) FROM device_key WHERE key_hash = ?1 AND device <> ?2",
    ] {
        let by = params![hash.as_ref(), device];
        if one(connection, sql, by, schema::only_count)? > Some(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn stage(
    connection: &Connection,
    device: &str,
    spki: &[u8],
    now: Wall,
) -> Result<Staged, StoreError> {
    known(connection, device)?;
    if is_anothers(connection, device, spki)? {
        return Ok(Staged::Taken);
    }
    let hash = digest(&SHA256, spki);
    let own = "SELECT count(*) FROM device WHERE key_hash = ?1";
    if one(connection, own, [hash.as_ref()], schema::only_count)? > Some(0) {
        return Ok(Staged::Yes);
    }
    // The same key asked for again keeps its row: a lost answer costs no write.
    let sql = "INSERT INTO device_key (device, key_hash, spki, made_at) VALUES (?1,?2,?3,?4)
        ON CONFLICT (device) DO UPDATE SET key_hash = excluded.key_hash, spki = excluded.spki,
        made_at = excluded.made_at WHERE key_hash <> excluded.key_hash";
    let values = params![device, hash.as_ref(), spki, schema::integer(now.unix_seconds())];
    write(connection, "note the next key of a device", sql, values)?;
    Ok(Staged::Yes)
}

pub(super) fn settle(
    connection: &Connection,
    keeping: Option<&Keeping>,
    key: Hash,
) -> Result<Option<Device>, StoreError> {
    let Some(device) = one(connection, BY_NEXT, [key.as_slice()], schema::device)? else {
        return Ok(None);
    };
    // An older copy of the database would take the key that is given up here for the device's own.
    let given_up = digest(&SHA256, &device.spki);
    keep::note(connection, keeping, Deletion::Key(given_up.as_ref()))?;
    // Requests of the old key: the device has had its answer, and nobody else shall get one.
    let requests = "DELETE FROM pending WHERE spki = ?1";
    write(connection, "erase requests", requests, [&device.spki])?;
    let sql = "UPDATE device SET (key_hash, spki) =
        (SELECT key_hash, spki FROM device_key WHERE device = ?1) WHERE id = ?1";
    write(connection, "change the key of a device", sql, [&device.id])?;
    let sql = "DELETE FROM device_key WHERE device = ?1";
    write(connection, "forget the next key of a device", sql, [&device.id])?;
    one(connection, BY_OWN, [key.as_slice()], schema::device)
}
