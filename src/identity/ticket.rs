//! The session ticket: the hub's random word of the last session, which shows it a copy of this device's disk.
//!
//! It has a document of its own: it changes with each session, and the household need not.

use crate::state::{StateDir, StateError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The document in the state directory.
pub const STATE_NAME: &str = "ticket";
/// The longest ticket that is kept. Those of today have 22 characters.
const MOST: usize = 64;

/// The ticket this device holds, on disk and in memory.
pub struct TicketBook {
    state: Arc<StateDir>,
    held: Mutex<Held>,
}

struct Held {
    device: String,
    ticket: Option<String>,
}

/// What the state directory holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The mark of the device it was given to: another one has no use for it.
    device: String,
    ticket: String,
}

impl TicketBook {
    /// Reads what this device holds. What cannot be read is not held: the hub will take this box for a copy, and its
    /// owner can say otherwise there; an agent that does not start could not even show that.
    pub fn open(state: Arc<StateDir>, device: &str) -> Self {
        let loaded = state.load(STATE_NAME).unwrap_or_else(|error| {
            tracing::error!(%error, "the ticket of the last session cannot be read");
            None
        });
        let kept = loaded.and_then(|loaded| serde_json::from_value::<Kept>(loaded.body).ok());
        let ticket = kept.filter(|kept| kept.device == device).map(|kept| kept.ticket);
        Self { state, held: Mutex::new(Held { device: device.into(), ticket }) }
    }

    /// What it holds.
    pub fn held(&self) -> Option<String> {
        self.lock().ticket.clone()
    }

    /// Writes a fresh one down in the place of the one that was shown, and says whether it is on the disk.
    pub fn keep(&self, shown: Option<&str>, fresh: &str) -> bool {
        let mut held = self.lock();
        let plain = fresh.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=MOST).contains(&fresh.len()) && plain;
        if !fits || held.ticket.as_deref() != shown {
            return false;
        }
        let kept = Kept { device: held.device.clone(), ticket: fresh.into() };
        let saved = self.state.save(STATE_NAME, &json!(kept));
        if let Err(error) = &saved {
            tracing::debug!(%error, "the session's ticket was not written down");
        } else {
            held.ticket = Some(fresh.into());
        }
        saved.is_ok()
    }

    /// Drops it, on behalf of this device from here on: it left its hub, or has another key.
    ///
    /// # Errors
    /// Those of the state directory; it is not shown any more all the same.
    pub fn begin_anew(&self, device: &str) -> Result<(), StateError> {
        let mut held = self.lock();
        held.device = device.into();
        if held.ticket.take().is_some() {
            self.state.remove(STATE_NAME)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // What is held changes in one step, after it was written.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;

    fn open(state: &Arc<StateDir>, device: &str) -> TicketBook {
        TicketBook::open(Arc::clone(state), device)
    }

    #[test]
    fn a_ticket_is_found_again_by_its_own_device_only() {
        let state = Arc::new(StateDir::open(scratch("ticket").join("state")).unwrap());
        let book = open(&state, "one");
        assert_eq!(book.held(), None);
        assert!(book.keep(None, "first"));
        assert!(book.keep(Some("first"), "second"));
        assert_eq!(open(&state, "one").held().as_deref(), Some("second"));
        assert_eq!(open(&state, "two").held(), None);
        book.begin_anew("one").unwrap();
        assert_eq!((book.held(), open(&state, "one").held()), (None, None));
    }

    #[test]
    fn only_what_follows_the_ticket_that_was_shown_is_kept() {
        let state = Arc::new(StateDir::open(scratch("ticket-order").join("state")).unwrap());
        let book = open(&state, "one");
        assert!(book.keep(None, "first"));
        assert!(!book.keep(None, "of another session"));
        assert!(!book.keep(Some("first"), ""));
        assert!(!book.keep(Some("first"), &"x".repeat(65)));
        assert!(!book.keep(Some("first"), "\u{1b}[2J"));
        assert_eq!(book.held().as_deref(), Some("first"));
    }
}
