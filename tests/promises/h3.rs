//! H3: a backup lasts six calendar months at most, and a restore brings nothing back that was erased since.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::agent::Agent;
use crate::common::hub::Hub;
use crate::common::net::{DEVICE, Line};
use crate::common::process::{Process, until, until_equal};
use crate::common::watch::{files_with, holds};
use core::time::Duration;
use qcloud_agent::clock::{Clock, Now, Wall};
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::keeping::{Keeping, backup};
use qcloud_agent::hub::seal_key;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SOON: Duration = Duration::from_secs(20);
const DAY: u64 = 86_400;
/// A name that nothing else spells.
const NAME: &str = "gone-and-restored-5c1d";

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn backed_up(hub: &Hub, to: &Path) -> Value {
    let said = hub.command(&["backup", "--to", text(to), "--json"]).ok();
    serde_json::from_str(&said).expect("JSON")
}

fn restored(hub: &Hub, file: &Path) -> Value {
    let said = hub.command(&["restore", text(file), "--json"]).ok();
    serde_json::from_str(&said).expect("JSON")
}

/// Guard: `hub-replay`, by which the journal's deletions are carried out on the restored rows.
///
/// The attack: everything was in the backup, and is in the restored database unless somebody takes it out.
#[test]
fn h3_a_restore_brings_nothing_erased_back() {
    let mut world = World::new(Line::Direct);
    let file = world.scratch.path("copy.backup");
    let agent = world.member(NAME, "");
    let mut other =
        Agent::new(&world.net.device, &world.scratch.path("other"), None, "[link]\nenabled = true");
    other.start();
    other.register(&world.hub, "other");
    other.wait_for_link();
    agent.ok(&["ddns", "on"]);
    other.ok(&["ddns", "on"]);
    until_equal("the updates", SOON, &2, || world.hub.rows("ddns"));
    let key = auth_key(&world.hub);
    let (papers, spki) = (Papers::of(&agent), Papers::of(&agent).spki());

    let said = backed_up(&world.hub, &file);
    assert!(said["backup"]["rows"].as_u64().is_some_and(|rows| rows >= 5), "{said}");
    let bytes = private(&file);
    for trace in [NAME.as_bytes(), agent.id().as_bytes(), &spki, DEVICE.as_bytes(), b"link_log"] {
        assert!(
            !holds(&bytes, trace),
            "the backup can be read: {}",
            String::from_utf8_lossy(trace)
        );
    }
    assert!(
        !world.hub.command(&["restore", text(&file)]).stderr.is_empty(),
        "of a hub that serves"
    );

    // What is deleted from here on is in the backup.
    let traces = [NAME.into(), agent.id().into_bytes(), spki];
    let receipt = agent.ok(&["unregister"]);
    let kept = receipt["receipt"]["kept"].as_array().expect("a list");
    assert!(
        kept.iter().any(|kept| kept["what"].as_str().is_some_and(|what| what.contains("backups")))
    );
    other.ok(&["ddns", "off"]);
    world.hub.command(&["authkey", "revoke", &key]).ok();
    let journal = std::fs::read(world.hub.dir().join("deletions.journal")).expect("the journal");
    for trace in &traces {
        assert!(!holds(&journal, trace), "the journal tells who was erased");
    }

    world.hub.stop();
    let said = restored(&world.hub, &file);
    assert_eq!(said["replayed"]["erased"], 2, "{said}");
    assert_eq!(world.hub.command(&["authkey", "list"]).ok(), "", "a revoked auth key is back");
    world.hub.serve();
    assert_eq!(names(&world.hub), ["other"]);
    assert_eq!(world.hub.rows("ddns"), 0, "what was switched off is on");
    for trace in &traces {
        assert_eq!(files_with(world.hub.dir(), trace), Vec::<PathBuf>::new(), "it is back");
    }
    let (from, update) = (&world.net.device, json!({"a": "observed", "aaaa": "none"}));
    assert_eq!(ask(from, &world.hub, Some(&papers), "/v1/ddns/update", &update).0, 401);
    // The other one goes on: its ticket is newer than the database, and it is not taken for a copy.
    until("its session", SOON, || (world.hub.devices()[0]["online"] == true).then_some(()));
    assert_eq!(world.hub.devices()[0]["quarantined"], Value::Null);
}

