//! Bounds for those who have no certificate yet.

use super::store::Hash;
use crate::clock::Boot;
use crate::wire::registration::CODE_LIFE;
use core::hash::Hash as Hashed;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Networks that are remembered; beyond that the fullest buckets are forgotten first.
const MOST_NETWORKS: usize = 65_536;

/// Token buckets, one for each /24 of IPv4 and each /64 of IPv6.
pub struct Limit(Buckets<IpAddr>);

/// Token buckets for whatever is told apart.
pub struct Buckets<K> {
    burst: u32,
    refill: Duration,
    buckets: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    tokens: u32,
    since: Boot,
}

impl Limit {
    /// At most `burst` at once, and one more each `refill`.
    pub fn new(burst: u32, refill: Duration) -> Self {
        Self(Buckets::new(burst, refill))
    }

    /// Takes a token of the address's network.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&self, address: IpAddr, now: Boot) -> Result<(), Duration> {
        self.0.ask(network(address), now, 1)
    }

    /// Whether the address's network has a token, without taking it.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn room(&self, address: IpAddr, now: Boot) -> Result<(), Duration> {
        self.0.ask(network(address), now, 0)
    }
}

impl<K: Eq + Hashed> Buckets<K> {
    /// At most `burst` at once, and one more each `refill`.
    pub fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, buckets: Mutex::default() }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time until there is one.
    pub fn take(&self, key: K, now: Boot) -> Result<(), Duration> {
        self.ask(key, now, 1)
    }

    /// Gives a token back that was not needed.
    pub fn give(&self, key: &K) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(key) {
            bucket.tokens = self.burst.min(bucket.tokens + 1);
        }
    }

    fn ask(&self, key: K, now: Boot, take: u32) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_NETWORKS {
            let full = self.refill.saturating_mul(self.burst);
            buckets.retain(|_, bucket| now - bucket.since < full);
        }
        if buckets.len() >= MOST_NETWORKS {
            return Err(self.refill);
        }
        let fresh = || Bucket { tokens: self.burst, since: now };
        let bucket = buckets.entry(key).or_insert_with(fresh);
        while bucket.tokens < self.burst && now - bucket.since >= self.refill {
            bucket.tokens += 1;
            bucket.since = bucket.since + self.refill;
        }
        if bucket.tokens == self.burst {
            bucket.since = now;
        }
        if bucket.tokens == 0 {
            return Err(self.refill - (now - bucket.since));
        }
        bucket.tokens -= take;
        Ok(())
    }
}

/// Whom an address counts for. A household has a /64 of IPv6 or more; a /48 may hold hundreds of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// How often each code is asked for (RFC 8628 section 3.5).
#[derive(Default)]
pub struct Pace(Mutex<HashMap<Hash, Asked>>);

struct Asked {
    last: Boot,
    interval: Duration,
}

/// How much too early an asker may be: its clock and the network's delays are not the hub's.
const TOLERANCE: Duration = Duration::from_secs(1);

impl Pace {
    /// Notes that a code was asked for. Whether that was too early; the interval then grows by `interval`.
    pub fn too_fast(&self, code: Hash, now: Boot, interval: Duration) -> bool {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        codes.retain(|_, asked| now - asked.last < CODE_LIFE);
        let Some(asked) = codes.get_mut(&code) else {
            codes.insert(code, Asked { last: now, interval });
            return false;
        };
        let early = now - asked.last + TOLERANCE < asked.interval;
        asked.last = now;
        if early {
            asked.interval += interval;
        }
        early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Boot {
        Boot(Duration::from_secs(seconds))
    }

    #[test]
    fn a_network_gets_its_burst_and_then_its_rate() {
        let limit = Limit::new(2, Duration::from_secs(10));
        let one = "203.0.113.7".parse().expect("an address");
        let neighbour = "203.0.113.8".parse().expect("an address");
        let other = "198.51.100.1".parse().expect("an address");
        assert_eq!(limit.take(one, at(0)), Ok(()));
        assert_eq!(limit.take(neighbour, at(0)), Ok(()));
        assert_eq!(limit.take(one, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(limit.take(other, at(4)), Ok(()));
        assert_eq!(limit.take(one, at(10)), Ok(()));
        assert_eq!(limit.take(one, at(11)), Err(Duration::from_secs(9)));
    }

    #[test]
    fn looking_takes_nothing_and_a_network_of_ipv6_is_a_64() {
        let limit = Limit::new(1, Duration::from_secs(10));
        let at_home = |text: &str| text.parse().expect("an address");
        let (one, neighbour, other) =
            (at_home("2001:db8:0:1::7"), at_home("2001:db8:0:1:ff::8"), at_home("2001:db8:0:2::7"));
        assert_eq!(limit.room(one, at(0)), Ok(()));
        assert_eq!(limit.room(one, at(0)), Ok(()));
        assert_eq!(limit.take(one, at(0)), Ok(()));
        assert_eq!(limit.room(neighbour, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(limit.room(other, at(4)), Ok(()));
        assert_eq!(limit.room(neighbour, at(10)), Ok(()));
    }

    #[test]
    fn asking_too_fast_makes_the_interval_longer() {
        let (pace, five) = (Pace::default(), Duration::from_secs(5));
        let asks = [(0, false), (5, false), (7, true), (13, true), (28, false)];
        for (second, early) in asks {
            assert_eq!(pace.too_fast([0; 32], at(second), five), early, "{second}");
        }
        assert!(!pace.too_fast([1; 32], at(28), five), "another code has its own pace");
    }
}
