//! S15: what is granted to one device or for some names opens nothing else.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::agent::Agent;
use crate::common::hub::Hub;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until;
use crate::common::watch::{files_with, holds};
use qcloud_agent::card::Caller;
use qcloud_agent::hub::api::ROUTES;
use qcloud_agent::platform::privilege::SERVICE_UID;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// All rows of these tables that are about a device, as they stand.
fn rows_of(hub: &Hub, id: &str, key: &[u8]) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(hub.dir().join("hub.db"), flags).expect("the store");
    database.busy_timeout(SOON).expect("a timeout");
    let mut found = Vec::new();
    for table in ["pending", "device", "ddns", "link_log", "restriction"] {
        let mut all = database.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns = all.column_count();
        let mut rows = all.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let cells: Vec<Cell> = (0..columns).map(|at| row.get(at).expect("a cell")).collect();
            let is_its = cells.iter().any(|cell| match cell {
                Cell::Text(text) => text == id,
                Cell::Blob(bytes) => bytes == key,
                Cell::Null | Cell::Integer(_) | Cell::Real(_) => false,
            });
            if is_its {
                found.push(format!("{table} {cells:?}"));
            }
        }
    }
    found
}

/// Guard: `hub-own-rows`: what a request is about is read from the key of its connection and from nothing else.
///
/// The attack: a registered device asks everything there is to ask, also by the other one's names and ids.
#[test]
fn s15_a_devices_key_opens_nothing_of_another() {
    let world = World::new(Line::Direct);
    let (device, hub) = (&world.net.device, &world.hub);
    let thief = world.member("box", "");
    let mut owner = Agent::new(device, &world.scratch.path("owner"), None, "");
    owner.start();
    owner.register(hub, "attic");
    owner.ok(&["ddns", "on"]);
    let page = Page::open(device, "a page");
    owner.link_up(&page.url());
    until("the update", SOON, || (hub.rows("ddns") == 1).then_some(()));
    let (mine, others) = (Papers::of(&thief), Papers::of(&owner));
    let id = owner.id();
    let before = rows_of(hub, &id, &others.spki());
    assert!(before.len() >= 2, "there is something to be stolen: {before:?}");

    let places = ROUTES.iter().filter_map(|route| Some((route.parcel, route.place()?)));
    let mut own: Vec<_> = places.filter(|(_, (_, caller))| *caller == Caller::Device).collect();
    // The one after which there is nobody to ask any more.
    own.sort_by_key(|(parcel, _)| parcel.id == "registration.forget");
    assert!(own.len() >= 6, "{own:?}");
    for (parcel, (path, _)) in own {
        let mut bodies = vec![(parcel.example)()];
        for (member, value) in [("device", id.as_str()), ("id", &id), ("name", "attic")] {
            let mut body = (parcel.example)();
            body[member] = value.into();
            bodies.push(body);
        }
        for body in bodies {
            let (status, answer) = ask(device, hub, Some(&mine), path, &body);
            let said = answer.to_string();
            assert!(!said.contains(&id), "{path} {body} tells: {status} {said}");
            let named = body["name"] == "attic" && status == 409;
            assert!(named || !said.contains("attic"), "{path} {body} tells: {status} {said}");
            let after = rows_of(hub, &id, &others.spki());
            assert_eq!(
                after, before,
                "{path} {body} changed the other one's rows: {status} {said}"
            );
        }
    }
    assert_eq!(owner.feature("link")["facts"]["up"], true, "the other one is undisturbed");
    assert_eq!(hub.devices().len(), 1, "and the asker has erased itself");
}

fn key_file(world: &World, mode: u32, text: &str) -> PathBuf {
    let path = world.scratch.path(&format!("key-{mode:o}"));
    std::fs::write(&path, text).expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode");
    path
}

/// Registers with this name; the exit code, and all that was said.
fn register(agent: &Agent, name: &str, more: &[&str]) -> (Option<i32>, String) {
    let ran = agent.command(&[&["register", "--name", name], more].concat());
    (ran.code, ran.stdout + &ran.stderr)
}

