//! R12, R6: who asks to be erased is, and what would be kept all the same stood in the receipt.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::agent::link_host;
use crate::common::hub::TABLES;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::fetch;
use qcloud_agent::wire::receipt::Kept;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Guard: `hub-erase`. What is kept stands in the receipt, as what, why and until when: it names nothing today,
/// and so there is nothing.
#[test]
fn r12_what_the_receipt_does_not_name_is_not_kept() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    in_use(&world, &agent);
    for (leave, tables) in [
        (["ddns", "off"].as_slice(), ["ddns"].as_slice()),
        (&["link", "off"], &["link_log"]),
        (&["unregister"], &TABLES),
    ] {
        let answer = agent.ok(leave);
        let kept: Vec<Kept> =
            serde_json::from_value(answer["receipt"]["kept"].clone()).expect("a list");
        for table in tables {
            let named = kept.iter().any(|kept| kept.what.contains(table) && !kept.why.is_empty());
            let rows = world.hub.rows(table);
            assert!(rows == 0 || named, "{leave:?}: {rows} rows of {table}, {kept:?}");
        }
        assert!(kept.is_empty(), "today nothing is kept: {kept:?}");
    }
}

/// Guard: `hub-kept-named`. A hold and a backup are the two things that outlast an erasure.
#[test]
fn r12_what_stays_in_holds_and_backups_stands_in_the_receipt() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let (hub, file) = (&world.hub, world.scratch.path("copy.backup"));
    hub.command(&["hold", "add", "--device", "box", "--why", "an order"]).ok();
    hub.command(&["backup", "--to", file.to_str().expect("a path")]).ok();
    let answer = agent.ok(&["unregister"]);
    let kept: Vec<Kept> =
        serde_json::from_value(answer["receipt"]["kept"].clone()).expect("a list");
    for what in ["rows of device", "backups", "journal"] {
        let named = kept.iter().find(|kept| kept.what.contains(what));
        assert!(named.is_some_and(|kept| !kept.why.is_empty()), "{what}: {kept:?}");
    }
    assert_eq!(kept.len(), 3, "{kept:?}");
    let journal = std::fs::read_to_string(hub.dir().join("deletions.journal")).expect("a journal");
    assert_eq!(journal.lines().count(), 3, "{journal}");
    assert_eq!((hub.rows("held"), hub.rows("hold")), (1, 1));
}

/// Guard: `hub-erase`. The person's own request, with nothing of this project but the wire; the receipt counts
/// what there was.
///
/// The attack: a stranger asks for it, without the device's key, or with a key of its own.
#[test]
fn r6_a_request_to_erase_is_carried_out_and_only_the_devices_own() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    in_use(&world, &agent);
    let papers = Papers::of(&agent);
    agent.kill();
    let (from, hub, path) = (&world.net.visitor, &world.hub, "/v1/registration/forget");
    let rows = || TABLES.map(|table| (table.to_owned(), hub.rows(table)));
    let before = BTreeMap::from(rows());
    let demand = json!({"nonce": "mine"});
    assert_eq!(ask(from, hub, None, path, &demand).0, 401);
    assert_eq!(BTreeMap::from(rows()), before, "a stranger had it erased");

    let (status, answer) = ask(from, hub, Some(&papers), path, &demand);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(rows().map(|(_, rows)| rows), [0; TABLES.len()], "something is left");
    let document = answer["receipt"].as_str().expect("a receipt");
    let counted = receipt(document)["rows"].clone();
    let counted: BTreeMap<String, u64> = serde_json::from_value(counted).expect("counts");
    assert_eq!(counted, before, "the receipt counts something else");
}

/// What a signed receipt says; its signature is another row's matter.
fn receipt(document: &str) -> Value {
    let part = document.split('.').nth(1).unwrap_or(document);
    let bytes = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn in_use(world: &World, agent: &crate::common::agent::Agent) {
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    fetch(&world.net.visitor, &certificate, &format!("https://{}/", link_host("box"))).ok();
    for table in ["ddns", "link_log"] {
        until_equal(table, Duration::from_secs(10), &1, || world.hub.rows(table));
    }
}
