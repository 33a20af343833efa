//! `facts`: what the box says of itself. It asks no daemon and no hub, and needs no right but to read.

use super::print::Printer;
use crate::card::Exit;
use crate::daemon::run::Options;
use crate::platform::facts::Facts;
use crate::platform::facts::live::Running;
use crate::platform::root::Root;
use serde_json::Value;
use std::fmt::Write as _;

/// Prints every fact with its source, or why it is not known.
pub fn print(options: &Options, printer: &Printer) -> Exit {
    let root = Root::new(&options.root);
    if let Err(error) = root.names("/") {
        let text = format!(
            "cannot read {}: {error}\nhint: qcloud-agent facts --root DIR, the directory that stands for /",
            options.root.display()
        );
        return printer.fail(Exit::Failed, &text);
    }
    let facts = Facts::read(&root);
    let running = Running::read(&root, facts.volumes.value.as_deref().unwrap_or_default());
    let mut json = serde_json::to_value(&facts).unwrap_or_default();
    json["live"] = serde_json::to_value(&running).unwrap_or_default();
    let mut text = String::new();
    for (name, fact) in facts.rows() {
        let shown = match (&fact["value"], &fact["source"]) {
            (Value::Null, _) => format!("unknown: {}", super::text(&fact, "error")),
            (value, Value::String(source)) => format!("{}  ({source})", plain(value)),
            (value, _) => plain(value),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<17} {shown}");
    }
    if let Some(running) = running {
        text.push_str(&now(&running));
    }
    printer.show(&text, &json)
}

/// A value for people: lists without brackets, words without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The load of the running system.
fn now(running: &Running) -> String {
    const MIB: u64 = 1 << 20;
    let mut text = String::from("\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<17} {value}");
    };
    line("kernel", running.kernel.clone().unwrap_or_else(|| "unknown".into()));
    line("up", format!("{} h", running.uptime_seconds / 3600));
    if let Some([one, five, fifteen]) = running.load {
        line("load", format!("{one:.2} {five:.2} {fifteen:.2}"));
    }
    line("processes", running.processes.to_string());
    let (free, all) = (running.available_bytes / MIB, running.memory_bytes / MIB);
    line("memory", format!("{free} of {all} MiB available"));
    for room in &running.volumes {
        let (free, all) = (room.free_bytes / MIB, room.total_bytes / MIB);
        line(&room.path, format!("{free} of {all} MiB free"));
    }
    text
}
