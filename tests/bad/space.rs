//! A disk that is full, or takes nothing any more, while the agent runs.

use crate::assert_told;
use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::process::{tool, until};
use crate::common::scratch::Scratch;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::daemon::records::Records;
use qcloud_agent::identity::Identity;
use qcloud_agent::platform::root::Root;
use qcloud_agent::state::{StateDir, StateError};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Full,
    ReadOnly,
}

const TROUBLES: [Trouble; 2] = [Trouble::Full, Trouble::ReadOnly];

/// A small disk of its own. Unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    fn new(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).expect("a directory");
        let options = format!("size={size},mode=0700");
        tool("mount", ["-t", "tmpfs", "-o", &options, "qcloud-test", &at.display().to_string()]);
        Self(at.into())
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        while file.write_all(&[1; 512]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the filler");
    }

    fn begin(&self, trouble: Trouble) {
        match trouble {
            Trouble::Full => self.fill(),
            Trouble::ReadOnly => self.remount("ro"),
        }
    }

    fn end(&self, trouble: Trouble) {
        match trouble {
            Trouble::Full => self.empty(),
            Trouble::ReadOnly => self.remount("rw"),
        }
    }

    fn remount(&self, how: &str) {
        tool("mount", ["-o", &format!("remount,{how}"), &self.0.display().to_string()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: an agent that still ends may have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn warned(agent: &Agent) -> bool {
    let status = agent.status();
    status["warnings"].as_array().into_iter().flatten().any(|w| w["code"] == "daemon-state")
}

fn denied(agent: &Agent) -> Value {
    agent.status()["denied"].clone()
}

#[test]
fn a_disk_that_fills_or_closes_loses_nothing_and_is_used_again_by_itself() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    let disk = Disk::new(&agent.state_dir(), "256k");
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["privacy", "deny", "ddns.update.a"]);
    let id = agent.id();
    for what in TROUBLES {
        disk.begin(what);
        agent.ok(&["privacy", "deny", "ddns.update.aaaa"]);
        assert!(warned(&agent), "{what:?}: no warning");
        assert_eq!(denied(&agent), json!(["ddns.update.a", "ddns.update.aaaa"]), "{what:?}");
        let doctor = agent.command(&["doctor"]);
        assert_eq!(doctor.code, Some(3), "{what:?}: {doctor:?}");
        let bad =
            |said: &str| said.contains("\"level\":\"bad\"") && said.contains("\"what\":\"space\"");
        assert!(bad(&doctor.stdout), "{what:?}: {doctor:?}");
        assert_eq!(
            agent.log_text().matches("state cannot be saved").count(),
            1,
            "{what:?}: told more than once"
        );
        // What the disk has is what it had, whole.
        agent.kill();
        disk.end(what);
        agent.start();
        assert_eq!(agent.id(), id, "{what:?}");
        assert_eq!(denied(&agent), json!(["ddns.update.a"]), "{what:?}: a torn state");
        assert_eq!(agent.status()["registered"]["name"], "box", "{what:?}");

        // And once more, with space before the end.
        disk.begin(what);
        agent.ok(&["privacy", "deny", "ddns.update.aaaa"]);
        assert!(warned(&agent), "{what:?}: no warning");
        disk.end(what);
        until("the save that comes by itself", SOON, || (!warned(&agent)).then_some(()));
        agent.kill();
        agent.start();
        assert_eq!(
            denied(&agent),
            json!(["ddns.update.a", "ddns.update.aaaa"]),
            "{what:?}: it was not saved"
        );
        agent.ok(&["privacy", "allow", "ddns.update.aaaa"]);
        agent.command(&["egress", "verify"]).ok();
        std::fs::write(world.scratch.path("agent").join("agent.log"), "").expect("an empty log");
    }
    assert!(!agent.log_text().contains("panicked"));
}

#[test]
fn a_start_without_space_or_permission_to_write_says_so() {
    let world = World::new(Line::Direct);
    let agent = world.agent("");
    let disk = Disk::new(&agent.state_dir(), "64k");
    disk.fill();
    let run = || agent.plain(&["privacy", "deny", "ddns.update.a"]);
    assert_told(&run(), 5, "household.0.json");
    disk.empty();
    disk.remount("ro");
    let ran = run();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("Read-only file system") && ran.stderr.contains("\nhint: "),
        "{ran:?}"
    );
    disk.remount("rw");
    assert_eq!(run().code, Some(0));
}

/// What needs consent stands on the disk before it leaves; where the disk takes nothing it does not leave.
#[test]
fn what_must_be_on_record_first_is_refused_while_the_disk_takes_nothing() {
    let scratch = Scratch::new();
    let disk = Disk::new(&scratch.path("state"), "64k");
    let state = Arc::new(StateDir::open(scratch.path("state")).expect("a directory"));
    let clock = Clock::system(Wall::default());
    let identity = Identity::open(Arc::clone(&state), clock, Root::new("/nowhere")).expect("a key");
    let records = Records::new(Arc::clone(&state), Arc::new(identity), false);
    assert!(records.keep_first("one line\n"));
    let line = format!("{}\n", "x".repeat(8192));
    for what in TROUBLES {
        let before = std::fs::read(scratch.path("state").join("ledger.jsonl")).expect("a ledger");
        disk.begin(what);
        assert!(!records.keep_first(&line), "it was let out without a record");
        let after = std::fs::read(scratch.path("state").join("ledger.jsonl")).expect("a ledger");
        assert_eq!(after, before, "a torn line stays");
        assert!(matches!(state.save("x", &json!({ "a": line })), Err(StateError::Io { .. })));
        disk.end(what);
        assert!(records.keep_first("one more\n"));
    }
}
