//! Looking at a report: before it is made, and before it is given to anybody.

use super::super::print::{Printer, err};
use crate::card::Exit;
use crate::report::options::Options;
use crate::report::recipe::chosen;
use crate::report::view;
use crate::wire::label::printable;
use data_encoding::BASE64;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;

/// What would be in a report.
pub fn preview(options: &Options, printer: &Printer) -> Exit {
    let mut text = String::new();
    let mut all = Vec::new();
    for section in chosen(options) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:<34} {}", section.path, section.title);
        all.push(json!({ "path": section.path, "title": section.title, "sensitivity": section.sensitivity }));
    }
    printer.show(&text, &json!(all))
}

/// Every entry of a report, each held against its manifest.
pub fn list(file: &Path, printer: &Printer) -> Exit {
    let entries = match view::list(file) {
        Ok(entries) => entries,
        Err(error) => return unreadable(file, &error, printer),
    };
    let mut text = String::new();
    for entry in &entries {
        let mark = match entry.verified {
            Some(true) => "ok",
            Some(false) => "ALTERED",
            None => "-",
        };
        let status = super::super::text(&entry.says, "status");
        let path = printable(&entry.path, 200);
        let _ = writeln!(text, "{mark:<8} {status:<8} {:>9}  {path}", entry.bytes);
    }
    let is_whole = entries.iter().all(|entry| entry.verified != Some(false));
    let json = serde_json::to_value(&entries).unwrap_or_default();
    if !is_whole {
        err(&text);
        let what = format!("{} is not what its manifest says\nhint: make it again", file.display());
        return printer.fail(Exit::Failed, &what);
    }
    printer.show(&text, &json)
}

/// One entry: a text tamed for the terminal, anything else as it is, and not onto a terminal.
pub fn show(file: &Path, entry: &str, printer: &Printer) -> Exit {
    let mut bytes = Vec::new();
    if let Err(error) = view::show(file, entry, &mut bytes) {
        return unreadable(file, &error, printer);
    }
    if TEXTS.iter().any(|ending| entry.ends_with(ending)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return printer.show(&text, &json!({ "path": entry, "text": text }));
    }
    if printer.is_json() {
        return printer.show("", &json!({ "path": entry, "base64": BASE64.encode(&bytes) }));
    }
    let mut to = std::io::stdout().lock();
    if to.is_terminal() {
        let text = format!("{} bytes, no text: add `> FILE` to save it", bytes.len());
        return printer.show(&text, &json!(null));
    }
    // A reader that went away is no failure.
    let _ = to.write_all(&bytes);
    Exit::Done
}

/// How the names of texts end.
const TEXTS: [&str; 3] = [".txt", ".json", ".html"];

fn unreadable(file: &Path, error: &std::io::Error, printer: &Printer) -> Exit {
    let text = format!(
        "cannot look into {}: {error}\nhint: qcloud-agent report view FILE",
        file.display()
    );
    printer.fail(Exit::Failed, &text)
}
