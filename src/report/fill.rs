//! What a section is filled with, and what became of that.

use super::bundle::{Sink, Status, Truncated, Written};
use super::options::{Form, Options};
use super::recipe::{Section, Take};
use super::source::{Keep, Source};
use super::survey::Survey;
use crate::platform::exec::{Exec, ExecError, Limits};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How long one of the box's own programs may take.
const TOOL: Duration = Duration::from_secs(5);

/// How much a section may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    /// Of one file; of a log, its end.
    pub(super) file: u64,
    /// Of all of them.
    pub(super) section: u64,
    /// How long the whole report may take.
    pub(super) time: Duration,
}

impl Bounds {
    /// Those of a report.
    pub(super) fn of(options: &Options) -> Self {
        let time = options.time();
        match options.form {
            Form::TarAll => Self { file: 8 << 20, section: 8 << 20, time },
            Form::Text | Form::Zip | Form::ZipImage | Form::Kernel => {
                Self { file: 1 << 20, section: 4 << 20, time }
            }
        }
    }
}

impl Bounds {
    /// The same, where no more than so much is left.
    pub(super) fn within(self, left: u64) -> Self {
        Self { file: self.file.min(left), section: self.section.min(left), ..self }
    }
}

/// What became of the files of a section.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) bounds: Bounds,
    taken: u64,
    pub(super) original: u64,
    pub(super) cut: Option<Truncated>,
    failures: Vec<String>,
    late: bool,
}

/// Writes what a section is made of.
pub(super) fn take(
    survey: &Survey<'_>,
    section: &Section,
    outcome: &mut Outcome,
    to: &mut dyn Sink,
) -> io::Result<()> {
    match &section.take {
        Take::Files(patterns) => files(survey.source, patterns, outcome, to),
        Take::Values(patterns) => values(survey.source, patterns, outcome, to),
        Take::Logs(dirs) => logs(survey.source, dirs, outcome, to),
        Take::Made(make) => {
            if let Err(error) = make(survey, to) {
                note(outcome, section.path, &error);
            }
            Ok(())
        }
        Take::Both(make, patterns) => {
            if let Err(error) = make(survey, to) {
                note(outcome, section.path, &error);
            }
            files(survey.source, patterns, outcome, to)
        }
        Take::Tools(lines) => tools(survey.source, lines, outcome, to),
        // They are no text, and have their own way into the archive.
        Take::Picture | Take::Binaries(_) => Ok(()),
    }
}

impl Outcome {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Whether no more goes in, which is noted.
    fn is_full(&mut self) -> bool {
        let is_full = self.taken >= self.bounds.section;
        if is_full {
            self.failures.push(format!("the rest, above {} bytes", self.bounds.section));
            self.cut = Some(Truncated::Tail);
        }
        is_full
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
    to: &mut dyn Sink,
) -> io::Result<()> {
    for path in patterns.iter().flat_map(|pattern| source.matches(pattern)) {
        if outcome.is_full() {
            break;
        }
        match source.open(&path) {
            Ok(file) => {
                writeln!(to, "# {}", shown(Path::new(&path)))?;
                copy(source, file, Path::new(&path), Keep::Head, outcome, to);
                writeln!(to)?;
            }
            Err(error)
                if crate::sabotage::off("report-section")
                    && error.kind() != io::ErrorKind::NotFound =>
            {
                return Err(error);
            }
            Err(error) => note(outcome, &path, &error),
        }
    }
    Ok(())
}

/// A path in which nothing ends a line or turns one around: whoever may write to a directory chose its names.
fn shown(path: &Path) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    path.to_string_lossy().chars().map(|c| if acts(c) { '?' } else { c }).collect()
}

/// What the box's own programs say, of those that are there.
fn tools(
    source: &Source,
    lines: &[&[&str]],
    outcome: &mut Outcome,
    to: &mut dyn Sink,
) -> io::Result<()> {
    if !source.root().is_live() {
        return Ok(());
    }
    for argv in lines {
        if source.is_late() {
            note(outcome, "", &io::ErrorKind::TimedOut.into());
            break;
        }
        let limits = Limits { timeout: TOOL, output_bytes: outcome.bounds.file };
        match Exec.run_blocking(argv, limits) {
            // What has nothing to say, or is of another system, is passed over.
            Ok(output) if output.stdout.is_empty() => {}
            Ok(output) => {
                writeln!(to, "# {}", argv.join(" "))?;
                to.write_all(&output.stdout)?;
                writeln!(to)?;
                if output.status.is_none() {
                    outcome.cut = Some(Truncated::Tail);
                }
            }
            Err(ExecError::Start { .. } | ExecError::Empty) => {}
            Err(error) => note(outcome, &argv.join(" "), &io::Error::other(error.to_string())),
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
    to: &mut dyn Sink,
) {
    let most = outcome.bounds.file.min(outcome.bounds.section.saturating_sub(outcome.taken));
    to.begins(&path.to_string_lossy());
    let copied = source.copy(file, path, (most, keep), to);
    to.begins("");
    match copied {
        Ok(copied) => {
            outcome.original += copied.original;
            outcome.taken += copied.original.min(most);
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
    to: &mut dyn Sink,
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
    to: &mut dyn Sink,
) -> io::Result<()> {
    for (dir, beginnings) in dirs {
        for relative in source.logs(dir, beginnings) {
            if outcome.is_full() {
                return Ok(());
            }
            let path = Path::new(dir).join(&relative);
            match source.open_log(dir, &relative) {
                Ok(file) => {
                    writeln!(to, "# {}", shown(&path))?;
                    copy(source, file, &path, Keep::Tail, outcome, to);
                    writeln!(to)?;
                }
                Err(error) => note(outcome, &path.display().to_string(), &error),
            }
        }
    }
    Ok(())
}

/// How a section came out, and why it is not whole.
pub(super) fn judged(outcome: &Outcome, written: &Written) -> (Status, Option<String>) {
    let mut failures = outcome.failures.clone();
    failures.truncate(8);
    let reason = (!failures.is_empty()).then(|| failures.join("; "));
    match (outcome.late, reason, written.bytes) {
        (true, _, _) => {
            (Status::Timeout, Some(format!("not done within {} s", outcome.bounds.time.as_secs())))
        }
        (_, None, 0) => (Status::Absent, None),
        (_, None, _) => (Status::Ok, None),
        (_, Some(why), 0) => (Status::Error, Some(why)),
        (_, Some(why), _) => (Status::Partial, Some(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Wall};
    use crate::platform::root::{Root, tests::scratch};
    use core::time::Duration;
    use std::io::Write;

    struct Held(Vec<u8>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Held {
        fn begins(&mut self, _path: &str) {}
    }

    #[test]
    fn a_section_ends_where_the_room_does_and_says_so() {
        let tree = scratch("bounds");
        std::fs::create_dir_all(tree.join("etc/d")).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(tree.join("etc/d").join(name), "x".repeat(600)).unwrap();
        }
        let clock = Clock::system(Wall::default());
        let source = Source::new(&Root::new(&tree), &clock, Duration::from_secs(60));
        let bounds = Bounds::of(&Options::default()).within(1000);
        let (mut outcome, mut text) = (Outcome::new(bounds), Held(Vec::new()));
        files(&source, &["/etc/d/*"], &mut outcome, &mut text).unwrap();
        assert_eq!(text.0.iter().filter(|byte| **byte == b'x').count(), 1000);
        assert_eq!(outcome.cut, Some(Truncated::Tail));
        assert_eq!(outcome.failures, ["the rest, above 1000 bytes"]);
    }
}
