//! [`Store`] on one SQLite file.

use super::opening::prepare;
use super::worker::{Kind, Worker};
use super::{
    Addresses, Admitted, Answer, Decided, Device, Enrolled, Hash, Kept, Opened, Pending,
    Quarantined, Renamed, Scope, Staged, State, Store, StoreError, Visit, ZoneRow,
};
use super::{AuthKeyRow, auth, hold, keys, license, rights, schema, services, share, ticket};
use crate::clock::Wall;
use crate::hub::keeping::Keeping;
use crate::hub::seal::Seal;
use crate::wire::label::Label;
use crate::wire::link::Service;
use crate::wire::privacy::Restrictable;
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, Params, Row, params};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// The store in one file, with its write-ahead log beside it.
pub struct SqliteStore(pub(super) Worker, pub(super) Option<Arc<Keeping>>);

impl SqliteStore {
    /// Opens the file, making it and its tables when it is not there. What is personal in it is sealed.
    ///
    /// # Errors
    /// [`StoreError::Engine`] when it cannot be opened, [`StoreError::Schema`] when a newer version made it,
    /// [`StoreError::OtherKey`] when it was sealed with another key.
    pub fn open(path: &Path, seal: &Arc<Seal>) -> Result<Self, StoreError> {
        // SQLite gives its log the mode of the file, so that this decides for both.
        let mut file = OpenOptions::new();
        let file = file.create(true).truncate(false).write(true).mode(0o600).open(path);
        file.map_err(|e| engine("make its file", e))?;
        let connection = Connection::open(path).map_err(|e| engine("open its file", e))?;
        prepare(&connection, seal)?;
        let worker = Worker::start(connection).map_err(|e| engine("start its thread", e))?;
        Ok(Self(worker, None))
    }
}

/// Wraps what the engine says.
pub(super) fn engine(
    what: &'static str,
    source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Engine { what, source: source.into() }
}

pub(super) fn many<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| engine("prepare", e))?;
    let mut rows = statement.query(params).map_err(|e| engine("read", e))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(|e| engine("read", e))? {
        all.push(read(row)?);
    }
    Ok(all)
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    Ok(many(connection, sql, params, read)?.into_iter().next())
}

