//! M2: a visitor needs the device's name and nothing else.

use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::net::{DEVICE, HUB, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig, fetch};
use crate::common::watch::{Capture, holds};
use std::time::Duration;

/// Guard: `hub-link-name`: link names answer with the hub's address, also for a device whose own address
/// the hub knows. The attack is to look for that address in all that a visitor sends and gets.
#[test]
fn m2_a_visitor_needs_only_the_name() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "the page of the name");
    let certificate = agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    let visitor = &world.net.visitor;
    until_equal("the DDNS name", Duration::from_secs(10), &Answer::address(DEVICE), || {
        dig(visitor, &ddns_host("box"), "A", "+notcp")
    });

    let mut capture = Capture::begin(visitor, &world.scratch.path("visitor.pcap"));
    let host = link_host("box");
    let names = [host.clone(), format!("web.{host}")];
    for name in &names {
        assert_eq!(dig(visitor, name, "A", "+notcp"), Answer::address(HUB), "{name}");
        assert_eq!(
            fetch(visitor, &certificate, &format!("https://{name}/")).ok(),
            "the page of the name"
        );
    }
    let seen = capture.end();
    for (what, trace) in traces() {
        assert!(!holds(&seen, &trace), "the visitor saw the device's address as {what}");
    }
    assert!(holds(&seen, &[198, 51, 100, 1]), "the search does not find the hub's address");

    // The search finds it where it is: in the answer of the other name.
    let mut capture = Capture::begin(visitor, &world.scratch.path("ddns.pcap"));
    dig(visitor, &ddns_host("box"), "A", "+notcp");
    assert!(holds(&capture.end(), &traces()[1].1), "the search does not find the address");
}

fn traces() -> [(&'static str, Vec<u8>); 2] {
    [("text", DEVICE.as_bytes().to_vec()), ("four bytes", vec![203, 0, 113, 10])]
}
