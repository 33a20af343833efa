//! What stands before an agent runs: whose key it has, and the gate over the ledger of its last life.

use super::household::Household;
use super::records::Records;
use super::run::error_chain;
use crate::clock::{Clock, Wall};
use crate::egress::gate::Gate;
use crate::egress::ledger::Ledger;
use crate::identity::Identity;
use crate::state::StateError;
use crate::wire::registration::Membership;

/// Makes the key that the membership's certificate was made for the device's.
pub(super) fn settle(identity: &Identity, membership: Option<&Membership>) {
    if let Err(error) =
        identity.settle(membership.map(|membership| membership.certificate.as_str()))
    {
        tracing::warn!(why = error_chain(&error), "a key that was replaced could not be removed");
    }
}

/// The gate, with the ledger as it stands on the disk.
///
/// # Errors
/// Those of the state directory.
pub(super) fn gate_of(
    household: &Household,
    identity: &Identity,
    clock: &Clock,
    records: &Records,
) -> Result<Gate, StateError> {
    let mut ledger = Ledger::new(records.ledger_head(household)?, identity.ledger_key());
    let is_new = household.last_good == Wall::default();
    if !is_new && !household.stopped {
        ledger.append_gap(
            "the agent did not stop in an orderly way: lines of that run may be missing here",
            clock.now().wall,
        );
    }
    let gate = Gate::new(clock.clone(), ledger);
    let records = records.clone();
    gate.set_keep(Box::new(move |lines| records.keep_first(lines)));
    Ok(gate)
}
