//! Sessions, visitors and tripwires of a serving hub.

use super::support::{Device, HOST, Hub};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::hello::REFUSAL;
use qcloud_agent::hub::session::CLOSED_UNKNOWN_DEVICE;
use qcloud_agent::hub::store::Store;
use qcloud_agent::wire::link::{Hello, TRIPWIRE_MAGIC, ToDevice, ToHub, Verdict, Visitor};
use qcloud_agent::wire::{SESSION_ALPN, frame};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::ClientConnection;
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Session {
    pub connection: quinn::Connection,
    pub send: quinn::SendStream,
    pub receive: quinn::RecvStream,
    _endpoint: quinn::Endpoint,
}

impl Session {
    pub async fn connect(
        hub: &Hub,
        device: &Device,
    ) -> Result<quinn::Connection, quinn::ConnectionError> {
        Self::dial(hub, device).await.map(|(connection, _)| connection)
    }

    pub async fn dial(
        hub: &Hub,
        device: &Device,
    ) -> Result<(quinn::Connection, quinn::Endpoint), quinn::ConnectionError> {
        let mut tls = device.tls(hub);
        tls.alpn_protocols = vec![SESSION_ALPN.to_vec()];
        let crypto = QuicClientConfig::try_from(tls).unwrap();
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, hub.listen, HOST).unwrap();
        Ok((connecting.await?, endpoint))
    }

    /// The first session, or one that shows nothing.
    pub async fn open(hub: &Hub, device: &Device) -> (Self, ToDevice) {
        Self::show(hub, device, None).await.unwrap()
    }

    /// A session that shows this ticket, and what it was welcomed with.
    pub async fn show(
        hub: &Hub,
        device: &Device,
        ticket: Option<&str>,
    ) -> Result<(Self, ToDevice), quinn::ConnectionError> {
        let (connection, endpoint) = Self::dial(hub, device).await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        let hello = ToHub::Hello(Hello::new(ticket.map(String::from)));
        frame::write(&mut send, &hello).await.unwrap();
        match frame::read(&mut receive).await {
            Ok(welcome) => Ok((Self { connection, send, receive, _endpoint: endpoint }, welcome)),
            Err(_) => Err(connection.closed().await),
        }
    }
}

/// A TLS hello for a name, and the connection it was sent over.
pub async fn visitor(hub: &Hub, name: &str) -> (TcpStream, Vec<u8>) {
    let tls = Arc::new(Device::new().tls(hub));
    let mut client = ClientConnection::new(tls, name.to_owned().try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut tcp = TcpStream::connect(hub.listen).await.unwrap();
    // In two pieces: a hello need not come in one segment.
    let (one, two) = hello.split_at(7);
    tcp.write_all(one).await.unwrap();
    tcp.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    tcp.write_all(two).await.unwrap();
    (tcp, hello)
}

pub async fn all(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(15), tcp.read_to_end(&mut bytes));
    read.await.expect("the hub ends it").unwrap();
    bytes
}

#[tokio::test]
async fn a_visitor_is_carried_unread_and_logged_masked() {
    let mut hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let (session, welcome) = Session::open(&hub, &device).await;
    assert!(matches!(welcome, ToDevice::Welcome { observed, .. } if observed.is_loopback()));
    let host = "web.box.link.example.test";
    let (mut tcp, hello) = visitor(&hub, host).await;
    let (mut send, mut receive) = session.connection.accept_bi().await.unwrap();
    let announced: Visitor = frame::read(&mut receive).await.unwrap();
    assert_eq!((announced.host.as_str(), announced.from.to_string().as_str()), (host, "127.0.0.1"));
    send.write_all(&[Verdict::Welcome.byte()]).await.unwrap();
    let mut carried = vec![0; hello.len()];
    receive.read_exact(&mut carried).await.unwrap();
    assert_eq!(carried, hello);
    let big = vec![7; 3_000_000];
    let sent = big.clone();
    let download = tokio::spawn(async move {
        send.write_all(&sent).await.unwrap();
        send.finish().unwrap();
    });
    tcp.shutdown().await.unwrap();
    assert_eq!(receive.read_to_end(10).await.unwrap(), b"", "the visitor's end is carried");
    assert_eq!(all(&mut tcp).await, big, "after its own end a visitor still gets its answer");
    download.await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(hub.stop(), Some(0));
    let store = hub.store();
    let visits = store.visits(store.devices().await.unwrap()[0].id.clone()).await.unwrap();
    let line = &visits[0];
    assert_eq!((visits.len(), line.masked.to_string().as_str()), (1, "127.0.0.0"));
    assert_eq!((line.up, line.down), (u64::try_from(hello.len()).unwrap(), 3_000_000));
}

