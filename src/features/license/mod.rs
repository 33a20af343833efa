//! Licenses: what was bought for this box is verified on this box, with or without a hub.
//!
//! Documents come in by file or from the hub, are verified and kept ([`book`]), and asked about here. With none
//! installed there is no timer and no contact. With one, the hub is asked for the next lease at the moment the lease
//! names ([`contact`]), and once a day the time is noted ([`time`]) so that setting the clock back gains nothing.

mod asks;
mod book;
mod contact;
mod foreign;
mod health;
mod preview;
#[cfg(test)]
mod tests;
mod time;
mod verbs;
mod work;

pub use self::foreign::{fuzz as foreign_license, opener};

use self::book::{Book, Saved, State};
use self::contact::Renewal;
use self::foreign::{Foreign, Maker};
use self::time::{Question, Time};
use self::work::{Job, Note, Seen};
use crate::card::{Card, Exit, Parcel, Switch, Warning};
use crate::clock::{Boot, Now, Wall};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Event, Feature, Input, Out, Section, Ticket,
};
use crate::platform::netlink::Addresses;
use crate::wire::Body;
use crate::wire::license::jws::public_key;
use crate::wire::license::{
    ACTIVATE, BadLicense, FORGET, Facts, Forget, LicenseId, Product, RELEASE, RENEW, REVOKED,
};
use core::net::IpAddr;
use core::time::Duration;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The time is noted this often: what a box without power and without a clock can be set back by.
const TICK: Duration = Duration::from_secs(86_400);
const DAY_SECONDS: u64 = 86_400;
/// An owner hears this many days before the end of a license.
const NOTICES: [u64; 3] = [1, 7, 30];
/// The most licenses of other makers.
const MOST_FOREIGN: usize = 32;

static ENDS: Warning = Warning {
    code: "license-ends",
    title: "A license is about to end",
    hint: "qcloud-agent license list",
};
static INVALID: Warning = Warning {
    code: "license-invalid",
    title: "A license does not hold, or soon will not",
    hint: "qcloud-agent license list",
};
static CLOCK: Warning = Warning {
    code: "license-clock",
    title: "Licenses run on a time of their own",
    hint: "qcloud-agent doctor",
};

/// Looks after licenses.
pub struct License {
    makers: Vec<Maker>,
    book: Book,
    time: Option<Time>,
    facts: Option<Facts>,
    firmware: String,
    registered: bool,
    address: Option<IpAddr>,
    renewals: BTreeMap<LicenseId, Renewal>,
    tick: Option<Boot>,
    pending: BTreeMap<Ticket, Pending>,
    /// Questions that wait until the box was looked at.
    waiting: Vec<(Asker, String, Value)>,
    looking: bool,
    /// How each stood, and the notice its owner had last.
    told: BTreeMap<LicenseId, (State, Option<u64>)>,
}

/// What a job is for.
enum Pending {
    Look,
    Keep,
    Activate(Asker, Boot),
    Renew(LicenseId, Boot),
    Revocations,
    Request(Asker, Wall),
    Release(Asker, LicenseId, u64),
}

/// `[license]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Public keys of the issuers whose licenses are believed, 43 characters of base64url each.
    issuers: Vec<String>,
    /// Makers whose Keygen files are read.
    keygen: Vec<Maker>,
}

impl Feature for License {
    const CARD: Card = Card {
        name: "license",
        promise: "verifies licenses on this box, and asks the hub only when a lease says so",
        promises: &["L6", "L7", "L8", "L10"],
        switch: Switch::OnOff,
        parcels: &[&ACTIVATE, &RENEW, &RELEASE, &REVOKED],
        forget: Some(&FORGET),
        warnings: &[&ENDS, &INVALID, &CLOCK],
        verbs: verbs::VERBS,
    };
    type Config = Config;
    type Saved = Saved;
    type Job = Job;
    type Note = Note;

    fn open(config: Config, saved: Saved, _: Now) -> Result<Self, BadConfig> {
        let bad = |why: String| BadConfig::new("license", why);
        let key = |text: &String| public_key(text).map_err(|e| bad(format!("issuers: {e}")));
        let issuers = config.issuers.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        if config.keygen.iter().any(|maker| maker.key().is_none()) {
            return Err(bad("keygen: a key is 64 hexadecimal digits".into()));
        }
        Ok(Self {
            makers: config.keygen,
            book: Book::open(saved, issuers),
            time: None,
            facts: None,
            firmware: String::new(),
            registered: false,
            address: None,
            renewals: BTreeMap::new(),
            tick: None,
            pending: BTreeMap::new(),
            waiting: Vec::new(),
            looking: false,
            told: BTreeMap::new(),
        })
    }

