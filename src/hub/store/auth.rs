//! Auth keys on SQLite: what is kept of a key, and how it is used up.
//!
//! Of the secret only its SHA-256 is kept. A slow hash such as argon2 makes guessing dear where a secret is one
//! of few, as passwords are; this one is 160 random bits, of which no fast hash gives anything away.

use super::schema::{self, integer};
use super::sqlite::{engine, many, one, write};
use super::{Device, Hash, Opened, Pending, State, StoreError, keep};
use crate::clock::Wall;
use crate::hub::keeping::{Deletion, Keeping};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A key of the operator that stands for their approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthKeyRow {
    /// Its id, which is no secret.
    pub id: String,
    /// SHA-256 of its secret.
    pub hash: Hash,
    /// The names it lets in: a label with `*` for any run of characters.
    pub pattern: String,
    /// Whether it lets in more than one device.
    pub reusable: bool,
    /// The devices it has let in.
    pub uses: u64,
    /// When it lets in nobody any more, and its row goes.
    pub expires_at: Wall,
    /// When it was made.
    pub made_at: Wall,
}

impl AuthKeyRow {
    /// Whether it still lets somebody in.
    pub fn is_good(&self, now: Wall) -> bool {
        now < self.expires_at && (self.reusable || self.uses == 0)
    }
}

