//! A real agent that is killed at every step of a rekey that reaches the disk, and one that comes back after its
//! certificate was over: each is the device it was, and the hub knows it by one key.

use crate::common::World;
use crate::common::agent::{Agent, link_host};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{Process, until};
use crate::common::visitor::fetch;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::daemon::records::{HOUSEHOLD, Records};
use qcloud_agent::hub::keys::{DeviceKey, Keys};
use qcloud_agent::identity::Identity;
use qcloud_agent::platform::root::Root;
use qcloud_agent::state::StateDir;
use qcloud_agent::wire::registration::CERTIFICATE_LIFE;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The system calls by which something reaches the disk, and takes or loses its name.
const CALLS: [&str; 3] = ["fsync", "fdatasync", "rename"];
/// More than a rekey makes of each: the test ends long before, or it never does.
const MOST: u32 = 40;
/// The state is this test's own to look into and to change.
const AS_ROOT: &str = "user = \"root\"";
const SOON: Duration = Duration::from_secs(20);

/// Has the agent killed by the kernel when it enters this call for the `number`th time from now on. strace counts each
/// call by itself, and the agent has one thread that writes.
fn kill_at(agent: &Agent, call: &str, number: u32, log: &Path) -> Process {
    let pid = agent.process().pid();
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-p", &pid.to_string()]);
    command.args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
    let strace = Process::spawn("strace", command, log);
    // It says so when it has stopped each thread; the kernel's word of a tracer comes with the first.
    until("strace", SOON, || {
        let said = std::fs::read_to_string(log).ok()?;
        said.contains(&format!("Process {pid} attached")).then_some(())
    });
    strace
}

/// The key in the agent's state directory, by its id.
fn key_on_disk(agent: &Agent) -> String {
    let state = Arc::new(StateDir::open(agent.state_dir()).expect("a state directory"));
    let identity = Identity::open(state, Clock::system(Wall::default()), Root::new("/nowhere"))
        .expect("a key");
    identity.key().id().to_owned()
}

/// Whether a rekey that was answered came to its end without a kill: the session that follows writes too.
fn lived(world: &World, agent: &mut Agent) -> bool {
    until("the end of the rekey, or of the agent", SOON, || {
        if !agent.runs() {
            return Some(false);
        }
        // It may end while it is asked.
        let status: Value = serde_json::from_str(&agent.command(&["status"]).stdout).ok()?;
        let facts = |name: &str| {
            let found = status["features"].as_array()?.iter().find(|f| f["name"] == name)?;
            Some(found["facts"].clone())
        };
        let done = facts("registration")?["rekey"].is_null() && facts("link")?["up"] == true;
        (done && world.hub.rows("device_key") == 0).then_some(true)
    })
}

/// Waits until a rekey that was begun has come to its end, and looks at what is left.
fn whole_again(world: &World, agent: &Agent, id: &str, what: &str) {
    until(&format!("the end of the rekey after {what}"), SOON, || {
        let rekey = &agent.feature("registration")["facts"]["rekey"];
        (rekey.is_null() && world.hub.rows("device_key") == 0).then_some(())
    });
    assert_eq!(agent.id(), id, "another device after {what}");
    assert!(!agent.state_dir().join("device.key.next").exists(), "two keys after {what}");
    agent.wait_for_link();
    agent.command(&["egress", "verify"]).ok();
}

#[test]
fn killed_at_every_step_of_a_rekey_it_is_the_same_device_with_one_key() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", AS_ROOT);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let id = agent.id();
    let mut kills = 0;
    for call in CALLS {
        for number in 1..=MOST {
            assert!(number < MOST, "{call} is called for ever");
            let log = world.scratch.path(&format!("strace-{call}-{number}.log"));
            let strace = kill_at(&agent, call, number, &log);
            let ran = agent.command(&["rekey"]);
            // An agent that was killed before it was asked leaves the command to do it by itself.
            if ran.code == Some(0) && lived(&world, &mut agent) {
                // It took fewer calls than that: this was the last one.
                assert!(number > 2, "no {call} was met");
                drop(strace);
                break;
            }
            agent.ended(SOON);
            drop(strace);
            kills += 1;
            agent.launch();
            agent.wait_until_it_answers();
            whole_again(&world, &agent, &id, &format!("a kill at {call} {number}"));
        }
    }
    assert!((12..60).contains(&kills), "{kills} kills");
    let url = format!("https://{}/", link_host("box"));
    // The hub has ended the session of the key before, and the agent dials with the new one.
    until("the tunnel", SOON, || {
        (fetch(&world.net.visitor, &certificate, &url).code == Some(0)).then_some(())
    });
    assert_eq!(world.hub.devices().len(), 1);
    let log = world.hub.log_text();
    assert_eq!(log.matches("a device was registered").count(), 1, "it registered again");
    assert!(log.matches("a device changed its key").count() >= 3, "no key was changed");
    assert!(agent.stop(SOON).success());
    assert_ne!(key_on_disk(&agent), id);
}

/// Puts a certificate into the device's state that was over a month ago, as a box has that was off for so long.
fn long_off(world: &World, agent: &Agent) {
    let state = Arc::new(StateDir::open(agent.state_dir()).expect("a state directory"));
    let (mut household, _) = Records::load(&state).expect("a household");
    let clock = Clock::system(Wall::default());
    // The hub has said so too, and a box without a battery starts from there.
    let since = clock.now().wall.0.saturating_sub(household.last_good.0);
    assert!(since < Duration::from_secs(3600), "no time was vouched for in {since:?}");
    let identity =
        Identity::open(Arc::clone(&state), clock.clone(), Root::new("/nowhere")).expect("a key");
    let then = Wall(clock.now().wall.0 - 2 * CERTIFICATE_LIFE);
    let (place, _) = household.membership.as_mut().expect("a place");
    let key = DeviceKey::from_spki(identity.key().spki()).expect("a key");
    let keys = Keys::load(world.hub.dir()).expect("the hub's keys");
    place.certificate = keys.device_leaf(&key, &place.device, then).expect("a certificate");
    place.certificate_until = Wall(then.0 + CERTIFICATE_LIFE);
    state.save(HOUSEHOLD, &serde_json::to_value(&household).expect("JSON")).expect("a save");
}

#[test]
fn a_device_whose_certificate_was_over_renews_it_and_is_there_again() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", AS_ROOT);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let id = agent.id();
    assert!(agent.stop(SOON).success());
    long_off(&world, &agent);
    agent.start();
    agent.wait_for_link();
    let url = format!("https://{}/", link_host("box"));
    until("the tunnel", SOON, || {
        (fetch(&world.net.visitor, &certificate, &url).code == Some(0)).then_some(())
    });
    assert_eq!(agent.id(), id);
    let lines = agent.ledger_since(0);
    let of = |id: &str| lines.iter().filter(|line| line["parcel"] == id).count();
    assert_eq!((of("registration.start"), of("registration.renew")), (1, 1), "{lines:?}");
    // But for the one that says that it keeps root, as it was told to.
    assert_eq!(agent.status()["warnings"].as_array().map(Vec::len), Some(1));
    let until = agent.feature("registration")["facts"]["certificate_until"].clone();
    let now = Clock::system(Wall::default()).now().wall.rfc3339();
    assert!(until.as_str().is_some_and(|until| *until > *now), "{until}");
}
