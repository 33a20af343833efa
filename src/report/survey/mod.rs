//! Sections that are put together from several places of a box, and only from what is no secret there.

mod certificate;
mod disks;
mod history;
mod network;
mod people;
mod running;

pub use certificate::certificates;
pub use disks::health as disk_health;
pub use history::{boot, temperatures};
pub use network::{addresses, names, routes, sockets};
pub use people::{packages, schedule, units, users};
pub use running::{command_line, kernel_log, processes, situation, space};

use super::options::Options;
use super::source::Source;
use crate::platform::facts::Facts;
use serde_json::Value;
use std::collections::BTreeMap;
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
    if survey.agent["status"].is_null() {
        return match survey.source.root().is_live() {
            true => writeln!(to, "unknown: it does not run, or may not be asked by this user"),
            false => writeln!(to, "unknown: in a tree of files nothing runs"),
        };
    }
    lines(&survey.agent["status"], "", to)
}

/// What is switched on and what it says of itself: by the running agent, else as its configuration has it.
pub fn features(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let told = &survey.agent["status"]["features"];
    if let Some(features) = told.as_array() {
        return features.iter().try_for_each(|feature| {
            lines(feature, feature["name"].as_str().unwrap_or("feature"), to)
        });
    }
    if survey.agent["configured"].is_null() {
        return writeln!(to, "nothing is switched on: there is no configuration");
    }
    lines(&survey.agent["configured"], "configured", to)
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

/// The ledger: what left by kind, and its last lines.
pub fn ledger(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 100;
    let Some(all) = survey.agent["ledger"].as_array() else {
        return writeln!(to, "unknown: the ledger could not be read");
    };
    let all = all.iter().filter_map(Value::as_str);
    let all: Vec<Value> = all.filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut kinds: BTreeMap<String, (u64, u64, u64, String)> = BTreeMap::new();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let number = |line: &Value, name: &str| line[name].as_u64().unwrap_or_default();
    for line in &all {
        let name = format!("{} to {}", text(line, "parcel"), text(line, "dest"));
        let (count, up, down, last) = kinds.entry(name).or_default();
        (*count, *last) = (*count + 1, text(line, "t"));
        *up = up.saturating_add(number(line, "up"));
        *down = down.saturating_add(number(line, "down"));
    }
    writeln!(to, "{} lines", all.len())?;
    for (name, (count, up, down, last)) in &kinds {
        writeln!(to, "{name}: {count} times, {up} bytes out, {down} bytes in, last at {last}")?;
    }
    writeln!(to, "the last {SHOWN}:")?;
    for line in all.iter().skip(all.len().saturating_sub(SHOWN)) {
        let [when, parcel, dest, result] =
            ["t", "parcel", "dest", "result"].map(|name| text(line, name));
        let (up, down) = (number(line, "up"), number(line, "down"));
        writeln!(to, "{when} {parcel} to {dest}: {up} out, {down} in, {result}")?;
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
