//! What service managers say by signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the agent is told.
pub(super) enum Told {
    /// End in order.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(super) fn open() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::Stop,
            _ = self.int.recv() => Told::Stop,
            _ = self.hup.recv() => Told::Reload,
        }
    }
}
