//! The device's keys: one, and for the time of a rekey a second one. A power cut between any two steps leaves exactly
//! one that the hub accepts.
//!
//! A rekey goes like this. 1. The next key is made in a file of its own; nothing changes by that. 2. The hub is told
//! of it over a connection of the old key, notes it beside the old one, and gives a certificate for it. 3. The
//! certificate is saved: from here on the next key is *the* key, because the key that the saved certificate was made
//! for is. 4. Its file takes the place of the old one's. 5. It is used, upon which the hub drops the old one. The new
//! key is never used before 3 is on the disk: a device that lost that certificate would come back with a key that the
//! hub no longer knows.

use super::IdentityError;
use super::key::{DeviceKey, KEY_FILE, NEXT_FILE};
use crate::secret::Secret;
use crate::state::{StateDir, StateError};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use std::sync::Arc;

/// The file of the ledger's key in the state directory. There is none before the first rekey, which would change it.
pub const LEDGER_FILE: &str = "ledger.key";

pub(super) struct Keyring {
    current: Arc<DeviceKey>,
    /// The current key is in the state directory.
    is_kept: bool,
    next: Option<Arc<DeviceKey>>,
    /// Whether the current key still stands in the next one's file.
    is_misplaced: bool,
    ledger: Option<Secret<Vec<u8>>>,
}

