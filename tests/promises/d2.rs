//! D2: the name answers, with authority, with the address of the device's line.

use crate::common::World;
use crate::common::agent::ddns_host;
use crate::common::net::{DEVICE, Line, OUTSIDE};
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Guard: `hub-observed`, what the hub takes for the address of a device behind a router.
#[test]
fn d2_the_name_answers_with_the_address_of_the_line() {
    for (line, wanted) in [(Line::Direct, DEVICE), (Line::Nat, OUTSIDE)] {
        let world = World::new(line);
        let agent = world.member("box", "");
        agent.ok(&["ddns", "on"]);
        for over in ["+notcp", "+tcp"] {
            until_equal(&format!("{line:?} {over}"), SOON, &Answer::address(wanted), || {
                dig(&world.net.visitor, &ddns_host("box"), "A", over)
            });
        }
    }
}

/// The attack: the line that the hub sees is a private one. A name that led there would let a page of the
/// internet reach into its visitor's own network. Guard: `hub-publishable`.
#[test]
fn d2_a_private_address_is_never_published() {
    let world = World::new(Line::Private);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    for over in ["+notcp", "+tcp"] {
        for kind in ["A", "AAAA", "ANY"] {
            let answer = dig(&world.net.visitor, &ddns_host("box"), kind, over);
            let inside = |value: &String| value.starts_with("192.168.") || value.starts_with("10.");
            assert!(!answer.values.iter().any(inside), "{kind} {over}: {answer:?}");
        }
    }
    let answer = dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp");
    assert_eq!(answer.values, Vec::<String>::new());
}
