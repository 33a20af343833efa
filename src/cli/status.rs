//! `status`: one screen.

use super::print::Printer;
use super::{Failed, talk, text};
use crate::card::Exit;
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::run::{Agent, Options, RunError};
use crate::daemon::start;
use crate::platform::facts::in_short;
use crate::platform::root::Root;
use crate::state::StateDir;
use serde_json::{Value, json};
use std::sync::Arc;

/// Prints the status of the agent, or of one feature.
pub async fn print(
    rows: &'static [Row],
    options: &Options,
    feature: Option<&str>,
    printer: &Printer,
) -> Exit {
    let mut status = match gather(rows, options).await {
        Ok(status) => status,
        Err(failed) => return printer.fail(failed.exit, &failed.text),
    };
    let Some(name) = feature else {
        status["box"] = in_short(&Root::new(&options.root)).into();
        let text = screen(&status);
        return printer.show(&text, &status);
    };
    let features = status["features"].as_array_mut().map(core::mem::take).unwrap_or_default();
    let of = features.into_iter().find(|f| f["name"] == name).unwrap_or_default();
    let text = one(&of);
    printer.show(&text, &of)
}

/// The status as JSON: the running agent's own word, or that of one that is only looked at.
///
/// # Errors
/// [`Failed`] when the agent runs and cannot be asked, or its state cannot be read.
pub async fn gather(rows: &'static [Row], options: &Options) -> Result<Value, Failed> {
    let request = Request { noun: DAEMON.into(), verb: "status".into(), args: json!({}) };
    if let Some(answer) = talk::ask_running(options, &request).await? {
        return Ok(answer.json);
    }
    let mut agent = stopped(rows, options)?;
    let mut status = serde_json::to_value(agent.status()).unwrap_or_default();
    if !agent.has_identity() {
        // The key it has is in RAM, and gone with this command.
        status["device"] = Value::Null;
    }
    Ok(status)
}

/// An agent that is only looked at. Where there is no state yet, none is made.
fn stopped(rows: &'static [Row], options: &Options) -> Result<Agent, Failed> {
    if options.state_dir.exists() {
        return talk::open(rows, options);
    }
    let failed = |error: RunError| talk::failed(&error, options);
    let config = start::config(rows, options).map_err(failed)?;
    let state = Arc::new(StateDir::memory());
    Agent::with_state(rows, options.clone(), state, config).map_err(failed)
}

/// The whole screen.
pub fn screen(status: &Value) -> String {
    let device = status["device"].as_str().unwrap_or("without a key yet");
    let mut lines = vec![format!("device {device}")];
    lines.extend(status["box"].as_str().map(|words| format!("box {words}")));
    match status.get("registered").filter(|r| !r.is_null()) {
        Some(place) => {
            lines.push(format!("registered as {} at {}", text(place, "name"), text(place, "hub")));
            lines.push(operator(place));
        }
        None => lines.push("not registered (qcloud-agent register --hub https://HOST)".into()),
    }
    if status["running"] == false {
        lines.push("the agent is not running (qcloud-agent run)".into());
    }
    if let Some(why) = status["agent"]["seccomp_missing"].as_str() {
        lines.push(format!("its system calls are not confined: {why}"));
    }
    lines.push(String::new());
    for feature in status["features"].as_array().into_iter().flatten() {
        let summary = match text(feature, "summary") {
            "" => text(feature, "promise"),
            summary => summary,
        };
        let restricted = if feature["restricted"] == true { "restricted; " } else { "" };
        lines.push(format!(
            "{:<13} {:<8} {restricted}{summary}",
            text(feature, "name"),
            text(feature, "state")
        ));
    }
    for warning in status["warnings"].as_array().into_iter().flatten() {
        lines.push(format!("\nwarning: {}: {}", text(warning, "title"), text(warning, "details")));
        lines.push(format!("hint: {}", text(warning, "hint")));
    }
    for denied in status["denied"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("\ndenied: {denied} (qcloud-agent privacy allow {denied})"));
    }
    for owed in status["owed"].as_array().into_iter().flatten() {
        lines.push(format!(
            "\nowed: the hub has not erased its part of {} yet",
            owed.as_str().unwrap_or("?")
        ));
    }
    if let Some(next) = status.get("next").filter(|n| !n.is_null()) {
        lines.push(format!(
            "\nnext: {} ({}) in {} s",
            text(next, "why"),
            text(next, "feature"),
            next["seconds"]
        ));
    }
    lines.push(format!("\nledger: {} lines (qcloud-agent egress ledger)", status["ledger_lines"]));
    lines.join("\n")
}

/// Whom the owner turns to, complaints to an authority included (promise R10).
pub fn operator(place: &Value) -> String {
    let operator = &place["operator"];
    let region = match text(operator, "region") {
        "" => String::new(),
        region => format!(", in {region}"),
    };
    match text(operator, "contact") {
        "" => format!("hub run by: not told by the hub{region}"),
        contact => format!("hub run by: {contact}{region}"),
    }
}

fn one(feature: &Value) -> String {
    let mut lines = vec![format!(
        "{} is {}: {}",
        text(feature, "name"),
        text(feature, "state"),
        match text(feature, "summary") {
            "" => text(feature, "promise"),
            summary => summary,
        }
    )];
    for (name, value) in feature["facts"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), String::from);
        lines.push(format!("  {name:<12} {value}"));
    }
    lines.join("\n")
}
