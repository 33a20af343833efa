//! What a person asks of the daemon itself: status, the ledger, a preview, and decisions on what may leave.

use super::feature::{Answer, HubAddress};
use super::run::Agent;
use crate::card::Exit;
use crate::clock::Now;
use crate::egress::permit::Target;
use crate::egress::reconcile;
use crate::platform::traffic;
use crate::wire::Body;
use crate::wire::link::SESSION;
use serde_json::{Value, json};

/// Answers one question to the daemon itself.
pub(super) fn answer(agent: &mut Agent, verb: &str, args: &Value, uid: u32, now: Now) -> Answer {
    let arg = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    match verb {
        "deny" => agent.supervisor_mut().deny(arg("part"), now),
        "allow" => agent.supervisor_mut().allow(arg("part"), now),
        "consent" => agent.supervisor_mut().give_consent(arg("parcel"), &format!("uid {uid}"), now),
        "withdraw" => agent.supervisor_mut().withdraw_consent(arg("parcel"), now),
        "status" => {
            let status = agent.supervisor().status(now);
            let mut status = serde_json::to_value(status).unwrap_or_default();
            status["agent"] = agent.standing().facts();
            Answer::done("", status)
        }
        // Puts every line on disk; the asker reads it there, or here what a device without a disk has.
        "checkpoint" => {
            agent.save(false);
            Answer::done("", agent.ledger())
        }
        "show" => {
            let seq = args.get("seq").and_then(Value::as_str).and_then(|seq| seq.parse().ok());
            let (line, body) = agent.gate().with_ledger(|ledger| {
                let seq = seq.unwrap_or_default();
                let body = ledger.body(seq).map(|body| String::from_utf8_lossy(body).into_owned());
                (ledger.line(seq).map(String::from), body)
            });
            Answer::done("", json!({ "line": line, "body": body }))
        }
        "reconcile" => reconcile(agent),
        "tape" => Answer::done("", json!(agent.supervisor().tape.last(usize::MAX))),
        "examine" => Answer::done("", super::examine::examine(agent, now)),
        "preview" => {
            let id = arg("parcel");
            let supervisor = agent.supervisor();
            let hub = supervisor.household().membership.as_ref().map(|(_, hub)| authority(hub));
            let body = match supervisor.parcel(id) {
                // The house itself keeps the ticket. Before the first session the example shows where it will stand.
                Some(parcel) if *parcel == SESSION => {
                    Some(agent.hello()).filter(|hello| hello.ticket.is_some()).map(|h| Body::of(&h))
                }
                parcel => parcel.and_then(|parcel| supervisor.preview(parcel)),
            };
            let body = body.map(|body| body.parcel().masked(agent.gate().shaped(&body)));
            Answer::done("", json!({ "hub": hub, "body": body }))
        }
        _ => Answer::failed(Exit::Usage, format!("the agent does not know `{verb}`")),
    }
}

/// Both sides are read in one breath: what moves between the two readings is explained by neither.
fn reconcile(agent: &Agent) -> Answer {
    let Some(baseline) = agent.baseline() else {
        return Answer::failed(Exit::Failed, "the kernel's counters were not read at the start");
    };
    let totals = agent.gate().totals();
    match traffic::read() {
        Ok(now) => {
            let compared = reconcile::compare(&totals, baseline, &now, |ip| agent.is_own(ip));
            Answer::done("", serde_json::to_value(compared).unwrap_or_default())
        }
        Err(error) => {
            Answer::failed(Exit::Failed, format!("cannot read the kernel's counters: {error}"))
        }
    }
}

/// A hub as it stands in a URL and in the `host` header.
fn authority(hub: &HubAddress) -> String {
    let text = Target { host: hub.host.clone(), port: hub.port }.to_string();
    text.strip_suffix(":443").map(String::from).unwrap_or(text)
}
