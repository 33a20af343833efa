//! A hub that is not what it should be, at each step of the API.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::fake::{Fake, Say, lies, started};
use crate::common::hub::ZONE;
use crate::common::net::{DEVICE, HUB, Line};
use crate::common::process::{Ran, until};
use qcloud_agent::hub::keys::Keys;
use qcloud_agent::wire::label::acts;
use qcloud_agent::wire::{receipt, signed};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(40);
/// The longest a command may wait for one answer: 15 s for the message, and the process around it.
const PATIENCE: Duration = Duration::from_secs(18);
/// The most memory an agent may ever have used in these tests, in KiB. Measured in a debug build at 34 MiB
/// (x86_64, 2026-11-22).
const MOST_KIB: u64 = 64 * 1024;

/// The hub is found without a name server: the real one's ends with it.
pub fn sections() -> String {
    format!("hosts = {{ \"hub.{ZONE}\" = \"{HUB}\" }}")
}

/// The most memory a process ever had, in KiB.
pub fn peak_kib(agent: &Agent) -> u64 {
    let path = format!("/proc/{}/status", agent.process().pid());
    let text = std::fs::read_to_string(path).expect("the process");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

fn assert_well(agent: &Agent, what: &str) {
    let peak = peak_kib(agent);
    assert!(peak < MOST_KIB, "{what}: {peak} KiB");
    assert!(!agent.log_text().contains("panicked"), "{what}: it panicked");
    assert_eq!(agent.log_text().matches("was set aside").count(), 0, "{what}");
}

/// A clear error: one line without anything that acts, in time.
fn assert_clear(ran: &Ran, what: &str, begun: Instant) {
    assert!(begun.elapsed() < PATIENCE, "{what} took {:?}", begun.elapsed());
    assert!(matches!(ran.code, Some(1 | 3 | 4 | 8)), "{what}: {ran:?}");
    let text = [ran.stderr.as_str(), &ran.stdout].concat();
    assert!(!text.contains(|c| c != '\n' && acts(c)), "{what}: {text:?}");
    assert!(text.len() < 2000, "{what}: {} bytes", text.len());
    let mut lines = ran.stderr.lines().skip_while(|line| !line.starts_with("qcloud-agent: "));
    let (line, hint) = (lines.next(), lines.next().unwrap_or_default());
    assert!(line.is_some() && hint.starts_with("hint: "), "{what}: {ran:?}");
}

fn member_of_a_liar() -> (World, Agent, Fake) {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", &sections());
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);
    (world, agent, fake)
}

#[test]
fn lies_about_the_registration_end_it_clearly_and_an_honest_hub_is_joined_afterwards() {
    let mut world = World::new(Line::Direct);
    let mut agent = world.agent(&sections());
    agent.start();
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);
    let (url, pin) = (world.hub.url(), world.hub.pin.clone());
    let register = ["register", "--name", "box", "--hub", &url, "--hub-pin", &pin];
    let mut all = lies();
    let field = |name: &str, value: Value| {
        let mut body = started(3);
        body[name] = value;
        Say::Json(body)
    };
    all.extend([
        ("a challenge that is none", field("challenge", json!("=?"))),
        ("a negative time", field("interval_seconds", json!(-5))),
        ("a time beyond numbers", field("expires_in_seconds", json!(1e40))),
        ("no time at all", field("expires_in_seconds", json!(0))),
        ("an operator of another kind", field("operator", json!([1]))),
    ]);
    for (what, say) in all {
        fake.say_at("/v1/register/start", &say);
        let begun = Instant::now();
        let ran = agent.plain(&register);
        assert_clear(&ran, what, begun);
        assert_eq!(agent.status()["registered"], Value::Null, "{what}");
        assert_well(&agent, what);
    }
    let wrong = |zone: &str| {
        Say::Json(json!({
            "state": "approved", "name": "box", "zone": zone, "certificate": "none", "receipt_key": "",
        }))
    };
    let polls = [
        ("not JSON", Say::body("text/html", "<html>")),
        ("a zone that acts", wrong("x\u{1b}[2J.test")),
        ("no such state", Say::Json(json!({ "state": "maybe" }))),
        ("a name that is none", Say::Json(json!({ "state": "approved", "name": "../x" }))),
        ("a denial", Say::Json(json!({ "state": "access_denied" }))),
    ];
    for (what, say) in polls {
        fake.say(move |path, _| match path {
            "/v1/register/start" => Say::Json(started(2)),
            _ => say.clone(),
        });
        let begun = Instant::now();
        let ran = agent.plain(&register);
        assert_clear(&ran, what, begun);
        assert_eq!(agent.status()["registered"], Value::Null, "{what}");
    }
    drop(fake);
    world.hub.serve();
    agent.register(&world.hub, "box");
    assert_well(&agent, "at the end");
}

