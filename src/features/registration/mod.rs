//! Registration: gives the device a place at a hub, and takes it back.
//!
//! RFC 8628 in style: the device asks for a code, its owner approves the code at the hub after
//! comparing four check words, and the device, which polls with signatures of its key, gets a
//! certificate. The key never leaves the device, and the owner's password never reaches it.
//! What comes after that, [`renewal`] and [`rekey`] do.

mod anew;
mod asked;
mod course;
mod fleet;
pub mod rekey;
pub mod renewal;
pub(crate) mod url;

use crate::card::{Arg, ArgKind, Card, Switch, Verb, Warning};
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Event, Feature, HubAddress, Input, Out, Section, Ticket,
};
use crate::egress::outside::SendError;
use crate::wire::Body;
use crate::wire::label::Label;
use crate::wire::registration::{
    ABOUT, FORGET, Forget, Membership, Operator, POLL, Poll, Polled, REKEY, RENEW, START, Started,
    poll_message,
};
use anew::{ASIDE, Way, chosen};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use fleet::{Begun, Order, Provision, StartError, UNPROVISIONED};
use rekey::{Rekey, Stage};
use renewal::{Renewal, Trouble};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

static RENEWAL: Warning = Warning {
    code: "registration-renewal",
    title: "This device's certificate is not renewed",
    hint: "qcloud-agent status",
};

static CLONED: Warning = Warning {
    code: "registration-cloned",
    title: "Another copy of this device's identity exists, and the hub serves neither",
    hint: "qcloud-agent register --fork",
};

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
    rekey: Rekey,
    /// The hub has set this device aside.
    cloned: bool,
    /// This is another board than the key was made on.
    suspected: bool,
    /// The hub this device has, or had, a place at.
    hub: Option<HubAddress>,
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

/// How far a rekey has come, and whether the hub has set this device aside; the house keeps the membership.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    rekey: Option<Stage>,
    cloned: bool,
}

enum State {
    Idle,
    Starting {
        asker: Option<Asker>,
        hub: HubAddress,
        ticket: Ticket,
    },
    /// The identity is being changed. With a hub, the device is registered there afterwards.
    Changing {
        asker: Asker,
        hub: Option<HubAddress>,
        ticket: Ticket,
        before: Box<State>,
    },
    Polling(Box<Polling>),
    Member(Box<Member>),
}

