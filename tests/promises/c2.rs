//! C2: data is used only while its feature is on. With everything off, no packet leaves.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::{DEVICE, Line, Net};
use crate::common::process::until;
use crate::common::watch::Counter;
use nix::time::{ClockId, clock_gettime, clock_settime};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Users that nothing else runs as.
const LEFT: u32 = 61_021;
const FRESH: u32 = 61_022;
/// How long nothing may leave.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two things that happen to the box.
const BETWEEN: Duration = Duration::from_secs(4);
/// How far the boot clock of the restarted agent is ahead: as after a suspend of forty days, when whatever is timed is due.
const LATER: &str = "3456000";

/// Guard: `feature-switch`, what decides whether a feature is opened.
///
/// Two agents: one that was registered with everything on and then switched everything off, and one that
/// was never registered. Both see addresses come and go, routes change and the wall clock being set; the
/// first is started anew in a time namespace whose boot clock is forty days on (the clock of a running
/// process cannot be moved). Setting the wall clock to what it shows tells every program that it was set.
#[test]
fn c2_with_all_off_no_packet_leaves_whatever_happens_to_the_box() {
    let world = World::new(Line::Direct);
    let mut left = Agent::new(&world.net.device, &world.scratch.path("left"), Some(LEFT), "");
    left.start();
    left.register(&world.hub, "box");
    for feature in ["ddns", "link"] {
        left.ok(&[feature, "on"]);
    }
    left.wait_for_link();
    until("the update", Duration::from_secs(10), || (world.hub.rows("ddns") == 1).then_some(()));
    for feature in ["ddns", "link"] {
        left.ok(&[feature, "off"]);
    }
    assert!(left.stop(Duration::from_secs(5)).success());

    // From here on, with the starts in it.
    let counter = Counter::new(&world.net.device, LEFT);
    let shift = ["unshare", "--time", "--boottime", LATER, "--fork", "--kill-child"];
    left.start_through(&shift);
    left.start();
    let other = Net::new(Line::Direct);
    let fresh_counter = Counter::new(&other.device, FRESH);
    let mut fresh = Agent::new(&other.device, &world.scratch.path("fresh"), Some(FRESH), "");
    fresh.start();
    let begun = Instant::now();
    while begun.elapsed() < SILENCE {
        for net in [&world.net, &other] {
            shake(net);
        }
        sleep(BETWEEN);
        for (who, counter) in [("left", &counter), ("fresh", &fresh_counter)] {
            assert_eq!(counter.packets(), 0, "the {who} agent sent packets with everything off");
        }
    }
    for agent in [&left, &fresh] {
        assert_eq!(agent.status()["running"], true, "an agent does not run any more");
    }

    // The counters do count, and the agents can send: this is what they see of one feature.
    left.ok(&["ddns", "on"]);
    until("an update", Duration::from_secs(10), || (counter.packets() > 0).then_some(()));
    let ran = fresh.command(&["register", "--hub", "https://203.0.113.254:9", "--name", "box"]);
    assert_eq!(ran.code, Some(8), "nobody is there: {ran:?}");
    assert!(fresh_counter.packets() > 0, "the counter does not count");
}

/// What happens to a box in a year, in a second: addresses, routes, the link itself, the wall clock.
fn shake(net: &Net) {
    let device = &net.device;
    device.ip("addr add 203.0.113.99/24 dev eth0");
    device.ip("addr add 2001:db8:7::1/64 dev eth0 nodad");
    net.move_device(DEVICE, "203.0.113.11");
    net.move_device("203.0.113.11", DEVICE);
    device.ip("addr del 203.0.113.99/24 dev eth0");
    device.ip("addr del 2001:db8:7::1/64 dev eth0");
    device.ip("route add 198.18.0.0/15 via 203.0.113.254");
    device.ip("route del 198.18.0.0/15 via 203.0.113.254");
    device.ip("link set eth0 down");
    device.ip("link set eth0 up");
    device.ip("route replace default via 203.0.113.254");
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("the wall clock");
    clock_settime(ClockId::CLOCK_REALTIME, now).expect("root may set the wall clock");
}
