//! What runs now, and what it waits for.

use super::super::survey::Survey;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The most processes, threads of one, and threads of all.
const PROCESSES: usize = 2048;
const THREADS: usize = 64;
const ALL_THREADS: usize = 4096;
/// The most descriptors of a process, and of all.
const DESCRIPTORS: usize = 256;
const ALL_DESCRIPTORS: usize = 16_384;
/// The longest name that is shown of a file.
const NAME: usize = 300;
/// The most of a small file of `/proc`.
const SMALL: u64 = 64 * 1024;
/// The longest stack of the kernel that is shown, in lines.
const FRAMES: usize = 16;
/// How long something must wait to be said to wait without end.
const PAUSE: Duration = Duration::from_secs(1);

fn small(survey: &Survey<'_>, path: &str) -> String {
    survey.source.root().read_text(path, SMALL).unwrap_or_default()
}

/// The numbers in a directory of `/proc`, in order.
fn numbers(survey: &Survey<'_>, dir: &str, most: usize) -> Vec<u32> {
    let names = survey.source.root().names(dir).unwrap_or_default();
    let mut all: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    all.sort_unstable();
    all.truncate(most);
    all
}

/// A thread: process, thread, state, name, where it waits.
struct Thread {
    process: u32,
    id: u32,
    state: char,
    name: String,
    waits_in: String,
}

fn all(survey: &Survey<'_>) -> Vec<Thread> {
    let mut threads = Vec::new();
    for process in numbers(survey, "/proc", PROCESSES) {
        if survey.source.is_late() || threads.len() >= ALL_THREADS {
            break;
        }
        for id in numbers(survey, &format!("/proc/{process}/task"), THREADS) {
            let dir = format!("/proc/{process}/task/{id}");
            // `id (name) state`: the name may hold anything, brackets too.
            let stat = small(survey, &format!("{dir}/stat"));
            let Some((head, rest)) = stat.rsplit_once(") ") else { continue };
            let name = head.split_once('(').map(|(_, name)| name).unwrap_or_default();
            threads.push(Thread {
                process,
                id,
                state: rest.chars().next().unwrap_or('?'),
                name: printed(name),
                waits_in: small(survey, &format!("{dir}/wchan")).trim().to_owned(),
            });
        }
    }
    threads
}

/// A name that anybody may have given, as one word on one line.
fn printed(name: &str) -> String {
    name.chars().take(NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Every thread, and of those that neither sleep nor run where they are in the kernel.
pub(super) fn threads(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "{:>7} {:>7} S {:<16} WAITS IN", "PID", "TID", "NAME")?;
    for one in all(survey) {
        let Thread { process, id, state, name, waits_in } = one;
        writeln!(to, "{process:>7} {id:>7} {state} {name:<16} {waits_in}")?;
        if !matches!(state, 'S' | 'R' | 'I') {
            stack(survey, process, id, to)?;
        }
    }
    Ok(())
}

fn stack(survey: &Survey<'_>, process: u32, id: u32, to: &mut dyn Write) -> io::Result<()> {
    let text = small(survey, &format!("/proc/{process}/task/{id}/stack"));
    text.lines().take(FRAMES).try_for_each(|line| writeln!(to, "        {line}"))
}

/// What waits for the kernel, and still did a moment later at the same place.
pub(super) fn waiting(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let waits = || all(survey).into_iter().filter(|one| one.state == 'D');
    let before: Vec<Thread> = waits().collect();
    writeln!(to, "threads that wait for the kernel: {}", before.len())?;
    if before.is_empty() {
        return Ok(());
    }
    if survey.source.root().is_live() {
        std::thread::sleep(PAUSE);
    }
    for now in waits() {
        let same = |then: &&Thread| (then.id, &then.waits_in) == (now.id, &now.waits_in);
        if before.iter().any(|then| same(&then)) {
            writeln!(to, "{} {} {} in {}", now.process, now.id, now.name, now.waits_in)?;
            stack(survey, now.process, now.id, to)?;
        }
    }
    Ok(())
}

/// What each process has open: files by name, the rest by number. Nothing of it is opened.
pub(super) fn descriptors(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let root = survey.source.root();
    let mut left = ALL_DESCRIPTORS;
    for process in numbers(survey, "/proc", PROCESSES) {
        if survey.source.is_late() || left == 0 {
            return Ok(());
        }
        let dir = format!("/proc/{process}/fd");
        let mut files: BTreeMap<String, usize> = BTreeMap::new();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for descriptor in numbers(survey, &dir, DESCRIPTORS.min(left)) {
            left -= 1;
            let Ok(target) = root.link(&format!("{dir}/{descriptor}")) else { continue };
            match target.split_once(':') {
                // `socket:[123]`, `pipe:[123]`, `anon_inode:[eventpoll]`
                Some((kind, _)) if !target.starts_with('/') => {
                    let known = ["socket", "pipe", "anon_inode", "net", "mnt", "pidfd"];
                    let kind = known.into_iter().find(|known| *known == kind);
                    *kinds.entry(kind.unwrap_or("other")).or_default() += 1;
                }
                Some(_) | None => *files.entry(printed(&target)).or_default() += 1,
            }
        }
        if files.is_empty() && kinds.is_empty() {
            continue;
        }
        let name = printed(small(survey, &format!("/proc/{process}/comm")).trim());
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(to, "{process} {name}: {}", kinds.join(", "))?;
        for (file, count) in files {
            writeln!(to, "  {count:>4} {file}")?;
        }
    }
    Ok(())
}

/// What each process takes: memory, how likely it is killed for it, what it reads and writes, and its limits.
pub(super) fn processes(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "{:>7} {:<16} {:>10} {:>10} {:>10} {:>5} {:>14} {:>14} {:>8} {:>8}",
        "PID", "NAME", "RSS KiB", "PSS KiB", "SWAP KiB", "OOM", "READ", "WRITTEN", "FILES", "PROCS"
    )?;
    for process in numbers(survey, "/proc", PROCESSES) {
        if survey.source.is_late() {
            return Ok(());
        }
        let read = |name: &str| small(survey, &format!("/proc/{process}/{name}"));
        let (memory, input, limits) = (read("smaps_rollup"), read("io"), read("limits"));
        let word = |text: &str, name: &str, number: usize| {
            let line = text.lines().find(|line| line.starts_with(name));
            let line = line.and_then(|line| line.get(name.len()..)).unwrap_or_default();
            line.split_whitespace().nth(number).unwrap_or("-").to_owned()
        };
        writeln!(
            to,
            "{process:>7} {:<16} {:>10} {:>10} {:>10} {:>5} {:>14} {:>14} {:>8} {:>8}",
            printed(read("comm").trim()),
            word(&memory, "Rss:", 0),
            word(&memory, "Pss:", 0),
            word(&memory, "Swap:", 0),
            read("oom_score").trim(),
            word(&input, "read_bytes:", 0),
            word(&input, "write_bytes:", 0),
            word(&limits, "Max open files", 0),
            word(&limits, "Max processes", 0),
        )?;
    }
    Ok(())
}
