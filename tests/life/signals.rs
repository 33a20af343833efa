//! What service managers send.

use crate::common::World;
use crate::common::agent::ddns_host;
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::{until, until_equal};
use crate::common::visitor::{Answer, dig};
use nix::sys::signal::Signal;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn sigterm_ends_it_within_five_seconds_even_when_the_hub_hangs() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    world.hub.freeze();
    // With a message under way too: the address changed and nobody takes the update.
    world.net.move_device(DEVICE, "203.0.113.11");
    std::thread::sleep(Duration::from_millis(500));
    let status = agent.stop(Duration::from_secs(5));
    assert!(status.success(), "{status}");
    world.hub.thaw();
    agent.start();
    agent.wait_for_link();
    let moved = Answer::address("203.0.113.11");
    until_equal("the name", SOON, &moved, || {
        dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp")
    });
}

#[test]
fn sighup_reads_the_configuration_again() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "[ddns]\nenabled = false");
    let reload = |sections: &str| {
        agent.configure(sections);
        agent.process().signal(Signal::SIGHUP);
    };
    let name = || dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp");

    reload("[ddns]\nenabled = true");
    until_equal("ddns on", SOON, &Answer::address(DEVICE), name);
    // A mistake changes nothing, and is told.
    reload("[ddns]\nenabled = maybe");
    until("word of the mistake", SOON, || agent.log_text().contains("not reloaded").then_some(()));
    assert_eq!(agent.feature("ddns")["state"], "on");
    assert_eq!(name(), Answer::address(DEVICE));

    reload("[ddns]\nenabled = false");
    until_equal("ddns off", SOON, &Answer::no_such_name(), name);
    assert_eq!(world.hub.rows("ddns"), 0, "what the configuration switched off was not erased");
    assert_eq!(agent.feature("ddns")["state"], "off");
}
