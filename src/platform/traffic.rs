//! What the kernel counted at the interfaces, as close to the wire as an ordinary box can look.
//!
//! Measured with Linux 6.18 on veth, 20 MB of TCP and of UDP with segmentation offload, against nftables
//! counters behind it (2026-11-22): the statistics of the root queue discipline, less 14 bytes of Ethernet for
//! each packet, are the bytes on the wire (the kernel adds the headers of each coming segment to them), with
//! offload on and off. An interface's own `tx_bytes` are that only with offload off, else 3.4 % less; `IpExt
//! OutOctets` are always before segmentation, 3.4 % less. `rx_bytes` are what came, before it is merged.

use super::parse::{attributes, u16_at, u32_at};
use super::query::{self, Want};
use nix::sys::socket::SockProtocol;
use std::collections::BTreeMap;
use std::io;

// linux/rtnetlink.h, linux/if_link.h, linux/if_arp.h, linux/pkt_sched.h, linux/gen_stats.h.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_STATS64: u16 = 23;
const IFF_LOOPBACK: u32 = 0x8;
const ARPHRD_ETHER: u16 = 1;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TCA_KIND: u16 = 1;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const ETHERNET: u64 = 14;

/// Bytes of whole IP packets, and packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes, IP headers included, without those of the link below.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// One interface since it came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What left.
    pub up: Flow,
    /// What came.
    pub down: Flow,
    /// Whether [`Interface::up`] was counted behind segmentation. Without a queue discipline (bridges, tunnels) it is the
    /// interface's own counter, which may be up to 3.5 % too low.
    pub behind_segmentation: bool,
}

/// Reads all interfaces but loopback, and but those that are parts of a bridge or bond. Waits for nothing.
///
/// # Errors
/// The system's own.
pub fn read() -> io::Result<Vec<Interface>> {
    let (mut links, mut queues) = (BTreeMap::new(), BTreeMap::new());
    let route = SockProtocol::NetlinkRoute;
    query::ask(route, RTM_GETLINK, Want::All, &[0; 16], |kind, body| {
        if kind == RTM_NEWLINK {
            links.extend(link(body));
        }
    })?;
    query::ask(route, RTM_GETQDISC, Want::All, &[0; 20], |kind, body| {
        if kind == RTM_NEWQDISC {
            queues.extend(root_queue(body));
        }
    })?;
    Ok(links.into_iter().map(|(index, link)| link.with(queues.get(&index))).collect())
}

/// An interface's own counters.
struct Link {
    name: String,
    up: Flow,
    down: Flow,
    header: u64,
}

impl Link {
    fn with(self, queue: Option<&Flow>) -> Interface {
        let bare = |flow: Flow| Flow {
            bytes: flow.bytes.saturating_sub(self.header.saturating_mul(flow.packets)),
            packets: flow.packets,
        };
        Interface {
            up: bare(*queue.unwrap_or(&self.up)),
            down: bare(self.down),
            behind_segmentation: queue.is_some(),
            name: self.name,
        }
    }
}

fn link(body: &[u8]) -> Option<(u32, Link)> {
    let (kind, index, flags) = (u16_at(body, 2)?, u32_at(body, 4)?, u32_at(body, 8)?);
    if flags & IFF_LOOPBACK != 0 {
        return None;
    }
    let (mut name, mut stats) = (String::new(), None);
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => {
                name = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
            }
            IFLA_MASTER => return None,
            IFLA_STATS64 => stats = Some(value),
            _ => {}
        }
    }
    let number = |at: usize| stats?.get(at..)?.first_chunk().map(|c| u64::from_ne_bytes(*c));
    let flow = |packets, bytes| Some(Flow { bytes: number(bytes)?, packets: number(packets)? });
    let header = if kind == ARPHRD_ETHER { ETHERNET } else { 0 };
    Some((index, Link { name, up: flow(8, 24)?, down: flow(0, 16)?, header }))
}

