//! The hub's own name server: authoritative for its zone, from memory, on UDP and TCP.
//!
//! Nothing is written down of who asks for what.

pub mod answer;
pub mod zone;

use self::answer::Transport;
use self::zone::Zone;
use super::metrics;
use core::time::Duration;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The largest question that is read from UDP; a real one is below 300 bytes.
const MAX_UDP_QUESTION: usize = 4096;
/// TCP connections at once.
const MAX_TCP: usize = 256;
/// How long a TCP connection may be silent (RFC 7766 section 6.2.3: "on the order of a few seconds").
const TCP_IDLE: Duration = Duration::from_secs(10);
/// How long to wait after an error of a socket, so that a lasting one does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// The zone, shared by the name server and those who change it.
#[derive(Clone)]
pub struct SharedZone(Arc<RwLock<Zone>>);

impl SharedZone {
    /// Shares a zone.
    pub fn new(zone: Zone) -> Self {
        Self(Arc::new(RwLock::new(zone)))
    }

    /// Looks something up.
    pub fn read<T>(&self, look: impl FnOnce(&Zone) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes something; answers from here on show it.
    pub fn change<T>(&self, change: impl FnOnce(&mut Zone) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers questions from UDP for ever.
pub async fn serve_udp(socket: UdpSocket, zone: SharedZone) {
    let mut buffer = vec![0; MAX_UDP_QUESTION];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        let answer = zone.read(|zone| answer::answer(zone, question, Transport::Udp));
        metrics::dns(answer.as_deref());
        if let Some(answer) = answer {
            // An answer that cannot be sent is lost, as any datagram may be; the resolver asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers questions from TCP for ever.
pub async fn serve_tcp(listener: TcpListener, zone: SharedZone) {
    let room = Arc::new(Semaphore::new(MAX_TCP));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let zone = zone.clone();
        tokio::spawn(async move {
            // The peer's errors are the peer's matter.
            let _ = converse(stream, &zone).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: TcpStream, zone: &SharedZone) -> io::Result<()> {
    loop {
        let length = timeout(TCP_IDLE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        timeout(TCP_IDLE, stream.read_exact(&mut question)).await??;
        let answer = zone.read(|zone| answer::answer(zone, &question, Transport::Tcp));
        metrics::dns(answer.as_deref());
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let message = [&length.to_be_bytes(), answer.as_slice()].concat();
        timeout(TCP_IDLE, stream.write_all(&message)).await??;
    }
}
