//! Owed erasures: what was switched off is erased at the hub, today or whenever the hub is back.
//!
//! The demand is on disk before its first try, and stays until the hub's signed receipt verified. A
//! feature's own code is not needed for it: the body comes from what was saved.

use super::feature::{Answer, Asker, Event, Opening};
use super::household::{KeptReceipt, Owed};
use super::supervisor::{Command, Origin, Supervisor};
use crate::card::{Card, Exit, Switch};
use crate::clock::{Boot, Now};
use crate::egress::backoff::Backoff;
use crate::egress::outside::{Reply, SendError};
use crate::wire::Body;
use crate::wire::label::printable;
use crate::wire::receipt::{self, Demand, Forgotten, Kept, Receipt};
use core::time::Duration;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// First and longest wait between two tries. The issue of a hub that was down a day is settled within a
/// minute of its return.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(60);
/// Characters that are shown of what the hub keeps, and of why.
const LONGEST_KEPT: usize = 200;

/// The erasures under way, in RAM; what they demand is in the household.
#[derive(Default)]
pub(super) struct Erasures {
    tries: Vec<Try>,
}

struct Try {
    feature: &'static str,
    nonce: String,
    at: Option<Boot>,
    backoff: Backoff,
    asker: Option<Asker>,
    /// When it was tried last.
    tried: Option<Boot>,
}

impl Erasures {
    pub(super) fn has(&self, feature: &str) -> bool {
        self.tries.iter().any(|t| t.feature == feature)
    }

    /// A try whose answer has not come yet has no time.
    pub(super) fn is_in_flight(&self, feature: &str) -> bool {
        self.tries.iter().any(|t| t.feature == feature && t.at.is_none())
    }

    pub(super) fn next_wake(&self) -> Option<Boot> {
        self.tries.iter().filter_map(|t| t.at).min()
    }

    /// Those who wait for an answer.
    pub(super) fn askers(self) -> impl Iterator<Item = (&'static str, Asker)> {
        self.tries.into_iter().filter_map(|t| Some((t.feature, t.asker?)))
    }

    fn add(&mut self, feature: &'static str, nonce: String, asker: Option<Asker>, now: Now) {
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        self.tries.push(Try { feature, nonce, at: Some(now.boot), backoff, asker, tried: None });
    }
}

/// Who switches something off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A person, whose word wins over the configuration from then on.
    Person(Asker),
    /// The configuration, whose next word counts again.
    Configuration,
}

/// Why a receipt did not settle a demand.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the hub says it erased, but {0}")]
    Receipt(#[from] receipt::BadReceipt),
    #[error("this device no longer knows its hub's receipt key")]
    NoKey,
}

impl Supervisor {
    /// Whether this device is leaving its hub.
    pub(super) fn is_leaving(&self) -> bool {
        self.rows
            .iter()
            .any(|row| row.card.switch == Switch::Always && self.erasures.has(row.card.name))
    }

    /// Switches a feature off and has the hub forget it. The asker hears when the receipt is there, or
    /// when the first try failed.
    pub(super) fn switch_off(&mut self, name: &'static str, by: By, now: Now) {
        let Some(row) = self.row(name) else { return };
        let asker = match by {
            By::Person(asker) => Some(asker),
            By::Configuration => None,
        };
        if asker.is_some() {
            self.household.switches.insert(name.into(), false);
        }
        self.household.open.remove(name);
        self.close(name, now);
        // One that could not be opened was never at the gate; its demand must pass all the same.
        self.gate.open(row.card);
        self.gate.close(name);
        if row.card.switch == Switch::Always {
            self.leave_all(now);
        }
        let nonce = self.nonce(name, now);
        let body = self.forget_body(name, &nonce).filter(|_| self.household.membership.is_some());
        if let Some(body) = body {
            self.household.owed.push(Owed {
                feature: name.into(),
                nonce: nonce.clone(),
                body: body.json().clone(),
                since: now.wall,
            });
            self.erasures.add(name, nonce, asker, now);
        } else if let Some(asker) = asker {
            let text = format!("{name} is off; the hub holds nothing of it");
            self.commands
                .push(Command::Answer(asker, Answer::done(text, serde_json::json!({"off": name}))));
        }
        self.household.saved.remove(name);
        self.save();
        self.retry_erasures(now);
    }

