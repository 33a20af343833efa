//! The detectors: what was seen in, what is raised and cleared out. They know no clock.
//!
//! Memory is bounded whoever comes: of the subjects that are not raised the least seen are forgotten first, so that a
//! million sources that come once each do not push out the one that comes often.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;

/// Subjects that are remembered at once.
pub const MOST: usize = 16_384;
/// How many are compared when one must go.
const COMPARED: usize = 16;
/// Parts of a window that fall out of it one by one.
const PARTS: usize = 8;
/// Networks of one account that are remembered.
const NETWORKS: usize = 16;

/// What can be unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Many requests fail inside the hub.
    Errors,
    /// Many sign-ins fail from one network.
    FailedFromNetwork,
    /// Many sign-ins fail for one account.
    FailedForAccount,
    /// Somebody signs in to one account from many networks.
    ManyNetworks,
    /// Many devices ask to be registered.
    Registrations,
    /// Many keys are refused.
    RefusedKeys,
    /// Two boxes use one identity.
    Clones,
    /// An operator looks at many people.
    ManyPeople,
}

/// When a kind is raised, and when it is cleared.
struct Rule {
    window: Duration,
    raise: u64,
    clear: u64,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Errors,
        Self::FailedFromNetwork,
        Self::FailedForAccount,
        Self::ManyNetworks,
        Self::Registrations,
        Self::RefusedKeys,
        Self::Clones,
        Self::ManyPeople,
    ];
    /// Their words, in the same order.
    pub const WORDS: [&'static str; 8] = [
        "errors",
        "failed-from-network",
        "failed-for-account",
        "many-networks",
        "registrations",
        "refused-keys",
        "clones",
        "many-people",
    ];

    /// As it is counted and logged.
    pub fn word(self) -> &'static str {
        let at = Self::ALL.iter().position(|kind| *kind == self);
        at.and_then(|at| Self::WORDS.get(at)).copied().unwrap_or_default()
    }

    fn rule(self) -> Rule {
        let rule = |minutes: u64, raise, clear| Rule {
            window: Duration::from_secs(minutes * 60),
            raise,
            clear,
        };
        match self {
            Self::Errors => rule(5, 20, 2),
            // A network may try ten times at once and ten times a minute.
            Self::FailedFromNetwork => rule(10, 20, 4),
            Self::FailedForAccount => rule(10, 8, 2),
            Self::ManyNetworks => rule(24 * 60, 5, 2),
            Self::Registrations => rule(10, 60, 10),
            Self::RefusedKeys => rule(10, 60, 10),
            Self::Clones => rule(60, 1, 0),
            Self::ManyPeople => rule(60, 1, 0),
        }
    }

    /// What is unusual, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Errors => "many requests fail inside the hub",
            Self::FailedFromNetwork => "many sign-ins fail from one network",
            Self::FailedForAccount => "many sign-ins fail for one account",
            Self::ManyNetworks => "one account is signed in to from many networks",
            Self::Registrations => "many devices ask to be registered",
            Self::RefusedKeys => "many keys are refused",
            Self::Clones => "two boxes use one identity",
            Self::ManyPeople => "an operator looks at many people",
        }
    }
}

/// Whom something is about. It stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// All together.
    All,
    /// A network.
    Network(IpAddr),
    /// An account.
    Account(u64),
    /// A local user.
    Operator(u32),
}

/// Something that became unusual, or usual again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: Kind,
    /// Whom it is about.
    pub subject: Subject,
    /// Raised, or cleared.
    pub raised: bool,
    /// How many were in the window.
    pub count: u64,
}

enum Seen {
    Counts { parts: [u32; PARTS], part: u64 },
    Networks(Vec<(IpAddr, u64)>),
}

struct Slot {
    kind: Kind,
    subject: Subject,
    seen: Seen,
    raised: bool,
}

/// All detectors. Moments are seconds that never go back.
#[derive(Default)]
pub struct Detectors {
    slots: Vec<Slot>,
    at: HashMap<(Kind, Subject), usize>,
    hand: usize,
}

impl Slot {
    fn new(kind: Kind, subject: Subject) -> Self {
        let seen = if kind == Kind::ManyNetworks {
            Seen::Networks(Vec::new())
        } else {
            Seen::Counts { parts: [0; PARTS], part: 0 }
        };
        Self { kind, subject, seen, raised: false }
    }

    /// Lets what is too old fall out; how many are left.
    fn total(&mut self, now: u64) -> u64 {
        let window = self.kind.rule().window.as_secs().max(1);
        match &mut self.seen {
            Seen::Counts { parts, part } => {
                let width = window.div_ceil(part_count()).max(1);
                let current = now / width;
                let passed = usize::try_from(current.saturating_sub(*part)).unwrap_or(PARTS);
                parts.rotate_right(passed.min(PARTS) % PARTS);
                parts.iter_mut().take(passed.min(PARTS)).for_each(|count| *count = 0);
                *part = current.max(*part);
                parts.iter().map(|count| u64::from(*count)).sum()
            }
            Seen::Networks(networks) => {
                networks.retain(|(_, at)| now.saturating_sub(*at) < window);
                u64::try_from(networks.len()).unwrap_or(u64::MAX)
            }
        }
    }

    fn add(&mut self, by: u32, network: Option<IpAddr>, now: u64) {
        match (&mut self.seen, network) {
            (Seen::Counts { parts, .. }, _) => {
                if let Some(first) = parts.first_mut() {
                    *first = first.saturating_add(by);
                }
            }
            (Seen::Networks(networks), Some(network)) => {
                if let Some(known) = networks.iter_mut().find(|(known, _)| *known == network) {
                    known.1 = now;
                } else if networks.len() < NETWORKS {
                    networks.push((network, now));
                }
            }
            (Seen::Networks(_), None) => {}
        }
    }

