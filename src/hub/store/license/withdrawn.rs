//! Keys of hubs that their issuer has withdrawn, on SQLite.

use super::{WithdrawnRow, seconds};
use crate::clock::Wall;
use crate::hub::store::sqlite::{many, write};
use crate::hub::store::{StoreError, schema};
use core::time::Duration;
use rusqlite::{Connection, Row, params};

/// How long a row is kept: longer than the longest certificate (730 days) with the longest lease and grace after it
/// (44 days). Whatever the key signs is over by then.
pub const WITHDRAWN_KEPT: Duration = Duration::from_secs(800 * 24 * 3600);

fn read(row: &Row<'_>) -> Result<WithdrawnRow, StoreError> {
    let document: Vec<u8> = schema::column(row, 1)?;
    let corrupt = |_| StoreError::Corrupt { what: "withdrawal of a license key" };
    Ok(WithdrawnRow {
        kid: schema::column(row, 0)?,
        document: String::from_utf8(document).map_err(corrupt)?,
    })
}

pub(super) fn add(
    connection: &Connection,
    kids: &[String],
    document: &str,
    now: Wall,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO license_withdrawn (kid, document, expires_at, made_at)
        VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (kid) DO UPDATE SET document = excluded.document, expires_at = excluded.expires_at";
    let until = Wall(now.0.saturating_add(WITHDRAWN_KEPT));
    for kid in kids {
        let values = params![kid, document.as_bytes(), seconds(until), seconds(now)];
        write(connection, "note a withdrawn key", sql, values)?;
    }
    Ok(())
}

pub(super) fn all(connection: &Connection) -> Result<Vec<WithdrawnRow>, StoreError> {
    let sql = "SELECT kid, document FROM license_withdrawn ORDER BY made_at, kid";
    many(connection, sql, [], read)
}
