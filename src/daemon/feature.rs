//! [`Feature`]: what every feature is, and how the house holds one without knowing which.
//!
//! A feature is a pure core. `handle` gets an input and the moment, and pushes effects; it never blocks,
//! never fails and touches nothing. What takes time is a *job*, a plain async function that gets
//! [`Hands`] and ends with a note. The refused alternatives: everything as poll functions (eight of ten
//! features are request and reply, and sequential code as a state machine only hurts), and
//! everything as tasks with channels (no virtual time, no replay).

use super::dial::{HandParts, Hands};
use super::shape::Shape;
use crate::card::{Card, Exit, Parcel, Warning};
use crate::clock::{Boot, Now};
use crate::egress::outside::{Pending, Reply, SendError};
use crate::identity::pin::HubPin;
use crate::platform::netlink::Addresses;
use crate::wire::registration::Membership;
use crate::wire::{Body, ParcelBody};
use core::any::Any;
use core::net::IpAddr;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A feature of the agent. Adding one touches its directory and one word in `features/mod.rs`.
pub trait Feature: Sized + Send + 'static {
    /// What it says of itself.
    const CARD: Card;
    /// Its section of the configuration, without `enabled`. Unknown keys are refused.
    type Config: DeserializeOwned;
    /// What survives a restart. Erased when it is forgotten.
    type Saved: Serialize + DeserializeOwned + Default;
    /// Its work that takes time.
    type Job: Send + 'static;
    /// What a job tells it, in between and at its end.
    type Note: Send + 'static;

    /// Opens it. Pure: the first egress can happen at [`Input::Opened`].
    ///
    /// # Errors
    /// [`BadConfig`] when the values of the section do not make sense together.
    fn open(config: Self::Config, saved: Self::Saved, now: Now) -> Result<Self, BadConfig>;

    /// Takes one input. Never blocks and never fails; whatever follows goes into `out`.
    fn handle(&mut self, input: Input<'_, Self::Note>, now: Now, out: &mut Out<Self::Job>);

    /// When it wants [`Input::Wake`], and why, in words that `status` shows.
    fn next_wake(&self) -> Option<(Boot, &'static str)>;

    /// What shall survive a restart.
    fn save(&self) -> Self::Saved;

    /// What makes the hub forget it. Works without a live feature, from what was saved. `None` when
    /// it has no forget parcel.
    fn forget(_config: &Self::Config, _saved: &Self::Saved, _nonce: &str) -> Option<Body> {
        None
    }

    /// The body it would send next for one of its parcels, for `egress preview`. `None` shows the
    /// parcel's example.
    fn preview(&self, _parcel: &Parcel) -> Option<Body> {
        None
    }

    /// Does a job. Dropped when the feature is switched off or cancels it.
    fn work(job: Self::Job, hands: Hands<Self::Note>) -> impl Future<Output = Self::Note> + Send;

    /// Typed facts for `status` and reports. Never a secret.
    fn report(&self, _depth: Depth, _section: &mut Section) {}
}

/// What a feature is told.
pub enum Input<'a, N> {
    /// It was opened.
    Opened(Opening),
    /// The moment of its `next_wake` has come.
    Wake,
    /// The answer to something it sent.
    Reply(Ticket, Result<Reply, SendError>),
    /// A job has something to say and goes on.
    Note(Ticket, N),
    /// A job is done.
    Done(Ticket, Result<N, JobEnd>),
    /// Something happened.
    Event(&'a Event),
    /// A person asks.
    Verb {
        /// To whom the answer goes.
        asker: Asker,
        /// The verb's name.
        name: &'a str,
        /// Its arguments by name; every value is a string.
        args: &'a Value,
    },
    /// It is being switched off; its passages are taken back after this.
    Closing,
}

/// Why a feature was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The agent started, perhaps together with a thousand others after a power cut: what dials anyway
    /// should spread itself.
    Started,
    /// A person, the configuration or a recovery wants it now.
    Wanted,
    /// It is always there, and its owner had it forgotten: it does nothing by itself, whatever the configuration says.
    Left,
}

