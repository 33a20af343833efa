//! Q1: registration comes before remote access. (Event notifications, the other half of the promise, are not
//! there yet; whoever adds them adds them here.)

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::process::until;
use crate::common::watch::{Capture, Counter};
use std::time::Duration;

/// A user that nothing else runs as.
const OWNER: u32 = 61_031;
const SOON: Duration = Duration::from_secs(10);

/// What each feature says of why it does nothing.
fn waits(agent: &Agent, when: &str) {
    for feature in ["ddns", "link"] {
        let summary = agent.feature(feature)["summary"].clone();
        assert_eq!(summary, "waits for this device to be registered", "{feature}, {when}");
    }
    let lines = agent.ledger_since(0);
    let own = |name: &str| lines.iter().filter(|line| line["feature"] == name).count();
    assert_eq!((own("ddns"), own("link")), (0, 0), "{when}: they tried to send: {lines:?}");
}

/// Guard: `registered-first`, the features' look at their place at the hub before they send anything.
///
/// The attack: a registration that was begun, so that the hub is known and reached, and that nobody approved.
#[test]
fn q1_nothing_is_opened_before_the_device_is_registered() {
    let world = World::new(Line::Direct);
    let (device, hub) = (&world.net.device, &world.hub);
    let sections = format!("[registration]\nhub = \"{}\"\nhub_pin = \"{}\"\n", hub.url(), hub.pin);
    let mut agent = Agent::new(device, &world.scratch.path("agent"), Some(OWNER), &sections);
    let counter = Counter::new(device, OWNER);
    agent.start();
    for feature in ["ddns", "link"] {
        let answer = agent.ok(&[feature, "on"]);
        assert_eq!(answer["registered"], false, "{answer}");
    }
    // Things that make a registered device send.
    device.ip("addr add 203.0.113.99/24 dev eth0");
    device.ip("addr del 203.0.113.99/24 dev eth0");
    waits(&agent, "unregistered");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(counter.packets(), 0, "it sent something without a place at a hub");

    let mut capture = Capture::begin(device, &world.scratch.path("begun.pcap"));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| agent.command(&["register", "--name", "box"]));
        let waiting = || {
            let text = hub.command(&["pending", "--json"]).ok();
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            json["pending"][0]["code"].as_str().map(String::from)
        };
        let code = until("the code", SOON, waiting);
        device.ip("addr add 203.0.113.99/24 dev eth0");
        device.ip("addr del 203.0.113.99/24 dev eth0");
        std::thread::sleep(Duration::from_secs(2));
        waits(&agent, "registering");
        hub.command(&["deny", &code]).ok();
        let ran = asked.join().expect("an answer");
        assert_eq!(ran.code, Some(4), "the owner said no: {ran:?}");
    });
    waits(&agent, "declined");
    capture.end();
    assert_eq!(capture.lines("udp port 443"), Vec::<String>::new(), "it dialled a session");
    assert!(!capture.lines("tcp port 443").is_empty(), "the registration itself is to be seen");
    assert_eq!((hub.rows("ddns"), hub.rows("device")), (0, 0));

    agent.register(hub, "box");
    agent.wait_for_link();
    until("the update", SOON, || (hub.rows("ddns") == 1).then_some(()));
}
