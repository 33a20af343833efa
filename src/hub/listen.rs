//! The sockets of the hub, and the only file of it that opens one.
#![allow(
    clippy::disallowed_methods,
    reason = "the hub's listeners are opened here and nowhere else"
)]

use core::net::SocketAddr;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// How often a free port is looked for that is free on both TCP and UDP.
const TRIES: u32 = 32;
/// Socket buffers of the sessions' UDP socket (measured: 380 -> 870 Mbit/s against the default 208 KiB).
const UDP_BUFFER: usize = 2 * 1024 * 1024;
/// Seconds of silence after which a visitor's TCP connection is asked whether it still stands.
const KEEPALIVE_SECONDS: u32 = 60;

/// A pair of sockets with one port number.
pub struct Pair {
    /// The TCP side.
    pub tcp: TcpListener,
    /// The UDP side.
    pub udp: UdpSocket,
    /// The address of both.
    pub at: SocketAddr,
}

/// Why a pair could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at}")]
pub struct ListenError {
    /// Where.
    pub at: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Opens TCP for this machine only: the address was checked to be a loopback one.
///
/// # Errors
/// The system's own.
pub async fn local(at: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at).await
}

/// Opens TCP and UDP on one address. With port 0, on any number that is free on both.
///
/// # Errors
/// [`ListenError`] when either cannot be opened.
pub async fn pair(at: SocketAddr) -> Result<Pair, ListenError> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..if at.port() == 0 { TRIES } else { 1 } {
        match try_pair(at).await {
            Ok(pair) => return Ok(pair),
            Err(source) => last = source,
        }
    }
    Err(ListenError { at, source: last })
}

async fn try_pair(at: SocketAddr) -> io::Result<Pair> {
    let tcp = TcpListener::bind(at).await?;
    let at = tcp.local_addr()?;
    let udp = UdpSocket::bind(at).await?;
    Ok(Pair { tcp, udp, at })
}

/// Asks for the socket buffers that fast sessions need; the kernel may give less.
pub fn enlarge(udp: &UdpSocket) {
    let set = setsockopt(udp, sockopt::RcvBuf, &UDP_BUFFER)
        .and_then(|()| setsockopt(udp, sockopt::SndBuf, &UDP_BUFFER));
    if let Err(error) = set {
        tracing::info!(%error, "the kernel refused larger socket buffers; sessions are slower");
    }
}

/// Sets a visitor's connection up: no delay, and dead peers are noticed.
pub fn tune(tcp: &TcpStream) {
    // A socket that refuses these works all the same.
    let _ = tcp.set_nodelay(true);
    let _ = setsockopt(tcp, sockopt::KeepAlive, &true);
    let _ = setsockopt(tcp, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS);
}
