use super::*;
use crate::egress::gate::Gate;
use crate::egress::outside::{Flow, SessionEvent};
use crate::egress::testing::{
    gate, lines, pki, resolver, session_passage, session_passage_with, target, tickets,
};
use crate::wire::frame;
use crate::wire::link::{TRIPWIRE_MAGIC, ToDevice, ToHub, UNKNOWN_DEVICE, Verdict, Visitor};
use core::net::SocketAddr;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, SendStream, ServerConfig, VarInt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// `AAECAwQFBgcICQoLDA0ODw` is the bytes 0 to 15.
const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODw";

/// What every session is given.
const TICKET: &str = "ticket-of-the-next-session";

struct Hub {
    endpoint: Endpoint,
    tripwires: TcpListener,
    trusting: Arc<rustls::ClientConfig>,
    distrusting: Arc<rustls::ClientConfig>,
}

/// The hub's end of one session.
struct End {
    connection: Connection,
    control: Arc<Mutex<SendStream>>,
}

impl Hub {
    async fn new() -> Self {
        let pki = pki(crate::wire::SESSION_ALPN);
        let crypto = QuicServerConfig::try_from(pki.server).unwrap();
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let tripwires = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::server(config, tripwires.local_addr().unwrap()).unwrap();
        Self { endpoint, tripwires, trusting: pki.trusting, distrusting: pki.distrusting }
    }

    fn port(&self) -> u16 {
        self.endpoint.local_addr().unwrap().port()
    }

    /// Welcomes one device, and answers so many of its heartbeats, all but the first with another address.
    async fn welcome(&self, answered: u64) -> End {
        let connection = self.endpoint.accept().await.unwrap().await.unwrap();
        let (mut control, mut recv) = connection.accept_bi().await.unwrap();
        assert!(matches!(frame::read(&mut recv).await.unwrap(), ToHub::Hello(_)));
        let tripwire = TOKEN.to_owned();
        let ticket = TICKET.to_owned();
        let welcome = ToDevice::Welcome { epoch: 7, observed: ip(1), tripwire, ticket };
        frame::write(&mut control, &welcome).await.unwrap();
        let told: ToHub = frame::read(&mut recv).await.unwrap();
        assert_eq!(told, ToHub::Ticket { stored: true });
        let control = Arc::new(Mutex::new(control));
        let answers = Arc::clone(&control);
        tokio::spawn(async move {
            let mut done = 0;
            while let Ok(ToHub::Heartbeat { number }) = frame::read(&mut recv).await {
                if done < answered {
                    done += 1;
                    let observed = ip(if done > 1 { 2 } else { 1 });
                    let answer = ToDevice::Heartbeat { number, observed };
                    frame::write(&mut *answers.lock().await, &answer).await.unwrap();
                }
            }
        });
        End { connection, control }
    }

    async fn tripwire(&self) -> TcpStream {
        let (mut stream, _) = self.tripwires.accept().await.unwrap();
        let mut bytes = [0; 17];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes[0], TRIPWIRE_MAGIC);
        assert_eq!(bytes[1..], core::array::from_fn::<u8, 16, _>(|i| i.try_into().unwrap()));
        stream
    }
}

impl End {
    async fn visitor(&self, host: &str) -> (quinn::SendStream, quinn::RecvStream) {
        let (mut send, recv) = self.connection.open_bi().await.unwrap();
        let visitor = Visitor { host: host.into(), from: ip(9) };
        frame::write(&mut send, &visitor).await.unwrap();
        (send, recv)
    }
}

fn ip(last: u8) -> core::net::IpAddr {
    [192, 0, 2, last].into()
}

fn sessions(hub: &Hub) -> (Sessions, Gate) {
    let settings = Settings { busy: Duration::from_millis(30), ..Settings::new(Memory::Scarce) };
    let sessions = Sessions::new(resolver(), settings, tickets());
    sessions.set_tls(Some(Arc::clone(&hub.trusting)));
    (sessions, gate(target("hub.example.test", hub.port())))
}

async fn next(session: &mut outside::Session) -> SessionEvent {
    tokio::time::timeout(Duration::from_secs(3), session.events.recv()).await.unwrap().unwrap()
}

