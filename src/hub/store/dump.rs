//! All rows as lines of JSON, and back: what a backup holds.

use super::sqlite::{engine, many};
use super::{StoreError, schema};
use data_encoding::BASE64;
use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, Write};

/// The name of the one column of `sqlite_sequence` by which numbers of accounts are never used again.
const SEQUENCE: &str = "sqlite_sequence";

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The rows of this table follow.
    Table { name: String, columns: Vec<String> },
    /// A row.
    Row(Vec<Value>),
    /// That was all: so many rows.
    End(u64),
}

fn lost(source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> StoreError {
    engine("be copied", source)
}

/// Writes the rows of all tables but `meta`, as of one moment: the caller is in a transaction. How many.
pub fn write(connection: &Connection, to: &mut impl Write) -> Result<u64, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'
        AND (name NOT LIKE 'sqlite_%' OR name = ?1) ORDER BY rowid";
    let mut total = 0_u64;
    for table in many(connection, sql, [SEQUENCE], schema::only_text)? {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).map_err(lost)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let width = columns.len();
        put(to, &Line::Table { name: table, columns })?;
        let mut rows = statement.query([]).map_err(lost)?;
        while let Some(row) = rows.next().map_err(lost)? {
            let values = (0..width).map(|at| value(row.get_ref(at).map_err(lost)?));
            put(to, &Line::Row(values.collect::<Result<_, _>>()?))?;
            total = total.saturating_add(1);
        }
    }
    put(to, &Line::End(total))?;
    Ok(total)
}

fn put(to: &mut impl Write, line: &Line) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *to, line).map_err(lost)?;
    to.write_all(b"\n").map_err(lost)
}

fn value(value: ValueRef<'_>) -> Result<Value, StoreError> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(number.into()),
        ValueRef::Text(text) => Ok(core::str::from_utf8(text).map_err(lost)?.into()),
        ValueRef::Blob(bytes) => Ok(json!({"blob": BASE64.encode(bytes)})),
        ValueRef::Real(_) => Err(StoreError::Corrupt { what: "fraction" }),
    }
}

fn sql(value: Value) -> Result<Sql, StoreError> {
    const BAD: StoreError = StoreError::Corrupt { what: "value of a backup" };
    match value {
        Value::Null => Ok(Sql::Null),
        Value::Number(number) => number.as_i64().map(Sql::Integer).ok_or(BAD),
        Value::String(text) => Ok(Sql::Text(text)),
        Value::Object(object) => {
            let text = object.get("blob").and_then(Value::as_str).ok_or(BAD)?;
            BASE64.decode(text.as_bytes()).map(Sql::Blob).map_err(|_| BAD)
        }
        Value::Bool(_) | Value::Array(_) => Err(BAD),
    }
}

/// Makes the tables of a version of the schema in an empty database and reads the rows into them. How many.
///
/// # Errors
/// [`StoreError::Schema`] for a newer version, [`StoreError::Corrupt`] and [`StoreError::Engine`] for rows that do
/// not fit; the database is of no use then.
pub fn read(
    connection: &Connection,
    version: usize,
    from: &mut impl BufRead,
) -> Result<u64, StoreError> {
    let integer = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let newer = StoreError::Schema { found: integer(version), known: integer(schema::STEPS.len()) };
    let steps = schema::STEPS.get(..version).ok_or(newer)?;
    connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE").map_err(lost)?;
    for step in steps {
        connection.execute_batch(step).map_err(lost)?;
    }
    let note = "INSERT INTO meta (key, value) VALUES ('schema', ?1)";
    connection.execute(note, [integer(version)]).map_err(lost)?;
    let total = rows(connection, from)?;
    let orphans: i64 = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .map_err(lost)?;
    if orphans != 0 {
        return Err(StoreError::Corrupt { what: "row without its owner" });
    }
    connection.execute_batch("COMMIT; PRAGMA foreign_keys = ON").map_err(lost)?;
    Ok(total)
}

fn rows(connection: &Connection, from: &mut impl BufRead) -> Result<u64, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "line of a backup" };
    let (mut insert, mut total) = (None, 0_u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        from.read_until(b'\n', &mut line).map_err(lost)?;
        match serde_json::from_slice(&line).map_err(lost)? {
            Line::Table { name, columns } => {
                let names = [&name].into_iter().chain(&columns);
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                if !names.into_iter().all(|name| !name.is_empty() && name.bytes().all(plain)) {
                    return Err(corrupt());
                }
                if name == SEQUENCE {
                    connection.execute_batch("DELETE FROM sqlite_sequence").map_err(lost)?;
                }
                let places = vec!["?"; columns.len()].join(",");
                let columns = columns.join(",");
                insert = Some(format!("INSERT INTO {name} ({columns}) VALUES ({places})"));
            }
            Line::Row(values) => {
                let insert = insert.as_ref().ok_or_else(corrupt)?;
                let values: Vec<Sql> = values.into_iter().map(sql).collect::<Result<_, _>>()?;
                let mut statement = connection.prepare_cached(insert).map_err(lost)?;
                statement.execute(params_from_iter(values)).map_err(lost)?;
                total = total.saturating_add(1);
            }
            Line::End(count) if count == total => break,
            Line::End(_) => return Err(corrupt()),
        }
    }
    // What comes after the end is not of this hub's making; the reader verifies the last piece by this too.
    line.clear();
    match from.read_until(b'\n', &mut line).map_err(lost)? {
        0 => Ok(total),
        _ => Err(corrupt()),
    }
}