/// The bytes of a file that its owner alone can read.
fn private(file: &Path) -> Vec<u8> {
    let mode = std::fs::metadata(file).expect("the backup").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::read(file).expect("the backup")
}

fn names(hub: &Hub) -> Vec<Value> {
    hub.devices().iter().map(|device| device["name"].clone()).collect()
}

/// A key that lets any number of devices in; its id.
fn auth_key(hub: &Hub) -> String {
    let key = hub.command(&["authkey", "new", "--reusable", "--json"]).ok();
    let key: Value = serde_json::from_str(&key).expect("JSON");
    key["id"].as_str().expect("an id").into()
}

/// A backup of a stopped hub, made so many days ago.
fn made_ago(hub: &Hub, days: u64, to: &Path) -> PathBuf {
    let now = Clock::system(Wall::default()).now();
    let seconds = now.wall.unix_seconds() - days * DAY;
    let then = Now { wall: Wall::from_unix_seconds(seconds), ..now };
    let config = Config::load(hub.dir()).expect("its configuration");
    let seal = Arc::new(seal_key::load(hub.dir(), &config).expect("its key"));
    let clock = Clock::from_fn(move || then);
    let keeping = Keeping::new(hub.dir(), Arc::clone(&seal), clock);
    let store = SqliteStore::open(&hub.dir().join("hub.db"), &seal).expect("the store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(backup::make(&store, &keeping, to)).expect("a backup").path
}

/// Guard: `hub-backup-age`. Six calendar months are 181 to 184 days.
#[test]
fn h3_a_backup_over_six_months_old_is_refused() {
    let mut world = World::new(Line::Direct);
    world.hub.stop();
    let old = made_ago(&world.hub, 185, &world.scratch.path("old.backup"));
    let young = made_ago(&world.hub, 180, &world.scratch.path("young.backup"));
    let refused = world.hub.command(&["restore", text(&old)]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("over 6 months old"), "{refused:?}");
    // The attack: the date is set forward where it stands.
    let bytes = std::fs::read(&old).expect("the backup");
    let year = bytes.windows(10).position(|part| part == b"\"made_at\":").expect("a date");
    let mut forged = bytes;
    forged[year + 11] = b'9';
    std::fs::write(&old, forged).expect("a forged backup");
    let refused = world.hub.command(&["restore", text(&old)]);
    assert!(refused.stderr.contains("does not open"), "{refused:?}");
    restored(&world.hub, &young);
}

/// Guard: `hub-backup-prune`. Only what the hub's own key says is its own goes.
#[test]
fn h3_a_directory_of_backups_keeps_none_over_six_months() {
    let mut world = World::new(Line::Direct);
    world.hub.stop();
    let dir = world.scratch.path("backups");
    std::fs::create_dir(&dir).expect("a directory");
    let old = made_ago(&world.hub, 185, &dir);
    let young = made_ago(&world.hub, 180, &dir);
    let foreign = dir.join("qcloud-hub-2001-01-01T00-00-00Z.backup");
    std::fs::write(&foreign, "somebody's own").expect("a file");
    let left = dir.join("qcloud-hub-2026-01-01T00-00-00Z.backup.partial");
    std::fs::write(&left, "half a backup").expect("a file");
    let said = backed_up(&world.hub, &dir);
    let fresh = PathBuf::from(said["backup"]["path"].as_str().expect("a path"));
    for (path, stays) in
        [(&old, false), (&left, false), (&young, true), (&foreign, true), (&fresh, true)]
    {
        assert_eq!(path.exists(), stays, "{}", path.display());
    }
}

/// Guards: `hub-journal-mac`, which a changed line does not pass, and `hub-journal-end`, by which the database knows
/// how far the journal went.
///
/// The attack: whoever wants somebody back edits the journal, cuts it, or takes it away.
#[test]
fn h3_without_the_whole_journal_nothing_is_restored_unless_by_name() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let file = world.scratch.path("copy.backup");
    backed_up(&world.hub, &file);
    agent.ok(&["unregister"]);
    world.hub.stop();
    let journal = world.hub.dir().join("deletions.journal");
    let whole = std::fs::read_to_string(&journal).expect("the journal");
    let lines: Vec<&str> = whole.lines().collect();
    let before = lines[..lines.len() - 1].join("\n") + "\n";
    let changed = whole.replace(" registration ", " ddns ");
    let dropped = [&lines[..1], &lines[2..]].concat().join("\n") + "\n";
    for (what, text_of) in [("changed", changed), ("without a line", dropped), ("cut", before)] {
        assert_ne!(text_of, whole);
        std::fs::write(&journal, text_of).expect("a journal");
        let refused = world.hub.command(&["restore", text(&file)]);
        assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
        assert!(refused.stderr.contains("--without-journal"), "{what}: {refused:?}");
        assert_eq!(world.hub.rows("device"), 0, "{what}");
    }
    std::fs::remove_file(&journal).expect("the journal");
    let refused = world.hub.command(&["restore", text(&file)]);
    assert!(refused.stderr.contains("is missing"), "{refused:?}");
    // By name it is done, and said.
    let said = world.hub.command(&["restore", text(&file), "--without-journal"]).ok();
    assert!(said.contains("NOT known"), "{said}");
    assert_eq!(world.hub.rows("device"), 1);
    world.hub.serve();
}

