//! The names of the hub's zone and what each of them answers.
//!
//! | name | answers |
//! |---|---|
//! | the apex | SOA, NS |
//! | the hub's host, `ns1` | the hub's addresses |
//! | `NAME` | a device's addresses while its DDNS is on |
//! | `NAME.link`, and everything below | the hub's addresses while the device is registered |

use crate::hub::store::{Addresses, ZoneRow};
use crate::wire::label::Label;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::HashMap;

/// The label under which the relay's names are.
pub const LINK: &str = "link";
/// The label of the name server itself.
pub const NAME_SERVER: &str = "ns1";
/// Names that no device gets: the hub's own, and those that other software trusts by name.
const RESERVED: &[&str] = &[
    LINK,
    NAME_SERVER,
    "ns2",
    "hub",
    "www",
    "mail",
    "localhost",
    "wpad",
    "isatap",
    "autoconfig",
    "autodiscover",
    "mta-sts",
];

/// The zone in memory.
#[derive(Debug)]
pub struct Zone {
    apex: Vec<Vec<u8>>,
    /// The hub's host below the apex, when it is in the zone.
    host: Option<Vec<Vec<u8>>>,
    hub: Vec<IpAddr>,
    serial: u32,
    devices: HashMap<Label, Option<Addresses>>,
}

/// What stands at a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Not of this zone.
    Outside,
    /// Nothing, and nothing below.
    Missing,
    /// Nothing, but something below.
    Empty,
    /// The zone's own records.
    Apex,
    /// The hub's addresses.
    Hub,
    /// A device's addresses.
    Device(Addresses),
}

impl Zone {
    /// A zone without devices. `zone` and `host` are lower-case names; `serial` should grow over restarts.
    pub fn new(zone: &str, host: &str, hub: Vec<IpAddr>, serial: u32) -> Self {
        let apex = labels(zone);
        let host = labels(host).strip_suffix(apex.as_slice()).map(<[Vec<u8>]>::to_vec);
        Self { apex, host, hub, serial, devices: HashMap::new() }
    }

    /// Takes up what the store holds.
    pub fn load(&mut self, rows: Vec<ZoneRow>) {
        self.devices = rows.into_iter().map(|row| (row.name, row.addresses)).collect();
    }

    /// Adds a device's link names; its addresses, if any, stay.
    pub fn add(&mut self, name: Label) {
        self.devices.entry(name).or_default();
        self.bump();
    }

    /// Takes a device out with all its names.
    pub fn remove(&mut self, name: &Label) {
        self.devices.remove(name);
        self.bump();
    }

    /// Gives a device another name; its addresses move along.
    pub fn rename(&mut self, before: &Label, name: Label) {
        let addresses = self.devices.remove(before).flatten();
        self.devices.insert(name, addresses);
        self.bump();
    }

    /// Sets the addresses of a device, `None` when its DDNS is off.
    pub fn set(&mut self, name: &Label, addresses: Option<Addresses>) {
        if let Some(entry) = self.devices.get_mut(name)
            && *entry != addresses
        {
            *entry = addresses;
            self.bump();
        }
    }

    /// Counts changes.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The apex, as lower-case labels.
    pub fn apex(&self) -> &[Vec<u8>] {
        &self.apex
    }

