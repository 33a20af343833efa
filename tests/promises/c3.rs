//! C3: a feature that is on uses its own channels and no others.

use crate::common::World;
use crate::common::agent::{Agent, link_host};
use crate::common::net::{DEVICE, HUB, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::fetch;
use crate::common::watch::Capture;
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A registered agent that does not run, with its ledger's length.
fn settled(world: &World) -> (Agent, u64) {
    let mut agent = world.member("box", "");
    let lines = agent.ledger_lines();
    assert!(agent.stop(Duration::from_secs(5)).success());
    (agent, lines)
}

/// The parcels in the ledger behind this line, looked up at a stop so that all of them are there.
fn parcels(agent: &mut Agent, behind: u64) -> BTreeSet<String> {
    assert!(agent.stop(Duration::from_secs(5)).success());
    let lines = agent.ledger_since(behind);
    lines.iter().filter_map(|line| line["parcel"].as_str().map(String::from)).collect()
}

/// What would wake whoever listens to the box's addresses.
fn events(world: &World) {
    for (from, to) in [(DEVICE, "203.0.113.11"), ("203.0.113.11", DEVICE)] {
        world.net.move_device(from, to);
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Guard: `feature-switch`: with it off, a feature that nobody switched on opens its channel.
#[test]
fn c3_ddns_alone_uses_only_its_own_channels() {
    let world = World::new(Line::Direct);
    let (mut agent, before) = settled(&world);
    let mut capture = Capture::begin(&world.net.device, &world.scratch.path("device.pcap"));
    agent.configure("[ddns]\nenabled = true");
    agent.start();
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    events(&world);
    let parcels = parcels(&mut agent, before);
    capture.end();
    assert_eq!(parcels, set(&["ddns.update", "egress.lookup"]));
    assert!(!capture.lines(&format!("tcp and dst host {HUB} and dst port 443")).is_empty());
    let asked = format!("udp and dst host {HUB} and dst port 53");
    assert!(!capture.lines(&asked).is_empty(), "no question to the name server was seen");
    only(&capture, &format!("(tcp and dst host {HUB} and dst port 443) or ({asked})"));
    assert_eq!(world.hub.rows("link_log"), 0);
}

/// Guard: `feature-switch`, likewise.
#[test]
fn c3_link_alone_uses_only_its_own_channels() {
    let world = World::new(Line::Direct);
    let (mut agent, before) = settled(&world);
    let mut capture = Capture::begin(&world.net.device, &world.scratch.path("device.pcap"));
    let page = Page::open(&world.net.device, "a page");
    agent.configure("[link]\nenabled = true");
    agent.start();
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
    events(&world);
    let parcels = parcels(&mut agent, before);
    capture.end();
    assert_eq!(parcels, set(&["link.session", "link.services", "link.origin", "egress.lookup"]));
    let quic = format!("udp and dst host {HUB} and dst port 443");
    assert!(!capture.lines(&quic).is_empty(), "no QUIC was seen");
    // The tripwire is TCP to the same port: 17 bytes, and no TLS.
    let tripwire = format!("tcp and dst host {HUB} and dst port 443");
    assert!(!capture.lines(&tripwire).is_empty(), "no tripwire was seen");
    // The list of services, which changed once, is the only call of the API.
    let hello = format!(
        "{tripwire} and tcp[(tcp[12] >> 4) * 4] = 0x16 and tcp[(tcp[12] >> 4) * 4 + 5] = 1"
    );
    let calls: BTreeSet<_> = capture.lines(&hello).into_iter().collect();
    assert_eq!(calls.len(), 1, "calls of the API: {calls:?}");
    let asked = format!("udp and dst host {HUB} and dst port 53");
    only(&capture, &format!("({quic}) or ({tripwire}) or ({asked})"));
    assert_eq!(world.hub.rows("ddns"), 0, "the link wrote a DDNS row");
}

/// Asserts that nothing else went out to anybody. Neighbour discovery and errors are the kernel's own.
fn only(capture: &Capture, allowed: &str) {
    let out = "(ip or ip6) and not dst net 203.0.113.0/24 and not net 127.0.0.0/8";
    let kernel = "icmp or igmp or icmp6 or (ip6 and ip6[6] = 0)";
    let other = format!("{out} and not ({kernel}) and not ({allowed})");
    assert_eq!(capture.lines(&other), Vec::<String>::new(), "other channels were used");
}
