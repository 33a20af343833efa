//! The last letter to somebody whose account is gone.
//!
//! Nothing of them is kept any more, so that the letter cannot wait in the store: it waits in memory for a while, and
//! is lost with a hub that ends before the mail server took it. The receipt says so.

use super::People;
use super::email::Email;
use crate::clock::Wall;
use crate::hub::speech::Language;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long it is tried.
pub const FAREWELL_LIFE: Duration = Duration::from_secs(3600);
/// Letters that wait at once, at most; those beyond are not written.
const MOST: usize = 1000;

/// A last letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// To whom.
    pub to: Email,
    /// In which language.
    pub language: Language,
    /// How many rows were erased.
    pub rows: u64,
    /// The names of the devices that went with the account.
    pub devices: Vec<String>,
    /// The signed receipt.
    pub receipt: String,
    /// When it was erased.
    pub erased_at: Wall,
}

/// Those that wait, oldest first.
#[derive(Default)]
pub(super) struct Farewells(Mutex<VecDeque<Farewell>>);

impl Farewells {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Farewell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl People {
    /// Has a last letter sent, where there is mail at all.
    pub fn bid_farewell(&self, farewell: Farewell) {
        let mut waiting = self.farewells.lock();
        if self.mails && waiting.len() < MOST && !crate::sabotage::off("people-mail") {
            waiting.push_back(farewell);
            self.posted.notify_one();
        }
    }

    /// The last letter that waits longest, of those whose time is not over.
    pub fn farewell(&self, now: Wall) -> Option<Farewell> {
        let mut waiting = self.farewells.lock();
        let since = super::before(now, FAREWELL_LIFE);
        waiting.retain(|farewell| farewell.erased_at >= since);
        waiting.front().cloned()
    }

    /// Forgets a last letter that was sent, or can never be.
    pub fn farewell_sent(&self, farewell: &Farewell) {
        self.farewells.lock().retain(|waiting| waiting != farewell);
    }
}
