//! `egress catalog|preview|ledger|verify|reconcile`. All of it but the last works unregistered, with everything off and without
//! a running agent (promise C8).

use super::print::{self, Printer};
use super::{Failed, talk};
use crate::card::{Card, Exit, Parcel};
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::records::LEDGER;
use crate::daemon::run::Options;
use crate::egress::catalogue;
use crate::egress::ledger::{self, Line, SignedHead};
use crate::wire::lookup::LOOKUP;
use crate::wire::signed;
use clap::ArgMatches;
use data_encoding::BASE64URL_NOPAD;
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
        Some(("ledger", _)) => match gather(rows, options).await {
            Ok(gathered) => show_ledger(&gathered.lines, printer),
            Err(failed) => printer.fail(failed.exit, &failed.text),
        },
        Some(("verify", _)) => match gather(rows, options).await {
            Ok(gathered) => verify(&gathered, printer),
            Err(failed) => printer.fail(failed.exit, &failed.text),
        },
        Some(("reconcile", _)) => super::reconcile::run(options, printer).await,
        Some(("show", matches)) => {
            let seq = matches.get_one::<String>("seq").map(String::as_str).unwrap_or_default();
            show(rows, options, seq, printer)
                .await
                .unwrap_or_else(|failed| printer.fail(failed.exit, &failed.text))
        }
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

/// Says on stderr what a feature is about to send, before it sends it for the first time (promise R5).
pub fn announce(card: &'static Card) {
    print::err("this leaves the device:");
    for parcel in card.parcels.iter().copied().chain([&LOOKUP]) {
        print::err(&format!(
            "  {} to {}: {}; kept there: {}",
            parcel.id,
            catalogue::recipient(parcel.to),
            parcel.what,
            catalogue::kept(parcel.retention)
        ));
    }
    print::err("every field of it: qcloud-agent egress catalog");
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
        let secret = if field.secret { ", secret: shown and kept as [secret]" } else { "" };
        lines.push(format!("  - {}: {}{mark}{optional}{secret}", field.path, field.why));
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
        None if crate::sabotage::off("preview-example") => return Exit::Failed,
        None => (parcel.masked((parcel.example)()), "with example values"),
    };
    let text = format!("{} ({kind})\n\n{}", parcel.id, catalogue::preview(parcel, host, &body));
    let request = catalogue::request(parcel, host, &body);
    let example = kind.starts_with("with");
    let json = json!({ "parcel": id, "example": example, "body": body, "request": request });
    printer.show(&text, &json)
}

/// The ledger as far as it can be had.
struct Gathered {
    /// Every line, oldest first.
    lines: Vec<String>,
    /// What the device signed of it last.
    signed_head: Option<String>,
    /// The device's public key, base64url.
    key: String,
}

/// All lines there are: those on disk, and behind them those a running agent could not write.
async fn gather(rows: &'static [Row], options: &Options) -> Result<Gathered, Failed> {
    let request = Request { noun: DAEMON.into(), verb: "checkpoint".into(), args: json!({}) };
    let answer = talk::ask_running(options, &request).await?;
    let ledger = match answer {
        Some(answer) => answer.json,
        None if options.state_dir.exists() => talk::open(rows, options)?.ledger(),
        None => json!({}),
    };
    let mut lines = Vec::new();
    for name in [format!("{LEDGER}.1"), LEDGER.into()] {
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
    let seq = |line: &str| serde_json::from_str::<Line>(line).map_or(0, |line| line.seq);
    let written = lines.last().map_or(0, |line| seq(line));
    let in_memory = ledger["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.extend(in_memory.filter(|line| seq(line) > written).map(String::from));
    let signed_head = ledger["signed_head"].as_str().map(String::from);
    Ok(Gathered { lines, signed_head, key: super::text(&ledger, "key").into() })
}

/// One line with all its fields, and its body while it is kept.
async fn show(
    rows: &'static [Row],
    options: &Options,
    seq: &str,
    printer: &Printer,
) -> Result<Exit, Failed> {
    let request = Request { noun: DAEMON.into(), verb: "show".into(), args: json!({ "seq": seq }) };
    let live = talk::ask_running(options, &request).await?.map(|a| a.json).unwrap_or_default();
    let lines = gather(rows, options).await?.lines;
    let numbered = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let wanted = seq.parse::<u64>().ok();
    let found =
        numbered.into_iter().find(|line| wanted.is_some() && line["seq"].as_u64() == wanted);
    let Some(line) = found else {
        let seq = crate::wire::label::printable(seq, 20);
        let text = format!("the ledger has no line {seq}\nhint: qcloud-agent egress ledger");
        return Err(Failed { exit: Exit::Failed, text });
    };
    let mut text: Vec<String> = line
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            format!("{name:<10} {}", value.as_str().map_or(value.to_string(), String::from))
        })
        .collect();
    text.push(match live["body"].as_str() {
        Some(body) => format!("body       {body}"),
        None => "body       (no longer in memory; body_hmac stands for it)".into(),
    });
    Ok(printer.show(&text.join("\n"), &json!({ "line": line, "body": live["body"] })))
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

fn verify(gathered: &Gathered, printer: &Printer) -> Exit {
    let lines = &gathered.lines;
    let verdict = ledger::verify(lines.iter().map(String::as_str))
        .map_err(|broken| broken.to_string())
        .and_then(|head| Ok((head, vouched(gathered)?)));
    match verdict {
        Ok((head, signed)) => {
            let text = format!(
                "{} lines follow each other, up to number {}; the device signed for number {signed}",
                lines.len(),
                head.seq
            );
            let json = json!({ "ok": true, "lines": lines.len(), "head": head, "signed": signed });
            printer.show(&text, &json)
        }
        Err(why) => {
            let text = format!(
                "the ledger does not hold: {why}\nhint: lines before it are sound; compare with a backup of the state directory"
            );
            printer.fail(Exit::Failed, &text)
        }
    }
}

/// The number of the line that the device signed for, once that line is found to be the one there is.
fn vouched(gathered: &Gathered) -> Result<u64, String> {
    let Some(document) = &gathered.signed_head else { return Ok(0) };
    let key = BASE64URL_NOPAD.decode(gathered.key.as_bytes()).unwrap_or_default();
    let signed: SignedHead = signed::verify(document, ledger::HEAD_TYPE, &key)
        .map_err(|e| format!("the signature over its end: {e}"))?;
    let there = gathered.lines.iter().rev().filter_map(|line| ledger::head_after(line));
    let there = there.into_iter().find(|head| head.seq == signed.head.seq);
    match there {
        _ if signed.head.seq == 0 => Ok(0),
        Some(head) if head == signed.head => Ok(head.seq),
        Some(_) => Err(format!("line {} is not the one the device signed for", signed.head.seq)),
        None => Err(format!("line {}, which the device signed for, is missing", signed.head.seq)),
    }
}
