//! Making a report.

use super::bundle::{self, Bundle, Entry, Sensitivity, Status, Truncated, Written};
use super::findings::{Finding, Watcher};
use super::output::{Output, OutputError};
use super::recipe::{SERVER, Section, Take};
use super::scrub::Scrubber;
use super::secrets;
use super::source::{Keep, Source, fits};
use super::survey::Survey;
use crate::clock::Clock;
use crate::platform::facts::Facts;
use crate::platform::root::Root;
use core::time::Duration;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How long a report may take.
const TIME: Duration = Duration::from_secs(60);
/// The most bytes of a section; of a log, its end.
const MOST: u64 = 1 << 20;
/// The most bytes of a section in `report.txt`.
const MOST_TEXT: usize = 64 * 1024;
/// What may be needed on the disk: the archive, and `report.txt` beside it until it is in there.
const NEEDED: u64 = bundle::MOST_BYTES + (4 << 20);

/// What is asked for.
pub struct Order<'a> {
    /// The box.
    pub root: &'a Root,
    /// The clock.
    pub clock: &'a Clock,
    /// What the agent says of itself.
    pub agent: &'a Value,
    /// The directory it is written to.
    pub dir: &'a Path,
    /// Sections that are left out, as patterns on their paths.
    pub exclude: &'a [String],
    /// How it was called, for the manifest.
    pub argv: Vec<String>,
}

/// How far it is.
pub struct Progress {
    /// Sections that are done.
    pub done: usize,
    /// All of them.
    pub all: usize,
    /// The one that is begun.
    pub section: &'static str,
}

/// A report that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its manifest: it can be read over the telephone.
    pub manifest_sha256: String,
    /// Sections that are whole, and all.
    pub whole: usize,
    /// All sections.
    pub sections: usize,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Entries that were removed because a secret was found in them after redaction.
    pub removed: Vec<String>,
    /// What could not be read for want of rights.
    pub denied: usize,
    /// Whether others can read the file: the file system knows no permissions.
    pub open_to_others: bool,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It cannot be written there.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Writing failed.
    #[error("the report could not be written")]
    Write(#[source] io::Error),
    /// No random bytes for the tags.
    #[error("the system gives no random bytes")]
    Random,
}

/// Makes a report.
///
/// # Errors
/// [`ReportError`]: then there is none. What fails in a section is a line in the manifest.
pub fn make(order: &Order<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Made, ReportError> {
    let output = Output::open(order.dir, NEEDED)?;
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| ReportError::Random)?;
    let source = Source::new(order.root, order.clock, TIME);
    let scrubber = Scrubber::new(secrets::known(&source), &random);
    let facts = Facts::read(order.root);
    let survey = Survey { source: &source, facts: &facts, agent: order.agent };
    let archive = output.create(0).map_err(ReportError::Write)?;
    let text = output.create(1).map_err(ReportError::Write)?;
    let handle = archive.file.try_clone().map_err(ReportError::Write)?;
    let mut making = Making {
        survey,
        scrubber: &scrubber,
        bundle: Bundle::new(handle),
        text: text.file.try_clone().map_err(ReportError::Write)?,
        watcher: Watcher::default(),
        entries: Vec::new(),
    };
    making.sections(order.exclude, progress).map_err(ReportError::Write)?;
    let closed = making.close(order).map_err(ReportError::Write)?;
    finish(order, &output, archive, &scrubber, closed, &facts)
}

/// A report whose last entry is written.
struct Closed {
    manifest_sha256: String,
    entries: Vec<Entry>,
    findings: Vec<Finding>,
}

/// The second look, and the name.
fn finish(
    order: &Order<'_>,
    output: &Output,
    mut archive: super::output::Unfinished,
    scrubber: &Scrubber,
    closed: Closed,
    facts: &Facts,
) -> Result<Made, ReportError> {
    let removed = bundle::leaks(&mut archive.file, scrubber).map_err(ReportError::Write)?;
    if !removed.is_empty() {
        let clean = output.create(2).map_err(ReportError::Write)?;
        let into = clean.file.try_clone().map_err(ReportError::Write)?;
        bundle::without(&mut archive.file, &removed, into).map_err(ReportError::Write)?;
        archive = clean;
    }
    let bytes = archive.file.metadata().map_err(ReportError::Write)?.len();
    let name = name(order, facts);
    let open_to_others = output.publish(archive, &name).map_err(ReportError::Write)?;
    let is = |entry: &&Entry, status| entry.status == status;
    let denied =
        closed.entries.iter().filter(|e| e.reason.as_deref().is_some_and(|r| r.contains("denied")));
    Ok(Made {
        path: output.path(&name),
        bytes,
        manifest_sha256: closed.manifest_sha256,
        whole: closed.entries.iter().filter(|e| is(e, Status::Ok)).count(),
        sections: closed.entries.len(),
        denied: denied.count(),
        findings: closed.findings,
        removed,
        open_to_others,
    })
}