/// So many lines of a log that copying them takes its time.
fn fill(hub: &Hub) {
    let mut connection = Connection::open(hub.dir().join("hub.db")).expect("the database");
    let all = connection.transaction().expect("a transaction");
    all.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         INSERT INTO link_log (device, masked, host, up, down, seconds, made_at)
         SELECT device.id, '192.0.2.0', 'a host of some length ' || i, i, i, 1, unixepoch()
         FROM n, device",
        [],
    )
    .expect("rows");
    all.commit().expect("rows");
}

fn spawn(world: &World, args: &[&str]) -> Process {
    let mut command = world.net.hub.command(env!("CARGO_BIN_EXE_qcloud-hub"));
    command.args(args).arg("--dir").arg(world.hub.dir());
    Process::spawn("the command", command, &world.scratch.path("command"))
}

/// Guard: `hub-backup-whole`, by which a backup has its name only when it is whole.
///
/// The attack: `kill -9` in the middle of a backup, of a restore, and of the moment a database takes the other's
/// place.
#[test]
fn h3_a_backup_or_restore_that_is_killed_leaves_no_half() {
    let mut world = World::new(Line::Direct);
    let _agent = world.member("box", "");
    world.hub.stop();
    fill(&world.hub);
    let file = world.scratch.path("copy.backup");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let partial = world.scratch.path("copy.backup.partial");
    let mut command = spawn(&world, &["backup", "--to", text(&file)]);
    until("some of it", SOON, || (size(&partial).max(size(&file)) > 1 << 16).then_some(()));
    command.kill();
    assert!(!file.exists(), "half a backup has the name of a whole one");
    backed_up(&world.hub, &file);
    assert!(!partial.exists());

    // The hub goes on after the backup: the restored database is another one.
    let connection = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    connection.execute("DELETE FROM link_log WHERE number > 7", []).expect("fewer rows");
    drop(connection);
    let fresh = world.hub.dir().join("hub.db.restoring");
    let mut command = spawn(&world, &["restore", text(&file)]);
    until("some of it", SOON, || fresh.exists().then_some(()));
    command.kill();
    assert_eq!(world.hub.rows("link_log"), 7, "half a restore is in place");
    world.hub.serve();
    world.hub.stop();

    // As it is between the old files and the new one: no hub takes that for a database.
    let marker = world.hub.dir().join("restore.unfinished");
    std::fs::write(&marker, "").expect("a marker");
    std::fs::remove_file(world.hub.dir().join("hub.db")).expect("the database");
    let refused = world.hub.command(&["serve"]);
    assert!(refused.stderr.contains("restore"), "{refused:?}");
    assert!(!world.hub.command(&["devices"]).stderr.is_empty());
    restored(&world.hub, &file);
    assert!(!marker.exists() && !fresh.exists());
    assert_eq!((world.hub.rows("link_log"), world.hub.rows("device")), (60_000, 1));
    world.hub.serve();
}
