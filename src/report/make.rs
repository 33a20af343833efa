//! Making a report.

use super::bundle::{self, Bundle, Entry, Sensitivity, Status, Truncated, Written};
use super::crash;
use super::digest;
use super::fill::{Bounds, Outcome, judged, take};
use super::findings::{Finding, Watcher};
use super::forms;
use super::gauges::Gauges;
use super::manifest;
use super::options::{Form, Options};
use super::output::{Output, OutputError};
use super::page::{Page, page};
use super::pseudonym::{Pseudonyms, Renamed};
use super::recipe::{Section, Take, chosen};
use super::scratch::Scratch;
use super::scrub::Scrubber;
use super::secrets;
use super::shown::Shown;
use super::source::{Source, fits};
use super::survey::Survey;
use crate::clock::Clock;
use crate::platform::facts::Facts;
use crate::platform::root::Root;
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Less room than this is no room for a section; and so much is kept for what is made of all of them.
const LEAST: u64 = 256 << 10;

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
    /// The file's own name; without one it tells the model and the time.
    pub name: Option<OsString>,
    /// What the box is.
    pub facts: &'a Facts,
    /// What is asked of it.
    pub options: &'a Options,
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
    /// Whether nothing is missing that this box has and that was asked for.
    pub complete: bool,
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
    let output = Output::open(order.dir, order.name.as_deref())?;
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| ReportError::Random)?;
    let source = Source::new(order.root, order.clock, order.options.time());
    let scrubber = Scrubber::new(secrets::known(&source), &random);
    let names = Pseudonyms::new(&order.options.pseudonymize, &source, order.facts);
    let survey =
        Survey { source: &source, facts: order.facts, agent: order.agent, options: order.options };
    let scratch = |number| output.nameless(number).and_then(Scratch::new);
    // The first that is written at all.
    let archive = scratch(0).map_err(|source| {
        if source.kind() == io::ErrorKind::StorageFull {
            return ReportError::Write(source);
        }
        OutputError::Directory { dir: order.dir.into(), source }.into()
    })?;
    let text = scratch(1).map_err(ReportError::Write)?;
    let mut making = Making {
        survey,
        scrubber: &scrubber,
        names: names.as_ref(),
        room: output.room().min(bundle::MOST_BYTES),
        size: archive.length(),
        bundle: Bundle::new(archive, names.as_ref()),
        text_size: text.length(),
        text,
        watcher: Watcher::default(),
        gauges: Gauges::new(order.clock.now().wall),
        entries: Vec::new(),
    };
    making.sections(order.options, progress).map_err(ReportError::Write)?;
    let closed = making.close(order).map_err(ReportError::Write)?;
    finish(order, &output, &scrubber, closed)
}

/// A report whose last entry is written.
struct Closed {
    archive: Scratch,
    manifest_sha256: String,
    entries: Vec<Entry>,
    findings: Vec<Finding>,
}

/// The second look, the form, and the name.
fn finish(
    order: &Order<'_>,
    output: &Output,
    scrubber: &Scrubber,
    mut closed: Closed,
) -> Result<Made, ReportError> {
    let removed = bundle::leaks(&mut closed.archive, scrubber).map_err(ReportError::Write)?;
    if !removed.is_empty() {
        let into = output.nameless(2).and_then(Scratch::new).map_err(ReportError::Write)?;
        closed.archive =
            bundle::without(&mut closed.archive, &removed, into).map_err(ReportError::Write)?;
    }
    let mut given = output.create(3).map_err(ReportError::Write)?;
    forms::give(order, &mut closed.archive, &mut given.file).map_err(ReportError::Write)?;
    let bytes = given.file.metadata().map_err(ReportError::Write)?.len();
    let name = order.name.clone().unwrap_or_else(|| name(order).into());
    let open_to_others = output.publish(given, &name).map_err(ReportError::Write)?;
    let denied =
        closed.entries.iter().filter(|e| e.reason.as_deref().is_some_and(|r| r.contains("denied")));
    Ok(Made {
        path: output.path(&name),
        bytes,
        manifest_sha256: closed.manifest_sha256,
        whole: closed.entries.iter().filter(|e| e.status == Status::Ok).count(),
        sections: closed.entries.len(),
        complete: removed.is_empty() && manifest::is_complete(&closed.entries),
        denied: denied.count(),
        findings: closed.findings,
        removed,
        open_to_others,
    })
}

