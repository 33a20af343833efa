//! D5: DDNS is switched off at any time.

use crate::common::World;
use crate::common::agent::ddns_host;
use crate::common::net::{DEVICE, Line};
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use std::time::Duration;

/// Guard: `hub-unname`, the removal of the name from the zone that answers. The attack is to ask in every
/// other way: over TCP, for other types, in other letters.
#[test]
fn d5_switched_off_the_name_is_gone_within_a_second() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let (visitor, host) = (&world.net.visitor, ddns_host("box"));
    until_equal("the name", Duration::from_secs(10), &Answer::address(DEVICE), || {
        dig(visitor, &host, "A", "+notcp")
    });
    assert_eq!(world.hub.rows("ddns"), 1);

    agent.ok(&["ddns", "off"]);
    until_equal("the name", Duration::from_secs(1), &Answer::no_such_name(), || {
        dig(visitor, &host, "A", "+notcp")
    });
    assert_eq!(world.hub.rows("ddns"), 0);
    for (name, kind, over) in [
        (host.clone(), "A", "+tcp"),
        (host.clone(), "AAAA", "+notcp"),
        (host.clone(), "ANY", "+tcp"),
        (host.to_uppercase(), "A", "+notcp"),
        (format!("www.{host}"), "A", "+notcp"),
    ] {
        assert_eq!(dig(visitor, &name, kind, over), Answer::no_such_name(), "{name} {kind} {over}");
    }
}
