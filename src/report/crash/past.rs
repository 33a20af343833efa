//! What crashed before: of the agent, of other programs, of the kernel.

use super::super::source::Keep;
use super::super::survey::Survey;
use super::Binary;
use super::elf::grow;
use super::minidump::{Crash, Thread};
use crate::platform::cores;
use crate::platform::crash::NEWEST;
use crate::platform::record::Record;
use crate::platform::root::Root;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The agent's own directory of crashes in its state directory, and what is in it.
const DIR: &str = "crash";
const PANICS: &str = "panics.jsonl";
const RECORDS: [&str; 5] = [NEWEST, "0.crash", "1.crash", "2.crash", "3.crash"];
/// The largest of these files that is read.
const MOST: u64 = 256 * 1024;
/// The most of one of the kernel's last words, and how many there are of them.
const KERNEL_MOST: u64 = 256 * 1024;
const KERNEL_FILES: usize = 64;
/// The most names of memory images.
const IMAGES: usize = 256;

/// Where the kernel's last words are kept, and which names they have there; nothing is any.
const KERNEL: [(&str, &[&str]); 3] = [
    ("/sys/fs/pstore", &[]),
    ("/var/lib/systemd/pstore", &[]),
    ("/var/crash", &["dmesg", ".txt", ".log"]),
];
/// Where others keep memory images.
const IMAGE_DIRS: [&str; 5] = [
    "/var/lib/systemd/coredump",
    "/var/crash",
    "/var/lib/apport/coredump",
    "/var/cores",
    cores::DIR,
];

/// A file of the agent's crash directory. That directory is the agent's, and no way for it to have root read other
/// files: no link is followed, and a file has one name only.
fn own(survey: &Survey<'_>, name: &str) -> io::Result<(Vec<u8>, i64)> {
    let dir = Root::new(&survey.options.state_dir);
    let file = dir.open_below(DIR, Path::new(name))?;
    let found = file.metadata()?;
    if found.nlink() > 1 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it has several names"));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok((bytes, found.mtime()))
}

/// The agent's panics.
pub(super) fn panics(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let (bytes, _) = own(survey, PANICS)?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Ok(panic) = serde_json::from_str::<Value>(line) else { continue };
        let text = |name: &str| panic[name].as_str().unwrap_or_default().to_owned();
        writeln!(to, "{} {} version {}", text("at"), text("place"), text("version"))?;
        writeln!(to, "  message: {}", text("message"))?;
        writeln!(to, "  thread: {}, {} s after boot", text("thread"), panic["boot_seconds"])?;
        let list = |name: &str| panic[name].as_array().cloned().unwrap_or_default();
        let callers: Vec<String> =
            list("callers").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        writeln!(to, "  callers: {}", callers.join(" "))?;
        for line in list("tape").iter().filter_map(Value::as_str) {
            writeln!(to, "  told: {line}")?;
        }
    }
    Ok(())
}

/// The agent's records, the newest first, each with when it was written.
fn records(survey: &Survey<'_>) -> Vec<(Record, i64)> {
    let read = |name: &&str| {
        let (bytes, at) = own(survey, name).ok()?;
        Some((Record::read(&bytes)?, at))
    };
    RECORDS.iter().filter_map(read).collect()
}

/// The signals that ended the agent.
pub(super) fn signals(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    for (number, (record, at)) in records(survey).into_iter().enumerate() {
        let Record { signal, code, address, thread, version, build, .. } = record;
        // The dump has all of it; a longer one would be taken for a key.
        let build: String = data_encoding::HEXLOWER.encode(&build).chars().take(8).collect();
        writeln!(
            to,
            "crash/agent/{number}.dmp: signal {signal} code {code} address {address:#x} thread {thread} at {at}, \
             version {version}, program {build}"
        )?;
    }
    Ok(())
}

/// The same as files that a symbolizer reads.
pub(super) fn agent(survey: &Survey<'_>) -> io::Result<Vec<Binary>> {
    let all = records(survey).into_iter().enumerate().map(|(number, (record, at))| Binary {
        path: format!("crash/agent/{number}.dmp"),
        source: format!("{DIR}/ of the agent's state"),
        bytes: crash(record, u32::try_from(at).unwrap_or_default()).write(),
    });
    Ok(all.collect())
}

fn crash(record: Record, at: u32) -> Crash {
    let mut modules = Vec::new();
    for mapping in record.maps.iter().filter(|mapping| !mapping.path.is_empty()) {
        let is_first = modules.is_empty();
        grow(&mut modules, mapping.range.clone(), &mapping.path, |name| {
            is_first || name.contains(".so")
        });
    }
    if let Some(program) = modules.first_mut() {
        program.build = record.build;
    }
    let thread = Thread {
        id: record.tid,
        registers: record.registers,
        stack_start: record.stack_start,
        stack: record.stack,
    };
    Crash {
        arch: record.arch,
        pid: record.pid,
        at,
        signal: record.signal,
        code: record.code,
        address: record.address,
        crashed: record.tid,
        threads: vec![thread],
        modules,
    }
}

/// The crashes of other programs that were kept.
pub(super) fn cores(survey: &Survey<'_>) -> io::Result<Vec<Binary>> {
    let root = survey.source.root();
    let mut all = Vec::new();
    for name in cores::names(root) {
        let file = root.open_below(cores::DIR, Path::new(&name))?;
        let mut bytes = Vec::new();
        file.take(cores::MOST_BYTES).read_to_end(&mut bytes)?;
        let path = format!("crash/cores/{name}");
        all.push(Binary { path, source: format!("{}/{name}", cores::DIR), bytes });
    }
    Ok(all)
}

/// What the agent was told last, as long as it runs.
pub(super) fn tape(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let lines = survey.agent["tape"].as_array();
    lines
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .try_for_each(|line| writeln!(to, "{line}"))
}

/// The files below a directory and the directories in it, without following a link.
fn below(survey: &Survey<'_>, dir: &str) -> Vec<PathBuf> {
    let root = survey.source.root();
    let mut found = Vec::new();
    for name in root.names_below(dir, Path::new("")).unwrap_or_default() {
        let inner = root.names_below(dir, Path::new(&name));
        match inner {
            Ok(inner) => found.extend(inner.into_iter().map(|file| Path::new(&name).join(file))),
            Err(_) => found.push(name.into()),
        }
    }
    found
}

/// The kernel's last words, as its memory or its crash kernel kept them.
pub(super) fn kernel(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut left = KERNEL_FILES;
    for (dir, names) in KERNEL {
        for relative in below(survey, dir) {
            let name = relative.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            let fits = names.is_empty() || names.iter().any(|part| name.contains(part));
            if !fits || left == 0 {
                continue;
            }
            let path = Path::new(dir).join(&relative);
            left -= 1;
            // What others laid there, or one more name of something else, is passed over.
            let Ok(file) = survey.source.open_log(dir, &relative) else {
                writeln!(to, "# {} cannot be read", path.display())?;
                continue;
            };
            writeln!(to, "# {}", path.display())?;
            survey.source.copy(file, &path, (KERNEL_MOST, Keep::Tail), to)?;
            writeln!(to)?;
        }
    }
    Ok(())
}

/// Which memory images there are: names and sizes, for a support engineer to ask for one.
pub(super) fn images(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut left = IMAGES;
    for dir in IMAGE_DIRS {
        for relative in below(survey, dir) {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let size = survey.source.open_log(dir, &relative).and_then(|file| file.metadata());
            let size = size.map(|found| found.len()).unwrap_or_default();
            writeln!(to, "{size:>12} {}", Path::new(dir).join(&relative).display())?;
        }
    }
    Ok(())
}