    /// Notes that a feature with a switch is open, for the day it no longer is.
    pub(super) fn note_open(&mut self, card: &Card) {
        if card.switch == Switch::OnOff && self.household.open.insert(card.name.into()) {
            self.save();
        }
    }

    /// What the configuration switched while the agent did not run: off is erased at the hub, and on
    /// keeps what was to be erased.
    pub(super) fn settle_switches(&mut self, now: Now) {
        for row in self.rows.iter().filter(|row| row.card.switch == Switch::OnOff) {
            let name = row.card.name;
            if self.is_on(row.card) {
                self.waive_erasure(name);
            } else if self.household.open.contains(name) {
                self.switch_off(name, By::Configuration, now);
            }
        }
    }

    /// Takes up the erasures that were owed before a restart.
    pub(super) fn resume_erasures(&mut self, now: Now) {
        if crate::sabotage::off("erasure-owed") {
            return;
        }
        let taken_up =
            |erasures: &Erasures, nonce: &str| erasures.tries.iter().any(|t| t.nonce == nonce);
        for owed in self.household.owed.clone() {
            if taken_up(&self.erasures, &owed.nonce) {
                continue;
            }
            if let Some(row) = self.row(&owed.feature) {
                self.gate.open(row.card);
                self.gate.close(row.card.name);
                self.erasures.add(row.card.name, owed.nonce, None, now);
            }
        }
        self.retry_erasures(now);
    }

    /// The line, or the clock, may be another one: what is owed is tried now, and no demand twice within
    /// [`RETRY_FIRST`].
    pub(super) fn hurry_erasures(&mut self, now: Now) {
        for attempt in &mut self.erasures.tries {
            let earliest = attempt.tried.map_or(now.boot, |at| at + RETRY_FIRST);
            attempt.at = attempt.at.map(|at| at.min(earliest.max(now.boot)));
        }
        self.retry_erasures(now);
    }

    /// Sends every demand whose time has come.
    pub(super) fn retry_erasures(&mut self, now: Now) {
        let due = |t: &&mut Try| t.at.is_some_and(|at| at <= now.boot);
        let mut failed = Vec::new();
        for attempt in self.erasures.tries.iter_mut().filter(due) {
            attempt.at = None;
            attempt.tried = Some(now.boot);
            let owed = self.household.owed.iter().find(|owed| owed.nonce == attempt.nonce);
            let row = self.rows.iter().find(|row| row.card.name == attempt.feature);
            let (Some(owed), Some(parcel)) = (owed, row.and_then(|row| row.card.forget)) else {
                continue;
            };
            let body = Body::restored(parcel, owed.body.clone());
            match self.gate.pass(attempt.feature, &body) {
                Ok(permit) => {
                    let origin = Origin::Erasure(attempt.nonce.clone());
                    self.commands.push(Command::Carry(origin, Box::new(permit)));
                }
                Err(refused) => failed.push((attempt.nonce.clone(), refused)),
            }
        }
        for (nonce, refused) in failed {
            self.erasure_replied(&nonce, Err(refused.into()), now);
        }
    }

    /// The hub answered a demand, or did not.
    pub(super) fn erasure_replied(
        &mut self,
        nonce: &str,
        result: Result<Reply, SendError>,
        now: Now,
    ) {
        let Some(index) = self.erasures.tries.iter().position(|t| t.nonce == nonce) else { return };
        let feature = self.erasures.tries[index].feature;
        match self.settle_demand(feature, nonce, result) {
            Ok(kept) => {
                let asker = self.erasures.tries.remove(index).asker;
                self.household.owed.retain(|owed| owed.nonce != nonce);
                self.household.keep_receipt(kept.clone());
                self.household.restrict(feature, false);
                self.save();
                if let Some(asker) = asker {
                    self.commands.push(Command::Answer(asker, erased(&kept)));
                }
                self.after_erasure(feature, now);
            }
            Err(why) => {
                let attempt = &mut self.erasures.tries[index];
                attempt.at = Some(now.boot + attempt.backoff.fail(now, None));
                tracing::warn!(feature, %why, "an erasure at the hub is still owed");
                if let Some(asker) = attempt.asker.take() {
                    let text = format!(
                        "{feature} is off, but the hub has not erased its part yet: {why}\nhint: it is tried again by itself; see `qcloud-agent status`"
                    );
                    let mut answer = Answer::failed(Exit::Partial, text);
                    answer.json["owed"] = feature.into();
                    self.commands.push(Command::Answer(asker, answer));
                }
            }
        }
    }

