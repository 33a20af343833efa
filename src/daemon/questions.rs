//! What the agent can be asked, by the house's own verbs and by who runs it.

use super::feature::Answer;
use super::run::{Agent, RunError};
use super::start::Standing;
use super::status::Status;
use super::supervisor::Supervisor;
use super::world::World;
use crate::egress::gate::Gate;
use crate::egress::reconcile::Baseline;
use crate::wire::link::Hello;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

impl Agent {
    /// Gives this device its identity for good, if it has none yet: its key is put on the disk.
    ///
    /// # Errors
    /// [`RunError::State`].
    pub fn keep_identity(&self) -> Result<(), RunError> {
        Ok(self.parts.identity.keep()?)
    }

    /// Keeps a journal of panics and fatal signals below this directory, from here on.
    pub fn keep_journal(&self, dir: &std::path::Path) {
        if let Err(error) = super::journal::keep(dir, &self.clock, &self.supervisor.tape) {
            tracing::warn!(%error, "a crash of this agent would leave no trace");
        }
    }

    /// Whether the key is on the disk.
    pub fn has_identity(&self) -> bool {
        self.parts.identity.is_kept()
    }

    /// The first words of the next session.
    pub(super) fn hello(&self) -> Hello {
        self.parts.identity.hello()
    }

    /// Every line in RAM, and what vouches for the chain: the signed head and the key that signed it.
    pub fn ledger(&self) -> serde_json::Value {
        let lines: Vec<String> =
            self.gate.with_ledger(|ledger| ledger.lines().map(String::from).collect());
        let head = &self.supervisor.household().signed_head;
        let place = self.supervisor.household().membership.as_ref();
        let certificate = place.map_or("", |(membership, _)| &membership.certificate);
        let key = self.parts.identity.key_of(certificate);
        let key = BASE64URL_NOPAD.encode(key.public_key());
        serde_json::json!({ "lines": lines, "signed_head": head, "key": key })
    }

    /// What `status` shows of an agent that does not run.
    pub fn status(&mut self) -> Status {
        self.supervisor.check_consents();
        self.supervisor.status(self.clock.now())
    }

    pub(super) const fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    pub(super) fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref()
    }

    pub(super) fn is_own(&self, ip: core::net::IpAddr) -> bool {
        self.world.is_own(ip)
    }

    pub(super) fn supervisor_mut(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }

    /// Takes a decision of the owner on an agent that does not run: it is on disk when this returns, and nothing
    /// is opened or sent.
    pub fn decide_stopped(&mut self, verb: &str, args: &Value, uid: u32) -> Answer {
        let now = self.clock.now();
        let answer = super::house::answer(self, verb, args, uid, now);
        self.save(true);
        if let Some(unsaved) = self.saving.unsaved() {
            let text =
                format!("the decision was not saved: {}\nhint: qcloud-agent doctor", unsaved.why);
            return Answer::failed(unsaved.exit, text);
        }
        answer
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }
}
