//! What stands first: the head of `report.txt`, and `summary.json`.

use super::bundle::{Entry, Status};
use super::findings::{Finding, Severity};
use super::gauges::Gauges;
use super::page::{long, size};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The head of `report.txt`: which box, how it is, and what looks wrong, the worst first.
pub(super) fn head(facts: &Value, gauges: &Gauges, findings: &[Finding], made: &str) -> String {
    let fact = |name: &str| facts[name]["value"].as_str();
    let mut text = format!("Report of {}\n", fact("hostname").unwrap_or("a NAS"));
    // Writing to a String does not fail.
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<9} {value}");
        }
    };
    let version = [fact("platform"), fact("firmware"), fact("build")];
    let version: Vec<_> = version.into_iter().flatten().collect();
    line("model", fact("model").map(String::from));
    line("serial", fact("serial").map(String::from));
    line("system", (!version.is_empty()).then(|| version.join(" ")));
    line("made", Some(made.into()));
    line("up", gauges.uptime_seconds.map(long));
    line(
        "load",
        gauges.load.map(|[one, five, fifteen]| {
            format!("{one} {five} {fifteen} on {} processors", gauges.processors.max(1))
        }),
    );
    let kib = |name: &str| gauges.memory_kib.get(name).copied();
    if let (Some(total), Some(free)) = (kib("MemTotal"), kib("MemAvailable")) {
        let [total, free] = [total, free].map(|kib| size(kib.saturating_mul(1024)));
        line("memory", Some(format!("{free} of {total} can be used")));
    }
    let mut fullest: Vec<_> = gauges.rooms.iter().collect();
    fullest.sort_by_key(|room| core::cmp::Reverse(room.used_percent));
    fullest.dedup_by_key(|room| (room.size_kib, room.free_kib));
    let rooms = fullest.iter().take(6).map(|room| {
        let all = size(room.size_kib.saturating_mul(1024));
        format!("{} {} % of {all}", room.point, room.used_percent)
    });
    let rooms = rooms.collect::<Vec<_>>().join(", ");
    line("disks", (!rooms.is_empty()).then_some(rooms));
    text.push_str("\n----- Findings -----\n");
    if findings.is_empty() {
        text.push_str("nothing looks wrong\n");
    }
    for finding in findings {
        let often =
            if finding.count == 1 { "once".into() } else { format!("{} times", finding.count) };
        let word = match finding.severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "WARNING",
            Severity::Note => "note",
        };
        let _ = writeln!(text, "{word:<8} {} ({}, {often})", finding.text, finding.code);
        for one in &finding.evidence {
            let _ = writeln!(text, "         {}  {}", one.place, one.line);
        }
        let _ = writeln!(text, "         next: {}", finding.advice);
    }
    text.push('\n');
    text
}

/// `summary.json`, for programs that sort reports.
pub(super) fn summary(
    facts: &Value,
    gauges: &Gauges,
    findings: &[Finding],
    entries: &[Entry],
    device: &Value,
) -> Value {
    let of = |status: Status| entries.iter().filter(|entry| entry.status == status).count();
    let worst = findings.iter().map(|finding| finding.severity).max();
    let arrays: Vec<Value> = gauges
        .arrays()
        .iter()
        .map(|array| {
            json!({
                "name": array.name, "level": array.level, "places": array.members.map(|(slots, _)| slots),
                "at_work": array.members.map(|(_, work)| work), "is_degraded": array.is_degraded(),
            })
        })
        .collect();
    json!({
        "schema": 1,
        "device": device,
        "facts": facts,
        "gauges": gauges,
        "arrays": arrays,
        "sections": {
            "all": entries.len(), "ok": of(Status::Ok), "absent": of(Status::Absent), "partial": of(Status::Partial),
            "timeout": of(Status::Timeout), "error": of(Status::Error), "skipped": of(Status::Skipped),
        },
        "worst": worst,
        "findings": findings.iter().map(|finding| {
            json!({ "code": finding.code, "severity": finding.severity, "count": finding.count })
        }).collect::<Vec<_>>(),
    })
}