/// How a job ended without a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It panicked.
    Panicked,
    /// It was cancelled.
    Cancelled,
}

/// Names an effect until its answer comes. The incarnation keeps an answer from a feature that was restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Which life of the feature.
    pub incarnation: u32,
    /// Which effect of that life.
    pub number: u32,
}

/// A person waiting at the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker(pub u64);

/// What happens around features. Features talk to each other by these only.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The hub to use, before there is a membership (during registration).
    HubChosen(HubAddress),
    /// This device has a place at a hub, or another certificate for the one it has.
    Registered(Arc<Membership>, HubAddress),
    /// It has none any more.
    Unregistered,
    /// The hub refuses this device's key as unknown. What the device has stays as it is until its owner decides.
    Disowned,
    /// The box's own addresses.
    Addresses(Arc<Addresses>),
    /// The address the hub sees this device at.
    Observed(IpAddr),
    /// The box was suspended and woke up.
    Resumed,
    /// The wall clock was set.
    WallClockSet,
    /// The hub turned something away because this device's certificate is over.
    CertificateExpired,
    /// The hub keeps this feature's data without using it, or uses it again.
    Restricted(&'static str, bool),
    /// The hub has set this device aside because two boxes use its identity, or serves it again.
    Quarantined(bool),
    /// This is not the board the identity was made on: nothing is done with it. The hub it belongs to.
    Suspected(Option<HubAddress>),
    /// It is the same box all the same, says its owner.
    SameBoard,
    /// The device has another key, and by it this id: what there was belongs to another box.
    Anew(String),
    /// The owner changed what may leave in this feature's name: what was sent may not stand any more, and what
    /// was refused may pass now.
    RulesChanged(&'static str),
    /// The license of a product stands otherwise than before (a word of `license check`), or ends within so many days.
    LicenseChanged(String, &'static str, Option<u64>),
}

/// Where a hub is and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubAddress {
    /// Host name or address literal.
    pub host: String,
    /// Port of the API and of the session.
    pub port: u16,
    /// `sha256:HEX` of its CA's key; without one the public authorities decide.
    pub pin: Option<HubPin>,
}

/// An answer to a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The exit code; `None` for progress, after which more comes.
    pub exit: Option<Exit>,
    /// For people.
    pub text: String,
    /// For `--json`.
    pub json: Value,
}

impl Answer {
    /// A success.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        Self { exit: Some(Exit::Done), text: text.into(), json }
    }

    /// A failure: one line of what failed on what and why; a second line may start with `hint: `.
    pub fn failed(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { exit: Some(exit), json: serde_json::json!({ "error": text }), text }
    }

    /// Something to show while waiting.
    pub fn progress(text: impl Into<String>, json: Value) -> Self {
        Self { exit: None, text: text.into(), json }
    }
}

