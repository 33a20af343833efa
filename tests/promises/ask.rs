//! Single requests to the hub's API, made by hand: as a device with its key, or as nobody.

use crate::common::agent::Agent;
use crate::common::hub::{Hub, ZONE};
use crate::common::net::{HUB, Place};
use crate::common::watch::files_with;
use qcloud_agent::identity::pin::PinnedVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// What a device proves itself with.
pub struct Papers {
    certificate: String,
    key: Vec<u8>,
}

impl Papers {
    /// Those of a registered agent, as they stand in its state.
    pub fn of(agent: &Agent) -> Self {
        let dir = agent.state_dir();
        let key = std::fs::read(dir.join("device.key")).expect("its key");
        let file = files_with(&dir, b"\"receipt_key\"").pop().expect("its membership");
        let text = std::fs::read_to_string(file).expect("its membership");
        let (_, rest) = text.split_once("-----BEGIN").expect("a certificate");
        let (body, _) = rest.split_once("\"").expect("an end");
        Self::new(&format!("-----BEGIN{body}").replace("\\n", "\n"), &key)
    }

    /// Those of a device that is no agent.
    pub fn new(certificate: &str, key: &[u8]) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }

    /// The certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The private key: PKCS#8, DER.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The public key as it stands in a request and at the hub: DER.
    pub fn spki(&self) -> Vec<u8> {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let pair = Ed25519KeyPair::from_pkcs8(&self.key).expect("a key");
        let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        [prefix.as_slice(), pair.public_key().as_ref()].concat()
    }
}

/// A connection that is held open over several requests.
pub struct Line(StreamOwned<ClientConnection, TcpStream>);

impl Line {
    /// Opens one, and ends the handshake.
    pub fn open(from: &Place, hub: &Hub, papers: Option<&Papers>) -> Self {
        Self::dial(from, hub, papers).expect("a handshake")
    }

    /// The bytes that one request is answered with; none when the hub refuses in TLS, which with TLS 1.3 it does
    /// after the client has ended its handshake.
    pub fn tried(from: &Place, hub: &Hub, papers: Option<&Papers>, path: &str) -> Option<Vec<u8>> {
        let mut line = Self::dial(from, hub, papers).ok()?.0;
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: hub.{ZONE}\r\ncontent-length: 2\r\n\r\n{{}}");
        // It may hang up in the middle.
        let _ = line.write_all(head.as_bytes());
        let mut said = [0; 4096];
        let read = line.read(&mut said).ok()?;
        Some(said[..read].to_vec())
    }

    fn dial(from: &Place, hub: &Hub, papers: Option<&Papers>) -> std::io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(PinnedVerifier::new(hub.pin.parse().expect("a pin")));
        let config = match papers {
            None => builder.with_no_client_auth(),
            Some(papers) => {
                let chain = CertificateDer::pem_slice_iter(papers.certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(papers.key.clone()));
                builder.with_client_auth_cert(chain, key).expect("papers that fit")
            }
        };
        let name = format!("hub.{ZONE}").try_into().expect("a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut tcp = from.inside(|| TcpStream::connect((HUB, 443)).expect("the hub's port"));
        tcp.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self(StreamOwned::new(tls, tcp)))
    }

    /// One request and its answer: status and body.
    pub fn ask(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: hub.{ZONE}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all((head + &body).as_bytes()).expect("it takes a request");
        let mut said = Vec::new();
        let mut block = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&said);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let word = |at: usize| head.split_whitespace().nth(at).unwrap_or_default();
                let head_lower = head.to_ascii_lowercase();
                let length = head_lower.split("content-length: ").nth(1).unwrap_or_default();
                let length = length.lines().next().and_then(|n| n.parse::<usize>().ok());
                if body.len() >= length.expect("a length") {
                    let status = word(1).parse().unwrap_or_else(|e| panic!("{text}: {e}"));
                    return (status, serde_json::from_str(body).unwrap_or_default());
                }
            }
            let read = self.0.read(&mut block).unwrap_or_else(|e| panic!("after {text}: {e}"));
            assert!(read > 0, "it ended after {text}");
            said.extend_from_slice(&block[..read]);
        }
    }
}

/// One request on a connection of its own.
pub fn ask(
    from: &Place,
    hub: &Hub,
    papers: Option<&Papers>,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    Line::open(from, hub, papers).ask(path, body)
}
