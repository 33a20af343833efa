//! The gate: judges every body against the cards, and is the only maker of a [`Permit`] and of a [`Passage`].

use super::budget::Bucket;
use super::consent::Consents;
use super::denied::Denied;
use super::ledger::{Draft, Ledger, Outcome};
use super::permit::{Entry, Meter, Passage, Permit, Target};
use super::totals::Totals;
use crate::card::{Card, Carriage, Destination, Parcel};
use crate::clock::{Boot, Clock};
use crate::wire::Body;
use crate::wire::lookup::{LOOKUP, Lookup};
use core::time::Duration;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// Why a body may not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its feature is switched off.
    #[error("{0} is off")]
    FeatureOff(&'static str),
    /// Its feature's card does not list the parcel.
    #[error("{0} does not declare the parcel {1}")]
    NotDeclared(&'static str, &'static str),
    /// The body has a field the parcel does not list.
    #[error("the parcel {0} does not declare the field `{1}`")]
    FieldNotDeclared(&'static str, String),
    /// The owner has not agreed to it, or to an older version of it.
    #[error("{0} needs the owner's consent")]
    NoConsent(&'static str),
    /// The owner does not let it leave.
    #[error("{0} is denied by the owner (qcloud-agent privacy allow {0})")]
    Denied(String),
    /// There is no hub to send it to.
    #[error("this device has no hub")]
    NoHub,
    /// The parcel is carried in another way.
    #[error("the parcel {0} does not go that way")]
    WrongWay(&'static str),
    /// Its feature has sent too much in too short a time.
    #[error("{feature} has used up what it may send; {} s until there is room", wait.as_secs())]
    OverBudget {
        /// The feature.
        feature: &'static str,
        /// Until when.
        wait: Duration,
    },
    /// Consent-gated bytes must be on record before they go, and the record cannot be written.
    #[error("{0} cannot be recorded first")]
    NotRecorded(&'static str),
}

/// The gate. Clones are handles to the same one.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

struct Inner {
    on: BTreeMap<&'static str, Open>,
    hub: Option<Target>,
    consents: Consents,
    denied: Denied,
    ledger: Ledger,
    /// Sums of the lines since the start.
    totals: Totals,
    /// Flows that go on.
    open: Vec<Going>,
    /// What came for flows whose lines were written already.
    late: Arc<Meter>,
    /// Writes the unsaved lines durably; absent on a device without a disk.
    keep: Option<Keep>,
}

/// Writes ledger lines durably before consent-gated bytes leave. Returns whether they are on disk.
pub type Keep = Box<dyn FnMut(&str) -> bool + Send>;

/// A flow that goes on; its line is written at its end.
struct Going {
    parcel: &'static str,
    proto: &'static str,
    meter: Weak<Meter>,
}

impl Going {
    fn goes_on(&self) -> bool {
        self.meter.upgrade().is_some_and(|meter| !meter.is_closed())
    }
}

struct Open {
    card: &'static Card,
    /// Only the forget parcel passes: the feature is off and its erasure is owed.
    closing: bool,
    bucket: Bucket,
    revoke: watch::Sender<bool>,
}

impl Gate {
    /// A gate with nothing switched on.
    pub fn new(clock: Clock, ledger: Ledger) -> Self {
        let inner = Inner {
            on: BTreeMap::new(),
            hub: None,
            consents: Consents::default(),
            denied: Denied::default(),
            ledger,
            totals: Totals::default(),
            open: Vec::new(),
            late: Arc::default(),
            keep: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)), clock }
    }

    /// Lets a feature's parcels pass from here on.
    pub fn open(&self, card: &'static Card) {
        let now = self.clock.now().boot;
        let mut inner = self.lock();
        // A feature that is opened again and again has no fresh budget each time.
        let bucket = inner.on.get(card.name).map_or(Bucket::full(now), |open| open.bucket);
        let open = Open { card, closing: false, bucket, revoke: watch::Sender::new(false) };
        inner.on.insert(card.name, open);
    }

    /// Takes back every passage of a feature; of its parcels only the forget parcel still passes.
    pub fn close(&self, feature: &'static str) {
        if let Some(open) = self.lock().on.get_mut(feature) {
            open.closing = true;
            open.revoke.send_replace(true);
        }
    }

    /// Says where the hub is, or that there is none; the latter takes back every passage.
    pub fn set_hub(&self, hub: Option<Target>) {
        let mut inner = self.lock();
        if hub != inner.hub {
            inner.revoke(|_| true);
        }
        inner.hub = hub;
    }

    /// Replaces what the owner has agreed to. A feature with a parcel that is no longer covered loses its
    /// passages.
    pub fn set_consents(&self, consents: Consents) {
        let mut inner = self.lock();
        let covered = core::mem::replace(&mut inner.consents, consents.clone());
        inner.revoke(|p| covered.covering(p).is_some() && consents.covering(p).is_none());
    }

    /// Replaces what the owner does not let leave. A feature with a parcel that is newly denied loses its
    /// passages.
    pub fn set_denied(&self, denied: Denied) {
        let mut inner = self.lock();
        let before = core::mem::replace(&mut inner.denied, denied.clone());
        inner.revoke(|p| denied.parcel(p) && !before.parcel(p));
    }

    /// The body as it would leave: without the optional fields the owner denies.
    pub fn shaped(&self, body: &Body) -> Value {
        self.lock().denied.shaped(body)
    }

    /// Says how lines reach the disk before consent-gated bytes leave.
    pub fn set_keep(&self, keep: Keep) {
        self.lock().keep = Some(keep);
    }

    /// Lets one message pass.
    ///
    /// # Errors
    /// [`Refused`], which also stands in the ledger.
    pub fn pass(&self, feature: &'static str, body: &Body) -> Result<Permit, Refused> {
        self.admit(feature, body, None, Kind::Message).map(|(permit, _)| permit)
    }

    /// Lets a long flow begin. `service` is where a published service of this box listens, for
    /// parcels that go there, and nothing for all others.
    ///
    /// # Errors
    /// [`Refused`], which also stands in the ledger.
    pub fn passage(
        &self,
        feature: &'static str,
        body: &Body,
        service: Option<Target>,
    ) -> Result<Passage, Refused> {
        let (permit, revoked) = self.admit(feature, body, service, Kind::Flow)?;
        let opened = Outcome { result: "open".into(), ..Outcome::default() };
        if let Some(draft) = permit.entry.draft.clone() {
            self.record(draft, opened);
        }
        let meter: Arc<Meter> = Arc::default();
        let going = Going {
            parcel: body.parcel().id,
            proto: proto(body.parcel().how),
            meter: Arc::downgrade(&meter),
        };
        self.lock().open.push(going);
        Ok(Passage { permit, meter, revoked, end: None })
    }

    /// Lets the question for the host of a permit pass to a name server.
    ///
    /// # Errors
    /// [`Refused::Denied`], which also stands in the ledger.
    pub fn lookup(&self, permit: &Permit, server: Target) -> Result<Permit, Refused> {
        let body = Body::of(&Lookup { host: permit.to().host.clone() });
        let fields = fields_of(body.json());
        let bytes = body.json().to_string().into_bytes();
        let draft = self.draft(permit.feature(), &LOOKUP, &fields);
        let draft = Draft { dest: server.to_string(), ..draft };
        let verdict = self.lock().denied.judge(&LOOKUP, &fields);
        if let Err(refused) = verdict {
            let result = format!("refused: {refused}");
            self.record(draft, Outcome { result, ..Outcome::default() });
            return Err(refused);
        }
        let entry = Entry { gate: self.clone(), draft: Some(draft) };
        Ok(Permit { entry, feature: permit.feature(), parcel: &LOOKUP, to: server, body: bytes })
    }

    /// Runs something with the ledger, for reading and for checkpoints.
    pub fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        work(&mut self.lock().ledger)
    }

    /// Everything since the start: all lines, and what flows that go on have carried so far.
    pub fn totals(&self) -> Totals {
        let mut inner = self.lock();
        inner.open.retain(Going::goes_on);
        let mut totals = inner.totals.clone();
        for going in &inner.open {
            if let Some(meter) = going.meter.upgrade() {
                let ip = meter.peer().map(|peer| peer.0);
                totals.add(going.parcel, going.proto, ip, meter.read());
            }
        }
        let late = inner.late.peer().map(|peer| peer.0);
        totals.add("egress.late", "quic", late, inner.late.read());
        totals
    }

    /// Where carriers count what comes for a session whose line was written already.
    pub(super) fn late(&self) -> Arc<Meter> {
        Arc::clone(&self.lock().late)
    }

    pub(super) fn record(&self, draft: Draft, outcome: Outcome) {
        let at = self.clock.now().wall;
        let mut inner = self.lock();
        inner.totals.line(&draft, &outcome);
        inner.open.retain(Going::goes_on);
        inner.ledger.append(draft, outcome, at);
    }

    fn admit(
        &self,
        feature: &'static str,
        body: &Body,
        service: Option<Target>,
        kind: Kind,
    ) -> Result<(Permit, watch::Receiver<bool>), Refused> {
        let parcel = body.parcel();
        let json = self.shaped(body);
        let fields = fields_of(&json);
        let bytes = json.to_string().into_bytes();
        let mut draft = self.draft(feature, parcel, &fields);
        let now = self.clock.now().boot;
        let verdict = self.lock().judge(feature, parcel, &fields, service);
        let verdict = match (verdict, kind) {
            (Ok(passed), Kind::Message) => {
                self.lock().charge(feature, bytes.len(), now).map(|()| passed)
            }
            (verdict, _) => verdict,
        };
        let passed = match verdict {
            Ok(passed) => passed,
            Err(refused) => return Err(self.refuse(draft, refused)),
        };
        draft.dest = passed.to.to_string();
        draft.consent = passed.consent;
        draft.body_hmac = Some(self.lock().ledger.body_hmac(&bytes));
        let guarded = !crate::sabotage::off("gate-secret");
        let kept = if guarded { parcel.masked(json) } else { json };
        draft.body = Some(kept.to_string().into_bytes().into());
        if parcel.purpose.needs_consent()
            && let Err(refused) = self.record_first(parcel, &draft)
        {
            return Err(self.refuse(draft, refused));
        }
        let entry = Entry { gate: self.clone(), draft: Some(draft) };
        Ok((Permit { entry, feature, parcel, to: passed.to, body: bytes }, passed.revoked))
    }

    fn refuse(&self, draft: Draft, refused: Refused) -> Refused {
        let result = format!("refused: {refused}");
        self.record(draft, Outcome { result, ..Outcome::default() });
        refused
    }

    /// Puts a line about consent-gated bytes on disk before they leave.
    fn record_first(&self, parcel: &'static Parcel, draft: &Draft) -> Result<(), Refused> {
        self.record(
            draft.clone(),
            Outcome { result: "about to leave".into(), ..Outcome::default() },
        );
        let mut inner = self.lock();
        let Inner { ledger, keep, .. } = &mut *inner;
        let kept = keep.as_mut().is_some_and(|keep| keep(&ledger.unsaved()));
        if !kept {
            return Err(Refused::NotRecorded(parcel.id));
        }
        ledger.saved();
        Ok(())
    }

    fn draft(&self, feature: &str, parcel: &Parcel, fields: &[String]) -> Draft {
        Draft {
            parcel: parcel.id.into(),
            feature: feature.into(),
            proto: proto(parcel.how).into(),
            fields: fields.to_vec(),
            ..Draft::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds this lock but the allocator; the data stays consistent either way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is admitted: messages have a budget, flows end when they are taken back.
enum Kind {
    Message,
    Flow,
}

struct Passed {
    to: Target,
    consent: Option<String>,
    revoked: watch::Receiver<bool>,
}

impl Inner {
    /// Takes back the passages of every feature that has a parcel like this; new ones may begin.
    fn revoke(&mut self, any: impl Fn(&Parcel) -> bool) {
        let hit = self.on.values_mut().filter(|open| open.card.all_parcels().any(&any));
        for open in hit.filter(|open| !open.closing) {
            open.revoke.send_replace(true);
            open.revoke = watch::Sender::new(false);
        }
    }

    /// Takes a body that may pass out of its feature's budget.
    fn charge(&mut self, feature: &'static str, bytes: usize, now: Boot) -> Result<(), Refused> {
        let open = self.on.get_mut(feature).ok_or(Refused::FeatureOff(feature))?;
        open.bucket.take(bytes, now).map_err(|wait| Refused::OverBudget { feature, wait })
    }

    fn judge(
        &self,
        feature: &'static str,
        parcel: &'static Parcel,
        fields: &[String],
        service: Option<Target>,
    ) -> Result<Passed, Refused> {
        let open = self.on.get(feature).ok_or(Refused::FeatureOff(feature))?;
        let forgets = open.card.forget == Some(parcel);
        if open.closing && !forgets && !crate::sabotage::off("gate-feature-off") {
            return Err(Refused::FeatureOff(feature));
        }
        if !forgets && !open.card.parcels.contains(&parcel) {
            return Err(Refused::NotDeclared(feature, parcel.id));
        }
        let undeclared = |field: &&String| !parcel.fields.iter().any(|f| f.path == field.as_str());
        if let Some(field) = fields.iter().find(undeclared)
            && !crate::sabotage::off("gate-fields")
        {
            return Err(Refused::FieldNotDeclared(parcel.id, field.clone()));
        }
        self.denied.judge(parcel, fields)?;
        let consent = self.consents.covering(parcel).map(|consent| consent.version.clone());
        if parcel.purpose.needs_consent()
            && consent.is_none()
            && !crate::sabotage::off("gate-consent")
        {
            return Err(Refused::NoConsent(parcel.id));
        }
        let to = match (parcel.to, service) {
            (Destination::Hub, None) => self.hub.clone().ok_or(Refused::NoHub)?,
            (Destination::OwnService, Some(service)) => service,
            (Destination::Hub | Destination::OwnService | Destination::Resolver, _) => {
                return Err(Refused::WrongWay(parcel.id));
            }
        };
        // A feature that is being forgotten has had its passages taken back; a forget is one message.
        Ok(Passed { to, consent, revoked: open.revoke.subscribe() })
    }
}

/// The word for a carriage in the ledger.
pub fn proto(how: Carriage) -> &'static str {
    match how {
        Carriage::Https { .. } => "https",
        Carriage::Session => "quic",
        Carriage::Lookup => "dns",
        Carriage::Local => "tcp",
    }
}

/// The paths of all leaves of a body: objects by dots, lists passed through.
pub fn fields_of(body: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    walk(body, &mut String::new(), &mut fields);
    fields.sort();
    fields.dedup();
    fields
}

fn walk(value: &Value, path: &mut String, fields: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() || path.is_empty() => {
            for (name, member) in members {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                walk(member, path, fields);
                path.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                walk(item, path, fields);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => fields.push(path.clone()),
    }
}
