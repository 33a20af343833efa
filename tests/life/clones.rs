//! Copied disks, restored backups, boxes that cannot write, and boards that were changed.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host, link_host};
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::{tool, until, until_equal};
use crate::common::visitor::{Answer, dig, fetch, is_refused};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(5);

fn warns(agent: &Agent, code: &str) -> bool {
    let status = agent.status();
    status["warnings"].as_array().expect("a list").iter().any(|warning| warning["code"] == code)
}

fn until_warns(agent: &Agent, code: &str) {
    until(code, SOON, || warns(agent, code).then_some(()));
}

fn answers(world: &World, name: &str) -> Answer {
    dig(&world.net.visitor, &ddns_host(name), "A", "+notcp")
}

/// The attack: somebody starts a copy of the disk, and the copy proves the key as well as the original.
#[test]
fn a_copied_disk_sets_both_boxes_aside_until_their_owner_decides() {
    let world = World::new(Line::Direct);
    let visitor = &world.net.visitor;
    let mut original = world.member("box", "");
    original.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = original.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(visitor, &certificate, &url).ok(), "a page");
    until_equal("the name", SOON, &Answer::address(DEVICE), || answers(&world, "box"));
    assert!(original.stop(STOP).success());
    let mut copy = world.copy_of(&original);
    original.start();
    original.wait_for_link();
    assert_eq!(fetch(visitor, &certificate, &url).ok(), "a page");

    copy.start();
    for agent in [&original, &copy] {
        until_warns(agent, "registration-cloned");
    }
    assert!(is_refused(visitor, &link_host("box")), "a visitor was carried");
    assert_eq!(answers(&world, "box"), Answer::no_such_name());
    assert!(world.hub.devices()[0]["quarantined"].is_string());
    let log = world.hub.log_text();
    assert!(log.contains("WARN") && log.contains("qcloud-hub devices"), "{log}");
    let refused = copy.command(&["privacy", "export"]);
    assert!(refused.code == Some(1) && refused.stdout.contains("another copy"), "{refused:?}");

    // The copy becomes a device of its own; it erases nothing, and the original is released.
    let id = original.id();
    assert_eq!(copy.id(), id);
    copy.register_with(&world.hub, &["--fork", "--name", "attic"]);
    assert_ne!(copy.id(), id);
    copy.wait_for_link();
    until_equal("the copy's name", SOON, &Answer::address(DEVICE), || answers(&world, "attic"));
    assert!(!warns(&copy, "registration-cloned"));
    assert_eq!(world.hub.rows("device"), 2);
    assert_eq!(answers(&world, "box"), Answer::no_such_name());
    world.hub.command(&["release", "box"]).ok();
    assert!(original.stop(STOP).success());
    original.start();
    original.wait_for_link();
    until_equal("the name", SOON, &Answer::address(DEVICE), || answers(&world, "box"));
    assert_eq!(fetch(visitor, &certificate, &url).ok(), "a page");
    until("no warning", SOON, || (!warns(&original, "registration-cloned")).then_some(()));
    for agent in [&original, &copy] {
        agent.command(&["egress", "verify"]).ok();
    }
}

#[test]
fn a_restored_backup_is_released_and_goes_on() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    assert!(agent.stop(STOP).success());
    let (state, backup) = (agent.state_dir(), world.scratch.path("backup"));
    let words = |from: &Path, to: &Path| {
        tool("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
    };
    words(&state, &backup);
    agent.start();
    agent.wait_for_link();
    assert!(agent.stop(STOP).success());
    std::fs::remove_dir_all(&state).expect("a lost disk");
    words(&backup, &state);
    agent.start();
    until_warns(&agent, "registration-cloned");
    world.hub.command(&["release", "box"]).ok();
    for _ in 0..2 {
        assert!(agent.stop(STOP).success());
        agent.start();
        agent.wait_for_link();
    }
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
}

