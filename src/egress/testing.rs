//! A gate for the carriers' own tests: one feature, everything declared, one hub.

use super::gate::Gate;
use super::ledger::{Head, Ledger, Line};
use super::permit::{Passage, Permit, Target};
use crate::card::{Caller, Card, Carriage, Destination, Field, Parcel, Purpose, Retention, Switch};
use crate::clock::{Boot, Clock, Now, Wall};
use crate::wire::Body;
use crate::wire::link::{Hello, ORIGIN, Origin, SESSION};
use core::time::Duration;
use serde_json::json;

/// 2026-11-22T10:00:00Z.
pub(super) const WALL: Wall = Wall::from_unix_seconds(1_795_341_600);

static ASK: Parcel = Parcel {
    id: "link.ask",
    what: "a question of a test",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/ask", caller: Caller::Anonymous },
    fields: &[Field { path: "word", why: "the question", identifies: false }],
    retention: Retention::Nothing,
    example: || json!({ "word": "example" }),
};

static ASK_AS_DEVICE: Parcel = Parcel {
    id: "link.askasdevice",
    how: Carriage::Https { path: "/v1/ask", caller: Caller::Device },
    ..ASK
};

static CARD: Card = Card {
    name: "link",
    promise: "a test",
    promises: &[],
    switch: Switch::OnOff,
    parcels: &[&ASK, &ASK_AS_DEVICE, &SESSION, &ORIGIN],
    forget: None,
    warnings: &[],
    verbs: &[],
};

/// A clock that stands still.
pub(super) fn clock() -> Clock {
    Clock::from_fn(|| Now { boot: Boot(Duration::from_secs(100)), wall: WALL, dice: 0 })
}

pub(super) fn target(host: &str, port: u16) -> Target {
    Target { host: host.into(), port }
}

pub(super) fn gate(hub: Target) -> Gate {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"test");
    let gate = Gate::new(clock(), Ledger::new(Head::default(), key));
    gate.open(&CARD);
    gate.set_hub(Some(hub));
    gate
}

/// A permit for one HTTPS message.
pub(super) fn permit(gate: &Gate) -> Permit {
    gate.pass("link", &Body::restored(&ASK, json!({ "word": "hello" }))).unwrap()
}

/// A permit for one HTTPS message as the device.
pub(super) fn device_permit(gate: &Gate) -> Permit {
    gate.pass("link", &Body::restored(&ASK_AS_DEVICE, json!({ "word": "hello" }))).unwrap()
}

/// A passage for the session.
pub(super) fn session_passage(gate: &Gate) -> Passage {
    gate.passage("link", &Body::of(&Hello { version: 1 }), None).unwrap()
}

/// A passage to a published service.
pub(super) fn service_passage(service: Target) -> (Gate, Passage) {
    let gate = gate(target("hub.example.test", 443));
    let body = Body::of(&Origin { service: "web".into() });
    let passage = gate.passage("link", &body, Some(service)).unwrap();
    (gate, passage)
}

/// The ledger as it stands.
pub(super) fn lines(gate: &Gate) -> Vec<Line> {
    gate.with_ledger(|ledger| {
        ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
}