    /// Drops an owed erasure because its feature is being switched on again and needs the data.
    pub(super) fn waive_erasure(&mut self, feature: &str) {
        self.erasures.tries.retain(|t| t.feature != feature);
        self.household.owed.retain(|owed| owed.feature != feature);
    }

    fn settle_demand(
        &self,
        feature: &str,
        nonce: &str,
        result: Result<Reply, SendError>,
    ) -> Result<KeptReceipt, Unsettled> {
        let Forgotten { receipt: document } = result?.read()?;
        let (membership, _) = self.household.membership.as_ref().ok_or(Unsettled::NoKey)?;
        let key = BASE64URL_NOPAD.decode(membership.receipt_key.as_bytes());
        let key = key.map_err(|_| Unsettled::NoKey)?;
        let demand = Demand { device: self.device(), feature, nonce };
        let receipt = receipt::verify(&document, &key, demand)?;
        Ok(KeptReceipt { receipt, document, key: membership.receipt_key.clone() })
    }

    /// A registration that was erased leaves a device that can register anew; every other erasure is complete.
    fn after_erasure(&mut self, feature: &'static str, now: Now) {
        let Some(row) = self.row(feature) else { return };
        if row.card.switch != Switch::Always {
            return;
        }
        // The hub forgot the whole device; what else was owed went with it.
        self.household.owed.clear();
        for Try { feature, asker, .. } in core::mem::take(&mut self.erasures).tries {
            if let Some(asker) = asker {
                let text = format!("{feature} is off; the hub erased it with the whole device");
                let answer = Answer::done(text, serde_json::json!({ "off": feature }));
                self.commands.push(Command::Answer(asker, answer));
            }
        }
        // One that is set aside did not hear of it, and would take the old hub's word for the next one's.
        self.household.saved.retain(|name, _| !self.broken.contains_key(name.as_str()));
        self.announce(Event::Unregistered, now);
        for live in self.live.values() {
            self.gate.open(live.card);
        }
        self.open(row, now);
        self.save();
    }

    /// Leaving the hub stops every feature's use of it at once, long before the hub may have answered.
    fn leave_all(&mut self, now: Now) {
        let names: Vec<_> = self.live.keys().copied().collect();
        for name in names {
            self.tell(name, Event::Unregistered);
            self.settle(now);
            self.gate.close(name);
        }
    }

    pub(super) fn why_opened(&self, card: &Card) -> Opening {
        let left = self.household.switches.get(card.name) == Some(&false);
        match (card.switch, self.starting) {
            (Switch::Always, _) if left => Opening::Left,
            (_, true) => Opening::Started,
            (_, false) => Opening::Wanted,
        }
    }

    /// Forgets that the owner once left a hub.
    pub(super) fn come_back(&mut self) {
        let always = self.rows.iter().filter(|row| row.card.switch == Switch::Always);
        for row in always {
            self.household.switches.remove(row.card.name);
        }
    }

    fn forget_body(&self, name: &str, nonce: &str) -> Option<Body> {
        let row = self.row(name)?;
        let (config, saved) = (self.section(name), self.saved(name));
        catch_unwind(AssertUnwindSafe(|| (row.forget)(&config, &saved, nonce))).ok()?
    }

    fn nonce(&self, feature: &str, now: Now) -> String {
        let seed = format!("{}|{feature}|{}|{:?}", self.device(), now.dice, now.wall);
        let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
        BASE32_NOPAD.encode(digest.as_ref()).chars().take(26).collect()
    }
}

fn erased(kept: &KeptReceipt) -> Answer {
    let Receipt { feature, rows, erased_at, kept: stays, .. } = &kept.receipt;
    // The hub signed for these numbers; that makes them its own, not small.
    let total = rows.values().fold(0, |sum: u64, rows| sum.saturating_add(*rows));
    let mut text = format!(
        "{feature} is off; the hub erased {total} rows at {} and signed for it",
        erased_at.rfc3339()
    );
    for Kept { what, why, until } in stays {
        let (what, why) = (printable(what, LONGEST_KEPT), printable(why, LONGEST_KEPT));
        text += &format!("\nkept until {}: {what} ({why})", until.rfc3339());
    }
    let json =
        serde_json::json!({"off": feature, "receipt": kept.receipt, "document": kept.document});
    Answer::done(text, json)
}
