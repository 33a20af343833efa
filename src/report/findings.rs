//! Findings: what is wrong, seen while the sections are written, each with the line that shows it.

use serde::Serialize;
use std::collections::BTreeMap;

/// The most findings of one kind that are kept: the first ones, and how many more there were.
const MOST: usize = 5;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Will be a fault.
    Warning,
    /// Is a fault.
    Fault,
}

/// One kind of thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// A name that stays.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub text: &'static str,
    /// Where it was seen: `path:line`, and the line.
    pub evidence: Vec<Evidence>,
    /// How often it was seen in all.
    pub count: u64,
}

/// A line that shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// `path:line` in the archive.
    pub place: String,
    /// The line, cut after 200 characters.
    pub line: String,
}

/// Looks at one line of a section.
type Look = fn(&str) -> bool;

/// A rule: in which sections, how bad, and how it is seen.
struct Rule {
    code: &'static str,
    severity: Severity,
    text: &'static str,
    section: &'static str,
    look: Look,
}

const fn rule(
    code: &'static str,
    severity: Severity,
    section: &'static str,
    text: &'static str,
    look: Look,
) -> Rule {
    Rule { code, severity, text, section, look }
}

use Severity::{Fault, Note, Warning};

/// The rules. A section is meant by the beginning of its path.
static RULES: &[Rule] = &[
    rule("out-of-memory", Fault, "logs/", "The kernel ended a program for want of memory", |l| {
        has(l, &["Out of memory: Kill", "oom-kill:", "oom_reaper"])
    }),
    rule("disk-io-error", Fault, "logs/", "A disk could not be read or written", |l| {
        has(
            l,
            &[
                "I/O error, dev",
                "Buffer I/O error",
                "blk_update_request: I/O error",
                "critical medium error",
                "Unrecovered read error",
            ],
        )
    }),
    rule("sata-link", Warning, "logs/", "The link to a disk was reset", |l| {
        has(
            l,
            &[
                "SATA link down",
                "hard resetting link",
                "COMRESET failed",
                "link is slow to respond",
            ],
        )
    }),
    rule("file-system-error", Fault, "logs/", "A file system found itself damaged", |l| {
        has(
            l,
            &[
                "EXT4-fs error",
                "EXT3-fs error",
                "XFS (",
                "BTRFS error",
                "BTRFS critical",
                "JBD2: Error",
            ],
        ) && has(l, &["rror", "orrupt", "ritical"])
    }),
    rule(
        "read-only-again",
        Fault,
        "logs/",
        "A file system was made read-only after an error",
        |l| has(l, &["Remounting filesystem read-only", "forced readonly"]),
    ),
    rule("kernel-panic", Fault, "logs/", "The kernel stopped", |l| {
        has(l, &["Kernel panic", "Oops:", "BUG: unable to handle", "general protection fault"])
    }),
    rule("hung-task", Fault, "logs/", "A program waited for more than two minutes", |l| {
        has(l, &["blocked for more than"])
    }),
    rule("soft-lockup", Fault, "logs/", "A processor was stuck", |l| {
        has(l, &["soft lockup", "hard LOCKUP", "rcu_sched self-detected stall"])
    }),
    rule("program-crashed", Warning, "logs/", "A program crashed", |l| {
        has(l, &["segfault at", "traps:", "core dumped"])
    }),
    rule("memory-error", Fault, "logs/", "The memory reported errors", |l| {
        has(l, &["EDAC", "Machine check events logged", "Hardware Error"])
            && !has(l, &["EDAC MC: Ver"])
    }),
    rule("too-hot", Warning, "logs/", "Something was too hot", |l| {
        has(l, &["temperature above threshold", "critical temperature reached", "thermal shutdown"])
    }),
    rule("link-flaps", Note, "logs/", "A network link went down", |l| {
        has(l, &["Link is Down", "link down", "NIC Link is Down", "carrier lost"])
    }),
    rule(
        "raid-degraded",
        Fault,
        "storage/raid_members.txt",
        "A RAID array has members missing",
        |l| l.contains("/md/degraded: ") && !system_array(l) && !l.ends_with(": 0"),
    ),
    rule(
        "raid-member-faulty",
        Fault,
        "storage/raid_members.txt",
        "A member of a RAID array is faulty",
        |l| l.contains("/state: ") && l.contains("faulty"),
    ),
    rule("raid-rebuilds", Warning, "storage/raid_members.txt", "A RAID array is at work", |l| {
        l.contains("/md/sync_action: ") && !l.ends_with(": idle")
    }),
    rule(
        "raid-mismatch",
        Note,
        "storage/raid_members.txt",
        "A check of a RAID array found differences",
        |l| l.contains("/md/mismatch_cnt: ") && !l.ends_with(": 0"),
    ),
    rule(
        "file-system-errors-counted",
        Fault,
        "storage/file_systems.txt",
        "A file system counts errors",
        |l| {
            (l.contains("/errors_count: ") && !l.ends_with(": 0"))
                || (l.contains("error_stats") && l.contains("_errs ") && !l.ends_with(" 0"))
        },
    ),
    rule(
        "volume-full",
        Warning,
        "storage/space.txt",
        "A file system is more than 90 % full",
        |l| column(l, 2).is_some_and(|used| used > 90) && !has(l, &[" squashfs ", " overlay "]),
    ),
    rule(
        "inodes-used-up",
        Warning,
        "storage/space.txt",
        "A file system has hardly any inodes left",
        |l| column(l, 3).is_some_and(|used| used > 90) && !has(l, &[" squashfs ", " overlay "]),
    ),
    rule("pool-not-healthy", Fault, "storage/zfs.txt", "A ZFS pool is not healthy", |l| {
        has(l, &["DEGRADED", "FAULTED", "SUSPENDED", "UNAVAIL"])
    }),
    rule("disk-not-running", Fault, "storage/disks.txt", "A disk is offline", |l| {
        l.contains("/device/state: ") && !has(l, &[": running", ": live"])
    }),
    rule(
        "interface-errors",
        Note,
        "network/interfaces.txt",
        "A network interface counts errors",
        |l| has(l, &["/rx_errors: ", "/tx_errors: ", "/rx_crc_errors: "]) && !l.ends_with(": 0"),
    ),
    rule("sign-ins-refused", Note, "logs/access", "Sign-ins were refused", |l| {
        has(l, &["Failed password", "authentication failure", "Invalid user"])
    }),
    rule("waits-without-end", Warning, "image/", "A program waits for a device", |l| {
        l.starts_with("waits without end:")
    }),
    rule("agent-warns", Warning, "cloud/health.txt", "The agent has a warning", |l| {
        l.contains(".code: ")
    }),
    rule("fan-stopped", Warning, "system/sensors.txt", "A fan stands still", |l| {
        l.contains("/fan") && l.contains("_input: ") && l.ends_with(": 0")
    }),
    rule(
        "watchdog-restarted",
        Warning,
        "system/watchdog.txt",
        "The watchdog restarted the box",
        |l| l.contains("bootstatus: ") && !l.ends_with(": 0"),
    ),
    rule(
        "kernel-tainted",
        Note,
        "system/kernel.txt",
        "The kernel runs modules of others, or had a fault",
        |l| l.contains("/tainted: ") && !l.ends_with(": 0"),
    ),
    rule("clock-not-set", Warning, "logs/", "The clock was not set", |l| {
        has(
            l,
            &[
                "time is not synchronized",
                "no server suitable for synchronization",
                "Can't synchronise",
            ],
        )
    }),
];

