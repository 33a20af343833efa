//! The network as a person reads it: addresses, routes, who holds which socket, and who is asked for names.

use super::Survey;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The most sockets that are listed.
const MOST_SOCKETS: usize = 4096;
/// The most descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 2048;
/// Flags of a route (`linux/route.h`): it is up, it leads over a gateway, it refuses.
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// The addresses of each interface, as `eth0 inet 192.0.2.7/24`.
pub fn addresses(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    if !survey.source.root().is_live() {
        return six(&survey.text("/proc/net/if_inet6"), to);
    }
    for one in getifaddrs()? {
        let length = |mask: IpAddr| match mask {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        let ip = |address: Option<nix::sys::socket::SockaddrStorage>| {
            let four =
                address.as_ref().and_then(|a| a.as_sockaddr_in()).map(|a| IpAddr::V4(a.ip()));
            let six =
                || address.as_ref().and_then(|a| a.as_sockaddr_in6()).map(|a| IpAddr::V6(a.ip()));
            four.or_else(six)
        };
        let Some(address) = ip(one.address) else { continue };
        let family = if address.is_ipv4() { "inet" } else { "inet6" };
        let prefix = ip(one.netmask).map(length).unwrap_or_default();
        let up = if one.flags.contains(InterfaceFlags::IFF_RUNNING) { "" } else { " (no link)" };
        writeln!(to, "{} {family} {address}/{prefix}{up}", one.interface_name)?;
    }
    Ok(())
}

/// `/proc/net/if_inet6`: address, number of the interface, length of the prefix, scope, flags, name.
fn six(text: &str, to: &mut dyn Write) -> io::Result<()> {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, _, _, name] = *words else { continue };
        let (Ok(address), Ok(prefix)) =
            (u128::from_str_radix(address, 16), u32::from_str_radix(prefix, 16))
        else {
            continue;
        };
        writeln!(to, "{name} inet6 {}/{prefix}", Ipv6Addr::from_bits(address))?;
    }
    Ok(())
}

/// The routes, as `default via 192.0.2.1 dev eth0 metric 100`.
pub fn routes(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut found = four_routes(&survey.text("/proc/net/route"));
    found.extend(six_routes(&survey.text("/proc/net/ipv6_route")));
    let is_default = found.iter().any(|route| route.starts_with("default "));
    for route in &found {
        writeln!(to, "{route}")?;
    }
    if !is_default && survey.source.root().exists("/proc/net/route") {
        writeln!(to, "no default route")?;
    }
    Ok(())
}

fn told(destination: &str, gateway: Option<IpAddr>, device: &str, metric: u32) -> String {
    let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let metric = if metric == 0 { String::new() } else { format!(" metric {metric}") };
    format!("{destination}{via} dev {device}{metric}")
}

/// `/proc/net/route`, whose addresses are the machine's own words in hexadecimal digits.
fn four_routes(text: &str) -> Vec<String> {
    let address = |word: &str| {
        let word = u32::from_str_radix(word, 16).ok()?;
        Some(Ipv4Addr::from(word.to_ne_bytes()))
    };
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, target, gateway, flags, _, _, metric, mask, ..] = *words else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let length = address(mask)?.to_bits().leading_ones();
        let target = address(target)?;
        let target = if length == 0 { "default".into() } else { format!("{target}/{length}") };
        let gateway = address(gateway).filter(|_| flags & GATEWAY != 0).map(IpAddr::V4);
        (flags & UP != 0)
            .then(|| told(&target, gateway, device, metric.parse().unwrap_or_default()))
    };
    text.lines().filter_map(route).collect()
}

/// `/proc/net/ipv6_route`: target, length, source, length, next, metric, uses, references, flags, device.
fn six_routes(text: &str) -> Vec<String> {
    let address = |word: &str| u128::from_str_radix(word, 16).ok().map(Ipv6Addr::from_bits);
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [target, length, _, _, next, metric, _, _, flags, device] = *words else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // What this box itself is, is among its addresses.
        let is_local = flags & 0x8000_0000 != 0 || device == "lo";
        if is_local || flags & REJECT != 0 || flags & UP == 0 {
            return None;
        }
        let length = u32::from_str_radix(length, 16).ok()?;
        let target = match (address(target)?, length) {
            (target, 0) if target.is_unspecified() => "default".into(),
            (target, length) => format!("{target}/{length}"),
        };
        let next = address(next).filter(|_| flags & GATEWAY != 0).map(IpAddr::V6);
        let metric = u32::from_str_radix(metric, 16).ok()?;
        Some(told(&target, next, device, metric))
    };
    text.lines().filter_map(route).collect()
}

/// Who is asked for names.
pub fn names(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    if !survey.source.root().exists("/etc/resolv.conf") {
        return Ok(());
    }
    let text = survey.text("/etc/resolv.conf");
    let mut servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver "));
    match servers.next() {
        None => writeln!(to, "no name server"),
        Some(first) => core::iter::once(first)
            .chain(servers)
            .try_for_each(|server| writeln!(to, "name server {}", server.trim())),
    }
}

