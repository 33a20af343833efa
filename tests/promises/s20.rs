//! S20: the agent can do nothing on the box that it does not need, whoever started it.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::process::{run, until};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use qcloud_agent::platform::privilege::SERVICE_UID;
use qcloud_agent::platform::seccomp::{Confinement, confine};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A line of `/proc/PID/status`, its numbers with single spaces between them.
fn status(agent: &Agent, name: &str) -> String {
    let path = format!("/proc/{}/status", agent.process().pid());
    let text = std::fs::read_to_string(&path).expect("a status");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_hardened(agent: &Agent) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(agent, name), "0".repeat(16), "{name}");
    }
    assert_eq!(status(agent, "NoNewPrivs"), "1");
    assert_eq!(status(agent, "Seccomp"), "2");
    let limits = format!("/proc/{}/limits", agent.process().pid());
    let limits = std::fs::read_to_string(limits).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
    // One that can be dumped owns these files itself (proc(5)).
    let memory = format!("/proc/{}/mem", agent.process().pid());
    assert_eq!(std::fs::metadata(memory).expect("its memory").uid(), 0);
    assert_eq!(agent.status()["agent"]["seccomp"], true);
}

/// Guard: `privilege-drop`, where the daemon becomes its own user.
#[test]
fn s20_started_as_root_it_keeps_nothing_of_root() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    let own = SERVICE_UID.to_string();
    for name in ["Uid", "Gid"] {
        assert_eq!(status(&agent, name), [own.as_str(); 4].join(" "), "{name}");
    }
    assert_eq!(status(&agent, "Groups"), "");
    assert_eq!(status(&agent, "CapBnd"), "0".repeat(16));
    is_hardened(&agent);
    // What it opens from here on it opens as that user: nothing of root's is in reach.
    assert_eq!(agent.status()["agent"]["uid"], SERVICE_UID);
    assert_eq!(agent.status()["agent"]["root_helper"], true);
}

/// Guard: `seccomp`, the filter; it cannot be loaded before new privileges are given up.
#[test]
fn s20_started_by_anybody_it_stays_that_user_and_can_gain_nothing() {
    let world = World::new(Line::Direct);
    let mut agent = Agent::new(&world.net.device, &world.scratch.path("user"), Some(1000), "");
    agent.start();
    assert_eq!(status(&agent, "Uid"), "1000 1000 1000 1000");
    is_hardened(&agent);
    // The attack: another program of the same user looks into its memory for the device key.
    let mut spy = Command::new("setpriv");
    spy.args(["--reuid=1000", "--regid=1000", "--clear-groups", "cat"]);
    spy.arg(format!("/proc/{}/environ", agent.process().pid()));
    assert_ne!(run(spy, Duration::from_secs(10)).code, Some(0), "its memory is open to others");
}

/// Guard: `seccomp`, where the filter is put in place. The attack is [`attacker`], in a process of its own.
#[test]
fn s20_the_kernel_refuses_what_an_agent_never_needs() {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "s20::attacker"]);
    let ran = run(command, Duration::from_secs(20));
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
}

#[test]
#[ignore = "confines its whole process: run by the test above, alone"]
fn attacker() {
    let before = std::process::id();
    assert_eq!(confine(), Confinement::Filtered);
    let started = Command::new("/bin/true").status();
    let denied = started.expect_err("a program was started").kind();
    assert_eq!(denied, std::io::ErrorKind::PermissionDenied);
    for flags in [CloneFlags::CLONE_NEWUSER, CloneFlags::CLONE_NEWNS, CloneFlags::CLONE_NEWNET] {
        assert_eq!(unshare(flags), Err(Errno::EPERM), "{flags:?}");
    }
    assert_eq!(nix::unistd::chroot("/"), Err(Errno::EPERM));
    assert_eq!(nix::unistd::setuid(nix::unistd::getuid()), Err(Errno::EPERM));
    assert_eq!(nix::unistd::setgroups(&[]), Err(Errno::EPERM));
    assert_eq!(nix::unistd::sethostname("x"), Err(Errno::EPERM));
    // And in a thread that is made afterwards, which must still be possible.
    let thread = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWUTS));
    assert_eq!(thread.join().expect("a thread"), Err(Errno::EPERM));
    assert_eq!(std::process::id(), before);
}

