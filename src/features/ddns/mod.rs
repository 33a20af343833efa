//! DDNS: keeps `NAME.ZONE` answering with this device's address, by events and never by polling.
//!
//! The kernel tells of the box's own addresses; the hub tells, over the standing session where
//! there is one, the address it sees. An update is sent when what shall stand in DNS differs from
//! what the hub last confirmed, and at no other time.

use crate::card::{Card, Switch, Warning};
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    BadConfig, Depth, Event, Feature, Input, NoJob, Out, Section, Ticket,
};
use crate::egress::backoff::Backoff;
use crate::egress::outside::{Reply, SendError, UNKNOWN_WAIT};
use crate::platform::netlink::Addresses;
use crate::wire::Body;
use crate::wire::address::publishable;
use crate::wire::ddns::{Answer, FORGET, Forget, UPDATE, Update, Updated};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

static STALE: Warning = Warning {
    code: "ddns-stale",
    title: "The public name may point to an old address",
    hint: "qcloud-agent ddns status",
};

/// A failed update is tried again after 5 s, doubling to 10 min: a line that comes back is soon right, and
/// one that stays away costs six tries an hour. A change of address tries at once.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(600);
/// A line that flaps is slowed down: above this many updates in ten minutes, one in two minutes.
const FLAPPING: usize = 10;
const FLAP_WINDOW: Duration = Duration::from_secs(600);
const FLAP_WAIT: Duration = Duration::from_secs(120);

/// Keeps the name right.
pub struct Ddns {
    policy: Policy,
    host: Option<String>,
    addresses: Option<Arc<Addresses>>,
    observed: Observed,
    confirmed: Option<Confirmed>,
    pending: Option<(Ticket, Update)>,
    /// The hub said no for good to this; only a change asks again.
    declined: Option<Update>,
    backoff: Backoff,
    wake: Option<(Boot, &'static str)>,
    /// The hub asked us to wait until then; no new address shortens that.
    not_before: Option<Boot>,
    sent: VecDeque<Boot>,
}

/// `[ddns]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where addresses come from.
    addresses: Policy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    /// The box's own public addresses; for IPv4 behind a NAT the one the hub sees.
    #[default]
    Auto,
    /// Only what the hub sees.
    Observed,
    /// Only the box's own.
    Interfaces,
}

/// What the hub last confirmed, so that a restart without a change sends nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    confirmed: Option<Confirmed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmed {
    update: Update,
    answer: Updated,
}

impl Feature for Ddns {
    const CARD: Card = Card {
        name: "ddns",
        promise: "keeps NAME.ZONE answering with this device's address",
        promises: &["D2", "D5"],
        switch: Switch::OnOff,
        parcels: &[&UPDATE],
        forget: Some(&FORGET),
        warnings: &[&STALE],
        verbs: &[],
    };
    type Config = Config;
    type Saved = Saved;
    type Job = NoJob;
    type Note = NoJob;

    fn open(config: Config, saved: Saved, _: Now) -> Result<Self, BadConfig> {
        Ok(Self {
            policy: config.addresses,
            host: None,
            addresses: None,
            observed: Observed::default(),
            confirmed: saved.confirmed,
            pending: None,
            declined: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            wake: None,
            not_before: None,
            sent: VecDeque::new(),
        })
    }

