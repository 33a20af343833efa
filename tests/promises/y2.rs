//! Y2: the hub keeps visitors' addresses masked: IPv4 to /24, IPv6 to /48.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::{HUB6, Line, VISITOR, VISITOR6};
use crate::common::page::Page;
use crate::common::process::{run, until_equal};
use crate::common::visitor::{curl, fetch};
use crate::common::watch::{files_with, holds};
use std::net::IpAddr;
use std::time::Duration;

/// Guard: `hub-mask`, where a line of the connection log is made.
#[test]
fn y2_the_hub_keeps_visitors_addresses_masked_only() {
    let world = World::with_hub(Line::Direct, &["--listen", "[::]:443", "--dns", "[::]:53"]);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let (visitor, url) = (&world.net.visitor, format!("https://{}/", link_host("box")));
    assert_eq!(fetch(visitor, &certificate, &url).ok(), "a page");
    let mut over_ipv6 = curl(visitor, &certificate, &url);
    over_ipv6.args(["--connect-to", &format!("::[{HUB6}]:443")]);
    assert_eq!(run(over_ipv6, Duration::from_secs(20)).ok(), "a page");
    // The attack: visitors that are refused, and one that is cut, leave no more than that either.
    let refused = fetch(visitor, &certificate, &format!("https://no.{}/", link_host("box")));
    assert_ne!(refused.code, Some(0));
    until_equal("the connection log", Duration::from_secs(10), &2, || world.hub.rows("link_log"));

    for address in [VISITOR, VISITOR6] {
        let raw = match address.parse().expect("an address") {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        for trace in [address.as_bytes(), &raw] {
            let found = files_with(world.hub.dir(), trace);
            assert!(found.is_empty(), "{address} stands in {found:?}");
            let logged = holds(world.hub.log_text().as_bytes(), trace);
            assert!(!logged, "{address} stands in the hub's log");
        }
    }
    for masked in ["192.0.2.0", "2001:db8:9::"] {
        assert!(!files_with(world.hub.dir(), masked.as_bytes()).is_empty(), "{masked} is nowhere");
    }
}
