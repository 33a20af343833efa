//! R4: a legal hold keeps rows out of use, and ends within six calendar months.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::agent::ddns_host;
use crate::common::hub::TABLES;
use crate::common::net::Line;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use crate::common::watch::files_with;
use core::time::Duration;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::wire::receipt::Kept;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::PathBuf;

const SOON: Duration = Duration::from_secs(20);
/// A name that nothing else spells.
const NAME: &str = "held-for-a-court-77aa";
const WHY: &str = "order 12 of the district court";

/// Guards: `hub-hold`, by which the rows are set aside, and `hub-sweep`, by which they go.
///
/// The attack: the device asks for what is held of it, in every way there is.
#[test]
fn r4_what_is_held_is_out_of_use_and_gone_at_its_end() {
    let mut world = World::new(Line::Direct);
    let agent = world.member(NAME, "");
    let papers = Papers::of(&agent);
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    world.hub.command(&["hold", "add", "--device", NAME, "--why", WHY]).ok();
    let now = Clock::system(Wall::default()).now().wall;

    let answer = agent.ok(&["unregister"]);
    let rows = answer["receipt"]["rows"].as_object().expect("counts").values();
    assert!(rows.clone().all(|rows| *rows == 0), "the receipt calls erased what is kept: {answer}");
    let kept: Vec<Kept> =
        serde_json::from_value(answer["receipt"]["kept"].clone()).expect("a list");
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    assert!(kept.what.contains("device") && kept.what.contains("ddns"), "{kept:?}");
    assert!(kept.why == WHY && kept.until <= now.months_later(6) && kept.until > now, "{kept:?}");

    assert_eq!(TABLES.map(|table| world.hub.rows(table)), [0; TABLES.len()], "it is still in use");
    let from = &world.net.device;
    for path in ["/v1/ddns/update", "/v1/privacy/export"] {
        let body = json!({"a": "observed", "aaaa": "none"});
        assert_eq!(ask(from, &world.hub, Some(&papers), path, &body).0, 401, "{path}");
    }
    let answer = dig(&world.net.visitor, &ddns_host(NAME), "A", "+notcp");
    assert_eq!(answer, Answer::no_such_name());
    assert!(world.hub.devices().is_empty());
    assert_eq!(files_with(world.hub.dir(), NAME.as_bytes()), Vec::<PathBuf>::new());
    assert_eq!(files_with(world.hub.dir(), WHY.as_bytes()), Vec::<PathBuf>::new());
    // It is there for the one purpose.
    let held: Value =
        serde_json::from_str(&world.hub.command(&["hold", "show"]).ok()).expect("what is held");
    assert_eq!(held["rows"]["device"][0]["name"], NAME, "{held}");
    // Who asks again is told again.
    let body = json!({"nonce": "again"});
    let (status, said) = ask(from, &world.hub, Some(&papers), "/v1/registration/forget", &body);
    let document = said["receipt"].as_str().unwrap_or_default();
    let part = document.split('.').nth(1).unwrap_or_default();
    let part = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url");
    let part: Value = serde_json::from_slice(&part).expect("JSON");
    assert_eq!((status, &part["kept"][0]["why"]), (200, &WHY.into()), "{said}");

    world.hub.stop();
    let connection = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    for table in ["hold", "held"] {
        let sql = format!("UPDATE {table} SET expires_at = unixepoch() - 1");
        assert_eq!(connection.execute(&sql, []).expect("its end"), 1, "{table}");
    }
    drop(connection);
    world.hub.serve();
    for table in ["hold", "held"] {
        until_equal(table, SOON, &0, || world.hub.rows(table));
    }
    assert_eq!(world.hub.command(&["hold", "show"]).ok(), "");
}

/// Guard: `hub-hold-most`.
///
/// The attack: an operator who adds one hold behind the other.
#[test]
fn r4_no_hold_lasts_longer_than_six_months_however_often_it_is_added() {
    let mut world = World::new(Line::Direct);
    let _agent = world.member("box", "");
    let add = |world: &World, until: &[&str]| {
        let args = ["hold", "add", "--device", "box", "--why", WHY];
        world.hub.command(&[args.as_slice(), until].concat())
    };
    let refused = add(&world, &["--until", "2100-01-01"]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("six calendar months"),
        "{refused:?}"
    );
    add(&world, &[]).ok();
    world.hub.stop();
    // A hundred days go by.
    let connection = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    let sql = "UPDATE hold SET made_at = made_at - 8640000, expires_at = expires_at - 8640000";
    assert_eq!(connection.execute(sql, []).expect("a hold"), 1);
    let end = "SELECT expires_at FROM hold";
    let end: i64 = connection.query_row(end, [], |row| row.get(0)).expect("its end");
    drop(connection);
    let refused = add(&world, &[]);
    assert!(refused.code == Some(1), "a hold was prolonged: {refused:?}");
    let end = Wall::from_unix_seconds(u64::try_from(end).expect("a time")).rfc3339();
    add(&world, &["--until", &end[..10]]).ok();
    let list = world.hub.command(&["hold", "list"]).ok();
    assert!(list.starts_with(&end[..10]) && list.contains("device box"), "{list}");
    world.hub.command(&["hold", "end", "--device", "box"]).ok();
    assert_eq!(world.hub.rows("hold"), 0);
}
