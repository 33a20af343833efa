//! What the kernel says on NETLINK_ROUTE, read from bytes. Pure: no socket, no clock, no panic.
//!
//! Formats: `netlink(7)`, `rtnetlink(7)`. One trap: the flag 0x01 is SECONDARY for IPv4 and TEMPORARY
//! for IPv6, so no flag is looked at without its family.

use crate::wire::address::publishable;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_GETADDR: u16 = 22;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const IFF_UP: u32 = 0x1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_F_SECONDARY: u32 = 0x01;
/// TEMPORARY 0x01, DADFAILED 0x08, DEPRECATED 0x20, TENTATIVE 0x40: not an IPv6 address to be found by.
const V6_UNUSABLE: u32 = 0x01 | 0x08 | 0x20 | 0x40;

const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RT_TABLE_MAIN: u32 = 254;
const RTN_UNICAST: u8 = 1;
/// RTNH_F_DEAD 0x01, RTNH_F_LINKDOWN 0x10: a route whose cable is out leads nowhere.
const ROUTE_BROKEN: u32 = 0x01 | 0x10;

/// Remaining lifetimes are whole seconds, so two equal ones may differ by one, or by two across a refresh.
const LIFETIME_SLACK_SECONDS: u32 = 2;

/// The addresses this box has, and whether it has a way out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Every IPv4 address but loopback: those of the default route's interface first, primary ones before
    /// secondary ones. Private ones are among them.
    pub v4: Vec<Ipv4Addr>,
    /// Usable, stable and publishable IPv6 addresses, the best first, the rest in a steady order.
    pub v6: Vec<Ipv6Addr>,
    /// Whether packets have a way out, by IPv4 or IPv6.
    pub default_route: bool,
    /// The index of the interface of the default route, IPv4's before IPv6's.
    pub interface: Option<u32>,
}

impl Addresses {
    /// Whether nothing can be reached: no address, and no way out for packets.
    pub fn is_offline(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && !self.default_route
    }

    /// Whether an address is among them.
    pub fn contains(&self, ip: core::net::IpAddr) -> bool {
        match ip {
            core::net::IpAddr::V4(v4) => self.v4.contains(&v4),
            core::net::IpAddr::V6(v6) => self.v6.contains(&v6),
        }
    }
}

/// One message, or what of it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Address(Address),
    Route(Route),
    Link {
        index: u32,
        up: bool,
    },
    /// The dump is over, with an error number or 0.
    End {
        errno: i32,
    },
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    interface: u32,
    flags: u32,
    preferred_seconds: u32,
    address: IpAddr,
}

/// A working default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    v4: bool,
    metric: u32,
    interface: u32,
}

/// A message with what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    pub kind: u16,
    /// The dump it belongs to was overtaken by a change and must be taken again.
    pub interrupted: bool,
    pub message: Message,
}

/// The messages of one datagram. What is cut off or odd ends it.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<Framed> {
    let mut found = Vec::new();
    while let Some(length) = u32_at(bytes, 0).and_then(|n| usize::try_from(n).ok()) {
        let (Some(whole), Some(kind), Some(flags)) =
            (bytes.get(..length), u16_at(bytes, 4), u16_at(bytes, 6))
        else {
            break;
        };
        let Some(body) = whole.get(16..) else { break };
        let message = message(kind, body);
        found.push(Framed { kind, interrupted: flags & NLM_F_DUMP_INTR != 0, message });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// Whether a datagram of events says anything that may change [`Addresses`].
pub(super) fn matters(datagram: &[u8]) -> bool {
    messages(datagram).iter().any(|framed| match framed.kind {
        RTM_NEWLINK | RTM_DELLINK | RTM_NEWADDR | RTM_DELADDR => true,
        // Every other route is none of ours: a router's table would wake us all day.
        RTM_NEWROUTE | RTM_DELROUTE => framed.message != Message::Other,
        _ => false,
    })
}

fn message(kind: u16, body: &[u8]) -> Message {
    let parsed = match kind {
        RTM_NEWLINK => link(body),
        RTM_NEWADDR | RTM_DELADDR => address(body).map(Message::Address),
        RTM_NEWROUTE => route(body, ROUTE_BROKEN).map(Message::Route),
        RTM_DELROUTE => route(body, 0).map(Message::Route),
        // Both begin with an error number, negated. An answer without one is an acknowledgement.
        NLMSG_DONE | NLMSG_ERROR => {
            u32_at(body, 0).map(|n| Message::End { errno: n.cast_signed().saturating_neg() })
        }
        _ => None,
    };
    parsed.unwrap_or(Message::Other)
}

fn link(body: &[u8]) -> Option<Message> {
    let flags = u32_at(body, 8)?;
    Some(Message::Link { index: u32_at(body, 4)?, up: flags & IFF_UP != 0 })
}

fn address(body: &[u8]) -> Option<Address> {
    let [family, _, header_flags, _, ..] = *body else { return None };
    let mut found = Address {
        interface: u32_at(body, 4)?,
        flags: u32::from(header_flags),
        preferred_seconds: 0,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let (mut local, mut peer) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            IFA_LOCAL => local = ip(family, value),
            IFA_ADDRESS => peer = ip(family, value),
            IFA_FLAGS => found.flags = u32_at(value, 0)?,
            IFA_CACHEINFO => found.preferred_seconds = u32_at(value, 0)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's.
    found.address = local.or(peer)?;
    Some(found)
}

fn route(body: &[u8], broken: u32) -> Option<Route> {
    let [family, prefix_length, _, _, table, _, _, kind, ..] = *body else { return None };
    let flags = u32_at(body, 8)?;
    let mut table = u32::from(table);
    let (mut interface, mut metric) = (None, 0);
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_OIF => interface = u32_at(value, 0),
            RTA_PRIORITY => metric = u32_at(value, 0)?,
            RTA_TABLE => table = u32_at(value, 0)?,
            // The first of several hops: length 2, flags 1, hops 1, then the interface.
            RTA_MULTIPATH => interface = interface.or(u32_at(value, 4)),
            _ => {}
        }
    }
    let ours = matches!(family, AF_INET | AF_INET6)
        && prefix_length == 0
        && table == RT_TABLE_MAIN
        && kind == RTN_UNICAST
        && flags & broken == 0;
    ours.then_some(Route { v4: family == AF_INET, metric, interface: interface? })
}

