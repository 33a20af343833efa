//! Whether what changed is on disk, and when a save that failed is tried again.

use crate::card::Exit;
use crate::clock::{Boot, Now};
use crate::egress::backoff::Backoff;
use core::time::Duration;

/// A full disk is often emptied by somebody who just read the warning; one that stays full costs twelve tries an
/// hour.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(300);

/// A change that is not on disk.
pub(super) struct Unsaved {
    /// What the command that made it ends with.
    pub(super) exit: Exit,
    pub(super) why: String,
}

/// The state of saving.
pub(super) struct Saving {
    /// Something changed.
    due: bool,
    /// The last save failed, and when the next one is tried without a change.
    failed: Option<Boot>,
    unsaved: Option<Unsaved>,
    backoff: Backoff,
}

impl Saving {
    pub(super) fn new() -> Self {
        Self {
            due: false,
            failed: None,
            unsaved: None,
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
        }
    }

    /// Something changed.
    pub(super) const fn change(&mut self) {
        self.due = true;
    }

    /// Whether to save now.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.due || self.failed.is_some_and(|again| again <= now.boot)
    }

    /// When it will be due without a change.
    pub(super) const fn next_wake(&self) -> Option<Boot> {
        self.failed
    }

    /// Whether the last save failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Why the last change is not on disk; `None` when it is.
    pub(super) const fn unsaved(&self) -> Option<&Unsaved> {
        self.unsaved.as_ref()
    }

    /// Everything is on disk.
    pub(super) fn succeed(&mut self) {
        *self = Self::new();
    }

    /// It is not. The change itself is done in RAM; the next one, or the time, tries again.
    pub(super) fn fail(&mut self, unsaved: Unsaved, now: Now) {
        self.due = false;
        self.unsaved = Some(unsaved);
        self.failed = Some(now.boot + self.backoff.fail(now, None));
    }
}
