//! Time, and the only file that asks the system for it.
//!
//! Deadlines are kept on `CLOCK_BOOTTIME`, which goes on in suspend; `std`'s `Instant` does not.
//! Wall time is `max(system, build, last good)`: a box without a battery wakes up in 1970, and no
//! certificate check and no record should believe that.

use core::ops::{Add, Sub};
use core::time::Duration;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When this version was made, in Unix seconds (2026-11-22): no clock can be right and earlier.
pub const BUILT: Wall = Wall(Duration::from_secs(1_795_305_600));

/// Time since boot on `CLOCK_BOOTTIME`, suspend included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Boot(pub Duration);

impl Add<Duration> for Boot {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub for Boot {
    type Output = Duration;
    /// The time from `rhs` to `self`; zero when `rhs` is later.
    fn sub(self, rhs: Self) -> Duration {
        self.0.saturating_sub(rhs.0)
    }
}

/// Trusted wall time, since the Unix epoch. Kept and sent as whole Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Wall(pub Duration);

impl From<u64> for Wall {
    fn from(seconds: u64) -> Self {
        Self::from_unix_seconds(seconds)
    }
}

impl From<Wall> for u64 {
    fn from(wall: Wall) -> Self {
        wall.unix_seconds()
    }
}

impl Wall {
    /// Whole Unix seconds.
    pub const fn unix_seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// From whole Unix seconds.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// RFC 3339 in UTC with whole seconds: `2026-11-22T10:00:00Z`.
    pub fn rfc3339(self) -> String {
        let seconds = self.unix_seconds();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// The same time of the day so many calendar months later, in UTC. A day that the month does not have is its last
    /// one: six months after 31 August is 28 or 29 February, never March (promise R4).
    pub fn months_later(self, months: u64) -> Self {
        let seconds = self.unix_seconds();
        let (year, month, day) = civil_from_days(seconds / 86_400);
        // Months since the year 0; bounded, so that no sum overflows.
        let total = year * 12 + (month - 1) + months.min(12_000);
        let (year, month) = (total / 12, total % 12 + 1);
        let begun = days_from_civil((year, month, 1)).unwrap_or_default();
        let next = if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) };
        let length = days_from_civil(next).unwrap_or_default().saturating_sub(begun);
        let days = begun + day.min(length).saturating_sub(1);
        Self::from_unix_seconds(days * 86_400 + seconds % 86_400)
    }

    /// The beginning of a day in UTC, from `2026-11-22`. Nothing for any other text, and for days before 1970.
    pub fn from_date(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|part| {
            let digits = part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let date = (parts.next()??, parts.next()??, parts.next()??);
        let days = days_from_civil(date)?;
        let is_a_day = parts.next().is_none() && civil_from_days(days) == date;
        is_a_day.then(|| Self::from_unix_seconds(days * 86_400))
    }
}

/// The other way round than [`civil_from_days`]; a date that is in no calendar comes to some day.
fn days_from_civil((year, month, day): (u64, u64, u64)) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// Year, month and day of a day counted from 1970-01-01 (the era algorithm of Howard Hinnant's
/// "chrono-compatible low-level date algorithms", for days since 1970 only).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The moment a pure core is told about: both clocks, and a die so that jitter needs no generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub boot: Boot,
    /// For records and certificates.
    pub wall: Wall,
    /// Uniformly random, fresh for each input.
    pub dice: u64,
}

impl Now {
    /// A factor between 0 and 1 from the die, for jitter.
    pub fn fraction(&self) -> f64 {
        // 53 bits fill an f64 exactly; the shift leaves 32, which u32 -> f64 converts without loss.
        let top = u32::try_from(self.dice >> 32).unwrap_or(u32::MAX);
        f64::from(top) / f64::from(u32::MAX)
    }
}

/// Where `Now` comes from: the system, or a test's own time.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Now + Send + Sync>,
    shown: Arc<dyn Fn() -> Wall + Send + Sync>,
    /// Unix seconds that have passed for certain.
    floor: Arc<AtomicU64>,
}

impl Clock {
    /// The system's clocks. `last_good` is a wall time known to have passed (from saved state).
    pub fn system(last_good: Wall) -> Self {
        Self::above(last_good, system_wall)
    }

    /// The same over any wall clock, which may say what it likes: it is believed above `last_good`, above the time
    /// of the build, and above what was vouched for.
    pub fn above(last_good: Wall, wall: impl Fn() -> Wall + Send + Sync + 'static) -> Self {
        let floor = Arc::new(AtomicU64::new(last_good.max(BUILT).unix_seconds()));
        let shown: Arc<dyn Fn() -> Wall + Send + Sync> = Arc::new(wall);
        let (wall, at_least) = (Arc::clone(&shown), Arc::clone(&floor));
        let now = Arc::new(move || {
            let wall = wall().max(Wall::from_unix_seconds(at_least.load(Ordering::Relaxed)));
            Now { boot: Boot(read(ClockId::CLOCK_BOOTTIME)), wall, dice: dice() }
        });
        Self { now, shown, floor }
    }

