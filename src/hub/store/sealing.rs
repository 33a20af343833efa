//! Sealing at rest, in one place: three functions in SQL that hold the key (promise S5).
//!
//! `sealed('table.column', value)` stands where a value is written, `opened('table.column', value)` where it is
//! read, and `marked('table.column', value)` gives what a value is found and kept unique by. NULL stays NULL. A
//! query that forgets to open gets a text that is no name and no address, and fails.

use super::sqlite::engine;
use super::{StoreError, schema};
use crate::hub::seal::Seal;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};
use std::sync::Arc;

/// Seals what databases made before it hold in plain text. The ports go into a column that takes texts.
pub const STEP: &str = "
ALTER TABLE pending ADD COLUMN name_mark BLOB;
UPDATE pending SET name_mark = marked('pending.name', name), name = sealed('pending.name', name);
CREATE INDEX pending_name ON pending (name_mark);
ALTER TABLE device ADD COLUMN name_mark BLOB;
UPDATE device SET name_mark = marked('device.name', name), name = sealed('device.name', name),
    names = sealed('device.names', names);
CREATE UNIQUE INDEX device_name ON device (name_mark);
UPDATE ddns SET a = sealed('ddns.a', a), aaaa = sealed('ddns.aaaa', aaaa);
UPDATE link_log SET host = sealed('link_log.host', host);
UPDATE auth_key SET pattern = sealed('auth_key.pattern', pattern);
CREATE TABLE service_sealed (
    device TEXT NOT NULL REFERENCES device (id),
    name_mark BLOB NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    port TEXT NOT NULL,
    scheme TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (device, name_mark)
) STRICT;
INSERT INTO service_sealed
    SELECT device, marked('service.name', device || ' ' || name), sealed('service.name', name),
    sealed('service.host', host), sealed('service.port', port), scheme, made_at FROM service;
DROP TABLE service;
ALTER TABLE service_sealed RENAME TO service;
";

/// Teaches a connection to seal, open and mark. Other programs that open the file cannot.
pub(super) fn install(connection: &Connection, seal: &Arc<Seal>) -> Result<(), StoreError> {
    // Not from triggers and views: those lie in the file, which is not to be believed that far.
    let once = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let same = once | FunctionFlags::SQLITE_DETERMINISTIC;
    let (sealing, opening, marking) = (Arc::clone(seal), Arc::clone(seal), Arc::clone(seal));
    connection
        .create_scalar_function("sealed", 2, once, move |context| {
            let Some(text) = text(context)? else { return Ok(None) };
            if crate::sabotage::off("hub-seal") {
                return Ok(Some(text));
            }
            let sealed = sealing.seal_text(&column(context)?, &text);
            sealed.map(Some).map_err(|e| Error::UserFunctionError(e.into()))
        })
        .and_then(|()| {
            connection.create_scalar_function("opened", 2, same, move |c| opened(&opening, c))
        })
        .and_then(|()| {
            connection.create_scalar_function("marked", 2, same, move |context| {
                let Some(text) = text(context)? else { return Ok(None) };
                Ok(Some(marking.index(&column(context)?, &text).to_vec()))
            })
        })
        .map_err(|e| engine("set its seal up", e))
}

fn column(context: &Context<'_>) -> rusqlite::Result<String> {
    context.get(0)
}

/// The second argument as a text; numbers are written out.
fn text(context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    match context.get_raw(1) {
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => {
            context.get(1)
        }
    }
}

fn opened(seal: &Seal, context: &Context<'_>) -> rusqlite::Result<Option<String>> {
    let column = column(context)?;
    let opened = match context.get_raw(1) {
        ValueRef::Null => return Ok(None),
        ValueRef::Text(_) if crate::sabotage::off("hub-seal") => context.get(1)?,
        ValueRef::Text(text) => {
            core::str::from_utf8(text).ok().and_then(|text| seal.open_text(&column, text))
        }
        ValueRef::Blob(bytes) => seal.open(&column, bytes),
        ValueRef::Integer(_) | ValueRef::Real(_) => None,
    };
    opened.map(Some).ok_or_else(|| {
        let what = format!("a value of {column} was changed, or sealed with another key");
        Error::UserFunctionError(what.into())
    })
}

/// Holds the database to the key it was sealed with, before anything is read or written with another one.
pub(super) fn check_key(connection: &Connection, seal: &Seal) -> Result<(), StoreError> {
    let sql = "SELECT value FROM meta WHERE key = 'seal'";
    let known = super::sqlite::one(connection, sql, [], schema::only_count)?;
    if known.is_some_and(|id| id != seal.id()) {
        return Err(StoreError::OtherKey);
    }
    if known.is_some() {
        return Ok(());
    }
    // Older databases do not say; what they hold sealed does.
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'account'";
    if super::sqlite::one(connection, sql, [], schema::only_count)? == Some(0) {
        return Ok(());
    }
    let email = |row: &rusqlite::Row<'_>| schema::column::<Vec<u8>>(row, 0);
    let some = super::sqlite::one(connection, "SELECT email FROM account LIMIT 1", [], email)?;
    let opens = some.is_none_or(|email| seal.open("account.email", &email).is_some());
    if opens { Ok(()) } else { Err(StoreError::OtherKey) }
}

/// Notes which key a database is sealed with.
pub(super) fn note_key(connection: &Connection, seal: &Seal) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO meta (key, value) VALUES ('seal', ?1)";
    let id = schema::integer(seal.id());
    super::sqlite::write(connection, "note its key", sql, [id]).map(drop)
}
