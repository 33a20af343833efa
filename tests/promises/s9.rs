//! S9: the owner's password never touches a device; and the device's keys never leave it.

use crate::common::World;
use crate::common::agent::{Agent, link_host};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{run, until};
use crate::common::visitor::fetch;
use crate::common::watch::{Capture, files_with, holds, memory_holds};
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const PASSWORD: &str = "canary-of-a-password-7be1f0a4";
/// A user that nothing else runs as.
const USER: u32 = 61_031;
const SOON: Duration = Duration::from_secs(30);

/// Guard: `memory-closed`, what keeps a crash from writing the agent's memory to a disk.
///
/// The password is where a person has it who approves a device at the hub, in the environment and at the keyboard. The attack is to look everywhere: the device's files and logs, its memory, its
/// arguments, a crash of it, and every packet; for the private keys of the device also all that the hub has.
#[test]
fn s9_no_password_and_no_private_key_is_where_it_should_not_be() {
    let world = World::new(Line::Direct);
    let net = &world.net;
    let dir = world.scratch.path("agent");
    let mut agent = Agent::new(&net.device, &dir, Some(USER), "");
    let mut capture = Capture::begin(&net.router, &world.scratch.path("line.pcap"));
    agent.start();
    registered(&world, &agent);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&net.device, "a page");
    let certificate = agent.link_up(&page.url());
    fetch(&net.visitor, &certificate, &format!("https://{}/", link_host("box"))).ok();
    agent.ok(&["ddns", "off"]);
    agent.ok(&["status"]);

    let (pid, hub) = (agent.process().pid(), world.hub.process().pid());
    let keys = ["device.key", "web.key"].map(|file| (file, key_in(&agent.state_dir().join(file))));
    assert!(memory_holds(pid, &keys[0].1), "the search of memory does not find the key in use");
    assert!(!memory_holds(pid, PASSWORD.as_bytes()), "the agent has the password");
    assert!(!memory_holds(hub, &keys[0].1), "the hub has a device's key");
    let shown = shown(pid);
    let line = capture.end();
    assert!(holds(&line, b"nas"), "the search of packets finds nothing");

    assert!(!holds(&line, PASSWORD.as_bytes()) && !holds(&shown, PASSWORD.as_bytes()));
    assert_eq!(files_with(&dir, PASSWORD.as_bytes()), Vec::<PathBuf>::new());
    for (file, key) in &keys {
        assert_eq!(files_with(&dir, key), [agent.state_dir().join(file)], "{file}");
        for (form, bytes) in forms(key) {
            let in_clear = holds(&line, &bytes) || holds(&shown, &bytes);
            assert!(!in_clear, "{file} as {form} on the line, in argv or in environ");
            let at_hub = files_with(world.hub.dir(), &bytes);
            assert!(at_hub.is_empty(), "{file} as {form} in {at_hub:?}");
            assert!(!holds(world.hub.log_text().as_bytes(), &bytes), "{file} as {form} logged");
            if form != "raw" {
                assert_eq!(files_with(&dir, &bytes), Vec::<PathBuf>::new(), "{file} as {form}");
            }
        }
    }
    crashes_without_a_word(agent, pid);
    let cores = files_with(&dir, &keys[0].1);
    assert_eq!(cores.len(), 1, "a crash wrote the key: {cores:?}");
}

/// Its memory is closed to its own user, and a crash leaves no core.
fn crashes_without_a_word(mut agent: Agent, pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    let owner = std::fs::metadata(format!("/proc/{pid}/mem")).expect("its memory").uid();
    assert_eq!(owner, 0, "its memory belongs to user {owner}, and can be dumped");
    let ended = agent.crash(Signal::SIGABRT);
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false), "{ended}");
}

/// What every user of the box may read of a process, and what its own may.
fn shown(pid: u32) -> Vec<u8> {
    let read = |name| std::fs::read(format!("/proc/{pid}/{name}")).expect("it runs");
    let shown = [read("cmdline"), read("environ")].concat();
    assert!(holds(&shown, b"run"), "the search of arguments finds nothing");
    shown
}

/// Registers the device; who approves it has a password at hand, and types it where it does not belong.
fn registered(world: &World, agent: &Agent) {
    let hub = &world.hub;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let (url, pin) = (hub.url(), hub.pin.clone());
            agent.ok(&["register", "--name", "box", "--hub", &url, "--hub-pin", &pin])
        });
        let waiting = until("a code", SOON, || {
            let text = hub.command(&["pending", "--json"]).ok();
            let waiting: Value = serde_json::from_str(&text).expect("JSON");
            waiting["pending"].get(0).cloned()
        });
        let code = waiting["code"].as_str().expect("a code");
        let words = waiting["words"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words = words.collect::<Vec<_>>().join(" ");
        let approve = || {
            let mut command = world.net.hub.command(env!("CARGO_BIN_EXE_qcloud-hub"));
            command.env("PASSWORD", PASSWORD).args(["approve", code, "--dir"]).arg(hub.dir());
            command
        };
        let mut typed = approve().stdin(Stdio::piped()).spawn().expect("a command");
        // It may have refused already, since nobody compared the words.
        let _ = writeln!(typed.stdin.take().expect("its keyboard"), "{PASSWORD}");
        assert!(!typed.wait().expect("its end").success(), "a password is no check word");
        let mut right = approve();
        right.args(["--words", &words]);
        run(right, SOON).ok();
        asked.join().expect("a registration");
    });
}

/// The 32 bytes of a private key in its PKCS#8: an octet string of that length.
fn key_in(path: &Path) -> Vec<u8> {
    let pkcs8 = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let at = pkcs8.windows(2).position(|mark| mark == [0x04, 0x20]).expect("a key of 32 bytes");
    pkcs8[at + 2..at + 34].to_vec()
}

/// A key as it might be written. In base64 three bytes are four letters, wherever they begin.
fn forms(key: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", key.to_vec()),
        ("hex", HEXLOWER.encode(key).into_bytes()),
        ("HEX", HEXUPPER.encode(key).into_bytes()),
    ];
    for begin in 0..3 {
        let whole = &key[begin..begin + 27];
        forms.push(("base64", BASE64.encode(whole).into_bytes()));
        forms.push(("base64url", BASE64URL.encode(whole).into_bytes()));
    }
    forms
}