/// Every interface a datagram reports, as if it were both answers.
pub fn fuzz(datagram: &[u8]) -> Vec<Interface> {
    let of = |(_, body)| {
        let queue = root_queue(body).map(|(_, flow)| flow);
        link(body).map(|(_, link)| link.with(queue.as_ref()))
    };
    query::messages(datagram).filter_map(of).collect()
}

/// The root queue discipline of one interface; nothing for one that queues nothing and counts nothing.
fn root_queue(body: &[u8]) -> Option<(u32, Flow)> {
    let (index, parent) = (u32_at(body, 4)?, u32_at(body, 12)?);
    let found = || attributes(body.get(20..).unwrap_or_default());
    let named = found().find(|(kind, _)| *kind == TCA_KIND)?.1;
    if parent != TC_H_ROOT || named.starts_with(b"noqueue") {
        return None;
    }
    let stats = found().find(|(kind, _)| *kind == TCA_STATS2)?.1;
    let basic = attributes(stats).find(|(kind, _)| *kind == TCA_STATS_BASIC)?.1;
    let bytes = basic.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))?;
    // 32 bits: a wrapped count of packets errs by the Ethernet headers of four billion packets.
    Some((index, Flow { bytes, packets: u64::from(u32_at(basic, 8)?) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link_message(flags: u32, more: &[u8]) -> Vec<u8> {
        let mut body = [[0, 0], ARPHRD_ETHER.to_ne_bytes()].concat();
        body.extend_from_slice(&7_u32.to_ne_bytes());
        body.extend_from_slice(&flags.to_ne_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend(attribute(IFLA_IFNAME, b"eth0\0"));
        body.extend(attribute(
            IFLA_STATS64,
            &[10_u64, 20, 1000, 2000].map(u64::to_ne_bytes).concat(),
        ));
        body.extend_from_slice(more);
        body
    }

    fn queue_message(kind: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 4];
        for word in [7, 0, TC_H_ROOT, 2] {
            body.extend_from_slice(&u32::to_ne_bytes(word));
        }
        body.extend(attribute(TCA_KIND, kind));
        let basic = [3000_u64.to_ne_bytes(), [30, 0, 0, 0, 0, 0, 0, 0]].concat();
        body.extend(attribute(TCA_STATS2, &attribute(TCA_STATS_BASIC, &basic)));
        body
    }

    #[test]
    fn a_queue_counts_behind_segmentation_and_an_interface_without_one_does_not() {
        let (index, flow) = root_queue(&queue_message(b"fq_codel\0")).unwrap();
        assert_eq!((index, flow), (7, Flow { bytes: 3000, packets: 30 }));
        assert_eq!(root_queue(&queue_message(b"noqueue\0")), None);
        let with = link(&link_message(0, &[])).unwrap().1.with(Some(&flow));
        assert_eq!(with.up, Flow { bytes: 3000 - 14 * 30, packets: 30 });
        assert_eq!(with.down, Flow { bytes: 1000 - 14 * 10, packets: 10 });
        assert!(with.behind_segmentation && with.name == "eth0");
        let without = link(&link_message(0, &[])).unwrap().1.with(None);
        assert_eq!(without.up, Flow { bytes: 2000 - 14 * 20, packets: 20 });
        assert!(!without.behind_segmentation);
    }

    #[test]
    fn loopback_and_parts_of_a_bridge_do_not_count() {
        assert!(link(&link_message(IFF_LOOPBACK, &[])).is_none());
        assert!(link(&link_message(0, &attribute(IFLA_MASTER, &[9, 0, 0, 0]))).is_none());
    }

    #[test]
    fn no_answer_that_is_cut_off_makes_it_panic() {
        let (links, queues) = (link_message(0, &[]), queue_message(b"fq\0"));
        for length in 0..links.len().max(queues.len()) {
            let _ = link(links.get(..length).unwrap_or_default());
            let _ = root_queue(queues.get(..length).unwrap_or_default());
        }
    }

    #[test]
    fn this_box_has_counters() {
        assert!(read().unwrap().iter().all(|interface| interface.name != "lo"));
    }
}
