//! R3: whoever leaves is forgotten; whoever ends one service is forgotten by it.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host, link_host};
use crate::common::hub::{Hub, TABLES};
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig, fetch};
use crate::common::watch::files_with;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::seal_key;
use qcloud_agent::wire::receipt::{self, Demand, Receipt};
use serde_json::Value;
use std::time::Duration;

/// A name that nothing else spells.
const NAME: &str = "leaver-5f31c7";

/// Guard: `hub-erase`, the deletion of rows.
#[test]
fn r3_unregistering_leaves_nothing_at_the_hub() {
    let world = World::new(Line::Direct);
    let (agent, key, id) = settled(&world);
    let hub = &world.hub;
    let config = Config::load(hub.dir()).expect("its configuration");
    let seal = seal_key::load(hub.dir(), &config).expect("its key");
    // Name and address lie sealed: what they are found by is what can be searched for.
    let mark = seal.index("device.name", NAME);
    let traces = [("its name's mark", &mark[..]), ("its id", id.as_bytes())];
    for (what, trace) in traces {
        assert!(!files_with(hub.dir(), trace).is_empty(), "the search does not find {what}");
    }

    // One service ends: its rows go, the others stay.
    verified(&agent.ok(&["ddns", "off"]), &key, &id, "ddns");
    assert_eq!(hub.rows("ddns"), 0, "rows of ddns are left");
    assert_eq!((hub.rows("device"), hub.rows("link_log")), (1, 1));

    let receipt = verified(&agent.ok(&["unregister"]), &key, &id, "registration");
    assert!(receipt.kept.is_empty(), "something was kept: {:?}", receipt.kept);
    for table in TABLES {
        assert_eq!(hub.rows(table), 0, "rows are left in {table}");
    }
    assert!(hub.devices().is_empty());
    let plain = [("its name", NAME.as_bytes()), ("its address", DEVICE.as_bytes())];
    for (what, trace) in traces.into_iter().chain(plain) {
        let left = files_with(hub.dir(), trace);
        assert!(left.is_empty(), "{what} stands in {left:?}");
    }
    assert_eq!(agent.status()["registered"], Value::Null);
}

/// The attack: a hub that says it erased, and signs with a key that is not the one of the registration.
/// Guard: `receipt-signature`.
#[test]
fn r3_a_receipt_that_the_hub_did_not_sign_settles_nothing() {
    let mut world = World::new(Line::Direct);
    let (agent, _, _) = settled(&world);
    let own = world.hub.dir().join("receipt.key");
    let kept = std::fs::read(&own).expect("the hub's receipt key");
    let other = world.scratch.path("other");
    let init = ["init", "--zone", "other.example.test", "--seal-key-beside-data"];
    let mut command = world.net.hub.command(env!("CARGO_BIN_EXE_qcloud-hub"));
    command.args(init).arg("--dir").arg(&other);
    crate::common::process::run(command, Duration::from_secs(20)).ok();

    world.hub.stop();
    std::fs::copy(other.join("receipt.key"), &own).expect("a forged key");
    world.hub.serve();
    let ran = agent.command(&["ddns", "off"]);
    assert_eq!(ran.code, Some(3), "a forged receipt was accepted: {ran:?}");
    assert_eq!(agent.status()["owed"], serde_json::json!(["ddns"]));

    // With its own key again, the hub is believed.
    world.hub.stop();
    std::fs::write(&own, kept).expect("the true key");
    world.hub.serve();
    until_equal("what is owed", Duration::from_secs(70), &serde_json::json!([]), || {
        agent.status()["owed"].clone()
    });
}

/// A registered device that uses everything: the agent, its hub's receipt key, and its id.
fn settled(world: &World) -> (Agent, Vec<u8>, String) {
    let agent = world.agent("");
    let mut agent = agent;
    agent.start();
    let membership = agent.register(&world.hub, NAME);
    let key = membership["receipt_key"].as_str().expect("a key");
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).expect("base64url");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let visitor = &world.net.visitor;
    until_equal("the name", Duration::from_secs(10), &Answer::address(DEVICE), || {
        dig(visitor, &ddns_host(NAME), "A", "+notcp")
    });
    fetch(visitor, &certificate, &format!("https://{}/", link_host(NAME))).ok();
    written_down(&world.hub);
    let id = agent.id();
    (agent, key, id)
}

fn written_down(hub: &Hub) {
    until_equal("the connection log", Duration::from_secs(10), &1, || hub.rows("link_log"));
    assert_eq!((hub.rows("device"), hub.rows("ddns")), (1, 1));
}

/// Verifies the receipt of an answer by hand, as its owner can, and that a flipped bit spoils it.
fn verified(answer: &Value, key: &[u8], device: &str, feature: &str) -> Receipt {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (document, nonce) = (text(&answer["document"]), text(&answer["receipt"]["nonce"]));
    let demand = Demand { device, feature, nonce: &nonce };
    for at in 0..document.len() {
        let mut bytes = document.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(forged) = String::from_utf8(bytes) else { continue };
        assert!(
            receipt::verify(&forged, key, demand).is_err(),
            "accepted with letter {at} changed"
        );
    }
    receipt::verify(&document, key, demand).expect("a receipt that holds")
}