#[tokio::test]
async fn every_refusal_is_the_same() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    Device::registered(&hub, "offline").await;
    let (session, _) = Session::open(&hub, &device).await;
    tokio::spawn(async move {
        while let Ok((mut send, _receive)) = session.connection.accept_bi().await {
            let _ = send.write_all(&[Verdict::Refused.byte()]).await;
        }
    });
    let names = ["box", "offline", "nobody"].map(|name| format!("{name}.link.example.test"));
    let others = ["example.test", "elsewhere.example.org"].map(String::from);
    for name in names.iter().chain(&others) {
        let (mut tcp, _) = visitor(&hub, name).await;
        assert_eq!(all(&mut tcp).await, REFUSAL, "{name}");
    }
    let mut plain = TcpStream::connect(hub.listen).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(all(&mut plain).await, REFUSAL);
}

#[tokio::test]
async fn the_newest_session_wins_and_the_tripwire_follows_it() {
    let mut hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let (mut old, welcome) = Session::open(&hub, &device).await;
    let ToDevice::Welcome { epoch: first, tripwire, .. } = welcome else { panic!("no welcome") };
    let mut wire = TcpStream::connect(hub.listen).await.unwrap();
    let token = BASE64URL_NOPAD.decode(tripwire.as_bytes()).unwrap();
    wire.write_all(&[&[TRIPWIRE_MAGIC][..], &token].concat()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), wire.read_u8()).await;
    assert!(early.is_err(), "it is held");
    let (mut new, welcome) = Session::open(&hub, &device).await;
    let ToDevice::Welcome { epoch: second, .. } = welcome else { panic!("no welcome") };
    assert!(second > first);
    let goodbye: ToDevice = frame::read(&mut old.receive).await.unwrap();
    assert!(matches!(goodbye, ToDevice::Goodbye { .. }));
    assert_eq!(all(&mut wire).await, b"", "the old session's tripwire breaks");
    frame::write(&mut new.send, &ToHub::Heartbeat { number: 5 }).await.unwrap();
    let beat: ToDevice = frame::read(&mut new.receive).await.unwrap();
    assert!(matches!(beat, ToDevice::Heartbeat { number: 5, .. }));
    let stopping = std::thread::spawn(move || hub.stop());
    let goodbye: ToDevice = frame::read(&mut new.receive).await.unwrap();
    assert_eq!(goodbye, ToDevice::Goodbye { reason: "the hub stops".into() });
    assert_eq!(stopping.join().unwrap(), Some(0));
}

#[tokio::test]
async fn forgetting_link_ends_the_session_and_a_stranger_gets_none() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let (mut session, _) = Session::open(&hub, &device).await;
    let (status, _) = device.post(&hub, "/v1/link/forget", &json!({"nonce": "n"})).await;
    assert_eq!(status, 200);
    let goodbye: ToDevice = frame::read(&mut session.receive).await.unwrap();
    assert_eq!(goodbye, ToDevice::Goodbye { reason: "link was switched off".into() });
    let (status, _) = device.post(&hub, "/v1/registration/forget", &json!({"nonce": "n"})).await;
    assert_eq!(status, 200);
    let refused = match Session::connect(&hub, &device).await {
        Err(error) => error,
        Ok(connection) => connection.closed().await,
    };
    let quinn::ConnectionError::ApplicationClosed(close) = refused else { panic!("{refused}") };
    assert_eq!(close.error_code, CLOSED_UNKNOWN_DEVICE);
}

#[tokio::test]
async fn a_crashed_hub_tells_its_devices_at_once() {
    let mut hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let (mut session, welcome) = Session::open(&hub, &device).await;
    let ToDevice::Welcome { epoch: before, tripwire, .. } = welcome else { panic!("no welcome") };
    let mut wire = TcpStream::connect(hub.listen).await.unwrap();
    let token = BASE64URL_NOPAD.decode(tripwire.as_bytes()).unwrap();
    wire.write_all(&[&[TRIPWIRE_MAGIC][..], &token].concat()).await.unwrap();
    hub.crash();
    assert!(matches!(wire.read(&mut [0]).await, Ok(0) | Err(_)), "the tripwire breaks");
    // Whichever packet comes first is answered by the reset: this one, or one of quinn's own.
    let _ = frame::write(&mut session.send, &ToHub::Heartbeat { number: 1 }).await;
    let closed = tokio::time::timeout(Duration::from_secs(2), session.connection.closed()).await;
    assert_eq!(closed.expect("far sooner than the idle timeout"), quinn::ConnectionError::Reset);
    let (_session, welcome) = Session::open(&hub, &device).await;
    assert!(matches!(welcome, ToDevice::Welcome { epoch, .. } if epoch > before));
}
