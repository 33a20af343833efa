//! Registration: gives the device a place at a hub, and takes it back.
//!
//! RFC 8628 in style: the device asks for a code, its owner approves the code at the hub after
//! comparing four check words, and the device, which polls with signatures of its key, gets a
//! certificate. The key never leaves the device, and the owner's password never reaches it.

pub(crate) mod url;

use crate::card::{Arg, ArgKind, Card, Exit, Switch, Verb};
use crate::clock::{Boot, Now};
use crate::daemon::dial::{Hands, exit_of, help_with};
use crate::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Event, Feature, HubAddress, Input, JobEnd, Out, Section,
    Ticket,
};
use crate::egress::outside::SendError;
use crate::wire::Body;
use crate::wire::label::{Label, printable};
use crate::wire::registration::{
    FORGET, Forget, Membership, POLL, Poll, Polled, START, Start, Started, check_words,
    poll_message,
};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Keeps this device's place at its hub.
pub struct Registration {
    config: Config,
    state: State,
}

/// `[registration]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The hub to use when `register` names none (a vendor's default).
    hub: Option<String>,
    /// Its pin.
    hub_pin: Option<String>,
}

/// Nothing: the house keeps the membership.
#[derive(Default, Serialize, Deserialize)]
pub struct Saved {}

enum State {
    Idle,
    Starting { asker: Asker, hub: HubAddress, ticket: Ticket },
    Polling(Box<Polling>),
    Member { membership: Arc<Membership>, hub: HubAddress },
}

struct Polling {
    asker: Asker,
    hub: HubAddress,
    started: Started,
    interval: Duration,
    until: Boot,
    next: Option<Boot>,
    ticket: Option<Ticket>,
}

/// What takes time: both need the key.
pub enum Job {
    /// Ask for a code.
    Start(Label),
    /// Ask whether it was approved.
    Poll(String),
}

/// What a job found.
pub enum Note {
    /// The hub gave a code; these are its check words.
    Started(Result<(Started, [String; 4]), SendError>),
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
        warnings: &[],
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
        Ok(Self { config, state: State::Idle })
    }

    fn handle(&mut self, input: Input<'_, Note>, now: Now, out: &mut Out<Job>) {
        match input {
            Input::Verb { asker, name: "register", args } => self.register(asker, args, out),
            Input::Verb { asker, name: "unregister", .. } => self.unregister(asker, out),
            Input::Done(ticket, Ok(Note::Started(result))) => {
                self.started(ticket, result, now, out)
            }
            Input::Done(ticket, Ok(Note::Polled(result))) => self.polled(ticket, result, now, out),
            Input::Done(ticket, Err(end)) => self.ended(ticket, end, out),
            Input::Wake => self.poll(now, out),
            Input::Event(Event::Registered(membership, hub)) => {
                self.state = State::Member { membership: Arc::clone(membership), hub: hub.clone() };
            }
            Input::Opened(_)
            | Input::Closing
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
            State::Idle | State::Starting { .. } | State::Member { .. } => None,
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
            Job::Start(name) => Note::Started(start(name, &hands).await),
            Job::Poll(device_code) => Note::Polled(poll(device_code, &hands).await),
        }
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.summary = match &self.state {
            State::Idle => "not registered".into(),
            State::Starting { hub, .. } => format!("asking {} for a code", hub.host),
            State::Polling(polling) => {
                format!("waiting for the owner to approve {}", polling.started.user_code)
            }
            State::Member { membership, hub } => {
                section.fact("name", membership.name.as_str());
                section.fact("zone", membership.zone.as_str());
                format!("registered as {} at {}:{}", membership.name, hub.host, hub.port)
            }
        };
    }
}

