//! Registration: gives the device a place at a hub, and takes it back.
//!
//! RFC 8628 in style: the device asks for a code, its owner approves the code at the hub after
//! comparing four check words, and the device, which polls with signatures of its key, gets a
//! certificate. The key never leaves the device, and the owner's password never reaches it.

mod course;
mod fleet;
mod url;

use crate::card::{Arg, ArgKind, Card, Exit, Switch, Verb, Warning};
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Event, Feature, HubAddress, Input, Out, Section, Ticket,
};
use crate::egress::outside::SendError;
use crate::wire::Body;
use crate::wire::authkey::AuthKey;
use crate::wire::label::Label;
use crate::wire::registration::{
    FORGET, Forget, Membership, POLL, Poll, Polled, START, Started, poll_message,
};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use fleet::{Begun, KeyFrom, Order, Provision, StartError, UNPROVISIONED};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Raised when the hub says that it does not know this device (any more).
static DISOWNED: Warning = Warning {
    code: "registration-unknown",
    title: "The hub does not know this device: it was revoked there, or the hub lost what it kept",
    hint: "qcloud-agent register",
};

/// Why there is no `--auth-key KEY`.
const NO_KEY_HERE: &str = "an auth key is not taken from the command line: every user of this box can read it there\nhint: qcloud-agent register --auth-key-file FILE (`-` for stdin); if the key was real, revoke it at the hub";

/// Keeps this device's place at its hub.
pub struct Registration {
    config: Config,
    state: State,
    provision: Option<Provision>,
    /// The hub says that it does not know this device.
    disowned: bool,
}

/// `[registration]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The hub to use when `register` names none (a vendor's default).
    hub: Option<String>,
    /// Its pin.
    hub_pin: Option<String>,
    /// A file (0600) with an auth key: a box that has one registers by itself when it starts for the first time.
    auth_key_file: Option<String>,
    /// The name it then asks for, instead of its host name.
    name: Option<Label>,
}

/// Nothing: the house keeps the membership.
#[derive(Default, Serialize, Deserialize)]
pub struct Saved {}

enum State {
    Idle,
    Starting { asker: Option<Asker>, hub: HubAddress, ticket: Ticket },
    Polling(Box<Polling>),
    Member { membership: Arc<Membership>, hub: HubAddress },
}

struct Polling {
    asker: Option<Asker>,
    hub: HubAddress,
    started: Started,
    /// What asks the owner to approve; with an auth key nobody is asked unless the hub wants it.
    invitation: Option<Answer>,
    with_key: bool,
    interval: Duration,
    until: Boot,
    next: Option<Boot>,
    ticket: Option<Ticket>,
}

/// What takes time: both need the key.
pub enum Job {
    /// Ask for a code.
    Start(Order),
    /// Ask whether it was approved.
    Poll(String),
}

/// What a job found.
pub enum Note {
    /// The hub asks to wait this long before it gives a code.
    Waiting(Duration),
    /// The hub gave a code.
    Started(Result<Begun, StartError>),
    /// The hub said how it stands.
    Polled(Result<Polled, SendError>),
}

impl Feature for Registration {
    const CARD: Card = Card {
        name: "registration",
        promise: "gives this device a name and a certificate at your hub, until you unregister it",
        promises: &["S2", "R3"],
        switch: Switch::Always,
        parcels: &[&START, &POLL],
        forget: Some(&FORGET),
        warnings: &[&DISOWNED, &UNPROVISIONED],
        verbs: &[
            Verb {
                name: "register",
                about: "Register this device at a hub",
                args: &[
                    Arg {
                        name: "hub",
                        about: "The hub: https://HOST[:PORT]",
                        kind: ArgKind::Optional,
                    },
                    Arg {
                        name: "hub-pin",
                        about: "The fingerprint of a hub with its own authority: sha256:HEX",
                        kind: ArgKind::Optional,
                    },
                    Arg { name: "name", about: "The name to ask for", kind: ArgKind::Optional },
                    Arg {
                        name: "auth-key-file",
                        about: "A file (mode 0600, `-` for stdin) with an auth key of the hub's operator",
                        kind: ArgKind::Optional,
                    },
                    Arg {
                        name: "auth-key",
                        about: "Never here",
                        kind: ArgKind::Refused(NO_KEY_HERE),
                    },
                ],
                top: true,
            },
            Verb {
                name: "unregister",
                about: "Leave the hub, and have it erase everything it holds of this device",
                args: &[],
                top: true,
            },
        ],
    };
    type Config = Config;
    type Saved = Saved;
    type Job = Job;
    type Note = Note;

