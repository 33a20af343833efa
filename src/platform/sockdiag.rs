//! What the kernel counted of a TCP connection: its own TCP_INFO, asked by the two addresses of the
//! connection (NETLINK_SOCK_DIAG). Needs no privilege and no access to the socket itself.
//!
//! [`count`] looks at one that lives; [`Ended`] hears the last word of those that end, which is the only one
//! that knows the closing segments, and all there is of a connection that failed.

use super::kernel::Readable;
use super::parse::{attributes, ip, u32_at};
use super::query::{self, DATAGRAM, Want};
use core::net::{IpAddr, SocketAddr};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;

// linux/sock_diag.h and linux/inet_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
/// SKNLGRP_INET_TCP_DESTROY (1) and SKNLGRP_INET6_TCP_DESTROY (3), since Linux 4.2.
const DESTROY_GROUPS: u32 = 1 | 1 << 2;
/// Length of `struct inet_diag_msg`.
const HEAD: usize = 72;

// Offsets in `struct tcp_info` (linux/tcp.h); it has only ever grown at its end.
const OPTIONS: usize = 5;
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
const SEGS_OUT: usize = 136;
const SEGS_IN: usize = 140;
/// Since Linux 4.19.
const BYTES_SENT: usize = 200;
const TCPI_OPT_TIMESTAMPS: u8 = 1;

/// What passed over one TCP connection, above IP and TCP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCount {
    /// Bytes sent, those sent again included (before Linux 4.19: bytes that arrived).
    pub sent: u64,
    /// Bytes received, each once; the other side's FIN counts as one.
    pub received: u64,
    /// Segments sent, SYN, FIN, pure acknowledgements and repetitions included.
    pub segments_out: u64,
    /// Segments received.
    pub segments_in: u64,
    /// Whether its segments carry the 12 bytes of timestamps (RFC 7323).
    pub timestamps: bool,
}

/// One connection and its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// This side.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
    /// What passed.
    pub count: TcpCount,
}

/// Counts a connection that lives.
///
/// # Errors
/// `NotFound` when it is gone, or the kernel cannot tell (a small kernel without `inet_diag`).
pub fn count(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpCount> {
    let mut found = None;
    let body = question(local, remote);
    query::ask(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, Want::One, &body, |_, body| {
        found = parse(body);
    })?;
    found.map(|connection| connection.count).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Hears of every TCP connection of this network namespace that ends, and what it had counted.
pub struct Ended {
    events: Readable,
    heard: VecDeque<Connection>,
}

impl Ended {
    /// Begins to listen. While this lives the kernel sends a message for each connection that ends.
    ///
    /// # Errors
    /// The system's own. Must be called inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kind = SockProtocol::NetlinkSockDiag;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, kind)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, DESTROY_GROUPS))?;
        Ok(Self { events: Readable::new(fd)?, heard: VecDeque::new() })
    }

    /// The next one that ended. Cancel-safe.
    ///
    /// # Errors
    /// The system's own; ENOBUFS when more ended than were listened to.
    pub async fn next(&mut self) -> io::Result<Connection> {
        loop {
            if let Some(connection) = self.heard.pop_front() {
                return Ok(connection);
            }
            let mut buffer = vec![0; DATAGRAM];
            let read = self.events.read(|fd| {
                let (length, sender) = recvfrom::<NetlinkAddr>(fd.as_raw_fd(), &mut buffer)?;
                Ok(if sender.is_some_and(|sender| sender.pid() == 0) { length } else { 0 })
            });
            let length = read.await?;
            let bytes = buffer.get(..length).unwrap_or_default();
            let messages = query::messages(bytes).filter(|(kind, _)| *kind == SOCK_DIAG_BY_FAMILY);
            self.heard.extend(messages.filter_map(|(_, body)| parse(body)));
        }
    }
}

/// `struct inet_diag_req_v2` for one connection, in any state.
fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const IPPROTO_TCP: u8 = 6;
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut body = vec![family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0];
    body.extend_from_slice(&[0xff; 4]);
    body.extend_from_slice(&local.port().to_be_bytes());
    body.extend_from_slice(&remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        let mut octets = match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        octets.resize(16, 0);
        body.extend_from_slice(&octets);
    }
    // Any interface; INET_DIAG_NOCOOKIE.
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(&[0xff; 8]);
    body
}

