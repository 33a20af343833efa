//! A hub that lies on the session: at the welcome, in the frames after it, and about visitors.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::fake::{Fake, nasty};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until;
use crate::hub::{peak_kib, sections};
use qcloud_agent::wire::label::acts;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// What the hub does with one session.
#[derive(Clone, Debug)]
struct Play {
    what: &'static str,
    /// On the control stream, after the device's hello.
    control: Vec<u8>,
    /// On each of this many streams of visitors.
    visitors: (usize, Vec<u8>),
    /// What `link status` comes to say; nothing while the session stands.
    says: Option<&'static str>,
}

fn frame(body: &Value) -> Vec<u8> {
    raw(body.to_string().as_bytes())
}

fn raw(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).expect("a frame").to_be_bytes(), body].concat()
}

/// Its ticket is none: the device keeps the one it has, and the honest hub knows it again.
fn welcome() -> Vec<u8> {
    frame(
        &json!({ "type": "welcome", "epoch": 1, "observed": "203.0.113.10", "tripwire": "AAECAwQFBgcICQoLDA0ODw", "ticket": "" }),
    )
}

/// What is said instead of a welcome.
fn bad_welcomes() -> Vec<Play> {
    let welcomed = |field: &str, value: Value| {
        let mut frame = json!({ "type": "welcome", "epoch": 1, "observed": "203.0.113.10", "tripwire": "AA", "ticket": "" });
        frame[field] = value;
        frame
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    [
        ("garbage", raw(&[0xff; 100]), "not understood"),
        ("a frame too long", [0xff; 2].to_vec(), "4096"),
        ("an empty frame", raw(b""), "not understood"),
        ("deep JSON", raw(deep.as_bytes()), "not understood"),
        (
            "an answer first",
            frame(&json!({ "type": "heartbeat", "number": 0, "observed": "::1" })),
            "no welcome",
        ),
        ("another kind", frame(&json!({ "type": nasty("kind") })), "not understood"),
        ("a negative number", frame(&welcomed("epoch", json!(-1))), "not understood"),
        ("a number beyond all", frame(&welcomed("epoch", json!(1e300))), "not understood"),
        (
            "an address that is none",
            frame(&welcomed("observed", json!(nasty("x")))),
            "not understood",
        ),
        (
            "a goodbye that acts",
            frame(&json!({ "type": "goodbye", "reason": nasty("bye") })),
            "closed the session: bye",
        ),
        (
            "a long goodbye",
            frame(&json!({ "type": "goodbye", "reason": "x".repeat(4000) })),
            "closed the session",
        ),
        ("no word", Vec::new(), "did not answer in 5 s"),
    ]
    .map(|(what, control, says)| Play { what, control, visitors: (0, vec![]), says: Some(says) })
    .into()
}

/// What is said after one.
fn bad_frames() -> Vec<Play> {
    let then = |bytes: Vec<u8>| [welcome(), bytes].concat();
    let down = |what, bytes, says| Play {
        what,
        control: then(bytes),
        visitors: (0, vec![]),
        says: Some(says),
    };
    let up = |what, count, bytes| Play {
        what,
        control: welcome(),
        visitors: (count, bytes),
        says: None,
    };
    let flood =
        frame(&json!({ "type": "heartbeat", "number": u64::MAX, "observed": "203.0.113.10" }));
    let visitor =
        |host: &str, from: &str| frame(&json!({ "type": "visitor", "host": host, "from": from }));
    vec![
        down("a second welcome", welcome(), "welcomed the device twice"),
        down("garbage later", raw(&[0; 50]), "not understood"),
        down("a frame too long later", vec![0xff, 0xff], "4096"),
        down(
            "a goodbye later",
            frame(&json!({ "type": "goodbye", "reason": nasty("later") })),
            "closed the session: later",
        ),
        Play {
            what: "answers to nothing",
            control: then(flood.repeat(20_000)),
            visitors: (0, vec![]),
            says: None,
        },
        Play {
            what: "a tripwire that is none",
            control: frame(
                &json!({ "type": "welcome", "epoch": u64::MAX, "observed": "::", "tripwire": nasty("t"), "ticket": nasty("t") }),
            ),
            visitors: (0, vec![]),
            says: None,
        },
        up("visitors of garbage", 50, raw(&[0xff; 100])),
        up("visitors without a word", 300, vec![0]),
        up("visitors too long", 50, vec![0xff; 5000]),
        up("visitors of names that act", 50, visitor(&nasty("host"), "192.0.2.1")),
        up("visitors from nowhere", 50, visitor("box.link.nas.example.test", &nasty("from"))),
        up("visitors of others", 50, visitor("other.link.nas.example.test", "::1")),
        up(
            "visitors who send no TLS",
            50,
            [visitor("box.link.nas.example.test", "192.0.2.1"), vec![0; 20_000]].concat(),
        ),
    ]
}

/// Sessions with the hub that lies. Ends on drop.
struct Liar {
    play: Arc<Mutex<Play>>,
    begun: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Liar {
    fn new(fake: &Fake, first: Play) -> Self {
        let (socket, tls) = fake.session_socket();
        let (play, begun) = (Arc::new(Mutex::new(first)), Arc::new(AtomicU64::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let parts = (Arc::clone(&play), Arc::clone(&begun), Arc::clone(&over));
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve(socket, tls, parts));
        });
        Self { play, begun, over, serving: Some(serving) }
    }

    /// Plays this to the next session, and ends the one that stands.
    fn play(&self, play: &Play) {
        let before = self.begun.load(Ordering::Relaxed);
        *self.play.lock().expect("a play") = play.clone();
        until(play.what, SOON, || (self.begun.load(Ordering::Relaxed) > before).then_some(()));
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

type Parts = (Arc<Mutex<Play>>, Arc<AtomicU64>, Arc<AtomicBool>);

async fn serve(socket: UdpSocket, tls: Arc<rustls::ServerConfig>, (play, begun, over): Parts) {
    let crypto = QuicServerConfig::try_from(tls).expect("QUIC");
    let server = ServerConfig::with_crypto(Arc::new(crypto));
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime);
    let endpoint = endpoint.expect("an endpoint");
    let pause = || tokio::time::sleep(Duration::from_millis(20));
    while !over.load(Ordering::Relaxed) {
        let Ok(Some(incoming)) =
            tokio::time::timeout(Duration::from_millis(50), endpoint.accept()).await
        else {
            continue;
        };
        let Ok(connection) = incoming.await else { continue };
        let now = play.lock().expect("a play").clone();
        let held = say(&connection, &now).await;
        begun.fetch_add(1, Ordering::Relaxed);
        while connection.close_reason().is_none()
            && !over.load(Ordering::Relaxed)
            && play.lock().expect("a play").what == now.what
        {
            pause().await;
        }
        drop(held);
        connection.close(0_u32.into(), b"");
    }
    endpoint.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
}

type Held =
    (Option<(quinn::SendStream, quinn::RecvStream)>, Vec<(quinn::SendStream, quinn::RecvStream)>);

async fn say(connection: &Connection, play: &Play) -> Held {
    let Ok((mut send, mut receive)) = connection.accept_bi().await else { return (None, vec![]) };
    let mut hello = [0; 64];
    let _ = receive.read(&mut hello).await;
    // A device that had enough resets the stream.
    let wait = Duration::from_secs(3);
    let _ = tokio::time::timeout(wait, send.write_all(&play.control)).await;
    let mut visitors = Vec::new();
    for _ in 0..play.visitors.0 {
        let opened = tokio::time::timeout(Duration::from_millis(200), connection.open_bi()).await;
        let Ok(Ok((mut to, from))) = opened else { break };
        let _ = tokio::time::timeout(wait, to.write_all(&play.visitors.1)).await;
        visitors.push((to, from));
    }
    (Some((send, receive)), visitors)
}

fn assert_session(agent: &Agent, play: &Play) {
    until(play.what, SOON, || {
        let link = agent.feature("link");
        let summary = link["summary"].as_str().unwrap_or_default().to_owned();
        assert!(!summary.contains(acts), "{}: {summary:?}", play.what);
        match play.says {
            Some(words) => summary.contains(words).then_some(()),
            None => (link["facts"]["up"] == true).then_some(()),
        }
    });
    assert!(!agent.log_text().contains("panicked"), "{}", play.what);
    let peak = peak_kib(agent);
    assert!(peak < 96 * 1024, "{}: {peak} KiB", play.what);
}

#[test]
fn whatever_the_hub_says_on_the_session_it_is_told_and_the_honest_one_is_met_again() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", &sections());
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);
    let plays = [bad_welcomes(), bad_frames()].concat();
    let liar = Liar::new(&fake, plays[0].clone());
    until("the first session", SOON, || (liar.begun.load(Ordering::Relaxed) > 0).then_some(()));
    for (n, play) in plays.iter().enumerate() {
        if n > 0 {
            liar.play(play);
        }
        assert_session(&agent, play);
    }
    assert!(liar.begun.load(Ordering::Relaxed) < 400, "a storm of {:?} dials", liar.begun);
    let text = agent.log_text();
    assert!(!text.contains(|c| c != '\n' && acts(c)), "the log acts on a terminal");
    assert!(page.asked().is_empty(), "a lie reached the published service");
    drop(liar);
    drop(fake);
    world.hub.serve();
    agent.wait_for_link();
}