    fn handle(&mut self, input: Input<'_, Note>, now: Now, out: &mut Out<Job>) {
        match input {
            Input::Opened(_) => self.look_if_needed(out),
            Input::Verb { asker, name, args } => {
                if self.time.is_some() {
                    return self.ask(asker, name, args, now, out);
                }
                self.waiting.push((asker, name.into(), args.clone()));
                self.look(out);
            }
            Input::Wake => self.wake(now, out),
            Input::Done(ticket, result) => {
                if let Some(pending) = self.pending.remove(&ticket) {
                    self.done(pending, result.unwrap_or(Note::NoRandomness), now, out);
                }
            }
            Input::Event(event) => self.event(event, now, out),
            Input::Closing | Input::Reply(..) | Input::Note(..) => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        let renewals = self.renewals.values().filter_map(|renewal| renewal.at);
        let renewals = renewals.map(|at| (at, "ask for the next lease of a license"));
        renewals.chain(self.tick.map(|at| (at, "note the time of the licenses"))).min()
    }

    fn save(&self) -> Saved {
        self.book.saved.clone()
    }

    fn forget(_: &Config, _: &Saved, nonce: &str) -> Option<Body> {
        Some(Body::of(&Forget { nonce: nonce.into() }))
    }

    fn preview(&self, parcel: &Parcel) -> Option<Body> {
        self.next_body(parcel)
    }

    async fn work(job: Job, hands: Hands<Note>) -> Note {
        work::work(job, hands).await
    }

    fn report(&self, _: Depth, section: &mut Section) {
        self.describe(section);
    }
}

impl License {
    fn look_if_needed(&mut self, out: &mut Out<Job>) {
        // With no license installed there is nothing to look after: no timer, no contact (promise L8).
        if !self.book.is_empty() || crate::sabotage::off("license-idle") {
            self.look(out);
        }
    }

    fn look(&mut self, out: &mut Out<Job>) {
        if !core::mem::replace(&mut self.looking, true) {
            let ticket = out.run(Job::Look(self.book.saved.mark.clone()));
            self.pending.insert(ticket, Pending::Look);
        }
    }

    fn event(&mut self, event: &Event, now: Now, out: &mut Out<Job>) {
        match event {
            Event::Registered(..) => {
                self.registered = true;
                self.plan(now);
                // The key may be another one now, and the seal of the mark is to be made with it.
                self.look_if_needed(out);
            }
            Event::Unregistered => {
                self.registered = false;
                self.plan(now);
            }
            Event::Addresses(addresses) => self.address = own_address(addresses),
            Event::WallClockSet | Event::Resumed | Event::Anew(_) => self.look_if_needed(out),
            Event::Disowned => self.ask_revoked(out),
            Event::HubChosen(_)
            | Event::Observed(_)
            | Event::CertificateExpired
            | Event::Restricted(..)
            | Event::Quarantined(_)
            | Event::Suspected(_)
            | Event::SameBoard
            | Event::LicenseChanged(..)
            | Event::RulesChanged(_) => {}
        }
    }

    fn wake(&mut self, now: Now, out: &mut Out<Job>) {
        self.renew_due(now, out);
        if self.tick.is_some_and(|at| at <= now.boot) {
            self.keep_mark(now, out);
            self.review(now, out);
        }
    }

    /// Has the time noted, and arms the next moment to do so while there is a license.
    fn keep_mark(&mut self, now: Now, out: &mut Out<Job>) {
        let idle = self.book.is_empty() && !crate::sabotage::off("license-idle");
        self.tick = (!idle).then(|| now.boot + TICK);
        if let Some(time) = self.time.filter(|_| !idle) {
            let ticket = out.run(Job::Keep(time.mark(now.boot)));
            self.pending.insert(ticket, Pending::Keep);
        }
    }

