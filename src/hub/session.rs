//! Sessions: one QUIC connection of each device, and its control stream.

use super::access;
use super::metrics::HANDSHAKES;
use super::presence::Session;
use super::state::{Hub, token};
use super::ticket::{self, Fresh};
use super::tls::{Faces, Judge, key_hash};
use crate::wire::frame;
use crate::wire::link::{self, CLOSED_CERTIFICATE_EXPIRED, Hello, ToDevice, ToHub, UNKNOWN_DEVICE};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::pki_types::CertificateDer;
use std::io;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Closed after a [`ToDevice::Goodbye`].
pub const CLOSED_GOODBYE: VarInt = VarInt::from_u32(0);
/// Closed because the key has no row at the hub.
pub const CLOSED_UNKNOWN_DEVICE: VarInt = VarInt::from_u32(UNKNOWN_DEVICE);
/// Closed because the control stream did not begin or go on as it should.
pub const CLOSED_PROTOCOL: VarInt = VarInt::from_u32(2);
/// Closed because two boxes use this device's identity.
pub const CLOSED_QUARANTINED: VarInt = VarInt::from_u32(link::CLOSED_QUARANTINED);

/// A session without a packet for this long is over: three keep-alives of 25 s lost.
const IDLE: Duration = Duration::from_secs(75);
/// How long a device may take from its first packet to its hello.
const GREETING: Duration = Duration::from_secs(10);
/// How long a goodbye may take to arrive.
const FAREWELL: Duration = Duration::from_millis(500);
/// Handshakes at once; more are refused and come again.
const MAX_GREETINGS: usize = 512;
/// Windows in bytes: a stream's, a connection's, and what may wait to be sent.
const STREAM_WINDOW: u32 = 1_310_720;
const WINDOW: u32 = 8 * 1024 * 1024;
/// Streams a device may open: the control stream, and one more that is never accepted.
const DEVICE_STREAMS: u32 = 2;
/// Stateless resets no faster than this: 10,000 devices of a crashed hub learn of it in a second.
const RESET_INTERVAL: Duration = Duration::from_micros(100);

/// Why the endpoint could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The socket.
    #[error("the sessions' socket is not usable")]
    Socket(#[from] io::Error),
    /// QUIC needs a cipher that rustls does not offer.
    #[error("TLS of the sessions is not usable")]
    Tls(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Makes the endpoint on an open socket.
///
/// # Errors
/// [`SessionError`].
pub fn endpoint(udp: UdpSocket, hub: &Hub, faces: &Faces) -> Result<Endpoint, SessionError> {
    super::listen::enlarge(&udp);
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(Arc::clone(&faces.session))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(transport())).migration(true);
    // HMAC keys of 64 bytes; the same after a crash, so that the sessions before it can be reset.
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, hub.keys.reset.expose());
    let cid_key = fold(hub.keys.cid.expose());
    let mut config = EndpointConfig::new(Arc::new(reset));
    config
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)))
        .min_reset_interval(RESET_INTERVAL);
    let runtime = Arc::new(quinn::TokioRuntime);
    Ok(Endpoint::new(config, Some(server), udp.into_std()?, runtime)?)
}

fn fold(key: &[u8; 64]) -> u64 {
    let (words, _) = key.as_chunks::<8>();
    words.first().copied().map_or(0, u64::from_be_bytes)
}

fn transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    let idle = quinn::IdleTimeout::try_from(IDLE).ok();
    transport
        .max_idle_timeout(idle)
        .keep_alive_interval(None)
        .max_concurrent_bidi_streams(VarInt::from_u32(DEVICE_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .datagram_receive_buffer_size(None);
    transport
}

/// Attends to devices until the endpoint is closed.
pub async fn serve(endpoint: Endpoint, hub: Arc<Hub>, judge: Arc<Judge>) {
    let room = Arc::new(Semaphore::new(MAX_GREETINGS));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (hub, judge) = (Arc::clone(&hub), Arc::clone(&judge));
        tokio::spawn(async move {
            let greeted = timeout(GREETING, greet(incoming, &hub, &judge)).await;
            drop(place);
            match greeted {
                Ok(Ok(greeted)) => {
                    HANDSHAKES.count("ok");
                    attend(&hub, greeted).await;
                }
                Ok(Err(error)) => {
                    let unknown = error.kind() == io::ErrorKind::NotFound;
                    HANDSHAKES.count(if unknown { "unknown" } else { "failed" });
                    tracing::debug!(%error, "a session did not begin");
                }
                Err(_) => {
                    HANDSHAKES.count("late");
                    tracing::debug!("a session did not begin in time");
                }
            }
        });
    }
}

struct Greeted {
    session: Arc<Session>,
    fresh: Fresh,
    send: SendStream,
    receive: RecvStream,
}

