//! Whose data is kept and not used (promise R9), in memory; the store has it over restarts.

use super::store::Scope;
use crate::wire::privacy::Restrictable;
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Set = HashSet<(String, Restrictable)>;

/// Every restriction, by device id.
#[derive(Default)]
pub struct Restrictions(RwLock<Set>);

impl Restrictions {
    /// Takes up what the store holds.
    pub fn load(&self, rows: Vec<(String, Restrictable)>) {
        self.write().extend(rows);
    }

    /// Whether a feature's data is only kept.
    pub fn has(&self, device: &str, feature: Restrictable) -> bool {
        let set = self.read();
        !set.is_empty()
            && set.contains(&(device.to_owned(), feature))
            && !crate::sabotage::off("hub-restricted")
    }

    /// Replaces those of a device.
    pub fn set(&self, device: &str, features: &[Restrictable]) {
        let mut set = self.write();
        set.retain(|(of, _)| of != device);
        set.extend(features.iter().map(|feature| (device.to_owned(), *feature)));
    }

    /// Those of a device.
    pub fn of(&self, device: &str) -> Vec<Restrictable> {
        let set = self.read();
        let has = |feature: &&Restrictable| set.contains(&(device.to_owned(), **feature));
        Restrictable::ALL.iter().filter(has).copied().collect()
    }

    /// Drops those that an erasure took with it.
    pub fn forget(&self, device: &str, scope: Scope) {
        let all = scope == Scope::Registration;
        self.write()
            .retain(|(of, feature)| of != device || !(all || feature.name() == scope.feature()));
    }

    fn read(&self) -> RwLockReadGuard<'_, Set> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Set> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
