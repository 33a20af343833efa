//! `doctor` says what is wrong, and sends nothing.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::{Line, Net};
use crate::common::page::Page;
use crate::common::process::until;
use crate::common::scratch::Scratch;
use crate::common::watch::Counter;
use nix::sys::signal::Signal;
use qcloud_agent::platform::privilege::SERVICE_UID;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);
/// The user the agent runs as here; its packets are counted, and root's are the doctor's.
const UID: u32 = 4247;

fn examined(agent: &Agent, code: i32) -> Value {
    let ran = agent.command(&["doctor"]);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

/// What it says of something, as `level: text`.
fn says(found: &Value, what: &str) -> String {
    let all = found["findings"].as_array().into_iter().flatten().filter(|f| f["what"] == what);
    let text = |f: &Value, key: &str| f[key].as_str().unwrap_or_default().to_owned();
    all.map(|f| format!("{}: {}", text(f, "level"), text(f, "text"))).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_healthy_agent_is_well_and_looking_sends_no_packet() {
    let world = World::new(Line::Direct);
    let mut agent = Agent::new(&world.net.device, &world.scratch.path("agent"), Some(UID), "");
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    until("the update", SOON, || (world.hub.rows("ddns") == 1).then_some(()));
    // What the update and the visit-less session still say is over; heartbeats are 25 s apart.
    until("silence", SOON, || {
        let counter = Counter::new(&world.net.device, UID);
        std::thread::sleep(Duration::from_secs(2));
        (counter.packets() == 0).then_some(())
    });
    let (own, doctors) = (Counter::new(&world.net.device, UID), Counter::new(&world.net.device, 0));
    let found = examined(&agent, 0);
    assert_eq!(found["ok"], true, "{found}");
    let plain = agent.plain(&["doctor"]);
    assert_eq!((own.packets(), doctors.packets()), (0, 0), "looking sent something");
    for (what, words) in [
        ("agent", "ok: runs"),
        ("configuration", "ok: "),
        ("state directory", "ok: "),
        ("space", "ok: "),
        ("identity", "ok: device "),
        ("clock", "ok: "),
        ("name servers", "ok: 198.51.100.1:53"),
        ("hub", "ok: answered "),
        ("certificate", "ok: until 2"),
        ("session", "ok: link: https://"),
        ("ddns", "ok: ddns: "),
        ("privileges", "ok: uid 4247"),
        ("kernel", "ok: openat2, netlink, sock_diag"),
    ] {
        let said = says(&found, what);
        assert!(said.starts_with(words), "{what}: {said}");
    }
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert!(plain.stdout.lines().all(|line| line.chars().count() <= 80), "{}", plain.stdout);
    assert!(plain.stdout.trim_end().ends_with("all is well"), "{}", plain.stdout);
    for debug in ["Some(", "None", "{ ", "Ok("] {
        assert!(!plain.stdout.contains(debug), "{debug}: {}", plain.stdout);
    }
}

#[test]
fn what_is_wrong_is_said_with_a_hint() {
    let mut world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    world.hub.kill();
    until("the session's end", SOON, || {
        (agent.feature("link")["facts"]["up"] != true).then_some(())
    });
    let off = agent.command(&["ddns", "off"]);
    assert_eq!(off.code, Some(3), "{off:?}");
    agent.configure("[link]\nenabeld = true");
    let found = examined(&agent, 3);
    for (what, words) in [
        ("session", "bad: link: not reachable"),
        ("owed erasure", "warn: the hub has not erased its part of ddns"),
        ("configuration", "did you mean `enabled`?"),
        ("warning", "warn: "),
    ] {
        let said = says(&found, what);
        assert!(said.contains(words), "{what}: {said} in {found}");
    }
    for finding in found["findings"].as_array().expect("findings") {
        let is_ok = finding["level"] == "ok";
        assert_eq!(finding["hint"].is_null(), is_ok, "{finding}");
    }
    // And without the agent, from files alone.
    agent.configure("");
    agent.kill();
    let found = examined(&agent, 3);
    assert!(says(&found, "agent").starts_with("warn: does not run"), "{found}");
    assert!(says(&found, "identity").starts_with("ok: device "), "{found}");
    assert!(says(&found, "registration").starts_with("ok: box at "), "{found}");
    let dir = agent.state_dir();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).expect("a mode");
    let found = examined(&agent, 3);
    assert!(says(&found, "state directory").contains("others can look in"), "{found}");
}

#[test]
fn nobody_else_may_look_and_a_look_makes_nothing() {
    let world = World::new(Line::Direct);
    let agent = world.agent("");
    let found = examined(&agent, 3);
    assert!(says(&found, "identity").contains("no key yet"), "{found}");
    assert!(!agent.state_dir().exists(), "a look made a state directory");
    let mut agent = agent;
    agent.start();
    let program = world.scratch.path("qcloud-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_qcloud-agent"), &program).expect("a copy");
    let mut command = world.net.device.command("setpriv");
    command.args(["--reuid=4248", "--regid=4248", "--clear-groups"]).arg(&program);
    command.arg("doctor").arg("--state").arg(agent.state_dir());
    let ran = crate::common::process::run(command, SOON);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("bad   agent"), "{ran:?}");
}

#[test]
fn an_agent_that_hangs_is_said_to_hang() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    agent.process().signal(Signal::SIGSTOP);
    let found = examined(&agent, 1);
    assert!(says(&found, "agent").contains("does not answer in 5 s"), "{found}");
    assert!(says(&found, "configuration").starts_with("ok: "), "{found}");
    agent.process().signal(Signal::SIGCONT);
    assert!(says(&examined(&agent, 0), "agent").starts_with("ok: runs"));
}

#[test]
fn root_is_warned_of_where_it_was_kept_and_nowhere_else() {
    let net = Net::new(Line::Direct);
    let scratch = Scratch::new();
    let mut agent = Agent::new(&net.device, &scratch.path("agent"), None, "");
    agent.start();
    let found = examined(&agent, 0);
    let said = says(&found, "privileges");
    let words = "capabilities 0000000000000000, a seccomp filter, no new privileges, a root helper";
    assert!(said.starts_with(&format!("ok: uid {SERVICE_UID}, {words}")), "{said}");

    let mut agent = Agent::new(&net.device, &scratch.path("root"), None, "");
    let path = scratch.path("root").join("config.toml");
    std::fs::write(path, "[agent]\nuser = 'root'\n").expect("a file");
    agent.start();
    let said = says(&examined(&agent, 3), "privileges");
    assert!(said.starts_with("warn: it runs as root"), "{said}");
}
