//! Two boxes with one identity: what the house does when this may be the copy, and how it becomes a device of its own.

use super::erasure::Erasures;
use super::feature::{Answer, Event};
use super::household::Household;
use super::supervisor::{Command, Supervisor, target};
use crate::card::{Exit, Warning};
use crate::clock::Now;
use crate::identity::{Identity, IdentityError};
use std::sync::Arc;

/// Raised while the key is not used.
pub static SUSPECTED: Warning = Warning {
    code: "daemon-board",
    title: "Clone suspected: this is another board than this device's identity was made on, so nothing is sent with it",
    hint: "qcloud-agent register --fork",
};

/// What the owner is told to do, by whoever cannot go on.
pub const WAYS: &str =
    "hint: qcloud-agent register --fork, or `register --keep` if only the mainboard was changed";

/// A power cut may have come between a new key and the household: the place at the hub is that of the old key then.
pub(super) fn settle_owner(household: &mut Household, identity: &Identity) {
    let Some((membership, hub)) = &household.membership else { return };
    let foreign = identity.hub_tls(hub.pin.as_ref(), Some(membership));
    if matches!(foreign, Err(IdentityError::ForeignCertificate)) {
        tracing::warn!(
            "the place at the hub belongs to another key than this device's; it is left"
        );
        household.begin_anew();
    }
}

impl Supervisor {
    /// Does not use the key from the start on: so many facts of the board are different.
    pub fn suspect(&mut self, differing: &[&str]) {
        let why = format!(
            "the {} differ; `qcloud-agent register --keep` if it is the same box all the same",
            differing.join(" and the ")
        );
        self.warn(&SUSPECTED, Some(why.clone()));
        self.suspected = Some(why);
    }

    /// The answer to everything that needs the key, while it is not used.
    pub(super) fn not_with_this_key(&self, feature: &str, verb: &str) -> Option<Answer> {
        let why =
            self.suspected.as_ref().filter(|_| (feature, verb) != ("registration", "register"));
        let text = format!("clone suspected: {}\n{WAYS}", why?);
        Some(Answer::failed(Exit::Failed, text))
    }

    /// Takes this device's place at its hub, and up what is owed there.
    pub(super) fn take_place(&mut self, now: Now) {
        if let Some((membership, hub)) = self.household.membership.clone() {
            self.gate.set_hub(Some(target(&hub)));
            self.commands.push(Command::Hub(Some(hub), Some(Arc::new(membership))));
        }
        self.settle_switches(now);
        self.resume_erasures(now);
    }

    /// The board is right after all.
    pub(super) fn same_board(&mut self, now: Now) {
        self.suspected = None;
        self.warn(&SUSPECTED, None);
        self.take_place(now);
        if let Some((membership, hub)) = self.household.membership.clone() {
            self.announce(Event::Registered(Arc::new(membership), hub), now);
        }
    }

    /// Another key, another device. The hub erases nothing: what it holds is the other box's.
    pub(super) fn begin_anew(&mut self, device: &str, now: Now) {
        self.set_key(device);
        self.suspected = None;
        self.warn(&SUSPECTED, None);
        let owed = core::mem::take(&mut self.erasures);
        for (feature, asker) in Erasures::askers(owed) {
            let text = format!("{feature} is off; what the hub holds of it is another box's now");
            let answer = Answer::failed(Exit::Failed, text);
            self.commands.push(Command::Answer(asker, answer));
        }
        self.household.begin_anew();
        // One that is set aside does not hear of it.
        self.household.saved.retain(|name, _| !self.broken.contains_key(name.as_str()));
        self.announce(Event::Unregistered, now);
        self.save();
    }
}
