//! What every part of a serving hub shares.

use super::approval::Approvals;
use super::config::Config;
use super::dns::SharedZone;
use super::health::Found;
use super::keeping::Keeping;
use super::keys::{Keys, random};
use super::limit::{Buckets, Limit, Pace};
use super::people::People;
use super::presence::Presence;
use super::restrictions::Restrictions;
use super::store::{Device, Hash, Store, StoreError};
use super::tls::{self, LiveLeaf};
use super::watch::Watch;
use crate::clock::{Clock, Wall};
use crate::wire::label::Label;
use core::hash::BuildHasher;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, MutexGuard};

/// New registrations a network may begin at once, and how often one more: 30, then 30 each minute.
const STARTS: (u32, Duration) = (30, Duration::from_secs(2));
/// Polls of a network: a hundred devices behind one address may ask each 5 s.
const POLLS: (u32, Duration) = (600, Duration::from_millis(50));
/// What a network may try at the pages: ten at once, then ten a minute. Of the 20^8 codes that is one in 2^34.
const TRIES: (u32, Duration) = (10, Duration::from_secs(6));

/// Devices a network may look for by name: thirty at once, then one each two seconds.
const LOOKUPS: (u32, Duration) = (30, Duration::from_secs(2));
/// Wrong passwords of an account, from wherever: ten at once, then one a minute. A browser the account knows has as many
/// of its own, so that nobody's guesses keep the owner out of it.
const WRONG: (u32, Duration) = (10, Duration::from_secs(60));
/// Wrong auth keys of a network: ten at once, then six each minute.
const GUESSES: (u32, Duration) = (10, Duration::from_secs(10));

/// A serving hub.
pub struct Hub {
    /// What the operator decided.
    pub config: Config,
    /// Its keys.
    pub keys: Keys,
    /// What it keeps.
    pub store: Arc<dyn Store>,
    /// What its name server answers.
    pub zone: SharedZone,
    /// Who is there.
    pub presence: Presence,
    /// Whose data is only kept.
    pub restrictions: Restrictions,
    /// Time.
    pub clock: Clock,
    /// One change of a device at a time.
    pub locks: DeviceLocks,
    /// Bounds new registrations.
    pub starts: Limit,
    /// Bounds polls.
    pub polls: Limit,
    /// Bounds how often devices are looked for by name.
    pub lookups: Limit,
    /// Bounds wrong auth keys.
    pub guesses: Limit,
    /// Paces polls.
    pub pace: Pace,
    /// Who may sign in at the pages.
    pub people: People,
    /// Finds requests for whoever types a code at the pages.
    pub approvals: Approvals,
    /// Bounds what is tried at the pages: passwords, invitations, codes.
    pub tries: Limit,
    /// Bounds wrong passwords of each account.
    pub wrong: Buckets<Hash>,
    /// Sees what is unusual.
    pub watch: Arc<Watch>,
    /// Whether it is well.
    pub health: Found,
    /// The certificates it shows, by their face.
    pub leaves: OnceLock<Vec<(&'static str, Arc<LiveLeaf>)>>,
    /// Its directory.
    pub dir: PathBuf,
    /// Backups, holds and the journal of deletions.
    pub keeping: Option<Arc<Keeping>>,
    /// What [`Hub::stuck_deletions`] says.
    pub stuck: AtomicU64,
}

impl Hub {
    /// Puts the parts together.
    pub fn new(
        config: Config,
        keys: Keys,
        store: Arc<dyn Store>,
        zone: SharedZone,
        clock: Clock,
        people: People,
    ) -> Self {
        let first = first_epoch(clock.now().wall);
        let watch = Arc::new(Watch::default());
        people.watched_by(&watch);
        Self {
            config,
            keys,
            store,
            zone,
            presence: Presence::new(first),
            restrictions: Restrictions::default(),
            clock,
            locks: DeviceLocks::default(),
            starts: Limit::new(STARTS.0, STARTS.1),
            polls: Limit::new(POLLS.0, POLLS.1),
            lookups: Limit::new(LOOKUPS.0, LOOKUPS.1),
            guesses: Limit::new(GUESSES.0, GUESSES.1),
            pace: Pace::default(),
            people,
            approvals: Approvals::default(),
            tries: Limit::new(TRIES.0, TRIES.1),
            wrong: Buckets::new(WRONG.0, WRONG.1),
            dir: PathBuf::new(),
            keeping: None,
            stuck: AtomicU64::new(0),
            watch,
            health: Found::default(),
            leaves: OnceLock::new(),
        }
    }

