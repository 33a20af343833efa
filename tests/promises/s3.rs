//! S3: who reads along, alters or repeats what passes between agent and hub gains nothing.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::hub::Hub;
use crate::common::net::{HUB, Line, Net};
use crate::common::process::until;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::wire::registration::poll_message;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The attack: an impostor with the hub's name and address, and an authority of its own. Guard: `pin`.
#[test]
fn s3_another_authoritys_certificate_is_refused() {
    let mut world = World::new(Line::Direct);
    let agent = {
        let mut agent = world.agent("");
        agent.start();
        agent
    };
    let pin = world.hub.pin.clone();
    world.hub.stop();
    let impostor = Hub::start(&world.net.hub, &world.scratch.path("impostor"), &[]);
    assert_ne!(impostor.pin, pin);
    let url = impostor.url();
    let ran = agent.command(&["register", "--name", "box", "--hub", &url, "--hub-pin", &pin]);
    assert_eq!(impostor.rows("pending"), 0, "the impostor was told something");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("certificate"), "it does not say why: {ran:?}");
}

/// The attack: a bit is changed on the way, in either direction, early and late.
#[test]
fn s3_a_changed_bit_ends_the_connection() {
    let world = World::new(Line::Direct);
    let tamper = Tamper::begin(&world.net);
    let agent = world.member("box", "");
    agent.ok(&["unregister"]);
    let first = tamper.seen().swap_remove(0);
    assert!(first.up.len() > 500 && first.down.len() > 500, "the tamperer sees nothing");
    for way in [Way::Up, Way::Down] {
        let length = if way == Way::Up { first.up.len() } else { first.down.len() };
        for percent in [5, 40, 80] {
            tamper.change(Some((way, length * percent / 100)));
            let before = world.hub.rows("pending");
            let ran = agent.command(&[
                "register",
                "--name",
                "box",
                "--hub",
                &world.hub.url(),
                "--hub-pin",
                &world.hub.pin,
            ]);
            assert_ne!(ran.code, Some(0), "{way:?} {percent} %: {ran:?}");
            assert!(!ran.stdout.contains("user_code"), "{way:?} {percent} %: {ran:?}");
            assert_eq!(tamper.changed(), 1, "{way:?} {percent} %: nothing was changed");
            if way == Way::Up {
                assert_eq!(world.hub.rows("pending"), before, "{percent} %: it was believed");
            }
        }
    }
    tamper.change(None);
    agent.register(&world.hub, "box");
}

/// The attack: everything that an agent once sent is sent again, by who has recorded it.
#[test]
fn s3_recorded_connections_say_nothing_a_second_time() {
    let world = World::new(Line::Direct);
    let tamper = Tamper::begin(&world.net);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until("an update", Duration::from_secs(10), || (world.hub.rows("ddns") == 1).then_some(()));
    agent.ok(&["ddns", "off"]);
    agent.ok(&["unregister"]);
    agent.register(&world.hub, "box");
    let rows = || ["pending", "device", "ddns"].map(|table| world.hub.rows(table));
    let before = rows();
    assert_eq!(before, [1, 1, 0]);
    let seen = tamper.seen();
    assert!(seen.len() >= 4, "start, poll, update and forget: {}", seen.len());
    for recorded in seen {
        let mut tcp = world.net.visitor.inside(|| TcpStream::connect((HUB, 443)).expect("a port"));
        tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
        // It may hang up in the middle.
        let _ = tcp.write_all(&recorded.up);
        let _ = tcp.shutdown(Shutdown::Write);
        let _ = tcp.read_to_end(&mut Vec::new());
        assert_eq!(rows(), before, "it was believed");
    }
}

