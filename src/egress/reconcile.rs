//! The ledger held against the kernel: what the agent says it sent and got, with the headers of each packet, and
//! what the interfaces carried meanwhile.
//!
//! The kernel counts for everybody on the box. What it has more than the ledger came from other programs, or
//! left this one undeclared; only on a box (or in a network namespace) of its own can the two be told apart.

use super::totals::{Row, Totals};
use crate::clock::Wall;
use crate::platform::traffic::{Flow, Interface};
use core::net::IpAddr;
use serde::Serialize;

/// What may stay unexplained, in tenths of a percent (issue "Egress complete": 3 %).
const MOST_PER_MILLE: u64 = 30;
/// Never less than this: address resolution and neighbour discovery are in no ledger, and some segments that close
/// a connection go after its line was written.
const MOST_AT_LEAST: u64 = 4096;

/// The interfaces when the agent started.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    /// When.
    pub since: Wall,
    /// Their counters; nothing when they could not be read.
    pub interfaces: Vec<Interface>,
}

/// How one direction came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within 3 %.
    Explained,
    /// The kernel carried more: other programs, or something undeclared.
    Unexplained,
    /// The ledger has more than the kernel: it is not to be believed, or a counter is not behind segmentation.
    Overstated,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Direction {
    /// Bytes of the ledger.
    pub ledger: u64,
    /// Packets of the ledger.
    pub packets: u64,
    /// Bytes of their headers.
    pub headers: u64,
    /// Bytes of the kernel.
    pub kernel: u64,
    /// `kernel - ledger - headers`.
    pub difference: i64,
    /// In tenths of a percent of `ledger + headers`.
    pub difference_per_mille: i64,
    /// What follows.
    pub verdict: Verdict,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Reconciliation {
    /// When the counting began.
    pub since: String,
    /// What left.
    pub up: Direction,
    /// What came.
    pub down: Direction,
    /// The interfaces that were counted.
    pub interfaces: Vec<String>,
    /// Those of them whose count of what left is taken before segmentation, and up to 3.5 % too low.
    pub before_segmentation: Vec<String>,
    /// The ledger's part, by parcel and peer.
    pub rows: Vec<Row>,
    /// Flows that stayed inside the box, and count on neither side.
    pub inside: Vec<Row>,
}

impl Reconciliation {
    /// Whether both directions are explained.
    pub fn holds(&self) -> bool {
        [self.up, self.down].iter().all(|way| way.verdict == Verdict::Explained)
    }
}

/// Compares. `is_own` says whether an address is one of this box, so that packets to it leave by no interface.
pub fn compare(
    totals: &Totals,
    baseline: &Baseline,
    now: &[Interface],
    is_own: impl Fn(IpAddr) -> bool,
) -> Reconciliation {
    let stays = |row: &&Row| row.ip.is_some_and(|ip| ip.is_loopback() || is_own(ip));
    let (inside, rows): (Vec<&Row>, Vec<&Row>) = totals.rows().partition(stays);
    let (up, down) = carried(&baseline.interfaces, now);
    let sum = |pick: fn(&Row) -> u64| rows.iter().map(|row| pick(row)).sum::<u64>();
    let ups = [sum(|r| r.counts.up), sum(|r| r.counts.up_packets), sum(|r| r.up_headers)];
    let downs = [sum(|r| r.counts.down), sum(|r| r.counts.down_packets), sum(|r| r.down_headers)];
    let segmenting = now.iter().filter(|i| !i.behind_segmentation && i.up.packets > 0);
    Reconciliation {
        since: baseline.since.rfc3339(),
        up: direction(ups, up),
        down: direction(downs, down),
        interfaces: now.iter().map(|interface| interface.name.clone()).collect(),
        before_segmentation: segmenting.map(|interface| interface.name.clone()).collect(),
        rows: rows.into_iter().cloned().collect(),
        inside: inside.into_iter().cloned().collect(),
    }
}

/// Bytes out and in since the baseline. An interface that came later began at 0.
fn carried(before: &[Interface], now: &[Interface]) -> (u64, u64) {
    let since = |flow: fn(&Interface) -> Flow| {
        now.iter()
            .map(|interface| {
                let was = before.iter().find(|was| was.name == interface.name);
                flow(interface).bytes.saturating_sub(was.map_or(0, |was| flow(was).bytes))
            })
            .sum()
    };
    (since(|interface| interface.up), since(|interface| interface.down))
}

fn direction([ledger, packets, headers]: [u64; 3], kernel: u64) -> Direction {
    let explained = ledger + headers;
    let most = (explained / 1000 * MOST_PER_MILLE).max(MOST_AT_LEAST);
    let verdict = if kernel.abs_diff(explained) <= most {
        Verdict::Explained
    } else if kernel > explained {
        Verdict::Unexplained
    } else {
        Verdict::Overstated
    };
    let difference = kernel.cast_signed() - explained.cast_signed();
    let part = explained.max(1).cast_signed();
    let difference_per_mille = difference.saturating_mul(1000) / part;
    Direction { ledger, packets, headers, kernel, difference, difference_per_mille, verdict }
}

#[cfg(test)]
mod tests {
    use super::super::totals::Counts;
    use super::*;

    fn eth(up: u64, down: u64) -> Interface {
        let flow = |bytes| Flow { bytes, packets: 1 };
        let name = "eth0".into();
        Interface { name, up: flow(up), down: flow(down), behind_segmentation: true }
    }

    fn compared(up: u64, down: u64) -> Reconciliation {
        let mut totals = Totals::default();
        let counts = Counts { up: 972_000, down: 97_200, up_packets: 1000, down_packets: 100 };
        totals.add("link.session", "quic", Some([192, 0, 2, 7].into()), counts);
        totals.add("link.origin", "tcp", Some([127, 0, 0, 1].into()), counts);
        totals.add("link.origin", "tcp", Some([192, 0, 2, 1].into()), counts);
        let baseline = Baseline { since: Wall::default(), interfaces: vec![eth(5000, 700)] };
        let own = IpAddr::from([192, 0, 2, 1]);
        compare(&totals, &baseline, &[eth(5000 + up, 700 + down)], |ip| ip == own)
    }

    #[test]
    fn the_same_on_both_sides_is_explained_and_flows_inside_do_not_count() {
        let compared = compared(1_000_000, 100_000);
        assert_eq!((compared.up.difference, compared.down.difference), (0, 0));
        assert!(compared.holds());
        assert_eq!((compared.rows.len(), compared.inside.len()), (1, 2));
    }

    #[test]
    fn three_percent_are_explained_and_more_is_not_in_either_way() {
        assert!(compared(1_030_000, 104_000).holds());
        assert_eq!(compared(1_031_000, 100_000).up.verdict, Verdict::Unexplained);
        assert_eq!(compared(969_000, 100_000).up.verdict, Verdict::Overstated);
        let down = compared(1_000_000, 2_100_000).down;
        assert_eq!((down.verdict, down.difference_per_mille), (Verdict::Unexplained, 20_000));
    }
}
