//! Too few descriptors, too little memory.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// The processor time a process has used, in ticks of 10 ms.
fn ticks(agent: &Agent) -> u64 {
    let path = format!("/proc/{}/stat", agent.process().pid());
    let text = std::fs::read_to_string(path).expect("the process");
    let after = text.rsplit_once(')').expect("a name").1;
    after.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum()
}

#[test]
fn with_twenty_four_descriptors_it_serves_and_comes_back_when_they_are_all_taken() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start_through(&["prlimit", "--nofile=24:24"]);
    agent.start();
    agent.register(&world.hub, "box");
    agent.ok(&["ddns", "on"]);
    until("the update", SOON, || (world.hub.rows("ddns") == 1).then_some(()));
    let page = Page::open(&world.net.device, "a page");
    agent.ok(&["link", "on"]);
    agent.ok(&["link", "publish", "web", &page.url()]);
    until("a session or its reason", SOON, || {
        let link = agent.feature("link");
        (link["facts"]["up"] == true || link["summary"].as_str()?.contains("not reachable"))
            .then_some(())
    });
    // Somebody takes every descriptor by asking and never reading.
    let socket = agent.state_dir().join("control.sock");
    let held: Vec<UnixStream> = (0..40).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    assert!(held.len() > 20, "only {}", held.len());
    std::thread::sleep(Duration::from_secs(1));
    let before = ticks(&agent);
    std::thread::sleep(Duration::from_secs(3));
    let used = ticks(&agent) - before;
    assert!(used < 60, "it spins: {used} of 300 ticks");
    drop(held);
    until("an answer", SOON, || (agent.command(&["status"]).code == Some(0)).then_some(()));
    agent.wait_for_link();
    agent.command(&["egress", "verify"]).ok();
    assert!(!agent.log_text().contains("panicked"), "it panicked");
}

#[test]
fn with_too_few_descriptors_to_begin_it_ends_with_a_word() {
    let world = World::new(Line::Direct);
    for limit in [3, 4, 6, 8, 10, 12] {
        let agent = world.scratch.path(&format!("few{limit}"));
        let mut command = world.net.device.command("timeout");
        command.args(["2", "prlimit", &format!("--nofile={limit}:{limit}")]);
        command.arg(env!("CARGO_BIN_EXE_qcloud-agent")).arg("run").arg("--state").arg(&agent);
        let ran = crate::common::process::run(command, SOON);
        assert!(!ran.stderr.contains("panicked"), "{limit}: {ran:?}");
        // 124: it runs, degraded, until `timeout` ends it. 127: the loader had no descriptor left.
        assert!(matches!(ran.code, Some(0 | 1 | 124 | 127)), "{limit}: {ran:?}");
        assert!(
            ran.code != Some(1) || ran.stderr.starts_with("qcloud-agent: "),
            "{limit}: {ran:?}"
        );
    }
}

/// Address space is more than memory, and a build for tests is larger than the firmware's.
#[test]
fn within_48_mb_of_memory_it_does_all_it_is_for() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    // RLIMIT_AS counts what is only mapped: the program itself is most of it in this build.
    let program = std::fs::metadata(env!("CARGO_BIN_EXE_qcloud-agent")).expect("the program").len();
    let limit = format!("--as={}", program + 48 * 1024 * 1024);
    agent.start_through(&["prlimit", &limit]);
    agent.start();
    agent.register(&world.hub, "box");
    let page = Page::open(&world.net.device, &"a long page\n".repeat(100_000));
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", crate::common::agent::link_host("box"));
    let body = crate::common::visitor::fetch(&world.net.visitor, &certificate, &url).ok();
    assert_eq!(body.len(), 1_200_000);
    agent.ok(&["ddns", "on"]);
    until("the update", SOON, || (world.hub.rows("ddns") == 1).then_some(()));
    agent.command(&["egress", "verify"]).ok();
    assert!(!agent.log_text().contains("panicked"), "it panicked");
}
