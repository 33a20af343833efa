//! The rules: in which sections something is looked for, how it is seen, how bad it is and what to do.

use super::Severity::{self, Fault, Note, Warning};

/// Looks at one line of a section.
type Look = fn(&str) -> bool;

/// A rule.
pub(super) struct Rule {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    /// What the path of a section begins with.
    pub(super) section: &'static str,
    pub(super) text: &'static str,
    pub(super) advice: &'static str,
    pub(super) look: Look,
}

/// What and where: a code that stays, and the beginning of the sections' paths.
const fn rule(
    (severity, code, section): (Severity, &'static str, &'static str),
    text: &'static str,
    advice: &'static str,
    look: Look,
) -> Rule {
    Rule { code, severity, section, text, advice, look }
}

const SAVE: &str = "Save what matters, then replace the disk";
const CABLE: &str = "Check the disk's cable, slot and power; if it comes again, replace the disk";
const UNIT: &str = "See the log around this time, and whether the program is the newest version";

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // Disks.
    rule((Fault, "disk-failing", "storage/health.txt"), "A disk says of itself that it is failing", SAVE,
        |l| has(l, &["verdict=FAILING"])),
    rule((Warning, "disk-bad-sectors", "storage/health.txt"), "A disk has sectors that it could not read or has replaced",
        "Save what matters and watch the number: a disk whose number grows is dying",
        |l| has(l, &["Reallocated_Sector_Ct", "Current_Pending_Sector", "Offline_Uncorrectable", "media_errors="])
            && !l.ends_with("raw=0") && !l.contains("media_errors=0")),
    rule((Warning, "disk-link-errors", "storage/health.txt"), "Data was damaged between a disk and the board", CABLE,
        |l| has(l, &["UDMA_CRC_Error_Count"]) && !l.ends_with("raw=0")),
    rule((Warning, "disk-worn", "storage/health.txt"), "A solid-state disk is nearly worn out",
        "Plan its replacement",
        |l| number(l, "used_percent=").is_some_and(|used| used >= 90)),
    rule((Warning, "disk-hot", "storage/health.txt"), "A disk is hotter than it should be", "Check fans, dust and the place of the box",
        |l| number(l, "temperature=").is_some_and(|degrees| (56..=120).contains(&degrees)) && !l.contains("kind=nvme")
            || l.contains("kind=nvme") && number(l, "temperature=").is_some_and(|degrees| (75..=150).contains(&degrees))),
    rule((Fault, "disk-offline", "storage/disks.txt"), "A disk is offline", CABLE,
        |l| l.contains("/device/state: ") && !has(l, &[": running", ": live"])),
    rule((Fault, "disk-io-error", "logs/"), "A disk could not be read or written", SAVE,
        |l| has(l, &["I/O error, dev", "Buffer I/O error", "blk_update_request: I/O error", "critical medium error", "Unrecovered read error"])),
    rule((Warning, "sata-link", "logs/"), "The link to a disk was reset", CABLE,
        |l| has(l, &["SATA link down", "hard resetting link", "COMRESET failed", "link is slow to respond"])),
    // Arrays, pools and file systems.
    rule((Fault, "raid-degraded", "system/product.txt"), "A RAID array has members missing",
        "Find the missing disk in storage/raid.txt, and replace or add it",
        |l| l.starts_with("degraded_arrays: [\"")),
    rule((Fault, "raid-member-faulty", "storage/raid"), "A member of a RAID array is faulty", "Replace that disk",
        |l| l.contains("/state: ") && l.contains("faulty") || l.starts_with("md") && l.contains("](F)")),
    rule((Warning, "raid-rebuilds", "storage/raid_members.txt"), "A RAID array is at work",
        "Let it finish: until then it may be without redundancy",
        |l| l.contains("/md/sync_action: ") && !has(l, &[": idle", ": frozen"])),
    rule((Note, "raid-mismatch", "storage/raid_members.txt"), "A check of a RAID array found differences",
        "Run a repair when the disks are healthy",
        |l| l.contains("/md/mismatch_cnt: ") && !l.ends_with(": 0")),
    rule((Fault, "file-system-error", "logs/"), "A file system found itself damaged", "Back up, then check it while it is not mounted",
        |l| has(l, &["EXT4-fs error", "EXT3-fs error", "XFS (", "BTRFS error", "BTRFS critical", "JBD2: Error"])
            && has(l, &["rror", "orrupt", "ritical"]) && !l.contains("errors=")),
    rule((Fault, "file-system-errors-counted", "storage/file_systems.txt"), "A file system counts errors",
        "Check the disks below it, then check the file system",
        |l| l.contains("/errors_count: ") && !l.ends_with(": 0")
            || l.contains("error_stats") && l.contains("_errs ") && !l.ends_with(" 0")),
    rule((Fault, "pool-member-missing", "storage/file_systems.txt"), "A Btrfs file system misses a disk", "Find or replace the disk",
        |l| l.contains("/missing: 1")),
    rule((Fault, "read-only-again", "logs/"), "A file system was made read-only after an error",
        "Back up, then check it while it is not mounted",
        |l| has(l, &["Remounting filesystem read-only", "forced readonly"])),
    rule((Fault, "read-only-now", "storage/mounts.txt"), "A file system takes no writes since an error",
        "Back up, then check it while it is not mounted",
        |l| has(l, &["emergency_ro", "shutdown,"]) && has(l, &[" - ext4 ", " - xfs ", " - btrfs "])),
    rule((Fault, "pool-not-healthy", "storage/"), "A ZFS pool is not healthy", "Run `zpool status -x`",
        |l| matches!(l.trim(), "DEGRADED" | "FAULTED" | "SUSPENDED" | "UNAVAIL")
            || l.trim().strip_prefix("state: ").is_some_and(|state| !matches!(state, "ONLINE" | "running" | "live" | "clean"))
                && l.starts_with(" state: ")),
    rule((Fault, "pool-checksum", "storage/tools.txt"), "A ZFS pool found damaged data", "Run `zpool status -v`: it names the files",
        |l| has(l, &["Permanent errors have been detected", "data corruption", "could not be repaired"])),
    rule((Warning, "volume-full", "storage/space.txt"), "A file system is more than 90 % full", "Make room, or enlarge it",
        |l| column(l, 2).is_some_and(|used| used > 90) && !has(l, &[" squashfs ", " overlay ", " iso9660 "])),
    rule((Warning, "inodes-used-up", "storage/space.txt"), "A file system has hardly any inodes left",
        "Look for a directory with very many small files",
        |l| column(l, 3).is_some_and(|used| used > 90) && !has(l, &[" squashfs ", " overlay ", " iso9660 "])),
    // The machine.
    rule((Fault, "out-of-memory", "logs/"), "The kernel ended a program for want of memory",
        "See system/processes.txt for what takes the memory; add memory or stop something",
        |l| has(l, &["Out of memory: Kill", "oom-kill:"])),
    rule((Fault, "kernel-panic", "logs/"), "The kernel stopped", "Give this report to who makes the firmware",
        |l| has(l, &["Kernel panic", "Oops:", "BUG: unable to handle", "general protection fault"])),
    rule((Fault, "hung-task", "logs/"), "A program waited for more than two minutes", "Mostly a slow or dying disk: see the disks' health",
        |l| l.contains("blocked for more than")),
    rule((Fault, "soft-lockup", "logs/"), "A processor was stuck", "Give this report to who makes the firmware",
        |l| has(l, &["soft lockup", "hard LOCKUP", "self-detected stall"])),
    rule((Warning, "program-crashed", "logs/"), "A program crashed", UNIT,
        |l| has(l, &["segfault at", "traps:", "core dumped"])),
    rule((Warning, "service-restarts", "logs/"), "A service ends again and again", UNIT,
        |l| has(l, &["Start request repeated too quickly", "restart counter is at"])),
    rule((Fault, "memory-error", "logs/"), "The memory reported errors", "Test the memory, and replace what fails",
        |l| has(l, &["Machine check events logged", "[Hardware Error]"]) || l.contains("EDAC ") && has(l, &[" CE ", " UE "])),
    rule((Warning, "too-hot", "logs/"), "Something was too hot", "Check fans, dust and the place of the box",
        |l| has(l, &["temperature above threshold", "critical temperature reached", "thermal shutdown"])),
    rule((Warning, "hot-now", "system/temperatures.txt"), "Something is at its limit of heat now", "Check fans, dust and the place of the box",
        |l| l.ends_with("TOO HOT")),
    rule((Warning, "fan-stopped", "system/sensors.txt"), "A fan stands still", "Check whether one is there, and whether it turns",
        |l| l.contains("/fan") && l.contains("_input: ") && l.ends_with(": 0")),
    rule((Warning, "watchdog-restarted", "system/watchdog.txt"), "The watchdog restarted the box", "See what was logged last before that start",
        |l| l.contains("bootstatus: ") && !l.ends_with(": 0")),
    rule((Warning, "not-shut-down", "system/boot.txt"), "The box stopped without being shut down",
        "A power cut, a crash or the reset button: see what was logged last before that start",
        |l| l.ends_with("not shut down before")),
    rule((Note, "kernel-tainted", "system/kernel.txt"), "The kernel runs modules of others, or had a fault",
        "Mostly harmless: the number says why (kernel documentation, tainted kernels)",
        |l| l.contains("/tainted: ") && !l.ends_with(": 0")),
    rule((Warning, "memory-short", "system/situation.txt"), "Memory is short now", "See system/processes.txt for what takes it",
        |l| l.ends_with("memory is short")),
    rule((Warning, "overloaded", "system/situation.txt"), "There is more work than the processors can do", "See system/processes.txt and the disks' health",
        |l| l.ends_with("more than the processors can do")),
    rule((Warning, "waits-without-end", "system/situation.txt"), "A program waits for a device", "Mostly a disk or a network share that does not answer",
        |l| l.starts_with("waits without end:")),
    // Time, network, people.
    rule((Warning, "clock-not-set", "logs/"), "The clock was not set", "Check the time servers in system/time.txt",
        |l| has(l, &["time is not synchronized", "no server suitable for synchronization", "Can't synchronise", "Timed out waiting for reply from"])),
    rule((Warning, "clock-off", "system/boot.txt"), "The system's clock and the board's differ by minutes",
        "Set the clock; if it comes again, replace the board's battery",
        |l| number(l, "hardware_clock_off_seconds: ").is_some_and(|off| off > 120)),
    rule((Note, "link-flaps", "logs/"), "A network link went down", "Check the cable and the switch if nobody pulled it",
        |l| has(l, &["Link is Down", "link down", "NIC Link is Down", "carrier lost"]) && !l.contains("SATA")),
    rule((Note, "interface-errors", "network/interfaces.txt"), "A network interface counts errors", "Check the cable and the switch",
        |l| has(l, &["/rx_errors: ", "/tx_errors: ", "/rx_crc_errors: "]) && !l.ends_with(": 0")),
    rule((Warning, "no-default-route", "network/routes.txt"), "There is no way to the internet", "Check the gateway in the network settings",
        |l| l == "no default route"),
    rule((Warning, "no-name-server", "network/names.txt"), "Names cannot be looked up", "Set a name server in the network settings",
        |l| l == "no name server"),
    rule((Note, "sign-ins-refused", "logs/access"), "Sign-ins were refused", "If they come from the internet: close the port, or use the link",
        |l| has(l, &["Failed password", "authentication failure", "Invalid user"])),
    rule((Warning, "certificate-ends", "services/certificates.txt"), "A certificate has ended, or ends within 14 days", "Renew it",
        |l| has(l, &[" ENDED", " ends soon"])),
    rule((Note, "not-set-up", "system/product.txt"), "The box is not set up yet", "Finish the set-up: disks, then a volume",
        |l| l.starts_with("install_state: ") && !l.ends_with("ready") && !l.contains("unknown")),
    // The agent.
    rule((Warning, "name-is-old", "cloud/health.txt"), "The public name may lead to an old address", "qcloud-agent ddns status", |l| l.ends_with("code: ddns-stale")),
    rule((Warning, "not-reachable", "cloud/health.txt"), "The box cannot be reached through the hub", "qcloud-agent link status", |l| l.ends_with("code: link-down")),
    rule((Warning, "agent-clock", "cloud/health.txt"), "The clock is so wrong that the hub cannot be trusted", "Set the clock", |l| l.ends_with("code: daemon-clock")),
    rule((Warning, "agent-cloned", "cloud/health.txt"), "Another box has this one's identity", "qcloud-agent register --fork",
        |l| has(l, &["code: registration-cloned", "code: daemon-board"])),
    rule((Warning, "agent-part-broken", "cloud/health.txt"), "A part of the agent broke down and was set aside", "qcloud-agent status", |l| l.ends_with("code: daemon-quarantine")),
    rule((Warning, "agent-license", "cloud/health.txt"), "The license needs attention", "qcloud-agent license status", |l| l.contains("code: license")),
    rule((Warning, "agent-warns", "cloud/health.txt"), "The agent has a warning", "qcloud-agent status",
        |l| l.contains(".code: ") && !has(l, &["ddns-stale", "link-down", "daemon-clock", "-cloned", "daemon-board", "quarantine", "code: license"])),
    rule((Note, "agent-not-running", "cloud/agent.txt"), "The agent does not run", "qcloud-agent doctor",
        |l| l == "running: false" || l.starts_with("unknown: it does not run")),
];

fn has(line: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| line.contains(part))
}

fn column(line: &str, number: usize) -> Option<u64> {
    line.split_whitespace().nth(number)?.parse().ok()
}

/// The whole number behind a name.
fn number(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(name)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}
