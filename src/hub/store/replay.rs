//! A database made of a backup, before it is put in place: what was deleted since is deleted again.

use super::hold::erase_noted;
use super::sqlite::{engine, many, one, write};
use super::{
    Device, Scope, StoreError, auth, dump, hold, keep, license, opening, rights, schema, sealing,
    ticket,
};
use crate::hub::keeping::journal::Entry;
use crate::hub::keeping::{Deletion, Keeping};
use crate::wire::privacy::Restrictable;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What was done to the rows of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Devices erased, or features of them.
    pub erased: u64,
    /// Devices erased because they have another key since.
    pub rekeyed: u64,
    /// Accounts deleted.
    pub accounts: u64,
    /// Auth keys revoked, and those for one device, of which nobody knows whether they were used since.
    pub auth_keys: u64,
    /// Devices whose next ticket is taken whatever it is.
    pub released: u64,
    /// Browsers signed out, invitations taken back, letters not sent again.
    pub sessions: u64,
}

/// What is of a past moment and must not come back with it: who was signed in, whom the hub trusted, whom it invited,
/// what it was about to send.
const MOMENTARY: [&str; 6] =
    ["address_change", "browser", "half_session", "trusted_browser", "invitation", "outbox"];

/// Carries out these entries of the journal, and takes back what must not come back by itself.
///
/// # Errors
/// The engine's; the database is of no use then.
fn replay(
    connection: &Connection,
    keeping: &Keeping,
    entries: &[Entry],
) -> Result<Replayed, StoreError> {
    let mut done = Replayed::default();
    if !crate::sabotage::off("hub-replay") {
        carry_out(connection, keeping, entries, &mut done)?;
    }
    let one_off = "DELETE FROM auth_key WHERE reusable = 0";
    done.auth_keys += write(connection, "drop keys for one device", one_off, [])?;
    for table in MOMENTARY {
        let sql = format!("DELETE FROM {table}");
        done.sessions += write(connection, "end what was going on", &sql, [])?;
    }
    // Leases were made since, of which nobody knows: a device takes none that counts below what it has given back.
    let sql = "UPDATE license SET seq = seq + 1000000";
    write(connection, "count leases beyond those", sql, [])?;
    let now = keeping.clock.now().wall;
    for device in devices(connection)? {
        ticket::release(connection, &device.id, true, now)?;
        done.released += 1;
    }
    if let Some(last) = entries.last() {
        keep::set_journaled(connection, last.number)?;
    }
    Ok(done)
}

fn devices(connection: &Connection) -> Result<Vec<Device>, StoreError> {
    let sql = format!("SELECT {} FROM device", schema::DEVICE);
    many(connection, &sql, [], schema::device)
}

fn carry_out(
    connection: &Connection,
    keeping: &Keeping,
    entries: &[Entry],
    done: &mut Replayed,
) -> Result<(), StoreError> {
    let (mut by_id, mut by_key) = (HashMap::new(), HashMap::new());
    for device in devices(connection)? {
        let of = Deletion::Device { id: &device.id, feature: "" };
        let key = digest(&SHA256, &device.spki);
        by_key.insert(keeping.id_of(Deletion::Key(key.as_ref())), device.clone());
        by_id.insert(keeping.id_of(of), device);
    }
    let sql = "SELECT number FROM account";
    let accounts = many(connection, sql, [], schema::only_count)?.into_iter();
    let accounts: HashMap<_, _> =
        accounts.map(|n| (keeping.id_of(Deletion::Account(n)), n)).collect();
    let auth_keys = auth::all(connection)?.into_iter().map(|row| row.id);
    let auth_keys: HashMap<_, _> =
        auth_keys.map(|id| (keeping.id_of(Deletion::AuthKey(&id)), id)).collect();
    let licenses = many(connection, "SELECT lid FROM license", [], schema::only_text)?.into_iter();
    let licenses: HashMap<_, _> =
        licenses.map(|lid| (keeping.id_of(Deletion::License(&lid)), lid)).collect();
    let holds = hold::all(connection)?.into_iter().map(|hold| hold.subject);
    let holds: HashMap<_, _> =
        holds.map(|hash| (keeping.id_of(Deletion::Hold(&hash)), hash)).collect();
    for Entry { kind, id, at, .. } in entries {
        if let (Some(scope), Some(device)) = (Scope::of(kind), by_id.get(id)) {
            erase_noted(connection, keeping, device, scope)?;
            done.erased += 1;
        } else if let ("key", Some(device)) = (kind.as_str(), by_key.get(id)) {
            erase_noted(connection, keeping, device, Scope::Registration)?;
            done.rekeyed += 1;
        } else if let ("authkey", Some(id)) = (kind.as_str(), auth_keys.get(id)) {
            done.auth_keys += u64::from(auth::revoke(connection, None, id)?);
        } else if let ("account", Some(number)) = (kind.as_str(), accounts.get(id)) {
            let sql = "DELETE FROM account WHERE number = ?1";
            let number = schema::integer(*number);
            license::void_account(connection, number, keeping.clock.now().wall)?;
            done.accounts += write(connection, "delete an account", sql, [number])?;
        } else if let ("void", Some(lid)) = (kind.as_str(), licenses.get(id)) {
            license::revoke_noted(connection, None, lid, *at)?;
        } else if let ("hold", Some(subject)) = (kind.as_str(), holds.get(id)) {
            hold::end(connection, None, subject)?;
        } else if let (Some(word), Some(device)) = (restriction(kind), by_id.get(id)) {
            // Of a device that was erased by an entry before there is nothing to restrict.
            match rights::restrict(connection, None, &device.id, word, *at) {
                Err(StoreError::NoDevice) => {}
                done => drop(done?),
            }
        }
    }
    Ok(())
}

