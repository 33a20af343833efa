//! What `status` tells: typed facts, gathered from the features and the house.

use super::feature::{Depth, Section};
use super::household::KeptReceipt;
use super::supervisor::Supervisor;
use crate::card::{Parcel, Switch};
use crate::clock::Now;
use crate::egress::consent::Consent;
use crate::wire::Body;
use crate::wire::registration::Operator;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The whole of `status --json`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The device id.
    pub device: String,
    /// Whether the agent runs; the rest is then what it would do.
    pub running: bool,
    /// Where it is registered: `NAME at HOST`, or nothing.
    pub registered: Option<Registered>,
    /// Each feature, in the order of the list.
    pub features: Vec<FeatureStatus>,
    /// What the owner should know.
    pub warnings: Vec<WarningStatus>,
    /// Erasures the hub has not confirmed.
    pub owed: Vec<String>,
    /// The hub's signed words that something was erased, the newest last.
    pub receipts: Vec<ReceiptStatus>,
    /// What the owner does not let leave: parcels, and optional fields of parcels.
    pub denied: Vec<String>,
    /// Every parcel that needs consent, and how that stands.
    pub consents: Vec<ConsentStatus>,
    /// What the agent is waiting for next.
    pub next: Option<NextWake>,
    /// How many lines the ledger has.
    pub ledger_lines: u64,
}

/// A place at a hub.
#[derive(Debug, Serialize)]
pub struct Registered {
    /// The device's name there.
    pub name: String,
    /// The zone of its names.
    pub zone: String,
    /// The hub.
    pub hub: String,
    /// Who runs it, as far as it told.
    pub operator: Option<Operator>,
}

/// One feature.
#[derive(Debug, Serialize)]
pub struct FeatureStatus {
    /// Its name.
    pub name: &'static str,
    /// `on`, `off`, `ready` (always there), `broken` or `leaving`.
    pub state: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// Whether the hub keeps its data without using it, at the owner's wish.
    pub restricted: bool,
    /// What it says of itself.
    #[serde(flatten)]
    pub section: Section,
}

/// One parcel that needs consent.
#[derive(Debug, Serialize)]
pub struct ConsentStatus {
    /// The parcel.
    pub parcel: &'static str,
    /// What it is.
    pub what: &'static str,
    /// `given`, `missing`, or `lapsed`: given to something that has changed since.
    pub state: &'static str,
    /// The record of the yes.
    pub consent: Option<Consent>,
}

/// One receipt that the hub signed, and this device verified.
#[derive(Debug, Serialize)]
pub struct ReceiptStatus {
    /// What was erased; `registration` means everything.
    pub feature: String,
    /// When, by the hub's clock: RFC 3339.
    pub erased_at: String,
    /// How many rows.
    pub rows: u64,
    /// As the hub signed it.
    pub document: String,
    /// The key it verifies under, base64url.
    pub key: String,
}

/// One warning.
#[derive(Debug, Serialize)]
pub struct WarningStatus {
    /// Its code.
    pub code: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its details.
    pub details: String,
    /// A command that helps.
    pub hint: &'static str,
}

/// The next deadline.
#[derive(Debug, Serialize)]
pub struct NextWake {
    /// In how many seconds.
    pub seconds: u64,
    /// For which feature.
    pub feature: &'static str,
    /// Why.
    pub why: &'static str,
}

impl ReceiptStatus {
    fn of(kept: &KeptReceipt) -> Self {
        Self {
            feature: kept.receipt.feature.clone(),
            erased_at: kept.receipt.erased_at.rfc3339(),
            rows: kept.receipt.rows.values().fold(0, |sum: u64, rows| sum.saturating_add(*rows)),
            document: kept.document.clone(),
            key: kept.key.clone(),
        }
    }
}

impl Supervisor {
    /// Gathers the status.
    pub fn status(&self, now: Now) -> Status {
        Status {
            device: self.device().to_owned(),
            running: self.started,
            registered: self.household.membership.as_ref().filter(|_| !self.is_leaving()).map(
                |(m, hub)| Registered {
                    name: m.name.to_string(),
                    zone: m.zone.clone(),
                    hub: format!("{}:{}", hub.host, hub.port),
                    operator: m.operator.clone(),
                },
            ),
            features: self.rows.iter().map(|row| self.feature_status(row.card)).collect(),
            warnings: self
                .warnings
                .values()
                .map(|(w, details)| WarningStatus {
                    code: w.code,
                    title: w.title,
                    details: details.clone(),
                    hint: w.hint,
                })
                .collect(),
            owed: self.household.owed.iter().map(|owed| owed.feature.clone()).collect(),
            receipts: self.household.receipts.iter().map(ReceiptStatus::of).collect(),
            denied: self.household.denied.iter().map(String::from).collect(),
            consents: self.consent_status(),
            next: self.next_wake().map(|(at, feature, why)| NextWake {
                seconds: (at - now.boot).as_secs(),
                feature,
                why,
            }),
            ledger_lines: self.gate.with_ledger(|ledger| ledger.head().seq),
        }
    }

    fn consent_status(&self) -> Vec<ConsentStatus> {
        let consents = &self.household.consents;
        let status = |parcel: &'static Parcel| ConsentStatus {
            parcel: parcel.id,
            what: parcel.what,
            state: match (consents.covering(parcel), consents.given(parcel)) {
                (Some(_), _) => "given",
                (None, Some(_)) => "lapsed",
                (None, None) => "missing",
            },
            consent: consents.given(parcel).cloned(),
        };
        self.parcels().into_iter().filter(|p| p.purpose.needs_consent()).map(status).collect()
    }

    /// The body that a live feature would send next for a parcel.
    pub fn preview(&self, parcel: &Parcel) -> Option<Body> {
        let live = self.live.get(parcel.feature())?;
        catch_unwind(AssertUnwindSafe(|| live.feature.preview(parcel))).ok()?
    }

    /// Finds a declared parcel by its id.
    pub fn parcel(&self, id: &str) -> Option<&'static Parcel> {
        self.rows.iter().find_map(|row| row.card.parcel(id))
    }

    fn feature_status(&self, card: &'static crate::card::Card) -> FeatureStatus {
        let mut section = Section::default();
        let state = match self.live.get(card.name) {
            Some(live) => {
                let told = catch_unwind(AssertUnwindSafe(|| {
                    live.feature.report(Depth::Server, &mut section);
                }));
                match (told, card.switch) {
                    (Err(_), _) => "broken",
                    (Ok(()), Switch::Always) => "ready",
                    (Ok(()), Switch::OnOff) => "on",
                }
            }
            None if self.broken.contains_key(card.name) => "broken",
            None if self.erasures.has(card.name) => "leaving",
            None if self.is_on(card) && self.started => "broken",
            None if card.switch == Switch::Always => "ready",
            None if self.is_on(card) => "on",
            None => "off",
        };
        let restricted = self.household.restricted.contains(card.name);
        FeatureStatus { name: card.name, state, promise: card.promise, restricted, section }
    }
}
