//! What runs, since when, and what room it has.

use super::Survey;
use crate::platform::facts;
use crate::platform::mounts::{self, wide};
use nix::sys::statvfs::statvfs;
use std::io::{self, Read, Write};

/// Parameters of the kernel's command line whose values may be shown.
const PARAMETERS: &str = "root rootfstype rootflags rootwait ro rw quiet console init panic maxcpus mem loglevel \
    earlyprintk BOOT_IMAGE elevator memmap mtdparts ubi.mtd raid mitigations iommu intel_iommu consoleblank \
    systemd.unit systemd.show_status splash nomodeset reboot";
/// File systems whose statfs stays on this machine: others can hang.
const LOCAL: &str = "ext2 ext3 ext4 xfs btrfs zfs vfat exfat ntfs ntfs3 f2fs tmpfs ramfs overlay squashfs ubifs jffs2";
/// The most processes that are listed.
const MOST_PROCESSES: usize = 4096;
/// The largest part of the kernel's log.
const MOST_LOG: usize = 1 << 20;

/// The kernel's command line, with the values that are known to be harmless.
pub fn command_line(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let text = survey.text("/proc/cmdline");
    for parameter in text.split_whitespace() {
        match parameter.split_once('=') {
            Some((name, value)) if !PARAMETERS.split_whitespace().any(|known| known == name) => {
                writeln!(to, "{name}=<{} characters>", value.chars().count())?;
            }
            _ => writeln!(to, "{parameter}")?,
        }
    }
    Ok(())
}

/// One process.
struct Process {
    id: u32,
    name: String,
    state: String,
    parent: String,
    user: String,
    threads: String,
    memory_kib: u64,
    program: String,
    waits_in: String,
}

fn process(survey: &Survey<'_>, id: u32) -> Option<Process> {
    let status = survey.source.root().read_text(&format!("/proc/{id}/status"), 64 * 1024).ok()?;
    let value = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap_or_default().trim().to_owned()
    };
    let first = |text: String| text.split_whitespace().next().unwrap_or_default().to_owned();
    let arguments = survey.text(&format!("/proc/{id}/cmdline"));
    Some(Process {
        id,
        name: value("Name"),
        state: first(value("State")),
        parent: value("PPid"),
        user: first(value("Uid")),
        threads: value("Threads"),
        memory_kib: first(value("VmRSS")).parse().unwrap_or_default(),
        // Arguments hold passwords; the program is enough to know what runs.
        program: arguments.split('\0').next().unwrap_or_default().to_owned(),
        waits_in: survey.text(&format!("/proc/{id}/wchan")),
    })
}

fn all(survey: &Survey<'_>) -> Vec<Process> {
    let names = survey.source.root().names("/proc").unwrap_or_default();
    let mut ids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable();
    ids.into_iter()
        .take(MOST_PROCESSES)
        .take_while(|_| !survey.source.is_late())
        .filter_map(|id| process(survey, id))
        .collect()
}

/// Every process, without its arguments.
pub fn processes(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "{:>7} {:>7} {:>6} S {:>4} {:>10} {:<16} PROGRAM (waits in)",
        "PID", "PPID", "UID", "THR", "RSS KiB", "NAME"
    )?;
    for one in all(survey) {
        let waits = Some(one.waits_in.trim()).filter(|place| !matches!(*place, "" | "0"));
        let waits = waits.map(|place| format!(" ({place})")).unwrap_or_default();
        writeln!(
            to,
            "{:>7} {:>7} {:>6} {} {:>4} {:>10} {:<16} {}{waits}",
            one.id,
            one.parent,
            one.user,
            one.state,
            one.threads,
            one.memory_kib,
            one.name,
            one.program
        )?;
    }
    Ok(())
}

