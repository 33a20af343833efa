//! A flow that counts into its passage and breaks when the gate takes the passage back.

use super::permit::{Meter, Passage};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

type Taken = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream together with its passage, whose ledger line is written when this is dropped.
///
/// What is read counts as down, what is written as up. Once the passage is revoked every call fails
/// with `ConnectionAborted`, and waiting ones are woken to do so.
pub struct Metered<T> {
    /// Before the stream, so that its line is written while the kernel still knows the connection.
    passage: Passage,
    stream: T,
    meter: Arc<Meter>,
    /// One watch for each half: halves may be polled by two tasks, and a future wakes only its last.
    reader: Taken,
    writer: Taken,
}

impl<T> Metered<T> {
    /// Meters a stream.
    pub fn new(stream: T, passage: Passage) -> Self {
        Self {
            stream,
            meter: passage.meter(),
            reader: Box::pin(passage.revoked()),
            writer: Box::pin(passage.revoked()),
            passage,
        }
    }

    fn judge<R>(&mut self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if let Poll::Ready(Err(e)) = &result {
            self.passage.ended(format!("broken off: {e}"));
        }
        result
    }

    fn taken(&mut self) -> io::Error {
        self.passage.ended("revoked");
        io::Error::new(io::ErrorKind::ConnectionAborted, "it was switched off meanwhile")
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reader.as_mut().poll(cx).is_ready() {
            // A completed future must not be polled again.
            self.reader = Box::pin(core::future::ready(()));
            return Poll::Ready(Err(self.taken()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.meter.add_down(count(buf.filled().len() - before));
        self.judge(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writer.as_mut().poll(cx).is_ready() {
            self.writer = Box::pin(core::future::ready(()));
            return Poll::Ready(Err(self.taken()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = &result {
            self.meter.add_up(count(*n));
        }
        self.judge(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.meter.look();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