#[test]
fn lies_about_what_is_held_end_the_question_clearly() {
    let (mut world, agent, fake) = member_of_a_liar();
    let id = agent.id();
    for (verb, path) in [
        (&["privacy", "export"][..], "/v1/privacy/export"),
        (&["privacy", "fix", "name", "attic"], "/v1/privacy/fix"),
        (&["privacy", "restrict", "ddns", "on"], "/v1/privacy/restrict"),
    ] {
        for (what, say) in lies() {
            fake.say_at(path, &say);
            let begun = Instant::now();
            let ran = agent.plain(verb);
            assert_clear(&ran, &format!("{verb:?}, {what}"), begun);
            assert_well(&agent, what);
        }
    }
    // An export that goes on for ever, and one whose numbers are beyond all bounds.
    let page = move |next: Value| {
        json!({ "device": id, "at": u64::MAX, "restricted": [], "next": next, "tables": [
            { "table": "ddns", "parcel": "ddns.update", "rows": [{ "until": u64::MAX, "data": {} }] },
        ]})
    };
    let mut number = 0;
    let first = page(json!(null));
    fake.say(move |_, _| {
        number += 1;
        let mut page = page(json!(format!("p{number}")));
        page["at"] = json!(0);
        Say::Json(page)
    });
    // Its bound is a number of pages; what they take on a busy machine is not the question.
    let ran = agent.plain_within(&["privacy", "export"], Duration::from_secs(130));
    assert_clear(&ran, "pages without end", Instant::now());
    fake.say_at("/v1/privacy/export", &Say::Json(first));
    agent.command(&["privacy", "export"]).ok();
    assert_well(&agent, "numbers without bounds");
    assert_eq!(agent.status()["registered"]["name"], "box");
    drop(fake);
    world.hub.serve();
    agent.ok(&["privacy", "export"]);
}

#[test]
fn lies_about_an_erasure_settle_nothing_and_the_honest_hub_settles_it() {
    let (mut world, agent, fake) = member_of_a_liar();
    let mut all = lies();
    all.retain(|(what, _)| !matches!(*what, "endless headers" | "a header without end"));
    // Another device's receipt, an old one, and texts that are no receipts.
    let document = "eyJhbGciOiJFZERTQSJ9.eyJkZXZpY2UiOiJ4In0.AAAA";
    for text in ["", "a.b.c", document, &"A".repeat(30_000)] {
        all.push(("a receipt that is none", Say::Json(json!({ "receipt": text }))));
    }
    for (what, say) in all {
        agent.ok(&["ddns", "on"]);
        fake.say_at("/v1/ddns/forget", &say);
        let begun = Instant::now();
        let ran = agent.plain(&["ddns", "off"]);
        assert_clear(&ran, what, begun);
        assert_eq!(ran.code, Some(3), "{what}: {ran:?}");
        assert_eq!(agent.status()["owed"], json!(["ddns"]), "{what}");
        assert_well(&agent, what);
    }
    receipts_for_something_else(&world, &agent, &fake);
    drop(fake);
    world.hub.serve();
    until("the erasure", SOON, || (agent.status()["owed"] == json!([])).then_some(()));
}

