//! What `egress preview` shows is what leaves: compared with the bytes that a TLS server of the test's own received.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use qcloud_agent::card::{Caller, Card, Carriage, Parcel};
use qcloud_agent::clock::{Boot, Clock, Now, Wall};
use qcloud_agent::egress::carriers::{Carriers, Settings};
use qcloud_agent::egress::catalogue;
use qcloud_agent::egress::gate::Gate;
use qcloud_agent::egress::ledger::{Head, Ledger};
use qcloud_agent::egress::outside::Outside;
use qcloud_agent::egress::permit::Target;
use qcloud_agent::egress::quic::Memory;
use qcloud_agent::egress::resolver::Resolver;
use qcloud_agent::features;
use qcloud_agent::identity::pin::HubPin;
use qcloud_agent::identity::{HubTls, TicketBook};
use qcloud_agent::state::StateDir;
use qcloud_agent::wire::Body;
use qcloud_agent::wire::ParcelBody;
use qcloud_agent::wire::link::Hello;
use qcloud_agent::wire::registration::ABOUT;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "hub.example.test";

/// One key and certificate, for both sides.
struct Pki {
    server: Arc<ServerConfig>,
    anonymous: Arc<ClientConfig>,
    device: Arc<ClientConfig>,
    pin: HubPin,
}

fn pki(alpn: &[u8]) -> Pki {
    let made = rcgen::generate_simple_self_signed(vec![HOST.into(), "localhost".into()]).unwrap();
    let der = made.cert.der().clone();
    let key = || PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![der.clone()], key())
        .unwrap();
    server.alpn_protocols = vec![alpn.to_vec()];
    let client = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let mut anonymous = client().with_no_client_auth();
    anonymous.alpn_protocols = vec![alpn.to_vec()];
    let mut device = client().with_client_auth_cert(vec![der.clone()], key()).unwrap();
    device.alpn_protocols = vec![alpn.to_vec()];
    Pki {
        server: Arc::new(server),
        anonymous: Arc::new(anonymous),
        device: Arc::new(device),
        pin: HubPin::of_certificate(&der).unwrap(),
    }
}

/// What a server saw of one connection.
struct Seen {
    request: String,
    name: Option<String>,
    alpn: Option<Vec<u8>>,
    certificate: bool,
}

/// Takes one request and answers `{}`.
fn take(listener: Arc<TcpListener>, config: Arc<ServerConfig>) -> JoinHandle<Seen> {
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = TlsAcceptor::from(config).accept(tcp).await.unwrap();
        let mut request = Vec::new();
        while !whole(&request) {
            let mut more = [0; 4096];
            let read = tls.read(&mut more).await.unwrap();
            assert!(read > 0, "cut off: {}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&more[..read]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        tls.write_all(answer).await.unwrap();
        // Everything else the client would still say belongs to no request.
        let mut rest = Vec::new();
        let _ = tls.read_to_end(&mut rest).await;
        request.extend_from_slice(&rest);
        let session = tls.get_ref().1;
        Seen {
            request: String::from_utf8(request).unwrap(),
            name: session.server_name().map(String::from),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            certificate: session.peer_certificates().is_some(),
        }
    })
}

fn whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| body.len() >= length.parse().unwrap())
}

fn clock() -> Clock {
    let wall = Wall::from_unix_seconds(1_795_341_600);
    Clock::from_fn(move || Now { boot: Boot(Duration::from_secs(100)), wall, dice: 0 })
}

fn gate(port: u16) -> Gate {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"test");
    let gate = Gate::new(clock(), Ledger::new(Head::default(), key));
    gate.set_hub(Some(Target { host: HOST.into(), port }));
    gate
}

fn carriers(tls: HubTls, resolver: Resolver) -> Carriers {
    let settings = Settings::new(Memory::Ample);
    let tickets = Arc::new(TicketBook::open(Arc::new(StateDir::memory()), "device"));
    // What the session's example shows.
    tickets.keep(None, &Hello::example().ticket.unwrap());
    let carriers = Carriers::new(resolver, settings, tickets, Arc::new(|_| false), clock());
    carriers.set_hub(Some(tls));
    carriers
}

