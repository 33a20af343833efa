//! Link: makes published services of this box reachable by name through any NAT.
//!
//! A standing session to the hub brings visitors in. Their TLS ends here, on the device: the hub sees
//! a name, addresses and byte counts, and forwards what it cannot read.

mod serve;
pub(crate) mod services;
mod told;
mod verbs;

use crate::card::{Arg, ArgKind, Card, Parcel, Switch, Verb, Warning};
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    BadConfig, Depth, Event, Feature, Input, Opening, Out, Section, Ticket,
};
use crate::egress::backoff::Backoff;
use crate::egress::outside::{SendError, UNKNOWN_WAIT};
use crate::wire::Body;
use crate::wire::label::Label;
use crate::wire::link::{self as wire, FORGET, Forget, ORIGIN, SERVICES, SESSION};
use core::net::IpAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use serde_json::json;
use services::Services;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;
use told::{Telling, UNTOLD};

static DOWN: Warning = Warning {
    code: "link-down",
    title: "This device cannot be reached through the hub",
    hint: "qcloud-agent link status",
};

/// While the hub is away: quickly at first, since most outages are restarts, then ever more slowly.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_SOON: Duration = Duration::from_millis(1500);
const RETRY_MOST: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(60);
/// What the first dials of agents that start together are spread over.
const START_SPREAD: Duration = Duration::from_secs(1);
/// Visits kept for `link status`.
const VISITS_KEPT: usize = 50;

/// Keeps the session and knows what is published.
pub struct Link {
    heartbeat: Duration,
    configured: Services,
    own: Services,
    published: watch::Sender<Services>,
    host: Option<String>,
    state: State,
    soon: Backoff,
    later: Backoff,
    down_since: Option<Boot>,
    not_before: Option<Boot>,
    offline: bool,
    certificate: Option<Certificate>,
    visits: VecDeque<Visit>,
    telling: Telling,
}

enum State {
    Idle,
    /// The box has no network: it is told when it has.
    Offline,
    Dialling(Ticket),
    Up {
        ticket: Ticket,
        epoch: u64,
    },
    /// `until` is `None` while only a decision of the owner can change anything.
    Waiting {
        until: Option<Boot>,
        why: String,
    },
}

/// `[link]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seconds between two signs of life while nobody visits, 1 to 60. A NAT forgets a silent UDP flow
    /// after 30 to 60 s in practice (RFC 4787 asks for two minutes).
    heartbeat_seconds: u64,
    /// What is published from the start: `publish.NAME = "http://HOST:PORT"`.
    publish: BTreeMap<Label, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { heartbeat_seconds: 25, publish: BTreeMap::new() }
    }
}

/// What the owner published by command, and what the hub knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    published: BTreeMap<Label, String>,
    /// What the hub last confirmed of it.
    #[serde(default)]
    told: Vec<wire::Service>,
}

/// The certificate of the link name, made on this device.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// `sha256:HEX`.
    fingerprint: String,
    /// PEM, for whoever wants to pin it.
    pem: String,
}

/// One visit, as the device's own log keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct Visit {
    service: String,
    from: IpAddr,
    to_visitor: u64,
    from_visitor: u64,
    seconds: u64,
    ended: String,
}

/// The one job: keep the session and serve its visitors.
pub struct Job {
    host: String,
    heartbeat: Duration,
    published: watch::Receiver<Services>,
}

/// What the job tells.
pub enum Note {
    /// The certificate visitors will see.
    Certificate(Certificate),
    /// The session stands.
    Up {
        /// Counts this device's sessions.
        epoch: u64,
        /// The address the hub sees.
        observed: IpAddr,
    },
    /// The hub sees another address.
    Observed(IpAddr),
    /// A visitor left.
    Visited(Visit),
    /// The session is over.
    Down(SendError),
}

