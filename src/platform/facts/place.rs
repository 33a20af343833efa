//! [`Place`]: where a fact may stand.

use super::super::exec::{Exec, Limits};
use super::super::root::Root;
use super::text;
use core::fmt;
use core::time::Duration;
use std::io;

/// The most that is read of one of these files. The largest, a QTS `uLinux.conf`, is below 32 KiB.
pub(super) const SMALL: u64 = 64 * 1024;
/// What a program that tells one word may take; `get_hwsn` asks a slow bus.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), output_bytes: 4096 };

/// One place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The first line, or the first of several texts with a NUL behind each, of a file.
    File(&'static str),
    /// A key in a section of a QNAP configuration file.
    Section(&'static str, &'static str, &'static str),
    /// A variable in a file of shell assignments, such as `os-release(5)`.
    Variable(&'static str, &'static str),
    /// A member of a JSON file, as a JSON pointer (RFC 6901).
    Member(&'static str, &'static str),
    /// The answer of a program. In a tree nothing is run: there its file is a recorded answer.
    Program(&'static str),
}

impl Place {
    /// Reads the text there, if it can be believed.
    pub(super) fn read(self, root: &Root) -> Result<String, String> {
        let found = match self {
            Self::File(path) => Some(first(&load(root, path)?).to_owned()),
            Self::Section(path, section, key) => text::section(&load(root, path)?, section, key),
            Self::Variable(path, name) => text::variable(&load(root, path)?, name),
            Self::Member(path, pointer) => member(&load(root, path)?, pointer)?,
            Self::Program(path) if root.is_live() => Some(first(&ask(path)?).to_owned()),
            Self::Program(path) => Some(recorded(&load(root, path)?)?.to_owned()),
        };
        let found = found.ok_or("there is no such key")?;
        text::believable(&found).map(str::to_owned).map_err(str::to_owned)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Program(path) => f.write_str(path),
            Self::Section(path, "", key) | Self::Variable(path, key) => write!(f, "{path} {key}"),
            Self::Section(path, section, key) => write!(f, "{path} [{section}] {key}"),
            Self::Member(path, pointer) => write!(f, "{path} {pointer}"),
        }
    }
}

/// Reads a small text file.
pub(super) fn load(root: &Root, path: &str) -> Result<String, String> {
    let bytes = root.read(path, SMALL).map_err(|error| said(&error))?;
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())
}

/// An error of the system without its number.
pub(super) fn said(error: &io::Error) -> String {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    if matches!(error.kind(), NotFound | NotADirectory) {
        "it does not exist".into()
    } else if error.kind() == PermissionDenied {
        "permission denied".into()
    } else {
        error.to_string()
    }
}

fn first(text: &str) -> &str {
    text.split(['\n', '\0']).next().unwrap_or_default()
}

fn member(text: &str, pointer: &str) -> Result<Option<String>, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| "it is no JSON")?;
    Ok(json.pointer(pointer).and_then(serde_json::Value::as_str).map(String::from))
}

/// The answer in a script that does nothing but say it.
fn recorded(script: &str) -> Result<&str, String> {
    let said = script.strip_prefix("#!/bin/sh\necho ").map(str::trim_end);
    said.filter(|answer| answer.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .ok_or_else(|| "a program in a file tree is not run".to_owned())
}

/// Runs a program of the live box. It gets a thread of its own: whoever asks may be inside a runtime.
fn ask(path: &'static str) -> Result<String, String> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| said(&error))?;
        let output = runtime.block_on(Exec.run(&[path], LIMITS)).map_err(|error| {
            let source = std::error::Error::source(&error);
            source.map_or_else(|| error.to_string(), |why| format!("it does not start: {why}"))
        })?;
        if !output.succeeded() {
            return Err("it failed".to_owned());
        }
        String::from_utf8(output.stdout).map_err(|_| "its answer is no UTF-8 text".to_owned())
    };
    std::thread::scope(|scope| {
        scope.spawn(run).join().unwrap_or_else(|_| Err("asking it failed".to_owned()))
    })
}
