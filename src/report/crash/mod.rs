//! The crash part: what stopped, what waits, and what the network carried, beside all of the server report.
//!
//! Memory is kept as words that lead somewhere, so that a stack can be walked and nothing can be read in it; files are
//! named and not opened; of packets the heads are kept. All texts go through the redaction like any other. What may
//! tell of people all the same is marked in the manifest.

pub mod elf;
mod entries;
mod live;
pub mod minidump;
mod past;

use super::bundle::Sensitivity::{High, Low, Personal};
use super::recipe::{Section, Take, files, made, values};
use super::survey::Survey;
use crate::platform::capture;
use std::io;

/// What a support engineer reads of it first.
pub const README: &str = "
crash/          what stopped and what waits: stacks as addresses, open files by name, heads of packets where asked for.
                Entries of sensitivity high in manifest.json tell more of people than the rest: show them to few.
                crash/agent/*.dmp and crash/cores/*.dmp are minidumps, for minidump-stackwalk and the like.
";

/// An entry that is no text.
pub struct Binary {
    /// Its path in the archive.
    pub path: String,
    /// Where it was read.
    pub source: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

const fn binaries(
    path: &'static str,
    title: &'static str,
    make: fn(&Survey<'_>) -> io::Result<Vec<Binary>>,
) -> Section {
    Section { path, title, sensitivity: High, take: Take::Binaries(make) }
}

/// Every section of the crash part.
#[rustfmt::skip]
pub static CRASH: &[Section] = &[
    made("crash/panics.txt", "Panics of the agent", Personal, past::panics),
    made("crash/signals.txt", "Signals that ended the agent", Personal, past::signals),
    made("crash/tape.txt", "What the agent was told last", Low, past::tape),
    made("crash/kernel.txt", "What the kernel said when it stopped", Personal, past::kernel),
    made("crash/images.txt", "Memory images on this box, by name", Personal, past::images),
    made("crash/waiting.txt", "What waits without end", Personal, live::waiting),
    made("crash/threads.txt", "Threads, and what they wait for", Personal, live::threads),
    made("crash/descriptors.txt", "Open files and sockets", High, live::descriptors),
    made("crash/processes.txt", "Memory, limits and input of processes", Personal, live::processes),
    values("crash/settings.txt", "What the kernel does with faults", &[
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/core_pipe_limit", "/proc/sys/kernel/core_uses_pid",
        "/proc/sys/fs/suid_dumpable", "/proc/sys/kernel/panic*", "/proc/sys/kernel/hung_task*",
        "/proc/sys/kernel/softlockup*", "/proc/sys/kernel/*watchdog*", "/proc/sys/kernel/oops_*",
        "/proc/sys/kernel/warn_limit", "/proc/sys/kernel/tainted", "/proc/sys/vm/oom*", "/proc/sys/vm/panic_on_oom",
        "/sys/kernel/kexec_crash_loaded", "/sys/kernel/kexec_crash_size", "/sys/class/watchdog/*/bootstatus",
        "/sys/class/watchdog/*/state", "/sys/module/pstore/parameters/*",
    ]),
    files("crash/kernel_memory.txt", "Memory and locks of the kernel", Low, &[
        "/proc/buddyinfo", "/proc/zoneinfo", "/proc/slabinfo", "/proc/locks", "/proc/softirqs", "/proc/interrupts",
    ]),
    binaries("crash/agent", "Crashes of the agent", past::agent),
    binaries("crash/cores", "Crashes of other programs", past::cores),
    binaries("crash/network", "What the network carried", packets),
];

/// The heads of packets, where they were asked for.
fn packets(survey: &Survey<'_>) -> io::Result<Vec<Binary>> {
    let Some(wanted) = &survey.options.pcap else { return Ok(Vec::new()) };
    let bytes = capture::capture(survey.source.root(), survey.source.clock(), wanted)?;
    let source = format!("packets of {}", wanted.interface);
    Ok(vec![Binary { path: "crash/network/packets.pcapng".into(), source, bytes }])
}