/// The attack, as far as it can go: the words themselves are known, from within TLS, and are said again.
#[test]
fn s3_repeated_words_are_refused_or_change_nothing() {
    let world = World::new(Line::Direct);
    let (from, hub) = (&world.net.visitor, &world.hub);
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let papers = Papers::new("", pkcs8.as_ref());
    let spki = BASE64URL_NOPAD.encode(&papers.spki());
    let start = json!({"spki": spki, "name": "box"});
    let (status, started) = ask(from, hub, None, "/v1/register/start", &start);
    assert_eq!(status, 200, "{started}");
    let code = started["device_code"].as_str().expect("a code");
    let signature = BASE64URL_NOPAD.encode(key.sign(&poll_message(code)).as_ref());
    let poll = json!({"device_code": code, "signature": signature});
    hub.command(&["approve", started["user_code"].as_str().expect("a code"), "--yes"]).ok();
    let (_, approved) = ask(from, hub, None, "/v1/register/poll", &poll);
    assert_eq!(approved["state"], "approved", "{approved}");

    let demand = json!({"nonce": "recorded"});
    for path in ["/v1/registration/forget", "/v1/ddns/forget", "/v1/link/forget"] {
        let (status, said) = ask(from, hub, None, path, &demand);
        assert_eq!(status, 401, "{path} without the device's certificate: {said}");
    }
    assert_eq!(hub.rows("device"), 1);
    let certificate = approved["certificate"].as_str().expect("a certificate");
    let papers = Papers::new(certificate, pkcs8.as_ref());
    let (status, _) = ask(from, hub, Some(&papers), "/v1/ddns/forget", &demand);
    assert_eq!(status, 200, "the device itself is refused");

    // A poll that is repeated while its code lives is answered again: the answer may have been lost. It
    // brings nobody back who has left.
    let forget = "/v1/registration/forget";
    assert_eq!(ask(from, hub, Some(&papers), forget, &demand).0, 200);
    let (_, again) = ask(from, hub, None, "/v1/register/poll", &poll);
    assert_eq!(again, json!({"state": "expired_token"}), "a recorded poll is good for ever");
    assert_eq!((hub.rows("pending"), hub.rows("device")), (0, 0));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// What passed on one connection.
#[derive(Clone, Default)]
struct Recorded {
    up: Vec<u8>,
    down: Vec<u8>,
}

#[derive(Default)]
struct Plan {
    seen: Vec<Recorded>,
    change: Option<(Way, usize)>,
    changed: usize,
}

/// Somebody on the way: the router takes the API's connections, and carries them itself.
struct Tamper(Arc<Mutex<Plan>>);

impl Tamper {
    fn begin(net: &Net) -> Self {
        let gate = "203.0.113.254";
        let listener = net.router.inside(|| TcpListener::bind((gate, 0)).expect("a port"));
        let port = listener.local_addr().expect("an address").port();
        let rule = format!(
            "table ip tamper {{ chain pre {{ type nat hook prerouting priority -100; \
             iifname \"d0\" ip daddr {HUB} tcp dport 443 dnat to {gate}:{port}; }}; }}"
        );
        net.router.tool("nft", &[&rule]);
        let (plan, router) = (Arc::<Mutex<Plan>>::default(), net.router.clone());
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            while let Ok((agent, _)) = listener.accept() {
                let hub = router.inside(|| TcpStream::connect((HUB, 443)).expect("the hub"));
                let number = {
                    let mut plan = shared.lock().expect("nobody panics here");
                    plan.seen.push(Recorded::default());
                    plan.seen.len() - 1
                };
                let pairs = [(Way::Up, &agent, &hub), (Way::Down, &hub, &agent)];
                for (way, from, to) in pairs {
                    let ends = (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
                    let plan = Arc::clone(&shared);
                    std::thread::spawn(move || carry(way, number, ends, &plan));
                }
            }
        });
        Self(plan)
    }

    fn change(&self, change: Option<(Way, usize)>) {
        let mut plan = self.0.lock().expect("nobody panics here");
        (plan.change, plan.changed) = (change, 0);
    }

    fn changed(&self) -> usize {
        self.0.lock().expect("nobody panics here").changed
    }

    fn seen(&self) -> Vec<Recorded> {
        self.0.lock().expect("nobody panics here").seen.clone()
    }
}

fn carry(way: Way, number: usize, (mut from, mut to): (TcpStream, TcpStream), plan: &Mutex<Plan>) {
    let mut block = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut block) {
        let part = &mut block[..read];
        {
            let mut plan = plan.lock().expect("nobody panics here");
            let recorded = &mut plan.seen[number];
            let all = if way == Way::Up { &mut recorded.up } else { &mut recorded.down };
            let begin = all.len();
            all.extend_from_slice(part);
            let due = plan.change.filter(|(which, at)| *which == way && *at >= begin);
            if let Some(byte) = due.and_then(|(_, at)| part.get_mut(at - begin)) {
                *byte ^= 1;
                plan.changed += 1;
                plan.change = None;
            }
        }
        if to.write_all(part).is_err() {
            break;
        }
    }
    // Gone already is as good.
    let _ = to.shutdown(Shutdown::Write);
}
