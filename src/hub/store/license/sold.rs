//! Licenses and their keys, on SQLite.

use super::catalog::{terms, written};
use super::{Cell, ENDED_KEPT, LicenseRow, Moved, Transaction, Whose, log, seat, seconds};
use crate::clock::Wall;
use crate::hub::store::sqlite::{many, one, write};
use crate::hub::store::{Hash, StoreError, schema};
use core::time::Duration;
use rusqlite::{Connection, Row, params};

const LICENSE: &str =
    "SELECT l.lid, l.product, l.policy, l.account, l.terms, l.starts_at, l.ends_at,
    l.made_at, v.epoch FROM license AS l LEFT JOIN license_void AS v ON v.lid = l.lid";

fn read(row: &Row<'_>) -> Result<LicenseRow, StoreError> {
    let number = |at| -> Result<Option<u64>, StoreError> {
        let number: Option<i64> = schema::column(row, at)?;
        let read = number.map(u64::try_from).transpose();
        read.map_err(|_| StoreError::Corrupt { what: "number of a license" })
    };
    Ok(LicenseRow {
        lid: schema::column(row, 0)?,
        product: schema::column(row, 1)?,
        policy: schema::column(row, 2)?,
        account: number(3)?,
        terms: terms(row, 4)?,
        starts_at: schema::wall(row, 5)?,
        ends_at: number(6)?.map(Wall::from_unix_seconds),
        made_at: schema::wall(row, 7)?,
        void: number(8)?,
    })
}

/// When the row of a license goes that ends.
fn row_end(ends_at: Option<Wall>) -> Option<i64> {
    ends_at.map(|end| seconds(Wall(end.0.saturating_add(ENDED_KEPT))))
}

pub(super) fn issue(connection: &Connection, row: &LicenseRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO license
        (lid, product, policy, account, terms, seq, noticed, starts_at, ends_at, expires_at, made_at)
        VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7, ?8, ?9)";
    let values = params![
        row.lid,
        row.product,
        row.policy,
        row.account.map(schema::integer),
        written(&row.terms)?,
        seconds(row.starts_at),
        row.ends_at.map(seconds),
        row_end(row.ends_at),
        seconds(row.made_at),
    ];
    write(connection, "issue a license", sql, values)?;
    log(connection, &row.lid, "issued", row.made_at)
}

pub(super) fn all(connection: &Connection, whose: Whose) -> Result<Vec<LicenseRow>, StoreError> {
    let account = match whose {
        Whose::All => None,
        Whose::Account(number) => Some(schema::integer(number)),
    };
    let sql = format!("{LICENSE} WHERE ?1 IS NULL OR l.account = ?1 ORDER BY l.made_at, l.rowid");
    many(connection, &sql, [account], read)
}

pub(super) fn find(connection: &Connection, lid: &str) -> Result<Option<LicenseRow>, StoreError> {
    one(connection, &format!("{LICENSE} WHERE l.lid = ?1"), [lid], read)
}

pub(super) fn prolong(
    connection: &Connection,
    lid: &str,
    ends_at: Wall,
    now: Wall,
) -> Result<bool, StoreError> {
    if find(connection, lid)?.is_none_or(|row| row.void.is_some()) {
        return Ok(false);
    }
    let sql = "UPDATE license SET ends_at = ?2, expires_at = ?3, noticed = 0 WHERE lid = ?1";
    let values = params![lid, seconds(ends_at), row_end(Some(ends_at))];
    write(connection, "prolong a license", sql, values)?;
    log(connection, lid, "prolonged", now)?;
    Ok(true)
}

pub(super) fn set_key(
    connection: &Connection,
    lid: &str,
    key: &Hash,
    gives: bool,
    now: Wall,
) -> Result<bool, StoreError> {
    if find(connection, lid)?.is_none_or(|row| row.void.is_some()) {
        return Ok(false);
    }
    let sql = "DELETE FROM license_key WHERE lid = ?1";
    write(connection, "drop a product key", sql, [lid])?;
    let sql = "INSERT INTO license_key (hash, lid, gives, made_at) VALUES (?1, ?2, ?3, ?4)";
    let values = params![key.as_slice(), lid, gives, seconds(now)];
    write(connection, "note a product key", sql, values)?;
    log(connection, lid, "key", now)?;
    Ok(true)
}

pub(super) fn of_key(
    connection: &Connection,
    key: &Hash,
) -> Result<Option<LicenseRow>, StoreError> {
    let sql = format!("{LICENSE} JOIN license_key AS k ON k.lid = l.lid WHERE k.hash = ?1");
    one(connection, &sql, [key.as_slice()], read)
}