/// Room and inodes of each file system of this machine.
pub fn space(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "{:>14} {:>14} {:>4} {:>6} TYPE     MOUNTED ON",
        "SIZE KiB", "FREE KiB", "USE%", "INODE%"
    )?;
    for mount in facts::mounts(&survey.text("/proc/self/mountinfo")) {
        // Of a tree only the table is known: its files stand on another box.
        let is_here = survey.source.root().is_live();
        if !is_here || !LOCAL.split(' ').any(|known| known == mount.kind) {
            writeln!(
                to,
                "{:>14} {:>14} {:>4} {:>6} {:<8} {}",
                "-", "-", "-", "-", mount.kind, mount.point
            )?;
            continue;
        }
        let Ok(room) = statvfs(&survey.source.root().path(&mount.point)) else { continue };
        let (size, free) = mounts::room(&room);
        let (size, free) = (size / 1024, free / 1024);
        let share =
            |free: u64, all: u64| all.saturating_sub(free).saturating_mul(100).checked_div(all);
        let percent = |share: Option<u64>| share.map_or("-".to_owned(), |share| share.to_string());
        let used = percent(share(free, size));
        let inodes = percent(share(wide(room.files_free()), wide(room.files())));
        writeln!(
            to,
            "{size:>14} {free:>14} {used:>4} {inodes:>6} {:<8} {}",
            mount.kind, mount.point
        )?;
    }
    Ok(())
}

/// The kernel's log: of the running system from its ring, else the file it was saved to.
pub fn kernel_log(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let Ok(mut ring) = survey.source.root().kernel_log() else {
        let saved = survey.source.open_log("/var/log", "dmesg".as_ref())?;
        let cap = u64::try_from(MOST_LOG).unwrap_or_default();
        survey.source.copy(saved, "dmesg".as_ref(), (cap, super::super::source::Keep::Tail), to)?;
        return Ok(());
    };
    let mut record = vec![0; 8192];
    let mut written = 0;
    while written < MOST_LOG {
        match ring.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                // `priority,number,microseconds,flags;text`
                let text =
                    String::from_utf8_lossy(record.get(..length).unwrap_or_default()).into_owned();
                let (head, text) = text.split_once(';').unwrap_or(("", &text));
                let mut fields = head.split(',');
                let level =
                    fields.next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() & 7;
                let micros = fields.nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
                let line = text.lines().next().unwrap_or_default();
                writeln!(
                    to,
                    "<{level}>[{:>6}.{:06}] {line}",
                    micros / 1_000_000,
                    micros % 1_000_000
                )?;
                written += line.len();
            }
            // A record was overwritten while it was read.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// The situation in text: what a look at the box would show.
pub fn situation(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let now = survey.source.clock().now().wall.rfc3339();
    writeln!(to, "seen at: {now}")?;
    let connectors = survey.source.matches("/sys/class/drm/card*-*/status");
    let connected =
        connectors.iter().filter(|path| survey.text(path).trim() == "connected").count();
    writeln!(to, "display connectors: {}, with a display: {connected}", connectors.len())?;
    load(survey, to)?;
    memory(survey, to)?;
    let mut largest = all(survey);
    largest.sort_by_key(|one| core::cmp::Reverse(one.memory_kib));
    writeln!(to, "processes: {}; the largest:", largest.len())?;
    for one in largest.iter().take(10) {
        writeln!(to, "  {:>10} KiB  {} ({})", one.memory_kib, one.name, one.id)?;
    }
    let waiting = largest.iter().filter(|one| one.state == "D");
    for one in waiting {
        writeln!(to, "waits without end: {} ({}) in {}", one.name, one.id, one.waits_in)?;
    }
    Ok(())
}

fn load(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let text = survey.text("/proc/loadavg");
    let Some(three) = text.splitn(4, ' ').collect::<Vec<_>>().get(..3).map(|three| three.join(" "))
    else {
        return Ok(());
    };
    let stat = survey.text("/proc/stat");
    let is_one = |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| !rest.starts_with(' '));
    let processors = u32::try_from(stat.lines().filter(is_one).count()).unwrap_or(1).max(1);
    let five: f64 = three.split(' ').nth(1).and_then(|load| load.parse().ok()).unwrap_or_default();
    // Work for twice the processors over five minutes: people notice.
    let mark =
        if five > f64::from(processors) * 2.0 { ", more than the processors can do" } else { "" };
    writeln!(to, "load: {three} on {processors} processors{mark}")
}

fn memory(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let text = survey.text("/proc/meminfo");
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    for name in ["MemTotal", "MemAvailable", "SwapTotal", "SwapFree"] {
        if let Some(kib) = kib(name) {
            writeln!(to, "{name}: {kib} KiB")?;
        }
    }
    let (Some(all), Some(free)) = (kib("MemTotal"), kib("MemAvailable")) else { return Ok(()) };
    let percent = free.saturating_mul(100).checked_div(all).unwrap_or_default();
    let mark = if percent < 5 { ", memory is short" } else { "" };
    writeln!(to, "memory: {percent} % of {} MiB can be used{mark}", all / 1024)
}
