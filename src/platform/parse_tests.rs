use super::*;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes.extend_from_slice(body);
    bytes
}

fn link_message(index: u32, flags: u32) -> Vec<u8> {
    let body = [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), [0; 4]].concat();
    framed(RTM_NEWLINK, &body)
}

/// An address whose 8-bit header flags say nothing and whose IFA_FLAGS say `flags`.
fn address_message(index: u32, text: &str, flags: u32, preferred: u32) -> Vec<u8> {
    let (family, octets) = match text.parse::<IpAddr>().unwrap() {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    let mut body = vec![family, 64, 0xff, 0];
    body.extend_from_slice(&index.to_ne_bytes());
    body.extend(attribute(IFA_ADDRESS, &octets));
    let cache = [preferred.to_ne_bytes(), [0xff; 4], [0; 4], [0; 4]].concat();
    body.extend(attribute(IFA_CACHEINFO, &cache));
    body.extend(attribute(IFA_FLAGS, &flags.to_ne_bytes()));
    framed(RTM_NEWADDR, &body)
}

fn route_message(family: u8, prefix: u8, index: u32, metric: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![family, prefix, 0, 0, 254, 4, 0, RTN_UNICAST];
    body.extend_from_slice(&flags.to_ne_bytes());
    body.extend(attribute(RTA_OIF, &index.to_ne_bytes()));
    body.extend(attribute(RTA_PRIORITY, &metric.to_ne_bytes()));
    framed(RTM_NEWROUTE, &body)
}

fn picture(parts: &[Vec<u8>]) -> Picture {
    let mut picture = Picture::default();
    for found in messages(&parts.concat()) {
        picture.add(found.message);
    }
    picture
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

#[test]
fn flags_are_read_by_family_and_from_the_long_attribute() {
    let found = picture(&[
        address_message(2, "203.0.113.9", 0x01, u32::MAX),
        address_message(2, "203.0.113.10", 0x80, u32::MAX),
        address_message(2, "127.0.0.1", 0x80, u32::MAX),
        address_message(2, "2001:db8::1", 0x01, 9000),
        address_message(2, "2001:db8::2", 0x08, 9000),
        address_message(2, "2001:db8::3", 0x20, 9000),
        address_message(2, "2001:db8::4", 0x40, 9000),
        address_message(2, "2001:db8::5", 0x100, 9000),
        address_message(2, "fd00::5", 0x80, 9000),
        address_message(2, "fe80::5", 0x80, 9000),
    ])
    .addresses(None);
    let v4: Vec<Ipv4Addr> = vec![[203, 0, 113, 10].into(), [203, 0, 113, 9].into()];
    assert_eq!((found.v4, found.v6), (v4, vec![v6("2001:db8::5")]));
    assert!(!found.default_route);
}

#[test]
fn on_a_point_to_point_link_the_local_end_is_ours() {
    let mut body = vec![AF_INET, 32, 0, 0];
    body.extend_from_slice(&5_u32.to_ne_bytes());
    body.extend(attribute(IFA_ADDRESS, &[198, 51, 100, 1]));
    body.extend(attribute(IFA_LOCAL, &[203, 0, 113, 1]));
    let found = picture(&[framed(RTM_NEWADDR, &body)]).addresses(None);
    assert_eq!(found.v4, [Ipv4Addr::new(203, 0, 113, 1)]);
}

#[test]
fn the_interface_of_the_best_working_default_route_comes_first() {
    let dump = |flags_of_two: u32| {
        picture(&[
            link_message(1, IFF_UP),
            link_message(2, IFF_UP),
            link_message(3, IFF_UP),
            link_message(4, 0),
            address_message(3, "192.0.2.3", 0x80, u32::MAX),
            address_message(2, "198.51.100.2", 0x80, u32::MAX),
            address_message(4, "203.0.113.4", 0x80, u32::MAX),
            route_message(AF_INET, 0, 3, 200, 0),
            route_message(AF_INET, 0, 2, 100, flags_of_two),
            route_message(AF_INET, 0, 4, 0, 0),
            route_message(AF_INET, 24, 9, 0, 0),
        ])
        .addresses(None)
    };
    assert_eq!(dump(0).interface, Some(2));
    assert_eq!(dump(0).v4, [Ipv4Addr::new(198, 51, 100, 2), Ipv4Addr::new(192, 0, 2, 3)]);
    assert_eq!(dump(0x10).interface, Some(3), "the cable of the better one is out");
    assert_eq!(dump(0x10).v4, [Ipv4Addr::new(192, 0, 2, 3), Ipv4Addr::new(198, 51, 100, 2)]);
}

#[test]
fn the_longest_lived_address_is_best_and_equal_ones_do_not_take_turns() {
    let dump = |one: u32, two: u32, before: Option<&Addresses>| {
        picture(&[
            route_message(AF_INET6, 0, 2, 1024, 0),
            address_message(3, "2001:db8:3::1", 0x80, u32::MAX),
            address_message(2, "2001:db8:1::1", 0, one),
            address_message(2, "2001:db8:2::1", 0, two),
        ])
        .addresses(before)
    };
    let first = dump(1800, 1799, None);
    let order = [v6("2001:db8:1::1"), v6("2001:db8:2::1"), v6("2001:db8:3::1")];
    assert_eq!((first.v6.as_slice(), first.interface), (order.as_slice(), Some(2)));
    assert_eq!(dump(1700, 1701, Some(&first)), first);
    assert_eq!(dump(1700, 1800, Some(&first)).v6[0], v6("2001:db8:2::1"), "renumbered");
}

#[test]
fn multipath_routes_and_refusing_routes_are_told_apart() {
    let mut body = vec![AF_INET, 0, 0, 0, 0, 4, 0, RTN_UNICAST, 0, 0, 0, 0];
    body.extend(attribute(RTA_TABLE, &RT_TABLE_MAIN.to_ne_bytes()));
    let mut hop = vec![16, 0, 0, 0];
    hop.extend_from_slice(&7_u32.to_ne_bytes());
    hop.extend(attribute(5, &[192, 0, 2, 1]));
    body.extend(attribute(RTA_MULTIPATH | 0x8000, &hop));
    assert_eq!(picture(&[framed(RTM_NEWROUTE, &body)]).addresses(None).interface, Some(7));
    // IPv6 has an unreachable default route on lo wherever it has none that works.
    let mut unreachable = route_message(AF_INET6, 0, 1, u32::MAX, 0);
    unreachable[16 + 7] = 7;
    assert!(!picture(&[unreachable]).addresses(None).default_route);
}

#[test]
fn only_events_about_addresses_links_and_default_routes_matter() {
    assert!(matters(&link_message(1, 0)));
    assert!(matters(&address_message(1, "192.0.2.1", 0, 0)));
    assert!(matters(&route_message(AF_INET, 0, 1, 0, 0)));
    let mut gone = route_message(AF_INET, 0, 1, 0, 0x10);
    gone[4] = RTM_DELROUTE.to_ne_bytes()[0];
    gone[5] = RTM_DELROUTE.to_ne_bytes()[1];
    assert!(matters(&gone), "a route whose cable was out is gone");
    assert!(!matters(&route_message(AF_INET6, 128, 1, 0, 0)));
    assert!(!matters(&[]));
}

#[test]
fn the_end_of_a_dump_carries_its_error() {
    let end = |code: i32| messages(&framed(NLMSG_DONE, &code.to_ne_bytes()))[0].message;
    assert_eq!(end(0), Message::End { errno: 0 });
    assert_eq!(end(-16), Message::End { errno: 16 });
    assert_eq!(end(i32::MIN), Message::End { errno: i32::MAX });
}

#[test]
fn nothing_cut_off_anywhere_panics() {
    let whole = [
        link_message(1, IFF_UP),
        address_message(2, "2001:db8::1", 0, 1),
        route_message(AF_INET6, 0, 2, 1, 0),
        framed(NLMSG_DONE, &[0; 4]),
    ]
    .concat();
    assert_eq!(messages(&whole).len(), 4);
    for length in 0..whole.len() {
        assert!(messages(&whole[..length]).len() < 4);
    }
    for position in 0..whole.len() {
        for value in [0, 1, 3, 4, 15, 17, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] = value;
            let _ = picture(&[bytes]).addresses(None);
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    // xorshift64 (Marsaglia 2003): the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_ne_bytes()
    };
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = (0..next()[0] / 8).flat_map(|_| next()).collect();
        // Half of the rounds get past the header.
        if round % 2 == 0 && bytes.len() >= 16 {
            let length = u32::try_from(bytes.len()).unwrap();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            let kinds = [RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWLINK, NLMSG_DONE];
            bytes[4..6].copy_from_slice(&kinds[usize::from(next()[0] % 4)].to_ne_bytes());
        }
        let _ = matters(&bytes);
        let _ = picture(&[bytes]).addresses(None);
    }
}
