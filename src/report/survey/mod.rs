//! Sections that are put together from several places of a box, and only from what is no secret there.

mod people;
mod running;

pub use people::{certificates, packages, schedule, units, users};
pub use running::{boot, command_line, kernel_log, processes, situation, space};

use super::options::Options;
use super::source::Source;
use crate::platform::facts::Facts;
use serde_json::Value;
use std::io::{self, Write};

/// The most bytes of a file that is read as a whole.
const MOST: u64 = 4 << 20;

/// What sections are made of.
pub struct Survey<'a> {
    /// The box's files.
    pub source: &'a Source,
    /// What it says of itself.
    pub facts: &'a Facts,
    /// What the agent says: `status`, `ledger`.
    pub agent: &'a Value,
    /// What is asked of the report.
    pub options: &'a Options,
}

impl Survey<'_> {
    /// A file as text; empty when it cannot be read.
    fn text(&self, path: &str) -> String {
        self.source.root().read_text(path, MOST).unwrap_or_default()
    }
}

/// What the box is.
pub fn product(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    for (name, fact) in survey.facts.rows() {
        match (&fact["value"], fact["error"].as_str()) {
            (Value::Null, why) => writeln!(to, "{name}: unknown ({})", why.unwrap_or_default())?,
            (Value::String(text), _) => writeln!(to, "{name}: {text}")?,
            (value, _) => writeln!(to, "{name}: {value}")?,
        }
    }
    Ok(())
}

/// The agent's own state, as `status` shows it.
pub fn agent(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    lines(&survey.agent["status"], "", to)
}

/// What is wrong with the agent, and what to do.
pub fn health(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let warnings = survey.agent["status"]["warnings"].as_array();
    match warnings {
        Some(warnings) if warnings.is_empty() => writeln!(to, "no warning"),
        Some(_) => lines(&survey.agent["status"]["warnings"], "warning", to),
        None => writeln!(to, "unknown: the agent's state could not be read"),
    }
}

/// The end of the ledger: when, what, how much, to whom.
pub fn ledger(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let Some(all) = survey.agent["ledger"].as_array() else {
        return writeln!(to, "unknown: the ledger could not be read");
    };
    writeln!(to, "{} lines; the last 200:", all.len())?;
    for line in all.iter().skip(all.len().saturating_sub(200)) {
        writeln!(to, "{line}")?;
    }
    Ok(())
}

/// JSON as lines of `path: value`, which can be searched.
fn lines(value: &Value, path: &str, to: &mut dyn Write) -> io::Result<()> {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(map) => {
            map.iter().try_for_each(|(name, value)| lines(value, &below(name), to))
        }
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.into_iter().try_for_each(|(n, value)| lines(value, &below(&n.to_string()), to))
        }
        Value::String(text) => writeln!(to, "{path}: {text}"),
        Value::Null | Value::Bool(_) | Value::Number(_) => writeln!(to, "{path}: {value}"),
    }
}
