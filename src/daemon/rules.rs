//! What the owner decides about single parcels: denied or allowed (promise C1), consent given or withdrawn
//! (promise R8). A decision stands at the gate before it is answered.

use super::feature::{Answer, Event};
use super::supervisor::Supervisor;
use crate::card::{Exit, Parcel, Warning};
use crate::clock::Now;
use crate::egress::catalogue;
use crate::egress::denied::{self, Part};
use crate::wire::label::printable;
use serde_json::json;

/// Raised while a consent was given to something that has changed since.
pub static CONSENT_LAPSED: Warning = Warning {
    code: "daemon-consent",
    title: "What you agreed to has changed, and does not leave until you agree again",
    hint: "qcloud-agent consent show",
};

impl Supervisor {
    /// Every parcel there is, the house's own among them.
    pub(super) fn parcels(&self) -> Vec<&'static Parcel> {
        let cards: Vec<_> = self.rows.iter().map(|row| row.card).collect();
        catalogue::parcels(&cards)
    }

    /// Lets a parcel, or an optional field of one, leave no more.
    pub fn deny(&mut self, word: &str, now: Now) -> Answer {
        let part = match denied::part(&self.parcels(), word) {
            Ok(part) => part,
            Err(why) => return Answer::failed(Exit::Usage, why.to_string()),
        };
        let forgets = |part: &Part| self.rows.iter().any(|r| r.card.forget == Some(part.parcel));
        if forgets(&part) {
            let text = format!(
                "{part} only takes your data back from the hub, and leaves when you ask for that\nhint: qcloud-agent privacy status"
            );
            return Answer::failed(Exit::Usage, text);
        }
        let text = if self.household.denied.deny(&part) {
            self.denials_changed(&part, now);
            format!("{part} does not leave any more\nundo: qcloud-agent privacy allow {part}")
        } else {
            format!("{part} is denied already")
        };
        Answer::done(text, json!({ "denied": part.to_string() }))
    }

    /// Lets a parcel or a field leave again.
    pub fn allow(&mut self, word: &str, now: Now) -> Answer {
        let part = match denied::part(&self.parcels(), word) {
            Ok(part) => part,
            Err(why) => return Answer::failed(Exit::Usage, why.to_string()),
        };
        let text = if self.household.denied.allow(&part) {
            self.denials_changed(&part, now);
            format!("{part} may leave again")
        } else {
            format!("{part} is not denied")
        };
        Answer::done(text, json!({ "allowed": part.to_string() }))
    }

    fn denials_changed(&mut self, part: &Part, now: Now) {
        self.gate.set_denied(self.household.denied.clone());
        self.rules_changed(part.parcel, now);
    }

    /// Tells those concerned; a parcel of the house itself concerns every feature.
    fn rules_changed(&mut self, parcel: &'static Parcel, now: Now) {
        self.save();
        let owner = self.live.keys().copied().find(|name| *name == parcel.feature());
        let everybody = owner.is_none() && self.row(parcel.feature()).is_none();
        let concerned: Vec<_> = match owner {
            Some(owner) => vec![owner],
            None => self.live.keys().copied().filter(|_| everybody).collect(),
        };
        for name in concerned {
            self.tell(name, Event::RulesChanged(name));
        }
        self.settle(now);
    }

    /// Records the owner's yes. `actor` is who said it, as the control socket knows them.
    pub fn give_consent(&mut self, id: &str, actor: &str, now: Now) -> Answer {
        let parcel = match self.consent_parcel(id) {
            Ok(parcel) => parcel,
            Err(answer) => return answer,
        };
        self.household.consents.give(parcel, actor, now.wall);
        self.consents_changed(parcel, now);
        let given = self.household.consents.given(parcel);
        let text = format!(
            "{} may leave from here on\nundo: qcloud-agent consent withdraw {}",
            parcel.id, parcel.id
        );
        Answer::done(text, json!({ "given": parcel.id, "consent": given }))
    }

    /// Takes the owner's yes back; the very next send is refused, and what is under way is broken off.
    pub fn withdraw_consent(&mut self, id: &str, now: Now) -> Answer {
        let parcel = match self.consent_parcel(id) {
            Ok(parcel) => parcel,
            Err(answer) => return answer,
        };
        let text = if self.household.consents.withdraw(parcel) {
            self.consents_changed(parcel, now);
            format!("{} does not leave any more", parcel.id)
        } else {
            format!("there is no consent to {}", parcel.id)
        };
        Answer::done(text, json!({ "withdrawn": parcel.id }))
    }

    fn consents_changed(&mut self, parcel: &'static Parcel, now: Now) {
        self.gate.set_consents(self.household.consents.clone());
        self.check_consents();
        self.rules_changed(parcel, now);
    }

    fn consent_parcel(&self, id: &str) -> Result<&'static Parcel, Answer> {
        let found = self.parcels().into_iter().find(|parcel| parcel.id == id);
        let text = match found {
            Some(parcel) if parcel.purpose.needs_consent() => return Ok(parcel),
            Some(parcel) => format!(
                "{} needs no consent: its feature cannot do its work without it\nhint: qcloud-agent privacy deny {}",
                parcel.id, parcel.id
            ),
            None => format!(
                "nothing that leaves is called `{}`\nhint: qcloud-agent consent show",
                printable(id, 60)
            ),
        };
        Err(Answer::failed(Exit::Usage, text))
    }

    /// Asks again where a yes has lapsed.
    pub(super) fn check_consents(&mut self) {
        let consents = &self.household.consents;
        let lapsed = |p: &&'static Parcel| {
            p.purpose.needs_consent()
                && consents.given(p).is_some()
                && consents.covering(p).is_none()
        };
        let lapsed: Vec<_> = self.parcels().into_iter().filter(lapsed).map(|p| p.id).collect();
        let details = Some(lapsed.join(", ")).filter(|ids| !ids.is_empty());
        self.warn(&CONSENT_LAPSED, details);
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
