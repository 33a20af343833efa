//! What the hub keeps of a device, and until when: read from the rules by which it is swept.

use super::Own;
use crate::card::Retention;
use crate::clock::Wall;
use crate::hub::pages::{Pages, Shared, broken, layout};
use crate::hub::state::Hub;
use crate::hub::store::{Device, Scope, StoreError};
use crate::hub::sweep::{RULES, Rule};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use core::time::Duration;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

/// Rows that are counted one by one; beyond it is said that there are more.
const COUNTED: u64 = 1000;
/// Rows of one table in an export.
const EXPORTED: u64 = 100_000;

/// A table and how many of its rows are about a device.
pub(super) struct Counted {
    rule: &'static Rule,
    rows: usize,
}

/// The rules of what is erased with a device.
fn rules() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(|rule| Scope::Registration.tables().contains(&rule.table))
}

pub(super) async fn counted(hub: &Hub, device: &Device) -> Result<Vec<Counted>, StoreError> {
    let mut all = Vec::new();
    for rule in rules() {
        let rows = hub.store.rows(device.clone(), rule.table, 0, COUNTED).await?.len();
        all.push(Counted { rule, rows });
    }
    Ok(all)
}

fn words(table: &str) -> &str {
    match table {
        "device" => "its name, its public key and when it was let in",
        "device_key" => "the next public key, while it waits for its first use",
        "pending" => "the request it came in by",
        "ddns" => "the addresses its name answers with",
        "service" => "names and ports of what it publishes",
        "link_log" => "visits through the relay: masked address, name, bytes, duration",
        "restriction" => "what it has asked not to be used",
        "ticket" => "the hash of a random word that tells a copy of its disk apart",
        "quarantine" => "that it is set aside, and why",
        "visibility" => "who may find it here",
        "share" => "whom it is shared with",
        "share_invitation" => "who was invited to it, sealed",
        "license_seat" => {
            "the seats of licenses it has, and hashes that its leases are bound to, sealed"
        }
        other => other,
    }
}

fn until(rule: &Rule) -> String {
    if let Some(keeps) = rule.keeps() {
        return format!("{}, each row", length(keeps));
    }
    match rule.parcel() {
        Some(parcel) if parcel.retention == Retention::UntilDisabled => {
            let feature = parcel.id.split('.').next().unwrap_or_default();
            format!("until {feature} is switched off on the device")
        }
        _ => "until it is unregistered or revoked".into(),
    }
}

fn length(time: Duration) -> String {
    let (days, minutes) = (time.as_secs() / 86_400, time.as_secs() / 60);
    match (days, minutes) {
        (0, minutes) => format!("{minutes} minutes"),
        (days, _) => format!("{days} days"),
    }
}

/// The part of a device's page.
pub(super) fn section(pages: &Pages, device: &Device, all: &[Counted]) -> Markup {
    let most = usize::try_from(COUNTED).unwrap_or(usize::MAX);
    html! {
        section.card id="kept" {
            h2 { "What is kept of it, and until when" }
            p { "In this hub's database"
                @if let Some(region) = &pages.hub.config.region { ", in " (region) }
                ". That it is connected, and from which address, is in memory only." }
            div.wide {
                table {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Rows" } th scope="col" { "Until" } } }
                    tbody {
                        @for Counted { rule, rows } in all.iter().filter(|counted| counted.rows > 0) {
                            tr {
                                td { (words(rule.table)) }
                                td { (rows) @if *rows >= most { " or more" } }
                                td { (until(rule)) }
                            }
                        }
                    }
                }
            }
            p { a.button href={ "/device/" (device.id) "/export" } download { "Download all of it" } }
            dl {
                dt { "Registered" } dd { (layout::moment(device.made_at)) }
                dt { "Device id" } dd { code { (device.id) } }
            }
        }
    }
}

/// What is kept of any device that uses everything, for the page of all devices.
pub(in super::super) fn rules_in_words() -> Markup {
    html! {
        details {
            summary { "What this hub keeps of a device, and until when" }
            div.wide {
                table {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Where" } th scope="col" { "Until" } } }
                    tbody {
                        tr { td { "that it is connected, since when and from where" } td { "memory" } td { "its session ends" } }
                        @for rule in rules() {
                            tr { td { (words(rule.table)) } td { "database" } td { (until(rule)) } }
                        }
                    }
                }
            }
        }
    }
}

/// `GET /device/{id}/export`.
pub(in super::super) async fn export(State(pages): Shared, own: Own) -> Response {
    let file = match exported(&pages.hub, &own.device).await {
        Ok(file) => file,
        Err(error) => return broken(&error),
    };
    let name = format!("attachment; filename=\"{}.json\"", own.device.name);
    // A name is letters, digits and hyphens.
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, format!("{file:#}\n")).into_response()
}

async fn exported(hub: &Hub, device: &Device) -> Result<Value, StoreError> {
    let mut tables = Map::new();
    for rule in rules() {
        let rows = hub.store.rows(device.clone(), rule.table, 0, EXPORTED).await?;
        let rows: Vec<_> = rows.into_iter().map(|row| readable(row.data)).collect();
        let about = json!({ "what": words(rule.table), "until": until(rule), "rows": rows });
        tables.insert(rule.table.into(), about);
    }
    Ok(json!({ "device": device.id, "at": hub.clock.now().wall.rfc3339(), "kept": tables }))
}

fn readable(mut row: Map<String, Value>) -> Map<String, Value> {
    if let Some(made_at) = row.get("made_at").and_then(Value::as_u64) {
        row.insert("made_at".into(), Wall::from_unix_seconds(made_at).rfc3339().into());
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_a_device_has_its_words_and_its_end() {
        assert_eq!(rules().count(), Scope::Registration.tables().len());
        for rule in rules() {
            assert_ne!(words(rule.table), rule.table, "{} has no words", rule.table);
            assert!(!until(rule).is_empty(), "{}", rule.table);
        }
    }
}