fn parcels() -> impl Iterator<Item = (&'static Card, &'static Parcel)> {
    let cards = features::ALL.iter().map(|row| row.card);
    cards.flat_map(|card| card.all_parcels().map(move |parcel| (card, parcel)))
}

#[tokio::test]
async fn every_https_parcel_leaves_as_its_preview_shows_it_to_the_byte() {
    let pki = pki(qcloud_agent::wire::API_ALPN);
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let (gate, authority) = (gate(port), format!("{HOST}:{port}"));
    let (anonymous, device) = (Arc::clone(&pki.anonymous), Some(Arc::clone(&pki.device)));
    let hosts = vec![(HOST.to_owned(), [127, 0, 0, 1].into())];
    let tls = HubTls { anonymous, device, session: None };
    let carriers = carriers(tls, Resolver::new(vec![], hosts, clock()));
    let mut compared = 0;
    for (card, parcel) in parcels() {
        let Carriage::Https { caller, .. } = parcel.how else { continue };
        gate.open(card);
        let body = (parcel.example)();
        let permit = gate.pass(card.name, &Body::restored(parcel, body.clone())).unwrap();
        let taking = take(Arc::clone(&listener), Arc::clone(&pki.server));
        assert_eq!(carriers.carry(permit).await.unwrap().status, 200, "{}", parcel.id);
        let seen = taking.await.unwrap();
        let previewed = catalogue::request(parcel, &authority, &body).unwrap();
        assert_eq!(seen.request, previewed, "{}", parcel.id);
        assert_eq!(seen.name.as_deref(), Some(HOST), "{}", parcel.id);
        assert_eq!(seen.alpn.as_deref(), Some(qcloud_agent::wire::API_ALPN), "{}", parcel.id);
        assert_eq!(seen.certificate, caller == Caller::Device, "{}", parcel.id);
        let text = catalogue::preview(parcel, &authority, &body);
        assert!(text.ends_with(&previewed.replace('\r', "")), "{text}");
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} parcels");
}

/// A request with the values of all fields of its body replaced by their lengths, and without the auth key, which
/// is sent by who has one.
fn shape(request: &str) -> String {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    let head = head.replace(&length, "content-length: -");
    let mut body: Value = serde_json::from_str(body).unwrap();
    body.as_object_mut().unwrap().remove("auth_key");
    for (name, value) in body.as_object_mut().unwrap() {
        if name != "name" {
            *value = value.as_str().unwrap().len().into();
        }
    }
    format!("{head}\r\n\r\n{body}")
}

