//! Seats, on SQLite: who sits down, who gets up.

use super::{Freed, LicenseRow, Right, SeatRow, Take, Taken, log, seconds, sold};
use crate::clock::Wall;
use crate::hub::store::sqlite::{engine, many, one, write};
use crate::hub::store::{StoreError, schema};
use crate::wire::license::{Binding, Model};
use core::time::Duration;
use rusqlite::{Connection, Row, params};

const SEAT: &str = "SELECT lid, device, seat, opened('license_seat.bind', bind),
    opened('license_seat.ip', ip), seq, offline, ends_at, made_at FROM license_seat";
/// The most leases that a hub which was restored may be behind.
const MOST_AHEAD: i64 = 1_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn read(row: &Row<'_>) -> Result<SeatRow, StoreError> {
    let bind: String = schema::column(row, 3)?;
    Ok(SeatRow {
        lid: schema::column(row, 0)?,
        device: schema::column(row, 1)?,
        seat: number(row)?,
        bind: serde_json::from_str(&bind)
            .map_err(|_| StoreError::Corrupt { what: "binding of a lease" })?,
        ip: schema::masked(row, 4)?,
        seq: schema::count(row, 5)?,
        offline: schema::column(row, 6)?,
        ends_at: schema::wall(row, 7)?,
        made_at: schema::wall(row, 8)?,
    })
}

/// The number of a seat, which stands third in a row of seats.
fn number(row: &Row<'_>) -> Result<u32, StoreError> {
    narrow(schema::count(row, 2)?)
}

fn narrow(number: u64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt { what: "number of a seat" })
}

/// A seat that is taken: its number, until when, and whether its lease was carried somewhere by hand.
type Occupied = (u32, Wall, bool);

fn occupied(row: &Row<'_>) -> Result<Occupied, StoreError> {
    Ok((narrow(schema::count(row, 0)?)?, schema::wall(row, 1)?, schema::column(row, 2)?))
}

fn all_occupied(
    connection: &Connection,
    lid: &str,
    now: Wall,
) -> Result<Vec<Occupied>, StoreError> {
    let sql = "SELECT seat, max(ends_at), max(offline) FROM
        (SELECT seat, ends_at, offline FROM license_seat WHERE lid = ?1
        UNION ALL SELECT seat, expires_at, 0 FROM license_taken WHERE lid = ?1)
        WHERE ends_at > ?2 GROUP BY seat ORDER BY seat";
    many(connection, sql, params![lid, seconds(now)], occupied)
}

fn own(
    connection: &Connection,
    lid: &str,
    device: &str,
    now: Wall,
) -> Result<Option<SeatRow>, StoreError> {
    let sql = format!("{SEAT} WHERE lid = ?1 AND device = ?2 AND ends_at > ?3");
    one(connection, &sql, params![lid, device, seconds(now)], read)
}

/// Whether what somebody comes with opens this license.
fn may(license: &LicenseRow, take: &Take, sits: bool) -> bool {
    match take.by {
        Right::Seat => sits,
        Right::Owner => license.account.is_some() && license.account == take.owner,
        Right::Key | Right::Operator => true,
    }
}

/// The lowest number that is free.
fn free_number(seats: u32, occupied: &[Occupied]) -> Option<u32> {
    if crate::sabotage::off("license-seats") {
        return Some(1);
    }
    (1..=seats).find(|number| occupied.iter().all(|(taken, ..)| taken != number))
}

pub(super) fn take(connection: &Connection, take: &Take, now: Wall) -> Result<Taken, StoreError> {
    let Some(license) = sold::find(connection, &take.lid)? else { return Ok(Taken::NotYours) };
    let mine = own(connection, &take.lid, &take.device, now)?;
    let terms = &license.terms;
    if !may(&license, take, mine.is_some()) && !crate::sabotage::off("license-own") {
        return Ok(Taken::NotYours);
    }
    if license.void.is_some() {
        return Ok(Taken::Void);
    }
    if !license.is_good(now) {
        return Ok(Taken::Ended);
    }
    if take.offline && !terms.offline {
        return Ok(Taken::OnlineOnly);
    }
    if terms.model == Model::User && take.owner.is_none() {
        return Ok(Taken::NoOwner);
    }
    let occupied = all_occupied(connection, &take.lid, now)?;
    let beside = beside(connection, &license, take, now)?;
    let number = mine.as_ref().map(|seat| seat.seat).or(beside);
    let Some(seat) = number.or_else(|| free_number(license.terms.seats, &occupied)) else {
        let until = occupied.iter().map(|(_, until, _)| *until).min().unwrap_or(now);
        return Ok(Taken::Full { until, offline: occupied.iter().any(|(.., by_hand)| *by_hand) });
    };
    let take = known(take, mine);
    sit(connection, &license, &take, seat, now).map(Taken::Yes)
}

/// A device that renews says nothing of its box: what it said when it sat down still holds, but for its key.
fn known(take: &Take, mine: Option<SeatRow>) -> Take {
    let mut take = take.clone();
    if let (Right::Seat, Some(mine)) = (take.by, mine) {
        let device = core::mem::take(&mut take.bind.device);
        (take.bind, take.ip) = (Binding { device, ..mine.bind }, mine.ip);
    }
    take
}

