//! Joins two flows until both directions are through.
//!
//! A waiting pair owns no buffer: each thread has one scratch buffer, and only what the writer does not
//! take at once is copied and kept. With a buffer for each direction, 1000 waiting visitors would cost
//! 125 MiB; they cost nothing.

use super::outside::Duplex;
use core::cell::Cell;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use tokio::io::ReadBuf;

/// The most bytes moved in one step: larger writes no longer pay off.
const SCRATCH: usize = 64 * 1024;
/// Steps of one direction in a row before other tasks have their turn.
const STEPS: usize = 16;

thread_local! {
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Copies both ways until both directions have ended or one has failed, and passes each end on as it
/// comes (half-close). Returns bytes from `a` to `b`, bytes from `b` to `a`, and how it ended.
///
/// Dropped early, both flows are dropped as they are.
pub async fn pump(mut a: impl Duplex, mut b: impl Duplex) -> (u64, u64, io::Result<()>) {
    let (mut there, mut back) = (Way::default(), Way::default());
    let result = core::future::poll_fn(|cx| {
        let first = there.step(cx, &mut a, &mut b);
        if let Poll::Ready(Err(e)) = first {
            return Poll::Ready(Err(e));
        }
        match (first, back.step(cx, &mut b, &mut a)) {
            (_, Poll::Ready(Err(e))) => Poll::Ready(Err(e)),
            (Poll::Ready(_), Poll::Ready(_)) => Poll::Ready(Ok(())),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    })
    .await;
    (there.moved, back.moved, result)
}

/// One direction.
#[derive(Default)]
struct Way {
    stage: Stage,
    /// Read and not yet taken by the writer, from `kept_from` on.
    kept: Vec<u8>,
    kept_from: usize,
    unflushed: bool,
    moved: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Copying,
    Closing,
    Done,
}

impl Way {
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
    ) -> Poll<io::Result<()>> {
        if self.stage == Stage::Copying {
            ready!(self.copy(cx, from, to))?;
            self.stage = Stage::Closing;
        }
        if self.stage == Stage::Closing {
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.stage = Stage::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Completes at the end of `from`, with everything written.
    fn copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
    ) -> Poll<io::Result<()>> {
        for _ in 0..STEPS {
            ready!(self.write_kept(cx, to))?;
            let mut scratch = SPARE.take().unwrap_or_else(|| vec![0; SCRATCH].into_boxed_slice());
            let moved = self.read_and_write(cx, from, to, &mut scratch);
            SPARE.set(Some(scratch));
            match moved {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    if self.unflushed && Pin::new(to).poll_flush(cx)?.is_ready() {
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read, then as many writes as are taken at once; the rest is kept. Returns what was read.
    fn read_and_write(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
        scratch: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        let mut done = 0;
        while done < read.len() {
            match Pin::new(&mut *to).poll_write(cx, &read[done..])? {
                Poll::Ready(n) => {
                    self.took(n)?;
                    done += n;
                }
                Poll::Pending => {
                    self.kept = read[done..].to_vec();
                    break;
                }
            }
        }
        Poll::Ready(Ok(read.len()))
    }

    fn write_kept(&mut self, cx: &mut Context<'_>, to: &mut impl Duplex) -> Poll<io::Result<()>> {
        while self.kept_from < self.kept.len() {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.kept[self.kept_from..]))?;
            self.took(n)?;
            self.kept_from += n;
        }
        self.kept = Vec::new();
        self.kept_from = 0;
        Poll::Ready(Ok(()))
    }

    fn took(&mut self, n: usize) -> io::Result<()> {
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.unflushed = true;
        self.moved += u64::try_from(n).unwrap_or(u64::MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn bytes_go_both_ways_and_each_end_is_passed_on() {
        let (mut left, a) = duplex(1000);
        let (b, mut right) = duplex(70);
        let joined = tokio::spawn(pump(a, b));
        let asked = vec![7_u8; 300_000];
        let question = asked.clone();
        let asker = tokio::spawn(async move {
            left.write_all(&question).await.unwrap();
            left.shutdown().await.unwrap();
            let mut answer = Vec::new();
            left.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut seen = Vec::new();
        right.read_to_end(&mut seen).await.unwrap();
        assert_eq!(seen, asked);
        right.write_all(b"done").await.unwrap();
        drop(right);
        assert_eq!(asker.await.unwrap(), b"done");
        let (there, back, result) = joined.await.unwrap();
        assert_eq!((there, back), (300_000, 4));
        result.unwrap();
    }

    #[tokio::test]
    async fn a_failing_side_ends_it() {
        let (mut left, a) = duplex(64);
        let (b, right) = duplex(64);
        drop(right);
        left.write_all(b"nobody hears this").await.unwrap();
        let (there, _, result) = pump(a, b).await;
        assert_eq!(there, 0);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_waiting_pair_keeps_nothing() {
        let mut way = Way::default();
        let (mut left, mut a) = duplex(64);
        let (mut b, _right) = duplex(64);
        left.write_all(b"hello").await.unwrap();
        let waiting =
            core::future::poll_fn(|cx| Poll::Ready(way.step(cx, &mut a, &mut b).is_pending()));
        assert!(waiting.await);
        assert_eq!((way.moved, way.kept.capacity()), (5, 0));
    }
}
