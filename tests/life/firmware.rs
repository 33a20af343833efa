//! The agent as a part of a firmware: no disk yet, a disk that appears, another box's disk, a reset.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::process::{tool, until, until_equal};
use crate::common::scratch::Scratch;
use qcloud_agent::platform::privilege::SERVICE_UID;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A directory for an agent whose state directory is on a read-only RAM disk until a volume is mounted there.
/// What is mounted below it reaches the agent's namespace too. Everything is unmounted on drop.
struct Bay(PathBuf);

impl Bay {
    fn new(agent: &Agent) -> Self {
        let state = agent.state_dir();
        let dir = state.parent().expect("the agent's directory").to_path_buf();
        std::fs::create_dir(&state).expect("a place to mount at");
        let path = dir.to_string_lossy().into_owned();
        tool("mount", ["--bind", &path, &path]);
        tool("mount", ["--make-shared", &path]);
        let at = state.to_string_lossy();
        tool("mount", ["-t", "tmpfs", "-o", "ro,mode=755", "none", &at]);
        Self(dir)
    }

    fn insert(&self, disk: &Path) {
        let at = self.0.join("state");
        tool("mount", ["--bind".as_ref(), disk.as_os_str(), at.as_os_str()]);
    }

    fn take_out(&self) {
        let at = self.0.join("state");
        tool("umount", ["-l".as_ref(), at.as_os_str()]);
    }
}

impl Drop for Bay {
    fn drop(&mut self) {
        // What is mounted below goes with it.
        let _ = std::process::Command::new("umount").args(["-R", "-l"]).arg(&self.0).output();
    }
}

/// An empty state directory on a disk, as root made it.
fn disk(scratch: &Scratch) -> PathBuf {
    let path = scratch.path("disk");
    std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory");
    path
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file"));
    entries
        .filter(|entry| entry.file_type().expect("its kind").is_file())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("its bytes"))
        })
        .collect()
}

fn warns(status: &Value, code: &str) -> bool {
    status["warnings"].as_array().into_iter().flatten().any(|warning| warning["code"] == code)
}

fn wait_for_id(agent: &Agent, id: &str) {
    until_equal("the other state", SOON, &id.to_owned(), || agent.id());
}

#[test]
fn without_a_disk_it_lives_in_ram_and_moves_when_one_appears() {
    let world = World::new(Line::Direct);
    let disk = disk(&world.scratch);
    let mut agent = world.agent("");
    let bay = Bay::new(&agent);
    agent.start();
    let status = agent.status();
    assert_eq!(status["agent"]["persistent"], false);
    assert!(warns(&status, "daemon-volatile"), "{status}");
    agent.register(&world.hub, "box");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    let id = agent.id();

    bay.insert(&disk);
    until("the move", SOON, || (agent.status()["agent"]["persistent"] == true).then_some(()));
    let status = agent.status();
    assert!(!warns(&status, "daemon-volatile"), "{status}");
    assert_eq!(agent.id(), id);
    assert!(files(&disk).contains_key("device.key"));
    for name in files(&disk).keys() {
        let found = std::fs::metadata(disk.join(name)).expect("a file");
        assert_eq!((found.uid(), found.mode() & 0o777), (SERVICE_UID, 0o600), "{name}");
        assert!(!name.starts_with("moving"), "{name}");
    }
    // And a power cut later it is still the same device, with its feature on.
    agent.kill();
    agent.start();
    let status = agent.status();
    assert_eq!((&status["device"], &status["registered"]["name"]), (&id.into(), &"box".into()));
    assert_eq!(agent.feature("ddns")["state"], "on");
    assert_eq!(world.hub.devices().len(), 1);
}

#[test]
fn a_disk_with_a_state_of_its_own_wins_over_ram_and_is_never_written_over() {
    let world = World::new(Line::Direct);
    let disk = disk(&world.scratch);
    let mut agent = world.agent("");
    let bay = Bay::new(&agent);
    bay.insert(&disk);
    agent.start();
    agent.register(&world.hub, "first");
    let first = agent.id();
    agent.stop(SOON);
    bay.take_out();

    // Registered nowhere, it gives way.
    agent.start();
    assert_ne!(agent.id(), first);
    bay.insert(&disk);
    wait_for_id(&agent, &first);
    assert_eq!(agent.status()["registered"]["name"], "first");
    agent.stop(SOON);
    bay.take_out();

    // Registered itself, it says so, and touches nothing.
    agent.start();
    agent.register(&world.hub, "second");
    let second = agent.id();
    let before = files(&disk);
    bay.insert(&disk);
    until("the warning", SOON, || warns(&agent.status(), "daemon-conflict").then_some(()));
    assert_eq!(agent.id(), second);
    assert_eq!(files(&disk), before);
    // Until it is registered no more.
    agent.ok(&["unregister"]);
    wait_for_id(&agent, &first);
    assert!(!warns(&agent.status(), "daemon-conflict"));
    assert_eq!(world.hub.devices().len(), 1);
}

