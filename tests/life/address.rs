//! The name follows the address of the line.

use crate::common::World;
use crate::common::agent::ddns_host;
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use std::time::{Duration, Instant};

/// Below the ten in ten minutes from which a line that flaps is slowed down, the first update included.
const CHANGES: u8 = 9;

/// From before the kernel knows of the address to the authoritative answer; `ip` and `dig` are in it.
#[test]
fn the_name_answers_with_a_new_address_within_a_second() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    let visitor = &world.net.visitor;
    let name = || dig(visitor, &ddns_host("box"), "A", "+notcp");
    until_equal("the name", Duration::from_secs(10), &Answer::address(DEVICE), name);
    let mut before = DEVICE.to_owned();
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let next = format!("203.0.113.{}", 20 + change);
        let begun = Instant::now();
        world.net.move_device(&before, &next);
        until_equal("the name", Duration::from_secs(5), &Answer::address(&next), name);
        times.push(begun.elapsed());
        before = next;
        // Changes do not come in a burst.
        std::thread::sleep(Duration::from_millis(300));
    }
    times.sort();
    tell(&times);
    assert!(times[times.len() / 2] <= Duration::from_secs(1), "{times:?}");
}

/// A line that is dialled anew: for a moment there is no address, then one without a way out, then both.
#[test]
fn an_address_that_comes_before_its_route_is_answered_within_a_second_too() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let visitor = &world.net.visitor;
    let name = || dig(visitor, &ddns_host("box"), "A", "+notcp");
    until_equal("the name", Duration::from_secs(10), &Answer::address(DEVICE), name);
    for gap in [0, 200, 1000].map(Duration::from_millis) {
        let before = name().values.concat();
        let next = format!("203.0.113.{}", 30 + gap.as_millis() / 100);
        let device = &world.net.device;
        device.ip(&format!("addr del {before}/24 dev eth0"));
        std::thread::sleep(gap);
        device.ip(&format!("addr add {next}/24 dev eth0"));
        std::thread::sleep(gap);
        device.ip("route add default via 203.0.113.254");
        let begun = Instant::now();
        until_equal("the name", Duration::from_secs(20), &Answer::address(&next), name);
        let taken = begun.elapsed();
        assert!(taken <= Duration::from_secs(1), "with gaps of {gap:?} it took {taken:?}");
    }
}

#[allow(clippy::print_stdout, reason = "a measurement, shown with --nocapture")]
fn tell(times: &[Duration]) {
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "address change to authoritative answer: median {middle:?}, worst of {} {last:?}",
        times.len()
    );
}