/// The seat of the same person's other devices.
fn beside(
    connection: &Connection,
    license: &LicenseRow,
    take: &Take,
    now: Wall,
) -> Result<Option<u32>, StoreError> {
    let Some(owner) = take.owner.filter(|_| license.terms.model == Model::User) else {
        return Ok(None);
    };
    let sql = "SELECT seat FROM license_seat WHERE lid = ?1 AND owner = ?2 AND ends_at > ?3";
    let values = params![take.lid, schema::integer(owner), seconds(now)];
    one(connection, sql, values, schema::only_count)?.map(narrow).transpose()
}

fn sit(
    connection: &Connection,
    license: &LicenseRow,
    take: &Take,
    seat: u32,
    now: Wall,
) -> Result<SeatRow, StoreError> {
    // A hub that was restored knows of fewer leases than its devices do; none of them uses up the numbers.
    let sql = "UPDATE license SET seq = max(seq, min(?2, seq + ?3)) + 1 WHERE lid = ?1";
    let values = params![take.lid, schema::integer(take.seq), MOST_AHEAD];
    write(connection, "count a lease", sql, values)?;
    let sql = "SELECT seq FROM license WHERE lid = ?1";
    let seq = one(connection, sql, [&take.lid], schema::only_count)?.unwrap_or_default();
    let terms = &license.terms;
    let days = u32::try_from(terms.lease_days.saturating_add(terms.grace_days)).unwrap_or(u32::MAX);
    let ends_at = Wall(now.0.saturating_add(DAY.saturating_mul(days)));
    let sql = "INSERT INTO license_seat
        (lid, device, seat, bind, ip, owner, seq, offline, ends_at, made_at)
        VALUES (?1, ?2, ?3, sealed('license_seat.bind', ?4), sealed('license_seat.ip', ?5), ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (lid, device) DO UPDATE SET seat = excluded.seat, bind = excluded.bind, ip = excluded.ip,
        owner = excluded.owner, seq = excluded.seq, offline = excluded.offline,
        ends_at = excluded.ends_at, made_at = excluded.made_at";
    let Take { lid, device, bind, ip, offline, .. } = take.clone();
    let written = serde_json::to_string(&bind).map_err(|e| engine("write a binding down", e))?;
    let values = params![
        lid,
        device,
        seat,
        written,
        ip.map(|ip| ip.to_string()),
        take.owner.map(schema::integer),
        schema::integer(seq),
        offline,
        seconds(ends_at),
        seconds(now),
    ];
    write(connection, "take a seat", sql, values)?;
    if take.by != Right::Seat {
        log(connection, &lid, if offline { "activated_by_file" } else { "activated" }, now)?;
    }
    Ok(SeatRow { lid, device, seat, bind, ip, seq, offline, ends_at, made_at: now })
}

pub(super) fn free(
    connection: &Connection,
    lid: &str,
    device: &str,
    seq: u64,
    now: Wall,
) -> Result<Freed, StoreError> {
    let Some(row) = own(connection, lid, device, now)? else { return Ok(Freed::Already) };
    if seq < row.seq {
        return Ok(Freed::Later);
    }
    let sql = "DELETE FROM license_seat WHERE lid = ?1 AND device = ?2";
    write(connection, "free a seat", sql, [lid, device])?;
    log(connection, lid, "released", now)?;
    Ok(Freed::Yes)
}

pub(super) fn clear(
    connection: &Connection,
    lid: &str,
    seat: u32,
    now: Wall,
) -> Result<bool, StoreError> {
    let mut gone = 0;
    for table in ["license_seat", "license_taken"] {
        let sql = format!("DELETE FROM {table} WHERE lid = ?1 AND seat = ?2");
        gone += write(connection, "clear a seat", &sql, params![lid, seat])?;
    }
    if gone > 0 {
        log(connection, lid, "cleared", now)?;
    }
    Ok(gone > 0)
}

pub(super) fn of_license(
    connection: &Connection,
    lid: &str,
    now: Wall,
) -> Result<Vec<SeatRow>, StoreError> {
    let sql = format!("{SEAT} WHERE lid = ?1 AND ends_at > ?2 ORDER BY seat, device");
    many(connection, &sql, params![lid, seconds(now)], read)
}

pub(super) fn of_device(
    connection: &Connection,
    device: &str,
    now: Wall,
) -> Result<Vec<SeatRow>, StoreError> {
    let sql = format!("{SEAT} WHERE device = ?1 AND ends_at > ?2 ORDER BY lid");
    many(connection, &sql, params![device, seconds(now)], read)
}

pub(super) fn blocked(
    connection: &Connection,
    lid: &str,
    now: Wall,
) -> Result<Vec<(u32, Wall)>, StoreError> {
    let read = |row: &Row<'_>| Ok((narrow(schema::count(row, 0)?)?, schema::wall(row, 1)?));
    let sql = "SELECT seat, max(expires_at) FROM license_taken WHERE lid = ?1 AND expires_at > ?2
        GROUP BY seat ORDER BY seat";
    many(connection, sql, params![lid, seconds(now)], read)
}

/// Whether anybody sits anywhere.
pub(super) fn is_used(connection: &Connection, lid: &str, now: Wall) -> Result<bool, StoreError> {
    Ok(!all_occupied(connection, lid, now)?.is_empty())
}

/// Frees every seat that a device has by a lease it fetched itself, when it says that it destroys them. What was carried
/// to it by hand needs its receipt.
pub(super) fn free_all(
    connection: &Connection,
    device: &str,
    now: Wall,
) -> Result<u64, StoreError> {
    let mut freed = 0;
    for row in of_device(connection, device, now)?.iter().filter(|row| !row.offline) {
        freed += u64::from(free(connection, &row.lid, device, row.seq, now)? == Freed::Yes);
    }
    Ok(freed)
}
