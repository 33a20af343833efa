//! R5: what will leave is said before the first of it leaves.

use crate::common::World;
use crate::common::net::Line;
use crate::common::process::{Ran, run};
use qcloud_agent::wire::{lookup, registration};
use std::path::Path;
use std::time::Duration;

/// Guard: `register-announced`, the words of the catalogue in front of a registration.
///
/// The attack: to send first and to say it afterwards; the kernel's record shows what came first.
#[test]
fn r5_what_leaves_is_said_before_the_first_packet() {
    let world = World::new(Line::Direct);
    // It is there for its configuration only: the command runs its own agent, as on a fresh device.
    let _agent = world.agent("");
    for json in [false, true] {
        let path = world.scratch.path("calls");
        let ran = register(&world, &path, json);
        assert_eq!(ran.code, Some(8), "nobody is there: {ran:?}");
        for parcel in [&registration::START, &registration::POLL, &lookup::LOOKUP] {
            for word in [parcel.id, parcel.what] {
                assert!(ran.stderr.contains(word), "`{word}` is not said: {}", ran.stderr);
                assert!(!ran.stdout.contains(parcel.what), "it is said to who reads the answer");
            }
        }
        let calls = std::fs::read_to_string(&path).expect("what strace wrote");
        let line = |words: &[&str]| {
            let has = |line: &str| words.iter().all(|word| line.contains(word));
            calls.lines().position(has).unwrap_or_else(|| panic!("no {words:?} in {calls}"))
        };
        let said = line(&["write(2, ", registration::START.id]);
        let sent = line(&["connect(", "203.0.113.254"]);
        let first = calls.lines().position(|line| line.contains("socket(AF_INET"));
        assert!(said < sent && first.is_none_or(|first| said < first), "it was sent first");
    }
}

fn register(world: &World, path: &Path, json: bool) -> Ran {
    let dir = world.scratch.path("agent");
    let mut command = world.net.device.command("strace");
    command.args(["-f", "-qq", "-s", "200", "-e", "trace=%net,write", "-o"]).arg(path);
    command.arg(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.args(["register", "--name", "box", "--hub", "https://203.0.113.254:9"]);
    command.args(json.then_some("--json"));
    command.arg("--state").arg(dir.join("state")).arg("--config").arg(dir.join("config.toml"));
    run(command, Duration::from_secs(40))
}
