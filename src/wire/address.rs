//! Which addresses may be published under a device's name, and how an address is masked.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may stand in the public DNS under a device's name.
///
/// Private, loopback, link-local, shared (CGNAT), multicast and unspecified addresses never do: a name
/// that answers with one lets a web page reach into the visitor's own network (DNS rebinding).
/// The documentation ranges are let through: they reach nobody, and test networks are built of them.
pub fn publishable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => publishable_v4(v4),
        IpAddr::V6(v6) => publishable_v6(v6),
    }
}

fn publishable_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || a == 0
        || a >= 240
        || shared
        || protocol_assignments)
}

fn publishable_v6(v6: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3 (RFC 4291 section 2.4); inside it 6to4 and Teredo embed IPv4 addresses.
    let [first, second, ..] = v6.segments();
    let global_unicast = first & 0xe000 == 0x2000;
    let tunnelled = first == 0x2002 || (first == 0x2001 && second == 0);
    global_unicast && !tunnelled
}

/// The address with its host part cleared, as logs keep it: IPv4 to /24, IPv6 to /48 (promises Y2, N1).
pub fn masked(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_of_somebodys_inside_is_publishable() {
        let inside = [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001:0::1",
            "::ffff:8.8.8.8",
        ];
        for text in inside {
            assert!(!publishable(text.parse().expect("an address")), "{text}");
        }
        for text in ["8.8.8.8", "100.63.0.1", "100.128.0.1", "203.0.113.7", "2a00:1450::1"] {
            assert!(publishable(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn masking_clears_the_host_part() {
        let of = |text: &str| masked(text.parse().expect("an address")).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0");
        assert_eq!(of("2a00:1450:4001:80b::2004"), "2a00:1450:4001::");
    }
}