/// `qcloud-report_TS-453D_7f3a9c21_20261122T101500Z.zip`.
fn name(order: &Order<'_>, facts: &Facts) -> String {
    let model = facts.model.value.as_deref().unwrap_or("nas");
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
        letters.take(24).collect()
    };
    let id: String = plain(order.agent["status"]["device"].as_str().unwrap_or("unregistered"));
    let id: String = id.chars().take(8).collect();
    let when: String =
        order.clock.now().wall.rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("qcloud-report_{}_{id}_{when}.zip", plain(model))
}

struct Making<'a> {
    survey: Survey<'a>,
    scrubber: &'a Scrubber,
    bundle: Bundle<File>,
    text: File,
    watcher: Watcher,
    entries: Vec<Entry>,
}

/// What became of the files of a section.
#[derive(Default)]
struct Outcome {
    read: usize,
    original: u64,
    cut: Option<Truncated>,
    failures: Vec<String>,
    late: bool,
}

impl Making<'_> {
    fn sections(
        &mut self,
        exclude: &[String],
        progress: &mut dyn FnMut(Progress),
    ) -> io::Result<()> {
        let all = SERVER.len();
        for (done, section) in SERVER.iter().enumerate() {
            progress(Progress { done, all, section: section.title });
            let is_out =
                exclude.iter().any(|pattern| fits(pattern.as_bytes(), section.path.as_bytes()));
            if is_out {
                self.entries.push(line(section, Status::Skipped, Some("excluded".into()), None, 0));
                continue;
            }
            self.section(section)?;
        }
        Ok(())
    }

    /// Writes a section, to the archive and to `report.txt`, while the findings are looked for.
    fn section(&mut self, section: &'static Section) -> io::Result<()> {
        let clock = self.survey.source.clock();
        let begun = clock.now().boot;
        let outcome = RefCell::new(Outcome::default());
        let mut body = Shown::new(section, &mut self.watcher, &mut self.text);
        let survey = &self.survey;
        let written = self.bundle.entry(section.path, self.scrubber, &mut body, |to| {
            take(survey, section, &mut outcome.borrow_mut(), to)
        })?;
        body.finish()?;
        let elapsed = (clock.now().boot - begun).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let outcome = outcome.into_inner();
        let (status, reason) = judged(&outcome, &written);
        let mut entry = line(section, status, reason, Some(written), elapsed);
        entry.original_bytes = (outcome.original > 0).then_some(outcome.original);
        entry.truncated = outcome.cut.unwrap_or(Truncated::None);
        self.entries.push(entry);
        Ok(())
    }

    /// Writes what is made of all sections.
    fn close(mut self, order: &Order<'_>) -> io::Result<Closed> {
        let mut findings = core::mem::take(&mut self.watcher).finish();
        findings.truncate(100);
        let summary = json!({
            "facts": serde_json::to_value(self.survey.facts).unwrap_or_default(),
            "device": order.agent["status"]["device"],
            "sections": self.entries.len(),
            "findings": findings.iter().map(|f| f.code).collect::<Vec<_>>(),
        });
        self.whole("README.txt", README.as_bytes())?;
        self.text.seek(SeekFrom::Start(0))?;
        let mut text = self.text.try_clone()?;
        let mut nothing = io::sink();
        let written = self.bundle.entry("report.txt", self.scrubber, &mut nothing, |to| {
            // It was scrubbed on its way there.
            pour(&mut text, to)
        })?;
        self.entries.push(extra("report.txt", "The whole as one text", written));
        self.json("summary.json", &summary)?;
        self.json("findings.json", &serde_json::to_value(&findings).unwrap_or_default())?;
        let manifest = manifest(order, &self.entries);
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        self.bundle
            .entry("manifest.json", self.scrubber, &mut nothing, |to| to.write_all(&bytes))?;
        self.bundle.finish()?;
        let manifest_sha256 = HEXLOWER.encode(digest(&SHA256, &bytes).as_ref());
        Ok(Closed { manifest_sha256, entries: self.entries, findings })
    }

    fn json(&mut self, path: &'static str, value: &Value) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
        self.whole(path, &bytes)
    }

    fn whole(&mut self, path: &'static str, bytes: &[u8]) -> io::Result<()> {
        let written =
            self.bundle.entry(path, self.scrubber, &mut io::sink(), |to| to.write_all(bytes))?;
        self.entries.push(extra(path, path, written));
        Ok(())
    }
}