#[test]
fn a_box_that_cannot_write_is_no_copy() {
    let mut world = World::new(Line::Direct);
    let dir = world.scratch.path("agent");
    let mut agent = Agent::new(&world.net.device, &dir, Some(4711), "");
    agent.start();
    agent.register(&world.hub, "box");
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    let mode = |mode| {
        std::fs::set_permissions(agent.state_dir(), PermissionsExt::from_mode(mode))
            .expect("a mode")
    };
    let epoch = || agent.feature("link")["facts"]["epoch"].as_u64().unwrap_or_default();
    mode(0o500);
    for _ in 0..4 {
        let before = epoch();
        world.hub.kill();
        world.hub.serve();
        until("a newer session", SOON, || (epoch() > before).then_some(()));
    }
    mode(0o700);
    let before = epoch();
    world.hub.kill();
    world.hub.serve();
    until("a newer session", SOON, || (epoch() > before).then_some(()));
    assert!(agent.stop(STOP).success());
    agent.start();
    agent.wait_for_link();
    assert_eq!(world.hub.devices()[0]["quarantined"], Value::Null);
}

/// The files of a box that tell it from others.
fn board(tree: &Path, serial: &str, mac: &str, machine: &str) {
    let card = tree.join("sys/class/net/eth0");
    for dir in ["sys/class/dmi/id", "etc", "sys/class/net/eth0/device"] {
        std::fs::create_dir_all(tree.join(dir)).expect("a directory");
    }
    for (path, text) in [
        (tree.join("sys/class/dmi/id/product_serial"), serial),
        (tree.join("etc/machine-id"), machine),
        (card.join("addr_assign_type"), "0"),
        (card.join("address"), mac),
    ] {
        std::fs::write(path, format!("{text}\n")).expect("a file");
    }
}

#[test]
fn one_fact_is_a_repair_and_two_are_another_box() {
    let world = World::new(Line::Direct);
    let tree = world.scratch.path("tree");
    let (mac, new_mac) = ("24:5e:be:00:00:01", "24:5e:be:00:00:02");
    board(&tree, "Q205I01234", mac, "4f2d");
    let mut agent = world.agent("");
    agent.see(&tree);
    agent.start();
    agent.register(&world.hub, "box");
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    for (serial, mac, machine) in [
        ("Q205I01234", new_mac, "4f2d"),
        ("Q205I01234", mac, "another"),
        ("Q205I09999", mac, "4f2d"),
    ] {
        assert!(agent.stop(STOP).success());
        board(&tree, serial, mac, machine);
        agent.start();
        agent.wait_for_link();
        assert!(!warns(&agent, "daemon-board"));
    }

    assert!(agent.stop(STOP).success());
    board(&tree, "Q205I09999", new_mac, "4f2d");
    let lines = agent.ok(&["egress", "ledger"]).as_array().expect("lines").len();
    agent.start();
    assert!(warns(&agent, "daemon-board"));
    let status = agent.feature("registration");
    assert!(status["summary"].as_str().expect("text").contains("clone suspected"), "{status}");
    for words in [["ddns", "on"].as_slice(), &["privacy", "export"], &["unregister"]] {
        let refused = agent.command(words);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("register --fork"), "{words:?}: {said}");
    }
    // A second of the first dial's spread, and one more.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(agent.ledger_lines(), u64::try_from(lines).expect("a count"));
    agent.ok(&["register", "--keep"]);
    agent.wait_for_link();
    assert!(agent.stop(STOP).success());
    agent.start();
    agent.wait_for_link();
    assert!(!warns(&agent, "daemon-board"));
}

#[test]
fn looking_at_a_box_gives_it_no_identity() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    let looks: [&[&str]; 5] = [
        &["status"],
        &["egress", "catalog"],
        &["egress", "ledger"],
        &["privacy", "status"],
        &["link", "status"],
    ];
    for words in looks {
        agent.command(words).ok();
        assert!(!agent.state_dir().exists(), "{words:?} made a directory");
    }
    std::fs::create_dir(agent.state_dir()).expect("the one a package makes");
    std::fs::set_permissions(agent.state_dir(), PermissionsExt::from_mode(0o700)).expect("a mode");
    for words in looks
        .into_iter()
        .chain([["ddns", "on"].as_slice(), &["privacy", "deny", "ddns.update.aaaa"]])
    {
        agent.command(words).ok();
        assert!(!agent.state_dir().join("device.key").exists(), "{words:?} made a key");
    }
    assert_eq!(agent.status()["device"], Value::Null);
    agent.start();
    assert!(agent.state_dir().join("device.key").exists());
    assert!(agent.status()["device"].is_string());
}
