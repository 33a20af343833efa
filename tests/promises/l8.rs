//! L8: a device without a license asks nobody about licenses.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::process::until;
use crate::common::watch::Counter;
use std::thread::sleep;
use std::time::Duration;

/// A user that nothing else runs as.
const USER: u32 = 61_031;
/// How long nothing may leave.
const SILENCE: Duration = Duration::from_secs(5);
/// How far the boot clock of the restarted agent is ahead, so that whatever is timed is due: forty days.
const LATER: &str = "3456000";

/// Guard: `license-idle`, which keeps the feature from looking after what is not there.
///
/// The feature is on and the device registered. The packets of the agent's user are counted through addresses that come
/// and go, and through a start on a boot clock that is forty days on.
#[test]
fn l8_with_no_license_installed_there_is_no_timer_and_no_packet() {
    let world = World::new(Line::Direct);
    let mut agent = Agent::new(&world.net.device, &world.scratch.path("agent"), Some(USER), "");
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["license", "on"]);
    assert!(agent.stop(Duration::from_secs(5)).success());

    let counter = Counter::new(&world.net.device, USER);
    agent.start_through(&["unshare", "--time", "--boottime", LATER, "--fork", "--kill-child"]);
    world.net.device.ip("addr add 203.0.113.99/24 dev eth0");
    sleep(SILENCE);
    world.net.device.ip("addr del 203.0.113.99/24 dev eth0");
    let listed = agent.ok(&["license", "list"]);
    assert_eq!(listed["licenses"], serde_json::json!([]));
    assert_eq!(agent.command(&["license", "check", "surveillance"]).code, Some(1));
    assert_eq!(counter.packets(), 0, "packets left without a license");
    let status = agent.status();
    assert_ne!(status["next"]["feature"], "license", "a timer is armed: {status}");
    // A feature that looks after something notes the time of it.
    let kept = std::fs::read_dir(agent.state_dir()).expect("a directory");
    let names = kept.map(|entry| entry.expect("an entry").file_name().into_string());
    let marks: Vec<_> = names.flatten().filter(|name| name.starts_with("mark")).collect();
    assert!(marks.is_empty(), "the time is noted: {marks:?}");

    // The counter counts, and the feature can send: a key that nobody has is asked about.
    let key = qcloud_agent::wire::license::ProductKey::of([5; 23]).expose();
    assert_ne!(agent.command(&["license", "install", &key]).code, Some(0));
    until("a packet", Duration::from_secs(10), || (counter.packets() > 0).then_some(()));
}
