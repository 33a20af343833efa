//! State that a disk, a power cut or a hand has changed.

use crate::assert_told;
use crate::common::process::{Ran, run, until};
use crate::common::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::daemon::household::Household;
use qcloud_agent::daemon::records::{HOUSEHOLD, Records};
use qcloud_agent::identity::key::KEY_FILE;
use qcloud_agent::identity::{Identity, IdentityError};
use qcloud_agent::platform::root::Root;
use qcloud_agent::state::{StateDir, StateError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A small state with two generations, and the id it is of.
fn small_state(dir: &Path) -> String {
    let state = Arc::new(StateDir::open(dir).expect("a directory"));
    let identity = identity(Arc::clone(&state)).expect("a key");
    identity.keep().expect("a key on the disk");
    for on in [false, true] {
        let mut household = Household::default();
        household.switches.insert("ddns".into(), on);
        let body = serde_json::to_value(household).expect("JSON");
        state.save(HOUSEHOLD, &body).expect("a save");
    }
    identity.key().id().into()
}

fn identity(state: Arc<StateDir>) -> Result<Identity, IdentityError> {
    Identity::open(state, clock(), Root::new("/nowhere"))
}

fn clock() -> Clock {
    Clock::system(Wall::default())
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = dir.read_dir().expect("a directory").map(|entry| entry.expect("an entry").path());
    let file = |path: &PathBuf| path.file_name().is_some_and(|name| name != "control.sock");
    names.filter(file).map(|path| (path.clone(), std::fs::read(&path).expect("a file"))).collect()
}

fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).truncate(true).create(true).mode(0o600);
    options.open(path).and_then(|mut file| file.write_all(bytes)).expect("a file");
}

/// Every way to spoil some bytes: cut at every length, every bit turned, every byte zeroed, all zeroed.
fn spoiled(bytes: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let cut = (0..bytes.len()).map(|at| (format!("cut at {at}"), bytes[..at].to_vec()));
    let flip = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {bit}"), flipped)
    });
    let zero = (0..bytes.len()).filter(|at| bytes[*at] != 0).map(|at| {
        let mut zeroed = bytes.to_vec();
        zeroed[at] = 0;
        (format!("byte {at} zeroed"), zeroed)
    });
    let all = core::iter::once(("all zeroed".into(), vec![0; bytes.len()]));
    cut.chain(flip).chain(zero).chain(all)
}

#[test]
fn whatever_bit_of_a_generation_turns_the_other_one_serves() {
    let scratch = Scratch::new();
    let dir = scratch.path("state");
    let id = small_state(&dir);
    let mut tried = 0;
    for slot in [0, 1] {
        let path = dir.join(format!("household.{slot}.json"));
        let good = std::fs::read(&path).expect("a generation");
        for (how, bytes) in spoiled(&good) {
            put(&path, &bytes);
            let state = StateDir::open(&dir).expect("a directory");
            let (household, damaged) =
                Records::load(&state).unwrap_or_else(|e| panic!("slot {slot}, {how}: {e}"));
            let damaged = damaged.unwrap_or_else(|| panic!("slot {slot}, {how}: not noticed"));
            assert!(damaged.contains(&path.display().to_string()), "{how}: {damaged}");
            // Slot 1 holds the second save.
            assert_eq!(household.switches["ddns"], slot == 0, "slot {slot}, {how}");
            assert_eq!(std::fs::read(&path).expect("still there"), bytes, "{how}: it was touched");
            tried += 1;
        }
        put(&path, &good);
    }
    assert!(tried > 4000, "only {tried}");
    let state = Arc::new(StateDir::open(&dir).expect("a directory"));
    assert_eq!(identity(state).expect("a key").key().id(), id);
}

#[test]
fn two_spoiled_generations_are_refused_and_kept() {
    let scratch = Scratch::new();
    let dir = scratch.path("state");
    small_state(&dir);
    let paths = [0, 1].map(|slot| dir.join(format!("household.{slot}.json")));
    let good = paths.clone().map(|path| std::fs::read(path).expect("a generation"));
    let spoiled = good.each_ref().map(|bytes| spoiled(bytes).map(|(_, b)| b).collect::<Vec<_>>());
    // The n-th way of the one with the n-th from the end of the other: every position of both.
    let pairs = spoiled[0].iter().zip(spoiled[1].iter().rev().cycle());
    for (first, second) in pairs {
        put(&paths[0], first);
        put(&paths[1], second);
        let state = StateDir::open(&dir).expect("a directory");
        let Err(error @ StateError::Damaged { .. }) = Records::load(&state) else {
            panic!("two spoiled generations were read")
        };
        let text = error.to_string();
        assert!(paths.iter().all(|path| text.contains(&path.display().to_string())), "{text}");
        let body = json!({ "switches": {} });
        assert!(state.save(HOUSEHOLD, &body).is_err(), "written over what cannot be read");
        assert_eq!(&std::fs::read(&paths[0]).expect("kept"), first);
        assert_eq!(&std::fs::read(&paths[1]).expect("kept"), second);
    }
}

