//! Decisions of the owner on a house whose one feature has a parcel that needs consent.

use super::*;
use crate::card::{Caller, Card, Carriage, Destination, Field, Purpose, Retention, Switch, Verb};
use crate::clock::{Boot, Clock, Wall};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{
    Asker, BadConfig, Feature, HubAddress, Input, NoJob, Out, Row, Ticket,
};
use crate::daemon::household::Household;
use crate::daemon::supervisor::{Command, Sections};
use crate::egress::gate::{Gate, Refused};
use crate::egress::ledger::{Head, Ledger};
use crate::egress::outside::SendError;
use crate::wire::label::Label;
use crate::wire::registration::Membership;
use crate::wire::{Body, ParcelBody, example_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

static SHARE: Parcel = Parcel {
    id: "curious.share",
    what: "something that helps the makers",
    purpose: Purpose::Improve,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/curious/share", caller: Caller::Device },
    fields: &[
        Field {
            path: "word",
            why: "the thing itself",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "mood",
            why: "how it was meant",
            identifies: false,
            optional: true,
            secret: false,
        },
    ],
    retention: Retention::Nothing,
    example: example_of::<Share>,
};

#[derive(Serialize)]
struct Share {
    word: &'static str,
    mood: &'static str,
}

impl ParcelBody for Share {
    const PARCEL: &'static Parcel = &SHARE;
    fn example() -> Self {
        Self { word: "hello", mood: "kind" }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Nothing {}

/// Sends at once, and again whenever the rules change.
struct Curious {
    heard: Option<String>,
    asked: Option<Ticket>,
}

impl Feature for Curious {
    const CARD: Card = Card {
        name: "curious",
        promise: "a feature of tests",
        promises: &[],
        switch: Switch::OnOff,
        parcels: &[&SHARE],
        forget: None,
        warnings: &[],
        verbs: &[Verb { name: "heard", about: "what it was told", args: &[], top: false }],
    };
    type Config = Nothing;
    type Saved = Nothing;
    type Job = NoJob;
    type Note = NoJob;

    fn open(_: Nothing, _: Nothing, _: Now) -> Result<Self, BadConfig> {
        Ok(Self { heard: None, asked: None })
    }

    fn handle(&mut self, input: Input<'_, NoJob>, _: Now, out: &mut Out<NoJob>) {
        match input {
            Input::Opened(_) | Input::Event(Event::RulesChanged("curious")) => {
                self.heard = None;
                self.asked = Some(out.send(&Share::example()));
            }
            Input::Reply(ticket, Err(SendError::Refused(refused)))
                if self.asked == Some(ticket) =>
            {
                self.heard = Some(refused.to_string());
            }
            Input::Verb { asker, .. } => {
                let heard = self.heard.clone().unwrap_or_else(|| "nothing".into());
                out.answer(asker, Answer::done(heard, Value::Null));
            }
            Input::Wake
            | Input::Reply(..)
            | Input::Note(..)
            | Input::Done(..)
            | Input::Event(_)
            | Input::Closing => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        None
    }

    fn save(&self) -> Nothing {
        Nothing {}
    }

    async fn work(job: NoJob, _: Hands<NoJob>) -> NoJob {
        job
    }
}

static ROWS: &[Row] = &[Row::of::<Curious>()];
const NOW: Now = Now {
    boot: Boot(core::time::Duration::from_secs(9)),
    wall: Wall::from_unix_seconds(1_795_341_600),
    dice: 7,
};

fn house(household: Household) -> Supervisor {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"test");
    let gate = Gate::new(Clock::from_fn(|| NOW), Ledger::new(Head::default(), key));
    gate.set_keep(Box::new(|_| true));
    let place = Membership {
        name: Label::parse("box").unwrap(),
        zone: "example.test".into(),
        certificate: String::new(),
        receipt_key: String::new(),
        certificate_until: Wall::from_unix_seconds(4_000_000_000),
        device: String::new(),
        operator: None,
    };
    let hub = HubAddress { host: "hub.example.test".into(), port: 443, pin: None };
    let household = Household {
        switches: [("curious".to_owned(), true)].into(),
        membership: Some((place, hub)),
        ..household
    };
    let mut supervisor = Supervisor::new(ROWS, gate, Sections::default(), household, "device");
    supervisor.start(NOW);
    supervisor
}

/// The bodies that left since the last time.
fn carried(supervisor: &mut Supervisor) -> Vec<String> {
    let carried = |command| {
        let Command::Carry(_, permit) = command else { return None };
        Some(String::from_utf8(permit.body().to_vec()).unwrap())
    };
    supervisor.commands().into_iter().filter_map(carried).collect()
}

fn heard(supervisor: &mut Supervisor) -> String {
    supervisor.ask(Asker(1), "curious", "heard", Value::Null, NOW);
    let answer = |command| {
        let Command::Answer(_, answer) = command else { return None };
        Some(answer.text)
    };
    supervisor.commands().into_iter().find_map(answer).unwrap()
}

#[test]
fn consent_is_recorded_and_its_withdrawal_stops_the_very_next_send() {
    let mut house = house(Household::default());
    assert_eq!(carried(&mut house), Vec::<String>::new());
    assert_eq!(heard(&mut house), "curious.share needs the owner's consent");
    assert_eq!(house.give_consent("curious.share", "uid 7", NOW).exit, Some(Exit::Done));
    assert_eq!(carried(&mut house).len(), 1);
    let given = house.household().consents.given(&SHARE).unwrap();
    assert_eq!(
        (given.actor.as_str(), given.feature.as_str(), given.when),
        ("uid 7", "curious", NOW.wall)
    );
    assert_eq!(given.how, "qcloud-agent consent give curious.share");
    let held = house.gate.passage("curious", &Body::of(&Share::example()), None).unwrap();
    house.withdraw_consent("curious.share", NOW);
    assert_eq!(carried(&mut house), Vec::<String>::new());
    assert_eq!(heard(&mut house), "curious.share needs the owner's consent");
    let waker = std::task::Waker::noop();
    let mut revoked = Box::pin(held.revoked());
    let over = revoked.as_mut().poll(&mut std::task::Context::from_waker(waker));
    assert!(over.is_ready(), "what is under way is broken off");
}

#[test]
fn what_needs_no_consent_or_is_unknown_cannot_be_agreed_to() {
    let mut house = house(Household::default());
    for id in ["egress.lookup", "curious.other"] {
        assert_eq!(house.give_consent(id, "uid 0", NOW).exit, Some(Exit::Usage), "{id}");
        assert_eq!(house.withdraw_consent(id, NOW).exit, Some(Exit::Usage), "{id}");
    }
}

#[test]
fn a_lapsed_consent_is_asked_for_again() {
    let mut household = Household::default();
    let older = Parcel { what: "something else", ..SHARE };
    household.consents.give(&older, "uid 0", NOW.wall);
    let mut house = house(household);
    assert_eq!(carried(&mut house), Vec::<String>::new());
    let status = house.status(NOW);
    assert_eq!(
        (status.warnings[0].code, status.warnings[0].details.as_str()),
        ("daemon-consent", "curious.share")
    );
    assert_eq!(status.consents[0].state, "lapsed");
    house.give_consent("curious.share", "uid 0", NOW);
    assert!(house.status(NOW).warnings.is_empty());
    assert_eq!(carried(&mut house).len(), 1);
}

/// Guard: `gate-denied`.
#[test]
fn a_denied_parcel_stays_here_and_a_denied_field_is_left_out() {
    let mut house = house(Household::default());
    house.give_consent("curious.share", "uid 0", NOW);
    assert_eq!(carried(&mut house), [r#"{"mood":"kind","word":"hello"}"#]);
    house.deny("curious.share.mood", NOW);
    assert_eq!(carried(&mut house), [r#"{"word":"hello"}"#]);
    house.deny("curious.share", NOW);
    assert_eq!(carried(&mut house), Vec::<String>::new());
    let why = Refused::Denied("curious.share".into()).to_string();
    assert_eq!(heard(&mut house), why);
    assert!(why.contains("qcloud-agent privacy allow curious.share"));
    let kept = serde_json::to_value(house.household()).unwrap();
    assert_eq!(kept["denied"], json!(["curious.share", "curious.share.mood"]));
    assert_eq!(house.status(NOW).denied.len(), 2);
    house.allow("curious.share", NOW);
    house.allow("curious.share.mood", NOW);
    assert_eq!(carried(&mut house).last().unwrap(), r#"{"mood":"kind","word":"hello"}"#);
}

#[test]
fn denials_hold_from_the_first_moment_of_the_next_start() {
    let mut first = house(Household::default());
    first.give_consent("curious.share", "uid 0", NOW);
    first.deny("curious.share", NOW);
    let disk = serde_json::to_value(first.household()).unwrap();
    let mut second = house(serde_json::from_value(disk).unwrap());
    assert_eq!(carried(&mut second), Vec::<String>::new());
}

#[test]
fn what_a_parcel_cannot_do_without_is_denied_only_with_it() {
    let mut house = house(Household::default());
    let answer = house.deny("curious.share.word", NOW);
    assert_eq!(answer.exit, Some(Exit::Usage));
    assert!(answer.text.contains("the thing itself"), "{}", answer.text);
    assert!(house.household().denied.iter().next().is_none());
}
