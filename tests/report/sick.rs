//! A box with many faults: what a support engineer is told of it.
//!
//! Its files stand for what the machines of the tests have not: md arrays, sensors, a watchdog, pstore. The disks' own
//! answers and the display's are played by fakes in `platform/health/tests.rs`, `platform/screen.rs` and
//! `report/picture.rs`: there is no SMART, NVMe, DRM or frame buffer here. A clock of the board (RTC) is played by none.

use super::{entries, made, report, scratch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What is wrong with the box in `sick/`, as its files say.
const WRONG: &[&str] = &[
    "certificate-ends",
    "clock-not-set",
    "disk-io-error",
    "disk-offline",
    "fan-stopped",
    "file-system-error",
    "file-system-errors-counted",
    "hot-now",
    "hung-task",
    "interface-errors",
    "kernel-panic",
    "kernel-tainted",
    "link-flaps",
    "memory-short",
    "no-default-route",
    "no-name-server",
    "not-shut-down",
    "out-of-memory",
    "overloaded",
    "raid-degraded",
    "raid-member-faulty",
    "raid-mismatch",
    "read-only-again",
    "read-only-now",
    "sata-link",
    "service-restarts",
    "sign-ins-refused",
    "waits-without-end",
    "watchdog-restarted",
];

/// The entries of a report of that box, as texts.
pub fn texts(name: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/sick/root");
    let (_, path) = made(&report(&root, &scratch(name)));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    entries(&path).into_iter().map(|(name, bytes)| (name, text(bytes))).collect()
}

#[test]
fn every_fault_is_found_and_each_line_that_shows_it_is_where_it_is_said_to_be() {
    let all = texts("sick");
    let findings: Vec<Value> = serde_json::from_str(&all["findings.json"]).unwrap();
    let mut codes: Vec<_> = findings.iter().map(|found| found["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, WRONG);
    for finding in &findings {
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{finding}");
        for one in evidence {
            let (path, number) = one["place"].as_str().unwrap().rsplit_once(':').unwrap();
            let line = all[path].lines().nth(number.parse::<usize>().unwrap() - 1).unwrap();
            let shown = one["line"].as_str().unwrap();
            assert!(line.trim().starts_with(shown), "{path}:{number} is {line}, not {shown}");
            assert!(all["report.txt"].contains(shown) && !shown.is_empty());
        }
        for place in ["report.txt", "index.html"] {
            assert!(all[place].contains(finding["text"].as_str().unwrap()), "{place}: {finding}");
        }
    }
    let at = |text: &str| all["report.txt"].find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(at("----- Findings -----") < at("FAULT    ") && at("FAULT    ") < at("note     "));
    assert!(at("note     ") < at("----- Product -----"), "what is wrong stands on top");
}

#[test]
fn the_summary_says_in_numbers_how_the_box_is() {
    let all = texts("summary");
    let summary: Value = serde_json::from_str(&all["summary.json"]).unwrap();
    assert_eq!(summary["worst"], "fault");
    assert_eq!(summary["gauges"]["memory_kib"]["MemTotal"], 3_965_432);
    assert_eq!(summary["gauges"]["load"][0], 9.81);
    assert_eq!(summary["gauges"]["processors"], 2);
    assert_eq!(summary["arrays"][0]["is_degraded"], true);
    assert_eq!(summary["facts"]["hostname"]["value"], "cellar-nas");
    assert!(summary["sections"]["error"] == 0 && summary["sections"]["ok"].as_u64().unwrap() >= 30);
}

#[test]
fn the_page_loads_nothing_and_lets_nothing_load() {
    let html = &texts("page")["index.html"];
    assert!(html.contains(
        "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-"
    ));
    for outside in [
        "<script", "<link", "<img", "<iframe", "http:", "https:", "src=", "url(", "@import",
        "style=\"",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(!html.contains("Kellerassel9") && html.contains("Starts and errors"));
    assert!(html.len() < 200_000, "{}", html.len());
}
