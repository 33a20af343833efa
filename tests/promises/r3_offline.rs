//! R3, offline: whoever leaves while the hub is away has left all the same, and is forgotten when it is back.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::hub::{TABLES, ZONE};
use crate::common::impostor::Impostor;
use crate::common::net::{HUB, Line};
use crate::common::page::Page;
use crate::common::process::{until, until_equal};
use crate::common::watch::Capture;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::{Wall, system_wall};
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::keys::Keys;
use qcloud_agent::wire::receipt::{Receipt, TYPE};
use qcloud_agent::wire::signed;
use ring::signature::Ed25519KeyPair;
use rustls::ServerConfig;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);
/// How long what leaves is watched.
const WATCHED: Duration = Duration::from_secs(8);
const ON: &str = "[ddns]\nenabled = true\n\n[link]\nenabled = true";

/// Guard: `erasure-owed`, what takes a debt up again after a restart.
///
/// The attacks: the line is dead and drops packets without a word; the agent dies by `kill -9` with its debt; it
/// comes back as after a reboot, with nothing of its features in the configuration any more.
#[test]
fn r3_unregistering_offline_is_settled_within_a_minute_of_the_lines_return() {
    let world = World::new(Line::Direct);
    let mut agent = in_use(&world);
    let key = BASE64URL_NOPAD.encode(&receipt_key(&world));
    world.net.cut();
    let ran = agent.command(&["unregister"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("has not erased its part yet"), "it does not say so: {ran:?}");
    stands_in_debt(&agent);
    assert_eq!(agent.feature("link")["facts"]["up"], false, "the session stands");

    // Nothing leaves but the demand: no session, no DDNS.
    let before = agent.ledger_lines();
    let mut capture = Capture::begin(&world.net.device, &world.scratch.path("device.pcap"));
    world.net.move_device("203.0.113.10", "203.0.113.11");
    sleep(WATCHED);
    capture.end();
    let parcels = parcels(&agent, before);
    assert_eq!(parcels, set(&["registration.forget", "egress.lookup"]));
    let quic = format!("udp and dst host {HUB} and dst port 443");
    assert_eq!(capture.lines(&quic), Vec::<String>::new(), "the session lives on");
    assert!(!capture.lines(&format!("dst host {HUB}")).is_empty(), "nothing was tried");

    agent.kill();
    agent.configure("");
    agent.start();
    stands_in_debt(&agent);
    agent.kill();
    agent.start();
    assert_eq!(world.hub.rows("device"), 1, "the hub could not know");
    world.net.mend();
    let back = Instant::now();
    until_equal("what is owed", BOUND, &json!([]), || agent.status()["owed"].clone());
    assert!(back.elapsed() <= BOUND, "{:?}", back.elapsed());
    for table in TABLES {
        assert_eq!(world.hub.rows(table), 0, "rows are left in {table}");
    }
    let shown = agent.ok(&["privacy", "status"])["receipts"].clone();
    let shown = shown.as_array().expect("receipts");
    let receipt = shown.iter().find(|receipt| receipt["feature"] == "registration");
    let receipt = receipt.unwrap_or_else(|| panic!("not among {shown:?}"));
    assert_eq!(receipt["key"], json!(key));
    assert!(receipt["rows"].as_u64() >= Some(1), "the device: {receipt}");
    let document = receipt["document"].as_str().expect("a document");
    let key = BASE64URL_NOPAD.decode(key.as_bytes()).expect("base64url");
    signed::verify::<Receipt>(document, TYPE, &key).expect("what is shown verifies");
}

/// Guard: `receipt-signature`.
///
/// The attack: somebody with the hub's name, address and certificate says 200 and nothing more, something else, or
/// what it signed with a key of its own.
#[test]
fn r3_a_success_without_the_hubs_receipt_leaves_the_debt() {
    let world = World::new(Line::Direct);
    let agent = in_use(&world);
    let (device, tries) = (agent.id(), AtomicUsize::new(0));
    let impostor = Impostor::open(&world.net.hub, as_the_hub(&world), move |_, demand| {
        let key = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key");
        let receipt = Receipt {
            device: device.clone(),
            feature: "registration".into(),
            nonce: demand["nonce"].as_str().expect("a nonce").into(),
            erased_at: Wall::default(),
            rows: [("device".to_owned(), 1)].into(),
            kept: Vec::new(),
        };
        let forged = signed::sign(&receipt, TYPE, &key);
        let said = [json!({}), json!({"receipt": ""}), json!({"receipt": forged}), json!("ok")];
        let turn = tries.fetch_add(1, Ordering::Relaxed);
        (200, said[turn % said.len()].clone())
    });
    world.net.divert(impostor.port, 9);
    let ran = agent.command(&["unregister"]);
    assert_eq!(ran.code, Some(3), "it was believed: {ran:?}");
    until("four tries", BOUND, || (impostor.asked().len() >= 4).then_some(()));
    stands_in_debt(&agent);
    assert_eq!(agent.status()["receipts"], json!([]));
    assert_eq!(world.hub.rows("device"), 1);

    world.net.undivert();
    until_equal("what is owed", BOUND, &json!([]), || agent.status()["owed"].clone());
    assert_eq!(world.hub.rows("device"), 0);
}

/// Registered, with everything on by its configuration.
fn in_use(world: &World) -> Agent {
    let agent = world.member("box", ON);
    let page = Page::open(&world.net.device, "a page");
    agent.ok(&["link", "publish", "web", &page.url()]);
    agent.wait_for_link();
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    agent
}

fn stands_in_debt(agent: &Agent) {
    let status = agent.status();
    let owed = status["owed"].as_array().expect("a list");
    assert!(owed.contains(&json!("registration")), "{status}");
    assert_eq!(status["registered"], Value::Null);
    assert_eq!(agent.feature("registration")["state"], "leaving");
}

fn parcels(agent: &Agent, since: u64) -> BTreeSet<String> {
    let lines = agent.ledger_since(since);
    lines.iter().filter_map(|line| line["parcel"].as_str().map(String::from)).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn receipt_key(world: &World) -> Vec<u8> {
    use ring::signature::KeyPair;
    let keys = Keys::load(world.hub.dir()).expect("the hub's keys");
    keys.receipt.public_key().as_ref().to_vec()
}

/// TLS with the hub's own authority.
fn as_the_hub(world: &World) -> ServerConfig {
    let keys = Keys::load(world.hub.dir()).expect("the hub's keys");
    let config = Config::load(world.hub.dir()).expect("its configuration");
    assert_eq!(config.zone, ZONE);
    let leaf =
        keys.server_leaf(&config.host, &config.addresses, system_wall()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(leaf.chain, leaf.key)
        .expect("a certificate that fits")
}