impl Feature for Link {
    const CARD: Card = Card {
        name: "link",
        promise: "makes the services you publish reachable at NAME.link.ZONE, through any NAT, unread by the hub",
        promises: &["S14", "L5", "M1", "M2", "B2", "Y2"],
        switch: Switch::OnOff,
        parcels: &[&SESSION, &SERVICES, &ORIGIN],
        forget: Some(&FORGET),
        warnings: &[&DOWN, &UNTOLD],
        verbs: &[
            Verb {
                name: "publish",
                about: "Make a service of this box reachable from outside",
                args: &[
                    Arg {
                        name: "name",
                        about: "Its name; `web` answers at the bare name too",
                        kind: ArgKind::Positional,
                    },
                    Arg {
                        name: "url",
                        about: "Where it listens: http://HOST:PORT",
                        kind: ArgKind::Positional,
                    },
                ],
                top: false,
            },
            Verb {
                name: "unpublish",
                about: "Make it unreachable from outside again, and end its visits",
                args: &[Arg { name: "name", about: "Its name", kind: ArgKind::Positional }],
                top: false,
            },
            Verb {
                name: "certificate",
                about: "Print the certificate that visitors see",
                args: &[],
                top: false,
            },
        ],
    };
    type Config = Config;
    type Saved = Saved;
    type Job = Job;
    type Note = Note;

    fn open(config: Config, saved: Saved, _: Now) -> Result<Self, BadConfig> {
        let bad = |why: String| BadConfig::new("link", why);
        if !(1..=60).contains(&config.heartbeat_seconds) {
            return Err(bad(format!(
                "heartbeat_seconds: {} is not 1 to 60",
                config.heartbeat_seconds
            )));
        }
        let configured =
            Services::parse(&config.publish).map_err(|e| bad(format!("publish: {e}")))?;
        // What is saved was checked when it was typed; a hand that edited it is told so.
        let own = Services::parse(&saved.published).map_err(|e| bad(format!("saved: {e}")))?;
        Ok(Self {
            heartbeat: Duration::from_secs(config.heartbeat_seconds),
            published: watch::Sender::new(configured.with(&own)),
            configured,
            own,
            host: None,
            state: State::Idle,
            soon: Backoff::new(RETRY_FIRST, RETRY_SOON),
            later: Backoff::new(RETRY_SOON, RETRY_MOST),
            down_since: None,
            not_before: None,
            offline: false,
            certificate: None,
            visits: VecDeque::new(),
            telling: Telling::new(saved.told),
        })
    }