    fn handle(&mut self, input: Input<'_, NoJob>, now: Now, out: &mut Out<NoJob>) {
        match input {
            Input::Event(Event::Registered(membership, _)) => {
                self.host = Some(membership.ddns_host());
                // The hub is there, and what it turned away it may take now.
                self.wake = None;
            }
            Input::Event(Event::Unregistered) => {
                self.host = None;
                self.confirmed = None;
                self.declined = None;
                // What is still under way is the old hub's answer.
                self.pending = None;
                self.wake = None;
                self.not_before = None;
                out.clear(&STALE);
                out.save();
            }
            Input::Event(Event::Addresses(addresses)) => {
                self.addresses = Some(Arc::clone(addresses));
                self.wake = None;
            }
            Input::Event(Event::Observed(address)) => self.observed.note(*address),
            Input::Event(Event::Resumed | Event::WallClockSet) | Input::Wake => self.wake = None,
            Input::Event(Event::Restricted(name, false) | Event::RulesChanged(name))
                if *name == Self::CARD.name =>
            {
                // What stands in DNS may be more, or less, than may be sent now: it is sent anew.
                self.confirmed = None;
                self.declined = None;
                self.pending = None;
                self.wake = None;
            }
            Input::Reply(ticket, result) => self.replied(ticket, result, now, out),
            Input::Opened(_)
            | Input::Closing
            | Input::Note(..)
            | Input::Done(..)
            | Input::Verb { .. }
            | Input::Event(
                Event::HubChosen(_)
                | Event::CertificateExpired
                | Event::Disowned
                | Event::Restricted(..)
                | Event::LicenseChanged(..)
                | Event::Quarantined(_)
                | Event::Suspected(_)
                | Event::SameBoard
                | Event::Anew(_)
                | Event::RulesChanged(_),
            ) => return,
        }
        self.push(now, out);
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        self.wake
    }

    fn save(&self) -> Saved {
        Saved { confirmed: self.confirmed }
    }

    fn forget(_: &Config, _: &Saved, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    fn preview(&self, parcel: &crate::card::Parcel) -> Option<Body> {
        (*parcel == UPDATE).then(|| self.wanted()).flatten().map(|update| Body::of(&update))
    }

    async fn work(job: NoJob, _: Hands<NoJob>) -> NoJob {
        job
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.fact("host", self.host.clone());
        let answer = self.confirmed.map(|confirmed| confirmed.answer);
        section.fact("a", answer.and_then(|a| a.a).map(|a| a.to_string()));
        section.fact("aaaa", answer.and_then(|a| a.aaaa).map(|a| a.to_string()));
        section.summary = match (&self.host, answer) {
            (None, _) => "waits for this device to be registered".into(),
            (Some(host), None) => format!("{host} does not answer yet"),
            (Some(host), Some(Updated { a: None, aaaa: None, .. })) => {
                format!("{host} has no address that may be published")
            }
            (Some(host), Some(Updated { a, aaaa, .. })) => {
                let a = a.map(|a| a.to_string());
                let texts: Vec<_> = a.into_iter().chain(aaaa.map(|a| a.to_string())).collect();
                format!("{host} answers with {}", texts.join(" and "))
            }
        };
    }
}

impl Ddns {
    /// What shall stand in DNS, once enough is known.
    fn wanted(&self) -> Option<Update> {
        if self.policy == Policy::Observed {
            return Some(Update { a: Answer::Observed, aaaa: Answer::Observed });
        }
        let addresses = self.addresses.as_ref()?;
        let own_v4 = addresses.v4.iter().copied().find(|v4| publishable(IpAddr::V4(*v4)));
        let behind_nat = addresses.v4.iter().any(|v4| !is_shared(*v4));
        // Updates that reach the hub over IPv6 do not show it our IPv4 address; the session may have.
        let by_v6 = self.confirmed.is_some_and(|confirmed| confirmed.answer.observed.is_ipv6());
        let seen_v4 = self.observed.v4.filter(|v4| by_v6 && publishable(IpAddr::V4(*v4)));
        let a = match (own_v4, self.policy) {
            (Some(v4), _) => Answer::Address(v4),
            (None, Policy::Auto) if behind_nat => seen_v4.map_or(Answer::Observed, Answer::Address),
            (None, _) => Answer::None,
        };
        let aaaa = addresses.v6.first().map_or(Answer::None, |v6| Answer::Address(*v6));
        Some(Update { a, aaaa })
    }