/// What a feature wants done.
pub enum Effect<J> {
    /// Run a job.
    Run(Ticket, J),
    /// End a job.
    Cancel(Ticket),
    /// Send something.
    Send(Ticket, Body),
    /// Tell everybody.
    Emit(Event),
    /// Raise a warning with its details.
    Raise(&'static Warning, String),
    /// Clear a warning.
    Clear(&'static Warning),
    /// Save what [`Feature::save`] gives.
    Save,
    /// Answer a person.
    Answer(Asker, Answer),
    /// Switch this feature off and have the hub forget it; the asker hears when the receipt is there.
    Forget(Asker),
}

/// Where a feature puts its effects.
pub struct Out<J> {
    effects: Vec<Effect<J>>,
    incarnation: u32,
    next: u32,
}

impl<J> Out<J> {
    /// An empty one for one life of a feature.
    pub fn new(incarnation: u32) -> Self {
        Self { effects: Vec::new(), incarnation, next: 0 }
    }

    /// Runs a job.
    pub fn run(&mut self, job: J) -> Ticket {
        let ticket = self.ticket();
        self.effects.push(Effect::Run(ticket, job));
        ticket
    }

    /// Ends a job; [`Input::Done`] follows with [`JobEnd::Cancelled`].
    pub fn cancel(&mut self, ticket: Ticket) {
        self.effects.push(Effect::Cancel(ticket));
    }

    /// Sends a message through the gate; [`Input::Reply`] follows.
    pub fn send<T: ParcelBody>(&mut self, body: &T) -> Ticket {
        let ticket = self.ticket();
        self.effects.push(Effect::Send(ticket, Body::of(body)));
        ticket
    }

    /// Tells every feature, the teller included.
    pub fn emit(&mut self, event: Event) {
        self.effects.push(Effect::Emit(event));
    }

    /// Raises a warning of the card.
    pub fn raise(&mut self, warning: &'static Warning, details: impl Into<String>) {
        self.effects.push(Effect::Raise(warning, details.into()));
    }

    /// Clears a warning of the card.
    pub fn clear(&mut self, warning: &'static Warning) {
        self.effects.push(Effect::Clear(warning));
    }

    /// Has [`Feature::save`] called and its value put on disk.
    pub fn save(&mut self) {
        self.effects.push(Effect::Save);
    }

    /// Answers a person.
    pub fn answer(&mut self, asker: Asker, answer: Answer) {
        self.effects.push(Effect::Answer(asker, answer));
    }

    /// Asks to be switched off and forgotten at the hub.
    pub fn forget(&mut self, asker: Asker) {
        self.effects.push(Effect::Forget(asker));
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket { incarnation: self.incarnation, number: self.next }
    }
}

/// How much a report may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// `status`, and the server report.
    Server,
    /// The crash report.
    Crash,
}

/// A feature's part of `status` and of reports.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Section {
    /// One line for a person.
    pub summary: String,
    /// Facts by name.
    pub facts: serde_json::Map<String, Value>,
}

impl Section {
    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.into(), value.into());
    }
}

/// A configuration that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[{section}] {why}")]
pub struct BadConfig {
    /// The section.
    pub section: String,
    /// What is wrong, naming the key.
    pub why: String,
}

impl BadConfig {
    /// For one section.
    pub fn new(section: &str, why: impl Into<String>) -> Self {
        Self { section: section.into(), why: why.into() }
    }
}

/// The job of a feature that has none.
#[derive(Debug)]
pub enum NoJob {}

/// A note whose type only its feature knows.
pub type AnyNote = Box<dyn Any + Send>;
/// A job ready to run once it is given hands.
pub type Launch = Box<dyn FnOnce(HandParts, mpsc::Sender<AnyNote>) -> Pending<AnyNote> + Send>;

/// A live feature, whichever it is.
pub trait AnyFeature: Send {
    /// See [`Feature::handle`].
    fn handle(&mut self, input: Input<'_, AnyNote>, now: Now) -> Vec<Effect<Launch>>;
    /// See [`Feature::next_wake`].
    fn next_wake(&self) -> Option<(Boot, &'static str)>;
    /// See [`Feature::save`].
    fn save(&self) -> Value;
    /// See [`Feature::preview`].
    fn preview(&self, parcel: &Parcel) -> Option<Body>;
    /// See [`Feature::report`].
    fn report(&self, depth: Depth, section: &mut Section);
}

struct Live<F: Feature> {
    feature: F,
    out: Out<F::Job>,
}

impl<F: Feature> AnyFeature for Live<F> {
    fn handle(&mut self, input: Input<'_, AnyNote>, now: Now) -> Vec<Effect<Launch>> {
        crate::sabotage::panic_in(F::CARD.name);
        if let Some(input) = typed::<F::Note>(input) {
            self.feature.handle(input, now, &mut self.out);
        }
        self.out.effects.drain(..).map(erased::<F>).collect()
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        self.feature.next_wake()
    }

    fn save(&self) -> Value {
        // Saved types hold plain data; one that cannot be serialised reads as its default next time.
        serde_json::to_value(self.feature.save()).unwrap_or(Value::Null)
    }

    fn preview(&self, parcel: &Parcel) -> Option<Body> {
        self.feature.preview(parcel)
    }

    fn report(&self, depth: Depth, section: &mut Section) {
        self.feature.report(depth, section);
    }
}

/// Gives a note its type back. Tickets lead notes only to the feature whose job made them, so the
/// type always fits; one that does not is dropped.
fn typed<N: 'static>(input: Input<'_, AnyNote>) -> Option<Input<'_, N>> {
    let note = |note: AnyNote| note.downcast::<N>().ok().map(|note| *note);
    Some(match input {
        Input::Opened(why) => Input::Opened(why),
        Input::Wake => Input::Wake,
        Input::Reply(ticket, result) => Input::Reply(ticket, result),
        Input::Note(ticket, any) => Input::Note(ticket, note(any)?),
        Input::Done(ticket, Ok(any)) => Input::Done(ticket, Ok(note(any)?)),
        Input::Done(ticket, Err(end)) => Input::Done(ticket, Err(end)),
        Input::Event(event) => Input::Event(event),
        Input::Verb { asker, name, args } => Input::Verb { asker, name, args },
        Input::Closing => Input::Closing,
    })
}

