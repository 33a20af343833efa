//! The session's UDP socket, which counts what passes it: each datagram of each attempt, the ones before a
//! handshake is done and after a connection is closed included. quinn's own statistics know only connections that came
//! to stand.

use super::permit::Meter;
use super::totals::Counts;
use core::fmt::{self, Debug};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whose meter the datagrams stand on. Clones are handles to the same one.
#[derive(Clone)]
pub(super) struct Payer {
    meter: Arc<Mutex<Arc<Meter>>>,
    /// For what comes when nobody pays any more: the last words of a connection.
    late: Arc<Meter>,
}

impl Payer {
    pub(super) fn new(meter: Arc<Meter>, late: Arc<Meter>) -> Self {
        Self { meter: Arc::new(Mutex::new(meter)), late }
    }

    /// From here on this one pays.
    pub(super) fn set(&self, meter: Arc<Meter>) {
        *self.lock() = meter;
    }

    /// From here on nobody pays.
    pub(super) fn retire(&self) {
        self.set(Arc::clone(&self.late));
    }

    pub(super) fn add(&self, counts: Counts) {
        self.lock().add(counts);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Meter>> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that counts.
pub(super) struct Counted {
    socket: Arc<dyn AsyncUdpSocket>,
    payer: Payer,
}

impl Counted {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, payer: Payer) -> Self {
        Self { socket, payer }
    }
}

impl Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl AsyncUdpSocket for Counted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        let bytes = transmit.contents.len();
        let up_packets = datagrams(bytes, transmit.segment_size.unwrap_or(bytes));
        self.payer.add(Counts { up: count(bytes), up_packets, ..Counts::default() });
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = ready!(self.socket.poll_recv(cx, bufs, meta))?;
        for meta in meta.iter().take(received) {
            let down_packets = datagrams(meta.len, meta.stride);
            self.payer.add(Counts { down: count(meta.len), down_packets, ..Counts::default() });
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

/// How many datagrams stand in one buffer that the kernel cuts up, or has put together.
fn datagrams(bytes: usize, each: usize) -> u64 {
    count(bytes.div_ceil(each.max(1)).max(1))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
