//! A hub that lies: it has the keys of the real one, so that its TLS is believed, and says what a test tells it.

use super::hub::Hub;
use super::net::{HUB, Place};
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::keys::Keys;
use qcloud_agent::hub::tls::{Faces, LiveLeaf, Source};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// What it says to a request.
#[derive(Clone, Debug)]
pub enum Say {
    /// A well-formed answer with this body.
    Json(Value),
    /// A well-formed refusal.
    Refuse(u16, Value),
    /// These bytes, whatever they are.
    Raw(Vec<u8>),
    /// These, then the last one again and again, up to this many bytes or until nobody listens.
    Endless(Vec<u8>, Vec<u8>, usize),
    /// A body at one byte a second.
    Slow,
    /// Nothing at all.
    Silence,
}

impl Say {
    /// A success with this body as it stands, of this type.
    pub fn body(kind: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self::Raw([head.as_bytes(), body].concat())
    }
}

type Script = Arc<Mutex<Box<dyn FnMut(&str, &Value) -> Say + Send>>>;

/// It serves until dropped.
pub struct Fake {
    over: Arc<AtomicBool>,
    script: Script,
    about: Arc<Mutex<Say>>,
    /// Requests so far, but for those who runs it.
    pub asked: Arc<AtomicU64>,
    serving: Option<JoinHandle<()>>,
    place: Place,
    faces: Arc<Faces>,
}

impl Fake {
    /// In place of a hub that was stopped.
    pub fn instead_of(hub: &Hub, place: &Place) -> Self {
        let clock = Clock::system(Wall::default());
        let (keys, config) = (Keys::load(hub.dir()).expect("keys"), Config::load(hub.dir()));
        let config = config.expect("its configuration");
        let own = Source::Own { host: config.host, addresses: config.addresses };
        let leaf = LiveLeaf::new(&keys, own, clock.now().wall).expect("a certificate");
        let faces = Arc::new(Faces::new(&keys, &leaf, &clock).expect("TLS"));
        let listener = place.inside(|| TcpListener::bind((HUB, 443)).expect("the hub's port"));
        listener.set_nonblocking(true).expect("a listener");
        let over = Arc::new(AtomicBool::new(false));
        let script: Script = Arc::new(Mutex::new(Box::new(|_, _| Say::Silence)));
        let about = Arc::new(Mutex::new(Say::Refuse(404, json!({"error": "nothing here"}))));
        let introduced = Arc::clone(&about);
        let asked = Arc::new(AtomicU64::new(0));
        let tls = Arc::clone(&faces.api);
        let (ended, told, count) = (Arc::clone(&over), Arc::clone(&script), Arc::clone(&asked));
        let serving = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let (tls, told, ended) =
                            (Arc::clone(&tls), Arc::clone(&told), Arc::clone(&ended));
                        let (count, about) = (Arc::clone(&count), Arc::clone(&introduced));
                        // A thread that waits for a caller that went away ends by its deadline.
                        std::thread::spawn(move || {
                            serve(stream, tls, (&told, &about), &ended, &count)
                        });
                    }
                    Err(_) => sleep(Duration::from_millis(5)),
                }
            }
        });
        let serving = Some(serving);
        Self { over, script, about, asked, serving, place: place.clone(), faces }
    }

    /// What it says from here on, by path and body.
    pub fn say(&self, script: impl FnMut(&str, &Value) -> Say + Send + 'static) {
        *self.script.lock().expect("a script") = Box::new(script);
    }

    /// Says the same to one path, and is silent on every other.
    pub fn say_at(&self, at: &'static str, what: &Say) {
        let what = what.clone();
        self.say(move |path, _| if path == at { what.clone() } else { Say::Silence });
    }

    /// What it says from here on to who asks who runs it; before, it does not know the question.
    pub fn introduce(&self, what: Say) {
        *self.about.lock().expect("its words") = what;
    }

    /// Where its sessions would be, and how it shows itself there.
    pub fn session_socket(&self) -> (UdpSocket, Arc<ServerConfig>) {
        let socket = self.place.inside(|| UdpSocket::bind((HUB, 443)).expect("the hub's port"));
        (socket, Arc::clone(&self.faces.session))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn serve(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    (script, about): (&Script, &Mutex<Say>),
    over: &AtomicBool,
    count: &AtomicU64,
) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(20)));
    let Ok(connection) = ServerConnection::new(tls) else { return };
    let mut stream = StreamOwned::new(connection, stream);
    let Some((path, body)) = request(&mut stream) else { return };
    let what = if path == "/v1/about" {
        about.lock().expect("its words").clone()
    } else {
        count.fetch_add(1, Ordering::Relaxed);
        (script.lock().expect("a script"))(&path, &body)
    };
    // A caller that had enough hangs up.
    let _ = answer(&mut stream, what, over);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn request(stream: &mut Stream) -> Option<(String, Value)> {
    let (mut said, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&said).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
            if body.len() >= length {
                let path = head.split_whitespace().nth(1)?.to_owned();
                return Some((path, serde_json::from_str(body).ok()?));
            }
        }
        match stream.read(&mut block) {
            Ok(0) | Err(_) => return None,
            Ok(read) => said.extend_from_slice(&block[..read]),
        }
    }
}

