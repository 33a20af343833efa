//! A server that is not the hub: HTTPS with whatever certificate it is given, and an answer of the test's own.

use super::net::Place;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Answers one path and body.
type Answer = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// The server. Closed on drop.
pub struct Impostor {
    /// Where it listens, on every address of its namespace.
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    tls: Arc<ServerConfig>,
    answer: Box<Answer>,
    asked: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Impostor {
    /// Opens one.
    pub fn open(
        place: &Place,
        tls: ServerConfig,
        answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let listener =
            place.inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port"));
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a listener");
        let shared = Arc::new(Shared {
            tls: Arc::new(tls),
            answer: Box::new(answer),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            while !kept.over.load(Ordering::Relaxed) {
                let Ok((caller, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let kept = Arc::clone(&kept);
                // A caller that hangs up, or does not like the certificate, has its way.
                std::thread::spawn(move || kept.converse(caller).ok());
            }
        });
        Self { port, shared }
    }

    /// The paths that were asked for, within TLS.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("nobody panics here").clone()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn converse(&self, caller: TcpStream) -> std::io::Result<()> {
        caller.set_nonblocking(false)?;
        caller.set_read_timeout(Some(Duration::from_secs(10)))?;
        let tls = ServerConnection::new(Arc::clone(&self.tls)).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(tls, caller);
        let mut request = Vec::new();
        let mut block = [0; 4096];
        let (path, body) = loop {
            if let Some(whole) = whole(&request) {
                break whole;
            }
            match stream.read(&mut block)? {
                0 => return Ok(()),
                read => request.extend_from_slice(&block[..read]),
            }
        };
        self.asked.lock().expect("nobody panics here").push(path.clone());
        let (status, said) = (self.answer)(&path, &body);
        let said = said.to_string();
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            said.len()
        );
        stream.write_all((head + &said).as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    }
}

/// Path and body, once all of it is there.
fn whole(request: &[u8]) -> Option<(String, Value)> {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let body = serde_json::from_str(body).ok()?;
    Some((head.split(' ').nth(1)?.to_owned(), body))
}