/// Guard: `inherited-descriptors`, where what was left open is closed.
#[test]
fn s20_it_keeps_no_file_open_that_its_starter_left_open() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start_through(&["sh", "-c", "exec 9</etc/shadow 8</; exec \"$@\"", "sh"]);
    agent.start();
    let state = agent.state_dir();
    let dir = format!("/proc/{}/fd", agent.process().pid());
    for entry in std::fs::read_dir(&dir).expect("descriptors") {
        let path = entry.expect("a descriptor").path();
        let Ok(target) = std::fs::read_link(&path) else { continue };
        let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let text = target.to_string_lossy();
        let known = number <= 2
            || text.starts_with("socket:")
            || text.starts_with("anon_inode:")
            || target.starts_with(&state);
        assert!(known, "{number} -> {text}");
    }
}

fn owners(dir: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(dir).expect("the state directory");
    let mut all: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a file");
            let uid = entry.metadata().expect("its owner").uid();
            (entry.file_name().to_string_lossy().into_owned(), uid)
        })
        .collect();
    all.push((".".into(), std::fs::metadata(dir).expect("its owner").uid()));
    all
}

/// Guard: `state-owner`, where a command becomes the owner of the state.
#[test]
fn s20_a_command_of_root_leaves_no_file_of_roots_in_the_state() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    let check = |agent: &Agent, when: &str| {
        let others: Vec<_> =
            owners(&agent.state_dir()).into_iter().filter(|(_, uid)| *uid != SERVICE_UID).collect();
        assert!(others.is_empty(), "{when}: {others:?}");
    };
    // Before the first start of the daemon, and between two of them.
    for verb in ["on", "off"] {
        agent.ok(&["ddns", verb]);
        check(&agent, verb);
    }
    agent.start();
    agent.ok(&["ddns", "on"]);
    check(&agent, "while it runs");
    agent.stop(Duration::from_secs(5));
    for command in [["ddns", "off"], ["link", "on"], ["privacy", "status"], ["egress", "ledger"]] {
        agent.ok(&command);
        check(&agent, command[0]);
    }
    agent.start();
    assert_eq!(agent.feature("link")["state"], "on");
}

/// The process ids of root helpers of this agent.
fn helpers(agent: &Agent) -> Vec<u32> {
    let state = agent.state_dir().to_string_lossy().into_owned();
    let numbers = std::fs::read_dir("/proc")
        .expect("processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_helper = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("\0root-helper\0") && line.contains(&state)
    };
    numbers.filter(is_helper).collect()
}

/// Guard: `helper-config`, where the helper looks who can write its configuration.
#[test]
fn s20_root_helps_by_a_configuration_of_its_own_only_and_no_longer_than_its_daemon() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    let [helper] = helpers(&agent)[..] else { panic!("no helper, or several") };
    let text = std::fs::read_to_string(format!("/proc/{helper}/status")).expect("a status");
    // The four that reach and own files; and nothing that it starts has more.
    assert!(text.contains("CapEff:\t000000000000000f"), "{text}");
    assert!(text.contains("CapBnd:\t0000000000000000"), "{text}");
    assert!(text.contains("NoNewPrivs:\t1"), "{text}");
    agent.kill();
    until("the end of the helper", Duration::from_secs(5), || {
        helpers(&agent).is_empty().then_some(())
    });

    let config = world.scratch.path("agent").join("config.toml");
    chown(&config, Some(1000), None).expect("another owner");
    agent.start();
    assert_eq!(agent.status()["agent"]["root_helper"], false);
    assert!(helpers(&agent).is_empty(), "{:?}", helpers(&agent));
    assert!(agent.log_text().contains("only root may be able to write it"), "{}", agent.log_text());
}
