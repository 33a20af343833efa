//! The only `unsafe` of the house: what no crate offers safely yet.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A non-blocking file descriptor that the runtime waits for. It lends the descriptor only immutably, so
/// that it can never be exchanged for another one below the reactor.
pub(super) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers the descriptor with the runtime.
    ///
    /// # Errors
    /// The system's own, for a descriptor that `epoll` does not take.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: `OwnedFd::as_raw_fd` names the same open descriptor every time and nobody else may close
        // it. The AsyncFd owns the OwnedFd until it has deregistered it, and nothing below lends it mutably.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.map(Self).map_err(io::Error::from)
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Waits until `read` gives something else than `WouldBlock`. Cancel-safe when `read` is.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn read<R>(
        &self,
        read: impl FnMut(&OwnedFd) -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.async_io(Interest::READABLE, read).await
    }
}
