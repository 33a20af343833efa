//! What the hub is shown of this device. A rekey replaces it while messages are under way.

use std::sync::{Arc, Mutex, PoisonError};

/// What is shown from now on, or nothing yet.
pub(super) struct Shown<T>(Arc<Mutex<Option<Arc<T>>>>);

impl<T> Shown<T> {
    pub(super) fn set(&self, shown: Option<Arc<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    pub(super) fn get(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something else is shown by now. What a hub says to the key of before says nothing about that of now:
    /// whoever took "unknown" for an answer would keep away for an hour.
    pub(super) fn has_replaced(&self, before: &Arc<T>) -> bool {
        self.get().is_none_or(|now| !Arc::ptr_eq(&now, before))
    }
}

// Derived, they would ask the same of what is shown.
impl<T> Clone for Shown<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}
