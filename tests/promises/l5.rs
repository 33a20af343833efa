//! L5: the link is switched off at any time.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::{HUB, Line, Place};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{fetch, hello, is_refused};
use std::time::Duration;

/// How soon the device's end is closed.
const PROMPTLY: Duration = Duration::from_secs(2);

/// What the refusal shows; it must be the same for a device that is gone and one that never was.
fn refusal(from: &Place, name: &str) -> String {
    let said = hello(from, &["-servername", name]);
    let alert = said.stderr.split_once("error:").map(|(_, error)| error.to_owned());
    alert.unwrap_or_else(|| panic!("{name} was not refused: {said:?}"))
}

/// The device's open sockets towards others, as the kernel sees them: TCP to the hub, and all of UDP.
fn sockets(device: &Place) -> Vec<String> {
    let tcp = device.tool("ss", &["-Htn", "dst", HUB]);
    let tcp = tcp.lines().filter(|line| !line.contains("TIME-WAIT")).map(String::from);
    tcp.chain(udp_sockets(device)).collect()
}

/// QUIC's socket is not connected: the kernel shows no peer for it. Nothing else in the namespace has one.
fn udp_sockets(device: &Place) -> Vec<String> {
    device.tool("ss", &["-Huan"]).lines().map(String::from).collect()
}

#[test]
fn l5_switched_off_the_device_is_gone_and_visitors_are_refused() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let (visitor, host) = (&world.net.visitor, link_host("box"));
    assert_eq!(fetch(visitor, &certificate, &format!("https://{host}/")).ok(), "a page");
    assert!(sockets(&world.net.device).len() >= 2, "QUIC and the tripwire are not to be seen");

    agent.ok(&["link", "off"]);
    until_equal("sockets", PROMPTLY, &Vec::new(), || sockets(&world.net.device));
    let asked = page.asked();
    assert!(is_refused(visitor, &host), "{host} is still let in");
    let nobody = refusal(visitor, &link_host("nobody"));
    let strip = |text: &str| text.rsplit(':').next().map(str::to_owned);
    assert_eq!(strip(&refusal(visitor, &host)), strip(&nobody), "refusals tell devices apart");
    assert_eq!(page.asked(), asked, "a visitor reached the page");
    assert_eq!(world.hub.rows("link_log"), 0, "the hub kept its log");
}

/// The attack: a hub that hangs cannot keep the line open. Guard: `feature-close`, which takes passages
/// back and ends jobs.
#[test]
fn l5_switched_off_the_session_ends_even_when_the_hub_hangs() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    let session = || udp_sockets(&world.net.device);
    assert_eq!(session().len(), 1, "the session is not to be seen");
    world.hub.freeze();
    std::thread::scope(|scope| {
        let off = scope.spawn(|| agent.command(&["link", "off"]));
        until_equal("sockets of the session", PROMPTLY, &Vec::new(), session);
        let ran = off.join().expect("an answer");
        assert_eq!(ran.code, Some(3), "a hub that hangs cannot have erased: {ran:?}");
    });
    world.hub.thaw();
    let nothing = serde_json::json!([]);
    until_equal("owed", Duration::from_secs(70), &nothing, || agent.status()["owed"].clone());
    assert_eq!(sockets(&world.net.device), Vec::<String>::new());
    assert!(is_refused(&world.net.visitor, &link_host("box")));
}