pub(super) fn claim(
    connection: &Connection,
    key: &Hash,
    account: u64,
    now: Wall,
) -> Result<Option<String>, StoreError> {
    let Some(row) = of_key(connection, key)?.filter(|row| row.void.is_none()) else {
        return Ok(None);
    };
    if row.account == Some(account) {
        return Ok(Some(row.lid));
    }
    let sql = "SELECT gives FROM license_key WHERE hash = ?1";
    let gives = one(connection, sql, [key.as_slice()], schema::only_count)? == Some(1);
    let is_free = gives && !seat::is_used(connection, &row.lid, now)?;
    if row.account.is_some() && !is_free {
        return Ok(None);
    }
    let sql = "UPDATE license SET account = ?2 WHERE lid = ?1";
    write(connection, "claim a license", sql, params![row.lid, schema::integer(account)])?;
    if gives {
        let sql = "DELETE FROM license_key WHERE hash = ?1";
        write(connection, "use a product key up", sql, [key.as_slice()])?;
    }
    log(connection, &row.lid, "claimed", now)?;
    Ok(Some(row.lid))
}

pub(super) fn give(
    connection: &Connection,
    lid: &str,
    of: Option<u64>,
    to: Option<u64>,
    now: Wall,
) -> Result<Moved, StoreError> {
    let Some(row) = find(connection, lid)?.filter(|row| of.is_none() || row.account == of) else {
        return Ok(Moved::NotYours);
    };
    if !row.terms.transferable {
        return Ok(Moved::Fixed);
    }
    if !row.is_good(now) {
        return Ok(Moved::Over);
    }
    if seat::is_used(connection, lid, now)? && !crate::sabotage::off("license-move") {
        return Ok(Moved::InUse);
    }
    let sql = "UPDATE license SET account = ?2 WHERE lid = ?1";
    write(connection, "move a license", sql, params![lid, to.map(schema::integer)])?;
    // Whoever has the key of before would still open it.
    write(connection, "drop a key", "DELETE FROM license_key WHERE lid = ?1", [lid])?;
    log(connection, lid, "transferred", now)?;
    Ok(Moved::Yes)
}

pub(super) fn transactions(
    connection: &Connection,
    lid: &str,
) -> Result<Vec<Transaction>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Transaction { what: schema::column(row, 0)?, made_at: schema::wall(row, 1)? })
    };
    let sql = "SELECT what, made_at FROM license_log WHERE lid = ?1 ORDER BY number";
    many(connection, sql, [lid], read)
}

pub(super) fn ending(
    connection: &Connection,
    days: u64,
    now: Wall,
) -> Result<Vec<LicenseRow>, StoreError> {
    let within = Duration::from_secs(days.saturating_mul(24 * 3600));
    let by = Wall(now.0.saturating_add(within));
    let sql = format!(
        "{LICENSE} WHERE l.account IS NOT NULL AND v.epoch IS NULL AND l.ends_at > ?1 AND l.ends_at <= ?2
        AND (l.noticed = 0 OR l.noticed > ?3) ORDER BY l.ends_at"
    );
    many(connection, &sql, params![seconds(now), seconds(by), schema::integer(days)], read)
}

pub(super) fn has_any(connection: &Connection, now: Wall) -> Result<bool, StoreError> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM license AS l LEFT JOIN license_void AS v ON v.lid = l.lid
        WHERE v.lid IS NULL AND (l.ends_at IS NULL OR l.ends_at > ?1))";
    Ok(one(connection, sql, [seconds(now)], schema::only_count)? == Some(1))
}

pub(super) fn noticed(connection: &Connection, lid: &str, days: u64) -> Result<(), StoreError> {
    let sql = "UPDATE license SET noticed = ?2 WHERE lid = ?1";
    write(connection, "note a notice", sql, params![lid, schema::integer(days)]).map(drop)
}

pub(super) fn count(connection: &Connection, now: Wall) -> Result<Vec<Cell>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(Cell {
            product: schema::column(row, 0)?,
            policy: schema::column(row, 1)?,
            good: schema::count(row, 2)?,
            ended: schema::count(row, 3)?,
            taken: schema::count(row, 4)?,
        })
    };
    let sql = "SELECT l.product, l.policy,
        count(*) FILTER (WHERE v.lid IS NULL AND (l.ends_at IS NULL OR l.ends_at > ?1)),
        count(*) FILTER (WHERE v.lid IS NOT NULL OR l.ends_at <= ?1),
        coalesce(sum((SELECT count(*) FROM license_seat AS s WHERE s.lid = l.lid AND s.ends_at > ?1)), 0)
        FROM license AS l LEFT JOIN license_void AS v ON v.lid = l.lid
        GROUP BY l.product, l.policy ORDER BY l.product, l.policy";
    many(connection, sql, [seconds(now)], read)
}