    /// A clock that a test moves.
    pub fn from_fn(now: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        let now: Arc<dyn Fn() -> Now + Send + Sync> = Arc::new(now);
        let wall = Arc::clone(&now);
        Self { now, shown: Arc::new(move || wall().wall), floor: Arc::default() }
    }

    /// The present moment.
    pub fn now(&self) -> Now {
        (self.now)()
    }

    /// Somebody who is trusted says that it is `said`. What this clock shows as well has passed for certain, and no
    /// clock that is set back undoes it. Neither is believed alone: one wrong answer of a time server, or a hub that
    /// lost its clock, would leave this device in the far future, where every certificate is over.
    pub fn vouch(&self, said: Wall) {
        self.floor.fetch_max(said.min(self.shown()).unix_seconds(), Ordering::Relaxed);
    }

    /// The latest time that has passed for certain.
    pub fn vouched(&self) -> Wall {
        Wall::from_unix_seconds(self.floor.load(Ordering::Relaxed))
    }

    /// What the wall clock shows, believed or not.
    pub fn shown(&self) -> Wall {
        (self.shown)()
    }
}

/// The system's wall clock, untrusted: 1970 on a box whose clock was never set.
pub fn system_wall() -> Wall {
    Wall(read(ClockId::CLOCK_REALTIME))
}

/// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`: the time spent in suspend since boot.
///
/// quinn lives on the latter, so a change of this means that its timers have stood still.
pub fn suspended() -> Duration {
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

#[allow(clippy::disallowed_methods, reason = "this is the one file that reads clocks")]
fn read(clock: ClockId) -> Duration {
    // The three clocks used here exist on every Linux since 2.6.39; a kernel without one reads as zero.
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

fn dice() -> u64 {
    let mut bytes = [0_u8; 8];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    // Without randomness there is no jitter, and nothing else depends on this value.
    if filled.is_ok() { u64::from_ne_bytes(bytes) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| Wall::from_unix_seconds(seconds).rfc3339();
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn a_date_is_read_as_it_is_written_and_no_other_text_is_one() {
        for seconds in [0, 951_782_400, 951_868_800, 1_795_305_600, 4_107_542_400] {
            let text = &Wall::from_unix_seconds(seconds).rfc3339()[..10];
            assert_eq!(Wall::from_date(text), Some(Wall::from_unix_seconds(seconds)), "{text}");
        }
        for bad in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
            "0000-00-00",
            "2026-01-01-01",
            "-1-1",
            "20261-1-1",
            "2026-01-0a",
        ] {
            assert_eq!(Wall::from_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn r4_six_months_are_those_of_the_calendar() {
        let after = |text: &str| Wall::from_date(text).unwrap().months_later(6).rfc3339();
        for (from, to) in [
            ("2026-08-31", "2027-02-28"),
            ("2027-08-31", "2028-02-29"),
            ("2027-08-29", "2028-02-29"),
            ("2026-08-28", "2027-02-28"),
            ("2099-08-31", "2100-02-28"),
            ("2026-03-31", "2026-09-30"),
            ("2026-06-30", "2026-12-30"),
            ("2026-07-01", "2027-01-01"),
            ("2028-02-29", "2028-08-29"),
        ] {
            assert_eq!(after(from), format!("{to}T00:00:00Z"), "{from}");
        }
        let late = Wall::from_unix_seconds(1_795_391_999);
        assert_eq!(&late.months_later(6).rfc3339()[10..], &late.rfc3339()[10..]);
    }

    #[test]
    fn the_wall_never_stands_before_the_last_good_time() {
        let future = Wall::from_unix_seconds(9_000_000_000);
        assert_eq!(Clock::system(future).now().wall, future);
        assert!(Clock::system(Wall::default()).now().wall >= BUILT);
    }

    #[test]
    fn only_what_two_clocks_say_has_passed_for_certain() {
        let hand = Arc::new(AtomicU64::new(3_000_000_000));
        let shows = Arc::clone(&hand);
        let wall = move || Wall::from_unix_seconds(shows.load(Ordering::Relaxed));
        let clock = Clock::above(Wall::default(), wall);
        let now = || clock.now().wall.unix_seconds();
        assert_eq!(now(), 3_000_000_000);
        clock.vouch(Wall::from_unix_seconds(2_000_000_000));
        assert_eq!(clock.vouched(), Wall::from_unix_seconds(2_000_000_000));
        hand.store(2_000_000_060, Ordering::Relaxed);
        assert_eq!(now(), 2_000_000_060, "the far future comes back");
        hand.store(1_000_000_000, Ordering::Relaxed);
        assert_eq!(now(), 2_000_000_000, "and does not become the past");
        clock.vouch(Wall::from_unix_seconds(9_000_000_000));
        assert_eq!(now(), 2_000_000_000, "a hub in the far future takes nobody along");
    }
}
