//! Tickets and quarantine on SQLite.

use super::schema;
use super::sqlite::{known, many, one, write};
use super::{Admitted, Hash, Quarantined, StoreError};
use crate::clock::Wall;
use crate::hub::ticket::{Tickets, present, settle as settled};
use rusqlite::{Connection, params};

fn kept(connection: &Connection, device: &str) -> Result<Option<Tickets>, StoreError> {
    let sql = "SELECT current, previous, acked FROM ticket WHERE device = ?1";
    one(connection, sql, [device], schema::tickets)
}

fn keep(
    connection: &Connection,
    device: &str,
    tickets: &Tickets,
    now: Option<Wall>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO ticket (device, current, previous, acked, made_at)
        VALUES (?1, ?2, ?3, ?4, coalesce(?5, 0)) ON CONFLICT (device) DO UPDATE SET
        current = excluded.current, previous = excluded.previous, acked = excluded.acked,
        made_at = coalesce(?5, made_at)";
    let now = now.map(|now| schema::integer(now.unix_seconds()));
    let Tickets { current, previous, acked } = tickets;
    let values = params![device, current, previous, acked, now];
    write(connection, "keep a ticket", sql, values).map(drop)
}

pub(super) fn admit(
    connection: &Connection,
    device: &str,
    shown: Option<Hash>,
    fresh: Hash,
    now: Wall,
) -> Result<Admitted, StoreError> {
    known(connection, device)?;
    if is_quarantined(connection, device)? {
        return Ok(Admitted::Quarantined);
    }
    let kept = kept(connection, device)?;
    match present(kept, shown, fresh) {
        Ok(given) => {
            keep(connection, device, &given, Some(now))?;
            let released = kept.is_some_and(|kept| kept.current.is_none());
            Ok(if released { Admitted::Released } else { Admitted::Yes })
        }
        Err(fork) => {
            let sql = "INSERT INTO quarantine (device, why, made_at) VALUES (?1, ?2, ?3)";
            let values = params![device, fork.0, schema::integer(now.unix_seconds())];
            write(connection, "set a device aside", sql, values)?;
            Ok(Admitted::Forked(fork))
        }
    }
}

pub(super) fn settle(
    connection: &Connection,
    device: &str,
    given: Hash,
    stored: bool,
) -> Result<(), StoreError> {
    let Some(before) = kept(connection, device)? else { return Ok(()) };
    match settled(before, given, stored) {
        Some(after) if after == before => Ok(()),
        Some(after) => keep(connection, device, &after, None),
        None => {
            let sql = "DELETE FROM ticket WHERE device = ?1";
            write(connection, "drop a ticket", sql, [device]).map(drop)
        }
    }
}

pub(super) fn quarantined(connection: &Connection) -> Result<Vec<Quarantined>, StoreError> {
    let sql = "SELECT device, why, made_at FROM quarantine ORDER BY device";
    many(connection, sql, [], schema::quarantined)
}

pub(super) fn is_quarantined(connection: &Connection, device: &str) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM quarantine WHERE device = ?1";
    Ok(one(connection, sql, [device], schema::only_count)? > Some(0))
}

pub(super) fn release(
    connection: &Connection,
    device: &str,
    anyway: bool,
    now: Wall,
) -> Result<bool, StoreError> {
    known(connection, device)?;
    let sql = "DELETE FROM quarantine WHERE device = ?1";
    let lifted = write(connection, "release a device", sql, [device])? > 0;
    if lifted || anyway {
        let any = Tickets { current: None, previous: None, acked: false };
        keep(connection, device, &any, Some(now))?;
    }
    Ok(lifted)
}
