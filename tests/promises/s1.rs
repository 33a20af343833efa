//! S1: everything confidential between agent and hub is authenticated and encrypted.

use crate::ask::Papers;
use crate::common::World;
use crate::common::agent::link_host;
use crate::common::hub::Hub;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{Ran, until};
use crate::common::visitor::fetch;
use crate::common::watch::{Capture, holds};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::Value;
use std::time::Duration;

/// What the page says.
const PAGE: &str = "canary-of-the-page-61c20b9f";
/// The name is public: it stands in DNS, and in the hello of each visitor's TLS.
const NAME: &str = "public-name-77ab";

/// Guard: `api-tls`, the `https` of the requests to the hub.
///
/// The attack is the one that everybody on the way can make: to read along.
#[test]
fn s1_no_word_of_a_whole_life_passes_in_clear() {
    let world = World::new(Line::Direct);
    let net = &world.net;
    let mut agent = world.agent("");
    agent.start();
    let mut of_line = Capture::begin(&net.router, &world.scratch.path("line.pcap"));
    let mut of_device = Capture::begin(&net.device, &world.scratch.path("device.pcap"));
    let (registered, mut secrets) = registered(&world.hub, || {
        agent.command(&[
            "register",
            "--name",
            NAME,
            "--hub",
            &world.hub.url(),
            "--hub-pin",
            &world.hub.pin,
        ])
    });
    let mut life = Vec::new();
    secrets.extend(spki(&agent.state_dir().join("device.key")));
    if registered.code == Some(0) {
        for line in Papers::of(&agent).certificate().lines().filter(|line| !line.contains('-')) {
            secrets.push(line.into());
            secrets.extend(BASE64.decode(line.as_bytes()).ok());
        }
        agent.ok(&["ddns", "on"]);
        let page = Page::open(&net.device, PAGE);
        let certificate = agent.link_up(&page.url());
        let url = format!("https://{}/", link_host(NAME));
        assert_eq!(fetch(&net.visitor, &certificate, &url).ok(), PAGE);
        life = ["ddns", "link"].map(|feature| agent.ok(&[feature, "off"])).to_vec();
        life.push(agent.ok(&["unregister"]));
    }
    let (line, device) = (of_line.end(), of_device.end());

    for answer in &life {
        secrets.push(answer["receipt"]["nonce"].as_str().expect("a nonce").into());
        secrets.push(answer["document"].as_str().expect("a receipt").into());
    }
    secrets.push(PAGE.into());
    secrets.extend([b"/v1/".to_vec(), b"application/json".to_vec(), b"user_code".to_vec()]);
    for secret in &secrets {
        let shown = String::from_utf8_lossy(secret);
        assert!(!holds(&line, secret), "in clear: {shown}");
    }
    assert_eq!(registered.code, Some(0), "{registered:?}");
    assert!(secrets.len() > 20, "only {} marks were looked for", secrets.len());
    // The search does find what is in clear: the public name on the line, the page inside of the device.
    assert!(
        holds(&line, NAME.as_bytes()) && holds(&device, PAGE.as_bytes()),
        "the search finds nothing"
    );
}

/// Runs a registration and approves it. Gives how it ended, and what was said on the way.
fn registered(hub: &Hub, register: impl FnOnce() -> Ran + Send) -> (Ran, Vec<Vec<u8>>) {
    std::thread::scope(|scope| {
        let asked = scope.spawn(register);
        let waiting = until("a code, or the end", Duration::from_secs(30), || {
            let text = hub.command(&["pending", "--json"]).ok();
            let waiting: Value = serde_json::from_str(&text).expect("JSON");
            let first = waiting["pending"].get(0).cloned();
            first.or_else(|| asked.is_finished().then_some(Value::Null))
        });
        let mut said = Vec::new();
        if let Some(code) = waiting["code"].as_str() {
            let words = waiting["words"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let words = words.collect::<Vec<_>>().join(" ");
            hub.command(&["approve", code, "--words", &words]).ok();
            said.extend([code.into(), words.into_bytes()]);
        }
        (asked.join().expect("an end"), said)
    })
}

/// The public key, as it is and as it is sent.
fn spki(path: &std::path::Path) -> [Vec<u8>; 2] {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::from_pkcs8(&std::fs::read(path).expect("its key")).expect("a key");
    let key = pair.public_key().as_ref().to_vec();
    // Twelve bytes of algorithm stand before it: a whole number of base64's groups.
    let sent = BASE64URL_NOPAD.encode(&key).into_bytes();
    [key, sent]
}