    fn handle(&mut self, input: Input<'_, Note>, now: Now, out: &mut Out<Job>) {
        match input {
            Input::Closing => return,
            Input::Event(Event::Registered(membership, _)) => {
                self.move_to(membership.link_host(), now, out);
            }
            Input::Event(Event::Unregistered) => self.part(out),
            Input::Wake if self.is_due(now) => self.dial(out),
            Input::Event(Event::Addresses(addresses)) => {
                self.offline = addresses.is_offline();
                self.redial(now, out);
            }
            Input::Event(Event::Resumed | Event::WallClockSet) => self.redial(now, out),
            Input::Event(Event::RulesChanged(_)) => {
                self.telling.anew(now);
                if self.is_refused() {
                    self.dial(out);
                }
            }
            Input::Event(Event::Restricted("link", false)) => self.telling.anew(now),
            Input::Reply(ticket, result) => self.telling.replied(ticket, result, now, out),
            Input::Note(ticket, note) | Input::Done(ticket, Ok(note))
                if self.is_current(ticket) =>
            {
                self.note(note, now, out);
            }
            Input::Done(ticket, Err(_)) if self.is_current(ticket) => {
                self.down("the session's job broke off".into(), None, now, out);
            }
            Input::Verb { asker, name: "publish", args } => self.publish(asker, args, out),
            Input::Verb { asker, name: "unpublish", args } => self.unpublish(asker, args, out),
            Input::Verb { asker, name: "certificate", .. } => self.show_certificate(asker, out),
            // After a power cut a thousand agents start together.
            Input::Opened(Opening::Started) => {
                self.not_before = Some(now.boot + START_SPREAD.mul_f64(now.fraction()));
            }
            Input::Opened(Opening::Wanted) => self.dial(out),
            Input::Opened(Opening::Left)
            | Input::Wake
            | Input::Note(..)
            | Input::Done(..)
            | Input::Verb { .. }
            | Input::Event(
                Event::HubChosen(_)
                | Event::Observed(_)
                | Event::CertificateExpired
                | Event::Disowned
                | Event::Restricted(..)
                | Event::LicenseChanged(..)
                | Event::Quarantined(_)
                | Event::Suspected(_)
                | Event::SameBoard
                | Event::Anew(_),
            ) => {}
        }
        if let Some(wanted) = self.wanted() {
            self.telling.push(wanted, now, out);
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        let dial = match &self.state {
            State::Waiting { until, .. } => until.map(|until| (until, "dial the hub again")),
            State::Idle | State::Offline | State::Dialling(_) | State::Up { .. } => None,
        };
        dial.into_iter().chain(self.telling.next_wake()).min()
    }

    fn save(&self) -> Saved {
        Saved { published: self.own.to_texts(), told: self.telling.confirmed().to_vec() }
    }

    fn forget(_: &Config, _: &Saved, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    fn preview(&self, parcel: &Parcel) -> Option<Body> {
        let services = self.wanted().filter(|_| *parcel == SERVICES)?;
        Some(Body::of(&wire::Services { services }))
    }

    async fn work(job: Job, hands: Hands<Note>) -> Note {
        Note::Down(serve::serve(job, &hands).await)
    }

    fn report(&self, _: Depth, section: &mut Section) {
        let services = self.published.borrow();
        section.fact("host", self.host.clone());
        section.fact("up", matches!(self.state, State::Up { .. }));
        section.fact("published", json!(services.to_texts()));
        section.fact("certificate", self.certificate.as_ref().map(|c| c.fingerprint.clone()));
        section.fact("visits", json!(self.visits));
        let host = self.host.as_deref().unwrap_or_default();
        section.summary = match &self.state {
            State::Idle => "waits for this device to be registered".into(),
            State::Offline => "waits for the box to have a network".into(),
            State::Dialling(_) => "dials the hub".into(),
            State::Waiting { why, .. } => format!("not reachable: {why}"),
            State::Up { .. } if services.is_empty() => {
                "the session stands, and nothing is published".into()
            }
            State::Up { epoch, .. } => {
                section.fact("epoch", *epoch);
                format!("https://{host} stands; published: {}", services.names())
            }
        };
    }
}

impl Link {
    /// What the hub is to know of the services, once this device has a name there.
    fn wanted(&self) -> Option<Vec<wire::Service>> {
        self.host.as_deref().map(|host| self.published.borrow().shown(host))
    }

    /// Dials for the first time, or waits until the start is spread.
    fn begin(&mut self, now: Now, out: &mut Out<Job>) {
        match self.not_before.filter(|at| *at > now.boot) {
            Some(until) => {
                let why = "the agent has just started".into();
                self.state = State::Waiting { until: Some(until), why };
            }
            None => self.dial(out),
        }
    }

    fn dial(&mut self, out: &mut Out<Job>) {
        // Without a place at a hub there is nobody to be reached through (promise Q1).
        let unregistered = || crate::sabotage::off("registered-first").then(String::new);
        let Some(host) = self.host.clone().or_else(unregistered) else { return };
        if self.offline {
            self.state = State::Offline;
        } else if matches!(self.state, State::Idle | State::Offline | State::Waiting { .. }) {
            let job =
                Job { host, heartbeat: self.heartbeat, published: self.published.subscribe() };
            self.state = State::Dialling(out.run(job));
        }
    }

    /// Takes a name; a session that stands under another one is left for a new one.
    fn move_to(&mut self, host: String, now: Now, out: &mut Out<Job>) {
        if self.host.as_ref().is_some_and(|before| *before != host) {
            self.leave(out);
        }
        self.host = Some(host);
        if matches!(self.state, State::Idle) || self.is_refused() {
            self.begin(now, out);
        } else {
            // The hub is there, and what it turned away it may take now.
            self.redial(now, out);
        }
    }

    /// Whether the wait for the next dial is over.
    fn is_due(&self, now: Now) -> bool {
        matches!(self.state, State::Waiting { until: Some(at), .. } if at <= now.boot)
    }

    /// Whether only a decision of the owner can change anything.
    fn is_refused(&self) -> bool {
        matches!(self.state, State::Waiting { until: None, .. })
    }

    /// Dials at once if a failure made it wait; a session that stands is probed by the house.
    fn redial(&mut self, now: Now, out: &mut Out<Job>) {
        let asked_to_wait = self.not_before.is_some_and(|at| now.boot < at);
        if !asked_to_wait {
            self.telling.hurry(now);
        }
        let failed = matches!(self.state, State::Waiting { until: Some(_), .. });
        match &self.state {
            State::Offline if !self.offline => match self.not_before.filter(|_| asked_to_wait) {
                Some(until) => {
                    let why = "the hub asked to wait".into();
                    self.state = State::Waiting { until: Some(until), why };
                }
                None => self.dial(out),
            },
            State::Waiting { .. }
                if failed && self.down_since.is_some() && (self.offline || !asked_to_wait) =>
            {
                self.dial(out);
            }
            State::Idle
            | State::Offline
            | State::Dialling(_)
            | State::Up { .. }
            | State::Waiting { .. } => {}
        }
    }

    fn leave(&mut self, out: &mut Out<Job>) {
        if let State::Dialling(ticket) | State::Up { ticket, .. } = &self.state {
            out.cancel(*ticket);
        }
        self.host = None;
        self.certificate = None;
        self.down_since = None;
        // Another hub asked for it.
        self.not_before = None;
        self.state = State::Idle;
        out.clear(&DOWN);
    }

    fn is_current(&self, asked: Ticket) -> bool {
        match &self.state {
            State::Dialling(ticket) | State::Up { ticket, .. } => *ticket == asked,
            State::Idle | State::Offline | State::Waiting { .. } => false,
        }
    }

    fn note(&mut self, note: Note, now: Now, out: &mut Out<Job>) {
        match note {
            Note::Certificate(certificate) => self.certificate = Some(certificate),
            Note::Up { epoch, observed } => {
                if let State::Dialling(ticket) = self.state {
                    self.state = State::Up { ticket, epoch };
                }
                self.soon.succeed();
                self.later.succeed();
                self.down_since = None;
                self.telling.hurry(now);
                out.clear(&DOWN);
                out.emit(Event::Quarantined(false));
                out.emit(Event::Observed(observed));
                tracing::info!(epoch, "the session to the hub stands");
            }
            Note::Observed(address) => out.emit(Event::Observed(address)),
            Note::Visited(visit) => {
                if self.visits.len() >= VISITS_KEPT {
                    self.visits.pop_front();
                }
                self.visits.push_back(visit);
            }
            Note::Down(error @ SendError::Refused(_)) if error.is_final() => {
                out.raise(&DOWN, error.to_string());
                self.state = State::Waiting { until: None, why: error.to_string() };
            }
            Note::Down(error) if error.is_unknown_device() => {
                self.not_before = Some(now.boot + UNKNOWN_WAIT);
                self.down(error.to_string(), Some(UNKNOWN_WAIT), now, out);
                out.emit(Event::Disowned);
            }
            Note::Down(error) => {
                if error == SendError::CertificateExpired {
                    out.emit(Event::CertificateExpired);
                }
                if matches!(error, SendError::Quarantined { .. }) {
                    out.emit(Event::Quarantined(true));
                }
                self.not_before = error.retry_after().map(|wait| now.boot + wait);
                self.down(error.to_string(), error.retry_after(), now, out);
            }
        }
    }

    fn down(&mut self, why: String, at_least: Option<Duration>, now: Now, out: &mut Out<Job>) {
        if self.down_since.is_none() {
            tracing::info!(%why, "the session to the hub is down");
        }
        let since = *self.down_since.get_or_insert(now.boot);
        let backoff = if now.boot - since < SOON { &mut self.soon } else { &mut self.later };
        let until = Some(now.boot + backoff.fail(now, at_least));
        tracing::debug!(%why, "the session to the hub does not stand");
        out.raise(&DOWN, why.clone());
        self.state = if self.offline { State::Offline } else { State::Waiting { until, why } };
    }
}
