//! Permits and passages: what the gate gives for a body it has let through.
//!
//! Their fields are private and only the gate makes them, so holding one is the proof. A permit owns
//! the very bytes, the destination and the caller's profile that were judged; nothing can be swapped
//! afterwards. Dropped without having been used, it still ends as a line of the ledger.

use super::gate::Gate;
use super::ledger::{Draft, Outcome};
use super::tcp;
use super::totals::Counts;
use crate::card::Parcel;
use core::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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

    /// Writes a line of its own for an address that was tried and did not serve; the permit goes on.
    pub(super) fn tried(&self, outcome: Outcome) {
        if let Some(draft) = self.entry.draft.clone() {
            self.entry.gate.record(Draft { body: None, ..draft }, outcome);
        }
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

/// Bytes and packets of a flow, counted by its carrier and read by the ledger.
#[derive(Debug, Default)]
pub struct Meter {
    up: AtomicU64,
    down: AtomicU64,
    up_packets: AtomicU64,
    down_packets: AtomicU64,
    peer: OnceLock<(IpAddr, u16)>,
    /// Its line is written.
    closed: AtomicBool,
    /// The two ends of a flow over one TCP connection, whose packets only the kernel knows.
    tcp: OnceLock<(SocketAddr, SocketAddr)>,
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

    /// Counts bytes and packets.
    pub fn add(&self, counts: Counts) {
        self.add_up(counts.up);
        self.add_down(counts.down);
        self.up_packets.fetch_add(counts.up_packets, Ordering::Relaxed);
        self.down_packets.fetch_add(counts.down_packets, Ordering::Relaxed);
    }

    /// Asks the kernel about a TCP connection while it lives: one that is closed on both sides is forgotten there.
    pub(super) fn look(&self) {
        let asked = self.tcp.get().and_then(|(local, remote)| tcp::count(*local, *remote));
        if let Some(asked) = asked {
            // What the flow wrote and the kernel has not sent yet counts already; what it sent again counts too.
            self.up.fetch_max(asked.up, Ordering::Relaxed);
            self.up_packets.store(asked.up_packets, Ordering::Relaxed);
            self.down_packets.store(asked.down_packets, Ordering::Relaxed);
        }
    }

    /// What has passed so far.
    pub fn read(&self) -> Counts {
        self.look();
        Counts {
            up: self.up.load(Ordering::Relaxed),
            down: self.down.load(Ordering::Relaxed),
            up_packets: self.up_packets.load(Ordering::Relaxed),
            down_packets: self.down_packets.load(Ordering::Relaxed),
        }
    }

    /// Whether its line is written.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whom it reached.
    pub fn peer(&self) -> Option<(IpAddr, u16)> {
        self.peer.get().copied()
    }
}

/// One long flow that may go on until it ends or the gate takes it back.
pub struct Passage {
    pub(super) permit: Permit,
    pub(super) meter: Arc<Meter>,
    pub(super) revoked: watch::Receiver<bool>,
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
    pub fn reached(&self, ip: IpAddr, port: u16) {
        if crate::sabotage::off("ledger-peer") {
            return;
        }
        // The first one it reached stays: a flow does not move.
        let _ = self.meter.peer.set((ip, port));
    }

    /// Says over which TCP connection it goes. The stream must outlive the passage.
    pub(super) fn goes_over(&mut self, local: SocketAddr, remote: SocketAddr) {
        let _ = self.meter.tcp.set((local, remote));
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
            if crate::sabotage::off("feature-close") {
                core::future::pending::<()>().await;
            }
            // A closed channel means that the gate itself is gone.
            let _ = revoked.wait_for(|gone| *gone).await;
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let result = self.end.take().unwrap_or_else(|| "ok".into());
        let mut outcome = Outcome { peer: self.meter.peer(), result, ..Outcome::default() };
        outcome.set(self.meter.read());
        self.meter.closed.store(true, Ordering::Relaxed);
        self.permit.entry.seal(outcome);
    }
}