    fn open(config: Config, _: Saved, _: Now) -> Result<Self, BadConfig> {
        if let Some(hub) = &config.hub {
            url::parse(hub, config.hub_pin.clone())
                .map_err(|e| BadConfig::new("registration", format!("hub: {e}")))?;
        }
        let provision = Provision::of(&config)?;
        Ok(Self { config, state: State::Idle, provision, disowned: false })
    }

    fn handle(&mut self, input: Input<'_, Note>, now: Now, out: &mut Out<Job>) {
        match input {
            Input::Verb { asker, name: "register", args } => self.register(asker, args, out),
            Input::Verb { asker, name: "unregister", .. } => self.unregister(asker, out),
            Input::Done(ticket, Ok(Note::Started(result))) => {
                self.started(ticket, result, now, out)
            }
            Input::Done(ticket, Ok(Note::Polled(result))) => self.polled(ticket, result, now, out),
            Input::Note(ticket, Note::Waiting(wait)) => self.waiting(ticket, wait, out),
            Input::Done(ticket, Err(end)) => self.ended(ticket, end, now, out),
            Input::Wake => self.wake(now, out),
            Input::Opened(why) => self.provision.iter_mut().for_each(|p| p.opened(why, now)),
            Input::Event(Event::Registered(membership, hub)) => {
                self.state = State::Member { membership: Arc::clone(membership), hub: hub.clone() };
                self.provision.iter_mut().for_each(Provision::settled);
                self.owned(out);
                out.clear(&UNPROVISIONED);
            }
            Input::Event(Event::Disowned) if matches!(self.state, State::Member { .. }) => {
                self.disowned = true;
                out.raise(&DISOWNED, "it refuses this device's key");
            }
            Input::Event(Event::Observed(_)) => self.owned(out),
            Input::Closing
            | Input::Done(_, Ok(Note::Waiting(_)))
            | Input::Note(..)
            | Input::Reply(..)
            | Input::Event(_)
            | Input::Verb { .. } => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        match &self.state {
            State::Polling(polling) => {
                polling.next.map(|at| (at, "ask the hub whether the code was approved"))
            }
            State::Idle => {
                let next = self.provision.as_ref().and_then(Provision::next);
                next.map(|at| (at, "register with the auth key of the configuration"))
            }
            State::Starting { .. } | State::Member { .. } => None,
        }
    }

    fn save(&self) -> Saved {
        Saved {}
    }

    fn forget(_: &Config, _: &Saved, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    async fn work(job: Job, hands: Hands<Note>) -> Note {
        match job {
            Job::Start(order) => Note::Started(fleet::start(order, &hands).await),
            Job::Poll(device_code) => Note::Polled(poll(device_code, &hands).await),
        }
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.summary = match &self.state {
            State::Idle if self.provision.as_ref().is_some_and(|p| p.next().is_some()) => {
                "not registered; it registers with its auth key".into()
            }
            State::Idle => "not registered".into(),
            State::Starting { hub, .. } => format!("asking {} for a code", hub.host),
            State::Polling(polling) => {
                format!("waiting for the owner to approve {}", polling.started.user_code)
            }
            State::Member { membership, hub } => {
                section.fact("name", membership.name.as_str());
                section.fact("zone", membership.zone.as_str());
                section.fact("known_to_hub", !self.disowned);
                let lost = if self.disowned { ", which does not know this device" } else { "" };
                format!("registered as {} at {}:{}{lost}", membership.name, hub.host, hub.port)
            }
        };
    }
}

async fn poll(device_code: String, hands: &Hands<Note>) -> Result<Polled, SendError> {
    let signature = hands.identity.key().sign(&poll_message(&device_code));
    let body = Poll { device_code, signature: BASE64URL_NOPAD.encode(&signature) };
    hands.dial.send(&body).await?.read()
}

impl Registration {
    fn register(&mut self, asker: Asker, args: &Value, out: &mut Out<Job>) {
        match &self.state {
            State::Idle => {}
            State::Member { .. } if self.disowned => {}
            State::Member { membership, hub } => {
                let text = format!(
                    "this device is registered as {} at {}:{} already\nhint: qcloud-agent unregister",
                    membership.name, hub.host, hub.port
                );
                return out.answer(asker, Answer::failed(Exit::Failed, text));
            }
            State::Starting { .. } | State::Polling(_) => {
                let text = "a registration is under way\nhint: qcloud-agent status";
                return out.answer(asker, Answer::failed(Exit::Busy, text));
            }
        }
        match self.request(args) {
            Ok((hub, order)) => {
                if self.disowned {
                    // The place that the hub took away is given up on this side too.
                    self.owned(out);
                    out.emit(Event::Unregistered);
                }
                self.begin(Some(asker), hub, order, out);
            }
            Err(text) => out.answer(asker, Answer::failed(Exit::Usage, text)),
        }
    }

    fn begin(&mut self, asker: Option<Asker>, hub: HubAddress, order: Order, out: &mut Out<Job>) {
        out.emit(Event::HubChosen(hub.clone()));
        let ticket = out.run(Job::Start(order));
        self.state = State::Starting { asker, hub, ticket };
    }

    /// The hub knows this device, or it has no place there to be known at.
    fn owned(&mut self, out: &mut Out<Job>) {
        if core::mem::take(&mut self.disowned) {
            out.clear(&DISOWNED);
        }
    }

    fn wake(&mut self, now: Now, out: &mut Out<Job>) {
        if !matches!(self.state, State::Idle) {
            return self.poll(now, out);
        }
        let due = self.provision.as_mut().and_then(|p| Some((p.due(now)?, p.hub.clone())));
        if let Some((order, hub)) = due {
            self.begin(None, hub, order, out);
        }
    }

    fn request(&self, args: &Value) -> Result<(HubAddress, Order), String> {
        let arg = |name: &str| args.get(name).and_then(Value::as_str).map(String::from);
        let given = arg("hub");
        let pin = match &given {
            Some(_) => arg("hub-pin"),
            None => arg("hub-pin").or_else(|| self.config.hub_pin.clone()),
        };
        let known = given.or_else(|| self.config.hub.clone());
        let hub = match (known, &self.state) {
            (Some(hub), _) => url::parse(&hub, pin).map_err(|e| e.to_string())?,
            // A device that its hub does not know comes back to it, unless it is told otherwise.
            (None, State::Member { hub, .. }) => hub.clone(),
            (None, _) => {
                return Err("which hub?\nhint: qcloud-agent register --hub https://HOST".into());
            }
        };
        let name = arg("name").unwrap_or_else(|| "nas".into());
        let name = Label::parse(&name).map_err(|e| e.to_string())?;
        let key = arg("auth-key").map_or(KeyFrom::Nowhere, |key| KeyFrom::Given(AuthKey::new(key)));
        Ok((hub, Order { name: Some(name), key }))
    }

    fn unregister(&mut self, asker: Asker, out: &mut Out<Job>) {
        match &self.state {
            State::Member { .. } => out.forget(asker),
            State::Idle | State::Starting { .. } | State::Polling(_) => {
                let text = "this device is not registered";
                out.answer(asker, Answer::failed(Exit::Failed, text));
            }
        }
    }
}