/// One socket.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    kind: &'static str,
    state: &'static str,
    local: String,
    remote: String,
    user: String,
    inode: u64,
}

/// The states of TCP (`net/tcp_states.h`), by number.
const STATES: [&str; 13] = [
    "?",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// A line of `/proc/net/tcp` and its like.
fn socket(kind: &'static str, line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, local, remote, state, _, _, _, user, _, inode, ..] = *words else { return None };
    let state = usize::from_str_radix(state, 16).ok()?;
    let state = match (kind.starts_with("udp"), state) {
        (true, 7) => "LISTEN",
        (_, state) => STATES.get(state)?,
    };
    Some(Socket {
        kind,
        state,
        local: end(local)?,
        remote: end(remote)?,
        user: user.into(),
        inode: inode.parse().ok()?,
    })
}

/// `0100007F:0016` is 127.0.0.1:22: words of the machine's own order.
fn end(text: &str) -> Option<String> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if address.len() == 8 {
        return Some(format!("{}:{port}", Ipv4Addr::from(word(0)?)));
    }
    let mut octets = [0; 16];
    for (at, four) in octets.chunks_exact_mut(4).enumerate() {
        four.copy_from_slice(&word(at)?);
    }
    Some(format!("[{}]:{port}", Ipv6Addr::from(octets)))
}

/// The sockets, listening ones first, with the programs that hold them.
pub fn sockets(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut all = Vec::new();
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        let text = survey.text(&format!("/proc/net/{kind}"));
        all.extend(text.lines().skip(1).filter_map(|line| socket(kind, line)).take(MOST_SOCKETS));
    }
    all.sort_by(|a, b| {
        let key = |one: &Socket| (one.state != "LISTEN", one.kind, one.local.clone());
        key(a).cmp(&key(b))
    });
    let owners = owners(survey, &all.iter().map(|one| one.inode).collect());
    for one in &all {
        let owner = owners.get(&one.inode).map_or("-", |owner| owner);
        let (kind, state, local) = (one.kind, one.state, &one.local);
        let remote = if state == "LISTEN" { "*" } else { &one.remote };
        writeln!(to, "{kind:<4} {state:<11} {local:<28} {remote:<28} uid={} {owner}", one.user)?;
    }
    Ok(())
}

/// Which program holds each of these sockets, as `sshd(812)`.
fn owners(survey: &Survey<'_>, wanted: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let root = survey.source.root();
    let mut owners = BTreeMap::new();
    let names = root.names("/proc").unwrap_or_default();
    for id in names.iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) {
        if survey.source.is_late() {
            break;
        }
        let dir = format!("/proc/{id}/fd");
        let mut name = None;
        for number in root.names(&dir).unwrap_or_default().iter().take(MOST_DESCRIPTORS) {
            let Ok(link) = root.link(&format!("{dir}/{number}")) else { continue };
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let inode = inode.and_then(|inode| inode.parse().ok());
            let Some(inode) = inode.filter(|inode| wanted.contains(inode)) else { continue };
            let name = name.get_or_insert_with(|| survey.text(&format!("/proc/{id}/comm")));
            owners.entry(inode).or_insert_with(|| format!("{}({id})", name.trim()));
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_told_as_ip_does() {
        let text = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            eth1\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0\n\
            short line\n";
        if cfg!(target_endian = "little") {
            assert_eq!(
                four_routes(text),
                ["default via 192.168.0.1 dev eth0 metric 100", "192.168.0.0/24 dev eth0"]
            );
        }
        let zero = "0".repeat(32);
        let text = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
             20010db8000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        );
        assert_eq!(
            six_routes(&text),
            ["default via fe80::1 dev eth0 metric 1024", "2001:db8::/64 dev eth0 metric 256"]
        );
    }

    #[test]
    fn a_socket_is_read_from_its_line() {
        let line = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let one = socket("tcp", line).unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!((&*one.local, &*one.remote), ("127.0.0.1:22", "0.0.0.0:0"));
            let six = "0000000000000000FFFF00000100007F:0050";
            assert_eq!(end(six).unwrap(), "[::ffff:127.0.0.1]:80");
        }
        assert_eq!((one.state, &*one.user, one.inode), ("LISTEN", "1000", 4711));
        for bad in ["", "0: x:y z:1 0A", "0: 0100007F:0016 00000000:0000 FF 0:0 0:0 0 0 0 1 1"] {
            assert_eq!(socket("tcp", bad), None);
        }
        assert_eq!(end("\u{e9}\u{e9}\u{e9}\u{e9}:0016"), None);
    }

    #[test]
    fn addresses_of_a_file_are_read() {
        let mut text = Vec::new();
        six("fe80000000000000021122fffe334455 02 40 20 80 eth0\nodd\n", &mut text).unwrap();
        assert_eq!(text, b"eth0 inet6 fe80::211:22ff:fe33:4455/64\n");
    }
}
