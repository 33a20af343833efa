//! The supervisor: holds the live features, gives them their inputs in order, and turns their effects
//! into commands. Pure: it knows no clock, socket or file, so a device's whole life runs in a test.
//!
//! A feature that panics is dropped, its passages are taken back, a warning is raised, and it is
//! opened again later from what it had saved; the others never notice. Its data at the hub can be
//! erased all the same.

use super::erasure::{By, Erasures};
use super::feature::{
    Answer, AnyFeature, AnyNote, Asker, Effect, Event, HubAddress, Input, JobEnd, Launch, Opening,
    Row, Ticket,
};
use super::household::Household;
use super::quarantine::Broken;
use crate::card::{Card, Switch, Warning};
use crate::clock::{Boot, Now};
use crate::egress::backoff::Backoff;
use crate::egress::gate::Gate;
use crate::egress::outside::{Reply, SendError};
use crate::egress::permit::{Permit, Target};
use crate::platform::netlink::Addresses;
use crate::wire::registration::Membership;
use core::net::IpAddr;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Raised for a section of the configuration that a feature cannot use.
pub static BAD_CONFIG: Warning = Warning {
    code: "daemon-config",
    title: "A section of the configuration cannot be used",
    hint: "qcloud-agent status",
};

/// What the event loop is asked to do.
pub enum Command {
    /// Carry a message; [`Supervisor::replied`] takes the answer.
    Carry(Origin, Box<Permit>),
    /// Run a job; [`Supervisor::noted`] and [`Supervisor::done`] take what it says.
    Run(&'static str, Ticket, Launch),
    /// End a job.
    Cancel(&'static str, Ticket),
    /// End all jobs of a feature.
    CancelAll(&'static str),
    /// Put the household on disk.
    Save,
    /// Answer a person.
    Answer(Asker, Answer),
    /// Show ourselves to this hub from here on, as this member; `None` forgets both.
    Hub(Option<HubAddress>, Option<Arc<Membership>>),
}

/// Whose message it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A feature's.
    Feature(&'static str, Ticket),
    /// An owed erasure's, by nonce.
    Erasure(String),
}

/// What the configuration files said, by feature.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// Each section without `enabled`.
    pub values: BTreeMap<String, Value>,
    /// The `enabled` of each section that has one.
    pub enabled: BTreeMap<String, bool>,
}

/// The features and all that is decided about them.
pub struct Supervisor {
    pub(super) rows: &'static [Row],
    pub(super) gate: Gate,
    pub(super) sections: Sections,
    pub(super) household: Household,
    /// The id of this device's key; see [`Supervisor::device`].
    key: String,
    pub(super) live: BTreeMap<&'static str, Live>,
    pub(super) broken: BTreeMap<&'static str, Broken>,
    pub(super) warnings: BTreeMap<(&'static str, &'static str), (&'static Warning, String)>,
    pub(super) erasures: Erasures,
    pub(super) facts: Facts,
    pub(super) commands: Vec<Command>,
    pub(super) started: bool,
    /// Why the key is not used: this is another board than it was made on.
    pub(super) suspected: Option<String>,
    pub(super) starting: bool,
    pub(super) tape: super::tape::Tape,
    inbox: VecDeque<(&'static str, Mail)>,
    incarnations: u32,
}

pub(super) struct Live {
    pub(super) card: &'static Card,
    pub(super) feature: Box<dyn AnyFeature>,
    incarnation: u32,
    /// Its next deadline, as of its last input: nothing else changes it.
    wake: Option<(Boot, &'static str)>,
    /// When it was opened again after it broke, and how long the next wait is if it breaks once more.
    pub(super) mended: Option<(Boot, Backoff)>,
}

/// What is known now; told to each feature when it is opened.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) addresses: Option<Arc<Addresses>>,
    pub(super) observed: Option<IpAddr>,
}

enum Mail {
    Opened(Opening),
    Wake,
    Reply(Ticket, Result<Reply, SendError>),
    Note(Ticket, AnyNote),
    Done(Ticket, Result<AnyNote, JobEnd>),
    Event(Arc<Event>),
    Verb(Asker, String, Value),
}

impl Supervisor {
    /// A house with nothing opened yet; [`Supervisor::start`] opens what is switched on.
    pub fn new(
        rows: &'static [Row],
        gate: Gate,
        sections: Sections,
        household: Household,
        key: &str,
    ) -> Self {
        gate.set_consents(household.consents.clone());
        gate.set_denied(household.denied.clone());
        Self {
            rows,
            gate,
            sections,
            household,
            key: key.into(),
            live: BTreeMap::new(),
            broken: BTreeMap::new(),
            warnings: BTreeMap::new(),
            erasures: Erasures::default(),
            facts: Facts::default(),
            commands: Vec::new(),
            started: false,
            suspected: None,
            starting: false,
            tape: Default::default(),
            inbox: VecDeque::new(),
            incarnations: 0,
        }
    }

    /// Opens everything that is switched on, and takes up erasures owed since before.
    pub fn start(&mut self, now: Now) {
        self.started = true;
        self.check_consents();
        if self.suspected.is_none() {
            self.take_place(now);
        }
        self.starting = true;
        for row in self.rows {
            if self.is_on(row.card) {
                self.open(row, now);
            }
        }
        self.starting = false;
        self.settle(now);
    }

    /// Takes the commands that have gathered.
    pub fn commands(&mut self) -> Vec<Command> {
        core::mem::take(&mut self.commands)
    }

    /// What shall be on disk.
    pub fn household(&self) -> &Household {
        &self.household
    }

    /// What shall be on disk, to be completed with what only the event loop knows.
    pub fn household_mut(&mut self) -> &mut Household {
        &mut self.household
    }

    /// This device's key is another one.
    pub fn set_key(&mut self, id: &str) {
        self.key = id.into();
    }

    /// The id of this device: the one it is known by at its hub, which a rekey leaves as it is; without a hub, its key's.
    pub(super) fn device(&self) -> &str {
        let place = self.household.membership.as_ref();
        place.map_or(&self.key, |(membership, _)| membership.device_or(&self.key))
    }

    /// Raises or clears a warning of the house itself.
    pub fn warn(&mut self, warning: &'static Warning, details: Option<String>) {
        match details {
            Some(details) => {
                self.warnings.insert((warning.code, "daemon"), (warning, details));
            }
            None => {
                self.warnings.remove(&(warning.code, "daemon"));
            }
        }
    }

    /// Something happened outside.
    pub fn event(&mut self, event: Event, now: Now) {
        let may_help = matches!(event, Event::Addresses(_) | Event::Resumed | Event::WallClockSet);
        self.announce(event, now);
        self.settle(now);
        if may_help {
            self.hurry_erasures(now);
            self.settle(now);
        }
    }

    /// An answer came.
    pub fn replied(&mut self, origin: &Origin, result: Result<Reply, SendError>, now: Now) {
        if result.as_ref().is_ok_and(Reply::is_certificate_expired) {
            self.announce(Event::CertificateExpired, now);
        }
        match origin {
            Origin::Feature(name, ticket) => self.post(name, *ticket, Mail::Reply(*ticket, result)),
            Origin::Erasure(nonce) => self.erasure_replied(nonce, result, now),
        }
        self.settle(now);
    }

    /// A job said something.
    pub fn noted(&mut self, feature: &'static str, ticket: Ticket, note: AnyNote, now: Now) {
        self.post(feature, ticket, Mail::Note(ticket, note));
        self.settle(now);
    }

    /// A job ended.
    pub fn done(
        &mut self,
        feature: &'static str,
        ticket: Ticket,
        result: Result<AnyNote, JobEnd>,
        now: Now,
    ) {
        self.post(feature, ticket, Mail::Done(ticket, result));
        self.settle(now);
    }

    /// When [`Supervisor::wake`] shall be called next, for whom and why.
    pub fn next_wake(&self) -> Option<(Boot, &'static str, &'static str)> {
        let features = self.live.iter();
        let features =
            features.filter_map(|(name, live)| live.wake.map(|(at, why)| (at, *name, why)));
        let broken =
            self.broken.iter().map(|(name, b)| (b.again_at, *name, "try the feature again"));
        let owed = self.erasures.next_wake().map(|at| (at, "daemon", "retry an owed erasure"));
        features.chain(broken).chain(owed).min()
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Now) {
        let due = |live: &Live| live.wake.is_some_and(|(at, _)| at <= now.boot);
        let names: Vec<_> =
            self.live.iter().filter(|(_, live)| due(live)).map(|(name, _)| *name).collect();
        for name in &names {
            self.inbox.push_back((name, Mail::Wake));
        }
        self.settle(now);
        for name in names {
            if self.live.get(name).is_some_and(due) {
                self.quarantine(name, "it asked to be woken in the past", now);
            }
        }
        self.restart_broken(now);
        self.retry_erasures(now);
        self.settle(now);
    }

    /// Passes a person's question on to a feature that is on.
    pub(super) fn forward(&mut self, name: &'static str, asker: Asker, verb: &str, args: Value) {
        self.inbox.push_back((name, Mail::Verb(asker, verb.into(), args)));
    }

    pub(super) fn row(&self, name: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.card.name == name)
    }

    /// Whether a feature is to be open: the owner's switch wins over the configuration, and off is the default.
    pub(super) fn is_on(&self, card: &Card) -> bool {
        if card.switch == Switch::Always {
            return !self.erasures.has(card.name);
        }
        if crate::sabotage::off("feature-switch") {
            return true;
        }
        let by_config = || self.sections.enabled.get(card.name).copied().unwrap_or(false);
        self.household.switches.get(card.name).copied().unwrap_or_else(by_config)
    }

    pub(super) fn section(&self, name: &str) -> Value {
        let empty = || Value::Object(serde_json::Map::new());
        self.sections.values.get(name).cloned().unwrap_or_else(empty)
    }

    pub(super) fn saved(&self, name: &str) -> Value {
        self.household.saved.get(name).cloned().unwrap_or(Value::Null)
    }

    /// Opens a feature and tells it what is known.
    pub(super) fn open(&mut self, row: &'static Row, now: Now) {
        let name = row.card.name;
        self.incarnations += 1;
        let incarnation = self.incarnations;
        let (config, saved) = (self.section(name), self.saved(name));
        let opened =
            catch_unwind(AssertUnwindSafe(|| (row.open)(&config, &saved, incarnation, now)));
        match opened {
            Ok(Ok(feature)) => {
                self.warnings.remove(&(BAD_CONFIG.code, name));
                self.gate.open(row.card);
                self.note_open(row.card);
                let live = Live { card: row.card, feature, incarnation, wake: None, mended: None };
                self.live.insert(name, live);
                let why = self.why_opened(row.card);
                self.inbox.push_back((name, Mail::Opened(why)));
                self.tell_what_is_known(name);
            }
            Ok(Err(bad)) => {
                self.warnings.insert((BAD_CONFIG.code, name), (&BAD_CONFIG, bad.to_string()));
            }
            Err(_) => self.quarantine(name, "it panicked while it was opened", now),
        }
    }

    /// Closes a feature: it hears of it, its passages are taken back, its jobs end.
    pub(super) fn close(&mut self, name: &'static str, now: Now) {
        self.deliver(name, Input::Closing, now);
        self.live.remove(name);
        self.broken.remove(name);
        self.warnings.retain(|(_, of), _| *of != name);
        if crate::sabotage::off("feature-close") {
            return;
        }
        self.gate.close(name);
        self.commands.push(Command::CancelAll(name));
    }

    /// Tells every feature of something, after the house has taken its own conclusions.
    pub(super) fn announce(&mut self, event: Event, now: Now) {
        match &event {
            Event::HubChosen(hub) => {
                self.gate.set_hub(Some(target(hub)));
                self.commands.push(Command::Hub(Some(hub.clone()), None));
            }
            Event::Registered(membership, hub) => {
                self.gate.set_hub(Some(target(hub)));
                self.come_back();
                self.household.membership = Some((membership.as_ref().clone(), hub.clone()));
                self.commands.push(Command::Hub(Some(hub.clone()), Some(Arc::clone(membership))));
                self.save();
            }
            Event::Unregistered => {
                self.gate.set_hub(None);
                self.household.membership = None;
                self.household.restricted.clear();
                self.facts.observed = None;
                self.commands.push(Command::Hub(None, None));
            }
            Event::Addresses(addresses) => self.facts.addresses = Some(Arc::clone(addresses)),
            Event::Observed(address) => self.facts.observed = Some(*address),
            Event::Restricted(feature, on) => {
                if !self.household.restrict(feature, *on) {
                    return;
                }
                self.save();
            }
            Event::SameBoard => self.same_board(now),
            Event::Anew(device) => self.begin_anew(device, now),
            Event::Resumed
            | Event::WallClockSet
            | Event::CertificateExpired
            | Event::Disowned
            | Event::RulesChanged(_)
            | Event::LicenseChanged(..)
            | Event::Quarantined(_)
            | Event::Suspected(_) => {}
        }
        let event = Arc::new(event);
        for name in self.live.keys() {
            self.inbox.push_back((name, Mail::Event(Arc::clone(&event))));
        }
    }

    /// Has the household written with the next turn of the loop.
    pub(super) fn save(&mut self) {
        self.commands.push(Command::Save);
    }

    /// Delivers mail until there is none.
    pub(super) fn settle(&mut self, now: Now) {
        while let Some((name, mail)) = self.inbox.pop_front() {
            match mail {
                Mail::Opened(why) => self.deliver(name, Input::Opened(why), now),
                Mail::Wake => self.deliver(name, Input::Wake, now),
                Mail::Reply(ticket, result) => {
                    self.deliver(name, Input::Reply(ticket, result), now)
                }
                Mail::Note(ticket, note) => self.deliver(name, Input::Note(ticket, note), now),
                Mail::Done(ticket, result) => self.deliver(name, Input::Done(ticket, result), now),
                Mail::Event(event) => self.deliver(name, Input::Event(&event), now),
                Mail::Verb(asker, verb, args) => {
                    self.deliver(name, Input::Verb { asker, name: &verb, args: &args }, now);
                }
            }
        }
    }

    /// Posts an answer to the life of the feature that asked; a later life never sees it.
    fn post(&mut self, name: &'static str, ticket: Ticket, mail: Mail) {
        if self.live.get(name).is_some_and(|live| live.incarnation == ticket.incarnation) {
            self.inbox.push_back((name, mail));
        }
    }

    /// Tells one feature of something.
    pub(super) fn tell(&mut self, name: &'static str, event: Event) {
        self.inbox.push_back((name, Mail::Event(Arc::new(event))));
    }

    fn tell_what_is_known(&mut self, name: &'static str) {
        if self.suspected.is_some() {
            let hub = self.household.membership.as_ref().map(|(_, hub)| hub.clone());
            self.tell(name, Event::Suspected(hub));
        }
        let registered = self.household.membership.clone();
        let registered = registered.filter(|_| !self.is_leaving() && self.suspected.is_none());
        let registered = registered.map(|(member, hub)| Event::Registered(Arc::new(member), hub));
        let addresses = self.facts.addresses.clone().map(Event::Addresses);
        let observed = self.facts.observed.map(Event::Observed);
        for event in [registered, addresses, observed].into_iter().flatten() {
            self.inbox.push_back((name, Mail::Event(Arc::new(event))));
        }
    }

    fn deliver(&mut self, name: &'static str, input: Input<'_, AnyNote>, now: Now) {
        let Some(live) = self.live.get_mut(name) else { return };
        self.tape.note(now.boot, name, &input);
        let handle = || (live.feature.handle(input, now), live.feature.next_wake());
        match catch_unwind(AssertUnwindSafe(handle)) {
            Ok((effects, wake)) => {
                live.wake = wake;
                for effect in effects {
                    self.apply(name, effect, now);
                }
            }
            Err(_) => self.quarantine(name, "it panicked", now),
        }
    }

    fn apply(&mut self, name: &'static str, effect: Effect<Launch>, now: Now) {
        match effect {
            Effect::Run(ticket, launch) => self.commands.push(Command::Run(name, ticket, launch)),
            Effect::Cancel(ticket) => self.commands.push(Command::Cancel(name, ticket)),
            Effect::Send(ticket, body) => match self.gate.pass(name, &body) {
                Ok(permit) => {
                    let origin = Origin::Feature(name, ticket);
                    self.commands.push(Command::Carry(origin, Box::new(permit)));
                }
                Err(refused) => self.post(name, ticket, Mail::Reply(ticket, Err(refused.into()))),
            },
            Effect::Emit(event) => self.announce(event, now),
            Effect::Raise(warning, details) => {
                self.warnings.insert((warning.code, name), (warning, details));
            }
            Effect::Clear(warning) => {
                self.warnings.remove(&(warning.code, name));
            }
            Effect::Save => {
                let Some(live) = self.live.get(name) else { return };
                match catch_unwind(AssertUnwindSafe(|| live.feature.save())) {
                    Ok(saved) if self.household.saved.get(name) != Some(&saved) => {
                        self.household.saved.insert(name.into(), saved);
                        self.save();
                    }
                    Ok(_) => {}
                    Err(_) => self.quarantine(name, "it panicked while it was saved", now),
                }
            }
            Effect::Answer(asker, answer) => self.commands.push(Command::Answer(asker, answer)),
            Effect::Forget(asker) => self.switch_off(name, By::Person(asker), now),
        }
    }
}

/// Host and port of a hub for the gate.
pub(super) fn target(hub: &HubAddress) -> Target {
    Target { host: hub.host.clone(), port: hub.port }
}
