//! Which devices have a session, in memory only.

use super::store::Device;
use crate::clock::Wall;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Opens a device's tripwire connection.
pub type Token = [u8; 16];

/// A device's live session.
pub struct Session {
    /// The device.
    pub device: Device,
    /// Newer sessions have larger ones, over restarts of the hub too.
    pub epoch: u64,
    /// Since when; forgotten with the session.
    pub since: Wall,
    /// Opens its tripwire connection.
    pub token: Token,
    /// Carries its visitors.
    pub connection: quinn::Connection,
    farewell: watch::Sender<Option<&'static str>>,
    forgotten: AtomicBool,
}

impl Session {
    /// A session that is not entered yet.
    pub fn new(
        device: Device,
        epoch: u64,
        since: Wall,
        token: Token,
        connection: quinn::Connection,
    ) -> Self {
        let (farewell, _) = watch::channel(None);
        let forgotten = AtomicBool::new(false);
        Self { device, epoch, since, token, connection, farewell, forgotten }
    }

    /// Asks the session's task to say goodbye and close. The first reason stays.
    pub fn end(&self, reason: &'static str) {
        self.farewell.send_if_modified(|said| {
            let first = said.is_none();
            said.get_or_insert(reason);
            first
        });
    }

    /// Waits until the session is asked to end, and why.
    pub async fn ended(&self) -> &'static str {
        let mut farewell = self.farewell.subscribe();
        // The sender lives in `self`, so that waiting cannot fail while this runs.
        farewell.wait_for(Option::is_some).await.ok().and_then(|said| *said).unwrap_or("it is over")
    }

    /// Whether the device demanded that nothing be kept of this session.
    pub fn forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }
}

#[derive(Default)]
struct Maps {
    by_name: HashMap<String, Arc<Session>>,
    by_token: HashMap<Token, Arc<Session>>,
}

/// All live sessions.
pub struct Presence {
    maps: Mutex<Maps>,
    epochs: AtomicU64,
}

impl Presence {
    /// Nobody is there. Epochs count up from `first`.
    pub fn new(first: u64) -> Self {
        Self { maps: Mutex::default(), epochs: AtomicU64::new(first) }
    }

    /// The epoch of the next session.
    pub fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }

    /// Enters a session. An older one of this device is over at once; if this is the older one, it is.
    pub fn enter(&self, session: &Arc<Session>) {
        let mut maps = self.lock();
        let name = session.device.name.as_str();
        if let Some(other) = maps.by_name.get(name).map(Arc::clone) {
            if other.epoch > session.epoch {
                session.end("a newer session of this device is here");
                return;
            }
            maps.by_token.remove(&other.token);
            other.end("a newer session of this device is here");
        }
        maps.by_name.insert(name.to_owned(), Arc::clone(session));
        maps.by_token.insert(session.token, Arc::clone(session));
    }

    /// Takes a session out, unless a newer one stands in its place.
    pub fn leave(&self, session: &Session) {
        let mut maps = self.lock();
        let name = session.device.name.as_str();
        if maps.by_name.get(name).is_some_and(|other| other.epoch == session.epoch) {
            maps.by_name.remove(name);
        }
        maps.by_token.remove(&session.token);
    }

    /// The session of the device of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Session>> {
        self.lock().by_name.get(name).map(Arc::clone)
    }

    /// How many devices have a session.
    pub fn count(&self) -> usize {
        self.lock().by_name.len()
    }

    /// The session this token opens a tripwire of.
    pub fn by_token(&self, token: &Token) -> Option<Arc<Session>> {
        self.lock().by_token.get(token).map(Arc::clone)
    }

    /// Ends a device's session; no visitor is found for it from here on.
    pub fn end(&self, name: &str, reason: &'static str) {
        if let Some(session) = self.find(name) {
            self.leave(&session);
            session.end(reason);
        }
    }

    /// Ends a device's session if it began with another key than the device has.
    pub fn end_other_keys(&self, device: &Device, reason: &'static str) {
        let session = self.find(device.name.as_str());
        if session.is_some_and(|session| session.device.spki != device.spki) {
            self.end(device.name.as_str(), reason);
        }
    }

    /// Ends a device's session, of whose visitors nothing will be written down.
    pub fn forget(&self, name: &str, reason: &'static str) {
        if let Some(session) = self.find(name) {
            session.forgotten.store(true, Ordering::Release);
        }
        self.end(name, reason);
    }

    /// Ends all sessions.
    pub fn end_all(&self, reason: &'static str) {
        for (_, session) in self.lock().by_name.drain() {
            session.end(reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
