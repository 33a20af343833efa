//! What is said while a report is made, and of one that was made.

use super::super::print::{Printer, chain};
use crate::card::Exit;
use crate::report::output::OutputError;
use crate::report::{Made, Progress, ReportError};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// How the progress is shown: a bar for whoever looks, lines of JSON on request, nothing on a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A bar.
    Bar,
    /// A line of JSON on stderr for each section: stdout is for the result alone.
    Lines,
    /// Nothing.
    Not,
}

impl Shown {
    /// What fits this terminal, or pipe.
    pub fn of(printer: &Printer) -> Self {
        match (printer.is_json(), std::io::stderr().is_terminal()) {
            (true, _) => Self::Lines,
            (false, true) => Self::Bar,
            (false, false) => Self::Not,
        }
    }

    /// Shows it. A reader that went away is no failure.
    pub fn draw(self, progress: &Progress) {
        const WIDTH: usize = 30;
        let Progress { done, all, section } = progress;
        let mut to = std::io::stderr();
        let _ = match self {
            Self::Bar => {
                let bar = "#".repeat(done * WIDTH / (*all).max(1));
                write!(to, "\r\x1b[K[{bar:<WIDTH$}] {section}")
            }
            Self::Lines => {
                let progress = json!({ "done": done, "all": all, "section": section });
                writeln!(to, "{}", json!({ "progress": progress }))
            }
            Self::Not => Ok(()),
        };
    }

    /// Takes the bar away.
    pub fn clear(self) {
        if self == Self::Bar {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// What was made.
pub fn answer(made: &Made, printer: &Printer) -> Exit {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "{}", made.path.display());
    let _ = writeln!(
        text,
        "{} KiB, {} of {} sections whole, manifest {}",
        made.bytes / 1024,
        made.whole,
        made.sections,
        made.manifest_sha256
    );
    for finding in &made.findings {
        let place = finding.evidence.first().map(|one| one.place.as_str()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:?}: {} ({} times, {place})",
            finding.severity, finding.text, finding.count
        );
    }
    if made.open_to_others {
        let _ = writeln!(
            text,
            "this file system knows no permissions: whoever has it can read the report"
        );
    }
    if made.denied > 0 {
        let _ = writeln!(
            text,
            "{} sections miss what only root can read\nhint: run it as root",
            made.denied
        );
    }
    if !made.complete && made.denied == 0 {
        let _ =
            writeln!(text, "not all of it is whole: manifest.json says what is missing, and why");
    }
    let _ =
        writeln!(text, "nothing was sent. hint: qcloud-agent report view {}", made.path.display());
    let json = serde_json::to_value(made).unwrap_or_default();
    printer.show(&text, &json);
    if made.complete && made.denied == 0 { Exit::Done } else { Exit::Partial }
}

/// Why there is none.
pub fn refuse(error: &ReportError, printer: &Printer) -> Exit {
    let (exit, hint) = match error {
        ReportError::Output(OutputError::NoSpace { .. }) => {
            (Exit::NoSpace, "qcloud-agent report --out DIR, with more room")
        }
        ReportError::Output(OutputError::Busy { .. }) => {
            (Exit::Busy, "wait for it to end, or give another --out DIR")
        }
        ReportError::Output(OutputError::Exists { .. }) => {
            (Exit::Failed, "give another name: what is there is not written over")
        }
        ReportError::Write(source) if source.raw_os_error() == Some(nix::libc::ENOSPC) => {
            (Exit::NoSpace, "qcloud-agent report --out DIR, with more room")
        }
        ReportError::Output(_) | ReportError::Write(_) | ReportError::Random => {
            (Exit::Failed, "qcloud-agent report --out DIR")
        }
    };
    printer.fail(exit, &format!("{}\nhint: {hint}", chain(error)))
}
