//! What one feature may send in messages: a bucket that a defect empties long before a line or a hub feels it.
//!
//! Flows are not counted here: what visitors fetch is the owner's business, and passes by a passage.

use crate::clock::Boot;
use core::time::Duration;

/// The largest message is 16 KiB; registration, the busiest of today's features, sends below 200 bytes each
/// five seconds. Sixteen of the largest at once, and a hundred small ones a minute for ever, fit in.
const CAPACITY: u64 = 256 * 1024;
/// Bytes that come back each second.
const PER_SECOND: u64 = 1024;
/// What a message costs besides its body: the handshake and headers of a connection of its own.
const OVERHEAD: u64 = 512;

/// One feature's bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: u64,
    at: Boot,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(at: Boot) -> Self {
        Self { level: CAPACITY, at }
    }

    /// Takes a message out, or tells how long until it fits.
    pub(super) fn take(&mut self, body_bytes: usize, now: Boot) -> Result<(), Duration> {
        let whole_seconds = (now - self.at).as_secs();
        if whole_seconds > 0 {
            let back = whole_seconds.saturating_mul(PER_SECOND);
            self.level = self.level.saturating_add(back).min(CAPACITY);
            self.at = self.at + Duration::from_secs(whole_seconds);
        }
        let cost = u64::try_from(body_bytes).unwrap_or(u64::MAX).saturating_add(OVERHEAD);
        match self.level.checked_sub(cost) {
            Some(level) => {
                self.level = level;
                Ok(())
            }
            None => Err(Duration::from_secs((cost - self.level).div_ceil(PER_SECOND))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_loops_is_held_to_its_budget_and_recovers() {
        let mut bucket = Bucket::full(Boot::default());
        let mut sent = 0;
        let wait = loop {
            match bucket.take(512, Boot::default()) {
                Ok(()) => sent += 1,
                Err(wait) => break wait,
            }
        };
        assert_eq!((sent, wait), (256, Duration::from_secs(1)));
        let later = Boot(wait);
        assert!(bucket.take(512, later).is_ok() && bucket.take(512, later).is_err());
    }

    #[test]
    fn a_message_every_five_seconds_is_never_held_up() {
        let mut bucket = Bucket::full(Boot::default());
        for number in 0..100_000 {
            let now = Boot(Duration::from_secs(number * 5));
            assert!(bucket.take(4096, now).is_ok(), "message {number}");
        }
    }
}