    /// The same, of this directory, with what keeps its deletions.
    pub fn keeping(self, dir: &Path, keeping: Arc<Keeping>) -> Self {
        Self { dir: dir.to_owned(), keeping: Some(keeping), ..self }
    }

    /// How many deletions were stuck when it was last looked, at most ten minutes ago (promise H6).
    pub fn stuck_deletions(&self) -> u64 {
        self.stuck.load(Ordering::Relaxed)
    }

    /// The certificates it shows, and when they are over.
    pub fn certificates(&self) -> impl Iterator<Item = (&'static str, Option<Wall>)> {
        self.leaves.get().into_iter().flatten().map(|(face, leaf)| (*face, leaf.over()))
    }

    /// The device whose key this is. The row is the authority, at every request and session. A key that was to take
    /// the place of another one has it from its first use on: nothing opens with the other any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn device_of(&self, key: Hash) -> Result<Option<Device>, StoreError> {
        let mut device = self.store.device_by_key(key).await?;
        if device.as_ref().is_some_and(|device| tls::hash(&device.spki) != Some(key)) {
            device = self.store.settle_key(key).await?;
            if let Some(device) = &device {
                self.presence.end_other_keys(device, "this device has another key now");
                tracing::info!(device = %device.id, "a device changed its key");
            }
        }
        if device.is_none() && crate::sabotage::off("hub-device-auth") {
            return Ok(stand_in());
        }
        if let Some(own) = &device
            && crate::sabotage::off("hub-own-rows")
        {
            let all = self.store.devices().await?;
            return Ok(all.into_iter().find(|other| other.id != own.id).or(device));
        }
        Ok(device)
    }
}

/// Somebody the hub does not know, let in all the same: only reached with the guard switched off.
fn stand_in() -> Option<Device> {
    let name = Label::parse("stranger").ok()?;
    Some(Device { id: String::new(), name, spki: Vec::new(), made_at: Wall::default() })
}

/// Microseconds: epochs of a restarted hub are larger than all before it, unless a million sessions began each second.
fn first_epoch(now: Wall) -> u64 {
    u64::try_from(now.0.as_micros()).unwrap_or(u64::MAX)
}

/// A random token.
///
/// # Errors
/// When the system gives no random bytes.
pub fn token() -> Result<[u8; 16], super::keys::KeyError> {
    random()
}

/// How many locks there are for all devices together.
const SHARDS: usize = 64;

/// One change of a device at a time, so that store and zone change in the same order.
pub struct DeviceLocks {
    shards: [Mutex<()>; SHARDS],
    hasher: RandomState,
}

impl Default for DeviceLocks {
    fn default() -> Self {
        Self { shards: core::array::from_fn(|_| Mutex::new(())), hasher: RandomState::new() }
    }
}

impl DeviceLocks {
    /// A remainder by SHARDS is always an index of it.
    fn number(&self, device: &str) -> usize {
        usize::try_from(self.hasher.hash_one(device) >> 32).unwrap_or_default() % SHARDS
    }

    /// Waits for a device's turn. Other devices may share its lock.
    pub async fn of(&self, device: &str) -> MutexGuard<'_, ()> {
        self.shards[self.number(device)].lock().await
    }

    /// Waits until it is the turn of all of these.
    pub async fn of_all<'a>(
        &self,
        devices: impl Iterator<Item = &'a str>,
    ) -> Vec<MutexGuard<'_, ()>> {
        // In one order, and each once: two that wait for several never wait for each other.
        let mut numbers: Vec<usize> = devices.map(|device| self.number(device)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut turns = Vec::new();
        for number in numbers {
            turns.push(self.shards[number].lock().await);
        }
        turns
    }
}
