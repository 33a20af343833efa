//! B2: what is carried is encrypted from the visitor to the device; the relay cannot read it.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::{HUB, Line};
use crate::common::page::Page;
use crate::common::visitor::fetch;
use crate::common::watch::{Capture, files_with, holds, memory_holds};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What the page says, what the visitor asks for, and what it says in clear.
const ANSWERED: &str = "canary-of-the-page-9b1f6e2d";
const ASKED: &str = "canary-of-the-request-4c7a0d35";
const IN_CLEAR: &str = "canary-in-clear-e81d52fa";

/// Guard: `link-tls`, the end of the visitor's TLS on the device.
#[test]
fn b2_the_relay_cannot_read_what_it_carries() {
    let world = World::new(Line::Direct);
    let net = &world.net;
    let agent = world.member("box", "");
    let page = Page::open(&net.device, ANSWERED);
    let certificate = agent.link_up(&page.url());
    a_visitor_in_clear_reaches_nothing(&world, &page);
    let capture = |place, name: &str| Capture::begin(place, &world.scratch.path(name));
    let mut of_hub = capture(&net.hub, "hub.pcap");
    let mut of_visitor = capture(&net.visitor, "visitor.pcap");
    let mut of_device = capture(&net.device, "device.pcap");

    let url = format!("https://{}/{ASKED}", link_host("box"));
    let mut visit = crate::common::visitor::curl(&net.visitor, &certificate, &url);
    visit.args(["--header", &format!("x-canary: {ASKED}")]);
    let ran = crate::common::process::run(visit, Duration::from_secs(20));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, ANSWERED);

    let pid = world.hub.process().pid();
    for canary in [ANSWERED, ASKED] {
        assert!(!memory_holds(pid, canary.as_bytes()), "the hub's memory holds {canary}");
    }
    let name = link_host("box");
    assert!(memory_holds(pid, name.as_bytes()), "the search of the memory does not find {name}");

    let (hub, visitor, device) = (of_hub.end(), of_visitor.end(), of_device.end());
    for canary in [ANSWERED, ASKED].map(str::as_bytes) {
        assert!(!holds(&hub, canary), "it passed the hub in clear");
        assert!(!holds(&visitor, canary), "it left or reached the visitor in clear");
        assert!(holds(&device, canary), "the search does not find it where it is in clear");
        assert_eq!(files_with(world.hub.dir(), canary), Vec::<std::path::PathBuf>::new());
        assert!(!holds(world.hub.log_text().as_bytes(), canary), "the hub logged it");
    }
}

/// The attack: a hub or a visitor that says hello as TLS does, and then goes on in clear.
fn a_visitor_in_clear_reaches_nothing(world: &World, page: &Page) {
    let said = world.net.visitor.inside(|| {
        let mut tcp = TcpStream::connect((HUB, 443)).expect("the hub's port");
        tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
        tcp.write_all(&client_hello(&link_host("box"))).expect("it takes bytes");
        std::thread::sleep(Duration::from_millis(300));
        let request = format!("\r\n\r\nGET /{IN_CLEAR} HTTP/1.1\r\nhost: box\r\n\r\n");
        // It may have hung up already.
        let _ = tcp.write_all(request.as_bytes());
        let mut said = Vec::new();
        let _ = tcp.read_to_end(&mut said);
        said
    });
    assert!(!holds(&page.asked(), IN_CLEAR.as_bytes()), "words in clear reached the service");
    assert!(!holds(&page.asked(), &[0x16, 3]), "a TLS hello reached the service");
    assert!(!holds(&said, ANSWERED.as_bytes()), "the page came in clear");
    // It was let in as far as the device: what was refused is the clear text, not the name.
    assert!(holds(&said, &[0x16, 3, 3]), "the device did not answer the hello: {said:?}");
}

/// A TLS 1.3 hello for this name, made by rustls.
fn client_hello(name: &str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().expect("a name");
    let mut client =
        rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("memory takes bytes");
    bytes
}

/// The page comes whole, and only to who trusts the device's own certificate.
#[test]
fn b2_the_certificate_is_the_devices_own() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, ANSWERED);
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), ANSWERED);
    // Nothing in the hub's directory vouches for the name: not its authorities, not its certificates.
    for entry in std::fs::read_dir(world.hub.dir()).expect("the hub's directory") {
        let path = entry.expect("an entry").path();
        if std::fs::read(&path).is_ok_and(|bytes| holds(&bytes, b"BEGIN CERTIFICATE")) {
            let ran = fetch(&world.net.visitor, &path, &url);
            assert_ne!(ran.code, Some(0), "{} vouches for the device", path.display());
        }
    }
}
