//! The tables, and how their values are read.

use super::{
    Addresses, Device, Hash, Kept, Pending, Quarantined, State, StoreError, Visit, ZoneRow,
};
use crate::clock::Wall;
use crate::hub::ticket::Tickets;
use crate::wire::label::Label;
use crate::wire::link::{Scheme, Service};
use crate::wire::privacy::Restrictable;
use core::net::IpAddr;
use core::str::FromStr;
use data_encoding::BASE64URL_NOPAD;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

/// What brings the tables from each version to the next one; the version is kept in `meta`. Steps are added
/// at the end and never changed. Each table but `meta` has `made_at` in Unix seconds, by which the sweep finds
/// what is too old.
pub const STEPS: &[&str] = &[
    CREATE,
    RESTRICTION,
    PEOPLE,
    OUTBOX,
    DEVICE_KEY,
    TICKET,
    super::auth::CREATE,
    SECOND,
    SERVICE,
    super::share::CREATE,
    super::sealing::STEP,
    super::access::CREATE,
    super::known::CREATE,
    super::address::CREATE,
    super::identity::CREATE,
    super::operator::CREATE,
    super::account::CREATE,
    super::hold::CREATE,
    super::license::CREATE,
    super::license::WITHDRAWN,
];

const SERVICE: &str = "
CREATE TABLE service (
    device TEXT NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    scheme TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT;
";

const TICKET: &str = "
CREATE TABLE ticket (
    device TEXT PRIMARY KEY REFERENCES device (id),
    current BLOB,
    previous BLOB,
    acked INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE quarantine (
    device TEXT PRIMARY KEY REFERENCES device (id),
    why TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
";

const OUTBOX: &str = "
CREATE TABLE outbox (
    entry INTEGER PRIMARY KEY REFERENCES account_log (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
";

const SECOND: &str = "
CREATE TABLE second_factor (
    account INTEGER PRIMARY KEY REFERENCES account (number) ON DELETE CASCADE,
    secret BLOB NOT NULL,
    last_step INTEGER NOT NULL,
    wrong INTEGER NOT NULL,
    locked_at INTEGER,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE recovery_code (
    code BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX recovery_code_account ON recovery_code (account);
CREATE TABLE half_session (
    ticket BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX half_session_account ON half_session (account);
CREATE INDEX half_session_made_at ON half_session (made_at);
CREATE TABLE trusted_browser (
    ticket BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    masked TEXT,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX trusted_browser_account ON trusted_browser (account);
ALTER TABLE browser ADD COLUMN masked TEXT;
";

const PEOPLE: &str = "
CREATE TABLE account (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    email_index BLOB NOT NULL UNIQUE,
    email BLOB NOT NULL,
    password BLOB,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE invitation (
    ticket BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE browser (
    ticket BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX browser_account ON browser (account);
CREATE TABLE account_log (
    number INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    what TEXT NOT NULL,
    about BLOB,
    masked TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX account_log_account ON account_log (account);
CREATE INDEX account_log_made_at ON account_log (made_at);
ALTER TABLE pending ADD COLUMN account INTEGER REFERENCES account (number) ON DELETE SET NULL;
ALTER TABLE device ADD COLUMN account INTEGER REFERENCES account (number) ON DELETE SET NULL;
CREATE INDEX device_account ON device (account);
";

const RESTRICTION: &str = "
CREATE TABLE restriction (
    device TEXT NOT NULL REFERENCES device (id),
    feature TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (device, feature)
) STRICT;
";

/// The key that is to take the place of a device's own; that one stands in its own row.
const DEVICE_KEY: &str = "
CREATE TABLE device_key (
    device TEXT PRIMARY KEY REFERENCES device (id),
    key_hash BLOB NOT NULL UNIQUE,
    spki BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
";

const CREATE: &str = "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
CREATE TABLE pending (
    code_hash BLOB PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    spki BLOB NOT NULL,
    challenge BLOB NOT NULL,
    state INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_made_at ON pending (made_at);
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    key_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    spki BLOB NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE ddns (
    device TEXT PRIMARY KEY REFERENCES device (id),
    a TEXT,
    aaaa TEXT,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE link_log (
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL REFERENCES device (id),
    masked TEXT NOT NULL,
    host TEXT NOT NULL,
    up INTEGER NOT NULL,
    down INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX link_log_made_at ON link_log (made_at);
CREATE INDEX link_log_device ON link_log (device);
";

/// Columns of a [`Pending`], in the order [`pending`] reads them.
pub const PENDING: &str =
    "code_hash, user_code, opened('pending.name', name) AS called, spki, challenge, state, made_at";
/// Columns of a [`Device`], in the order [`device`] reads them.
pub const DEVICE: &str = "id, opened('device.name', name) AS called, spki, made_at";
/// Columns of a [`Visit`], in the order [`visit`] reads them.
pub const VISIT: &str = "device, masked, opened('link_log.host', host), up, down, seconds, made_at";

/// A state as it is kept.
pub fn state_code(state: State) -> i64 {
    match state {
        State::Open => 0,
        State::Approved => 1,
        State::Denied => 2,
    }
}

/// A time or count as it is kept. Beyond 2^63 it stays there.
pub fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a row of [`PENDING`].
pub fn pending(row: &Row<'_>) -> Result<Pending, StoreError> {
    let state = match column::<i64>(row, 5)? {
        0 => State::Open,
        1 => State::Approved,
        2 => State::Denied,
        _ => return Err(StoreError::Corrupt { what: "state of a request" }),
    };
    let code_hash: Vec<u8> = column(row, 0)?;
    Ok(Pending {
        code_hash: Hash::try_from(code_hash.as_slice())
            .map_err(|_| StoreError::Corrupt { what: "hash of a device code" })?,
        user_code: column(row, 1)?,
        name: label(row, 2)?,
        spki: column(row, 3)?,
        challenge: column(row, 4)?,
        state,
        made_at: wall(row, 6)?,
    })
}

/// Reads a row of [`DEVICE`].
pub fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    Ok(Device {
        id: column(row, 0)?,
        name: label(row, 1)?,
        spki: column(row, 2)?,
        made_at: wall(row, 3)?,
    })
}

/// Reads a row of [`VISIT`].
pub fn visit(row: &Row<'_>) -> Result<Visit, StoreError> {
    let masked: String = column(row, 1)?;
    Ok(Visit {
        device: column(row, 0)?,
        masked: masked.parse().map_err(|_| StoreError::Corrupt { what: "masked address" })?,
        host: column(row, 2)?,
        up: count(row, 3)?,
        down: count(row, 4)?,
        seconds: count(row, 5)?,
        made_at: wall(row, 6)?,
    })
}

/// Reads `name, has_ddns, a, aaaa`.
pub fn zone_row(row: &Row<'_>) -> Result<ZoneRow, StoreError> {
    let on: bool = column(row, 1)?;
    let addresses = Addresses { a: address(row, 2)?, aaaa: address(row, 3)? };
    Ok(ZoneRow { name: label(row, 0)?, addresses: on.then_some(addresses) })
}

/// Reads the one number of a row.
pub fn only_count(row: &Row<'_>) -> Result<u64, StoreError> {
    count(row, 0)
}

/// Reads the one text of a row.
pub fn only_text(row: &Row<'_>) -> Result<String, StoreError> {
    column(row, 0)
}

/// Reads `a, aaaa`.
pub fn addresses(row: &Row<'_>) -> Result<Addresses, StoreError> {
    Ok(Addresses { a: address(row, 0)?, aaaa: address(row, 1)? })
}

/// Reads `device, feature` of a restriction.
pub fn restriction(row: &Row<'_>) -> Result<(String, Restrictable), StoreError> {
    let feature: String = column(row, 1)?;
    let known = Restrictable::of(&feature);
    Ok((column(row, 0)?, known.ok_or(StoreError::Corrupt { what: "restricted feature" })?))
}

/// Reads `name, host, port, scheme` of a service.
pub fn service(row: &Row<'_>) -> Result<Service, StoreError> {
    let port = u16::try_from(count(row, 2)?);
    let scheme: String = column(row, 3)?;
    Ok(Service {
        name: label(row, 0)?,
        host: column(row, 1)?,
        port: port.map_err(|_| StoreError::Corrupt { what: "port" })?,
        scheme: Some(Scheme::Https)
            .filter(|known| known.word() == scheme)
            .ok_or(StoreError::Corrupt { what: "scheme" })?,
    })
}

/// Reads `current, previous, acked` of a device's tickets.
pub fn tickets(row: &Row<'_>) -> Result<Tickets, StoreError> {
    let hash = |at| -> Result<Option<Hash>, StoreError> {
        let bytes: Option<Vec<u8>> = column(row, at)?;
        let read = |bytes: Vec<u8>| Hash::try_from(bytes.as_slice());
        bytes.map(read).transpose().map_err(|_| StoreError::Corrupt { what: "ticket" })
    };
    Ok(Tickets { current: hash(0)?, previous: hash(1)?, acked: column(row, 2)? })
}

/// Reads `device, why, made_at` of a quarantine.
pub fn quarantined(row: &Row<'_>) -> Result<Quarantined, StoreError> {
    Ok(Quarantined { device: column(row, 0)?, why: column(row, 1)?, made_at: wall(row, 2)? })
}

/// Reads a row number and then every column there is, by name; bytes become base64url.
pub fn kept(row: &Row<'_>) -> Result<Kept, StoreError> {
    let mut data = Map::new();
    for (at, name) in row.as_ref().column_names().enumerate().skip(1) {
        let value = match row.get_ref(at).map_err(|e| super::sqlite::engine("read a column", e))? {
            ValueRef::Null | ValueRef::Real(_) => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(bytes) => BASE64URL_NOPAD.encode(bytes).into(),
        };
        data.insert(name.to_owned(), value);
    }
    Ok(Kept { number: count(row, 0)?, data })
}

pub(super) fn column<T: rusqlite::types::FromSql>(
    row: &Row<'_>,
    at: usize,
) -> Result<T, StoreError> {
    row.get(at).map_err(|e| super::sqlite::engine("read a column", e))
}

pub(super) fn count(row: &Row<'_>, at: usize) -> Result<u64, StoreError> {
    u64::try_from(column::<i64>(row, at)?).map_err(|_| StoreError::Corrupt { what: "count" })
}

pub(super) fn wall(row: &Row<'_>, at: usize) -> Result<Wall, StoreError> {
    count(row, at).map(Wall::from_unix_seconds)
}

/// A masked address, where one is kept.
pub(super) fn masked(row: &Row<'_>, at: usize) -> Result<Option<IpAddr>, StoreError> {
    address(row, at)
}

fn label(row: &Row<'_>, at: usize) -> Result<Label, StoreError> {
    let text: String = column(row, at)?;
    Label::parse(&text).map_err(|_| StoreError::Corrupt { what: "name" })
}

fn address<A: FromStr>(row: &Row<'_>, at: usize) -> Result<Option<A>, StoreError> {
    let text: Option<String> = column(row, at)?;
    let parse = |text: String| text.parse().map_err(|_| StoreError::Corrupt { what: "address" });
    text.map(parse).transpose()
}