    /// The hub's IPv4 addresses.
    pub fn hub_v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.hub.iter().filter_map(|ip| if let IpAddr::V4(v4) = ip { Some(*v4) } else { None })
    }

    /// The hub's IPv6 addresses.
    pub fn hub_v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.hub.iter().filter_map(|ip| if let IpAddr::V6(v6) = ip { Some(*v6) } else { None })
    }

    /// Whether a device may not have this name.
    pub fn reserved(&self, name: &Label) -> bool {
        let own = self.host.as_ref().and_then(|host| host.last());
        RESERVED.contains(&name.as_str()) || own.is_some_and(|l| l == name.as_str().as_bytes())
    }

    /// Finds what stands at a name, given as lower-case labels without the root.
    pub fn node(&self, name: &[Vec<u8>]) -> Node {
        let Some(relative) = name.strip_suffix(self.apex.as_slice()) else { return Node::Outside };
        if relative.is_empty() {
            return Node::Apex;
        }
        if let Some(host) = &self.host {
            if relative == host.as_slice() {
                return Node::Hub;
            }
            if host.ends_with(relative) {
                return Node::Empty;
            }
        }
        match relative {
            [only] if only == NAME_SERVER.as_bytes() => Node::Hub,
            [only] if only == LINK.as_bytes() => Node::Empty,
            [only] => match self.device(only) {
                Some(Some(addresses)) if *addresses != Addresses::default() => {
                    Node::Device(*addresses)
                }
                _ => Node::Missing,
            },
            [.., device, link] if link == LINK.as_bytes() => match self.device(device) {
                Some(Some(own)) if crate::sabotage::off("hub-link-name") => Node::Device(*own),
                Some(_) => Node::Hub,
                None => Node::Missing,
            },
            _ => Node::Missing,
        }
    }

    fn device(&self, label: &[u8]) -> Option<&Option<Addresses>> {
        let label = Label::parse(core::str::from_utf8(label).ok()?).ok()?;
        self.devices.get(&label)
    }

    fn bump(&mut self) {
        // RFC 1982: serials wrap.
        self.serial = self.serial.wrapping_add(1);
    }
}

/// The labels of a name in text.
pub fn labels(name: &str) -> Vec<Vec<u8>> {
    name.split('.').filter(|l| !l.is_empty()).map(|l| l.as_bytes().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        let hub = vec!["203.0.113.1".parse().expect("an address")];
        let mut zone = Zone::new("example.test", "hub.eu.example.test", hub, 7);
        zone.add(Label::parse("box").expect("a label"));
        zone
    }

    fn at(zone: &Zone, name: &str) -> Node {
        zone.node(&labels(name))
    }

    #[test]
    fn every_kind_of_name_has_its_node() {
        let zone = zone();
        assert_eq!(at(&zone, "example.test"), Node::Apex);
        assert_eq!(at(&zone, "hub.eu.example.test"), Node::Hub);
        assert_eq!(at(&zone, "eu.example.test"), Node::Empty);
        assert_eq!(at(&zone, "ns1.example.test"), Node::Hub);
        assert_eq!(at(&zone, "link.example.test"), Node::Empty);
        assert_eq!(at(&zone, "box.link.example.test"), Node::Hub);
        assert_eq!(at(&zone, "web.box.link.example.test"), Node::Hub);
        assert_eq!(at(&zone, "nix.link.example.test"), Node::Missing);
        assert_eq!(at(&zone, "box.example.test"), Node::Missing);
        assert_eq!(at(&zone, "example.org"), Node::Outside);
        assert_eq!(at(&zone, "badexample.test"), Node::Outside);
    }

    #[test]
    fn a_name_lives_as_long_as_its_addresses() {
        let mut zone = zone();
        let name = Label::parse("box").expect("a label");
        let addresses = Addresses { a: Some(Ipv4Addr::new(203, 0, 113, 7)), aaaa: None };
        zone.set(&name, Some(addresses));
        let serial = zone.serial();
        assert_eq!(at(&zone, "box.example.test"), Node::Device(addresses));
        zone.set(&name, Some(addresses));
        assert_eq!(zone.serial(), serial, "nothing changed");
        zone.set(&name, None);
        assert_eq!(at(&zone, "box.example.test"), Node::Missing);
        assert_eq!(zone.serial(), serial + 1);
        zone.remove(&name);
        assert_eq!(at(&zone, "box.link.example.test"), Node::Missing);
    }

    #[test]
    fn the_hubs_own_names_are_reserved() {
        let zone = zone();
        for name in ["link", "ns1", "hub", "wpad", "eu"] {
            assert!(zone.reserved(&Label::parse(name).expect("a label")), "{name}");
        }
        assert!(!zone.reserved(&Label::parse("box").expect("a label")));
    }
}
