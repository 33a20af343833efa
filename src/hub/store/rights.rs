//! The rights of those whom rows are about, on SQLite: rows are shown, corrected and set aside.

use super::sqlite::{known, many, name_holder, one, write};
use super::{Addresses, Device, Kept, Renamed, State, StoreError};
use super::{auth, classes, keep, schema};
use crate::clock::Wall;
use crate::hub::keeping::{Deletion, Keeping};
use crate::wire::label::Label;
use crate::wire::privacy::Restrictable;
use rusqlite::{Connection, params};

pub(super) fn rename(
    connection: &Connection,
    device: &str,
    name: &Label,
    since: Wall,
) -> Result<Renamed, StoreError> {
    let sql = format!("SELECT {} FROM device WHERE id = ?1", schema::DEVICE);
    let row = one(connection, &sql, [device], schema::device)?.ok_or(StoreError::NoDevice)?;
    let before = row.name.clone();
    if before == *name || crate::sabotage::off("hub-fix") {
        return Ok(Renamed::Yes { device: row, before });
    }
    let promised = "SELECT count(*) FROM pending
        WHERE name_mark = marked('pending.name', ?1) AND state = ?2 AND spki <> ?3 AND made_at >= ?4";
    let approved = schema::state_code(State::Approved);
    let since = schema::integer(since.unix_seconds());
    let by = params![name.as_str(), approved, row.spki, since];
    // A name outside those of the key that let the device in is answered like one that others have.
    if !auth::may_have(connection, device, name.as_str())?
        || name_holder(connection, name.as_str())?.is_some()
        || one(connection, promised, by, schema::only_count)? > Some(0)
    {
        return Ok(Renamed::NameTaken);
    }
    let sql =
        "UPDATE device SET name = sealed('device.name', ?1), name_mark = marked('device.name', ?1)
        WHERE id = ?2";
    write(connection, "rename a device", sql, params![name.as_str(), device])?;
    // Its services were published below the old name; the device tells where they are now.
    write(connection, "drop services", "DELETE FROM service WHERE device = ?1", [device])?;
    // The request the device came by would otherwise bring the old name back.
    let sql = "UPDATE pending SET name = sealed('pending.name', ?1), name_mark = marked('pending.name', ?1)
        WHERE spki = ?2 AND name_mark = marked('pending.name', ?3)";
    let values = params![name.as_str(), row.spki, before.as_str()];
    write(connection, "rename a request", sql, values)?;
    Ok(Renamed::Yes { device: Device { name: name.clone(), ..row }, before })
}

pub(super) fn restrict(
    connection: &Connection,
    keeping: Option<&Keeping>,
    device: &str,
    (feature, on): (Restrictable, bool),
    now: Wall,
) -> Result<Vec<Restrictable>, StoreError> {
    known(connection, device)?;
    keep::note(connection, keeping, Deletion::Restriction { id: device, feature, on })?;
    if on {
        let sql = "INSERT INTO restriction (device, feature, made_at) VALUES (?1,?2,?3)
            ON CONFLICT (device, feature) DO NOTHING";
        let values = params![device, feature.name(), schema::integer(now.unix_seconds())];
        write(connection, "restrict a feature", sql, values)?;
    } else {
        let sql = "DELETE FROM restriction WHERE device = ?1 AND feature = ?2";
        write(connection, "lift a restriction", sql, [device, feature.name()])?;
    }
    let sql = "SELECT device, feature FROM restriction WHERE device = ?1 ORDER BY feature";
    let rows = many(connection, sql, [device], schema::restriction)?;
    Ok(rows.into_iter().map(|(_, feature)| feature).collect())
}

pub(super) fn restrictions(
    connection: &Connection,
) -> Result<Vec<(String, Restrictable)>, StoreError> {
    many(connection, "SELECT device, feature FROM restriction", [], schema::restriction)
}

pub(super) fn addresses(
    connection: &Connection,
    device: &str,
) -> Result<Option<Addresses>, StoreError> {
    let sql = "SELECT opened('ddns.a', a), opened('ddns.aaaa', aaaa) FROM ddns WHERE device = ?1";
    one(connection, sql, [device], schema::addresses)
}

pub(super) fn rows(
    connection: &Connection,
    device: &Device,
    table: &str,
    after: u64,
    most: u64,
) -> Result<Vec<Kept>, StoreError> {
    let column = match table {
        "device" => "id",
        "pending" => "spki",
        _ => "device",
    };
    let sql = format!(
        "SELECT rowid, {} FROM {table} WHERE {column} = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3",
        classes::shown(table)
    );
    let (after, most) = (schema::integer(after), schema::integer(most));
    if table == "pending" {
        return many(connection, &sql, params![device.spki, after, most], schema::kept);
    }
    many(connection, &sql, params![device.id, after, most], schema::kept)
}