async fn up(session: &mut outside::Session) {
    let event = next(session).await;
    assert!(matches!(event, SessionEvent::Up { epoch: 7, observed } if observed == ip(1)));
}

async fn down(session: &mut outside::Session) -> String {
    loop {
        if let SessionEvent::Down(error) = next(session).await {
            return error.to_string();
        }
    }
}

async fn visitor(session: &mut outside::Session) -> (Visitor, Flow) {
    match next(session).await {
        SessionEvent::Visitor(visitor, flow) => (visitor, flow),
        SessionEvent::Up { .. } | SessionEvent::Observed(_) | SessionEvent::Down(_) => {
            panic!("not a visitor")
        }
    }
}

/// Waits until the session's task has written its last line.
async fn last_line(gate: &Gate) -> crate::egress::ledger::Line {
    loop {
        let line = lines(gate).pop().unwrap();
        if line.result != "open" {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_comes_up_beats_and_tells_of_another_address() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(20);
    let (joined, end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(100));
    let mut session = joined.unwrap();
    up(&mut session).await;
    let event = next(&mut session).await;
    assert!(matches!(event, SessionEvent::Observed(observed) if observed == ip(2)));
    drop(session);
    let closed = end.connection.closed().await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed}") };
    assert_eq!(close.error_code, VarInt::from_u32(0));
    let line = last_line(&gate).await;
    assert_eq!((line.result.as_str(), line.port), ("ok", Some(hub.port())));
    assert!(line.up > 1200 && line.down > 1200, "{line:?}");
}

#[tokio::test]
async fn a_visitor_passes_both_ways_and_a_dropped_flow_is_reset() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    let (joined, end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(100));
    let mut session = joined.unwrap();
    up(&mut session).await;
    let (mut send, mut recv) = end.visitor("nas.example.test").await;
    let (who, mut flow) = visitor(&mut session).await;
    assert_eq!((who.host.as_str(), who.from), ("nas.example.test", ip(9)));
    flow.write_u8(Verdict::Welcome.byte()).await.unwrap();
    send.write_all(b"hello").await.unwrap();
    send.finish().unwrap();
    let mut asked = String::new();
    flow.read_to_string(&mut asked).await.unwrap();
    flow.write_all(asked.as_bytes()).await.unwrap();
    flow.shutdown().await.unwrap();
    drop(flow);
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"\x01hello");

    let (_send, mut recv) = end.visitor("nas.example.test").await;
    drop(visitor(&mut session).await);
    assert!(matches!(
        recv.read_to_end(100).await,
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(_)))
    ));
}

#[tokio::test]
async fn a_stuck_consumer_turns_visitors_away_and_the_heart_goes_on() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(20);
    let (joined, end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(10_000));
    let mut session = joined.unwrap();
    up(&mut session).await;
    let mut streams = Vec::new();
    for _ in 0..EVENTS + 50 {
        if streams.len() < 90 {
            streams.push(end.visitor("nas.example.test").await);
        } else {
            drop(streams.remove(0));
            streams.push(end.visitor("nas.example.test").await);
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(end.connection.close_reason().is_none());
    let reason = "too old".to_owned();
    let goodbye = ToDevice::Goodbye { reason };
    frame::write(&mut *end.control.lock().await, &goodbye).await.unwrap();
    assert!(down(&mut session).await.ends_with("the hub closed the session: too old"));
}

#[tokio::test]
async fn a_goodbye_is_heard_even_with_the_door_shut_right_behind_it() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    let (joined, end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(1));
    let mut session = joined.unwrap();
    up(&mut session).await;
    let goodbye = ToDevice::Goodbye { reason: "another took over".into() };
    frame::write(&mut *end.control.lock().await, &goodbye).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    end.connection.close(VarInt::from_u32(0), b"");
    assert!(down(&mut session).await.ends_with("another took over"));
    assert!(session.events.recv().await.is_none());
    assert!(last_line(&gate).await.result.ends_with("another took over"));
}

#[tokio::test]
async fn switching_off_closes_it_at_once() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    let (joined, end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(1));
    let mut session = joined.unwrap();
    up(&mut session).await;
    gate.close("link");
    assert_eq!(down(&mut session).await, SendError::Revoked.to_string());
    end.connection.closed().await;
    assert_eq!(last_line(&gate).await.result, SendError::Revoked.to_string());
}

