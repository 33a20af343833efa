//! U4: who is not known yet shows nothing by which it could be known again.

use crate::common::World;
use crate::common::hub::ZONE;
use crate::common::net::{HUB, Line, Place};
use crate::common::watch::Capture;
use qcloud_agent::card::HTTP_HEADERS;
use qcloud_agent::identity::pin::HubPin;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Polls that the stub lets come before it says no.
const POLLS: usize = 3;

/// Guard: `tls-resumption`, by which connections without an identity remember nothing of each other.
///
/// The attack: a hub that asks for a certificate, offers tickets and sets a cookie, to know its callers again.
#[test]
fn u4_an_applicant_shows_nothing_that_ties_its_connections() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    let stub = Stub::open(&world.net.hub);
    let mut capture = Capture::begin(&world.net.hub, &world.scratch.path("dns.pcap"));
    let url = format!("https://hub.{ZONE}:8443");
    let ran = agent.command(&["register", "--name", "box", "--hub", &url, "--hub-pin", &stub.pin]);
    assert_eq!(ran.code, Some(4), "the stub says no: {ran:?}");

    let seen = stub.seen.lock().expect("nobody panics here").clone();
    assert_eq!(seen.len(), 2 + POLLS, "who runs the hub, a start and the polls");
    for call in &seen {
        assert_eq!(
            call.kind,
            Some(HandshakeKind::Full),
            "it resumed what was before: {}",
            call.head
        );
        assert_eq!(call.certificates, 0, "it showed a certificate: {}", call.head);
        let lines = call.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut names: Vec<String> = lines.map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        let mut declared = HTTP_HEADERS.to_vec();
        declared.sort_unstable();
        assert_eq!(names, declared, "{}", call.head);
    }
    capture.end();
    the_question_holds_only_the_host(&capture);
}

/// A question of DNS is its head of 12 bytes, the name, and type and class (RFC 1035 section 4.1): one of that
/// length has no room for anything else.
fn the_question_holds_only_the_host(capture: &Capture) {
    let host = format!("hub.{ZONE}");
    let length = 12 + host.len() + 2 + 4;
    let questions = capture.lines("udp dst port 53");
    assert!(questions.len() >= 2, "no question was seen");
    for question in &questions {
        assert!(question.ends_with(&format!("UDP, length {length}")), "{question}, not {length}");
    }
}

/// What was seen of one connection.
#[derive(Clone)]
struct Call {
    kind: Option<HandshakeKind>,
    certificates: usize,
    head: String,
}

/// A hub that would like to know who calls.
struct Stub {
    pin: String,
    seen: Arc<Mutex<Vec<Call>>>,
}

impl Stub {
    fn open(place: &Place) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![format!("hub.{ZONE}")]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let pin = HubPin::of_certificate(certificate.der()).expect("a pin").to_string();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let roots = Arc::new(roots);
        let asks = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .expect("a verifier");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(asks)
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a certificate");
        let config = Arc::new(config);
        let listener = place.inside(|| TcpListener::bind((HUB, 8443)).expect("a port"));
        let seen = Arc::<Mutex<Vec<Call>>>::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                let number = kept.lock().expect("nobody panics here").len();
                let call = answer(tcp, Arc::clone(&config), number);
                kept.lock().expect("nobody panics here").push(call);
            }
        });
        Self { pin, seen }
    }
}

fn answer(mut tcp: TcpStream, config: Arc<ServerConfig>, number: usize) -> Call {
    tcp.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
    let mut server = ServerConnection::new(config).expect("a server");
    let mut tls = rustls::Stream::new(&mut server, &mut tcp);
    let (mut asked, mut block) = (Vec::new(), [0; 4096]);
    // All of it comes at once or is not read: the head ends what matters.
    while !asked.ends_with(b"}") {
        let Ok(read @ 1..) = tls.read(&mut block) else { break };
        asked.extend_from_slice(&block[..read]);
    }
    let body = match number {
        0 => json!({"contact": "somebody"}),
        1 => json!({"device_code": "code", "user_code": "BCDF-GHJK", "verification_uri": "-",
            "interval_seconds": 1, "expires_in_seconds": 600, "challenge": "AAAA"}),
        last if last > POLLS => json!({"state": "access_denied"}),
        _ => json!({"state": "authorization_pending"}),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nset-cookie: who=you\r\netag: \"you\"\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // Who has hung up is judged by what it said.
    let _ = tls.write_all((head + &body).as_bytes());
    tls.conn.send_close_notify();
    let _ = tls.flush();
    let text = String::from_utf8_lossy(&asked).into_owned();
    Call {
        kind: server.handshake_kind(),
        certificates: server.peer_certificates().map_or(0, <[_]>::len),
        head: text.split("\r\n\r\n").next().unwrap_or_default().into(),
    }
}