pub(super) const CREATE: &str = "
CREATE TABLE auth_key (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    pattern TEXT NOT NULL,
    reusable INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
ALTER TABLE pending ADD COLUMN auth_key TEXT;
ALTER TABLE device ADD COLUMN names TEXT;
ALTER TABLE device ADD COLUMN auth_key TEXT;
";

const COLUMNS: &str =
    "id, hash, opened('auth_key.pattern', pattern), reusable, uses, expires_at, made_at";

fn read(row: &Row<'_>) -> Result<AuthKeyRow, StoreError> {
    let hash: Vec<u8> = schema::column(row, 1)?;
    Ok(AuthKeyRow {
        id: schema::column(row, 0)?,
        hash: Hash::try_from(hash.as_slice())
            .map_err(|_| StoreError::Corrupt { what: "hash of an auth key" })?,
        pattern: schema::column(row, 2)?,
        reusable: schema::column(row, 3)?,
        uses: schema::count(row, 4)?,
        expires_at: schema::wall(row, 5)?,
        made_at: schema::wall(row, 6)?,
    })
}

pub(super) fn add(connection: &Connection, key: &AuthKeyRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO auth_key (id, hash, pattern, reusable, uses, expires_at, made_at)
        VALUES (?1, ?2, sealed('auth_key.pattern', ?3), ?4, ?5, ?6, ?7)";
    let values = params![
        key.id,
        key.hash.as_slice(),
        key.pattern,
        key.reusable,
        integer(key.uses),
        integer(key.expires_at.unix_seconds()),
        integer(key.made_at.unix_seconds()),
    ];
    write(connection, "note an auth key", sql, values).map(drop)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<AuthKeyRow>, StoreError> {
    many(connection, &format!("SELECT {COLUMNS} FROM auth_key ORDER BY made_at, rowid"), [], read)
}

pub(super) fn find(connection: &Connection, id: &str) -> Result<Option<AuthKeyRow>, StoreError> {
    one(connection, &format!("SELECT {COLUMNS} FROM auth_key WHERE id = ?1"), [id], read)
}

pub(super) fn revoke(
    connection: &Connection,
    keeping: Option<&Keeping>,
    id: &str,
) -> Result<bool, StoreError> {
    keep::note(connection, keeping, Deletion::AuthKey(id))?;
    Ok(write(connection, "revoke an auth key", "DELETE FROM auth_key WHERE id = ?1", [id])? > 0)
}

/// Notes a request that a key stands for: approved from the start, in the name of that key.
pub(super) fn open(
    connection: &Connection,
    row: &Pending,
    key: &str,
    most: u64,
) -> Result<Opened, StoreError> {
    let row = Pending { state: State::Approved, ..row.clone() };
    let opened = super::sqlite::open_code(connection, &row, most)?;
    if opened == Opened::Yes {
        let sql = "UPDATE pending SET auth_key = ?1 WHERE code_hash = ?2";
        write(connection, "note whose request it is", sql, params![key, row.code_hash.as_slice()])?;
    }
    Ok(opened)
}

/// Whether the device with this key came in by that auth key. It stays good for it, so that a device that lost the
/// hub's answer in a power cut is not locked out.
pub(super) fn is_own(connection: &Connection, id: &str, spki: &[u8]) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM device WHERE auth_key = ?1 AND spki = ?2";
    Ok(one(connection, sql, params![id, spki], schema::only_count)? > Some(0))
}

/// What the key of a request comes to.
pub(super) enum Used {
    /// The request came without one.
    None,
    /// It lets the device in.
    Key {
        /// Its id.
        id: String,
        /// The names it lets devices have.
        names: String,
    },
    /// It was revoked, has expired, or let in another device meanwhile.
    Spent,
}

/// Uses the key a request came with.
pub(super) fn consume(
    connection: &Connection,
    code: Hash,
    device: &Device,
) -> Result<Used, StoreError> {
    let sql = "SELECT auth_key FROM pending WHERE code_hash = ?1";
    let key: Option<Option<String>> = connection
        .query_row(sql, [code.as_slice()], |row| row.get(0))
        .optional()
        .map_err(|e| engine("read whose request it is", e))?;
    let Some(Some(key)) = key else { return Ok(Used::None) };
    let Some(row) = find(connection, &key)? else { return Ok(Used::Spent) };
    let used = Used::Key { id: row.id.clone(), names: row.pattern.clone() };
    if is_own(connection, &key, &device.spki)? {
        return Ok(used);
    }
    if !row.is_good(device.made_at) && !crate::sabotage::off("hub-authkey-once") {
        return Ok(Used::Spent);
    }
    // All calls run on one connection, and other processes wait for its transaction: nobody comes in between.
    let sql = "UPDATE auth_key SET uses = uses + 1 WHERE id = ?1";
    write(connection, "use an auth key", sql, [key])?;
    Ok(used)
}

/// Binds a device to the names of the key that let it in; one that a person let in is free.
pub(super) fn bind(connection: &Connection, device: &str, used: &Used) -> Result<(), StoreError> {
    let (names, key) = match used {
        Used::Key { id, names } => (Some(names), Some(id)),
        Used::None | Used::Spent => (None, None),
    };
    let sql = "UPDATE device SET names = sealed('device.names', ?1), auth_key = ?2 WHERE id = ?3";
    write(connection, "bind a device to names", sql, params![names, key, device]).map(drop)
}

/// Whether a device may have a name.
pub(super) fn may_have(
    connection: &Connection,
    device: &str,
    name: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT opened('device.names', names) FROM device WHERE id = ?1";
    let names: Option<Option<String>> = connection
        .query_row(sql, [device], |row| row.get(0))
        .optional()
        .map_err(|e| engine("read the names of a device", e))?;
    Ok(names.flatten().is_none_or(|pattern| fits(&pattern, name)))
}

/// Whether a name is one of a pattern: `*` stands for any run of characters, none among them.
pub fn fits(pattern: &str, name: &str) -> bool {
    if crate::sabotage::off("hub-authkey-names") {
        return true;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

pub(super) fn oldest_expiry(
    connection: &Connection,
    table: &str,
) -> Result<Option<Wall>, StoreError> {
    let sql = format!("SELECT expires_at FROM {table} ORDER BY expires_at LIMIT 1");
    Ok(one(connection, &sql, [], schema::only_count)?.map(Wall::from_unix_seconds))
}

pub(super) fn sweep_expired(
    connection: &Connection,
    table: &str,
    now: Wall,
) -> Result<u64, StoreError> {
    let sql = format!("DELETE FROM {table} WHERE expires_at <= ?1");
    write(connection, "sweep what is expired", &sql, [integer(now.unix_seconds())])
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let yes = [
            ("*", "box"),
            ("office-*", "office-1"),
            ("office-*", "office-"),
            ("a*b*c", "aXbYbc"),
            ("box", "box"),
            ("*-nas", "x-nas"),
            ("a**", "a"),
        ];
        let no = [
            ("office-*", "xoffice-1"),
            ("office-*", "office"),
            ("box", "boxx"),
            ("box", "bo"),
            ("a*b*c", "acb"),
            ("ab*ba", "aba"),
            ("*-nas", "nas"),
            ("", "a"),
        ];
        for (pattern, name) in yes {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in no {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
