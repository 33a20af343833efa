//! What service managers send.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host};
use crate::common::net::{DEVICE, Line, Net};
use crate::common::page::Page;
use crate::common::process::{until, until_equal};
use crate::common::scratch::Scratch;
use crate::common::visitor::{Answer, dig};
use nix::sys::signal::Signal;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

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

/// What the manager hears in this time.
fn heard(manager: &UnixDatagram, within: Duration) -> Vec<String> {
    let (begun, mut heard) = (Instant::now(), Vec::new());
    while let Some(left) = within.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        manager.set_read_timeout(Some(left)).expect("a deadline");
        let mut bytes = [0; 300];
        if let Ok(length) = manager.recv(&mut bytes) {
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
    }
    heard
}

#[test]
fn a_watchdog_hears_from_the_event_loop_only_when_one_is_set_and_only_while_it_turns() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    let path = scratch.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a manager");
    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("open to the agent");
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let mut agent = Agent::new(&net.device, &scratch.path("agent"), None, "");
    let count = |messages: &[String]| messages.iter().filter(|m| *m == "WATCHDOG=1").count();
    let a_while = Duration::from_millis(1500);

    // `exec`, so that the pid is the agent's.
    let words = format!("WATCHDOG_PID=$$ WATCHDOG_USEC=600000 {socket} exec \"$@\"");
    agent.start_through(&["sh", "-c", &words, "sh"]);
    agent.start();
    let messages = heard(&manager, a_while);
    assert!(messages.contains(&"READY=1".into()), "{messages:?}");
    assert!((2..8).contains(&count(&messages)), "every 300 ms: {messages:?}");
    agent.process().signal(Signal::SIGSTOP);
    heard(&manager, Duration::from_millis(50));
    assert_eq!(count(&heard(&manager, a_while)), 0, "a loop that stands still was called alive");
    agent.process().signal(Signal::SIGCONT);
    agent.stop(SOON);
    assert!(heard(&manager, Duration::from_millis(50)).contains(&"STOPPING=1".into()));

    // A watchdog for another process, as one that the daemon was started by.
    agent.start_through(&["env", "WATCHDOG_PID=1", "WATCHDOG_USEC=600000", &socket]);
    agent.start();
    let messages = heard(&manager, a_while);
    assert!(messages.contains(&"READY=1".into()), "{messages:?}");
    assert_eq!(count(&messages), 0, "{messages:?}");
    agent.stop(SOON);
}
