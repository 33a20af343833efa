//! S2: the API is HTTPS only, with TLS 1.2 or 1.3.

use crate::common::World;
use crate::common::hub::ZONE;
use crate::common::net::{HUB, Line};
use crate::common::visitor::hello;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Guard: `hub-https`, in the reading of hub URLs.
#[test]
fn s2_the_api_is_tls_only() {
    let world = World::new(Line::Direct);
    let agent = world.agent("");
    let hosts = [&format!("hub.{ZONE}"), HUB, "127.0.0.1:8443", "localhost", "[::1]:443"];
    for host in hosts {
        let ran = agent.command(&["register", "--hub", &format!("http://{host}")]);
        assert_eq!(ran.code, Some(2), "http://{host} was not refused: {ran:?}");
        assert!(ran.stdout.contains("https://"), "no hint how to do it: {ran:?}");
    }
    for other in ["HTTP://", "ws://", "", "http:"] {
        let ran = agent.command(&["register", "--hub", &format!("{other}{HUB}")]);
        assert_eq!(ran.code, Some(2), "{other}{HUB} was not refused: {ran:?}");
    }
    assert_eq!(agent.ledger_since(0), Vec::<serde_json::Value>::new(), "something was tried");
}

/// The attack from the other side: a client that speaks no TLS gets no word of HTTP, whatever it asks.
#[test]
fn s2_the_hub_answers_nothing_to_plain_http() {
    let world = World::new(Line::Direct);
    for path in ["/", "/v1/register/start", "/v1/ddns/update"] {
        let said = world.net.visitor.inside(|| {
            let mut tcp = TcpStream::connect((HUB, 443)).expect("the hub's port");
            tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("a deadline");
            let request = format!(
                "POST {path} HTTP/1.1\r\nhost: hub.{ZONE}\r\ncontent-length: 2\r\n\r\n{{}}"
            );
            tcp.write_all(request.as_bytes()).expect("it takes bytes");
            let mut said = Vec::new();
            // A reset is as good an end as any.
            let _ = tcp.read_to_end(&mut said);
            said
        });
        let text = String::from_utf8_lossy(&said);
        assert!(!text.contains("HTTP") && said.len() < 16, "{path}: {text}");
    }
}

/// The other attack: an old TLS, which `openssl` can be made to speak.
#[test]
fn s2_tls_below_1_2_is_refused() {
    let world = World::new(Line::Direct);
    let host = format!("hub.{ZONE}");
    for (version, accepted) in
        [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)]
    {
        let words = [version, "-cipher", "ALL:@SECLEVEL=0", "-servername", &host];
        let said = hello(&world.net.visitor, &words);
        let shown = said.stdout.contains("BEGIN CERTIFICATE");
        assert_eq!(shown, accepted, "{version}: {said:?}");
    }
}
