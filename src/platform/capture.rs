//! A bounded look at what an interface carries: the heads of packets, as a pcapng file.
//!
//! The socket is opened to receive and nothing is ever sent through it; it is one of the few outside of `egress`,
//! which is for what leaves. What programs say to each other is cut off: a report needs to know who spoke to
//! whom, and when.

use super::root::Root;
use crate::clock::Clock;
use core::str::FromStr;
use core::time::Duration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, socket,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

/// The longest a look may take, and the most it may keep.
const SECONDS_MOST: u64 = 60;
const BYTES_MOST: usize = 4 << 20;
/// The most of a packet that is received: the longest heads are some 150 bytes.
const RECEIVED: usize = 256;

/// What is to be looked at: `IF:SECS:BYTES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The interface.
    pub interface: String,
    /// For how long.
    pub time: Duration,
    /// The most bytes of the file.
    pub bytes: usize,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| format!("{what}; an example: eth0:10:1000000");
        let mut parts = text.rsplitn(3, ':');
        let (bytes, seconds) = (parts.next(), parts.next());
        let interface = parts.next().ok_or_else(|| bad("it is IF:SECS:BYTES"))?;
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        let seconds = number(seconds).filter(|n| (1..=SECONDS_MOST).contains(n));
        let bytes = number(bytes).and_then(|n| usize::try_from(n).ok());
        let bytes = bytes.filter(|n| (1..=BYTES_MOST).contains(n));
        let is_name = (1..16).contains(&interface.len())
            && interface.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        match (seconds, bytes) {
            _ if !is_name || interface.starts_with('.') => Err(bad("that is no interface")),
            (None, _) => Err(bad("it lasts 1 to 60 seconds")),
            (_, None) => Err(bad("it keeps 1 to 4194304 bytes")),
            (Some(seconds), Some(bytes)) => {
                let time = Duration::from_secs(seconds);
                Ok(Self { interface: interface.into(), time, bytes })
            }
        }
    }
}

/// What packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Ethernet,
    /// Nothing: IP itself.
    Raw,
}

/// Looks at an interface until the time is over or the file is full.
///
/// # Errors
/// The system's own: `PermissionDenied` without root, `NotFound` for no such interface, `Unsupported` for one whose
/// packets are not known.
pub fn capture(root: &Root, clock: &Clock, wanted: &Wanted) -> io::Result<Vec<u8>> {
    if !root.is_live() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "a file tree carries nothing"));
    }
    let link = link(&root.read_text(&format!("/sys/class/net/{}/type", wanted.interface), 64)?)?;
    let index = root.read_text(&format!("/sys/class/net/{}/ifindex", wanted.interface), 64)?;
    let index: usize = index.trim().parse().map_err(io::Error::other)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let all = SockProtocol::EthAll;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, all)?;
    let until = clock.now().boot + wanted.time;
    let mut file = File::new(link);
    loop {
        let left = until - clock.now().boot;
        if left.is_zero() {
            return Ok(file.0);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut bytes = [0; RECEIVED];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, None, MsgFlags::MSG_TRUNC);
        let (length, from) = match received {
            Ok(received) => (received.bytes, received.address.map(|from| from.ifindex())),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        // It hears all interfaces: nothing safe binds it to one.
        if from != Some(index) {
            continue;
        }
        let packet = bytes.get(..length.min(RECEIVED)).unwrap_or_default();
        let cut =
            if crate::sabotage::off("pcap-heads") { packet.len() } else { heads(link, packet) };
        let head = packet.get(..cut.min(packet.len())).unwrap_or_default();
        if !file.add(clock.now().wall.0, head, length, wanted.bytes) {
            return Ok(file.0);
        }
    }
}

/// `ARPHRD_*` of `linux/if_arp.h`: Ethernet and loopback; tunnels and dial-up, which carry IP as it is.
fn link(kind: &str) -> io::Result<Link> {
    match kind.trim() {
        "1" | "772" => Ok(Link::Ethernet),
        "512" | "65534" => Ok(Link::Raw),
        other => {
            let what = format!("packets of kind {other} are not known");
            Err(io::Error::new(io::ErrorKind::Unsupported, what))
        }
    }
}