/// Type and value of each attribute; nested and byte-order marks are taken off the type.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        AF_INET6 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// Everything that one round of dumps told.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    up: BTreeMap<u32, bool>,
    addresses: Vec<Address>,
    routes: BTreeSet<(bool, u32, u32)>,
}

impl Picture {
    pub(super) fn add(&mut self, message: Message) {
        match message {
            Message::Link { index, up } => drop(self.up.insert(index, up)),
            Message::Address(address) => self.addresses.push(address),
            // Ordered so that the first is the best: IPv4 before IPv6, then by metric.
            Message::Route(route) => {
                self.routes.insert((!route.v4, route.metric, route.interface));
            }
            Message::End { .. } | Message::Other => {}
        }
    }

    /// Chooses. `before` is the answer of last time: a best address stays so unless another is truly better.
    pub(super) fn addresses(&self, before: Option<&Addresses>) -> Addresses {
        let (v4_way, v6_way) = (self.way_out(true), self.way_out(false));
        let best_before = before.and_then(|before| before.v6.first().copied());
        Addresses {
            v4: self.v4(v4_way),
            v6: self.v6(v6_way, best_before),
            default_route: v4_way.is_some() || v6_way.is_some(),
            interface: v4_way.or(v6_way),
        }
    }

    fn way_out(&self, v4: bool) -> Option<u32> {
        self.routes.iter().find(|(is_v6, _, index)| *is_v6 != v4 && self.is_up(*index)).map(|r| r.2)
    }

    fn is_up(&self, interface: u32) -> bool {
        self.up.get(&interface).copied().unwrap_or(true)
    }

    fn v4(&self, way_out: Option<u32>) -> Vec<Ipv4Addr> {
        let mut found: Vec<_> = self
            .addresses
            .iter()
            .filter(|entry| self.is_up(entry.interface))
            .filter_map(|entry| match entry.address {
                IpAddr::V4(v4) if !v4.is_loopback() => {
                    Some((Some(entry.interface) != way_out, entry.flags & IFA_F_SECONDARY != 0, v4))
                }
                IpAddr::V4(_) | IpAddr::V6(_) => None,
            })
            .collect();
        found.sort_unstable();
        let mut list: Vec<_> = found.into_iter().map(|(_, _, v4)| v4).collect();
        let mut seen = BTreeSet::new();
        list.retain(|v4| seen.insert(*v4));
        list
    }

    fn v6(&self, way_out: Option<u32>, best_before: Option<Ipv6Addr>) -> Vec<Ipv6Addr> {
        let mut found: Vec<_> = self
            .addresses
            .iter()
            .filter(|entry| entry.flags & V6_UNUSABLE == 0 && self.is_up(entry.interface))
            .filter_map(|entry| match entry.address {
                IpAddr::V6(v6) if publishable(v6.into()) => {
                    Some((Some(entry.interface) != way_out, v6, entry.preferred_seconds))
                }
                IpAddr::V4(_) | IpAddr::V6(_) => None,
            })
            .collect();
        found.sort_unstable();
        found.dedup_by_key(|entry| entry.1);
        let longest = found.iter().min_by_key(|entry| (entry.0, Reverse(entry.2))).copied();
        let best = longest.map(|(elsewhere, longest, seconds)| {
            // Lifetimes only count down between two dumps: without slack, two that are refreshed together
            // would take turns.
            let floor = seconds.saturating_sub(LIFETIME_SLACK_SECONDS);
            let stays = |e: &&(bool, Ipv6Addr, u32)| {
                Some(e.1) == best_before && e.0 == elsewhere && e.2 >= floor
            };
            found.iter().find(stays).map_or(longest, |entry| entry.1)
        });
        let mut list: Vec<_> = found.into_iter().map(|entry| entry.1).collect();
        list.sort_by_key(|v6| Some(*v6) != best);
        list
    }
}

/// Whether a datagram matters, and what it says as the answer to a question.
pub fn fuzz(datagram: &[u8]) -> (bool, Addresses) {
    let mut picture = Picture::default();
    messages(datagram).into_iter().for_each(|framed| picture.add(framed.message));
    let first = picture.addresses(None);
    (matters(datagram), picture.addresses(Some(&first)))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
