//! What `doctor` asks the running daemon: facts it has at hand. Nothing is sent, opened or written for them.

use super::run::Agent;
use crate::clock::{self, Now};
use crate::egress::ledger::Line;
use crate::egress::permit::Target;
use crate::identity::validity;
use serde_json::{Value, json};

/// The facts.
pub(super) fn examine(agent: &Agent, now: Now) -> Value {
    let membership = agent.supervisor().household().membership.as_ref();
    let end = membership.and_then(|(member, _)| validity::ends(&member.certificate));
    json!({
        "pid": std::process::id(),
        "standing": agent.standing().facts(),
        "clock": { "trusted": now.wall, "system": clock::system_wall() },
        "name_servers": agent.world().name_servers(),
        "known_hosts": agent.world().known_hosts(),
        "certificate_ends": end,
        "lookup": last(agent, |line| line.parcel == crate::wire::lookup::LOOKUP.id),
        "contact": membership.and_then(|(_, hub)| {
            let hub = Target { host: hub.host.clone(), port: hub.port }.to_string();
            // A flow that was let begin has not been answered yet.
            last(agent, |line| line.dest == hub && line.result != "open")
        }),
    })
}

/// The newest line of a kind, as far as the daemon still has it.
fn last(agent: &Agent, is: impl Fn(&Line) -> bool) -> Option<Value> {
    agent.gate().with_ledger(|ledger| {
        let lines = ledger.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let line = lines.filter(|line| is(line)).last()?;
        Some(json!({ "at": line.t, "parcel": line.parcel, "to": line.dest, "result": line.result }))
    })
}
