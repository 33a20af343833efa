//! The unmasked access log: who connects to the hub itself, by whole addresses. Off unless the operator wants it,
//! sealed, and gone in time (promises H4, H5).
//!
//! Visitors of devices are in none: of them the connection log keeps all that is ever kept, masked (promise Y2).
//! While it is on, each connection costs a write to the disk.

use super::state::Hub;
use core::net::IpAddr;
use core::time::Duration;

/// How long a line is kept: no six calendar months are shorter than 181 days, whichever day they begin.
pub const KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The pages.
    Pages,
    /// The devices' API.
    Api,
    /// The session of a device.
    Session,
}

impl Door {
    const fn word(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Api => "api",
            Self::Session => "session",
        }
    }
}

/// Notes a connection, where such a log is kept.
pub async fn note(hub: &Hub, from: IpAddr, door: Door) {
    if !hub.config.access_log.unmasked && !crate::sabotage::off("hub-access-off") {
        return;
    }
    let text = format!("{from} {}", door.word());
    if let Err(error) = hub.store.note_access(text, hub.clock.now().wall).await {
        tracing::warn!(%error, "a line of the access log was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days of each month of a year and the one after it.
    fn months(year: u32) -> [u64; 12] {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    }

    /// The attack: to count on long months. From 31 August the sixth month ends with February.
    #[test]
    fn h4_what_is_kept_goes_within_six_calendar_months_of_any_day() {
        let kept = KEPT.as_secs() / 86_400;
        let mut shortest = u64::MAX;
        for year in 2096..2105 {
            let days: Vec<u64> = [months(year), months(year + 1)].concat();
            for month in 0..12 {
                for day in 1..=days[month] {
                    let whole: u64 = days[month..month + 6].iter().sum();
                    let six = whole - day + day.min(days[month + 6]);
                    shortest = shortest.min(six);
                    assert!(kept <= six, "{year}-{}-{day}", month + 1);
                }
            }
        }
        assert_eq!(shortest, 181);
    }
}