    /// Raises or clears; between the two bounds it stays as it is.
    fn judge(&mut self, now: u64) -> Option<Change> {
        let (rule, count) = (self.kind.rule(), self.total(now));
        let raised = if self.raised { count > rule.clear } else { count >= rule.raise };
        if raised == self.raised || crate::sabotage::off("watch-raise") {
            return None;
        }
        self.raised = raised;
        Some(Change { kind: self.kind, subject: self.subject, raised, count })
    }
}

fn part_count() -> u64 {
    u64::try_from(PARTS).unwrap_or(1)
}

impl Detectors {
    /// Something was seen, so many times; a network only where those are counted.
    pub fn see(
        &mut self,
        kind: Kind,
        subject: Subject,
        by: u32,
        network: Option<IpAddr>,
        now: u64,
    ) -> Option<Change> {
        let index = self.slot(kind, subject, now)?;
        let slot = self.slots.get_mut(index)?;
        slot.total(now);
        slot.add(by, network, now);
        slot.judge(now)
    }

    /// Clears what is usual again.
    pub fn tick(&mut self, now: u64) -> Vec<Change> {
        self.slots
            .iter_mut()
            .filter(|slot| slot.raised)
            .filter_map(|slot| slot.judge(now))
            .collect()
    }

    /// Everything that is raised.
    pub fn raised(&self) -> Vec<(Kind, Subject)> {
        let raised = self.slots.iter().filter(|slot| slot.raised);
        raised.map(|slot| (slot.kind, slot.subject)).collect()
    }

    fn slot(&mut self, kind: Kind, subject: Subject, now: u64) -> Option<usize> {
        if let Some(index) = self.at.get(&(kind, subject)) {
            return Some(*index);
        }
        let index = if self.slots.len() < MOST {
            self.slots.push(Slot::new(kind, subject));
            self.slots.len() - 1
        } else {
            let index = self.least(now)?;
            let slot = self.slots.get_mut(index)?;
            self.at.remove(&(slot.kind, slot.subject));
            *slot = Slot::new(kind, subject);
            index
        };
        self.at.insert((kind, subject), index);
        Some(index)
    }

    /// The least seen of the next few that are not raised.
    fn least(&mut self, now: u64) -> Option<usize> {
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..COMPARED {
            self.hand = (self.hand + 1) % MOST;
            let Some(slot) = self.slots.get_mut(self.hand).filter(|slot| !slot.raised) else {
                continue;
            };
            let found = (slot.total(now), self.hand);
            least = Some(least.map_or(found, |least| least.min(found)));
        }
        least.map(|(_, index)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn failed(detectors: &mut Detectors, account: u64, now: u64) -> Option<Change> {
        detectors.see(Kind::FailedForAccount, Subject::Account(account), 1, None, now)
    }

    #[test]
    fn a_kind_is_raised_once_and_cleared_once_with_room_between() {
        let mut detectors = Detectors::default();
        for second in 0..7 {
            assert_eq!(failed(&mut detectors, 1, second), None);
        }
        let raised = failed(&mut detectors, 1, 7).unwrap();
        assert_eq!((raised.raised, raised.count), (true, 8));
        assert_eq!(failed(&mut detectors, 1, 8), None, "it is raised already");
        assert_eq!(failed(&mut detectors, 2, 8), None, "another account is another matter");
        assert_eq!(detectors.raised(), [(Kind::FailedForAccount, Subject::Account(1))]);
        // Slowly on: neither so many that it would be raised, nor so few that it is cleared.
        for second in (60..3600).step_by(150) {
            assert_eq!(failed(&mut detectors, 1, second), None, "{second}");
            assert_eq!(detectors.tick(second), [], "{second}");
        }
        let cleared = detectors.tick(3600 + 700);
        assert_eq!(cleared.len(), 1);
        assert!(!cleared[0].raised && cleared[0].count <= 2);
        assert_eq!(detectors.tick(9000), []);
    }

    #[test]
    fn what_is_spread_over_more_than_its_window_is_usual() {
        let mut detectors = Detectors::default();
        for second in (0..100_000).step_by(130) {
            assert_eq!(failed(&mut detectors, 1, second), None, "{second}");
        }
    }

    #[test]
    fn networks_are_counted_once_each() {
        let mut detectors = Detectors::default();
        let subject = Subject::Account(7);
        let mut sign_in =
            |number, now| detectors.see(Kind::ManyNetworks, subject, 1, Some(network(number)), now);
        for second in 0..100 {
            assert_eq!(sign_in(1, second), None, "one network, however often");
        }
        for number in 2..5 {
            assert_eq!(sign_in(number, 200), None);
        }
        assert!(sign_in(5, 300).unwrap().raised);
        assert_eq!(detectors.tick(300 + 23 * 3600), []);
        assert!(!detectors.tick(300 + 25 * 3600)[0].raised);
    }

    #[test]
    fn a_million_sources_take_no_more_memory_and_hide_nobody() {
        let mut detectors = Detectors::default();
        let often = Subject::Network(network(u32::MAX));
        let mut raised = 0;
        for number in 0..1_000_000_u32 {
            let now = u64::from(number / 5000);
            let one = Subject::Network(network(number));
            assert_eq!(detectors.see(Kind::FailedFromNetwork, one, 1, None, now), None);
            if number % 4000 == 0 {
                raised += usize::from(
                    detectors.see(Kind::FailedFromNetwork, often, 1, None, now).is_some(),
                );
            }
        }
        assert_eq!(raised, 1, "the one that comes often is found");
        assert!(detectors.slots.len() <= MOST && detectors.at.len() <= MOST);
        assert_eq!(detectors.slots.capacity(), MOST);
    }
}
