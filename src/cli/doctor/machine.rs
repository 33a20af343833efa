//! What the box says: what it is, its clock, its kernel, and what the daemon's process may do.

use super::finding::Finding;
use crate::clock::{self, BUILT};
use crate::daemon::run::Options;
use crate::platform::facts::in_short;
use crate::platform::features;
use crate::platform::root::Root;
use serde_json::Value;

/// `/proc/PID/status` is below 2 KiB.
const STATUS_MOST: u64 = 16 * 1024;
/// A clock that is off by more makes certificates look expired or not yet valid.
const OFF_SECONDS: u64 = 60;

/// All of it.
pub(super) fn all(options: &Options, daemon: Option<&Value>) -> Vec<Finding> {
    let mut findings = vec![hardware(options), clock(daemon)];
    findings.push(kernel());
    findings.extend(daemon.and_then(|facts| process(options, facts)));
    findings
}

fn hardware(options: &Options) -> Finding {
    let known = in_short(&Root::new(&options.root));
    Finding::ok("box", known.unwrap_or_else(|| "it tells neither model nor firmware".into()))
}

fn clock(daemon: Option<&Value>) -> Finding {
    let what = "clock";
    let system = clock::system_wall();
    let trusted = daemon.and_then(|facts| facts["clock"]["trusted"].as_u64());
    let trusted = trusted.unwrap_or_default().max(BUILT.unix_seconds());
    let behind = trusted.saturating_sub(system.unix_seconds());
    if behind > OFF_SECONDS {
        let text = format!(
            "the system says {}, which is {behind} s before a moment that has passed",
            system.rfc3339()
        );
        return Finding::bad(what, text, "date --set TIME, or switch NTP on");
    }
    Finding::ok(what, system.rfc3339())
}

fn kernel() -> Finding {
    let (there, missing): (Vec<_>, Vec<_>) = features::all().into_iter().partition(|f| f.there);
    if missing.is_empty() {
        let names: Vec<_> = there.iter().map(|feature| feature.name).collect();
        return Finding::ok("kernel", names.join(", "));
    }
    let missing: Vec<_> =
        missing.iter().map(|feature| format!("no {}: {}", feature.name, feature.without)).collect();
    Finding::warn("kernel", missing.join("; "), "qcloud-agent egress reconcile")
}

/// What the daemon's process may do, as the kernel sees it.
fn process(options: &Options, facts: &Value) -> Option<Finding> {
    let pid = facts["pid"].as_u64()?;
    let root = Root::new(&options.root);
    if !root.is_live() {
        return None;
    }
    let text = root.read_text(&format!("/proc/{pid}/status"), STATUS_MOST).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()).unwrap_or("?").to_owned()
    };
    let (uid, caps) = (field("Uid"), field("CapEff"));
    let standing = &facts["standing"];
    let seccomp = match (field("Seccomp").as_str(), standing["seccomp_missing"].as_str()) {
        ("0", Some(why)) => format!("no seccomp filter ({why})"),
        ("0", None) => "no seccomp filter".into(),
        ("2", _) => "a seccomp filter".into(),
        _ => "seccomp not told".into(),
    };
    let helper = if standing["root_helper"] == true { "a root helper" } else { "no root helper" };
    let fresh =
        if field("NoNewPrivs") == "1" { "no new privileges" } else { "may gain privileges" };
    let memory =
        field("VmHWM").parse::<u64>().map_or_else(|_| "?".into(), |kib| (kib / 1024).to_string());
    let shown = format!(
        "uid {uid}, capabilities {caps}, {seccomp}, {fresh}, {helper}, at most {memory} MiB so far"
    );
    if uid == "0" && !caps.trim_start_matches('0').is_empty() {
        let text = format!("it runs as root, which it does not need: {shown}");
        return Some(Finding::warn(
            "privileges",
            text,
            "leave `user` out of section [agent], then: systemctl restart qcloud-agent",
        ));
    }
    Some(Finding::ok("privileges", shown))
}
