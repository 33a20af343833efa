//! The privacy verbs against a real hub and a real agent: what is promised to the one whom the data is about.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "common/mod.rs"]
mod common;

use common::World;
use common::agent::{Agent, ddns_host, link_host};
use common::hub::TABLES;
use common::net::{DEVICE, Line};
use common::page::Page;
use common::process::{until, until_equal};
use common::visitor::{Answer, dig, fetch, is_refused};
use common::watch::{files_with, holds};
use serde_json::{Value, json};
use std::time::Duration;

/// The longest a change may take to be seen from outside.
const SOON: Duration = Duration::from_secs(10);

/// Each test with the guard it fails without.
const GUARDS: &[(&str, &str)] = &[
    ("r9_a_restricted_name_is_kept_and_does_not_answer", "hub-restricted"),
    ("r9_a_restricted_link_lets_nobody_in", "hub-restricted"),
    ("r2_one_screen_says_what_is_kept_and_how_to_end_it", "privacy-switch"),
    ("c4_everything_the_hub_holds_is_shown_with_its_term", "hub-export"),
    ("r6_one_feature_or_everything_is_erased_on_demand", "hub-erase"),
    ("c1_a_parcel_and_an_optional_field_are_denied_and_allowed_while_it_runs", "gate-denied"),
    ("r11_a_refusal_stops_only_what_it_is_about_and_holds_without_a_running_agent", "gate-denied"),
];

/// Tells the runner of the sabotage which test shall fail of which guard.
#[test]
#[ignore = "prints the table for the runner of the sabotage"]
#[allow(clippy::print_stdout, reason = "its output is read by another program")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}

fn asks(world: &World, name: &str) -> Answer {
    dig(&world.net.visitor, name, "A", "+notcp")
}

fn until_answers(world: &World, name: &str, wanted: &Answer) {
    until_equal(name, SOON, wanted, || asks(world, name));
}

fn table<'a>(export: &'a Value, name: &str) -> &'a Value {
    let tables = export["tables"].as_array().unwrap();
    tables.iter().find(|table| table["table"] == name).unwrap()
}

fn rows(agent: &Agent, name: &str) -> usize {
    table(&agent.ok(&["privacy", "export"]), name)["rows"].as_array().unwrap().len()
}

fn exit(agent: &Agent, args: &[&str]) -> (Option<i32>, String) {
    let ran = agent.command(args);
    (ran.code, ran.stdout + &ran.stderr)
}

#[test]
fn c4_everything_the_hub_holds_is_shown_with_its_term() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "hello");
    let certificate = agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("box"), &Answer::address(DEVICE));
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).stdout, "hello");
    until("the log", SOON, || (world.hub.rows("link_log") == 1).then_some(()));

    let export = agent.ok(&["privacy", "export"]);
    assert_eq!(export["device"], agent.id().as_str());
    assert_eq!(table(&export, "ddns")["rows"][0]["a"], DEVICE);
    assert_eq!(table(&export, "ddns")["kept"], "until switched off");
    let visit = &table(&export, "link_log")["rows"][0];
    assert_eq!((&visit["masked"], &visit["host"]), (&json!("192.0.2.0"), &json!(link_host("box"))));
    assert!(visit["until"].as_str().unwrap() > visit["made_at"].as_str().unwrap());
    assert_eq!(table(&export, "session")["rows"][0]["address"], DEVICE);
    // Whom its owner invites by the pages is no datum the device brought: the device's page shows it.
    for table in TABLES.into_iter().filter(|table| *table != "share_invitation") {
        let held = world.hub.rows(table);
        assert_eq!(u64::try_from(rows(&agent, table)).unwrap(), held, "{table}");
    }
}

