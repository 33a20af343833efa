//! A gate for the carriers' own tests: one feature, everything declared, one hub.

use super::gate::Gate;
use super::ledger::{Head, Ledger, Line};
use super::permit::{Passage, Permit, Target};
use super::resolver::Resolver;
use crate::card::{Caller, Card, Carriage, Destination, Field, Parcel, Purpose, Retention, Switch};
use crate::clock::{Boot, Clock, Now, Wall};
use crate::identity::TicketBook;
use crate::state::StateDir;
use crate::wire::Body;
use crate::wire::link::{Hello, ORIGIN, Origin, SESSION};
use core::net::Ipv4Addr;
use core::time::Duration;
use serde_json::json;
use std::sync::Arc;

/// 2026-11-22T10:00:00Z.
pub(super) const WALL: Wall = Wall::from_unix_seconds(1_795_341_600);

static ASK: Parcel = Parcel {
    id: "link.ask",
    what: "a question of a test",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/ask", caller: Caller::Anonymous },
    fields: &[Field {
        path: "word",
        why: "the question",
        identifies: false,
        optional: false,
        secret: false,
    }],
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

/// No ticket yet, and a place for one.
pub(super) fn tickets() -> Arc<TicketBook> {
    Arc::new(TicketBook::open(Arc::new(StateDir::memory()), "device"))
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
    session_passage_with(gate, None)
}

/// A passage for the session of a device that holds this ticket.
pub(super) fn session_passage_with(gate: &Gate, ticket: Option<&str>) -> Passage {
    let hello = Hello::new(ticket.map(String::from));
    gate.passage("link", &Body::of(&hello), None).unwrap()
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

/// A self-signed `hub.example.test`, and client configurations that trust it, or that trust nobody.
pub(super) struct Pki {
    pub(super) server: Arc<rustls::ServerConfig>,
    pub(super) trusting: Arc<rustls::ClientConfig>,
    pub(super) distrusting: Arc<rustls::ClientConfig>,
}

pub(super) fn pki(alpn: &[u8]) -> Pki {
    let made = rcgen::generate_simple_self_signed(vec!["hub.example.test".into()]).unwrap();
    let der = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    server.alpn_protocols = vec![alpn.to_vec()];
    let client = |roots: rustls::RootCertStore| {
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(client)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).unwrap();
    let distrusting =
        client(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    Pki { server: Arc::new(server), trusting: client(roots), distrusting }
}

/// A resolver that knows `hub.example.test` as 127.0.0.1 and asks nobody.
pub(super) fn resolver() -> Arc<Resolver> {
    let hosts = vec![("hub.example.test".to_owned(), Ipv4Addr::LOCALHOST.into())];
    Arc::new(Resolver::new(vec![], hosts, clock()))
}