/// What a support engineer reads first.
const README: &str = "\
This archive was made on a NAS by `qcloud-agent report`, and by nobody else: the agent never sends it.

report.txt      everything but long logs as one text: search it for `----- `
findings.json   what looks wrong, each with the lines that show it
summary.json    what the box is
manifest.json   every file here with its checksum, its bounds and what was taken out of it
system/ storage/ network/ services/ cloud/ logs/ image/

Passwords, keys and tokens were taken out: `[redacted:password#a3f]` stands for each, and equal ones have equal letters.
Names of users are in it.
";

fn pour(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    io::copy(from, to).map(drop)
}

fn manifest(order: &Order<'_>, entries: &[Entry]) -> Value {
    let complete =
        entries.iter().all(|e| matches!(e.status, Status::Ok | Status::Absent | Status::Skipped));
    json!({
        "schema": 1,
        "tool": "qcloud-agent",
        "version": env!("CARGO_PKG_VERSION"),
        "mode": "server",
        "made": order.clock.now().wall.rfc3339(),
        "argv": order.argv,
        "complete": complete,
        "limits": { "section_bytes": MOST, "seconds": TIME.as_secs(), "archive_bytes": bundle::MOST_BYTES },
        "entries": entries,
    })
}

fn line(
    section: &'static Section,
    status: Status,
    reason: Option<String>,
    written: Option<Written>,
    elapsed_ms: u64,
) -> Entry {
    let source = match &section.take {
        Take::Files(paths) | Take::Values(paths) => paths.join(" "),
        Take::Logs(dirs) => dirs.iter().map(|(dir, _)| *dir).collect::<Vec<_>>().join(" "),
        Take::Made(_) => "put together".into(),
    };
    let nothing = || Written { bytes: 0, sha256: String::new(), redactions: Default::default() };
    let written = written.unwrap_or_else(nothing);
    Entry {
        path: section.path.into(),
        section: section.title,
        source,
        status,
        reason,
        elapsed_ms,
        bytes: written.bytes,
        original_bytes: None,
        truncated: Truncated::None,
        sha256: written.sha256,
        sensitivity: section.sensitivity,
        redactions: written.redactions,
    }
}

fn extra(path: &'static str, title: &'static str, written: Written) -> Entry {
    Entry {
        path: path.into(),
        section: title,
        source: "the other entries".into(),
        status: Status::Ok,
        reason: None,
        elapsed_ms: 0,
        bytes: written.bytes,
        original_bytes: None,
        truncated: Truncated::None,
        sha256: written.sha256,
        sensitivity: Sensitivity::Personal,
        redactions: written.redactions,
    }
}

fn judged(outcome: &Outcome, written: &Written) -> (Status, Option<String>) {
    let mut failures = outcome.failures.clone();
    failures.truncate(8);
    let reason = (!failures.is_empty()).then(|| failures.join("; "));
    match (outcome.late, reason, written.bytes) {
        (true, _, _) => (Status::Timeout, Some(format!("not done within {} s", TIME.as_secs()))),
        (_, None, 0) => (Status::Absent, None),
        (_, None, _) => (Status::Ok, None),
        (_, Some(why), 0) => (Status::Error, Some(why)),
        (_, Some(why), _) => (Status::Partial, Some(why)),
    }
}

/// Writes what a section is made of.
fn take(
    survey: &Survey<'_>,
    section: &Section,
    outcome: &mut Outcome,
    to: &mut dyn Write,
) -> io::Result<()> {
    match &section.take {
        Take::Files(patterns) => files(survey.source, patterns, outcome, to),
        Take::Values(patterns) => values(survey.source, patterns, outcome, to),
        Take::Logs(dirs) => logs(survey.source, dirs, outcome, to),
        Take::Made(make) => {
            match make(survey, to) {
                Ok(()) => outcome.read += 1,
                Err(error) => note(outcome, section.path, &error),
            }
            Ok(())
        }
    }
}

