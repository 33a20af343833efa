//! What devices publish, on SQLite.

use super::StoreError;
use super::schema;
use super::sqlite::{known, many, write};
use crate::clock::Wall;
use crate::wire::link::Service;
use rusqlite::{Connection, params};

pub(super) fn set(
    connection: &Connection,
    device: &str,
    services: &[Service],
    now: Wall,
) -> Result<bool, StoreError> {
    known(connection, device)?;
    let mut changed = 0;
    for before in of(connection, device)? {
        if !services.iter().any(|service| service.name == before.name) {
            let sql = "DELETE FROM service
                WHERE device = ?1 AND name_mark = marked('service.name', ?1 || ' ' || ?2)";
            changed += write(connection, "drop a service", sql, [device, before.name.as_str()])?;
        }
    }
    // The mark is of the device too: it does not tell who else publishes something of this name.
    let sql = "INSERT INTO service (device, name_mark, name, host, port, scheme, made_at)
        VALUES (?1, marked('service.name', ?1 || ' ' || ?2), sealed('service.name', ?2),
        sealed('service.host', ?3), sealed('service.port', ?4), ?5, ?6)
        ON CONFLICT (device, name_mark) DO UPDATE
        SET host = excluded.host, port = excluded.port, scheme = excluded.scheme, made_at = excluded.made_at
        WHERE opened('service.host', host) <> opened('service.host', excluded.host)
        OR opened('service.port', port) <> opened('service.port', excluded.port)
        OR scheme <> excluded.scheme";
    let made_at = schema::integer(now.unix_seconds());
    for Service { name, host, port, scheme } in services {
        let values = params![device, name.as_str(), host, port, scheme.word(), made_at];
        changed += write(connection, "note a service", sql, values)?;
    }
    Ok(changed > 0)
}

pub(super) fn of(connection: &Connection, device: &str) -> Result<Vec<Service>, StoreError> {
    let sql = "SELECT opened('service.name', name), opened('service.host', host),
        CAST(opened('service.port', port) AS INTEGER), scheme
        FROM service WHERE device = ?1 ORDER BY 1";
    many(connection, sql, [device], schema::service)
}
