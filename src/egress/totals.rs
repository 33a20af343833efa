//! Everything that has left and come since the agent started, added up: what `egress reconcile` holds against the
//! kernel. The headers are arithmetic over a line's own fields, so that anybody can add up the lines alike.

use super::ledger::{Draft, Outcome};
use core::net::IpAddr;
use serde::Serialize;
use std::collections::BTreeMap;

/// Peers that are told apart; a device speaks to a hub, a few name servers and its own services.
const ROWS: usize = 256;
/// RFC 791 section 3.1 and RFC 8200 section 3, without options.
const IPV4: u64 = 20;
const IPV6: u64 = 40;
/// RFC 768.
const UDP: u64 = 8;
/// RFC 9293 section 3.1, and the timestamps (RFC 7323) with their padding, which Linux sends by default.
const TCP: u64 = 20 + 12;
/// A SYN has 20 bytes of options instead of 12 (MSS, SACK, timestamps, window scale; seen on Linux 6.18).
const SYN_MORE: u64 = 8;

/// Bytes and packets both ways, above the headers of IP and TCP or UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Bytes out.
    pub up: u64,
    /// Bytes in.
    pub down: u64,
    /// Packets out.
    pub up_packets: u64,
    /// Packets in.
    pub down_packets: u64,
}

impl Counts {
    /// Adds another count to this one.
    pub const fn add(&mut self, more: Self) {
        self.up += more.up;
        self.down += more.down;
        self.up_packets += more.up_packets;
        self.down_packets += more.down_packets;
    }
}

/// The bytes of IP and TCP or UDP headers of so many packets of one line.
pub fn headers(proto: &str, ip: Option<IpAddr>, packets: u64) -> u64 {
    let network = if ip.is_some_and(|ip| ip.is_ipv6()) { IPV6 } else { IPV4 };
    match proto {
        "https" | "tcp" if packets > 0 => packets * (network + TCP) + SYN_MORE,
        "quic" | "dns" => packets * (network + UDP),
        _ => 0,
    }
}

/// One kind of parcel to one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The parcel's id.
    pub parcel: String,
    /// The peer.
    pub ip: Option<IpAddr>,
    /// Bytes and packets.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes of headers out.
    pub up_headers: u64,
    /// Bytes of headers in.
    pub down_headers: u64,
}

/// The sums, by parcel and peer.
#[derive(Clone, Debug, Default)]
pub struct Totals(BTreeMap<(String, Option<IpAddr>), Row>);

impl Totals {
    /// Adds one line.
    pub fn line(&mut self, draft: &Draft, outcome: &Outcome) {
        let counts = Counts {
            up: outcome.up,
            down: outcome.down,
            up_packets: outcome.up_packets,
            down_packets: outcome.down_packets,
        };
        self.add(&draft.parcel, &draft.proto, outcome.peer.map(|peer| peer.0), counts);
    }

    /// Adds what one flow has carried.
    pub fn add(&mut self, parcel: &str, proto: &str, ip: Option<IpAddr>, counts: Counts) {
        if counts == Counts::default() {
            return;
        }
        let mut key = (parcel.to_owned(), ip);
        if self.0.len() >= ROWS && !self.0.contains_key(&key) {
            key = (parcel.to_owned(), None);
        }
        let row = self.0.entry(key).or_insert_with(|| Row {
            parcel: parcel.to_owned(),
            ip,
            counts: Counts::default(),
            up_headers: 0,
            down_headers: 0,
        });
        row.counts.add(counts);
        row.up_headers += headers(proto, ip, counts.up_packets);
        row.down_headers += headers(proto, ip, counts.down_packets);
    }

    /// The sums.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_protocols() {
        let (v4, v6) = ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok());
        assert_eq!(headers("quic", v4, 10), 280);
        assert_eq!(headers("dns", v6, 2), 96);
        assert_eq!(headers("https", v4, 3), 3 * 52 + 8);
        assert_eq!(headers("tcp", v6, 1), 72 + 8);
        assert_eq!(headers("https", v4, 0), 0);
    }

    #[test]
    fn lines_of_one_kind_add_up_and_rows_are_bounded() {
        let mut totals = Totals::default();
        let counts = Counts { up: 100, down: 10, up_packets: 2, down_packets: 1 };
        for last in 0..=255_u8 {
            for third in 0..4 {
                totals.add("link.session", "quic", Some([10, 0, third, last].into()), counts);
            }
        }
        assert!(totals.rows().count() <= ROWS + 1);
        let all: u64 = totals.rows().map(|row| row.counts.up + row.up_headers).sum();
        assert_eq!(all, 1024 * (100 + 56));
    }
}