fn has(line: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| line.contains(part))
}

/// QNAP's system arrays are built with many empty places: they are no fault.
fn system_array(line: &str) -> bool {
    ["/md9/", "/md13/", "/md256/", "/md321/", "/md322/"].iter().any(|name| line.contains(name))
}

fn column(line: &str, number: usize) -> Option<u64> {
    line.split_whitespace().nth(number)?.parse().ok()
}

/// Looks at every line that is written.
#[derive(Default)]
pub struct Watcher {
    found: BTreeMap<usize, Finding>,
}

impl Watcher {
    /// Looks at one line of a section.
    pub fn line(&mut self, path: &str, number: u64, line: &str) {
        for (at, rule) in RULES.iter().enumerate() {
            if !path.starts_with(rule.section) || !(rule.look)(line) {
                continue;
            }
            let finding = self.found.entry(at).or_insert_with(|| Finding {
                code: rule.code,
                severity: rule.severity,
                text: rule.text,
                evidence: Vec::new(),
                count: 0,
            });
            finding.count += 1;
            if finding.evidence.len() < MOST {
                let line = line.chars().take(200).collect();
                finding.evidence.push(Evidence { place: format!("{path}:{number}"), line });
            }
        }
    }

    /// What was found, the worst first.
    pub fn finish(self) -> Vec<Finding> {
        let mut all: Vec<_> = self.found.into_values().collect();
        all.sort_by_key(|finding| core::cmp::Reverse(finding.severity));
        all
    }
}
