//! What the agent says of itself: identity, hub, features, what is owed, warnings.

use super::finding::Finding;
use crate::cli::{Failed, text};
use crate::clock::{self, Wall};
use crate::daemon::run::Options;
use serde_json::Value;

/// A certificate is told of when less than this is left of it: it is renewed when ten days are.
const SOON_SECONDS: u64 = 5 * 86_400;

/// Whether it runs and answers.
pub(super) fn runs(options: &Options, daemon: &Result<Option<Value>, Failed>) -> Finding {
    let what = "agent";
    match daemon {
        Ok(Some(facts)) => Finding::ok(what, format!("runs, process {}", facts["pid"])),
        Ok(None) => {
            let text = format!(
                "does not run on {}: only files were looked at",
                options.state_dir.display()
            );
            Finding::warn(what, text, "qcloud-agent run")
        }
        Err(failed) => Finding::failed(what, &failed.text),
    }
}

/// Everything else. `facts` are those of a running daemon.
pub(super) fn all(status: &Value, facts: Option<&Value>, options: &Options) -> Vec<Finding> {
    let device = text(status, "device");
    let mut findings = vec![match device {
        "" => Finding::ok("identity", "no key yet: it is made at the first start"),
        device => Finding::ok("identity", format!("device {device}")),
    }];
    findings.extend(place(status, facts));
    findings.extend(features(status));
    for owed in status["owed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let text =
            format!("the hub has not erased its part of {owed} yet; it is asked again by itself");
        findings.push(Finding::warn("owed erasure", text, "qcloud-agent status"));
    }
    for warning in status["warnings"].as_array().into_iter().flatten() {
        let told = format!("{}: {}", text(warning, "title"), text(warning, "details"));
        findings.push(Finding::warn("warning", told, text(warning, "hint")));
    }
    if status["ledger_lines"] == 0 && options.state_dir.exists() {
        findings.push(Finding::ok("ledger", "empty: nothing has left this device"));
    }
    findings
}

/// The hub: whether it can be found, answered, and takes this device.
fn place(status: &Value, facts: Option<&Value>) -> Vec<Finding> {
    let Some(registered) = status.get("registered").filter(|place| !place.is_null()) else {
        let text = "not registered: nothing is sent (qcloud-agent register --hub https://HOST)";
        return vec![Finding::ok("hub", text)];
    };
    let hub = text(registered, "hub");
    let mut findings =
        vec![Finding::ok("registration", format!("{} at {hub}", text(registered, "name")))];
    let Some(facts) = facts else { return findings };
    findings.push(name_servers(hub, facts));
    findings.push(contact(facts));
    findings.push(certificate(facts));
    findings
}

fn name_servers(hub: &str, facts: &Value) -> Finding {
    let what = "name servers";
    let host = hub.rsplit_once(':').map_or(hub, |(host, _)| host);
    let literal = host.trim_matches(['[', ']']).parse::<core::net::IpAddr>().is_ok();
    let known = facts["known_hosts"].as_array().into_iter().flatten().any(|known| known == host);
    if literal || known {
        return Finding::ok(what, format!("none is needed for {host}"));
    }
    let servers: Vec<_> =
        facts["name_servers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if servers.is_empty() {
        let hint = "write nameserver ADDRESS into /etc/resolv.conf";
        return Finding::bad(what, "there is none: the hub cannot be found", hint);
    }
    let servers = servers.join(", ");
    let lookup = &facts["lookup"];
    match text(lookup, "result") {
        "" => Finding::ok(what, format!("{servers}; not asked since the start")),
        "ok" => Finding::ok(what, format!("{servers}; {host} was found at {}", text(lookup, "at"))),
        why => {
            let told = format!("{servers}; at {} for {host}: {why}", text(lookup, "at"));
            Finding::bad(what, told, "cat /etc/resolv.conf")
        }
    }
}

/// The daemon's last contact with the hub; the session says more where there is one.
fn contact(facts: &Value) -> Finding {
    let (what, contact) = ("hub", &facts["contact"]);
    let (at, parcel) = (text(contact, "at"), text(contact, "parcel"));
    match text(contact, "result") {
        "" => Finding::ok(what, "not spoken to since the start"),
        result if result.starts_with("ok") => {
            Finding::ok(what, format!("answered {parcel} at {at}"))
        }
        result => {
            let text = format!("{parcel} at {at}: {result}");
            Finding::bad(what, text, "qcloud-agent egress ledger")
        }
    }
}

fn certificate(facts: &Value) -> Finding {
    let (what, hint) = ("certificate", "qcloud-agent status");
    let Some(end) = facts["certificate_ends"].as_u64() else {
        let hint = "qcloud-agent unregister, then register again";
        return Finding::bad(what, "the hub's certificate for this device is not understood", hint);
    };
    let shown = Wall::from_unix_seconds(end).rfc3339();
    let now = clock::system_wall().unix_seconds();
    if end <= now {
        return Finding::bad(
            what,
            format!("it ended at {shown}: the hub lets this device in no more"),
            hint,
        );
    }
    if end - now < SOON_SECONDS {
        return Finding::warn(what, format!("it ends at {shown}"), hint);
    }
    Finding::ok(what, format!("until {shown}"))
}

/// Each feature that is on, off or broken; a session that should stand and does not is bad.
fn features(status: &Value) -> Vec<Finding> {
    let runs = status["running"] == true;
    let registered = !status["registered"].is_null();
    let each = status["features"].as_array().into_iter().flatten().filter_map(|feature| {
        let name = text(feature, "name");
        let what = match name {
            "ddns" => "ddns",
            "link" => "session",
            _ => "feature",
        };
        let summary = match text(feature, "summary") {
            "" => text(feature, "state"),
            summary => summary,
        };
        let hint = format!("qcloud-agent {name} status");
        match text(feature, "state") {
            "broken" => Some(Finding::bad(what, format!("{name} is broken: {summary}"), &hint)),
            "on" if name == "link" && runs && registered && feature["facts"]["up"] != true => {
                Some(Finding::bad(what, format!("{name}: {summary}"), &hint))
            }
            state @ ("on" | "off" | "leaving") => {
                let told = if state == "on" { summary } else { state };
                Some(Finding::ok(what, format!("{name}: {told}")))
            }
            _ => None,
        }
    });
    each.collect()
}
