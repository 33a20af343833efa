//! The license clock: the wall clock, but never before a time that has passed.
//!
//! `max(wall, high-water mark + boot time since)`. Setting the wall clock back gains nothing. Setting it far ahead
//! raises the mark, and only the hub's signed time takes that back.

use crate::clock::{BUILT, Boot, Wall};
use crate::daemon::dial::Mark;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A wall clock this much behind the license clock is suspect; less is drift and rounding.
const DRIFT: Duration = Duration::from_secs(600);

/// The license clock, in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    shown: Wall,
    shown_at: Boot,
    mark: Wall,
    mark_at: Boot,
    /// A copy of the mark was missing or not ours.
    pub broken_seal: bool,
}

/// Why the wall clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was never set: it stands before this version was made.
    Unset,
    /// It stands before a time that has passed.
    Behind,
    /// Somebody touched what was kept of it.
    Seal,
}

impl Doubt {
    /// One word for `--json`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Behind => "behind",
            Self::Seal => "seal",
        }
    }

    /// For a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unset => "the clock of this box is not set",
            Self::Behind => "the clock of this box was set back",
            Self::Seal => "what was kept of the time was changed or is lost",
        }
    }
}

/// A nonce that was given away in a file, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The nonce.
    pub nonce: String,
    /// What the license clock said.
    pub at: Wall,
}

impl Time {
    /// From what the wall clock shows now, a mark that was kept, and the latest time any document was made at.
    pub fn new(
        shown: Wall,
        now: Boot,
        kept: Option<Mark>,
        documents: Wall,
        broken_seal: bool,
    ) -> Self {
        let (mark, mark_at) = kept.map_or((BUILT, now), |kept| (kept.wall, kept.counts_from(now)));
        let mut time = Self { shown, shown_at: now, mark, mark_at, broken_seal };
        time.raise(documents, now);
        time
    }

    /// The wall clock was read again.
    pub fn show(&mut self, shown: Wall, now: Boot) {
        // What has passed stays passed, whatever the clock said of it.
        (self.mark, self.mark_at) = (self.now(now), now);
        (self.shown, self.shown_at) = (shown, now);
    }

    /// The time.
    pub fn now(&self, now: Boot) -> Wall {
        let marked = Wall(self.mark.0.saturating_add(now - self.mark_at));
        if crate::sabotage::off("license-clock") {
            return self.wall(now).max(BUILT);
        }
        self.wall(now).max(marked).max(BUILT)
    }

    fn wall(&self, now: Boot) -> Wall {
        Wall(self.shown.0.saturating_add(now - self.shown_at))
    }

    /// Why the wall clock is not believed, if it is not.
    pub fn doubt(&self, now: Boot) -> Option<Doubt> {
        let wall = self.wall(now);
        if wall < BUILT {
            Some(Doubt::Unset)
        } else if wall.0 + DRIFT < self.now(now).0 {
            Some(Doubt::Behind)
        } else {
            self.broken_seal.then_some(Doubt::Seal)
        }
    }

    /// This time has passed: whoever signed it has seen it.
    pub fn raise(&mut self, passed: Wall, now: Boot) {
        if passed > self.now(now) {
            (self.mark, self.mark_at) = (passed, now);
        }
    }

    /// The hub signed that it was `then` when it saw a nonce, which was made `since` ago by this clock or later. The
    /// mark is set to it, ahead or back; whoever keeps such an answer for later gains nothing, as that time is added.
    pub fn correct(&mut self, then: Wall, since: Duration, now: Boot) {
        let signed = Wall(then.0.saturating_add(since));
        (self.mark, self.mark_at) = (signed, now);
        if self.wall(now).0 > signed.0 + DRIFT {
            // The clock is still wrong: what it says is not believed until it was set, or read again.
            (self.shown, self.shown_at) = (signed, now);
        }
        self.broken_seal = false;
    }

    /// What is kept of it.
    pub fn mark(&self, now: Boot) -> Mark {
        Mark::of(self.now(now), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn boot(days: u64) -> Boot {
        Boot(DAY * u32::try_from(days).unwrap())
    }

    fn wall(days: u64) -> Wall {
        Wall(BUILT.0 + boot(days).0)
    }

    #[test]
    fn a_clock_that_is_set_back_gains_nothing() {
        let mut time = Time::new(wall(400), boot(1), None, Wall::default(), false);
        assert_eq!((time.now(boot(1)), time.doubt(boot(1))), (wall(400), None));
        time.show(wall(0), boot(2));
        assert_eq!(time.now(boot(2)), wall(401));
        assert_eq!(time.now(boot(3)), wall(402), "and it goes on");
        assert_eq!(time.doubt(boot(3)), Some(Doubt::Behind));
        let kept = time.mark(boot(3));
        let again = Time::new(wall(2), boot(0), Some(kept), Wall::default(), false);
        assert_eq!(again.now(boot(0)), wall(402), "a start later");
        let moved = Time::new(wall(2), boot(10), Some(kept), Wall::default(), false);
        assert_eq!(
            moved.now(boot(10)),
            wall(409),
            "a copy of the state in a box that is up for long"
        );
    }

    #[test]
    fn a_clock_of_1970_runs_on_the_mark_and_is_flagged() {
        let kept = Mark::of(wall(30), boot(5));
        let time = Time::new(Wall::default(), boot(0), Some(kept), Wall::default(), false);
        assert_eq!(time.now(boot(1)), wall(31));
        assert_eq!(time.doubt(boot(1)), Some(Doubt::Unset));
        let fresh = Time::new(Wall::default(), boot(0), None, wall(3), false);
        assert_eq!(fresh.now(boot(1)), wall(4), "a document's own time is a floor");
    }

    #[test]
    fn only_signed_time_takes_a_far_future_back_and_waiting_with_it_gains_nothing() {
        let mut time = Time::new(wall(36_500), boot(0), None, Wall::default(), false);
        time.show(wall(1), boot(1));
        assert!(time.now(boot(1)) >= wall(36_500));
        time.raise(wall(2), boot(1));
        assert!(time.now(boot(1)) >= wall(36_500), "no document does");
        let mut patient = time;
        time.correct(wall(2), Duration::ZERO, boot(1));
        assert_eq!(time.now(boot(1)), wall(2));
        patient.correct(wall(2), DAY * 300, boot(301));
        assert!(patient.now(boot(301)) >= wall(301));
    }
}