#[tokio::test]
async fn a_mute_hub_is_given_up_and_the_next_join_dials_anew() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(30);
    let (joined, _end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(1));
    let mut session = joined.unwrap();
    up(&mut session).await;
    assert!(down(&mut session).await.ends_with("3 heartbeats are unanswered"));
    let stale = sessions.join(session_passage(&gate), heartbeat).await.err().unwrap().to_string();
    assert!(stale.ends_with("another session has just been there"), "{stale}");
    let passage = session_passage_with(&gate, Some(TICKET));
    let (joined, _end) = tokio::join!(sessions.join(passage, heartbeat), hub.welcome(9));
    up(&mut joined.unwrap()).await;
}

#[tokio::test]
async fn a_cut_tripwire_shows_a_dead_hub_in_half_a_second() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    let (joined, _end) =
        tokio::join!(sessions.join(session_passage(&gate), heartbeat), hub.welcome(1));
    let mut session = joined.unwrap();
    up(&mut session).await;
    let wire = hub.tripwire().await;
    sessions.probe();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(wire);
    let cut = tokio::time::Instant::now();
    let why = down(&mut session).await;
    assert!(why.contains("heartbeat"), "{why}");
    assert!(cut.elapsed() < Duration::from_secs(1), "{:?}", cut.elapsed());
}

#[tokio::test]
async fn two_share_one_connection_and_the_last_to_leave_closes_it() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    let (first, second, end) = tokio::join!(
        sessions.join(session_passage(&gate), heartbeat),
        sessions.join(session_passage(&gate), heartbeat),
        hub.welcome(100)
    );
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    up(&mut first).await;
    up(&mut second).await;
    drop(first);
    assert!(last_line(&gate).await.up > 1200);
    let _streams = end.visitor("nas.example.test").await;
    visitor(&mut second).await;
    assert!(end.connection.close_reason().is_none());
    drop(second);
    end.connection.closed().await;
}

#[tokio::test]
async fn what_the_hub_says_to_the_key_of_before_is_not_said_to_the_new_one() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_secs(25);
    let mut said = Vec::new();
    for is_changed in [false, true] {
        let (session, connection) =
            tokio::join!(sessions.join(session_passage(&gate), heartbeat), async {
                hub.endpoint.accept().await.unwrap().await.unwrap()
            });
        if is_changed {
            sessions.set_tls(Some(Arc::new(hub.trusting.as_ref().clone())));
        }
        connection.close(UNKNOWN_DEVICE.into(), b"never seen");
        match next(&mut session.unwrap()).await {
            SessionEvent::Down(error) => said.push((error.is_unknown_device(), error.is_final())),
            SessionEvent::Up { .. } | SessionEvent::Observed(_) | SessionEvent::Visitor(..) => {
                panic!("not its end")
            }
        }
    }
    assert_eq!(said, [(true, true), (false, false)]);
}

#[tokio::test]
async fn a_stranger_in_the_hubs_place_is_not_trusted() {
    let hub = Hub::new().await;
    let (sessions, gate) = sessions(&hub);
    let heartbeat = Duration::from_millis(25_000);
    sessions.set_tls(Some(Arc::clone(&hub.distrusting)));
    let accepting = hub.endpoint.clone();
    tokio::spawn(async move { accepting.accept().await.unwrap().await.map(|_| ()) });
    let error = sessions.join(session_passage(&gate), heartbeat).await.err().unwrap();
    assert!(matches!(error, SendError::NotTrusted { .. }), "{error}");
    assert_eq!(last_line(&gate).await.result, error.to_string());
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the other side of the test")]
async fn switching_off_stops_a_dial() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = silent.local_addr().unwrap();
    let hub = Hub::new().await;
    let (sessions, _) = sessions(&hub);
    let heartbeat = Duration::from_secs(25);
    let gate = gate(target("hub.example.test", address.port()));
    let passage = session_passage(&gate);
    let closing = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        gate.close("link");
    };
    let (joined, ()) = tokio::join!(sessions.join(passage, heartbeat), closing);
    assert_eq!(joined.err(), Some(SendError::Revoked));
}