#[test]
fn r7_a_corrected_name_is_followed_everywhere() {
    let world = World::new(Line::Direct);
    let agent = world.member("bxo", "");
    let page = Page::open(&world.net.device, "hello");
    agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("bxo"), &Answer::address(DEVICE));

    let (code, said) = exit(&agent, &["privacy", "fix", "serial", "x"]);
    assert!(code == Some(2) && said.contains("what can: name"), "{said}");
    let (code, said) = exit(&agent, &["privacy", "fix", "name", "wpad"]);
    assert!(code == Some(1) && said.contains("reserved"), "{said}");
    let fixed = agent.ok(&["privacy", "fix", "name", "attic"]);
    assert_eq!(fixed["ddns_host"], ddns_host("attic"));
    assert_eq!(asks(&world, &ddns_host("attic")), Answer::address(DEVICE), "at once");
    assert_eq!(asks(&world, &ddns_host("bxo")), Answer::no_such_name());
    assert_eq!(asks(&world, &link_host("bxo")), Answer::no_such_name());
    assert_eq!(agent.feature("ddns")["facts"]["host"], ddns_host("attic"));
    assert_eq!(agent.status()["registered"]["name"], "attic");

    agent.wait_for_link();
    assert!(is_refused(&world.net.visitor, &link_host("bxo")));
    let certificate = world.scratch.path("attic.pem");
    let pem = agent.ok(&["link", "certificate"]);
    std::fs::write(&certificate, pem["pem"].as_str().unwrap()).unwrap();
    let url = format!("https://{}/", link_host("attic"));
    let seen = until("the page", SOON, || {
        let ran = fetch(&world.net.visitor, &certificate, &url);
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    assert_eq!(seen, "hello");
}

/// Guard: `hub-restricted`.
#[test]
fn r9_a_restricted_name_is_kept_and_does_not_answer() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("box"), &Answer::address(DEVICE));

    agent.ok(&["privacy", "restrict", "ddns", "on"]);
    assert_eq!(asks(&world, &ddns_host("box")), Answer::no_such_name());
    assert_eq!(world.hub.rows("ddns"), 1, "it is kept");
    let export = agent.ok(&["privacy", "export"]);
    assert_eq!(export["restricted"], json!(["ddns"]));
    assert_eq!((&table(&export, "ddns")["restricted"], rows(&agent, "ddns")), (&json!(true), 1));
    assert_eq!(agent.feature("ddns")["restricted"], true);

    world.net.move_device(DEVICE, "203.0.113.11");
    until("the refusal in status", SOON, || {
        let text = agent.status()["warnings"].to_string();
        text.contains("ddns is restricted").then_some(())
    });
    world.hub.kill();
    world.hub.serve();
    assert_eq!(asks(&world, &ddns_host("box")), Answer::no_such_name(), "over a restart");

    agent.ok(&["privacy", "restrict", "ddns", "off"]);
    until_answers(&world, &ddns_host("box"), &Answer::address("203.0.113.11"));
    assert_eq!(agent.feature("ddns")["restricted"], false);
    until("the warning's end", SOON, || (agent.status()["warnings"] == json!([])).then_some(()));
}

/// Guard: `hub-restricted`.
#[test]
fn r9_a_restricted_link_lets_nobody_in() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "hello");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).stdout, "hello");
    until("the log", SOON, || (world.hub.rows("link_log") == 1).then_some(()));

    agent.ok(&["privacy", "restrict", "link", "on"]);
    assert!(is_refused(&world.net.visitor, &link_host("box")), "as one that is unknown");
    agent.wait_for_link();
    assert!(is_refused(&world.net.visitor, &link_host("box")), "though its session stands");
    assert_eq!(world.hub.rows("link_log"), 1, "what was kept is kept, and nothing is added");
    let text = agent.command(&["privacy", "status"]).ok();
    assert!(text.contains(r#""restricted":true"#), "{text}");

    agent.ok(&["privacy", "restrict", "link", "off"]);
    let seen = until("the page", SOON, || {
        let ran = fetch(&world.net.visitor, &certificate, &url);
        (ran.code == Some(0)).then_some(ran.stdout)
    });
    assert_eq!(seen, "hello");
}

/// Guard: `hub-erase`.
#[test]
fn r6_one_feature_or_everything_is_erased_on_demand() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("canary-name", "");
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("canary-name"), &Answer::address(DEVICE));
    agent.ok(&["privacy", "restrict", "ddns", "on"]);
    let erased = agent.ok(&["privacy", "erase", "ddns"]);
    assert_eq!(erased["receipt"]["feature"], "ddns");
    assert_eq!(erased["receipt"]["rows"], json!({ "ddns": 1, "restriction": 1 }));
    assert_eq!(erased["receipt"]["kept"], json!([]));
    assert_eq!((world.hub.rows("ddns"), world.hub.rows("restriction")), (0, 0));
    assert_eq!(agent.feature("ddns")["restricted"], false);
    let (code, said) = exit(&agent, &["privacy", "erase", "nothing"]);
    assert!(code == Some(2) && said.contains("registration, ddns, link"), "{said}");

    agent.ok(&["privacy", "restrict", "link", "on"]);
    let id = agent.id();
    let erased = agent.ok(&["privacy", "erase"]);
    assert_eq!(erased["receipt"]["feature"], "registration");
    for table in TABLES {
        assert_eq!(world.hub.rows(table), 0, "{table}");
    }
    let database = world.hub.dir().join("hub.db");
    let left = files_with(world.hub.dir(), id.as_bytes());
    assert!(left.is_empty(), "the erased id is in {left:?}");
    assert!(!holds(&std::fs::read(database).unwrap(), b"canary-name"));
    let (code, said) = exit(&agent, &["privacy", "export"]);
    assert!(code == Some(1) && said.contains("not registered"), "{said}");
    agent.stop(SOON);
}