    fn done(&mut self, pending: Pending, note: Note, now: Now, out: &mut Out<Job>) {
        let since = |at: Boot| now.boot - at;
        match (pending, note) {
            (Pending::Look, Note::Seen(seen)) => self.seen(*seen, now, out),
            (Pending::Keep, Note::Kept(sealed)) => {
                if sealed.is_some() {
                    self.book.saved.mark = sealed;
                    out.save();
                }
            }
            (Pending::Activate(asker, at), Note::Answered(answer, nonce)) => {
                let answer = self.activated(answer, &nonce, since(at), now, out);
                self.plan(now);
                self.review(now, out);
                out.answer(asker, answer);
            }
            (Pending::Renew(lid, at), Note::Answered(answer, nonce)) => {
                self.renewed(&lid, answer, &nonce, since(at), now, out);
                self.review(now, out);
            }
            (Pending::Revocations, Note::Answered(answer, _)) => {
                if let Ok(documents) = contact::read(answer) {
                    // What it does not bear out changes nothing; the leases end by themselves.
                    let _ = self.take_answer(&documents, "", Duration::ZERO, now, out);
                    self.plan(now);
                    self.review(now, out);
                }
            }
            (Pending::Request(asker, at), Note::Requested(file, nonce)) => {
                self.book.saved.question = Some(Question { nonce, at });
                out.save();
                let text = "the request is written; upload it on the licenses page of your hub, and install what you get there: qcloud-agent license install FILE";
                out.answer(asker, Answer::done(text, json!({ "file": file })));
            }
            (Pending::Release(asker, lid, seq), Note::Receipt(receipt, sent)) => {
                let answer = self.returned(&lid, seq, sent, &receipt, out);
                self.keep_mark(now, out);
                self.review(now, out);
                out.answer(asker, answer);
            }
            (
                Pending::Activate(asker, _)
                | Pending::Request(asker, _)
                | Pending::Release(asker, ..),
                _,
            ) => {
                let text = "the system gave no randomness, or the work broke off\nhint: try again";
                out.answer(asker, Answer::failed(Exit::Failed, text));
            }
            (Pending::Look, _) => self.looking = false,
            (Pending::Keep | Pending::Renew(..) | Pending::Revocations, _) => {}
        }
    }

    /// The box was looked at.
    fn seen(&mut self, seen: Seen, now: Now, out: &mut Out<Job>) {
        self.looking = false;
        let Seen { facts, firmware, shown, mark, broken_seal } = seen;
        match &mut self.time {
            Some(time) => time.show(shown, now.boot),
            None => {
                let latest = self.book.latest();
                self.time = Some(Time::new(shown, now.boot, mark, latest, broken_seal));
            }
        }
        (self.facts, self.firmware) = (Some(facts), firmware);
        self.keep_mark(now, out);
        self.plan(now);
        self.review(now, out);
        for (asker, verb, args) in core::mem::take(&mut self.waiting) {
            self.ask(asker, &verb, &args, now, out);
        }
    }

    fn moment(&self, now: Now) -> Wall {
        self.time.map_or(now.wall, |time| time.now(now.boot))
    }

    fn own_facts(&self) -> Facts {
        self.facts.clone().unwrap_or_default()
    }

    fn rows(&self, now: Now) -> Vec<Value> {
        let all = self.book.verdicts(&self.own_facts(), self.moment(now));
        all.into_iter().map(|(lid, held, v)| verbs::facts_of(lid, &held.product, &v)).collect()
    }

    /// Licenses of other makers, as they stand.
    fn foreign(&self, now: Now) -> Vec<(Product, State, Value)> {
        let (facts, moment) = (self.own_facts(), self.moment(now));
        let row = |foreign: &Foreign| {
            let read =
                self.read_foreign(&foreign.text, foreign.opener.as_deref(), &foreign.product);
            let state = match &read {
                Ok(reading) => reading.state(&facts, moment),
                Err(bad) => State::from(bad),
            };
            let json = verbs::foreign_facts(&foreign.product, state, read.as_ref().ok());
            (foreign.product.clone(), state, json)
        };
        self.book.saved.foreign.iter().map(row).collect()
    }

    fn read_foreign(
        &self,
        text: &str,
        opener: Option<&str>,
        product: &Product,
    ) -> Result<foreign::Reading, BadLicense> {
        let of = self.makers.iter().filter(|maker| maker.product == *product);
        let keys = of.filter_map(Maker::key);
        let unknown =
            BadLicense::UnknownKey("no [[license.keygen]] of the configuration has it".into());
        keys.map(|key| foreign::read(text, &key, opener)).reduce(Result::or).unwrap_or(Err(unknown))
    }
}

/// The address of the box that a person knows it by: of a LAN it is the IPv4 one.
fn own_address(addresses: &Addresses) -> Option<IpAddr> {
    let v4 = addresses.v4.first().map(|a| IpAddr::V4(*a));
    v4.or_else(|| addresses.v6.first().map(|a| IpAddr::V6(*a)))
}
