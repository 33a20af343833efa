//! Permits and passages: what the gate gives for a body it has let through.
//!
//! Their fields are private and only the gate makes them, so holding one is the proof. A permit owns
//! the very bytes, the destination and the caller's profile that were judged; nothing can be swapped
//! afterwards. Dropped without having been used, it still ends as a line of the ledger.

use super::gate::Gate;
use super::ledger::{Draft, Outcome};
use crate::card::Parcel;
use core::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// A name or an address literal.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl core::fmt::Display for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The place of a permit in the ledger: written once, at the latest when dropped.
pub(super) struct Entry {
    pub(super) gate: Gate,
    pub(super) draft: Option<Draft>,
}

impl Entry {
    fn seal(&mut self, outcome: Outcome) {
        if let Some(draft) = self.draft.take() {
            self.gate.record(draft, outcome);
        }
    }
}

/// One message that may leave.
pub struct Permit {
    pub(super) entry: Entry,
    pub(super) feature: &'static str,
    pub(super) parcel: &'static Parcel,
    pub(super) to: Target,
    pub(super) body: Vec<u8>,
}

impl Permit {
    /// The parcel it was made for.
    pub fn parcel(&self) -> &'static Parcel {
        self.parcel
    }

    /// On whose behalf it leaves.
    pub fn feature(&self) -> &'static str {
        self.feature
    }

    /// Where it may go.
    pub fn to(&self) -> &Target {
        &self.to
    }

    /// The bytes that may leave.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The gate it came through, for the look-up of its own host.
    pub fn gate(&self) -> &Gate {
        &self.entry.gate
    }

    /// Writes its line.
    pub fn seal(mut self, outcome: Outcome) {
        self.entry.seal(outcome);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.seal(Outcome { result: "not sent".into(), ..Outcome::default() });
    }
}

/// Bytes of a flow, counted by its carrier and read by the ledger.
#[derive(Debug, Default)]
pub struct Meter {
    up: AtomicU64,
    down: AtomicU64,
}

impl Meter {
    /// Counts bytes that left.
    pub fn add_up(&self, bytes: u64) {
        self.up.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that came.
    pub fn add_down(&self, bytes: u64) {
        self.down.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sets both to what a connection's own statistics say.
    pub fn set(&self, up: u64, down: u64) {
        self.up.store(up, Ordering::Relaxed);
        self.down.store(down, Ordering::Relaxed);
    }

    /// Bytes that left, bytes that came.
    pub fn read(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

/// One long flow that may go on until it ends or the gate takes it back.
pub struct Passage {
    pub(super) permit: Permit,
    pub(super) meter: Arc<Meter>,
    pub(super) revoked: watch::Receiver<bool>,
    pub(super) peer: Option<(IpAddr, u16)>,
    pub(super) end: Option<String>,
}

impl Passage {
    /// The permit it began with.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Where its bytes are counted.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Whom it reached.
    pub fn reached(&mut self, ip: IpAddr, port: u16) {
        if crate::sabotage::off("ledger-peer") {
            return;
        }
        self.peer = Some((ip, port));
    }

    /// Why it ended, for its line; `ok` when never said.
    pub fn ended(&mut self, result: impl Into<String>) {
        self.end = Some(result.into());
    }

    /// Completes when the gate takes the passage back: the feature was switched off, or the hub left.
    ///
    /// Cancel-safe. The carrier must then close the flow.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut revoked = self.revoked.clone();
        async move {
            // A closed channel means that the gate itself is gone.
            let _ = revoked.wait_for(|gone| *gone).await;
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let (up, down) = self.meter.read();
        let result = self.end.take().unwrap_or_else(|| "ok".into());
        self.permit.entry.seal(Outcome { peer: self.peer, up, down, result });
    }
}
