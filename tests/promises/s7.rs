//! S7: nothing about an account or a device is told to anybody but that device, proved by its key.

use crate::ask::{Line as Connection, Papers};
use crate::common::World;
use crate::common::agent::link_host;
use crate::common::hub::{Hub, ZONE};
use crate::common::net::{DEVICE, HUB, Line, Place};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::fetch;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use qcloud_agent::card::Caller;
use qcloud_agent::clock::system_wall;
use qcloud_agent::hub::api::ROUTES;
use qcloud_agent::hub::keys::{DeviceKey, Keys};
use qcloud_agent::identity::id::device_id;
use qcloud_agent::identity::pin::PinnedVerifier;
use qcloud_agent::wire::SESSION_ALPN;
use qcloud_agent::wire::registration::FORGET;
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ED25519};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Guard: `hub-device-auth`, the look-up of the key's row, which is the authority whatever certificate was shown.
///
/// The attacks: nobody's, a self-made, a foreign authority's, an unregistered key's and an erased device's
/// certificate, on every route that the hub builds its router from, and on the session.
#[test]
fn s7_every_route_tells_nobody_anything_without_a_registered_key() {
    let world = World::new(Line::Direct);
    let (from, hub) = (&world.net.visitor, &world.hub);
    let agent = world.member("box-7c2e", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box-7c2e"));
    fetch(from, &certificate, &url).ok();
    until_equal("the log", Duration::from_secs(10), &1, || hub.rows("link_log"));
    let secrets = secrets(&agent.id(), &Papers::of(&agent));
    let own = Papers::of(&agent);
    let (_, said) =
        Connection::open(from, hub, Some(&own)).ask("/v1/privacy/export", &json!({"page": ""}));
    assert!(tells(&said, &secrets), "the search finds nothing where there is something: {said}");

    let mut said = BTreeSet::new();
    let strangers = [
        ("nobody", None),
        ("an unregistered key", Some(signed_by_the_hub(hub, &key()))),
        ("an erased device", Some(erased(&world))),
    ];
    for (who, papers) in &strangers {
        for route in ROUTES {
            let (path, caller) = route.place().expect("a path");
            let body = (route.parcel.example)();
            let (status, answer) = Connection::open(from, hub, papers.as_ref()).ask(path, &body);
            assert!(!tells(&answer, &secrets), "{who} at {path}: {answer}");
            let again = papers.is_some() && route.parcel == &FORGET;
            if again {
                // A receipt may have been lost on its way: it is given again, and speaks of the asking key only.
                let id = device_id(&papers.as_ref().expect("papers").spki());
                assert!(speaks_of_nothing_but(&answer, &id), "{who} at {path}: {answer}");
            } else if caller == Caller::Device {
                assert_eq!(status, 401, "{who} at {path}: {answer}");
                said.insert(answer.to_string());
            }
        }
        if let Some(papers) = papers {
            assert_eq!(session(from, hub, papers), "closed: this device is not registered here");
        }
    }
    assert_eq!(said.len(), 1, "the refusals differ: {said:?}");
    for (who, papers) in [("self-made", self_made()), ("a foreign authority's", foreign())] {
        let tried = Connection::tried(from, hub, Some(&papers), "/v1/privacy/export");
        assert!(tried.is_none(), "{who} certificate was let in: {tried:?}");
        let ended = session(from, hub, &papers);
        assert!(ended.contains("cryptographic handshake failed"), "{who}: {ended}");
    }
}

/// What may not be in an answer: the device's id, key and addresses, as they stand at the hub.
fn secrets(id: &str, papers: &Papers) -> Vec<String> {
    let spki = papers.spki();
    let encoded = [BASE64.encode(&spki), BASE64URL_NOPAD.encode(&spki)];
    let [standard, url] = encoded;
    vec![id.into(), standard, url, DEVICE.into(), "192.0.2.0".into(), link_host("box-7c2e")]
}

fn tells(answer: &Value, secrets: &[String]) -> bool {
    let text = answer.to_string();
    secrets.iter().any(|secret| text.contains(secret))
}

/// Whether an answer is a receipt over no rows at all, of this device.
fn speaks_of_nothing_but(answer: &Value, id: &str) -> bool {
    let document = answer["receipt"].as_str().unwrap_or_default();
    let payload = document.split('.').nth(1).unwrap_or_default();
    let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap_or_default();
    let receipt: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let rows = receipt["rows"].as_object();
    receipt["device"] == id && rows.is_some_and(|rows| rows.values().all(|count| count == 0))
}

fn key() -> Vec<u8> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key").as_ref().to_vec()
}

/// As far as an attacker can get who has the hub's authority for devices, but no row.
fn signed_by_the_hub(hub: &Hub, pkcs8: &[u8]) -> Papers {
    let spki = Papers::new("", pkcs8).spki();
    let key = DeviceKey::from_spki(&spki).expect("a key");
    let keys = Keys::load(hub.dir()).expect("the hub's keys");
    let pem = keys.device_leaf(&key, &device_id(&spki), system_wall()).expect("a certificate");
    Papers::new(&pem, pkcs8)
}

/// A device that was registered, and has left.
fn erased(world: &World) -> Papers {
    let dir = world.scratch.path("erased");
    let mut agent = crate::common::agent::Agent::new(&world.net.device, &dir, None, "");
    agent.start();
    agent.register(&world.hub, "gone");
    let papers = Papers::of(&agent);
    agent.ok(&["unregister"]);
    papers
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["device.example.test".into()]).expect("a name")
}

fn self_made() -> Papers {
    let pkcs8 = key();
    let pair = pair(&pkcs8);
    Papers::new(&params().self_signed(&pair).expect("a certificate").pem(), &pkcs8)
}

/// Of an authority that calls itself what the hub's does.
fn foreign() -> Papers {
    let mut authority = CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "qcloud hub devices");
    let issuer = Issuer::new(authority, KeyPair::generate().expect("a key"));
    let pkcs8 = key();
    let pem = params().signed_by(&pair(&pkcs8), &issuer).expect("a certificate").pem();
    Papers::new(&pem, &pkcs8)
}

fn pair(pkcs8: &[u8]) -> KeyPair {
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).expect("a key")
}

/// How the hub takes a session with these papers.
fn session(from: &Place, hub: &Hub, papers: &Papers) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(papers.certificate().as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(papers.key().to_vec()));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(PinnedVerifier::new(hub.pin.parse().expect("a pin")))
        .with_client_auth_cert(chain, key)
        .expect("papers that fit");
    tls.alpn_protocols = vec![SESSION_ALPN.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS")));
    let socket = from.inside(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint =
            quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket, runtime);
        let endpoint = endpoint.expect("an endpoint");
        let to: SocketAddr = format!("{HUB}:443").parse().expect("an address");
        let connecting = endpoint.connect_with(config, to, &format!("hub.{ZONE}")).expect("a dial");
        let ended = match connecting.await {
            Ok(connection) => {
                let closed = tokio::time::timeout(Duration::from_secs(15), connection.closed());
                closed.await.expect("the session was taken")
            }
            Err(error) => error,
        };
        if let quinn::ConnectionError::ApplicationClosed(close) = &ended {
            return format!("closed: {}", String::from_utf8_lossy(&close.reason));
        }
        format!("ended: {ended}")
    })
}
