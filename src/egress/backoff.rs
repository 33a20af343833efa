//! How long to wait after a failure: doubling, with full spread, so that a thousand agents whose hub
//! came back do not come back together.

use crate::clock::Now;
use core::time::Duration;

/// Waits that double from `first` to `most`. Each is spread over its upper half by the die of [`Now`].
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// A fresh one.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The wait after one more failure, between half of it and all of it. `at_least` is what the other
    /// side asked for (Retry-After), and is never cut short.
    pub fn fail(&mut self, now: Now, at_least: Option<Duration>) -> Duration {
        let wait = self.next.mul_f64(0.5 + 0.5 * now.fraction());
        self.next = (self.next * 2).min(self.most);
        wait.max(at_least.unwrap_or_default())
    }

    /// Starts over after a success.
    pub fn succeed(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_spread() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
        let now = |dice| Now { boot: Default::default(), wall: Default::default(), dice };
        assert_eq!(backoff.fail(now(u64::MAX), None), Duration::from_secs(1));
        assert_eq!(backoff.fail(now(u64::MAX), None), Duration::from_secs(2));
        assert_eq!(backoff.fail(now(0), None), Duration::from_secs(2));
        assert_eq!(backoff.fail(now(0), Some(Duration::from_secs(9))), Duration::from_secs(9));
        backoff.succeed();
        assert_eq!(backoff.fail(now(u64::MAX), None), Duration::from_secs(1));
    }
}
