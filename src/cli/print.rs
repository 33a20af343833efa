//! Printing: answers to stdout, the rest to stderr, never a panic on a closed pipe.

use crate::card::Exit;
use crate::daemon::feature::Answer;
use crate::daemon::run::{Options, RunError};
use crate::identity::IdentityError;
use crate::state::StateError;
use crate::wire::label::{acts, printable};
use serde_json::Value;
use std::error::Error;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};

/// Prints one command's answer.
pub struct Printer {
    json: bool,
}

impl Printer {
    /// For people, or as JSON.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether `--json` was given.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the last answer and gives its exit code.
    pub fn answer(&self, answer: &Answer) -> Exit {
        let exit = answer.exit.unwrap_or(Exit::Failed);
        if self.json {
            out(&json_text(&answer.json));
        } else if exit == Exit::Done {
            out(&answer.text);
        } else {
            err(&format!("qcloud-agent: {}", answer.text));
        }
        exit
    }

    /// Prints something to look at while waiting.
    pub fn progress(&self, answer: &Answer) {
        if self.json {
            out(&json_text(&serde_json::json!({ "progress": answer.json })));
        } else {
            out(&answer.text);
            if std::io::stdout().is_terminal() {
                let uri = super::text(&answer.json, "verification_uri");
                if let Some(code) = qr(uri) {
                    out(&code);
                }
            }
        }
    }

    /// Prints an answer made here.
    pub fn show(&self, text: &str, json: &Value) -> Exit {
        out(&if self.json { json_text(json) } else { text.trim_end().to_string() });
        Exit::Done
    }

    /// Prints why a command failed and gives its exit code.
    pub fn fail(&self, exit: Exit, text: &str) -> Exit {
        self.answer(&Answer::failed(exit, text))
    }
}

/// A line to stdout. A reader that went away (`| head`) is no failure.
pub fn out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", tame(text));
}

/// A line to stderr.
pub fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", tame(text));
}

/// The last gate before the terminal: but for the ends of our own lines, what acts on it is shown as `?`. What
/// comes from outside was made printable where it came in, so that it cannot end a line either.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && acts(c) { '?' } else { c }).collect()
}

/// JSON in which nothing acts on a terminal: serde_json escapes ASCII up to 0x1f, this the rest.
fn json_text(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if acts(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// What clap has to say: help is an answer, the rest a usage error.
pub fn usage(error: &clap::Error, args: &[OsString]) -> Exit {
    let mut text = error.render().to_string();
    // It shows what was typed as it was typed, line ends included.
    for arg in args.iter().map(|arg| arg.to_string_lossy()).filter(|arg| arg.contains(acts)) {
        text = text.replace(&*arg, &printable(&arg, arg.len()));
    }
    if error.use_stderr() {
        err(text.trim_end());
        return Exit::Usage;
    }
    out(text.trim_end());
    Exit::Done
}

/// An error and its sources in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Why an agent could not be opened, with a hint where there is one.
pub fn explain(error: &RunError, options: &Options) -> String {
    let text = printable(&chain(error), 1000);
    let dir = options.state_dir.display();
    let hint = match error {
        RunError::Config(error) => error.hint(),
        RunError::State(error) | RunError::Identity(IdentityError::State(error)) => {
            state_hint(error, &dir.to_string())
        }
        RunError::Identity(IdentityError::BadKey(file)) => format!(
            "it was not replaced; put a copy of {dir}/{file} back, or begin as another device: mv {dir} {dir}.old"
        ),
        RunError::Privilege(error) => error.hint(),
        RunError::Identity(_) | RunError::System { .. } => {
            format!("qcloud-agent doctor --state {dir}")
        }
    };
    format!("{text}\nhint: {}", printable(&hint, 1000))
}

fn state_hint(error: &StateError, dir: &str) -> String {
    match error {
        StateError::Damaged { .. } => format!(
            "nothing was replaced; put a copy of these files back, or give the newest state up: mv {dir}/household.*.json ELSEWHERE"
        ),
        StateError::Future { .. } => {
            "nothing was replaced; install the version that wrote it, or a later one, or start with another --state DIR".into()
        }
        StateError::Unsafe { path, .. } => {
            format!("see who read it, then: ls -ld {}", path.display())
        }
        StateError::Io { .. } if error.exit() == Exit::NoSpace => format!("df {dir}"),
        StateError::Gone { path } => format!("see what is mounted there: df {}", path.display()),
        StateError::Busy { .. } => format!("qcloud-agent status --state {dir}"),
        StateError::Io { .. } | StateError::Exists { .. } | StateError::Name(_) => {
            format!("qcloud-agent doctor --state {dir}")
        }
    }
}

/// A web address as a QR code for the terminal; nothing for other texts.
fn qr(uri: &str) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;
    let code = uri.starts_with("https://").then(|| qrcode::QrCode::new(uri).ok())??;
    Some(code.render::<Dense1x2>().quiet_zone(true).build())
}