#[test]
fn a_reset_erases_at_the_hub_first_and_makes_a_new_device() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    let old = agent.id();
    let refused = agent.command(&["reset"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(agent.id(), old);

    let receipt = agent.ok(&["reset", "--yes"]);
    assert_eq!(receipt["receipt"]["device"], old.as_str(), "{receipt}");
    until("the new device", SOON, || (agent.id() != old).then_some(()));
    assert_eq!(world.hub.devices(), Vec::<Value>::new());
    let status = agent.status();
    assert_eq!((&status["registered"], &status["ledger_lines"]), (&Value::Null, &0.into()));
    assert_eq!(agent.feature("ddns")["state"], "off");
    let key = agent.state_dir().join("device.key");
    assert_eq!(std::fs::metadata(key).expect("the new key").uid(), SERVICE_UID);

    // By the firmware's marker, while it does not run.
    agent.register(&world.hub, "again");
    let again = agent.id();
    agent.stop(SOON);
    std::fs::write(agent.state_dir().join("factory-reset"), "").expect("a marker");
    agent.start();
    until("the new device", SOON, || (agent.id() != again).then_some(()));
    assert_eq!(world.hub.devices(), Vec::<Value>::new());
    assert!(!agent.state_dir().join("factory-reset").exists());

    // By a command without a daemon.
    agent.stop(SOON);
    let last = agent.id();
    agent.ok(&["reset", "--yes"]);
    assert!(agent.status()["device"].is_null(), "looking at it gives it no identity");
    agent.start();
    assert_ne!(agent.id(), last);
}

#[test]
fn a_reset_without_the_hub_is_owed_and_the_key_stays_for_it_alone() {
    let mut world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let old = agent.id();
    world.hub.stop();
    let owed = agent.command(&["reset", "--yes"]);
    assert_eq!(owed.code, Some(3), "{owed:?}");
    agent.kill();
    agent.start();
    assert_eq!(agent.id(), old, "without its key the hub would believe no demand");
    assert_eq!(agent.status()["registered"], Value::Null);
    world.hub.serve();
    until("the new device", Duration::from_secs(70), || (agent.id() != old).then_some(()));
    assert_eq!(world.hub.devices(), Vec::<Value>::new());
    assert_eq!(agent.status()["owed"], serde_json::json!([]));
}

#[test]
fn a_state_of_a_later_version_is_refused_and_kept() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    agent.ok(&["ddns", "on"]);
    agent.stop(SOON);
    let body = b"{\"from\":\"later\"}\n";
    let (schema, generation) = (2_u32, 99_u64);
    let summed = [&schema.to_be_bytes()[..], &generation.to_be_bytes(), body].concat();
    let sum: String =
        digest(&SHA256, &summed).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let text = format!("{{\"schema\":{schema},\"generation\":{generation},\"sum\":\"{sum}\"}}\n");
    let path = agent.state_dir().join("household.0.json");
    std::fs::write(&path, [text.as_bytes(), body].concat()).expect("a file");
    let before = files(&agent.state_dir());

    agent.launch();
    let log = || agent.log_text();
    until("its refusal", SOON, || log().contains("has format 2").then_some(()));
    assert!(log().contains("household.0.json") && log().contains("hint: "), "{}", log());
    for command in [["status"].as_slice(), &["ddns", "off"], &["reset", "--yes"]] {
        let ran = agent.command(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }
    assert_eq!(files(&agent.state_dir()), before, "it was written to");
}

#[test]
fn the_vendors_file_is_read_and_its_mistakes_bear_its_name() {
    let world = World::new(Line::Direct);
    let agent = world.agent("");
    let tree = world.scratch.path("root");
    let path = tree.join("usr/share/qcloud-agent/vendor.toml");
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    let root = tree.to_string_lossy().into_owned();
    let status = || agent.command(&["status", "--root", &root]);
    std::fs::write(&path, "[ddns]\nenabled = true\n").expect("a file");
    let shown: Value = serde_json::from_str(&status().ok()).expect("JSON");
    assert_eq!(shown["features"][1]["state"], "on", "{shown}");
    std::fs::write(&path, "[agent]\nregoin = 'EU'\n").expect("a file");
    let refused = status();
    let text = format!("{}{}", refused.stdout, refused.stderr);
    assert_eq!(refused.code, Some(2), "{text}");
    assert!(text.contains("vendor.toml") && text.contains("regoin"), "{text}");
}