/// A failure is noted; what is not there is none.
fn note(outcome: &mut Outcome, path: &str, error: &io::Error) {
    let kind = error.kind();
    if kind == io::ErrorKind::TimedOut {
        outcome.late = true;
    } else if !matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        outcome.failures.push(format!("{path}: {error}"));
    }
}

fn files(
    source: &Source,
    patterns: &[&str],
    outcome: &mut Outcome,
    to: &mut dyn Write,
) -> io::Result<()> {
    for path in patterns.iter().flat_map(|pattern| source.matches(pattern)) {
        match source.open(&path) {
            Ok(file) => {
                writeln!(to, "# {path}")?;
                copy(source, file, Path::new(&path), Keep::Head, outcome, to);
                writeln!(to)?;
            }
            Err(error) => note(outcome, &path, &error),
        }
    }
    Ok(())
}

fn copy(
    source: &Source,
    file: File,
    path: &Path,
    keep: Keep,
    outcome: &mut Outcome,
    to: &mut dyn Write,
) {
    match source.copy(file, path, (MOST, keep), to) {
        Ok(copied) => {
            outcome.read += 1;
            outcome.original += copied.original;
            if copied.cut {
                outcome.cut =
                    Some(if keep == Keep::Head { Truncated::Tail } else { Truncated::Head });
            }
        }
        Err(error) => note(outcome, &path.display().to_string(), &error),
    }
}

fn values(
    source: &Source,
    patterns: &[&str],
    outcome: &mut Outcome,
    to: &mut dyn Write,
) -> io::Result<()> {
    for path in patterns.iter().flat_map(|pattern| source.matches(pattern)) {
        let mut text = Vec::new();
        let read = source.open(&path).and_then(|file| file.take(4096).read_to_end(&mut text));
        match read {
            Ok(_) => {
                let text = String::from_utf8_lossy(&text).replace('\0', " ");
                for line in text.trim_end().lines() {
                    writeln!(to, "{path}: {line}")?;
                }
                outcome.read += 1;
            }
            // A link that is down has no speed.
            Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => {}
            Err(error) => note(outcome, &path, &error),
        }
    }
    Ok(())
}

fn logs(
    source: &Source,
    dirs: &[(&str, &[&str])],
    outcome: &mut Outcome,
    to: &mut dyn Write,
) -> io::Result<()> {
    for (dir, beginnings) in dirs {
        for relative in source.logs(dir, beginnings) {
            let path = Path::new(dir).join(&relative);
            match source.open_log(dir, &relative) {
                Ok(file) => {
                    writeln!(to, "# {}", path.display())?;
                    copy(source, file, &path, Keep::Tail, outcome, to);
                    writeln!(to)?;
                }
                Err(error) => note(outcome, &path.display().to_string(), &error),
            }
        }
    }
    Ok(())
}

/// Takes a section's clean text: for `report.txt`, and for the findings.
struct Shown<'a> {
    section: &'static Section,
    watcher: &'a mut Watcher,
    text: &'a mut File,
    line: Vec<u8>,
    number: u64,
    shown: usize,
}

impl<'a> Shown<'a> {
    fn new(section: &'static Section, watcher: &'a mut Watcher, text: &'a mut File) -> Self {
        Self { section, watcher, text, line: Vec::new(), number: 0, shown: 0 }
    }

    fn end_line(&mut self) {
        self.number += 1;
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.watcher.line(self.section.path, self.number, &line);
        self.line.clear();
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.end_line();
        }
        if self.shown >= MOST_TEXT {
            writeln!(self.text, "\n[more in {}]", self.section.path)?;
        }
        if self.shown > 0 { writeln!(self.text) } else { Ok(()) }
    }
}

impl Write for Shown<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shown == 0 && !bytes.is_empty() {
            writeln!(self.text, "----- {} -----", self.section.title)?;
        }
        let room = MOST_TEXT.saturating_sub(self.shown);
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.text.write_all(part)?;
        self.shown += part.len();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Findings look at lines of logs, not at whole files without an end of line.
            let room = 4096_usize.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if piece.ends_with(b"\n") {
                while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    self.line.pop();
                }
                self.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
