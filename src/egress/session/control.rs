//! The control stream and the tripwire: what the session says to the hub besides carrying visitors.

use crate::egress::datagrams::Payer;
use crate::egress::tcp;
use crate::egress::totals::Counts;
use crate::wire::frame;
use crate::wire::link::{Hello, TRIPWIRE_MAGIC, ToDevice, ToHub};
use core::net::SocketAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use quinn::Connection;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// For the hub's word of welcome, and for the tripwire's connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Frames that wait on their way in or out. Heartbeats are one a second at most.
const FRAMES: usize = 8;
/// Before everything that visitors send.
const PRIORITY: i32 = 1;
/// A TCP header with timestamps (32) is longer than one of UDP (8).
const HEADER_MORE: u64 = 24;
/// Magic and token.
const TRIPWIRE_BYTES: usize = 17;

/// The control stream, served by two tasks: reading a frame is not cancel-safe, and writing one may have to wait
/// for the hub.
pub(super) struct Control {
    pub(super) frames: mpsc::Receiver<io::Result<ToDevice>>,
    outgoing: mpsc::Sender<ToHub>,
    _tasks: JoinSet<()>,
}

/// The hub's first word.
pub(super) type Welcomed = (ToDevice, Control);

/// Opens the control stream, says hello and waits for the first frame.
pub(super) async fn greet(connection: Connection, hello: Hello) -> io::Result<Welcomed> {
    let (mut send, mut recv) = connection.open_bi().await?;
    // The stream was opened just now; an error means it is closed, and the write will say so.
    let _ = send.set_priority(PRIORITY);
    frame::write(&mut send, &ToHub::Hello(hello)).await?;
    let first = frame::read(&mut recv).await?;
    let (inward, frames) = mpsc::channel(FRAMES);
    let (outgoing, mut outward) = mpsc::channel::<ToHub>(FRAMES);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let frame = frame::read(&mut recv).await;
            let over = frame.is_err();
            if inward.send(frame).await.is_err() || over {
                return;
            }
        }
    });
    tasks.spawn(async move {
        while let Some(frame) = outward.recv().await {
            if frame::write(&mut send, &frame).await.is_err() {
                return;
            }
        }
    });
    Ok((first, Control { frames, outgoing, _tasks: tasks }))
}

impl Control {
    /// Sends a heartbeat. One that does not fit is as good as one unanswered.
    pub(super) fn beat(&self, number: u64) {
        let _ = self.outgoing.try_send(ToHub::Heartbeat { number });
    }

    /// Says whether the welcome's ticket is on this device's disk. One that does not fit is as good as one that was
    /// lost: the hub takes both tickets then.
    pub(super) fn ticket(&self, stored: bool) {
        let _ = self.outgoing.try_send(ToHub::Ticket { stored });
    }

    /// The hub's words that came before the connection broke.
    pub(super) async fn goodbye(&mut self) -> Option<String> {
        while let Some(Ok(frame)) = self.frames.recv().await {
            if let ToDevice::Goodbye { reason } = frame {
                return Some(reason);
            }
        }
        None
    }
}

/// Holds a plain TCP connection to the hub, over which nothing is said, and completes when it breaks: a system
/// whose process died says so at once, which UDP cannot. Never completes when it cannot be opened.
pub(super) async fn tripwire(hub: SocketAddr, token: String, payer: Payer) {
    match tokio::time::timeout(PATIENCE, open(hub, &token)).await {
        Ok(Ok(stream)) => {
            let mut wire = Wire { stream, hub, payer, charged: Counts::default() };
            wire.charge();
            let mut ignored = [0; 16];
            while wire.stream.read(&mut ignored).await.is_ok_and(|n| n > 0) {}
        }
        Ok(Err(e)) => {
            tracing::debug!(error = %e, "the tripwire could not be opened");
            core::future::pending().await
        }
        Err(_) => core::future::pending().await,
    }
}

/// The tripwire, whose few segments count for the session, as TCP in a line about UDP: 24 bytes of header each
/// make up for the difference.
struct Wire {
    stream: TcpStream,
    hub: SocketAddr,
    payer: Payer,
    charged: Counts,
}

impl Wire {
    /// Adds what has passed since the last time.
    fn charge(&mut self) {
        let counted = self.stream.local_addr().ok().and_then(|local| {
            tcp::claim(local);
            tcp::count(local, self.hub)
        });
        let Some(mut now) = counted else { return };
        now.up += HEADER_MORE * now.up_packets;
        now.down += HEADER_MORE * now.down_packets;
        self.payer.add(Counts {
            up: now.up.saturating_sub(self.charged.up),
            down: now.down.saturating_sub(self.charged.down),
            up_packets: now.up_packets.saturating_sub(self.charged.up_packets),
            down_packets: now.down_packets.saturating_sub(self.charged.down_packets),
        });
        self.charged = now;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.charge();
    }
}

#[allow(clippy::disallowed_methods, reason = "part of the session's passage, to the same address")]
async fn open(hub: SocketAddr, token: &str) -> io::Result<TcpStream> {
    let token = BASE64URL_NOPAD
        .decode(token.trim_end_matches('=').as_bytes())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let bytes = [&[TRIPWIRE_MAGIC], token.as_slice()].concat();
    if bytes.len() != TRIPWIRE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a token of another length"));
    }
    let mut stream = TcpStream::connect(hub).await?;
    stream.write_all(&bytes).await?;
    Ok(stream)
}
