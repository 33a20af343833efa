//! A mail server that takes everything and shows it.

use super::browser::hub;
use super::support::Hub;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A mail server that takes everything and shows it.
pub struct Sink {
    pub at: SocketAddr,
    pub letters: Receiver<String>,
}

impl Sink {
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, letters) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || take(stream, &sender));
            }
        });
        Self { at, letters }
    }

    pub fn next(&self) -> String {
        self.letters.recv_timeout(SOON).expect("a letter")
    }
}

fn take(mut stream: TcpStream, letters: &Sender<String>) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut letter: Option<String> = None;
    let mut envelope = String::new();
    stream.write_all(b"220 sink\r\n").ok()?;
    for line in lines {
        let line = line.ok()?;
        let answer = match (&mut letter, line.as_str()) {
            (Some(text), ".") => {
                letters.send(format!("{envelope}\n{text}")).ok()?;
                letter = None;
                "250 ok\r\n"
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                letter = Some(String::new());
                "354 go on\r\n"
            }
            (None, "QUIT") => return stream.write_all(b"221 bye\r\n").ok(),
            (None, line) => {
                if line.starts_with("MAIL") || line.starts_with("RCPT") {
                    envelope = format!("{envelope}{line}\n");
                }
                "250 ok\r\n"
            }
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
    None
}

/// A hub that mails to this sink.
pub fn hub_with(sink: SocketAddr) -> Hub {
    let mut hub = hub();
    let path = hub.dir.join("hub.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mail = format!("\n[mail]\nserver = \"smtp://{sink}\"\nfrom = \"hub@cloud.example.org\"\n");
    std::fs::write(&path, text + &mail).unwrap();
    hub.crash();
    hub
}
