//! C7: nothing about the box or its owner has to be filled in. Here a box has no picture, no model, no serial
//! number and not even a host name.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host, link_host};
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig, fetch};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
/// What the box that lies would have a terminal do, and a word of its lies.
const LIE: &str = "\u{1b}[2J\u{1b}]0;planted\u{7}";
const WORD: &str = "planted";

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(path, bytes).expect("a file of the tree");
}

/// Registers without a word about the box, publishes its name and a page, and is found by both.
fn lives(world: &World, root: &Path) -> Agent {
    let mut agent = world.agent("");
    agent.see(root);
    agent.start();
    agent.register_with(&world.hub, &["--hub", &world.hub.url(), "--hub-pin", &world.hub.pin]);
    let name = agent.status()["registered"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(name, "nas");
    agent.ok(&["ddns", "on"]);
    until_equal("the name", SOON, &Answer::address(DEVICE), || {
        dig(&world.net.visitor, &ddns_host(&name), "A", "+notcp")
    });
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host(&name));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
    agent
}

/// Guard: `default-name`, what gives a box a name that has none.
#[test]
fn c7_a_box_that_tells_nothing_registers_and_works() {
    let world = World::new(Line::Direct);
    let root = world.scratch.path("root");
    write(&root, "sys/class/dmi/id/product_serial", "To be filled by O.E.M.\n");
    write(&root, "sys/class/dmi/id/product_name", "System Product Name\n");
    write(&root, "etc/hostname", "\n");
    let agent = lives(&world, &root);
    let facts = agent.ok(&["facts"]);
    for fact in ["platform", "model", "serial", "firmware", "hostname", "mac", "volumes"] {
        let fact = &facts[fact];
        assert_eq!(fact["value"], Value::Null, "{fact}");
        assert!(fact["error"].is_string(), "{fact}");
    }
    assert_eq!(agent.status()["warnings"], serde_json::json!([]));
}

/// The attack: a box whose files lie. Guard: `fact-believable`, what refuses a value no maker writes.
#[test]
fn c7_a_box_that_lies_works_and_its_lies_are_not_shown() {
    let world = World::new(Line::Direct);
    let root = world.scratch.path("root");
    write(&root, "etc/os-release", format!("ID=\"{LIE}\"\nVERSION_ID=\"{LIE}\"\nMODEL='{LIE}'\n"));
    write(&root, "sys/class/dmi/id/product_name", "A".repeat(1 << 20));
    write(
        &root,
        "sys/class/dmi/id/product_serial",
        [b"\xff\xfe".as_slice(), LIE.as_bytes()].concat(),
    );
    write(&root, "sys/class/dmi/id/board_name", LIE);
    write(&root, "proc/sys/kernel/hostname", format!("{LIE}\n"));
    write(&root, "etc/hostname", LIE);
    write(&root, "proc/self/mountinfo", format!("1 0 8:1 / /mnt/{LIE} rw - ext4 /dev/sda1 rw\n"));
    write(&root, "proc/mdstat", format!("md{LIE} : active raid1\n   [2/1]\n"));
    write(&root, "sys/class/net/eth0/address", LIE);
    std::fs::create_dir_all(root.join("proc/device-tree")).expect("a directory");
    nix::unistd::mkfifo(&root.join("proc/device-tree/model"), nix::sys::stat::Mode::S_IRWXU)
        .expect("a FIFO, which nobody writes to");
    symlink("/etc/shadow", root.join("proc/device-tree/serial-number")).expect("a link");
    let agent = lives(&world, &root);
    for args in [["facts"], ["status"]] {
        let said = agent.plain(&args).ok();
        assert!(!said.contains(WORD), "{said}");
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        assert!(said.len() < 16 * 1024, "{} bytes", said.len());
    }
    let said = agent.command(&["facts"]).ok();
    assert!(!said.contains(WORD), "{said}");
    // Nor has the hub heard of them.
    for device in world.hub.devices() {
        assert!(!device.to_string().contains(WORD), "{device}");
    }
    assert!(!agent.ok(&["privacy", "export"]).to_string().contains(WORD));
}
