//! A box that boots before its network: it waits without working, and is there as soon as the line is.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host};
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use std::time::{Duration, Instant};

/// How long it is watched. The bound is 1 s of CPU in 10 minutes.
const WATCHED: Duration = Duration::from_secs(60);
/// A tick of `/proc/PID/stat` is 10 ms on every Linux there is (`USER_HZ`, proc(5)).
const TICKS_MOST: u64 = 10;
/// The longest from the line to the session and to the name.
const BACK: Duration = Duration::from_secs(5);

/// User and system time of the agent, in ticks.
fn ticks(agent: &Agent) -> u64 {
    let path = format!("/proc/{}/stat", agent.process().pid());
    let text = std::fs::read_to_string(path).expect("its times");
    // The name in parentheses may have spaces; utime and stime are fields 14 and 15 (proc(5)).
    let rest = text.rsplit_once(") ").expect("a name").1;
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum()
}

#[test]
fn without_a_network_it_rests_and_with_one_it_is_there_at_once() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    let name = || dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp");
    until_equal("the name", BACK, &Answer::address(DEVICE), name);
    assert!(agent.stop(Duration::from_secs(5)).success());

    // The next boot finds no address, no route and no link.
    world.net.device.ip("addr flush dev eth0");
    world.net.device.ip("link set eth0 down");
    agent.start();
    let begun = (Instant::now(), ticks(&agent));
    std::thread::sleep(WATCHED.saturating_sub(begun.0.elapsed()));
    let used = ticks(&agent) - begun.1;
    assert!(used <= TICKS_MOST, "{used} ticks of CPU in {WATCHED:?} without a network");
    assert_eq!(agent.feature("link")["facts"]["up"], false);

    let there = "203.0.113.12";
    world.net.device.ip("link set eth0 up");
    world.net.device.ip(&format!("addr add {there}/24 dev eth0"));
    world.net.device.ip("route add default via 203.0.113.254");
    let line = Instant::now();
    until_equal("the session", BACK, &true.into(), || agent.feature("link")["facts"]["up"].clone());
    let left = BACK.saturating_sub(line.elapsed());
    until_equal("the name", left, &Answer::address(there), name);
}
