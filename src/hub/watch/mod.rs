//! Log analysis while the log is written: what the hub sees of errors and sign-ins goes through detectors in RAM,
//! and what is unusual becomes a metric, a line in the log, a line in the log of the account concerned, and a letter to
//! whoever runs the hub (promise S18). Nothing of it is on the disk but those lines.

mod detect;

pub use self::detect::{Change, Kind, Subject};

use self::detect::Detectors;
use super::limit::network;
use super::metrics::{self, ANOMALIES};
use super::people::email::Email;
use super::state::Hub;
use super::store::people::Happened;
use crate::clock::Wall;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How often counters are read and windows move on.
const TICK: Duration = Duration::from_secs(1);
/// Changes that wait to be told; more are only counted.
const MOST_CHANGES: usize = 1024;
/// Letters that wait for the mail server.
const MOST_LETTERS: usize = 100;
/// What the hub itself notes came from no network.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What the hub sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// A sign-in failed; the account where there is one with the address.
    SignInFailed {
        /// From where.
        from: IpAddr,
        /// Whose.
        account: Option<u64>,
    },
    /// Somebody signed in.
    SignedIn {
        /// From where.
        from: IpAddr,
        /// Whose.
        account: u64,
    },
    /// An operator has looked at too many people.
    ManyPeople {
        /// Who.
        uid: u32,
    },
}

/// Sees, and remembers what is to be told.
#[derive(Default)]
pub struct Watch {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    detectors: Detectors,
    changes: VecDeque<Change>,
    letters: VecDeque<String>,
}

impl Inner {
    fn take_up(&mut self, changes: impl IntoIterator<Item = Change>) -> bool {
        let before = self.changes.len();
        for change in changes {
            if change.raised {
                ANOMALIES.count(change.kind.word());
            }
            if self.changes.len() < MOST_CHANGES {
                self.changes.push_back(change);
            }
        }
        self.changes.len() > before
    }
}

impl Watch {
    /// Takes something in.
    pub fn saw(&self, seen: Seen, now: Wall) {
        let at = now.unix_seconds();
        let mut inner = self.lock();
        let see = &mut inner.detectors;
        let mut changes = Vec::new();
        match seen {
            Seen::SignInFailed { from, account } => {
                let from = Subject::Network(network(from));
                changes.push(see.see(Kind::FailedFromNetwork, from, 1, None, at));
                let account = account.map(Subject::Account);
                changes.push(account.and_then(|a| see.see(Kind::FailedForAccount, a, 1, None, at)));
            }
            Seen::SignedIn { from, account } => {
                let (subject, from) = (Subject::Account(account), Some(network(from)));
                changes.push(see.see(Kind::ManyNetworks, subject, 1, from, at));
            }
            Seen::ManyPeople { uid } => {
                changes.push(see.see(Kind::ManyPeople, Subject::Operator(uid), 1, None, at));
            }
        }
        if inner.take_up(changes.into_iter().flatten()) {
            self.changed.notify_one();
        }
    }

    /// Everything that is raised.
    pub fn raised(&self) -> Vec<(Kind, Subject)> {
        self.lock().detectors.raised()
    }

    /// The next letter to whoever runs the hub.
    pub fn letter(&self) -> Option<String> {
        self.lock().letters.front().cloned()
    }

    /// Notes that it was sent, or can never be.
    pub fn sent(&self) {
        self.lock().letters.pop_front();
    }

    fn count(&self, kind: Kind, by: u64, now: Wall) {
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let at = now.unix_seconds();
        let mut inner = self.lock();
        let change = inner.detectors.see(kind, Subject::All, by, None, at);
        inner.take_up(change);
    }

    fn changes(&self, now: Wall) -> VecDeque<Change> {
        let mut inner = self.lock();
        let cleared = inner.detectors.tick(now.unix_seconds());
        inner.take_up(cleared);
        core::mem::take(&mut inner.changes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a letter about the hub itself goes to: `[alerts] mail`, or the contact when that is a mail address.
pub fn recipient(hub: &Hub) -> Option<Email> {
    let config = &hub.config;
    let text = config.alerts.mail.as_ref().or(config.contact.as_ref())?;
    Email::parse(text).ok()
}

/// Counters of the process that are watched.
fn counters() -> [(Kind, u64); 4] {
    let errors = metrics::ERRORS.of("api") + metrics::ERRORS.of("pages");
    let refused = metrics::REFUSALS.of("401") + metrics::HANDSHAKES.of("unknown");
    [
        (Kind::Errors, errors),
        (Kind::Registrations, metrics::REGISTRATIONS.of("begun")),
        (Kind::RefusedKeys, refused),
        (Kind::Clones, metrics::CLONES.of("quarantined")),
    ]
}

/// Watches for ever.
pub async fn serve(hub: Arc<Hub>) {
    let mut before = counters();
    loop {
        // A failure to wait is none to look.
        let _ = tokio::time::timeout(TICK, hub.watch.changed.notified()).await;
        let (now, after) = (hub.clock.now().wall, counters());
        for ((kind, count), (_, known)) in after.iter().zip(&before) {
            if count > known {
                hub.watch.count(*kind, count - known, now);
            }
        }
        before = after;
        for change in hub.watch.changes(now) {
            tell(&hub, change, now).await;
        }
    }
}

/// No name, address or number in the hub's own log: who has an account is nobody's business who reads it (Y1).
async fn tell(hub: &Hub, change: Change, now: Wall) {
    let (kind, count) = (change.kind.word(), change.count);
    if !change.raised {
        tracing::info!(kind, count, "an anomaly is over");
        return;
    }
    tracing::warn!(kind, count, "an anomaly was raised: {}", change.kind.words());
    if let Subject::Account(account) = change.subject {
        let text = change.kind.words();
        let told = hub.people.tell(account, Happened::Unusual, Some(text), HERE, now).await;
        if let Err(error) = told {
            tracing::error!(%error, "an account could not be told of an anomaly");
        }
    }
    if hub.config.mail.is_some() && recipient(hub).is_some() {
        let mut inner = hub.watch.lock();
        if inner.letters.len() < MOST_LETTERS {
            let at = now.rfc3339();
            inner.letters.push_back(format!("{at}: {} ({count})", change.kind.words()));
        }
        drop(inner);
        hub.people.wake_post();
    }
}
