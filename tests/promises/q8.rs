//! Q8: a person downloads everything that is kept of them.

use crate::common::World;
use crate::common::hub::Hub;
use crate::common::net::Line;
use crate::common::process::until_equal;
use crate::person::{PASSWORD, Person, WITH_PAGES, columns};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// Every table of the database that has rows of persons or devices.
fn tables(hub: &Hub) -> BTreeSet<String> {
    let database = Connection::open(hub.dir().join("hub.db")).expect("the database");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = database.prepare(sql).expect("a question");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("an answer");
    let names: Vec<String> = names.collect::<Result<_, _>>().expect("names");
    let known = ["account", "device", "outbox"];
    let keyed = |table: &String| {
        let columns = columns(hub, table);
        columns.iter().any(|name| ["account", "device"].contains(&name.as_str()))
    };
    names.into_iter().filter(|name| known.contains(&name.as_str()) || keyed(name)).collect()
}

/// How many rows of a table an export has.
fn count(all: &Value, table: &str) -> u64 {
    let of = |list: &Value| -> u64 {
        let tables = list.as_array().expect("tables").iter();
        let rows = tables.filter(|one| one["table"] == table).map(|one| &one["rows"]);
        let count = rows.map(|rows| rows.as_array().expect("rows").len()).sum::<usize>();
        u64::try_from(count).expect("a count")
    };
    let devices = all["devices"].as_array().expect("devices").iter();
    of(&all["tables"]) + devices.map(|device| of(&device["tables"])).sum::<u64>()
}

/// Guard: `account-export`, the walk over the tables. A table that somebody adds and forgets here makes it fail.
#[test]
fn q8_the_download_holds_every_row_there_is_opened() {
    let world = World::with_hub(Line::Direct, &WITH_PAGES);
    let agent = world.member("canary-box-33", "");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", Duration::from_secs(10), &1, || world.hub.rows("ddns"));
    let anna = Person::invited(&world, "anna@mail.example.org");
    anna.owns(&world.hub, "canary-box-33");
    anna.profile(&[("name", "Canary Öberg"), ("zone", "Europe/Stockholm")]);
    let got = anna.submit("/account/download", &[("password", PASSWORD)]);
    assert!(got.head.contains("attachment; filename=\"qcloud-account.json\""), "{}", got.head);
    let all: Value = serde_json::from_str(&got.body).expect("JSON");
    assert_eq!(all["format"], "qcloud-account-export");
    for table in tables(&world.hub) {
        let rows = match table.as_str() {
            // The request the device came by is known by its key, and by its owner.
            "pending" => count(&all, "pending").min(1),
            _ => count(&all, &table),
        };
        assert_eq!(rows, world.hub.rows(&table), "{table}");
    }
    for opened in ["anna@mail.example.org", "Canary Öberg", "Europe/Stockholm", "canary-box-33"] {
        assert!(got.body.contains(opened), "{opened} is not opened");
    }
    let account = all["tables"].as_array().expect("tables").iter();
    let account = account.flat_map(|table| table["rows"].as_array().expect("rows"));
    for row in account {
        let made_at = row["data"]["made_at"].as_str().unwrap_or_else(|| panic!("{row}"));
        assert!(made_at.ends_with('Z'), "{made_at} is RFC 3339");
    }
    assert!(!got.body.contains("$argon2") && got.body.contains("Argon2id hash of your password"));
    assert!(anna.get("/log").body.contains("Everything kept was downloaded"));
}

/// Guard: `export-password`. The attacks: a signed-in browser without the password, nobody, another person.
#[test]
fn q8_nobody_else_gets_it() {
    let world = World::with_hub(Line::Direct, &WITH_PAGES);
    let anna = Person::invited(&world, "anna@mail.example.org");
    anna.profile(&[("name", "Canary Öberg")]);
    let got = anna.submit("/account/download", &[("password", "not the password")]);
    assert_eq!(got.status, 422, "{}", got.body);
    assert!(!got.head.contains("attachment"));
    assert!(anna.get("/log").body.contains("A sign-in failed"), "it stands in the log");
    let ben = Person::invited(&world, "ben@mail.example.org");
    let got = ben.submit("/account/download", &[("password", PASSWORD)]);
    assert_eq!(got.status, 200);
    assert!(!got.body.contains("anna@") && !got.body.contains("Canary"), "{}", got.body);
    let nobody = Person::visitor(&world, "nobody");
    let got = nobody.post("/account/download", &[("password", PASSWORD), ("mark", "x")]);
    assert_eq!(got.status, 303, "to the sign-in");
    assert_eq!(nobody.get("/account/download").status, 303);
}