fn answer(stream: &mut Stream, what: Say, over: &AtomicBool) -> std::io::Result<()> {
    let bytes = |status: &str, body: &Value| {
        let body = body.to_string();
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    match what {
        Say::Json(body) => stream.write_all(bytes("200 OK", &body).as_bytes())?,
        Say::Refuse(status, body) => {
            stream.write_all(bytes(&format!("{status} No"), &body).as_bytes())?;
        }
        Say::Raw(raw) => stream.write_all(&raw)?,
        Say::Endless(first, again, most) => {
            stream.write_all(&first)?;
            let mut sent = 0;
            while sent < most && !over.load(Ordering::Relaxed) {
                stream.write_all(&again)?;
                sent += again.len();
            }
        }
        Say::Slow => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
            for _ in 0..1000 {
                if over.load(Ordering::Relaxed) {
                    return Err(ErrorKind::Interrupted.into());
                }
                stream.write_all(b" ")?;
                stream.flush()?;
                sleep(Duration::from_secs(1));
            }
        }
        Say::Silence => {
            let mut byte = [0];
            let _ = stream.read(&mut byte);
        }
    }
    stream.flush()
}

/// An answer to `register/start` as an honest hub gives it.
pub fn started(seconds: u64) -> Value {
    json!({
        "device_code": "3q2-7wAAAAAAAAAAAAAAAA",
        "user_code": "BCDF-GHJK",
        "verification_uri": "qcloud-hub approve BCDF-GHJK",
        "interval_seconds": 1,
        "expires_in_seconds": seconds,
        "challenge": "Y2hhbGxlbmdl",
    })
}

/// What acts on a terminal or on the text around it, each with letters that tell which field it was in.
pub fn nasty(word: &str) -> String {
    format!("{word}\u{1b}[2J\u{1b}]0;x\u{7}\r\nFORGED\u{202e}\u{2066}\u{9b}1m\u{200b}\u{7f}end")
}

/// A hub that cannot be believed, in general: each with a word for the test's messages.
pub fn lies() -> Vec<(&'static str, Say)> {
    let json = "application/json";
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 65536], b"\r\n"].concat();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    vec![
        ("no HTTP", Say::Raw(b"\x16\x03\x01 what is this?\r\n\r\n".to_vec())),
        ("nothing", Say::Raw(Vec::new())),
        ("binary", Say::body(json, (0..=255).cycle().take(5000).collect::<Vec<u8>>())),
        ("not JSON", Say::body("text/html", "<html>portal</html>")),
        ("empty", Say::body(json, "")),
        ("null", Say::Json(Value::Null)),
        ("an array", Say::Json(json!([]))),
        ("a number", Say::body(json, "-1e999999")),
        ("another object", Say::Json(json!({ "state": "x", "epoch": -1, "a": 1e300 }))),
        ("deep arrays", Say::body(json, deep("[", "]"))),
        ("deep objects", Say::body(json, deep("{\"a\":", "}"))),
        ("a cut body", Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{".to_vec())),
        (
            "a length too large",
            Say::Raw(
                b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n".to_vec(),
            ),
        ),
        ("one GB", Say::Endless(chunked, chunk, 1 << 30)),
        (
            "endless headers",
            Say::Endless(
                b"HTTP/1.1 200 OK\r\n".to_vec(),
                [b"x-a: ".as_slice(), &[b'a'; 1000], b"\r\n"].concat(),
                1 << 30,
            ),
        ),
        (
            "a header without end",
            Say::Endless(b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 65536], 1 << 30),
        ),
        (
            "endless interim answers",
            Say::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000), 1 << 28),
        ),
        (
            "a redirect",
            Say::Raw(
                b"HTTP/1.1 302 Found\r\nlocation: https://evil.test/\r\ncontent-length: 0\r\n\r\n"
                    .to_vec(),
            ),
        ),
        ("a refusal that acts", Say::Refuse(400, json!({ "error": nasty("refused") }))),
        ("a refusal of another kind", Say::Refuse(500, json!({ "error": { "a": [1] } }))),
    ]
}
