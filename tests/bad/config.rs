//! A configuration file that is none.

use crate::assert_told;
use crate::common::agent::Agent;
use crate::common::net::{Line, Net};
use crate::common::process::{Ran, run, until};
use crate::common::scratch::Scratch;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn start(config: &Path, state: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.arg("run").arg("--state").arg(state).arg("--config").arg(config);
    run(command, SOON)
}

/// Files, and what the one line about each says.
fn broken() -> Vec<(Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        (
            text("# one\n\n[ddns]\n# four\n\n[link]\nenabeld = true\n"),
            ", line 7: unknown key `enabeld` in [link]; did you mean `enabled`?",
        ),
        (text("[lnik]\n"), ", line 1: there is no section [lnik]; did you mean [link]?"),
        (text("[agent]\nresolvers = 53\n"), ", line 2: [agent] "),
        (text("[link]\nheartbeat_seconds = \"often\"\n"), ", line 2: [link] "),
        (text("[link]\nheartbeat_seconds = -1\n"), ", line 2: [link] "),
        (text("[ddns]\naddresses = 'some'\n"), ", line 2: [ddns] "),
        (text("[ddns]\n[link]\n[ddns]\n"), ", line 3: "),
        (text("[ddns]\nenabled = true\nenabled = true\n"), ", line 3: "),
        (text("[[ddns]]\n"), "write [ddns]"),
        (text("[ddns]\nenabled = tr\0ue\n"), ", line 2: "),
        (vec![0; 4096], ", line 1: "),
        (vec![b'#', 0xff, 0xfe, b'\n'], "line 1 is not UTF-8"),
        (text("[ddns]\n\u{1b}[2J\u{7}\u{202e} = 1\n"), ", line 2: "),
        (format!("a = {}{}", "[".repeat(50_000), "]".repeat(50_000)).into_bytes(), ", line 1: "),
        (vec![b'#'; 10 * 1024 * 1024], "longer than 262144 bytes"),
    ]
}

#[test]
fn a_broken_file_ends_the_start_with_one_line_and_a_hint() {
    let scratch = Scratch::new();
    let (config, state) = (scratch.path("config.toml"), scratch.path("state"));
    for (bytes, words) in broken() {
        std::fs::write(&config, &bytes).expect("a file");
        let ran = start(&config, &state);
        assert_told(&ran, 2, words);
        let acts = |c: char| c != '\n' && qcloud_agent::wire::label::acts(c);
        assert!(!ran.stderr.contains(acts), "{ran:?}");
        let key = std::fs::exists(state.join("device.key")).expect("a look");
        assert!(!key, "a key was made by a start that failed");
    }
}

#[test]
fn what_is_no_readable_file_is_refused_without_waiting() {
    let scratch = Scratch::new();
    let state = scratch.path("state");
    let dir = scratch.path("dir.toml");
    std::fs::create_dir(&dir).expect("a directory");
    assert_told(&start(&dir, &state), 2, "cannot read the configuration");
    assert_told(&start(&scratch.path("none.toml"), &state), 2, "No such file");
    let fifo = scratch.path("fifo.toml");
    crate::common::process::tool("mkfifo", [&fifo]);
    assert_told(&start(&fifo, &state), 2, "it is no file");

    let secret = scratch.path("secret.toml");
    std::fs::write(&secret, "[ddns]\n").expect("a file");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).expect("a mode");
    let program = scratch.path("qcloud-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_qcloud-agent"), &program).expect("a copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=4242", "--regid=4242", "--clear-groups"]).arg(&program);
    let own = scratch.path("own");
    std::fs::create_dir(&own).expect("a directory");
    nix::unistd::chown(&own, Some(4242.into()), None).expect("a directory of that user");
    command.arg("run").arg("--state").arg(own.join("state")).arg("--config").arg(&secret);
    assert_told(&run(command, SOON), 2, "Permission denied");
}

#[test]
fn marks_of_other_systems_are_no_mistake() {
    let net = Net::new(Line::Direct);
    let scratch = Scratch::new();
    let mut agent = Agent::new(&net.device, &scratch.path("agent"), None, "");
    let path = scratch.path("agent").join("config.toml");
    std::fs::write(path, "\u{feff}# from elsewhere\r\n[ddns]\r\nenabled = true\r\n")
        .expect("a file");
    agent.start();
    assert_eq!(agent.feature("ddns")["state"], "on");
}

#[test]
fn a_running_agent_keeps_the_configuration_it_has_and_says_so() {
    let net = Net::new(Line::Direct);
    let scratch = Scratch::new();
    let mut agent = Agent::new(&net.device, &scratch.path("agent"), None, "[ddns]\nenabled = true");
    agent.start();
    let warning = || {
        let status = agent.status();
        let all = status["warnings"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|warning| warning["code"] == "daemon-reload")
    };
    assert_eq!(warning(), None);
    let path = scratch.path("agent").join("config.toml");
    for (bytes, words) in broken() {
        std::fs::write(&path, &bytes).expect("a file");
        agent.process().signal(Signal::SIGHUP);
        let told = until(words, SOON, || {
            warning().filter(|w| w["details"].as_str().is_some_and(|text| text.contains(words)))
        });
        assert_eq!(told["hint"], json!("qcloud-agent doctor"));
        assert_eq!(agent.feature("ddns")["state"], "on");
    }
    agent.configure("[ddns]\nenabled = false");
    agent.process().signal(Signal::SIGHUP);
    until("the new configuration", SOON, || {
        (agent.feature("ddns")["state"] == "off").then_some(())
    });
    assert_eq!(warning().unwrap_or(Value::Null), Value::Null, "the warning stays");
}