pub(super) fn write(
    connection: &Connection,
    what: &'static str,
    sql: &str,
    params: impl Params,
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(|e| engine(what, e))?;
    let rows = statement.execute(params).map_err(|e| engine(what, e))?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

pub(super) fn name_holder(
    connection: &Connection,
    name: &str,
) -> Result<Option<Device>, StoreError> {
    let sql = format!(
        "SELECT {} FROM device WHERE name_mark = marked('device.name', ?1)",
        schema::DEVICE
    );
    one(connection, &sql, [name], schema::device)
}

pub(super) fn open_code(
    connection: &Connection,
    row: &Pending,
    most: u64,
) -> Result<Opened, StoreError> {
    let count = |sql: &str, by: &str| one(connection, sql, [by], schema::only_count);
    let all = one(connection, "SELECT count(*) FROM pending", [], schema::only_count)?;
    if all >= Some(most) {
        return Ok(Opened::Full);
    }
    if count("SELECT count(*) FROM pending WHERE user_code = ?1", &row.user_code)? > Some(0) {
        return Ok(Opened::CodeTaken);
    }
    if name_holder(connection, row.name.as_str())?.is_some_and(|device| device.spki != row.spki) {
        return Ok(Opened::NameTaken);
    }
    let sql = "INSERT INTO pending
        (code_hash, user_code, name, name_mark, spki, challenge, state, made_at)
        VALUES (?1, ?2, sealed('pending.name', ?3), marked('pending.name', ?3), ?4, ?5, ?6, ?7)";
    let values = params![
        row.code_hash.as_slice(),
        row.user_code,
        row.name.as_str(),
        row.spki,
        row.challenge,
        schema::state_code(row.state),
        schema::integer(row.made_at.unix_seconds()),
    ];
    write(connection, "note a request", sql, values)?;
    Ok(Opened::Yes)
}

pub(super) fn decide(
    connection: &Connection,
    user_code: &str,
    approve: bool,
    since: Wall,
) -> Result<Decided, StoreError> {
    let sql = format!("SELECT {} FROM pending WHERE user_code = ?1", schema::PENDING);
    let found = one(connection, &sql, [user_code], schema::pending)?;
    let Some(row) = found.filter(|row| row.made_at >= since) else {
        return Ok(Decided::NoSuchCode);
    };
    let wanted = if approve { State::Approved } else { State::Denied };
    if row.state == wanted {
        return Ok(Decided::Yes);
    }
    if row.state != State::Open {
        return Ok(Decided::Already(row.state));
    }
    let promised = "SELECT count(*) FROM pending
        WHERE name_mark = marked('pending.name', ?1) AND state = ?2 AND spki <> ?3 AND made_at >= ?4";
    let approved = schema::state_code(State::Approved);
    let since = schema::integer(since.unix_seconds());
    let by = params![row.name.as_str(), approved, row.spki, since];
    let taken = name_holder(connection, row.name.as_str())?.is_some_and(|d| d.spki != row.spki)
        || one(connection, promised, by, schema::only_count)? > Some(0);
    if approve && taken {
        return Ok(Decided::NameTaken);
    }
    let sql = "UPDATE pending SET state = ?1 WHERE user_code = ?2";
    write(connection, "note a decision", sql, params![schema::state_code(wanted), user_code])?;
    Ok(Decided::Yes)
}

fn enrol(connection: &Connection, code: Hash, device: Device) -> Result<Enrolled, StoreError> {
    let sql = format!("SELECT {} FROM pending WHERE code_hash = ?1", schema::PENDING);
    let request = one(connection, &sql, [code.as_slice()], schema::pending)?;
    if request.is_none_or(|row| row.state != State::Approved || row.spki != device.spki) {
        return Ok(Enrolled::NotApproved);
    }
    let sql = format!("SELECT {} FROM device WHERE id = ?1", schema::DEVICE);
    let before = one(connection, &sql, [&device.id], schema::device)?;
    // A key that its device has given up does not get the device back.
    let given_up = before.as_ref().is_some_and(|row| row.spki != device.spki);
    if name_holder(connection, device.name.as_str())?.is_some_and(|d| d.spki != device.spki)
        || given_up
        || keys::is_anothers(connection, &device.id, &device.spki)?
    {
        return Ok(Enrolled::NameTaken);
    }
    if let Some(row) = &before
        && row.name == device.name
    {
        return Ok(Enrolled::Yes { device: row.clone(), before: None });
    }
    // Here and no earlier: an answer that was lost has used nothing up.
    let used = auth::consume(connection, code, &device)?;
    if matches!(used, auth::Used::Spent) {
        return Ok(Enrolled::KeySpent);
    }
    let sql = "INSERT INTO device (id, key_hash, name, name_mark, spki, made_at)
        VALUES (?1, ?2, sealed('device.name', ?3), marked('device.name', ?3), ?4, ?5)
        ON CONFLICT (id) DO UPDATE
        SET name = excluded.name, name_mark = excluded.name_mark, made_at = excluded.made_at";
    let key_hash = digest(&SHA256, &device.spki);
    let made_at = schema::integer(device.made_at.unix_seconds());
    let values = params![device.id, key_hash.as_ref(), device.name.as_str(), device.spki, made_at];
    write(connection, "enrol a device", sql, values)?;
    let sql = "UPDATE device SET account = (SELECT account FROM pending WHERE code_hash = ?1) WHERE id = ?2";
    write(connection, "note the owner", sql, params![code.as_slice(), device.id])?;
    share::close(connection, &device.id)?;
    auth::bind(connection, &device.id, &used)?;
    Ok(Enrolled::Yes { device, before: before.map(|row| row.name) })
}

pub(super) fn known(connection: &Connection, device: &str) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM device WHERE id = ?1";
    let count = one(connection, sql, [device], schema::only_count)?;
    if count == Some(1) { Ok(()) } else { Err(StoreError::NoDevice) }
}

fn set_addresses(
    connection: &Connection,
    device: &str,
    addresses: Addresses,
    now: Wall,
) -> Result<bool, StoreError> {
    known(connection, device)?;
    let sql = "INSERT INTO ddns (device, a, aaaa, made_at)
        VALUES (?1, sealed('ddns.a', ?2), sealed('ddns.aaaa', ?3), ?4)
        ON CONFLICT (device) DO UPDATE SET a = excluded.a, aaaa = excluded.aaaa, made_at = excluded.made_at
        WHERE opened('ddns.a', a) IS NOT opened('ddns.a', excluded.a)
        OR opened('ddns.aaaa', aaaa) IS NOT opened('ddns.aaaa', excluded.aaaa)";
    let a = addresses.a.map(|address| address.to_string());
    let aaaa = addresses.aaaa.map(|address| address.to_string());
    let values = params![device, a, aaaa, schema::integer(now.unix_seconds())];
    Ok(write(connection, "set addresses", sql, values)? > 0)
}

fn log_visit(connection: &Connection, visit: &Visit) -> Result<(), StoreError> {
    known(connection, &visit.device)?;
    let sql = "INSERT INTO link_log (device, masked, host, up, down, seconds, made_at)
        VALUES (?1, ?2, sealed('link_log.host', ?3), ?4, ?5, ?6, ?7)";
    let values = params![
        visit.device,
        visit.masked.to_string(),
        visit.host,
        schema::integer(visit.up),
        schema::integer(visit.down),
        schema::integer(visit.seconds),
        schema::integer(visit.made_at.unix_seconds()),
    ];
    write(connection, "log a visit", sql, values).map(drop)
}

