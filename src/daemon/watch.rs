//! What reaches the event loop from the box: its addresses, its volumes, and the signals of service managers.

use super::feature::Event;
use super::jobs::Happening;
use crate::platform::mounts::Mounts;
use crate::platform::netlink::Watcher;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Tells of every change of the box's own addresses.
pub(super) async fn addresses(events: mpsc::Sender<Happening>) {
    let mut watcher = match Watcher::open() {
        Ok(watcher) => watcher,
        Err(error) => return tracing::error!(%error, "the box's own addresses cannot be watched"),
    };
    loop {
        match watcher.changed().await {
            Ok(addresses) => {
                let event = Event::Addresses(Arc::new(addresses));
                if events.send(Happening::Event(event)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                return tracing::error!(%error, "the box's own addresses are not watched any more");
            }
        }
    }
}

/// Waits until a volume came or went; for ever where nothing waits for one.
pub(super) async fn volumes(mounts: &mut Option<Mounts>) {
    if let Some(open) = mounts {
        match open.changed().await {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, "volumes are not watched any more"),
        }
        *mounts = None;
    }
    core::future::pending().await
}

/// What a service manager wants.
pub(crate) enum Told {
    Stop,
    Reload,
}

/// The signals that are listened to.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(crate) fn open() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::Stop,
            _ = self.int.recv() => Told::Stop,
            _ = self.hup.recv() => Told::Reload,
        }
    }
}
