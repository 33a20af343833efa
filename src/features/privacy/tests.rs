//! What is typed, and what is made of the hub's answers. The verbs against a real hub are in `tests/privacy.rs`.

use super::*;
use crate::clock::Wall;
use crate::wire::privacy::{Page, Row, Table};

fn page(rows: u64, next: Option<&str>) -> Page {
    let row = |n: u64| Row {
        until: Some(Wall::from_unix_seconds(1_795_341_600)),
        data: json!({ "number": n }).as_object().cloned().unwrap_or_default(),
    };
    Page {
        device: "d\u{1b}".into(),
        at: Wall::from_unix_seconds(1_795_341_600),
        restricted: vec![Restrictable::Link],
        tables: vec![Table {
            table: "link_log".into(),
            parcel: "link.session".into(),
            rows: (0..rows).map(row).collect(),
        }],
        next: next.map(String::from),
    }
}

#[test]
fn what_cannot_be_corrected_or_restricted_is_answered_with_what_can() {
    let of = |verb, args| wanted(verb, &args).map(|_| ()).map_err(|e| e.replace('\n', " "));
    let error = of("fix", json!({ "field": "serial", "value": "x" })).expect_err("unknown");
    assert!(error.contains("what can: name hint: qcloud-agent privacy export"), "{error}");
    let error = of("restrict", json!({ "feature": "registration", "how": "on" })).expect_err("no");
    assert!(error.contains("what can: ddns, link"), "{error}");
    let error = of("restrict", json!({ "feature": "ddns", "how": "maybe" })).expect_err("no");
    assert!(error.contains("neither on nor off"), "{error}");
    assert!(of("fix", json!({ "field": "name", "value": "Not A Name" })).is_err());
    assert!(of("fix", json!({ "field": "name", "value": "attic" })).is_ok());
}

#[test]
fn pages_become_one_export_with_its_retention() {
    let mut export = Export::default();
    assert_eq!(export.add(page(2, Some("link_log.2"))), Some("link_log.2".into()));
    assert_eq!(export.add(page(1, None)), None);
    let json = export.json(Some("hub:443".into()));
    assert_eq!(json["device"], "d?");
    assert_eq!(json["restricted"], json!(["link"]));
    let table = &json["tables"][0];
    assert_eq!(table["kept"], "at most 30 days");
    assert_eq!((&table["feature"], &table["restricted"]), (&json!("link"), &json!(true)));
    assert_eq!(table["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(table["rows"][0]["until"], "2026-11-22T10:00:00Z");
}

#[test]
fn without_a_hub_nothing_is_asked() {
    let now = Now { boot: Boot::default(), wall: Wall::default(), dice: 0 };
    let mut privacy = Privacy::open(Config {}, Saved {}, now).expect("it opens");
    let mut out = Out::new(1);
    let args = json!({});
    privacy.handle(Input::Verb { asker: Asker(1), name: "export", args: &args }, now, &mut out);
    assert!(privacy.asked.is_empty());
    assert_eq!(privacy.next_wake(), None);
}