/// Guard: `hub-authkey-names`.
///
/// The attack: a key for the offices' boxes is tried for another name, left open to other users, typed where
/// they can read it; and then looked for in all that is kept.
#[test]
fn s15_an_auth_key_gets_no_other_name_and_is_shown_to_nobody() {
    let world = World::new(Line::Direct);
    let hub = &world.hub;
    let sections = format!("[registration]\nhub = \"{}\"\nhub_pin = \"{}\"\n", hub.url(), hub.pin);
    let mut agent = world.agent(&sections);
    agent.start();
    let made = hub.command(&["authkey", "new", "--name", "office-*", "--json"]).ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = made["key"].as_str().expect("a key");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let private = text(&key_file(&world, 0o600, &format!("{key}\n")));

    let (code, said) = register(&agent, "office-1", &["--auth-key", key]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--auth-key-file") && !said.contains(key), "{said}");
    let open = text(&key_file(&world, 0o644, key));
    let (code, said) = register(&agent, "office-1", &["--auth-key-file", &open]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("must be 0600"), "{said}");
    assert_eq!(agent.ledger_lines(), 0, "nothing of this reached the hub");
    let (code, said) = register(&agent, "vault", &["--auth-key-file", &private]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not let this device in"), "{said}");
    assert!(hub.devices().is_empty());

    let (code, said) = register(&agent, "office-1", &["--auth-key-file", &private]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("check_words"), "nobody is asked: {said}");
    assert_eq!(hub.devices()[0]["name"], "office-1");
    let renamed = agent.command(&["privacy", "fix", "name", "vault"]);
    assert_ne!(renamed.code, Some(0), "{renamed:?}");

    let secret = key.rsplit('_').next().expect("a secret");
    agent.ok(&["egress", "verify"]);
    let starts = agent.ledger_since(0);
    let start = starts.iter().rfind(|line| line["parcel"] == "registration.start").expect("a line");
    let shown = agent.command(&["egress", "show", &start["seq"].to_string()]).ok();
    assert!(shown.contains("[secret]") && !shown.contains(secret), "{shown}");
    let preview = agent.command(&["egress", "preview", "registration.start"]).ok();
    assert!(preview.contains("[secret]"), "{preview}");
    for (what, dir) in [("the device", agent.state_dir()), ("the hub", hub.dir().to_owned())] {
        assert_eq!(files_with(&dir, secret.as_bytes()), Vec::<PathBuf>::new(), "{what} keeps it");
    }
    let logs = agent.log_text() + &hub.log_text();
    assert!(!holds(logs.as_bytes(), secret.as_bytes()), "it was logged");
}

/// A box that is delivered with hub, pin and key registers by itself, also before its hub is there.
#[test]
fn s15_a_provided_box_registers_by_itself_and_once() {
    let mut world = World::new(Line::Direct);
    let made = world.hub.command(&["authkey", "new", "--name", "office-*", "--json"]).ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = key_file(&world, 0o600, made["key"].as_str().expect("a key"));
    // As the file of a box is: of the user that the agent becomes.
    std::os::unix::fs::chown(&key, Some(SERVICE_UID), None).expect("a file of the agent's user");
    let sections = format!(
        "[registration]\nhub = \"{}\"\nhub_pin = \"{}\"\nname = \"office-7\"\nauth_key_file = \"{}\"\n",
        world.hub.url(),
        world.hub.pin,
        key.display()
    );
    world.hub.kill();
    let mut agent = world.agent(&sections);
    agent.start();
    until("the first try", SOON, || (agent.ledger_lines() > 0).then_some(()));
    world.hub.serve();
    let within = Duration::from_secs(60);
    until("the registration", within, || (world.hub.devices().len() == 1).then_some(()));
    assert_eq!(world.hub.devices()[0]["name"], "office-7");
    until("its own word", SOON, || (agent.status()["registered"] != json!(null)).then_some(()));
    agent.ok(&["unregister"]);
    assert!(agent.stop(SOON).success());
    agent.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(world.hub.devices().is_empty(), "its owner took it off the hub");
}
