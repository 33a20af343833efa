//! The first bytes of a connection, read and kept: who is meant?

use super::presence::Token;
use crate::wire::link::TRIPWIRE_MAGIC;
use bytes::{Bytes, BytesMut};
use core::pin::Pin;
use core::task::{Context, Poll};
use rustls::server::Acceptor;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The longest TLS hello that is read; with post-quantum keys a real one is below 3 KiB.
const MAX_HELLO: usize = 16 * 1024;
/// Read at once.
const BLOCK: usize = 4096;

/// The one refusal: a fatal TLS alert `unrecognized_name` (RFC 8446 section 6), whatever the reason.
pub const REFUSAL: &[u8] = &[0x15, 3, 3, 0, 2, 2, 112];

/// What a connection began with.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// A device's tripwire.
    Tripwire(Token),
    /// A TLS hello.
    Tls {
        /// The name asked for, in lower case.
        name: Option<String>,
        /// All bytes read so far.
        kept: Bytes,
    },
}

/// Reads until it is clear who is meant. Nothing is peeked: hellos span segments, and peeking spins.
///
/// # Errors
/// The stream's own; `InvalidData` for what is neither TLS nor a tripwire, or too long.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let mut kept = BytesMut::with_capacity(BLOCK);
    let mut acceptor = Acceptor::default();
    loop {
        let before = kept.len();
        kept.reserve(BLOCK);
        if stream.read_buf(&mut kept).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let [TRIPWIRE_MAGIC, token @ ..] = &*kept {
            match Token::try_from(token) {
                Ok(token) => return Ok(Opening::Tripwire(token)),
                Err(_) if token.len() < size_of::<Token>() => continue,
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        let mut fresh = kept.get(before..).unwrap_or_default();
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                    return Ok(Opening::Tls { name, kept: kept.freeze() });
                }
                Ok(None) => {}
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        if kept.len() > MAX_HELLO {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// A stream before which bytes stand that were read from it already.
pub struct Prefixed<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Prefixed<S> {
    /// Puts the bytes back.
    pub fn new(prefix: Bytes, stream: S) -> Self {
        Self { prefix, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tripwire_is_its_token() {
        let bytes = [&[TRIPWIRE_MAGIC][..], &[7; 16]].concat();
        assert_eq!(read(&mut bytes.as_slice()).await.expect("whole"), Opening::Tripwire([7; 16]));
        assert!(read(&mut &bytes[..9]).await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_tls_is_refused() {
        assert!(read(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).await.is_err());
    }
}
