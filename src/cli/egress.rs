//! `egress catalog|preview|ledger|verify`. All of it works unregistered, with everything off and without
//! a running agent (promise C8).

use super::print::{self, Printer};
use super::{Failed, talk};
use crate::card::{Card, Exit, Parcel};
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::records::LEDGER;
use crate::daemon::run::Options;
use crate::egress::catalogue;
use crate::egress::ledger::{self, Line};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::io;

/// Runs one of the verbs.
pub async fn dispatch(
    rows: &'static [Row],
    options: &Options,
    sub: &ArgMatches,
    printer: &Printer,
) -> Exit {
    match sub.subcommand() {
        Some(("catalog", _)) => catalog(rows, printer),
        Some(("preview", matches)) => {
            let id = matches.get_one::<String>("parcel").map(String::as_str).unwrap_or_default();
            preview(rows, options, id, printer).await
        }
        Some(("ledger", _)) => match lines(options).await {
            Ok(lines) => show_ledger(&lines, printer),
            Err(failed) => printer.fail(failed.exit, &failed.text),
        },
        Some(("verify", _)) => match lines(options).await {
            Ok(lines) => verify(&lines, printer),
            Err(failed) => printer.fail(failed.exit, &failed.text),
        },
        Some(_) | None => Exit::Usage,
    }
}

fn catalog(rows: &'static [Row], printer: &Printer) -> Exit {
    let cards: Vec<&'static Card> = rows.iter().map(|row| row.card).collect();
    let parcels = catalogue::parcels(&cards);
    let json: Vec<Value> = parcels.iter().map(|parcel| catalogue::describe(parcel)).collect();
    let text: Vec<String> = parcels.iter().map(|parcel| entry(parcel)).collect();
    printer.show(&text.join("\n\n"), &json.into())
}

fn entry(parcel: &Parcel) -> String {
    let mut lines = vec![
        parcel.id.to_string(),
        format!("  {}", parcel.what),
        format!(
            "  to {}; kept there: {}",
            catalogue::recipient(parcel.to),
            catalogue::kept(parcel.retention)
        ),
    ];
    if parcel.purpose.needs_consent() {
        lines.push("  only with your consent".into());
    }
    for field in parcel.fields {
        let mark = if field.identifies { ", identifies this device" } else { "" };
        let optional = if field.optional { ", may be denied" } else { "" };
        lines.push(format!("  - {}: {}{mark}{optional}", field.path, field.why));
    }
    lines.join("\n")
}

async fn preview(rows: &'static [Row], options: &Options, id: &str, printer: &Printer) -> Exit {
    let cards: Vec<&'static Card> = rows.iter().map(|row| row.card).collect();
    let Some(parcel) = catalogue::parcels(&cards).into_iter().find(|parcel| parcel.id == id) else {
        let text = format!(
            "there is no parcel `{}`\nhint: qcloud-agent egress catalog",
            crate::wire::label::printable(id, 60)
        );
        return printer.fail(Exit::Usage, &text);
    };
    let request =
        Request { noun: DAEMON.into(), verb: "preview".into(), args: json!({ "parcel": id }) };
    let live = match talk::ask_running(options, &request).await {
        Ok(answer) => answer.map(|answer| answer.json).unwrap_or_default(),
        Err(failed) => return printer.fail(failed.exit, &failed.text),
    };
    let host = live["hub"].as_str().unwrap_or("HUB");
    let body = Some(&live["body"]).filter(|body| !body.is_null());
    let (body, kind) = match body {
        Some(body) => (body.clone(), "as it would be sent now"),
        None => ((parcel.example)(), "with example values"),
    };
    let text = format!("{} ({kind})\n\n{}", parcel.id, catalogue::preview(parcel, host, &body));
    printer.show(&text, &json!({ "parcel": id, "example": kind.starts_with("with"), "body": body }))
}

/// All lines there are: those on disk, and behind them those a running agent has not written yet.
async fn lines(options: &Options) -> Result<Vec<String>, Failed> {
    let request = Request { noun: DAEMON.into(), verb: "checkpoint".into(), args: json!({}) };
    let answer = talk::ask_running(options, &request).await?;
    let mut lines = Vec::new();
    for name in [rotated(LEDGER), LEDGER.into()] {
        let path = options.state_dir.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => lines.extend(text.lines().map(String::from)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("cannot read {}: {error}", path.display());
                return Err(Failed { exit: Exit::Failed, text });
            }
        }
    }
    // A running agent has just written what it could; what is left is in its memory only.
    let seq = |line: &str| serde_json::from_str::<Line>(line).map_or(0, |line| line.seq);
    let written = lines.last().map_or(0, |line| seq(line));
    let in_memory = answer.map(|answer| answer.json).unwrap_or_default();
    let in_memory = in_memory["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(in_memory.filter(|line| seq(line) > written).map(String::from));
    Ok(lines)
}

/// The name of the part that was rotated away.
fn rotated(name: &str) -> String {
    format!("{name}.1")
}

fn show_ledger(lines: &[String], printer: &Printer) -> Exit {
    let parsed: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect();
    let mut text = vec![format!(
        "{:>5}  {:<20}  {:<20}  {:<28}  {:>10}  {:>10}  {}",
        "seq", "time", "parcel", "to", "up", "down", "result"
    )];
    for line in lines {
        match serde_json::from_str::<Line>(line) {
            Ok(l) => text.push(format!(
                "{:>5}  {:<20}  {:<20}  {:<28}  {:>10}  {:>10}  {}",
                l.seq, l.t, l.parcel, l.dest, l.up, l.down, l.result
            )),
            Err(_) => text.push("    ?  (not a ledger line)".into()),
        }
    }
    printer.show(&text.join("\n"), &parsed.into())
}

fn verify(lines: &[String], printer: &Printer) -> Exit {
    match ledger::verify(lines.iter().map(String::as_str)) {
        Ok(head) => {
            let text =
                format!("{} lines follow each other, up to number {}", lines.len(), head.seq);
            printer.show(&text, &json!({ "ok": true, "lines": lines.len(), "head": head }))
        }
        Err(broken) => {
            let text = format!("the ledger does not hold: {broken}");
            let exit = printer.fail(Exit::Failed, &text);
            print::err(
                "hint: lines before it are sound; compare with a backup of the state directory",
            );
            exit
        }
    }
}
