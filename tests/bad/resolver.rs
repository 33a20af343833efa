//! Name servers that lie, fall silent, and tell the truth again.

use crate::common::World;
use crate::common::hub::ZONE;
use crate::common::net::{DEVICE, HUB, Line};
use crate::hub::peak_kib;
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Cname};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Three servers, two rounds, 2 s each, and the process around it.
const PATIENCE: Duration = Duration::from_secs(15);

type Lie = fn(&Message<[u8]>) -> Vec<Vec<u8>>;

fn address(question: &Message<[u8]>, ip: Ipv4Addr) -> Vec<u8> {
    let asked = question.sole_question().expect("a question");
    let mut reply = MessageBuilder::new_vec().start_answer(question, Rcode::NOERROR).expect("room");
    if asked.qtype() == Rtype::A {
        reply.push((asked.qname(), Class::IN, 1, A::new(ip))).expect("room");
    }
    reply.finish()
}

fn truth(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    vec![address(question, HUB.parse().expect("an address"))]
}

fn refusal(question: &Message<[u8]>, code: Rcode) -> Vec<Vec<u8>> {
    vec![MessageBuilder::new_vec().start_answer(question, code).expect("room").finish()]
}

fn wrong_id(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let mut reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
    reply[0] ^= 0xff;
    vec![reply]
}

fn wrong_question(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let mut reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
    reply[13] = b'x';
    vec![reply]
}

fn cname_loop(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let asked = question.sole_question().expect("a question");
    let name = asked.qname();
    let mut reply = MessageBuilder::new_vec().start_answer(question, Rcode::NOERROR).expect("room");
    let other: Name<Vec<u8>> = "loop.example.test".parse().expect("a name");
    reply.push((name, Class::IN, 1, Cname::new(&other))).expect("room");
    reply.push((&other, Class::IN, 1, Cname::new(name))).expect("room");
    vec![reply.finish()]
}

/// The owner of the answer is a pointer to itself, then one to the next, which points back.
fn compression_loop(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    [[0xc0, 0x0c], [0xc0, 0xff]]
        .into_iter()
        .map(|pointer| {
            let mut reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
            let end = question.as_slice().len().min(reply.len());
            reply.truncate(end);
            reply[7] = 1;
            let at = u8::try_from(reply.len()).expect("a short question");
            let own = [0xc0, at];
            reply.extend_from_slice(if pointer[1] == 0xff { &own } else { &pointer });
            reply.extend_from_slice(&[0, 5, 0, 1, 0, 0, 0, 1, 0, 4, 0xc0, at, 0xc0, at]);
            reply
        })
        .collect()
}

fn garbage(_: &Message<[u8]>) -> Vec<Vec<u8>> {
    vec![vec![], vec![0], vec![0xff; 12], vec![0; 512], (0..=255).collect()]
}

fn huge(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let mut reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
    reply[7] = 0xff;
    reply.resize(65_000, 0xc0);
    vec![reply]
}

fn truncated(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let mut reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
    reply[2] |= 2;
    vec![reply]
}

fn cut(question: &Message<[u8]>) -> Vec<Vec<u8>> {
    let reply = address(question, Ipv4Addr::new(203, 0, 113, 66));
    vec![reply[..reply.len() - 2].to_vec()]
}

const LIES: &[(&str, Lie)] = &[
    ("wrong id", wrong_id),
    ("wrong question", wrong_question),
    ("loop of names", cname_loop),
    ("loop of pointers", compression_loop),
    ("garbage", garbage),
    ("64 KB", huge),
    ("truncated, and garbage over TCP", truncated),
    ("cut off", cut),
    ("private", |q| vec![address(q, Ipv4Addr::new(192, 168, 1, 1))]),
    ("own", |q| vec![address(q, DEVICE.parse().expect("an address"))]),
    ("this host", |q| vec![address(q, Ipv4Addr::UNSPECIFIED)]),
    ("everybody", |q| vec![address(q, Ipv4Addr::BROADCAST)]),
    ("many", |q| vec![address(q, Ipv4Addr::new(224, 0, 0, 1))]),
    ("failure", |q| refusal(q, Rcode::SERVFAIL)),
    ("refused", |q| refusal(q, Rcode::REFUSED)),
    ("no such name", |q| refusal(q, Rcode::NXDOMAIN)),
    ("silence", |_| vec![]),
];

#[test]
fn whatever_a_name_server_says_the_error_is_clear_and_the_truth_is_taken_afterwards() {
    let world = World::with_hub(
        Line::Direct,
        &["--listen", &format!("{HUB}:443"), "--dns", "127.0.0.1:53"],
    );
    let mut agent = world.agent("");
    agent.start();
    let (lie, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let socket = world.net.hub.inside(|| UdpSocket::bind((HUB, 53)).expect("a port"));
    let tcp = world.net.hub.inside(|| TcpListener::bind((HUB, 53)).expect("a port"));
    tcp.set_nonblocking(true).expect("a listener");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a deadline");
    let (which, ended) = (Arc::clone(&lie), Arc::clone(&over));
    let serving = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while !ended.load(Ordering::Relaxed) {
            if let Ok((mut stream, _)) = tcp.accept() {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(&[0xff; 65_537]);
            }
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let Ok(question) = Message::from_slice(&buffer[..length]) else { continue };
            let behave: Lie = match LIES.get(which.load(Ordering::Relaxed)) {
                Some((_, lie)) => *lie,
                None => truth,
            };
            for reply in behave(question) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    let url = format!("https://hub.{ZONE}");
    for (index, (what, _)) in LIES.iter().enumerate() {
        lie.store(index, Ordering::Relaxed);
        let begun = Instant::now();
        let ran =
            agent.plain(&["register", "--name", "box", "--hub", &url, "--hub-pin", &world.hub.pin]);
        assert!(begun.elapsed() < PATIENCE, "{what} took {:?}", begun.elapsed());
        assert_eq!(ran.code, Some(8), "{what}: {ran:?}");
        assert!(
            ran.stderr.contains("\nqcloud-agent: cannot register: ")
                && ran.stderr.contains("\nhint: "),
            "{what}: {ran:?}"
        );
        assert_eq!(agent.status()["registered"], serde_json::Value::Null, "{what}");
    }
    lie.store(LIES.len(), Ordering::Relaxed);
    agent.register(&world.hub, "box");
    assert!(peak_kib(&agent) < 64 * 1024, "{} KiB", peak_kib(&agent));
    assert!(!agent.log_text().contains("panicked"), "it panicked");
    over.store(true, Ordering::Relaxed);
    serving.join().expect("the name server");
}
