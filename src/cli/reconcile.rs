//! `egress reconcile`: asks the running agent, and prints what the ledger and the kernel say of each direction.

use super::print::{self, Printer};
use super::{talk, text};
use crate::card::Exit;
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::run::Options;
use serde_json::{Value, json};

/// Compares, and fails when a direction is not explained within 3 %.
pub(super) async fn run(options: &Options, printer: &Printer) -> Exit {
    let request = Request { noun: DAEMON.into(), verb: "reconcile".into(), args: json!({}) };
    let answer = match talk::ask_running(options, &request).await {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            let text = format!(
                "no agent runs in {}: only a running one has counted\nhint: qcloud-agent run",
                options.state_dir.display()
            );
            return printer.fail(Exit::Failed, &text);
        }
        Err(failed) => return printer.fail(failed.exit, &failed.text),
    };
    if answer.exit != Some(Exit::Done) {
        return printer.answer(&answer);
    }
    let found = answer.json;
    printer.show(&table(&found), &found);
    let words: Vec<String> = [("up", "leave"), ("down", "arrive")]
        .into_iter()
        .filter_map(|(way, verb)| complaint(&found[way], verb))
        .collect();
    if words.is_empty() {
        return Exit::Done;
    }
    for word in words {
        print::err(&format!("qcloud-agent: {word}"));
    }
    print::err(
        "hint: ss -tunap names other programs; qcloud-agent egress ledger has what was declared",
    );
    Exit::Failed
}

fn table(found: &Value) -> String {
    let mut lines = vec![format!("since {}, in bytes", text(found, "since")), String::new()];
    lines.push(columns(["", "ledger", "packets", "headers", "kernel", "difference"]));
    for way in ["up", "down"] {
        let side = &found[way];
        let number = |name: &str| side[name].to_string();
        let difference =
            format!("{} ({})", number("difference"), percent(&side["difference_per_mille"]));
        lines.push(columns([
            way,
            &number("ledger"),
            &number("packets"),
            &number("headers"),
            &number("kernel"),
            &difference,
        ]));
    }
    lines.push(String::new());
    for (title, name) in [("of the ledger", "rows"), ("inside this box, not counted", "inside")] {
        lines.extend(found[name].as_array().into_iter().flatten().map(|row| {
            let to = row["ip"].as_str().unwrap_or("nobody reached");
            let parcel = text(row, "parcel");
            format!("{title}: {parcel} with {to}: {} up, {} down", row["up"], row["down"])
        }));
    }
    lines.push(format!("kernel: {}, all programs of the box together", list(&found["interfaces"])));
    if found["before_segmentation"].as_array().is_some_and(|names| !names.is_empty()) {
        let names = list(&found["before_segmentation"]);
        lines.push(format!(
            "{names} has no queue discipline: up is counted before segmentation there, up to 3.5 % too low"
        ));
    }
    lines.join("\n")
}

fn columns([way, ledger, packets, headers, kernel, difference]: [&str; 6]) -> String {
    format!("{way:<5}{ledger:>14}{packets:>10}{headers:>12}{kernel:>14}  {difference}")
}

fn percent(per_mille: &Value) -> String {
    let n = per_mille.as_i64().unwrap_or_default();
    let sign = if n < 0 { "-" } else { "+" };
    format!("{sign}{}.{} %", n.unsigned_abs() / 10, n.unsigned_abs() % 10)
}

fn list(names: &Value) -> String {
    let names: Vec<&str> =
        names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(", ")
}

/// What is wrong with one direction, if anything is.
fn complaint(side: &Value, verb: &str) -> Option<String> {
    let difference = side["difference"].as_i64().unwrap_or_default().unsigned_abs();
    match text(side, "verdict") {
        "explained" => None,
        "overstated" => Some(format!(
            "the ledger has {difference} bytes more than the kernel saw {verb}: do not believe it here"
        )),
        _ => Some(format!(
            "the kernel saw {difference} bytes {verb} that the ledger does not explain: other programs of this box, or something undeclared"
        )),
    }
}