struct Member {
    membership: Arc<Membership>,
    hub: HubAddress,
    renewal: Renewal,
    /// The renewal or rekey that is asked for just now.
    under_way: Option<Ticket>,
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

/// What takes time: all of it needs the key.
pub enum Job {
    /// Make another one, and choose a name unless there is one.
    BeginAnew(Option<Label>),
    /// Take the board as it is now for its own.
    KeepBoard,
    /// Ask for a code.
    Start(Order),
    /// Ask whether it was approved.
    Poll(String),
    /// Ask for another certificate.
    Renew(Arc<Membership>),
    /// Ask for a certificate of the next key.
    Rekey(Arc<Membership>),
}

/// What a job found.
pub enum Note {
    /// The new id, and the name to ask for.
    Anew(Result<(String, Label), String>),
    /// The board is noted.
    BoardKept(Result<(), String>),
    /// The hub asks to wait this long before it gives a code.
    Waiting(Duration),
    /// The hub says who runs it, before it is asked for anything else.
    Operator(Operator),
    /// The hub gave a code.
    Started(Result<Begun, StartError>),
    /// The hub said how it stands.
    Polled(Result<Polled, SendError>),
    /// The hub gave another certificate.
    Renewed(Result<Membership, Trouble>),
    /// The hub gave one for the next key.
    Rekeyed(Result<Membership, Trouble>),
}

impl Feature for Registration {
    const CARD: Card = Card {
        name: "registration",
        promise: "gives this device a name and a certificate at your hub, until you unregister it",
        promises: &["S2", "R3"],
        switch: Switch::Always,
        parcels: &[&ABOUT, &START, &POLL, &RENEW, &REKEY],
        forget: Some(&FORGET),
        warnings: &[&RENEWAL, &CLONED, &DISOWNED, &UNPROVISIONED],
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
                        name: "fork",
                        about: "This box is the copy of another one: become a device of its own",
                        kind: ArgKind::Flag,
                    },
                    Arg {
                        name: "keep",
                        about: "This is the same box, and its mainboard was changed: go on",
                        kind: ArgKind::Flag,
                    },
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
            Verb {
                name: "rekey",
                about: "Give this device a new key, and have the hub take the old one no more",
                args: &[],
                top: true,
            },
        ],
    };
    type Config = Config;
    type Saved = Saved;
    type Job = Job;
    type Note = Note;

    fn open(config: Config, saved: Saved, now: Now) -> Result<Self, BadConfig> {
        if let Some(hub) = &config.hub {
            url::parse(hub, config.hub_pin.clone())
                .map_err(|e| BadConfig::new("registration", format!("hub: {e}")))?;
        }
        let Saved { rekey, cloned } = saved;
        let rekey = Rekey::new(rekey, now);
        let provision = Provision::of(&config)?;
        Ok(Self {
            config,
            state: State::Idle,
            rekey,
            cloned,
            suspected: false,
            hub: None,
            provision,
            disowned: false,
        })
    }

    fn handle(&mut self, input: Input<'_, Note>, now: Now, out: &mut Out<Job>) {
        match input {
            Input::Verb { asker, name: "register", args } => match chosen(args) {
                Ok(Way::Usual) => self.register(asker, args, out),
                Ok(Way::Fork) => self.fork(asker, args, out),
                Ok(Way::Keep) => self.keep(asker, out),
                Err(answer) => out.answer(asker, answer),
            },
            Input::Verb { asker, name: "unregister", .. } => self.unregister(asker, out),
            Input::Verb { asker, name: "rekey", .. } => self.begin_rekey(asker, now, out),
            Input::Done(ticket, Ok(note)) => self.found(ticket, note, now, out),
            Input::Done(ticket, Err(end)) => self.ended(ticket, end, now, out),
            Input::Note(ticket, Note::Waiting(wait)) => self.waiting(ticket, wait, out),
            Input::Note(ticket, Note::Operator(operator)) => {
                self.introduced(ticket, &operator, out);
            }
            Input::Wake => self.wake(now, out),
            Input::Opened(why) => {
                self.provision.iter_mut().for_each(|p| p.opened(why, now));
                if self.cloned {
                    out.raise(&CLONED, ASIDE);
                }
            }
            Input::Event(event) => self.heard(event, now, out),
            Input::Closing | Input::Note(..) | Input::Reply(..) | Input::Verb { .. } => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        match &self.state {
            State::Polling(polling) => {
                polling.next.map(|at| (at, "ask the hub whether the code was approved"))
            }
            State::Member(member) if member.under_way.is_none() => {
                let renewal = (member.renewal.due(), "renew this device's certificate");
                let rekey = self.rekey.due().map(|at| (at, "go on with this device's new key"));
                Some(rekey.into_iter().fold(renewal, Ord::min))
            }
            State::Idle if !self.suspected => {
                let next = self.provision.as_ref().and_then(Provision::next);
                next.map(|at| (at, "register with the auth key of the configuration"))
            }
            State::Idle | State::Starting { .. } | State::Changing { .. } | State::Member(_) => {
                None
            }
        }
    }

    fn save(&self) -> Saved {
        self.saved()
    }

    fn forget(_: &Config, _: &Saved, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    async fn work(job: Job, hands: Hands<Note>) -> Note {
        match job {
            Job::BeginAnew(name) => Note::Anew(anew::begin(name, &hands)),
            Job::KeepBoard => Note::BoardKept(anew::keep_board(&hands)),
            Job::Start(order) => Note::Started(fleet::start(order, &hands).await),
            Job::Poll(device_code) => Note::Polled(poll(device_code, &hands).await),
            Job::Renew(membership) => Note::Renewed(renewal::renew(&membership, &hands).await),
            Job::Rekey(membership) => Note::Rekeyed(rekey::ask(&membership, &hands).await),
        }
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.summary = match &self.state {
            State::Idle if self.suspected => {
                "clone suspected: the key of this device is not used".into()
            }
            State::Idle if self.provision.as_ref().is_some_and(|p| p.next().is_some()) => {
                "not registered; it registers with its auth key".into()
            }
            State::Idle => "not registered".into(),
            State::Changing { .. } => "changing the identity of this device".into(),
            State::Starting { hub, .. } => format!("asking {} for a code", hub.host),
            State::Polling(polling) => {
                format!("waiting for the owner to approve {}", polling.started.user_code)
            }
            State::Member(member) => self.tell(member, section),
        };
    }
}

async fn poll(device_code: String, hands: &Hands<Note>) -> Result<Polled, SendError> {
    let signature = hands.identity.key().sign(&poll_message(&device_code));
    let body = Poll { device_code, signature: BASE64URL_NOPAD.encode(&signature) };
    hands.dial.send(&body).await?.read()
}

impl Registration {
    fn found(&mut self, ticket: Ticket, note: Note, now: Now, out: &mut Out<Job>) {
        match note {
            Note::Started(result) => self.started(ticket, result, now, out),
            Note::Polled(result) => self.polled(ticket, result, now, out),
            Note::Anew(result) => self.changed(ticket, result, out),
            Note::BoardKept(result) => self.kept(ticket, result, out),
            Note::Renewed(result) => self.renewed(ticket, result, now, out),
            Note::Rekeyed(result) => self.rekeyed(ticket, result, now, out),
            Note::Waiting(_) | Note::Operator(_) => {}
        }
    }

    fn heard(&mut self, event: &Event, now: Now, out: &mut Out<Job>) {
        match event {
            Event::Quarantined(cloned) => self.set_cloned(*cloned, out),
            Event::Suspected(hub) => {
                self.suspected = true;
                self.hub.clone_from(hub);
            }
            Event::Registered(membership, hub) => {
                self.hub = Some(hub.clone());
                self.place(membership, hub, now);
                self.provision.iter_mut().for_each(Provision::settled);
                self.owned(out);
                out.clear(&UNPROVISIONED);
            }
            Event::Disowned if matches!(self.state, State::Member(_)) => {
                self.disowned = true;
                out.raise(&DISOWNED, "it refuses this device's key");
            }
            Event::Observed(_) => self.owned(out),
            Event::WallClockSet => {
                self.member().iter_mut().for_each(|member| member.renewal.plan(now));
            }
            Event::RulesChanged(name) if *name == Self::CARD.name => {
                self.member().iter_mut().for_each(|member| member.renewal.may_pass(now));
            }
            Event::CertificateExpired => {
                self.member().iter_mut().for_each(|member| member.renewal.is_over_by_word(now));
            }
            Event::HubChosen(_)
            | Event::Unregistered
            | Event::Disowned
            | Event::Addresses(_)
            | Event::Resumed
            | Event::Restricted(..)
            | Event::LicenseChanged(..)
            | Event::SameBoard
            | Event::Anew(_)
            | Event::RulesChanged(_) => {}
        }
    }

    /// Takes a place, or another certificate for the one there is.
    fn place(&mut self, membership: &Arc<Membership>, hub: &HubAddress, now: Now) {
        let until = membership.certificate_until;
        if let Some(member) = self.member() {
            member.renewal.follow(until, now);
            member.membership = Arc::clone(membership);
            member.hub = hub.clone();
            return;
        }
        self.state = State::Member(Box::new(Member {
            membership: Arc::clone(membership),
            hub: hub.clone(),
            renewal: Renewal::new(until, now),
            under_way: None,
        }));
    }

    fn tell(&self, member: &Member, section: &mut Section) -> String {
        let Member { membership, hub, renewal, .. } = member;
        section.fact("name", membership.name.as_str());
        section.fact("zone", membership.zone.as_str());
        section.fact("quarantined", self.cloned);
        section.fact("known_to_hub", !self.disowned);
        let (until, renewed) = renewal.text().unzip();
        section.fact("certificate_until", until);
        section.fact("renewal_at", renewed);
        section.fact("renewal_failed", renewal.why.clone());
        section.fact("rekey", json!(self.rekey.stage));
        let under_way = if self.rekey.stage.is_some() { "; a new key is under way" } else { "" };
        let aside = if self.cloned { "quarantined; " } else { "" };
        let Membership { name, .. } = membership.as_ref();
        let lost = if self.disowned { ", which does not know this device" } else { "" };
        format!("{aside}registered as {name} at {}:{}{lost}{under_way}", hub.host, hub.port)
    }
}