#[test]
fn a_key_in_which_any_bit_turned_is_refused_and_never_replaced() {
    let scratch = Scratch::new();
    let dir = scratch.path("state");
    let id = small_state(&dir);
    let path = dir.join(KEY_FILE);
    let good = std::fs::read(&path).expect("a key");
    for (how, bytes) in spoiled(&good) {
        put(&path, &bytes);
        let state = Arc::new(StateDir::open(&dir).expect("a directory"));
        if let Ok(identity) = identity(state) {
            // Bits that DER does not care for may turn; the device stays the same one.
            assert_eq!(identity.key().id(), id, "{how}: another device");
        }
        assert_eq!(std::fs::read(&path).expect("kept"), bytes, "{how}: the key was replaced");
    }
    put(&path, &good);
}

/// The certificate visitors see and its key: made anew or refused, never a panic, and the same key for good.
#[test]
fn what_visitors_see_is_refused_or_made_anew_from_the_same_key() {
    let scratch = Scratch::new();
    let dir = scratch.path("state");
    small_state(&dir);
    let host = "box.link.example.test";
    let open = || {
        let state = Arc::new(StateDir::open(&dir).expect("a directory"));
        identity(state).expect("a key")
    };
    let fingerprint = open().web(host).expect("a certificate").fingerprint();
    let before = files(&dir);
    for (path, good) in before.iter().filter(|(path, _)| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("web"))
    }) {
        for (how, bytes) in spoiled(good).step_by(7) {
            put(path, &bytes);
            let web = open().web(host);
            let shown = path.display();
            if let Ok(web) = web {
                assert_eq!(web.fingerprint(), fingerprint, "{shown}, {how}: another certificate");
            }
            assert_eq!(std::fs::read(path).expect("kept"), bytes, "{shown}, {how}: replaced");
        }
        put(path, good);
    }
    assert_eq!(open().web(host).expect("a certificate").fingerprint(), fingerprint);
}

fn agent(dir: &Path, config: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.arg(verb).arg("--state").arg(dir).arg("--config").arg(config);
    command
}

/// Starts the agent; it answers, or it ends.
fn started(dir: &Path, config: &Path) -> Result<Value, Ran> {
    let mut child = agent(dir, config, "run")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent");
    let up = until("an answer or an end", SOON, || {
        if child.try_wait().expect("its state").is_some() {
            return Some(false);
        }
        UnixStream::connect(dir.join("control.sock")).is_ok().then_some(true)
    });
    if !up {
        let out = child.wait_with_output().expect("its end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        return Err(Ran { code: out.status.code(), stdout, stderr });
    }
    let mut status = agent(dir, config, "status");
    status.arg("--json");
    let status = run(status, SOON).ok();
    kill(Pid::from_raw(child.id().try_into().expect("a pid")), Signal::SIGKILL).expect("a kill");
    child.wait().expect("its end");
    Ok(serde_json::from_str(&status).expect("JSON"))
}

#[test]
fn the_agent_itself_starts_with_the_other_generation_or_refuses_with_a_hint() {
    let scratch = Scratch::new();
    let (dir, config) = (scratch.path("state"), scratch.path("config.toml"));
    std::fs::write(&config, "").expect("a file");
    let id = small_state(&dir);
    let before = files(&dir);
    let restore = || {
        for (path, bytes) in &before {
            put(path, bytes);
        }
    };
    let targets = [KEY_FILE, "household.0.json", "household.1.json"].map(|name| dir.join(name));
    for (index, path) in targets.iter().enumerate() {
        let all: Vec<_> = spoiled(&before[path]).collect();
        for (how, bytes) in all.iter().step_by(all.len() / 9) {
            restore();
            put(path, bytes);
            let shown = path.display();
            match started(&dir, &config) {
                Ok(status) => {
                    assert_eq!(status["device"], json!(id), "{shown}, {how}: another device");
                    let codes = status["warnings"].to_string();
                    let told = index == 0 || codes.contains("daemon-damaged");
                    assert!(told, "{shown}, {how}: nothing is said: {status}");
                }
                Err(ran) => {
                    assert_eq!(
                        index, 0,
                        "{shown}, {how}: the other generation did not serve: {ran:?}"
                    );
                    assert_told(&ran, 1, KEY_FILE);
                }
            }
            let key = std::fs::read(dir.join(KEY_FILE)).expect("a key");
            let expected = if index == 0 { bytes } else { &before[&dir.join(KEY_FILE)] };
            assert_eq!(&key, expected, "{shown}, {how}: the key was touched");
        }
    }
    restore();
    for path in &targets[1..] {
        put(path, b"{\"schema\":1}\n");
    }
    let ran = started(&dir, &config).expect_err("two spoiled generations");
    assert_told(&ran, 1, "household.0.json");
    assert!(ran.stderr.contains("nothing was replaced"), "{ran:?}");
    assert_eq!(std::fs::read(&targets[2]).expect("kept"), b"{\"schema\":1}\n");
}
