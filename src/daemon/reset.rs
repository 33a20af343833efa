//! Factory reset: the hub erases this device, then key and state go, and the box starts as a new one.
//!
//! The wish is in the household before anything else is done. The key stays until the hub's receipt, which only
//! this key can demand. A firmware that has no way to run a command leaves a file in the state directory.

use super::run::Agent;
use crate::card::{Exit, Switch};
use crate::clock::Now;
use crate::daemon::erasure::By;
use crate::daemon::feature::{Answer, Asker};
use crate::daemon::supervisor::{Command, Supervisor};
use serde_json::json;
use std::path::Path;

/// The file that asks for a reset at the next start.
pub const MARKER: &str = "factory-reset";

/// Whether the firmware left its marker, which is taken away with [`unmark`] once the wish is on disk.
pub(super) fn is_marked(state_dir: Option<&Path>) -> bool {
    state_dir.is_some_and(|dir| dir.join(MARKER).symlink_metadata().is_ok())
}

/// Takes the marker away.
pub(super) fn unmark(state_dir: Option<&Path>) {
    if let Some(path) = state_dir.map(|dir| dir.join(MARKER))
        && let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "the marker of the reset is still there");
    }
}

/// A person asks for it; the answer comes with the hub's receipt, or says that it is owed.
pub(super) fn ask(agent: &mut Agent, asker: Asker, args: &serde_json::Value, now: Now) {
    if args.get("yes").and_then(serde_json::Value::as_bool) != Some(true) {
        let text = "a reset erases key and state of this device\nhint: qcloud-agent reset --yes";
        return agent.supervisor_mut().tell_asker(asker, Answer::failed(Exit::Usage, text));
    }
    agent.supervisor_mut().begin_reset(Some(asker), now);
}

impl Supervisor {
    /// Notes the wish, and takes the device back from its hub.
    pub(super) fn begin_reset(&mut self, asker: Option<Asker>, now: Now) {
        self.household.reset = true;
        self.save();
        let place = self
            .rows
            .iter()
            .map(|row| row.card)
            .find(|card| card.switch == Switch::Always && card.forget.is_some());
        match (place, asker) {
            (Some(card), _) if self.household.membership.is_some() && !self.is_leaving() => {
                self.switch_off(card.name, asker.map_or(By::Configuration, By::Person), now);
            }
            (_, Some(asker)) if self.is_reset_due() => {
                let text = "key and state are removed; this is a new device now";
                self.tell_asker(asker, Answer::done(text, json!({ "reset": true })));
            }
            (_, Some(asker)) => {
                let text = "the reset waits for the hub's receipt\nhint: qcloud-agent status";
                self.tell_asker(asker, Answer::failed(Exit::Partial, text));
            }
            (_, None) => {}
        }
        self.settle(now);
    }

    /// Whether everything may go now: no hub holds anything of this device any more, or ever did.
    pub(super) fn is_reset_due(&self) -> bool {
        let owed = !self.household.owed.is_empty() || self.household.membership.is_some();
        self.household.reset && !owed
    }

    pub(super) fn tell_asker(&mut self, asker: Asker, answer: Answer) {
        self.commands.push(Command::Answer(asker, answer));
    }
}
