//! G1: where the hub stands is shown before anything of the device is sent there.

use crate::common::World;
use crate::common::net::{HUB, Line};
use crate::common::process::run;
use serde_json::Value;
use std::time::Duration;

const REGION: &str = "Luleå, Sweden";
const SOON: Duration = Duration::from_secs(40);

/// Guard: `operator-first`, the question before the registration.
///
/// The attack: the device introduces itself first, and says afterwards to whom. The kernel's record of the calls shows
/// what was written to the terminal between the two, and the ledger that nothing of the device was in the first one.
#[test]
fn g1_where_the_hub_stands_is_shown_before_anything_of_the_device_is_sent() {
    let world = World::with_hub(Line::Direct, &["--region", REGION]);
    let agent = world.agent("");
    let dir = world.scratch.path("agent");
    let trace = world.scratch.path("calls");
    // The name belongs to another device, so that it ends by itself.
    let mut other =
        crate::common::agent::Agent::new(&world.net.device, &world.scratch.path("other"), None, "");
    other.start();
    other.register(&world.hub, "box");

    let mut command = world.net.device.command("strace");
    command.args(["-f", "-qq", "-s", "300", "-e", "trace=connect,write", "-o"]).arg(&trace);
    command.arg(env!("CARGO_BIN_EXE_qcloud-agent")).args(["register", "--name", "box"]);
    command.args(["--hub", &world.hub.url(), "--hub-pin", &world.hub.pin]);
    command.arg("--state").arg(dir.join("state")).arg("--config").arg(dir.join("config.toml"));
    let ran = run(command, SOON);
    assert_eq!(ran.code, Some(1), "the name is taken: {ran:?}");
    assert!(ran.stdout.contains(REGION), "{ran:?}");

    let calls = std::fs::read_to_string(&trace).expect("what strace wrote");
    // strace writes what is not ASCII in octal.
    let shown =
        calls.lines().position(|line| line.contains("write(1, ") && line.contains(", Sweden"));
    let shown = shown.unwrap_or_else(|| panic!("it was not shown: {calls}"));
    let is_dial = |line: &&str| {
        line.contains(&format!("inet_addr(\"{HUB}\")")) && line.contains("htons(443)")
    };
    let dials = calls.lines().enumerate().filter(|(_, line)| is_dial(line)).map(|(at, _)| at);
    let dials: Vec<usize> = dials.collect();
    assert!(dials.first() < Some(&shown), "shown and never asked for: {dials:?} {shown}");
    assert!(dials.last() > Some(&shown), "nothing was sent after it was shown: {dials:?} {shown}");
    assert_eq!(dials.iter().filter(|at| **at < shown).count(), 1, "more than the question");

    let mut agent = agent;
    agent.start();
    let lines = agent.ledger_since(0);
    let hub: Vec<&Value> = lines.iter().filter(|line| line["parcel"] != "house.lookup").collect();
    let order: Vec<_> =
        hub.iter().map(|line| line["parcel"].as_str().unwrap_or_default()).collect();
    let at = |id: &str| order.iter().position(|parcel| *parcel == id);
    assert!(at("registration.about") < at("registration.start"), "{order:?}");
    let about = hub.iter().find(|line| line["parcel"] == "registration.about").expect("a line");
    let shown = agent.command(&["egress", "show", &about["seq"].to_string()]).ok();
    let id = agent.id();
    assert!(!shown.contains("spki") && !shown.contains("box") && !shown.contains(&id), "{shown}");
}
