//! Printing: answers to stdout, the rest to stderr, never a panic on a closed pipe.

use crate::card::Exit;
use crate::daemon::feature::Answer;
use serde_json::Value;
use std::error::Error;
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
            out(&answer.json.to_string());
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
            out(&serde_json::json!({ "progress": answer.json }).to_string());
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
        out(&if self.json { json.to_string() } else { text.trim_end().to_string() });
        Exit::Done
    }

    /// Prints why a command failed and gives its exit code.
    pub fn fail(&self, exit: Exit, text: &str) -> Exit {
        self.answer(&Answer::failed(exit, text))
    }
}

/// A line to stdout. A reader that went away (`| head`) is no failure.
pub fn out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line to stderr.
pub fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What clap has to say: help is an answer, the rest a usage error.
pub fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
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

/// A web address as a QR code for the terminal; nothing for other texts.
fn qr(uri: &str) -> Option<String> {
    use qrcode::render::unicode::Dense1x2;
    let code = uri.starts_with("https://").then(|| qrcode::QrCode::new(uri).ok())??;
    Some(code.render::<Dense1x2>().quiet_zone(true).build())
}