/// Guard: `gate-denied`.
#[test]
fn c1_a_parcel_and_an_optional_field_are_denied_and_allowed_while_it_runs() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("box"), &Answer::address(DEVICE));

    let before = agent.ledger_lines();
    agent.ok(&["privacy", "deny", "ddns.update.a"]);
    until_answers(&world, &ddns_host("box"), &Answer::no_such_name());
    let lines = agent.ledger_since(before);
    let update = lines.iter().find(|line| line["parcel"] == "ddns.update").unwrap();
    assert_eq!(update["fields"], json!(["aaaa"]), "{update}");
    agent.ok(&["privacy", "allow", "ddns.update.a"]);
    until_answers(&world, &ddns_host("box"), &Answer::address(DEVICE));

    agent.ok(&["privacy", "deny", "ddns.update"]);
    world.net.move_device(DEVICE, "203.0.113.11");
    until("the reason in status", SOON, || {
        let text = agent.status()["warnings"].to_string();
        text.contains("qcloud-agent privacy allow ddns.update").then_some(())
    });
    assert_eq!(asks(&world, &ddns_host("box")), Answer::address(DEVICE), "nothing was sent");
    let (code, said) = exit(&agent, &["privacy", "deny", "ddns.forget"]);
    assert!(code == Some(2) && said.contains("takes your data back"), "{said}");
    let (code, said) = exit(&agent, &["privacy", "deny", "registration.start.spki"]);
    assert!(code == Some(2) && said.contains("the key the certificate is made for"), "{said}");
    agent.ok(&["privacy", "allow", "ddns.update"]);
    until_answers(&world, &ddns_host("box"), &Answer::address("203.0.113.11"));
    until("the warning's end", SOON, || (agent.status()["warnings"] == json!([])).then_some(()));
}

/// Guard: `gate-denied`.
#[test]
fn r11_a_refusal_stops_only_what_it_is_about_and_holds_without_a_running_agent() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    let page = Page::open(&world.net.device, "hello");
    agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    until_answers(&world, &ddns_host("box"), &Answer::address(DEVICE));
    agent.ok(&["privacy", "deny", "link.session"]);
    until("the end of the session", SOON, || {
        let link = agent.feature("link");
        let why = link["summary"].as_str().unwrap().contains("link.session is denied");
        (why && link["facts"]["up"] == false).then_some(())
    });
    until("the refusal", SOON, || is_refused(&world.net.visitor, &link_host("box")).then_some(()));
    let before = agent.ledger_lines();
    assert_eq!(asks(&world, &ddns_host("box")), Answer::address(DEVICE), "the others go on");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(agent.ledger_lines(), before, "it does not ask again and again");

    agent.stop(SOON);
    let lines = agent.ok(&["egress", "ledger"]).as_array().unwrap().len();
    agent.ok(&["privacy", "allow", "link.session"]);
    agent.ok(&["privacy", "deny", "ddns.update"]);
    assert_eq!(agent.ok(&["egress", "ledger"]).as_array().unwrap().len(), lines, "nothing left");
    assert_eq!(agent.status()["denied"], json!(["ddns.update"]));
    agent.start();
    agent.wait_for_link();
    assert_eq!(agent.status()["denied"], json!(["ddns.update"]));
}

#[test]
fn r2_one_screen_says_what_is_kept_and_how_to_end_it() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    let unborn = agent.ok(&["privacy", "status"]);
    assert_eq!(unborn["registered"], Value::Null);
    assert!(!agent.state_dir().exists(), "looking makes nothing");
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["ddns", "on"]);
    agent.ok(&["privacy", "restrict", "ddns", "on"]);
    for running in [true, false] {
        if !running {
            agent.stop(SOON);
        }
        let status = agent.ok(&["privacy", "status"]);
        let features = status["features"].as_array().unwrap();
        let ddns = features.iter().find(|feature| feature["name"] == "ddns").unwrap();
        assert_eq!((&ddns["state"], &ddns["restricted"]), (&json!("on"), &json!(true)));
        let switch = ["qcloud-agent ddns off", "qcloud-agent privacy restrict ddns off"];
        assert_eq!(ddns["switch"], json!(switch));
        assert_eq!(ddns["kept"][0]["kept"], "until switched off");
        assert_eq!(status["privacy_text"]["version"], 1);
    }
    let consent = agent.ok(&["consent", "show"]);
    assert_eq!(consent["consents"], json!([]));
    assert_eq!(consent["privacy_text"]["date"], "2026-11-22");
    let (code, said) = exit(&agent, &["consent", "give", "ddns.update"]);
    assert!(code == Some(2) && said.contains("needs no consent"), "{said}");
}
