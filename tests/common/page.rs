//! A service of the device: a small web page that remembers what was asked of it.

use super::net::Place;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A page. `/slow` never ends. Closed on drop.
pub struct Page {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    body: String,
    asked: Mutex<Vec<u8>>,
    over: AtomicBool,
}

impl Page {
    /// Opens one that says this, on a port of the namespace's loopback.
    pub fn open(place: &Place, body: &str) -> Self {
        Self::open_at(place, "127.0.0.1", body)
    }

    /// Opens one at this address of the namespace.
    pub fn open_at(place: &Place, ip: &str, body: &str) -> Self {
        let listener = place.inside(|| TcpListener::bind((ip, 0)).expect("a port"));
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a listener");
        let shared = Arc::new(Shared {
            body: body.into(),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            while !kept.over.load(Ordering::Relaxed) {
                let Ok((visitor, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || kept.answer(visitor));
            }
        });
        Self { address, shared }
    }

    /// Its URL on the device.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All bytes that came in so far.
    pub fn asked(&self) -> Vec<u8> {
        self.shared.asked.lock().expect("nobody panics here").clone()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn answer(&self, mut visitor: TcpStream) {
        // A visitor that is gone needs no answer, so no error here is worth a word.
        let _ = visitor.set_nonblocking(false);
        let _ = visitor.set_read_timeout(Some(Duration::from_secs(10)));
        let mut request = Vec::new();
        let mut block = [0; 4096];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let Ok(read @ 1..) = visitor.read(&mut block) else { break };
            self.asked.lock().expect("nobody panics here").extend_from_slice(&block[..read]);
            request.extend_from_slice(&block[..read]);
        }
        let body = &self.body;
        if request.windows(9).any(|part| part == b"GET /slow") {
            let _ = visitor.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            while !self.over.load(Ordering::Relaxed) && visitor.write_all(body.as_bytes()).is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
            return;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = visitor.write_all(head.as_bytes());
        let _ = visitor.write_all(body.as_bytes());
    }
}