/// `qcloud-report_TS-453D_7f3a9c21_20261122T101500Z.zip`.
fn name(order: &Order<'_>) -> String {
    let model = order.facts.model.value.as_deref().unwrap_or("nas");
    let plain = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
        letters.take(24).collect()
    };
    let id: String = plain(order.agent["status"]["device"].as_str().unwrap_or("unregistered"));
    let id: String = id.chars().take(8).collect();
    let when: String =
        order.clock.now().wall.rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let sealed = if order.options.recipients.is_empty() { "" } else { ".age" };
    let ending = order.options.form.ending();
    format!("qcloud-report_{}_{id}_{when}{ending}{sealed}", plain(model))
}

/// Why a section is not in this report.
fn left_out(section: &Section, options: &Options) -> Option<&'static str> {
    let is_out = |pattern: &String| fits(pattern.as_bytes(), section.path.as_bytes());
    if options.exclude.iter().any(is_out) {
        return Some("excluded");
    }
    if matches!(section.take, Take::Binaries(_)) && !options.pseudonymize.is_empty() {
        return Some("what is in it has no other names");
    }
    (section.path.starts_with("image/") && !options.image).then_some("no picture is wanted")
}

pub(super) struct Making<'a> {
    pub(super) survey: Survey<'a>,
    pub(super) scrubber: &'a Scrubber,
    names: Option<&'a Pseudonyms>,
    pub(super) bundle: Bundle<'a, Scratch>,
    text: Scratch,
    /// How large the archive may grow, and how large it and the text of it all are.
    pub(super) room: u64,
    pub(super) size: Arc<AtomicU64>,
    text_size: Arc<AtomicU64>,
    watcher: Watcher,
    gauges: Gauges,
    pub(super) entries: Vec<Entry>,
}

impl Making<'_> {
    fn sections(
        &mut self,
        options: &Options,
        progress: &mut dyn FnMut(Progress),
    ) -> io::Result<()> {
        let chosen = chosen(options);
        let all = chosen.len();
        for (done, section) in chosen.into_iter().enumerate() {
            progress(Progress { done, all, section: section.title });
            if let Some(why) = left_out(section, options) {
                self.entries.push(line(section, Status::Skipped, Some(why.into()), None, 0));
                continue;
            }
            if self.survey.source.is_late() {
                let why = format!("not begun within {} s", options.time().as_secs());
                self.entries.push(line(section, Status::Timeout, Some(why), None, 0));
                continue;
            }
            if self.left() < LEAST {
                let why = format!("the report would grow above {} bytes", self.room);
                self.entries.push(line(section, Status::Partial, Some(why), None, 0));
                continue;
            }
            if let Take::Binaries(make) = &section.take {
                self.binaries(section, *make)?;
            } else if matches!(section.take, Take::Picture) {
                self.display(section)?;
            } else {
                self.section(section)?;
            }
        }
        Ok(())
    }

    /// How much may still be written, besides what is made of all sections.
    fn left(&self) -> u64 {
        let [archive, text] =
            [&self.size, &self.text_size].map(|size| size.load(Ordering::Relaxed));
        self.room.saturating_sub(archive + text + LEAST)
    }

    /// Writes a section, to the archive and to `report.txt`, while the findings are looked for.
    fn section(&mut self, section: &'static Section) -> io::Result<()> {
        let clock = self.survey.source.clock();
        let begun = clock.now().boot;
        let bounds = Bounds::of(self.survey.options).within(self.left());
        let outcome = RefCell::new(Outcome::new(bounds));
        let is_all = self.survey.options.form == Form::Text;
        let mut body =
            Shown::new(section, &mut self.watcher, &mut self.gauges, &mut self.text, is_all);
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
        for one in findings.iter_mut().flat_map(|finding| &mut finding.evidence) {
            one.line = self.scrubber.text(&one.line, &mut Default::default());
        }
        let made = order.clock.now().wall.rfc3339();
        let facts = serde_json::to_value(self.survey.facts).unwrap_or_default();
        let facts = clean(facts, self.scrubber);
        let gauges = core::mem::take(&mut self.gauges);
        let device = &order.agent["status"]["device"];
        let summary = digest::summary(&facts, &gauges, &findings, &self.entries, device);
        let more = if order.options.crash { crash::README } else { "" };
        self.whole("README.txt", format!("{README}{more}").as_bytes())?;
        // Its parts were scrubbed on their way there.
        self.text.seek(SeekFrom::Start(0))?;
        let head = digest::head(&facts, &gauges, &findings, &made);
        let head = self.renamed_text(head.as_bytes())?;
        let mut whole = head.as_slice().chain(&mut self.text);
        let written = self.bundle.plain("report.txt", &mut whole)?;
        self.entries.push(extra("report.txt", "The whole as one text", written));
        self.json("summary.json", &summary)?;
        self.json("findings.json", &serde_json::to_value(&findings).unwrap_or_default())?;
        let (entries, found) = (&*self.entries, &*findings);
        let page =
            page(&Page { facts: &facts, findings: found, gauges: &gauges, entries, made: &made });
        self.whole("index.html", page.as_bytes())?;
        let mut said = clean(manifest::of(order, &self.entries, self.room), self.scrubber);
        // What each layer took out, of all sections.
        said["redaction"] = json!(self.scrubber.found());
        let manifest = match self.names {
            Some(names) => names.json(said),
            None => said,
        };
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        self.bundle.plain("manifest.json", &mut bytes.as_slice())?;
        let archive = self.bundle.finish()?;
        let manifest_sha256 = HEXLOWER.encode(digest(&SHA256, &bytes).as_ref());
        Ok(Closed { archive, manifest_sha256, entries: self.entries, findings })
    }

    fn json(&mut self, path: &'static str, value: &Value) -> io::Result<()> {
        let clean = clean(value.clone(), self.scrubber);
        self.whole(path, &serde_json::to_vec_pretty(&clean).unwrap_or_default())
    }

    fn renamed_text(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut renamed = Renamed::new(self.names, Vec::new());
        renamed.write_all(bytes)?;
        Ok(renamed.finish()?.0)
    }

    fn whole(&mut self, path: &'static str, bytes: &[u8]) -> io::Result<()> {
        let bytes = self.renamed_text(bytes)?;
        let written = self.bundle.plain(path, &mut bytes.as_slice())?;
        self.entries.push(extra(path, path, written));
        Ok(())
    }
}