fn erased<F: Feature>(effect: Effect<F::Job>) -> Effect<Launch> {
    match effect {
        Effect::Run(ticket, job) => Effect::Run(
            ticket,
            Box::new(move |parts, notes| {
                let hands = Hands::new(parts, notes);
                Box::pin(async move {
                    let last: AnyNote = Box::new(F::work(job, hands).await);
                    last
                })
            }),
        ),
        Effect::Cancel(ticket) => Effect::Cancel(ticket),
        Effect::Send(ticket, body) => Effect::Send(ticket, body),
        Effect::Emit(event) => Effect::Emit(event),
        Effect::Raise(warning, details) => Effect::Raise(warning, details),
        Effect::Clear(warning) => Effect::Clear(warning),
        Effect::Save => Effect::Save,
        Effect::Answer(asker, answer) => Effect::Answer(asker, answer),
        Effect::Forget(asker) => Effect::Forget(asker),
    }
}

/// Opens a feature from its raw section, its saved value and the number of its life.
pub type Open = fn(&Value, &Value, u32, Now) -> Result<Box<dyn AnyFeature>, BadConfig>;

/// One row of the list of features: everything the house knows of one.
pub struct Row {
    /// Its card.
    pub card: &'static Card,
    /// Opens it.
    pub open: Open,
    /// What makes the hub forget it, from its raw section and saved value.
    pub forget: fn(&Value, &Value, &str) -> Option<Body>,
    /// What its section may hold.
    pub shape: Shape,
}

impl Row {
    /// The row of a feature.
    pub const fn of<F: Feature>() -> Self {
        Self {
            card: &F::CARD,
            open: |config, saved, incarnation, now| {
                let config = section::<F>(config)?;
                let feature = F::open(config, saved_of::<F>(saved), now)?;
                Ok(Box::new(Live { feature, out: Out::new(incarnation) }))
            },
            forget: |config, saved, nonce| {
                // A section that became unusable must not keep the data at the hub.
                let empty = || section::<F>(&Value::Object(serde_json::Map::new()));
                let config = section::<F>(config).or_else(|_| empty()).ok()?;
                F::forget(&config, &saved_of::<F>(saved), nonce)
            },
            shape: Shape::of::<F::Config>(),
        }
    }
}

fn section<F: Feature>(config: &Value) -> Result<F::Config, BadConfig> {
    serde_json::from_value(config.clone()).map_err(|e| BadConfig::new(F::CARD.name, e.to_string()))
}

/// A saved value of an older shape reads as the default; what the hub holds is then reconciled anew.
fn saved_of<F: Feature>(saved: &Value) -> F::Saved {
    serde_json::from_value(saved.clone()).unwrap_or_default()
}
