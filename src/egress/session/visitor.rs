//! A visitor's stream: the frame before it, and its two halves as one flow.

use crate::wire::frame;
use crate::wire::link::Visitor;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use quinn::{RecvStream, SendStream, VarInt};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The hub writes the frame with the stream's first packet; more is a hub that is stuck.
const FRAME: Duration = Duration::from_secs(5);
/// Error code of a stream that was dropped before its end. The reader learns only that it is not whole.
const DROPPED: VarInt = VarInt::from_u32(1);

/// Counts the flows that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Flows(Arc<AtomicUsize>);

impl Flows {
    pub(super) fn open(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of them.
struct Open(Flows);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads what stands before a visitor's bytes. A stream without it in time is reset.
pub(super) async fn arrive(
    send: SendStream,
    recv: RecvStream,
    flows: Flows,
) -> Option<(Visitor, VisitorFlow)> {
    flows.0.fetch_add(1, Ordering::Relaxed);
    let mut flow = VisitorFlow { send, recv, finished: false, _open: Open(flows) };
    let visitor = tokio::time::timeout(FRAME, frame::read(&mut flow)).await.ok()?.ok()?;
    Some((visitor, flow))
}

/// Both halves of a stream. Shut down, it finishes; dropped before that, it is reset, and what was not yet
/// delivered is lost.
pub(super) struct VisitorFlow {
    send: SendStream,
    recv: RecvStream,
    finished: bool,
    _open: Open,
}

impl AsyncRead for VisitorFlow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.recv), cx, buf)
    }
}

impl AsyncWrite for VisitorFlow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.send).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finished = true;
        Pin::new(&mut self.send).poll_shutdown(cx)
    }
}

impl Drop for VisitorFlow {
    fn drop(&mut self) {
        if !self.finished {
            // quinn itself would finish it, and half an answer would look whole. An error means it is closed.
            let _ = self.send.reset(DROPPED);
        }
        let _ = self.recv.stop(DROPPED);
    }
}
