//! Legal holds, on SQLite, and erasures that note themselves in the journal.
//!
//! A hold does not leave rows where they are used. When an erasure comes over rows that are held, they are moved out of
//! their tables into one sealed value, which no part of the hub reads but the operator's command: by that they are
//! neither served nor processed, and whoever asks finds nothing. How long that value stays is written down with it and
//! never changed; the sweep does the rest (promise R4).

use super::keep::{Held, Hold, Holding};
use super::sqlite::{engine, many, one, write};
use super::{Device, Hash, Scope, StoreError, rights, schema, sqlite};
use crate::clock::Wall;
use crate::hub::keeping::{Deletion, Keeping, end_of};
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `subject` is a keyed hash; `label`, `why` and `rows` are sealed.
pub const CREATE: &str = "
CREATE TABLE hold (
    subject BLOB PRIMARY KEY,
    label BLOB NOT NULL,
    why BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE held (
    number INTEGER PRIMARY KEY,
    subject BLOB NOT NULL,
    about BLOB NOT NULL,
    rows BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX held_about ON held (about);
";

/// The columns that are sealed.
pub const LABEL: &str = "hold.label";
/// See [`LABEL`].
pub const WHY: &str = "hold.why";
/// See [`LABEL`].
pub const ROWS: &str = "held.rows";

const HOLD: &str = "SELECT subject, label, why, expires_at, made_at FROM hold";
const HELD: &str = "SELECT number, rows, expires_at, made_at FROM held";
/// Rows of one table that are read at once.
pub(super) const ALL: u64 = 1 << 32;

fn hold(row: &Row<'_>) -> Result<Hold, StoreError> {
    let subject: Vec<u8> = schema::column(row, 0)?;
    Ok(Hold {
        subject: Hash::try_from(subject.as_slice())
            .map_err(|_| StoreError::Corrupt { what: "subject of a hold" })?,
        label: schema::column(row, 1)?,
        why: schema::column(row, 2)?,
        expires_at: schema::wall(row, 3)?,
        made_at: schema::wall(row, 4)?,
    })
}

fn held(row: &Row<'_>) -> Result<Held, StoreError> {
    Ok(Held {
        number: schema::count(row, 0)?,
        rows: schema::column(row, 1)?,
        expires_at: schema::wall(row, 2)?,
        made_at: schema::wall(row, 3)?,
    })
}

/// What holds and held rows of a device are found by.
pub fn device_subject(keeping: &Keeping, id: &str) -> Hash {
    keeping.seal.index("hold.device", id)
}

/// What those of an account are found by.
pub fn account_subject(keeping: &Keeping, number: u64) -> Hash {
    keeping.seal.index("hold.account", &number.to_string())
}

pub(super) fn add(connection: &Connection, row: &Hold) -> Result<Holding, StoreError> {
    let now = row.made_at;
    sweep(connection, "hold", now)?;
    let sql = format!("{HOLD} WHERE subject = ?1");
    let before = one(connection, &sql, [row.subject.as_slice()], hold)?;
    // From the beginning of the first one: another one beside it does not begin anew.
    let begun = before.as_ref().map_or(now, |before| before.made_at);
    let most = end_of(begun);
    if row.expires_at > most && !crate::sabotage::off("hub-hold-most") {
        return Ok(Holding::TooLong { most });
    }
    let sql = "INSERT INTO hold (subject, label, why, expires_at, made_at) VALUES (?1,?2,?3,?4,?5)
        ON CONFLICT (subject) DO UPDATE SET why = excluded.why, expires_at = excluded.expires_at";
    let until = schema::integer(row.expires_at.unix_seconds());
    let Hold { subject, label, why, .. } = row;
    let made_at = schema::integer(now.unix_seconds());
    write(connection, "note a hold", sql, params![subject, label, why, until, made_at])?;
    Ok(Holding::Yes)
}

fn sweep(connection: &Connection, table: &str, now: Wall) -> Result<u64, StoreError> {
    let sql = format!("DELETE FROM {table} WHERE expires_at <= ?1");
    write(connection, "end what is over", &sql, [schema::integer(now.unix_seconds())])
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Hold>, StoreError> {
    many(connection, &format!("{HOLD} ORDER BY expires_at"), [], hold)
}

/// Ends a hold before its time; what it held goes with it.
pub(super) fn end(
    connection: &Connection,
    keeping: Option<&Keeping>,
    subject: &Hash,
) -> Result<bool, StoreError> {
    super::keep::note(connection, keeping, Deletion::Hold(subject))?;
    let by = [subject.as_slice()];
    write(connection, "erase what was held", "DELETE FROM held WHERE subject = ?1", by)?;
    Ok(write(connection, "end a hold", "DELETE FROM hold WHERE subject = ?1", by)? > 0)
}

pub(super) fn held_of(
    connection: &Connection,
    about: Option<&Hash>,
    now: Wall,
) -> Result<Vec<Held>, StoreError> {
    let now = schema::integer(now.unix_seconds());
    let sql =
        format!("{HELD} WHERE expires_at > ?1 AND (?2 IS NULL OR about = ?2) ORDER BY number");
    many(connection, &sql, params![now, about.map(Hash::as_slice)], held)
}

/// The hold that stands over one of these, the longest one.
fn standing(
    connection: &Connection,
    subjects: &[Hash],
    now: Wall,
) -> Result<Option<Hold>, StoreError> {
    let now = schema::integer(now.unix_seconds());
    let mut longest: Option<Hold> = None;
    for subject in subjects {
        let sql = format!("{HOLD} WHERE subject = ?1 AND expires_at > ?2");
        let found = one(connection, &sql, params![subject, now], hold)?;
        longest = longest.into_iter().chain(found).max_by_key(|hold| hold.expires_at);
    }
    Ok(longest)
}

/// Moves rows, by table, out of reach when a hold stands over one of `subjects`; whether one does. The caller deletes
/// them from their tables in any case. `about` is whoever the receipt is for.
///
/// # Errors
/// [`StoreError`]; nothing may be deleted then.
pub fn set_aside(
    connection: &Connection,
    keeping: &Keeping,
    subjects: &[Hash],
    about: Hash,
    rows: impl FnOnce() -> Result<BTreeMap<String, Vec<Value>>, StoreError>,
) -> Result<bool, StoreError> {
    let now = keeping.clock.now().wall;
    let standing = standing(connection, subjects, now)?;
    let Some(hold) = standing.filter(|_| !crate::sabotage::off("hub-hold")) else {
        return Ok(false);
    };
    let mut rows = rows()?;
    rows.retain(|_, rows| !rows.is_empty());
    if rows.is_empty() {
        return Ok(true);
    }
    let why = keeping.seal.open(WHY, &hold.why).ok_or(StoreError::Corrupt { what: "reason" })?;
    let text = json!({"why": why, "rows": rows}).to_string();
    let sealed = keeping.seal.seal(ROWS, &text).map_err(|e| engine("seal what is held", e))?;
    let sql =
        "INSERT INTO held (subject, about, rows, expires_at, made_at) VALUES (?1,?2,?3,?4,?5)";
    let until = schema::integer(hold.expires_at.unix_seconds());
    let made_at = schema::integer(now.unix_seconds());
    let values = params![hold.subject, about, sealed, until, made_at];
    write(connection, "set rows aside", sql, values)?;
    Ok(true)
}

/// Erases what is kept of a device, as [`sqlite::erase`]: noted in the journal before, and set aside where it is held.
pub(super) fn erase(
    connection: &Connection,
    keeping: Option<&Keeping>,
    device: &Device,
    scope: Scope,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let Some(keeping) = keeping else { return sqlite::erase(connection, device, scope) };
    let deletion = Deletion::Device { id: &device.id, feature: scope.feature() };
    super::keep::note(connection, Some(keeping), deletion)?;
    erase_noted(connection, keeping, device, scope)
}

/// As [`erase`], when the journal has it already.
pub(super) fn erase_noted(
    connection: &Connection,
    keeping: &Keeping,
    device: &Device,
    scope: Scope,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let about = device_subject(keeping, &device.id);
    let sql = "SELECT account FROM device WHERE id = ?1 AND account IS NOT NULL";
    let owner = one(connection, sql, [&device.id], schema::only_count)?;
    let owner = owner.map(|number| account_subject(keeping, number));
    let subjects: Vec<Hash> = [about].into_iter().chain(owner).collect();
    let rows = || {
        let tables = scope.tables().iter().map(|&table| {
            let rows = rights::rows(connection, device, table, 0, ALL)?;
            let of_it = |row: &Map<String, Value>| {
                let all = table != "restriction" || scope == Scope::Registration;
                all || row.get("feature").and_then(Value::as_str) == Some(scope.feature())
            };
            let rows = rows.into_iter().map(|row| row.data).filter(of_it).map(Value::Object);
            Ok((table.to_owned(), rows.collect()))
        });
        tables.collect()
    };
    let is_held = set_aside(connection, keeping, &subjects, about, rows)?;
    let mut erased = sqlite::erase(connection, device, scope)?;
    if is_held {
        // They are kept: the receipt counts none of them as erased.
        erased.values_mut().for_each(|rows| *rows = 0);
    }
    Ok(erased)
}
