//! Everything kept of a person, as one document (promise Q8).
//!
//! The format, `qcloud-account-export` 1: `tables` has every table with rows of accounts, `devices` one entry for each
//! device with every table of devices. A row is `{"until": …, "data": {column: value}}`: `until` says when it goes by
//! itself, or is null. Sealed values are opened; times are RFC 3339; of secrets stands there what they are. Keys are
//! added, never renamed.

use super::kept;
use super::people::profile::FIELDS;
use super::people::{PeopleError, Person};
use super::speech::Language;
use super::state::Hub;
use super::store::account::{TABLES, Table};
use super::store::{Device, Kept, Scope};
use super::sweep::{RULES, Rule};
use crate::clock::Wall;
use core::time::Duration;
use serde_json::{Value, json};

/// Rows read at once.
const ROWS: u64 = 500;
/// Columns of times.
const TIMES: [&str; 3] = ["made_at", "locked_at", "expires_at"];

/// Everything kept of a person and of their devices.
///
/// # Errors
/// The store's.
pub async fn everything(hub: &Hub, person: &Person) -> Result<Value, PeopleError> {
    let mut tables = Vec::new();
    let all = !crate::sabotage::off("account-export");
    for table in TABLES.iter().filter(|_| all) {
        let rows = of_account(hub, person.account, table).await?;
        tables.push(document(table.name, rows));
    }
    let mut devices = Vec::new();
    for device in hub.store.devices_of(person.account).await? {
        devices.push(of_device(hub, &device).await?);
    }
    Ok(json!({
        "format": "qcloud-account-export",
        "version": 1,
        "at": hub.clock.now().wall.rfc3339(),
        "hub": hub.config.host,
        "account": person.email.as_str(),
        "profile_fields": fields(),
        "tables": tables,
        "devices": devices,
    }))
}

fn fields() -> Vec<Value> {
    let english = Language::English;
    let field = FIELDS.iter().map(|field| {
        json!({
            "key": field.key,
            "why": field.why.to(english),
            "seen_by": field.seen_by.to(english),
            "kept": field.until.to(english),
            "required": field.required,
        })
    });
    field.collect()
}

fn document(table: &str, rows: Vec<Value>) -> Value {
    let about = kept::of(table);
    let words =
        about.map(|about| (about.what.to(Language::English), about.why.to(Language::English)));
    json!({
        "table": table,
        "what": words.map(|(what, _)| what),
        "why": words.map(|(_, why)| why),
        "rows": rows,
    })
}

async fn of_account(
    hub: &Hub,
    account: u64,
    table: &'static Table,
) -> Result<Vec<Value>, PeopleError> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let some = hub.store.rows_of(account, table.name, after, ROWS).await?;
        let Some(last) = some.last() else { return Ok(rows) };
        after = last.number;
        rows.extend(some.into_iter().map(|kept| given(table, kept)));
    }
}

/// A row without what only its owner may have.
fn given(table: &Table, kept: Kept) -> Value {
    let mut data = kept.data;
    for (column, what) in table.withheld {
        if data.get(*column).is_some_and(|value| !value.is_null()) {
            data.insert((*column).into(), format!("({what})").into());
        }
    }
    row(table.name, data)
}

fn row(table: &str, mut data: serde_json::Map<String, Value>) -> Value {
    let rule = RULES.iter().find(|rule| rule.table == table);
    let made_at = data.get("made_at").and_then(Value::as_u64).map(Wall::from_unix_seconds);
    let until = |keeps: Duration| made_at.map(|at| Wall(at.0.saturating_add(keeps)).rfc3339());
    let until = rule.and_then(Rule::keeps).and_then(until);
    for column in TIMES {
        if let Some(seconds) = data.get(column).and_then(Value::as_u64) {
            let at = Wall::from_unix_seconds(seconds).rfc3339();
            data.insert(column.into(), at.into());
        }
    }
    json!({ "until": until, "data": data })
}

async fn of_device(hub: &Hub, device: &Device) -> Result<Value, PeopleError> {
    let mut tables = Vec::new();
    for &table in Scope::Registration.tables() {
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let some = hub.store.rows(device.clone(), table, after, ROWS).await?;
            let Some(last) = some.last() else { break };
            after = last.number;
            rows.extend(some.into_iter().map(|kept| row(table, kept.data)));
        }
        tables.push(document(table, rows));
    }
    Ok(json!({ "id": device.id, "name": device.name.as_str(), "tables": tables }))
}