/// What a person's word on a feature's data was.
fn restriction(kind: &str) -> Option<(Restrictable, bool)> {
    let (word, feature) = kind.split_once('-')?;
    Some((Restrictable::of(feature)?, word == "restrict"))
}

/// The devices that the journal says were erased after they were registered: deletions without effect.
///
/// # Errors
/// The engine's.
pub(super) fn without_effect(
    connection: &Connection,
    keeping: &Keeping,
    entries: &[Entry],
) -> Result<Vec<Device>, StoreError> {
    let mut latest = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == Scope::Registration.feature()) {
        latest.insert(entry.id.as_str(), entry.at);
    }
    let mut all = devices(connection)?;
    all.retain(|device| {
        let id = keeping.id_of(Deletion::Device { id: &device.id, feature: "" });
        latest.get(id.as_str()).is_some_and(|at| *at > device.made_at)
    });
    Ok(all)
}

/// Makes a database of a backup in a file that is not there yet, with everything deleted that was deleted since. How
/// many rows the backup had, and what was done to them. The file is on disk when this returns.
///
/// # Errors
/// [`StoreError`]; the file is of no use then.
pub fn build(
    path: &Path,
    keeping: &Keeping,
    schema: usize,
    from: &mut impl BufRead,
    entries: &[Entry],
) -> Result<(u64, Replayed), StoreError> {
    let failed = |e| engine("make a database of the backup", e);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|e| engine("make a file", e))?;
    let connection = Connection::open(path).map_err(failed)?;
    sealing::install(&connection, &keeping.seal)?;
    let rows = dump::read(&connection, schema, from)?;
    opening::prepare(&connection, &keeping.seal)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let done = replay(&connection, keeping, entries)?;
    connection.execute_batch("COMMIT").map_err(failed)?;
    // One file, with nothing beside it.
    connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
    let sound: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(failed)?;
    if sound != "ok" {
        return Err(StoreError::Corrupt { what: "page" });
    }
    connection.close().map_err(|(_, e)| failed(e))?;
    file.sync_all().map_err(|e| engine("have a file on disk", e))?;
    Ok((rows, done))
}

/// What a database that nobody serves knows of the journal; and with `to`, its rows into an archive.
///
/// # Errors
/// [`StoreError`], for a file that is no database as well.
pub fn take_leave(path: &Path, to: Option<&mut impl Write>) -> Result<Option<u64>, StoreError> {
    let failed = |e| engine("read the database that is to be replaced", e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let known = keep::journaled(&connection)?;
    if let Some(to) = to {
        connection.execute_batch("BEGIN").map_err(failed)?;
        dump::write(&connection, to)?;
        connection.execute_batch("COMMIT").map_err(failed)?;
    }
    connection.close().map_err(|(_, e)| failed(e))?;
    Ok(known)
}

/// The version of the tables of a database that nobody serves.
///
/// # Errors
/// [`StoreError`].
pub fn version(path: &Path) -> Result<usize, StoreError> {
    let failed = |e| engine("read the database that is to be replaced", e);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let sql = "SELECT value FROM meta WHERE key = 'schema'";
    let found = one(&connection.map_err(failed)?, sql, [], schema::only_count)?;
    found
        .and_then(|found| usize::try_from(found).ok())
        .ok_or(StoreError::Corrupt { what: "version" })
}