    /// Sends an update if DNS should say something else than it was confirmed to say.
    fn push(&mut self, now: Now, out: &mut Out<NoJob>) {
        let registered = self.host.is_some() || crate::sabotage::off("registered-first");
        if !registered || self.pending.is_some() || self.wake.is_some() {
            return;
        }
        // With the first address comes an event.
        if self.addresses.as_ref().is_some_and(|addresses| addresses.is_offline()) {
            return;
        }
        let Some(update) = self.wanted() else { return };
        if self.is_confirmed(&update) || self.declined == Some(update) {
            return;
        }
        if let Some(at) = self.not_before.filter(|at| now.boot < *at) {
            self.wake = Some((at, "the hub asked to wait with the next update"));
            return;
        }
        self.sent.retain(|at| now.boot - *at < FLAP_WINDOW);
        let flaps = self.sent.len() >= FLAPPING;
        let earliest = self.sent.back().filter(|_| flaps).map(|last| *last + FLAP_WAIT);
        if let Some(at) = earliest.filter(|at| now.boot < *at) {
            self.wake = Some((at, "the address changes often: wait before the next update"));
            return;
        }
        self.sent.push_back(now.boot);
        self.pending = Some((out.send(&update), update));
    }

    /// Whether the hub has confirmed this very update, or one that came to the same.
    fn is_confirmed(&self, update: &Update) -> bool {
        let Some(Confirmed { update: sent, answer }) = &self.confirmed else { return false };
        let by_hub = update.a == Answer::Observed || update.aaaa == Answer::Observed;
        let seen = self.observed.of_family(answer.observed);
        let moved = by_hub && seen.is_some_and(|seen| seen != answer.observed);
        let stands = Update {
            a: answer.a.map_or(Answer::None, Answer::Address),
            aaaa: answer.aaaa.map_or(Answer::None, Answer::Address),
        };
        (sent == update && !moved) || stands == *update
    }

    fn replied(
        &mut self,
        ticket: Ticket,
        result: Result<Reply, SendError>,
        now: Now,
        out: &mut Out<NoJob>,
    ) {
        let Some((_, update)) = self.pending.take_if(|(asked, _)| *asked == ticket) else { return };
        match result.and_then(Reply::read::<Updated>) {
            Ok(answer) => {
                self.confirmed = Some(Confirmed { update, answer });
                self.observed.note(answer.observed);
                self.declined = None;
                self.backoff.succeed();
                out.clear(&STALE);
                out.save();
                out.emit(Event::Quarantined(false));
                out.emit(Event::Observed(answer.observed));
            }
            Err(error) => {
                out.raise(&STALE, error.to_string());
                if matches!(error, SendError::Quarantined { .. }) {
                    out.emit(Event::Quarantined(true));
                }
                if error.is_unknown_device() {
                    let at = now.boot + UNKNOWN_WAIT;
                    self.not_before = Some(at);
                    self.wake = Some((at, "ask whether the hub knows this device again"));
                    out.emit(Event::Disowned);
                } else if error.is_final() {
                    self.declined = Some(update);
                } else {
                    self.not_before = error.retry_after().map(|wait| now.boot + wait);
                    let wait = self.backoff.fail(now, error.retry_after());
                    self.wake = Some((now.boot + wait, "retry the DDNS update"));
                }
            }
        }
    }
}

/// The addresses the hub sees this device at, by family: the API and the session may differ in theirs.
#[derive(Default)]
struct Observed {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

impl Observed {
    fn note(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.v4 = Some(v4),
            IpAddr::V6(v6) => self.v6 = Some(v6),
        }
    }

    fn of_family(&self, like: IpAddr) -> Option<IpAddr> {
        if like.is_ipv4() { self.v4.map(IpAddr::V4) } else { self.v6.map(IpAddr::V6) }
    }
}

/// 100.64.0.0/10 (RFC 6598): the provider's own NAT, behind which no A record leads to this box.
fn is_shared(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    a == 100 && (64..128).contains(&b)
}
