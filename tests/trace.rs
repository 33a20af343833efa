//! The ledger against the kernel's own record: `strace` sees every socket call of the agent in a whole life,
//! and each destination that it sees stands in a line of the ledger, and no other one does.
//!
//! The calls are those by which packets leave: `connect` of TCP, and sends of any kind on UDP. A `connect`
//! of UDP sends nothing: alone it only asks the kernel for a route.
#![allow(clippy::disallowed_methods, reason = "stands for everybody but the agent")]

#[path = "trace/calls.rs"]
mod calls;
#[path = "common/mod.rs"]
mod common;

use calls::{Calls, Destination, Transport};
use common::World;
use common::agent::{Agent, ddns_host, link_host};
use common::net::{DEVICE, HUB, HUB6, Line};
use common::page::Page;
use common::process::{until, until_equal};
use common::visitor::{Answer, dig, fetch};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Which guard each test stands behind.
const GUARDS: &[(&str, &str)] =
    &[("every_destination_of_a_life_stands_in_the_ledger", "ledger-peer")];
/// Everything that opens, closes, copies and uses sockets, and what would get around these.
const TRACED: &str =
    "trace=%net,close,dup,dup2,dup3,fcntl,write,writev,sendfile,splice,io_uring_setup,execve";
const SOON: Duration = Duration::from_secs(20);
/// Where the device goes when its line gets another address.
const MOVED: &str = "203.0.113.77";

/// Tells the runner of the sabotage which test shall fail of which guard.
#[test]
#[ignore = "prints the table for the runner of the sabotage"]
#[allow(clippy::print_stdout, reason = "its output is read by another program")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}

/// Guard: `ledger-peer`, by which a flow's line learns whom it reached.
#[test]
fn every_destination_of_a_life_stands_in_the_ledger() {
    let mut world = World::new(Line::Direct);
    let path = world.scratch.path("calls");
    let mut agent = traced(&world, &path);
    agent.start();
    let ledger = life(&mut world, &agent);
    assert!(agent.stop(SOON).success(), "it did not end in order");

    let text = std::fs::read_to_string(&path).expect("what strace wrote");
    let calls = Calls::read(&text);
    assert_eq!(calls.strange, Vec::<String>::new(), "sockets that are nobody's business");
    let written = destinations(&ledger);
    let unwritten: Vec<_> = calls.sent_to.difference(&written).collect();
    assert!(unwritten.is_empty(), "not in the ledger: {unwritten:?}; there is {written:?}");
    let unsent: Vec<_> = written.difference(&calls.sent_to).collect();
    assert!(unsent.is_empty(), "only in the ledger: {unsent:?}");
    let kinds: BTreeSet<_> = calls.sent_to.iter().map(|to| (to.transport, to.port == 53)).collect();
    let wanted = [(Transport::Tcp, false), (Transport::Udp, false), (Transport::Udp, true)];
    assert_eq!(kinds, BTreeSet::from(wanted), "this life did not use everything");
    assert!(calls.routes_asked > 0, "no UDP socket was only asked for a route");
}

/// The attack: a line is taken out of what is compared. That destination must be missed, so that the comparison
/// is one.
#[test]
fn a_destination_without_a_line_is_found() {
    let world = World::new(Line::Direct);
    let path = world.scratch.path("calls");
    let mut agent = traced(&world, &path);
    agent.start();
    agent.register(&world.hub, "box");
    let mut ledger = agent.ledger_since(0);
    ledger.retain(|line| line["proto"] != "dns");
    agent.stop(SOON);
    let calls = Calls::read(&std::fs::read_to_string(&path).expect("what strace wrote"));
    let server =
        Destination { transport: Transport::Udp, ip: HUB.parse().expect("an ip"), port: 53 };
    let unwritten: Vec<_> = calls.sent_to.difference(&destinations(&ledger)).cloned().collect();
    assert_eq!(unwritten, [server]);
}

/// The attack: a hub with a second address that nobody listens at. It is tried first, and given up.
#[test]
fn an_address_that_did_not_answer_stands_in_the_ledger_too() {
    let world = World::with_hub(Line::Direct, &["--address", HUB6]);
    world.net.device.ip("addr add 2001:db8:3::10/64 dev eth0 nodad");
    world.net.router.ip("addr add 2001:db8:3::fe/64 dev d0 nodad");
    world.net.device.ip("-6 route add default via 2001:db8:3::fe");
    let path = world.scratch.path("calls");
    let mut agent = traced(&world, &path);
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["link", "on"]);
    agent.wait_for_link();
    agent.ok(&["link", "off"]);
    let written = destinations(&agent.ledger_since(0));
    agent.stop(SOON);
    let calls = Calls::read(&std::fs::read_to_string(&path).expect("what strace wrote"));
    let unwritten: Vec<_> = calls.sent_to.difference(&written).collect();
    assert!(unwritten.is_empty(), "not in the ledger: {unwritten:?}; there is {written:?}");
}

/// An agent under `strace`, which lets it stay the child that gets the signals (`-D`).
fn traced(world: &World, path: &Path) -> Agent {
    let mut agent = world.agent("");
    let path = path.to_string_lossy();
    agent.start_through(&[
        "strace",
        "-D",
        "-f",
        "-qq",
        "-s",
        "8",
        "-v",
        "-e",
        TRACED,
        "-e",
        "signal=none",
        "-o",
        &path,
    ]);
    agent
}

/// All features on and off again, visits, another address, a hub that crashes. Gives the whole ledger.
fn life(world: &mut World, agent: &Agent) -> Vec<Value> {
    let refused =
        agent.command(&["register", "--name", "box", "--hub", &format!("https://{HUB}:9")]);
    assert_eq!(refused.code, Some(8), "nobody is there: {refused:?}");
    agent.register(&world.hub, "box");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    named(world, DEVICE);
    let visit = || {
        let url = format!("https://{}/", link_host("box"));
        fetch(&world.net.visitor, &certificate, &url).ok()
    };
    assert_eq!(visit(), "a page");
    world.net.move_device(DEVICE, MOVED);
    named(world, MOVED);
    drop(page);
    world.hub.kill();
    until("the loss of the session", Duration::from_secs(100), || {
        (agent.feature("link")["facts"]["up"] != true).then_some(())
    });
    world.hub.serve();
    agent.wait_for_link();
    for feature in ["ddns", "link"] {
        agent.ok(&[feature, "off"]);
    }
    agent.ok(&["unregister"]);
    until_equal("what is owed", SOON, &json!([]), || agent.status()["owed"].clone());
    agent.ledger_since(0)
}

fn named(world: &World, ip: &str) {
    until_equal("the name", Duration::from_secs(60), &Answer::address(ip), || {
        dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp")
    });
}

/// Whom the ledger says something was sent to: the address it reached, or tried, when it was meant for one.
fn destinations(ledger: &[Value]) -> BTreeSet<Destination> {
    ledger.iter().filter_map(destination).collect()
}

fn destination(line: &Value) -> Option<Destination> {
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    let transport = match text("proto") {
        "https" | "tcp" => Transport::Tcp,
        "quic" | "dns" => Transport::Udp,
        _ => panic!("a new kind of line: {line}"),
    };
    let tried = text("dest").parse().ok().filter(|_| !text("result").starts_with("refused"));
    let to: SocketAddr = match (text("ip").parse(), line["port"].as_u64()) {
        (Ok(ip), Some(port)) => SocketAddr::new(ip, u16::try_from(port).expect("a port")),
        _ => tried?,
    };
    Some(Destination { transport, ip: to.ip(), port: to.port() })
}