/// Reads `struct inet_diag_msg` and the attribute with TCP_INFO behind it.
fn parse(body: &[u8]) -> Option<Connection> {
    let family = *body.first()?;
    let port = |at: usize| body.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two));
    let address = |at: usize| ip(family, body.get(at..at + 16)?);
    let info = attributes(body.get(HEAD..)?).find(|(kind, _)| *kind == INET_DIAG_INFO)?.1;
    Some(Connection {
        local: SocketAddr::new(address(8)?, port(4)?),
        remote: SocketAddr::new(address(24)?, port(6)?),
        count: tcp_info(info)?,
    })
}

/// Every connection a datagram reports.
pub fn fuzz(datagram: &[u8]) -> Vec<Connection> {
    query::messages(datagram).filter_map(|(_, body)| parse(body)).collect()
}

fn tcp_info(info: &[u8]) -> Option<TcpCount> {
    Some(TcpCount {
        sent: u64_at(info, BYTES_SENT).or_else(|| u64_at(info, BYTES_ACKED))?,
        received: u64_at(info, BYTES_RECEIVED)?,
        segments_out: u64::from(u32_at(info, SEGS_OUT)?),
        segments_in: u64::from(u32_at(info, SEGS_IN)?),
        timestamps: info.get(OPTIONS)? & TCPI_OPT_TIMESTAMPS != 0,
    })
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    fn message(family: u8, info: &[u8]) -> Vec<u8> {
        let mut body = vec![family, 1, 0, 0, 0x1f, 0x90, 0x01, 0xbb];
        body.extend_from_slice(&[192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        body.extend_from_slice(&[192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        body.resize(HEAD, 0);
        let length = u16::try_from(4 + info.len()).unwrap();
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&INET_DIAG_INFO.to_ne_bytes());
        body.extend_from_slice(info);
        body
    }

    fn info(length: usize) -> Vec<u8> {
        let mut info = vec![0; 232];
        info[OPTIONS] = TCPI_OPT_TIMESTAMPS;
        info[BYTES_ACKED..][..8].copy_from_slice(&90_u64.to_ne_bytes());
        info[BYTES_RECEIVED..][..8].copy_from_slice(&200_u64.to_ne_bytes());
        info[SEGS_OUT..][..4].copy_from_slice(&3_u32.to_ne_bytes());
        info[SEGS_IN..][..4].copy_from_slice(&4_u32.to_ne_bytes());
        info[BYTES_SENT..][..8].copy_from_slice(&100_u64.to_ne_bytes());
        info.truncate(length);
        info
    }

    #[test]
    fn a_reply_is_read_in_the_lengths_that_kernels_give_it() {
        let whole = parse(&message(2, &info(232))).unwrap();
        assert_eq!(whole.local, "192.0.2.1:8080".parse().unwrap());
        assert_eq!(whole.remote, "192.0.2.7:443".parse().unwrap());
        let count = TcpCount {
            sent: 100,
            received: 200,
            segments_out: 3,
            segments_in: 4,
            timestamps: true,
        };
        assert_eq!(whole.count, count);
        let old = parse(&message(10, &info(192))).unwrap();
        assert_eq!(old.local.to_string(), "[c000:201::1]:8080");
        assert_eq!(old.count, TcpCount { sent: 90, ..count });
        assert_eq!(parse(&message(2, &info(104))), None, "Linux 3 does not count bytes");
    }

    #[test]
    fn no_reply_that_is_cut_off_or_odd_makes_it_panic() {
        let whole = message(2, &info(232));
        for length in 0..whole.len() {
            let _ = parse(&whole[..length]);
            let mut odd = whole.clone();
            odd[length] ^= 0xff;
            let _ = parse(&odd);
            let _ = query::messages(&odd[length..]).count();
        }
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "both sides of the test")]
    async fn the_kernel_counts_a_living_connection_and_says_a_last_word() {
        let mut ended = Ended::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        stream.write_all(&[7; 1000]).await.unwrap();
        other.read_exact(&mut [0; 1000]).await.unwrap();
        let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let living = count(local, remote).unwrap();
        assert_eq!((living.sent, living.received, living.segments_out), (1000, 0, 3));
        stream.shutdown().await.unwrap();
        drop((stream, other));
        let last = async {
            loop {
                let connection = ended.next().await.unwrap();
                if connection.local == local && connection.remote == remote {
                    return connection.count;
                }
            }
        };
        let last = tokio::time::timeout(Duration::from_secs(3), last).await.unwrap();
        assert!(last.sent == 1000 && last.segments_out > 3, "{last:?}");
        assert_eq!(count(local, remote).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
