//! S6: the key that seals the data lies apart from it.

use crate::common::process::{Process, Ran, run, until};
use crate::common::scratch::Scratch;
use nix::sys::signal::Signal;
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const HUB: &str = env!("CARGO_BIN_EXE_qcloud-hub");

/// A shell in a mount namespace of its own, with a file system in memory at `keys`, and these files in the way.
fn shell(scratch: &Scratch, script: &str) -> Command {
    let mut command = Command::new("unshare");
    let mount = "mkdir -p \"$KEYS\" && mount -t tmpfs -o mode=700 tmpfs \"$KEYS\" || exit 99\n";
    command.args(["--mount", "sh", "-c", &format!("{mount}{script}")]);
    command.env("HUB", HUB).env("KEYS", scratch.path("keys")).env("DIR", scratch.path("hub"));
    command
}

fn sh(scratch: &Scratch, script: &str) -> Ran {
    run(shell(scratch, script), SOON)
}

const INIT: &str =
    "\"$HUB\" init --zone example.test --listen 127.0.0.1:0 --dns 127.0.0.1:0 --dir \"$DIR\"";

fn serve(dir: &Path) -> Ran {
    let mut command = Command::new("timeout");
    command.args(["5", HUB, "serve", "--ready", "--dir"]).arg(dir);
    run(command, SOON)
}

/// Every file of a directory with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file"));
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let read = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path()).expect("its bytes");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    files.map(read).collect()
}

/// Guard: `hub-seal-apart`, the comparison of the two filesystems.
#[test]
fn s6_a_key_on_the_filesystem_of_the_data_is_refused_unless_the_operator_says_so() {
    let scratch = Scratch::new();
    let (dir, key) = (scratch.path("hub"), scratch.path("seal.key"));
    // Not asked for anywhere, and asked for in the wrong place: nothing is made.
    for (where_to, code) in [("", 2), ("--seal-key \"$DIR/../seal.key\"", 1)] {
        let refused = sh(&scratch, &format!("{INIT} {where_to}"));
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.stderr.contains("hint:") && refused.stderr.contains("filesystem"));
        assert!(!key.exists() && !dir.join("hub.toml").exists(), "{where_to}: something was made");
        let _ = std::fs::remove_dir(&dir);
    }
    let made = sh(&scratch, &format!("{INIT} --seal-key-beside-data"));
    assert_eq!(made.code, Some(0), "{made:?}");
    let path = dir.join("hub.toml");
    let text = std::fs::read_to_string(&path).expect("its configuration");
    assert!(text.contains("# ") && text.contains("\nseal_key_beside_data = true\n"), "{text}");
    // The attack: the override is gone, and the key is moved about on the same disk.
    let without = text.replace("seal_key_beside_data = true\n", "");
    std::fs::rename(dir.join("seal.key"), &key).expect("a move");
    for text in [without.clone(), format!("seal_key = \"{}\"\n{without}", key.display())] {
        std::fs::write(&path, text).expect("its configuration");
        if !std::fs::read_to_string(&path).expect("text").contains("\nseal_key = ") {
            std::fs::copy(&key, dir.join("seal.key")).expect("a copy");
        }
        let refused = serve(&dir);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let said = &refused.stderr;
        assert!(said.contains("seal.key") && said.contains("the same filesystem"), "{said}");
        assert!(said.contains("hint:") && said.contains("seal_key_beside_data = true"), "{said}");
        assert!(!dir.join("hub.db").exists(), "it wrote all the same");
    }
}

#[test]
fn s6_a_key_on_another_filesystem_serves_and_without_it_nothing_opens_or_is_lost() {
    let scratch = Scratch::new();
    let (dir, log) = (scratch.path("hub"), scratch.path("log"));
    let script = format!(
        "{INIT} --seal-key \"$KEYS/seal.key\" >&2 || exit 98\n\
         stat -c 'mode %a' \"$KEYS/seal.key\"\n\
         exec \"$HUB\" serve --ready --dir \"$DIR\""
    );
    let mut hub = Process::spawn("the hub", shell(&scratch, &script), &log);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    until("the hub", SOON, || {
        assert!(hub.runs(), "{}", said());
        said().contains("{\"ready\":true").then_some(())
    });
    assert!(said().contains("mode 600"), "{}", said());
    assert!(!dir.join("seal.key").exists(), "a second key lies beside the data");
    hub.signal(Signal::SIGTERM);
    assert!(hub.ended(SOON).success());
    // Whoever opens the file next would move what is left of its log into it.
    let database = Connection::open(dir.join("hub.db")).expect("the database");
    let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let emptied = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy);
    assert_eq!(emptied.expect("a checkpoint"), 0);
    drop(database);

    // The file system in memory is gone, and the key with it.
    let before = files(&dir);
    let lost = serve(&dir);
    let key = scratch.path("keys").join("seal.key");
    assert_eq!(lost.code, Some(1), "{lost:?}");
    let shown = key.display().to_string();
    assert!(lost.stderr.contains(&shown) && lost.stderr.contains("hint: put"), "{lost:?}");
    // The attack: another key in its place, readable by others or not.
    std::fs::create_dir_all(scratch.path("keys")).expect("a directory");
    std::fs::write(&key, [7; 64]).expect("a key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).expect("a mode");
    let loose = run_devices(&dir);
    assert!(loose.code == Some(1) && loose.stderr.contains("chmod 600"), "{loose:?}");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("a mode");
    std::os::unix::fs::chown(&key, Some(12_345), None).expect("an owner");
    let owned = run_devices(&dir);
    assert!(owned.code == Some(1) && owned.stderr.contains("12345"), "{owned:?}");
    std::os::unix::fs::chown(&key, Some(0), None).expect("an owner");
    let other = run_devices(&dir);
    assert!(other.code == Some(1) && other.stderr.contains("not the key"), "{other:?}");
    for (name, bytes) in before {
        let now = std::fs::read(dir.join(&name)).expect("its bytes");
        assert!(now == bytes, "{name} was overwritten");
    }
}

fn run_devices(dir: &Path) -> Ran {
    let mut command = Command::new(HUB);
    command.args(["devices", "--dir"]).arg(dir);
    run(command, SOON)
}
