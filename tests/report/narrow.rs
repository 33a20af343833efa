//! A report where memory is short: in a control group with 64 MB, and with 24 MB.

use super::scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A control group with so much memory, of either version; removed on drop.
struct Group {
    dir: PathBuf,
}

impl Group {
    fn new(megabytes: u64) -> Self {
        let name = format!("qcloud-report-test-{}-{megabytes}", std::process::id());
        let limit = (megabytes << 20).to_string();
        // The first version has its memory in a tree of its own.
        let (dir, file) = if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
            (Path::new("/sys/fs/cgroup/memory").join(name), "memory.limit_in_bytes")
        } else {
            let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            (Path::new("/sys/fs/cgroup").join(name), "memory.max")
        };
        fs::create_dir(&dir).unwrap();
        let group = Self { dir };
        fs::write(group.dir.join(file), limit).unwrap();
        group
    }

    fn run(&self, line: &str) -> Output {
        let line = format!("echo $$ > {}/cgroup.procs; exec {line}", self.dir.display());
        Command::new("sh").args(["-c", &line]).output().unwrap()
    }

    /// The most it ever held, with what the kernel keeps of its files.
    fn peak(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.dir.join(name)).ok()?.trim().parse().ok();
        read("memory.max_usage_in_bytes").or_else(|| read("memory.peak"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

#[test]
fn a_report_fits_into_64_megabytes_and_into_24() {
    let dir = scratch("narrow");
    let root = dir.join("root");
    super::plant::lay(&root, 3);
    let logs = root.join("var/log");
    let line = "Nov 20 10:00:00 nas kernel: [12345.678901] a line of a log that is long enough\n";
    fs::write(logs.join("messages"), line.repeat(6_000)).unwrap();
    // One line without an end.
    fs::write(logs.join("user.log"), "x y ".repeat(60_000)).unwrap();
    for megabytes in [64, 24] {
        let out = dir.join(format!("out{megabytes}"));
        fs::create_dir(&out).unwrap();
        let group = Group::new(megabytes);
        let ran = group.run(&format!(
            "{} report --root {} --out {}",
            env!("CARGO_BIN_EXE_qcloud-agent"),
            root.display(),
            out.display()
        ));
        let peak = group.peak();
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{megabytes} MB, {peak:?}: {ran:?}");
        let all: Vec<_> = fs::read_dir(&out).unwrap().collect();
        assert_eq!(all.len(), 1, "{megabytes} MB");
        // Measured 2026-11-22: 5 MB, whatever the logs hold; the rest is the program, which is not counted here.
        assert!(peak.is_some_and(|peak| peak < 20 << 20), "{peak:?}");
        drop(group);
    }
}