async fn greet(incoming: Incoming, hub: &Hub, judge: &Judge) -> io::Result<Greeted> {
    let connection = incoming.await?;
    let from = connection.remote_address().ip().to_canonical();
    access::note(hub, from, access::Door::Session).await;
    let chain = peer_chain(&connection).ok_or(io::ErrorKind::PermissionDenied)?;
    let key = key_hash(&chain).ok_or(io::ErrorKind::PermissionDenied)?;
    let Some(device) = hub.device_of(key).await.map_err(io::Error::other)? else {
        connection.close(CLOSED_UNKNOWN_DEVICE, b"this device is not registered here");
        return Err(io::ErrorKind::NotFound.into());
    };
    if judge.is_over(&chain) {
        let code = VarInt::from_u32(CLOSED_CERTIFICATE_EXPIRED);
        connection.close(code, b"the certificate of this device is over");
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (send, mut receive) = connection.accept_bi().await?;
    let Some(shown) = hello(frame::read(&mut receive).await?) else {
        connection.close(CLOSED_PROTOCOL, b"the hello of version 1 comes first");
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (token, fresh) = (token().map_err(io::Error::other)?, Fresh::roll()?);
    let turn = hub.locks.of(&device.id).await;
    // Before the newest session wins: one that may not begin ends no other one in passing.
    if !ticket::admit(hub, &device, shown, &fresh).await.map_err(io::Error::other)? {
        connection.close(CLOSED_QUARANTINED, ticket::QUARANTINED.as_bytes());
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let epoch = hub.presence.next_epoch();
    let session = Arc::new(Session::new(device, epoch, hub.clock.now().wall, token, connection));
    // Under the lock and without a wait after it: whoever is refused later finds it and ends it.
    hub.presence.enter(&session);
    drop(turn);
    Ok(Greeted { session, fresh, send, receive })
}

/// The hash of the ticket in a hello of version 1; `None` for any other frame.
fn hello(frame: ToHub) -> Option<Option<super::store::Hash>> {
    match frame {
        ToHub::Hello(Hello { version: 1, ticket: None }) => Some(None),
        ToHub::Hello(Hello { version: 1, ticket: Some(text) }) => ticket::shown(&text).map(Some),
        ToHub::Hello(_) | ToHub::Ticket { .. } | ToHub::Heartbeat { .. } => None,
    }
}

fn peer_chain(connection: &Connection) -> Option<Vec<CertificateDer<'static>>> {
    connection.peer_identity()?.downcast().ok().map(|chain| *chain)
}

async fn attend(hub: &Hub, mut greeted: Greeted) {
    let session = Arc::clone(&greeted.session);
    // The device may have been forgotten between the look-up and its entry; asked again, it cannot slip through.
    if !still_known(hub, &session).await {
        session.end("this device is not registered here");
    }
    tracing::info!(device = %session.device.id, epoch = session.epoch, "a session began");
    let talk = async {
        let tripwire = BASE64URL_NOPAD.encode(&session.token);
        let observed = observed(&session);
        let welcome = greeted.fresh.welcome(session.epoch, observed, tripwire);
        frame::write(&mut greeted.send, &welcome).await?;
        converse(hub, &mut greeted).await
    };
    let reason = tokio::select! {
        biased;
        reason = session.ended() => Some(reason),
        outcome = talk => outcome.err().filter(|e| e.kind() == io::ErrorKind::InvalidData).map(|_| "a frame was not understood"),
    };
    hub.presence.leave(&session);
    if let Some(reason) = reason {
        let goodbye = ToDevice::Goodbye { reason: reason.into() };
        let _ = timeout(FAREWELL, say_goodbye(&mut greeted.send, &goodbye)).await;
    }
    session.connection.close(CLOSED_GOODBYE, reason.unwrap_or("goodbye").as_bytes());
    tracing::info!(device = %session.device.id, epoch = session.epoch, reason, "a session ended");
}

async fn still_known(hub: &Hub, session: &Session) -> bool {
    let chain = peer_chain(&session.connection);
    let Some(key) = chain.and_then(|chain| key_hash(&chain)) else { return false };
    let device = hub.device_of(key).await.ok().flatten();
    device.is_some_and(|device| device.name == session.device.name)
}

/// Answers heartbeats until the stream ends.
async fn converse(hub: &Hub, greeted: &mut Greeted) -> io::Result<()> {
    let Greeted { session, fresh, send, receive } = greeted;
    loop {
        match frame::read(receive).await? {
            ToHub::Heartbeat { number } => {
                let observed = observed(session);
                frame::write(send, &ToDevice::Heartbeat { number, observed }).await?;
            }
            ToHub::Ticket { stored } => {
                ticket::settled(hub, &session.device, fresh, stored).await;
            }
            ToHub::Hello(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Where the device is seen now: a rebinding of its NAT moves the connection, and this with it.
fn observed(session: &Session) -> core::net::IpAddr {
    session.connection.remote_address().ip().to_canonical()
}

async fn say_goodbye(send: &mut SendStream, goodbye: &ToDevice) -> io::Result<()> {
    frame::write(send, goodbye).await?;
    send.finish()?;
    // Closing throws away what is not yet acknowledged.
    send.stopped().await.map(drop).map_err(io::Error::other)
}