pub(super) fn erase(
    connection: &Connection,
    device: &Device,
    scope: Scope,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut rows = BTreeMap::new();
    for &table in scope.tables() {
        let erased = if crate::sabotage::off("hub-erase") {
            1
        } else if table == "pending" {
            let sql = "DELETE FROM pending WHERE spki = ?1";
            write(connection, "erase requests", sql, [&device.spki])?
        } else if table == "restriction" && scope != Scope::Registration {
            let sql = "DELETE FROM restriction WHERE device = ?1 AND feature = ?2";
            write(connection, "erase a restriction", sql, [&device.id, scope.feature()])?
        } else {
            if table == "license_seat" {
                license::void_later(connection, &device.id)?;
            }
            let column = if table == "device" { "id" } else { "device" };
            let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
            write(connection, "erase a device", &sql, [&device.id])?
        };
        rows.insert(table.to_owned(), erased);
    }
    Ok(rows)
}

impl Store for SqliteStore {
    fn open_code(&self, row: Pending, most: u64) -> Answer<'_, Opened> {
        Box::pin(self.0.call(Kind::Write, move |c| open_code(c, &row, most)))
    }

    fn pending_by_code(&self, code_hash: Hash) -> Answer<'_, Option<Pending>> {
        let sql = format!("SELECT {} FROM pending WHERE code_hash = ?1", schema::PENDING);
        let read = move |c: &Connection| one(c, &sql, [code_hash.as_slice()], schema::pending);
        Box::pin(self.0.call(Kind::Read, read))
    }

    fn pending(&self) -> Answer<'_, Vec<Pending>> {
        let sql = format!("SELECT {} FROM pending ORDER BY made_at", schema::PENDING);
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [], schema::pending)))
    }

    fn decide(&self, user_code: String, approve: bool, since: Wall) -> Answer<'_, Decided> {
        Box::pin(self.0.call(Kind::Write, move |c| decide(c, &user_code, approve, since)))
    }

    fn enrol(&self, code_hash: Hash, device: Device) -> Answer<'_, Enrolled> {
        Box::pin(self.0.call(Kind::Write, move |c| enrol(c, code_hash, device)))
    }

    fn device_by_key(&self, key_hash: Hash) -> Answer<'_, Option<Device>> {
        Box::pin(self.0.call(Kind::Read, move |c| keys::device_by_key(c, key_hash)))
    }

    fn stage_key(&self, device: String, spki: Vec<u8>, now: Wall) -> Answer<'_, Staged> {
        // As an erasure: one that waited may go by it.
        Box::pin(self.0.call(Kind::Erase, move |c| keys::stage(c, &device, &spki, now)))
    }

    fn settle_key(&self, key_hash: Hash) -> Answer<'_, Option<Device>> {
        self.noted(move |c, keeping| keys::settle(c, keeping, key_hash))
    }

    fn devices(&self) -> Answer<'_, Vec<Device>> {
        let sql = format!("SELECT {} FROM device ORDER BY called", schema::DEVICE);
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [], schema::device)))
    }

    fn set_addresses(&self, device: String, addresses: Addresses, now: Wall) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| set_addresses(c, &device, addresses, now)))
    }

    fn zone(&self) -> Answer<'_, Vec<ZoneRow>> {
        // A restricted name is kept and does not answer, and that of two boxes neither.
        let sql = "SELECT opened('device.name', name), ddns.device IS NOT NULL,
            opened('ddns.a', a), opened('ddns.aaaa', aaaa)
            FROM device LEFT JOIN ddns ON ddns.device = device.id AND NOT EXISTS
            (SELECT 1 FROM restriction AS r WHERE r.device = device.id AND r.feature = 'ddns')
            AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.device = device.id)";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [], schema::zone_row)))
    }

    fn log_visit(&self, visit: Visit) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, move |c| log_visit(c, &visit)))
    }

    fn visits(&self, device: String) -> Answer<'_, Vec<Visit>> {
        let columns = schema::VISIT;
        let sql = format!("SELECT {columns} FROM link_log WHERE device = ?1 ORDER BY number");
        Box::pin(self.0.call(Kind::Read, move |c| many(c, &sql, [device], schema::visit)))
    }

    fn set_services(&self, device: String, all: Vec<Service>, now: Wall) -> Answer<'_, bool> {
        // As an erasure: what is not published any more is to be in no file.
        Box::pin(self.0.call(Kind::Erase, move |c| services::set(c, &device, &all, now)))
    }

    fn services(&self, device: String) -> Answer<'_, Vec<Service>> {
        Box::pin(self.0.call(Kind::Read, move |c| services::of(c, &device)))
    }

    fn erase(&self, device: Device, scope: Scope) -> Answer<'_, BTreeMap<String, u64>> {
        self.noted(move |c, keeping| hold::erase(c, keeping, &device, scope))
    }

    fn rename(&self, device: String, name: Label, since: Wall) -> Answer<'_, Renamed> {
        // As an erasure: the old name is to be in no file any more.
        Box::pin(self.0.call(Kind::Erase, move |c| rights::rename(c, &device, &name, since)))
    }

    fn restrict(
        &self,
        device: String,
        feature: Restrictable,
        on: bool,
        now: Wall,
    ) -> Answer<'_, Vec<Restrictable>> {
        self.noted(move |c, keeping| rights::restrict(c, keeping, &device, (feature, on), now))
    }

    fn restrictions(&self) -> Answer<'_, Vec<(String, Restrictable)>> {
        Box::pin(self.0.call(Kind::Read, rights::restrictions))
    }

    fn addresses(&self, device: String) -> Answer<'_, Option<Addresses>> {
        Box::pin(self.0.call(Kind::Read, move |c| rights::addresses(c, &device)))
    }

    fn admit(
        &self,
        device: String,
        shown: Option<Hash>,
        fresh: Hash,
        now: Wall,
    ) -> Answer<'_, Admitted> {
        let work = move |c: &Connection| ticket::admit(c, &device, shown, fresh, now);
        Box::pin(self.0.call(Kind::Write, work))
    }

    fn settle(&self, device: String, given: Hash, stored: bool) -> Answer<'_, ()> {
        let work = move |c: &Connection| ticket::settle(c, &device, given, stored);
        Box::pin(self.0.call(Kind::Write, work))
    }

    fn quarantined(&self) -> Answer<'_, Vec<Quarantined>> {
        Box::pin(self.0.call(Kind::Read, ticket::quarantined))
    }

    fn is_quarantined(&self, device: String) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Read, move |c| ticket::is_quarantined(c, &device)))
    }

    fn release(&self, device: String, anyway: bool, now: Wall) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| ticket::release(c, &device, anyway, now)))
    }

    fn rows(
        &self,
        device: Device,
        table: &'static str,
        after: u64,
        most: u64,
    ) -> Answer<'_, Vec<Kept>> {
        Box::pin(self.0.call(Kind::Read, move |c| rights::rows(c, &device, table, after, most)))
    }

    fn add_auth_key(&self, key: AuthKeyRow) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Write, move |c| auth::add(c, &key)))
    }

    fn auth_keys(&self) -> Answer<'_, Vec<AuthKeyRow>> {
        Box::pin(self.0.call(Kind::Read, auth::all))
    }

    fn auth_key(&self, id: String) -> Answer<'_, Option<AuthKeyRow>> {
        Box::pin(self.0.call(Kind::Read, move |c| auth::find(c, &id)))
    }

    fn came_by(&self, id: String, spki: Vec<u8>) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Read, move |c| auth::is_own(c, &id, &spki)))
    }

    fn revoke_auth_key(&self, id: String) -> Answer<'_, bool> {
        self.noted(move |c, keeping| auth::revoke(c, keeping, &id))
    }

    fn open_authorised(&self, row: Pending, key: String, most: u64) -> Answer<'_, Opened> {
        Box::pin(self.0.call(Kind::Write, move |c| auth::open(c, &row, &key, most)))
    }

    fn oldest_expiry(&self, table: &'static str) -> Answer<'_, Option<Wall>> {
        Box::pin(self.0.call(Kind::Read, move |c| auth::oldest_expiry(c, table)))
    }

    fn sweep_expired(&self, table: &'static str, now: Wall) -> Answer<'_, u64> {
        Box::pin(self.0.call(Kind::Erase, move |c| auth::sweep_expired(c, table, now)))
    }

    fn oldest(&self, table: &'static str) -> Answer<'_, Option<Wall>> {
        let sql = format!("SELECT made_at FROM {table} ORDER BY made_at LIMIT 1");
        let read = move |c: &Connection| one(c, &sql, [], schema::only_count);
        Box::pin(
            async move { Ok(self.0.call(Kind::Read, read).await?.map(Wall::from_unix_seconds)) },
        )
    }

    fn sweep(&self, table: &'static str, before: Wall) -> Answer<'_, u64> {
        let sql = format!("DELETE FROM {table} WHERE made_at < ?1");
        let before = schema::integer(before.unix_seconds());
        Box::pin(self.0.call(Kind::Erase, move |c| write(c, "sweep", &sql, [before])))
    }

    fn tables(&self) -> Answer<'_, Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
            ORDER BY name";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [], schema::only_text)))
    }
}