/// The program itself: its preview before it knows any hub, then the request it sends.
#[tokio::test]
async fn the_program_registers_as_it_previewed() {
    let pki = pki(qcloud_agent::wire::API_ALPN);
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    let dir = std::env::temp_dir().join(format!("qcloud-preview-{}", std::process::id()));
    let program = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qcloud-agent"));
        command.args(args).arg("--json").arg("--state").arg(&dir);
        command
    };
    let previewed = program(&["egress", "preview", "registration.start"]).output().unwrap();
    let previewed: Value = serde_json::from_slice(&previewed.stdout).unwrap();
    let previewed =
        previewed["request"].as_str().unwrap().replace("host: HUB", &format!("host: {authority}"));
    let first = take(Arc::clone(&listener), Arc::clone(&pki.server));
    let (url, pin) = (format!("https://{authority}"), pki.pin.to_string());
    let mut register = program(&["register", "--hub", &url, "--hub-pin", &pin, "--name", "box"]);
    let ran = tokio::task::spawn_blocking(move || register.output().unwrap());
    let within = Duration::from_secs(20);
    // Where the hub stands is asked for before anything is said of this device (promise G1).
    let asked = tokio::time::timeout(within, first).await.unwrap().unwrap();
    let Carriage::Https { path, .. } = ABOUT.how else { panic!("it is asked by HTTPS") };
    assert!(asked.request.starts_with(&format!("POST {path} ")), "{}", asked.request);
    assert!(asked.request.ends_with("\r\n\r\n{}"), "{}", asked.request);
    let taking = take(listener, pki.server);
    let seen = tokio::time::timeout(within, taking).await.unwrap().unwrap();
    assert_eq!(ran.await.unwrap().status.code(), Some(1), "`{{}}` is no invitation");
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(shape(&seen.request), shape(&previewed));
    assert!(!seen.certificate);
    assert_eq!(seen.name.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn the_session_shows_the_server_name_and_the_protocol_of_its_preview() {
    let pki = pki(qcloud_agent::wire::SESSION_ALPN);
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(pki.server).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let hub = quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
    let port = hub.local_addr().unwrap().port();
    let gate = gate(port);
    let (card, parcel) =
        parcels().find(|(_, parcel)| matches!(parcel.how, Carriage::Session)).unwrap();
    gate.open(card);
    let body = (parcel.example)();
    let passage = gate.passage(card.name, &Body::restored(parcel, body.clone()), None).unwrap();
    let hosts = vec![(HOST.to_owned(), [127, 0, 0, 1].into())];
    let tls = HubTls { anonymous: pki.anonymous, device: None, session: Some(pki.device) };
    let carriers = carriers(tls, Resolver::new(vec![], hosts, clock()));
    let dialled = tokio::spawn(carriers.session(passage, Duration::from_secs(25)));
    let connection = hub.accept().await.unwrap().await.unwrap();
    let shown = connection.handshake_data().unwrap();
    let shown = shown.downcast::<quinn::crypto::rustls::HandshakeData>().unwrap();
    let alpn = String::from_utf8(shown.protocol.unwrap()).unwrap();
    let name = shown.server_name.unwrap();
    let text = catalogue::preview(parcel, &format!("{HOST}:{port}"), &body);
    assert!(text.contains(&format!("server name {name}, ALPN {alpn}, the device's")), "{text}");
    assert!(connection.peer_identity().is_some());
    assert!(text.contains("initial_max_streams_uni = 0\n"), "{text}");
    let (_, mut control) = connection.accept_bi().await.unwrap();
    let mut frame = [0; 2];
    control.read_exact(&mut frame).await.unwrap();
    let mut frame = vec![0; usize::from(u16::from_be_bytes(frame))];
    control.read_exact(&mut frame).await.unwrap();
    let frame = String::from_utf8(frame).unwrap();
    assert!(text.contains(&format!("first frame: {frame}\n")), "{frame}\n{text}");
    dialled.abort();
}

#[tokio::test]
async fn a_look_up_asks_the_questions_of_its_preview() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let pki = pki(qcloud_agent::wire::API_ALPN);
    let gate = gate(443);
    let resolver = Resolver::new(vec![server.local_addr().unwrap()], vec![], clock());
    let tls = HubTls { anonymous: pki.anonymous, device: None, session: None };
    let carriers = carriers(tls, resolver);
    let (card, parcel) = parcels()
        .find(|(_, parcel)| matches!(parcel.how, Carriage::Https { caller: Caller::Applicant, .. }))
        .unwrap();
    gate.open(card);
    let permit = gate.pass(card.name, &Body::restored(parcel, (parcel.example)())).unwrap();
    let carried = tokio::spawn(carriers.carry(permit));
    let lookup = &qcloud_agent::wire::lookup::LOOKUP;
    let text = catalogue::preview(lookup, "HUB", &serde_json::json!({ "host": HOST }));
    for kind in ["A", "AAAA"] {
        let mut question = [0; 512];
        let length = server.recv(&mut question).await.unwrap();
        let message = domain::base::Message::from_slice(&question[..length]).unwrap();
        let asked = message.sole_question().unwrap();
        let line = format!("{}. {} {}", asked.qname(), asked.qclass(), asked.qtype());
        assert!(line.ends_with(kind) && text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        let header = message.header();
        assert!(header.rd() && message.opt().is_none(), "{header:?}");
    }
    carried.abort();
}
