//! Seeing what is not there: packet counters, captures, and searches of files and memory for bytes.

use super::net::Place;
use super::process::{Process, until};
use super::scratch::unique;
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Counts the packets that a user's processes send in a namespace, loopback included.
pub struct Counter(Place, String);

impl Counter {
    /// Counts from now on.
    pub fn new(place: &Place, uid: u32) -> Self {
        let table = format!("watch{}", unique());
        let rules = format!(
            "table inet {table} {{ chain out {{ type filter hook output priority 0; meta skuid {uid} counter; }}; }}"
        );
        place.tool("nft", &[&rules]);
        Self(place.clone(), table)
    }

    /// How many there were.
    pub fn packets(&self) -> u64 {
        let text = self.0.tool("nft", &["list", "table", "inet", &self.1]);
        let after = text.split_once("counter packets ").map(|(_, rest)| rest);
        let number = after.and_then(|rest| rest.split_whitespace().next());
        number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no counter in {text}"))
    }
}

/// A capture of everything that passes a namespace.
pub struct Capture {
    process: Option<Process>,
    place: Place,
    path: PathBuf,
}

impl Capture {
    /// Begins one, and waits until it sees packets.
    pub fn begin(place: &Place, path: &Path) -> Self {
        let mut command = place.command("tcpdump");
        // Whole packets in a buffer that is not full after eight of them, as it is when nothing is said.
        command.args(["-i", "any", "-n", "--immediate-mode", "-U", "-s", "0", "-B", "32768"]);
        command.args(["-Z", "root", "-w"]).arg(path);
        let log = path.with_extension("log");
        let process = Process::spawn("tcpdump", command, &log);
        until("tcpdump", Duration::from_secs(20), || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            said.contains("listening on").then_some(())
        });
        Self { process: Some(process), place: place.clone(), path: path.into() }
    }

    /// Ends it and gives its bytes: packets with their headers. What it missed would prove nothing absent, so that
    /// there must be none of that.
    pub fn end(&mut self) -> Vec<u8> {
        if let Some(mut process) = self.process.take() {
            // The kernel hands over blocks of packets every now and then.
            std::thread::sleep(Duration::from_millis(300));
            process.signal(Signal::SIGINT);
            process.ended(Duration::from_secs(10));
            let said = std::fs::read_to_string(self.path.with_extension("log")).unwrap_or_default();
            assert!(
                said.contains("\n0 packets dropped by kernel"),
                "the capture is not whole: {said}"
            );
        }
        std::fs::read(&self.path).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()))
    }

    /// The packets that this filter lets pass, a line each, of a capture that has ended.
    pub fn lines(&self, filter: &str) -> Vec<String> {
        let path = self.path.to_string_lossy();
        let text = self.place.tool("tcpdump", &["-n", "-q", "-t", "-r", &path, filter]);
        text.lines().map(String::from).collect()
    }
}

/// Whether these bytes are among those.
pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut left = haystack;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

/// The files below a directory that hold these bytes.
pub fn files_with(dir: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if std::fs::read(&path).is_ok_and(|bytes| holds(&bytes, needle)) {
            found.push(path);
        }
    }
    found
}

/// Whether a process has these bytes anywhere in the memory it can write.
pub fn memory_holds(pid: u32, needle: &[u8]) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its memory's map");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let mut seen = 0;
    let found = maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.unwrap_or_else(|| panic!("a map: {line}"));
        let (from, to) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16));
        let (from, to) = (from.expect("an address"), to.expect("an address"));
        let mut bytes = vec![0; usize::try_from(to - from).expect("a size")];
        // Some areas of the kernel's own cannot be read.
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        seen += read;
        holds(&bytes[..read], needle)
    });
    assert!(found || seen > 1 << 20, "only {seen} bytes of memory could be read");
    found
}