/// Signed by this very hub, and right but for one word.
fn receipts_for_something_else(world: &World, agent: &Agent, fake: &Fake) {
    for (field, value) in
        [("device", "x"), ("feature", "link"), ("nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAA")]
    {
        let (keys, id) = (Keys::load(world.hub.dir()).expect("keys"), agent.id());
        fake.say(move |_, body| {
            let mut receipt = json!({
                "device": id, "feature": "ddns", "nonce": body["nonce"], "erased_at": 1, "rows": {}, "kept": [],
            });
            receipt[field] = json!(value);
            Say::Json(json!({ "receipt": signed::sign(&receipt, receipt::TYPE, &keys.receipt) }))
        });
        agent.ok(&["ddns", "on"]);
        let ran = agent.plain(&["ddns", "off"]);
        assert_eq!(ran.code, Some(3), "{field}: {ran:?}");
        assert!(ran.stderr.contains("the receipt speaks of another"), "{field}: {ran:?}");
        assert_eq!(agent.status()["owed"], json!(["ddns"]), "{field}");
    }
}

#[test]
fn lies_about_an_update_are_told_and_tried_again_ever_less_often() {
    let (mut world, agent, fake) = member_of_a_liar();
    let all: Vec<_> = lies()
        .into_iter()
        .filter(|(what, _)| {
            ["binary", "deep objects", "one GB", "a header without end", "a refusal that acts"]
                .contains(what)
        })
        .chain([
            ("an address that is none", Say::Json(json!({ "a": "x", "aaaa": null, "observed": "y" }))),
            ("a wait beyond numbers", Say::Raw(b"HTTP/1.1 503 No\r\nretry-after: 99999999999999999999\r\ncontent-length: 0\r\n\r\n".to_vec())),
        ])
        .collect();
    agent.ok(&["ddns", "on"]);
    let mut from = DEVICE.to_owned();
    for (n, (what, say)) in all.into_iter().enumerate() {
        let asked = fake.asked.load(Ordering::Relaxed);
        fake.say_at("/v1/ddns/update", &say);
        let to = format!("203.0.113.{}", 20 + n);
        world.net.move_device(&from, &to);
        from = to;
        // Where a try fell into the wait of the last one, it is made when that is over.
        let late = 4 * SOON;
        until(what, late, || (fake.asked.load(Ordering::Relaxed) > asked).then_some(()));
        let told = until(what, SOON, || {
            let status = agent.status();
            let all = status["warnings"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|warning| warning["code"] == "ddns-stale")
        });
        let details = told["details"].as_str().unwrap_or_default();
        assert!(!details.is_empty() && !details.contains(acts), "{what}: {details:?}");
        assert_well(&agent, what);
    }
    // No storm: each change was one try, and what failed waits.
    assert!(fake.asked.load(Ordering::Relaxed) < 20, "{:?} tries", fake.asked);
    drop(fake);
    world.hub.serve();
    world.net.move_device(&from, DEVICE);
    until("the honest hub", SOON, || (world.hub.rows("ddns") == 1).then_some(()));
}

#[test]
fn a_hub_of_one_byte_a_second_costs_fifteen_seconds_and_no_more() {
    let (_world, agent, fake) = member_of_a_liar();
    for say in [Say::Slow, Say::Silence] {
        fake.say_at("/v1/privacy/export", &say);
        let begun = Instant::now();
        let ran = agent.plain(&["privacy", "export"]);
        assert_clear(&ran, "slow", begun);
        assert_eq!(ran.code, Some(8), "{ran:?}");
        assert!(ran.stderr.contains("did not answer in 15 s"), "{ran:?}");
    }
    assert_well(&agent, "slow");
}
