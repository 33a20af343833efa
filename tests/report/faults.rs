//! What goes wrong around a report: no leak, no hang, nothing left behind.

use super::{agent, entries, made, report, scratch};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SECRET: &str = "root:$6$saltsalt$0123456789abcdefghijklmnopqrstuvwxyz:19000:0:99999:7:::";

/// A tree whose log directory was laid out by somebody who wants to see what root can.
pub(super) fn hostile(root: &Path) {
    let logs = root.join("var/log");
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/shadow"), format!("{SECRET}\ncanary-of-shadow:!:19000:::::\n"))
        .unwrap();
    fs::write(root.join("etc/key"), "canary-of-a-key\n").unwrap();
    symlink("/etc/shadow", logs.join("syslog")).unwrap();
    symlink("../../etc/key", logs.join("syslog.1")).unwrap();
    symlink("loop", logs.join("messages")).unwrap();
    symlink("messages", logs.join("loop")).unwrap();
    fs::hard_link(root.join("etc/key"), logs.join("daemon.log")).unwrap();
    mkfifo(&logs.join("kern.log"), Mode::S_IRWXU).unwrap();
    let sparse = File::create(logs.join("auth.log")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    fs::write(logs.join("syslog.odd\nname\u{1b}[31m"), "fine\n").unwrap();
    fs::create_dir_all(root.join("etc/os-release")).unwrap();
}

#[test]
fn nothing_that_lies_in_a_log_directory_leads_out_of_it() {
    let dir = scratch("hostile");
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    hostile(&root);
    let begun = Instant::now();
    let (_, path) = made(&report(&root, &out));
    assert!(begun.elapsed() < Duration::from_secs(60));
    for (name, bytes) in entries(&path) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary-of"), "{name}");
        assert!(!text.contains("0123456789abcdefghijkl"), "{name}");
        assert!(bytes.len() < 3 << 20, "{name}: {} bytes", bytes.len());
    }
}

#[test]
fn no_other_name_of_a_secret_file_opens_it() {
    let dir = scratch("names");
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    hostile(&root);
    fs::hard_link(root.join("etc/shadow"), root.join("etc/hosts")).unwrap();
    symlink("shadow", root.join("etc/resolv.conf")).unwrap();
    let (_, path) = made(&report(&root, &out));
    for (name, bytes) in entries(&path) {
        assert!(!String::from_utf8_lossy(&bytes).contains("canary-of"), "{name}");
    }
}

#[test]
fn the_archive_is_its_owners_alone_whatever_the_umask() {
    let dir = scratch("umask");
    let out = dir.to_str().unwrap().to_owned();
    let exe = env!("CARGO_BIN_EXE_qcloud-agent");
    let line = format!("umask 000; exec {exe} report --root /nowhere-at-all --out {out}");
    let ran = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let made: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(made[0].metadata().unwrap().nlink(), 1);
}

#[test]
fn a_kill_at_any_moment_leaves_nothing() {
    let dir = scratch("kills");
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    super::plant::lay(&root, super::plant::CORPORA[0].1, 99);
    for number in 0_u64..20 {
        let args = ["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let mut child = agent(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(number * 17 + 3));
        // It may have ended meanwhile.
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let ran = child.try_wait().unwrap();
        if ran.is_none() {
            kill(pid, Signal::SIGKILL).unwrap();
            child.wait().unwrap();
        }
        for entry in fs::read_dir(&out).unwrap() {
            let entry = entry.unwrap();
            // Only a whole one has a name.
            assert!(!entries(&entry.path()).is_empty());
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn of_several_at_once_one_is_made_and_the_others_say_busy() {
    let dir = scratch("busy");
    let args = ["report", "--root", "/nowhere-at-all", "--out", dir.to_str().unwrap()];
    let holder = File::open(&dir).unwrap();
    let lock = nix::fcntl::Flock::lock(holder, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let ran = agent(&args).output().unwrap();
    assert_eq!(ran.status.code(), Some(6), "{ran:?}");
    drop(lock);
    assert!(matches!(agent(&args).output().unwrap().status.code(), Some(0 | 3)));
}

#[test]
fn a_directory_without_room_is_refused_before_anything_is_written() {
    let dir = scratch("small");
    let script = format!(
        "mount -t tmpfs -o size=1m none {0} && {1} report --root /nowhere-at-all --out {0}; code=$?; ls -A {0}; exit $code",
        dir.display(),
        env!("CARGO_BIN_EXE_qcloud-agent")
    );
    let ran =
        std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert_eq!(ran.status.code(), Some(5), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("hint:"), "{ran:?}");
}