impl Keyring {
    pub(super) fn open(state: &StateDir) -> Result<Self, IdentityError> {
        let found = DeviceKey::load(state, KEY_FILE)?;
        let is_kept = found.is_some();
        let current = Arc::new(found.map_or_else(DeviceKey::in_memory, Ok)?);
        let next = match DeviceKey::load(state, NEXT_FILE) {
            Ok(next) => next.map(Arc::new),
            Err(IdentityError::BadKey(file)) => {
                tracing::warn!(file, "a key that is damaged was never used; it is left out");
                None
            }
            Err(error) => return Err(error),
        };
        let ledger = state.read_private(LEDGER_FILE)?.map(Secret::new);
        Ok(Self { current, is_kept, next, is_misplaced: false, ledger })
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Puts the current key into the state directory; whether it was not there before.
    pub(super) fn keep(&mut self, state: &StateDir) -> Result<bool, StateError> {
        if self.is_kept {
            return Ok(false);
        }
        self.current.keep(state, KEY_FILE)?;
        self.is_kept = true;
        Ok(true)
    }

    /// Puts another key in the place of the current one, of which nothing is left.
    pub(super) fn begin_anew(&mut self, state: &StateDir) -> Result<(), IdentityError> {
        let key = DeviceKey::in_memory()?;
        if self.is_misplaced {
            state.replace(KEY_FILE, NEXT_FILE)?;
            self.is_misplaced = false;
        }
        self.drop_next(state)?;
        key.keep(state, NEXT_FILE)?;
        state.remove(LEDGER_FILE)?;
        self.ledger = None;
        state.replace(KEY_FILE, NEXT_FILE)?;
        self.current = Arc::new(key);
        self.is_kept = true;
        Ok(())
    }

    /// What this device's own documents are marked with. It stays the same when the device's key changes, and is another
    /// one for another device.
    pub(super) fn mark(&self) -> String {
        HEXLOWER.encode(digest(&SHA256, self.ledger_seed().expose()).as_ref())
    }

    pub(super) fn current(&self) -> Arc<DeviceKey> {
        Arc::clone(&self.current)
    }

    /// The key a certificate was made for; the current one when it is nobody's.
    pub(super) fn key_of(&self, certificate: &str) -> Arc<DeviceKey> {
        Arc::clone(
            self.next.as_ref().filter(|next| next.fits(certificate)).unwrap_or(&self.current),
        )
    }

    pub(super) fn is_of_next(&self, certificate: &str) -> bool {
        self.next.as_ref().is_some_and(|next| next.fits(certificate))
    }

    /// What the ledger's key is made of: the same for ever, so that the bodies of lines of before a rekey can still be
    /// proved. Ed25519 signatures are deterministic, so one over a fixed text is a secret that only this device can
    /// make again.
    pub(super) fn ledger_seed(&self) -> Secret<Vec<u8>> {
        match &self.ledger {
            Some(seed) => Secret::new(seed.expose().clone()),
            None => Secret::new(self.current.sign(b"qcloud-ledger-bodies/1")),
        }
    }

    pub(super) fn next(&mut self, state: &StateDir) -> Result<Arc<DeviceKey>, IdentityError> {
        if let Some(next) = &self.next {
            return Ok(Arc::clone(next));
        }
        self.keep(state)?;
        if self.ledger.is_none() {
            let seed = self.ledger_seed();
            state.write_once(LEDGER_FILE, seed.expose())?;
            self.ledger = Some(seed);
        }
        let next = match DeviceKey::load(state, NEXT_FILE)? {
            Some(next) => next,
            None => {
                let next = DeviceKey::in_memory()?;
                next.keep(state, NEXT_FILE)?;
                next
            }
        };
        let next = Arc::new(next);
        self.next = Some(Arc::clone(&next));
        Ok(next)
    }

    /// Follows the certificate that is on the disk.
    pub(super) fn settle(
        &mut self,
        state: &StateDir,
        certificate: Option<&str>,
    ) -> Result<(), IdentityError> {
        if let Some(next) = self.next.take_if(|next| certificate.is_some_and(|c| next.fits(c))) {
            self.current = next;
            self.is_misplaced = true;
        }
        if self.is_misplaced {
            state.replace(KEY_FILE, NEXT_FILE)?;
            self.is_misplaced = false;
        }
        if certificate.is_none() { self.drop_next(state) } else { Ok(()) }
    }

    pub(super) fn drop_next(&mut self, state: &StateDir) -> Result<(), IdentityError> {
        if !self.is_misplaced && state.read_private(NEXT_FILE)?.is_some() {
            state.remove(NEXT_FILE)?;
        }
        self.next = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::certificate_for;
    use super::*;

    #[test]
    fn the_key_that_the_saved_certificate_was_made_for_is_the_key() {
        let state = StateDir::memory();
        let mut ring = Keyring::open(&state).unwrap();
        let first = ring.current();
        let (seed, old) = (ring.ledger_seed().expose().clone(), certificate_for(&first));
        let mark = ring.mark();
        let next = ring.next(&state).unwrap();
        assert_eq!(ring.next(&state).unwrap().id(), next.id(), "one at a time");
        let new = certificate_for(&next);
        assert_eq!(ring.key_of(&old).id(), first.id());
        assert_eq!((ring.key_of(&new).id(), ring.current().id()), (next.id(), first.id()));

        let mut again = Keyring::open(&state).unwrap();
        again.settle(&state, Some(&old)).unwrap();
        assert_eq!(again.current().id(), first.id(), "not committed");
        assert!(again.is_of_next(&new), "and not forgotten");
        again.settle(&state, Some(&new)).unwrap();
        assert_eq!(again.current().id(), next.id());
        assert_eq!(state.read_private(NEXT_FILE).unwrap(), None);
        let last = Keyring::open(&state).unwrap();
        assert_eq!(last.current().id(), next.id());
        assert_eq!(*last.ledger_seed().expose(), seed, "lines of before can still be proved");
        assert_eq!(last.mark(), mark, "and its documents are still its own");
    }

    #[test]
    fn a_device_that_begins_anew_keeps_nothing_of_its_keys() {
        let state = StateDir::memory();
        let mut ring = Keyring::open(&state).unwrap();
        assert!(!ring.is_kept() && state.read_private(KEY_FILE).unwrap().is_none());
        assert!(ring.keep(&state).unwrap() && !ring.keep(&state).unwrap());
        ring.next(&state).unwrap();
        let (first, mark) = (ring.current(), ring.mark());
        ring.begin_anew(&state).unwrap();
        assert!(ring.current().id() != first.id() && ring.mark() != mark);
        for gone in [NEXT_FILE, LEDGER_FILE] {
            assert_eq!(state.read_private(gone).unwrap(), None, "{gone}");
        }
        assert_eq!(Keyring::open(&state).unwrap().current().id(), ring.current().id());
    }

    #[test]
    fn a_device_that_left_its_hub_has_one_key() {
        let state = StateDir::memory();
        let mut ring = Keyring::open(&state).unwrap();
        ring.next(&state).unwrap();
        ring.settle(&state, None).unwrap();
        assert_eq!(state.read_private(NEXT_FILE).unwrap(), None);
        state.write_once(NEXT_FILE, b"rubbish").unwrap();
        let mut ring = Keyring::open(&state).unwrap();
        ring.drop_next(&state).unwrap();
        assert!(ring.next(&state).is_ok());
    }
}