/// JSON whose texts hold no secrets: its own marks must stay, so it is not scrubbed as a text.
fn clean(value: Value, scrubber: &Scrubber) -> Value {
    match value {
        Value::String(text) => scrubber.text(&text, &mut Default::default()).into(),
        Value::Array(list) => list.into_iter().map(|value| clean(value, scrubber)).collect(),
        Value::Object(map) => {
            // Checksums and the device's own id are no secrets, and look like some.
            let stays = |name: &str| matches!(name, "sha256" | "device" | "device_id");
            let one = |(name, value): (String, Value)| {
                let value = if stays(&name) { value } else { clean(value, scrubber) };
                (name, value)
            };
            map.into_iter().map(one).collect::<serde_json::Map<String, Value>>().into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// What a support engineer reads first.
const README: &str = "\
This archive was made on a NAS by `qcloud-agent report`, and by nobody else: the agent never sends it.

index.html      open this first: what looks wrong, and how the box is; it loads nothing from anywhere
report.txt      everything but long logs as one text: what looks wrong is on top, search it for `----- `
findings.json   the same findings for programs, each with the lines that show it
summary.json    what the box is and how it is, in numbers
manifest.json   every file here with its checksum, its bounds and what was taken out of it
system/ storage/ network/ services/ cloud/ logs/ image/

Passwords, keys and tokens were taken out: `[redacted:password#a3f]` stands for each, and equal ones have equal letters.
Names of users are in it.
";

pub(super) fn line(
    section: &'static Section,
    status: Status,
    reason: Option<String>,
    written: Option<Written>,
    elapsed_ms: u64,
) -> Entry {
    let source = match &section.take {
        Take::Files(paths) | Take::Values(paths) => paths.join(" "),
        Take::Logs(dirs) => dirs.iter().map(|(dir, _)| *dir).collect::<Vec<_>>().join(" "),
        Take::Made(_) | Take::Binaries(_) => "put together".into(),
        Take::Both(_, paths) => format!("put together from {}", paths.join(" ")),
        Take::Tools(lines) => {
            lines.iter().map(|argv| argv.join(" ")).collect::<Vec<_>>().join("; ")
        }
        Take::Picture => "the display".into(),
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

pub(super) fn extra(path: &'static str, title: &'static str, written: Written) -> Entry {
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