async fn start(name: Label, hands: &Hands<Note>) -> Result<(Started, [String; 4]), SendError> {
    let spki = hands.identity.key().spki();
    let body = Start { spki: BASE64URL_NOPAD.encode(spki), name };
    let started: Started = hands.dial.send(&body).await?.read()?;
    let challenge = BASE64URL_NOPAD
        .decode(started.challenge.as_bytes())
        .map_err(|_| SendError::NotUnderstood("its challenge is not base64url".into()))?;
    let words = check_words(&challenge, spki);
    Ok((started, words))
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
            Ok((hub, name)) => {
                out.emit(Event::HubChosen(hub.clone()));
                let ticket = out.run(Job::Start(name));
                self.state = State::Starting { asker, hub, ticket };
            }
            Err(text) => out.answer(asker, Answer::failed(Exit::Usage, text)),
        }
    }

    fn request(&self, args: &Value) -> Result<(HubAddress, Label), String> {
        let arg = |name: &str| args.get(name).and_then(Value::as_str).map(String::from);
        let given = arg("hub");
        let pin = match &given {
            Some(_) => arg("hub-pin"),
            None => arg("hub-pin").or_else(|| self.config.hub_pin.clone()),
        };
        let Some(hub) = given.or_else(|| self.config.hub.clone()) else {
            return Err("which hub?\nhint: qcloud-agent register --hub https://HOST".into());
        };
        let hub = url::parse(&hub, pin).map_err(|e| e.to_string())?;
        let name = arg("name").unwrap_or_else(|| "nas".into());
        let name = Label::parse(&name).map_err(|e| e.to_string())?;
        Ok((hub, name))
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

    fn started(
        &mut self,
        ticket: Ticket,
        result: Result<(Started, [String; 4]), SendError>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let State::Starting { asker, hub, ticket: asked } = &self.state else { return };
        if ticket != *asked {
            return;
        }
        let (asker, hub) = (*asker, hub.clone());
        match result {
            Ok((mut started, words)) => {
                started.user_code = printable(&started.user_code, 16);
                started.verification_uri = printable(&started.verification_uri, 200);
                out.answer(asker, invitation(&started, &words));
                let interval = Duration::from_secs(started.interval_seconds.clamp(1, 60));
                let life = Duration::from_secs(started.expires_in_seconds.min(3600));
                self.state = State::Polling(Box::new(Polling {
                    asker,
                    hub,
                    interval,
                    until: now.boot + life,
                    next: Some(now.boot + interval),
                    ticket: None,
                    started,
                }));
            }
            Err(error) => {
                let text = format!("cannot register: {error}\nhint: {}", help_with(&error));
                self.give_up(asker, Answer::failed(exit_of(&error), text), out);
            }
        }
    }

    fn poll(&mut self, now: Now, out: &mut Out<Job>) {
        let State::Polling(polling) = &mut self.state else { return };
        if now.boot >= polling.until {
            let text = "the code expired before it was approved\nhint: qcloud-agent register";
            let asker = polling.asker;
            return self.give_up(asker, Answer::failed(Exit::Failed, text), out);
        }
        polling.next = None;
        polling.ticket = Some(out.run(Job::Poll(polling.started.device_code.clone())));
    }

    fn polled(
        &mut self,
        ticket: Ticket,
        result: Result<Polled, SendError>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let State::Polling(polling) = &mut self.state else { return };
        if polling.ticket.take() != Some(ticket) {
            return;
        }
        let asker = polling.asker;
        match result {
            Ok(Polled::AuthorizationPending) => {}
            // RFC 8628 section 3.5: five seconds more, from here on.
            Ok(Polled::SlowDown) => polling.interval += Duration::from_secs(5),
            Ok(Polled::Approved(membership)) => {
                let hub = polling.hub.clone();
                return self.approved(asker, *membership, hub, out);
            }
            Ok(Polled::AccessDenied) => {
                let answer = Answer::failed(
                    Exit::Failed,
                    "the owner declined this device\nhint: qcloud-agent register",
                );
                return self.give_up(asker, answer, out);
            }
            Ok(Polled::ExpiredToken) => {
                let text = "the code expired before it was approved\nhint: qcloud-agent register";
                return self.give_up(asker, Answer::failed(Exit::Failed, text), out);
            }
            Err(error) if error.is_final() => {
                let text = format!("cannot register: {error}\nhint: {}", help_with(&error));
                return self.give_up(asker, Answer::failed(exit_of(&error), text), out);
            }
            // RFC 8628 section 3.5: an unreachable hub is asked again, at a slower pace.
            Err(_) => polling.interval = (polling.interval * 2).min(Duration::from_secs(60)),
        }
        polling.next = Some(now.boot + polling.interval);
    }

    fn approved(
        &mut self,
        asker: Asker,
        membership: Membership,
        hub: HubAddress,
        out: &mut Out<Job>,
    ) {
        let text = format!(
            "registered as {} at {}:{}\nnext: qcloud-agent ddns on, qcloud-agent link on",
            membership.name, hub.host, hub.port
        );
        let json = json!({
            "name": membership.name,
            "zone": membership.zone,
            "ddns_host": membership.ddns_host(),
            "link_host": membership.link_host(),
            "receipt_key": membership.receipt_key,
        });
        out.emit(Event::Registered(Arc::new(membership), hub));
        out.answer(asker, Answer::done(text, json));
    }

    fn ended(&mut self, ticket: Ticket, _: JobEnd, out: &mut Out<Job>) {
        let asker = match &self.state {
            State::Starting { asker, ticket: asked, .. } if *asked == ticket => *asker,
            State::Polling(polling) if polling.ticket == Some(ticket) => polling.asker,
            State::Idle | State::Starting { .. } | State::Polling(_) | State::Member { .. } => {
                return;
            }
        };
        self.give_up(
            asker,
            Answer::failed(Exit::Failed, "the registration broke off\nhint: qcloud-agent register"),
            out,
        );
    }

    /// Back to nothing: the hub is no longer ours to talk to.
    fn give_up(&mut self, asker: Asker, answer: Answer, out: &mut Out<Job>) {
        self.state = State::Idle;
        out.emit(Event::Unregistered);
        out.answer(asker, answer);
    }
}

fn invitation(started: &Started, words: &[String; 4]) -> Answer {
    let Started { user_code: code, verification_uri: uri, .. } = started;
    let words = words.join(" ");
    let operator = started.operator.clone().unwrap_or_default();
    let said = |text: &str| if text.is_empty() { "not told by the hub" } else { text }.to_owned();
    let (contact, region) = (said(&operator.contact), said(&operator.region));
    let text = format!(
        "To approve this device:\n\n    {uri}\n\ncode         {code}\ncheck words  {words}\n\nrun by       {contact}\nstands in    {region}\n\nApprove only if the hub shows the same four words. Waiting …"
    );
    let json = json!({
        "user_code": code,
        "verification_uri": uri,
        "check_words": words,
        "operator": started.operator,
    });
    Answer::progress(text, json)
}