/// The length of a packet's heads, without what they lead to.
fn heads(link: Link, packet: &[u8]) -> usize {
    let (mut at, mut kind) = match (link, packet.first()) {
        (Link::Ethernet, _) => (14, word(packet, 12)),
        (Link::Raw, Some(first)) if first >> 4 == 6 => (0, Some(0x86dd)),
        (Link::Raw, _) => (0, Some(0x0800)),
    };
    // VLANs, one in the other.
    while matches!(kind, Some(0x8100 | 0x88a8)) && at < 22 {
        (at, kind) = (at + 4, word(packet, at + 2));
    }
    let byte = |at: usize| packet.get(at).copied().map(usize::from).unwrap_or_default();
    let (inner, protocol) = match kind {
        Some(0x0800) => {
            let length = (byte(at) & 15) * 4;
            // A later fragment has no further head.
            let is_later = word(packet, at + 6).is_some_and(|word| word & 0x1fff != 0);
            (at + length.max(20), if is_later { 255 } else { byte(at + 9) })
        }
        // Extension heads are as they are: what is behind them is cut off.
        Some(0x86dd) => (at + 40, byte(at + 6)),
        // ARP is nothing but a head.
        Some(0x0806) => return at + 28,
        _ => return at,
    };
    match protocol {
        6 => inner + ((byte(inner + 12) >> 4) * 4).clamp(20, 60),
        1 | 17 | 58 => inner + 8,
        _ => inner,
    }
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

/// A pcapng file that grows (draft-ietf-opsawg-pcapng), in little-endian.
struct File(Vec<u8>);

impl File {
    fn new(link: Link) -> Self {
        let mut file = Self(Vec::new());
        // Section: byte order, version 1.0, length not said.
        let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
        file.block(0x0a0d_0d0a, &section);
        // Interface: LINKTYPE_ETHERNET or LINKTYPE_RAW, and how much of a packet is received.
        let kind: u16 = if link == Link::Ethernet { 1 } else { 101 };
        let received = u32::try_from(RECEIVED).unwrap_or_default();
        let head = [&kind.to_le_bytes()[..], &[0; 2], &received.to_le_bytes()].concat();
        file.block(1, &head);
        file
    }

    /// Adds a packet; `false` when it would be too large.
    fn add(&mut self, at: Duration, head: &[u8], length: usize, most: usize) -> bool {
        let micros = at.as_micros();
        let half = |shift: u32| u32::try_from((micros >> shift) & 0xffff_ffff).unwrap_or_default();
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let words = [0_u32, half(32), half(0)].map(u32::to_le_bytes).concat();
        let mut body = [&words[..], &size(head.len()), &size(length), head].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        if self.0.len() + body.len() + 12 > most {
            return false;
        }
        self.block(6, &body);
        true
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
        for part in [&kind.to_le_bytes()[..], &length, body, &length] {
            self.0.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_looked_at_is_bounded() {
        let wanted: Wanted = "eth0.7:10:1000".parse().unwrap();
        let time = Duration::from_secs(10);
        assert_eq!(wanted, Wanted { interface: "eth0.7".into(), time, bytes: 1000 });
        assert_eq!("br:0:1:2".parse::<Wanted>().unwrap().interface, "br:0");
        for bad in [
            "eth0",
            "eth0:1",
            "eth0:0:9",
            "eth0:61:9",
            "eth0:1:0",
            "eth0:1:9999999",
            ":1:1",
            "../x:1:1",
            "a b:1:1",
            "..:1:1",
            "eth0:x:1",
            "sixteen-letters-x:1:1",
        ] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_packet_the_heads_are_kept_and_nothing_behind_them() {
        let ethernet = |kind: u16| [&[0; 12][..], &kind.to_be_bytes()].concat();
        let mut tcp =
            [&ethernet(0x0800)[..], &[0x45], &[0; 19], &[0; 12], &[0x80], &[0; 19], b"GET /"]
                .concat();
        tcp[14 + 9] = 6;
        assert_eq!(heads(Link::Ethernet, &tcp), 14 + 20 + 32);
        let mut later = tcp.clone();
        later[14 + 7] = 1;
        assert_eq!(heads(Link::Ethernet, &later), 14 + 20, "a later fragment is all content");
        let mut udp =
            [&ethernet(0x8100)[..], &[0, 7, 0x86, 0xdd], &[0x60], &[0; 39], &[0; 8], b"name"]
                .concat();
        udp[18 + 6] = 17;
        assert_eq!(heads(Link::Ethernet, &udp), 18 + 40 + 8);
        assert_eq!(heads(Link::Raw, &tcp[14..]), 20 + 32);
        assert_eq!(heads(Link::Raw, &udp[18..]), 40 + 8);
        assert_eq!(heads(Link::Ethernet, &ethernet(0x0806)), 14 + 28);
        assert_eq!(heads(Link::Ethernet, &ethernet(0x88cc)), 14, "what is not known is content");
        for end in 0..tcp.len() {
            heads(Link::Ethernet, &tcp[..end]);
            heads(Link::Raw, &tcp[..end]);
        }
    }

    #[test]
    fn a_file_never_grows_over_what_it_may_have() {
        let mut file = File::new(Link::Ethernet);
        let at = Duration::from_secs(1_795_305_600);
        while file.add(at, &[7; 54], 1500, 1000) {}
        assert!((900..=1000).contains(&file.0.len()), "{}", file.0.len());
        assert_eq!(file.0[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    }
}
