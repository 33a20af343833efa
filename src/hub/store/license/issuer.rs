//! The keys that sign, on SQLite.

use super::{IssuerRow, seconds};
use crate::clock::Wall;
use crate::hub::store::sqlite::{many, write};
use crate::hub::store::{StoreError, schema};
use rusqlite::{Connection, Row, params};

fn read(row: &Row<'_>) -> Result<IssuerRow, StoreError> {
    let certificate: Option<Vec<u8>> = schema::column(row, 2)?;
    let certificate = certificate.map(String::from_utf8).transpose();
    Ok(IssuerRow {
        kid: schema::column(row, 0)?,
        key: schema::column(row, 1)?,
        certificate: certificate
            .map_err(|_| StoreError::Corrupt { what: "certificate of a license key" })?,
        expires_at: schema::wall(row, 3)?,
        made_at: schema::wall(row, 4)?,
    })
}

pub(super) fn add(connection: &Connection, row: &IssuerRow) -> Result<bool, StoreError> {
    let sql = "INSERT INTO license_issuer (kid, key, certificate, expires_at, made_at)
        VALUES (?1, sealed('license_issuer.key', ?2), ?3, ?4, ?5) ON CONFLICT (kid) DO NOTHING";
    let certificate = row.certificate.as_ref().map(|text| text.as_bytes());
    let (until, made_at) = (seconds(row.expires_at), seconds(row.made_at));
    let values = params![row.kid, row.key, certificate, until, made_at];
    Ok(write(connection, "note a license key", sql, values)? > 0)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<IssuerRow>, StoreError> {
    let sql = "SELECT kid, opened('license_issuer.key', key), certificate, expires_at, made_at
        FROM license_issuer ORDER BY made_at DESC, rowid DESC";
    many(connection, sql, [], read)
}

pub(super) fn certify(
    connection: &Connection,
    kid: &str,
    certificate: &str,
    until: Wall,
) -> Result<bool, StoreError> {
    let sql = "UPDATE license_issuer SET certificate = ?2, expires_at = ?3 WHERE kid = ?1";
    let values = params![kid, certificate.as_bytes(), seconds(until)];
    Ok(write(connection, "note a certificate", sql, values)? > 0)
}

pub(super) fn drop(connection: &Connection, kid: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM license_issuer WHERE kid = ?1";
    Ok(write(connection, "drop a license key", sql, [kid])? > 0)
}
