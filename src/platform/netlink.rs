//! The addresses of this box, told by the kernel when they change, never polled.
//!
//! One socket hears the events; an event is only a reason to look, and the looking is a fresh dump on a
//! second socket. Nothing is patched from the events themselves, so that a lost one (ENOBUFS) costs
//! nothing and no order of events can leave a wrong picture behind.

use super::kernel::Readable;
pub use super::parse::Addresses;
use super::parse::{self, Message, Picture};
use core::time::Duration;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// RTMGRP_LINK 0x1, IPV4_IFADDR 0x10, IPV4_ROUTE 0x40, IPV6_IFADDR 0x100, IPV6_ROUTE 0x400.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// A change of address comes as a handful of events within a few milliseconds.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The most the kernel puts into one datagram of a dump (`netlink_dump` in af_netlink.c).
const DATAGRAM: usize = 32 * 1024;
/// How often a dump that changes overtake is taken again before the last one has to do; the
/// change itself comes as an event and brings another round.
const ATTEMPTS: usize = 5;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/// Watches the addresses and the default route.
pub struct Watcher {
    events: Readable,
    last: Option<Addresses>,
    /// Something happened since the last dump. Kept here so that a dropped future loses no change.
    dirty: bool,
}

impl Watcher {
    /// Begins to listen. Needs no privilege.
    ///
    /// # Errors
    /// The system's own. Must be called inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        Ok(Self { events: open(GROUPS)?, last: None, dirty: true })
    }

    /// Waits until the addresses differ from the last ones returned; the first call returns at once.
    ///
    /// While nothing happens no timer runs. Cancel-safe.
    ///
    /// # Errors
    /// The system's own, for want of memory or descriptors; the next call begins anew.
    pub async fn changed(&mut self) -> io::Result<Addresses> {
        loop {
            if !self.dirty {
                self.event().await?;
                self.dirty = true;
                tokio::time::sleep(DEBOUNCE).await;
            }
            self.drain()?;
            let now = look(self.last.as_ref()).await?;
            self.dirty = false;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Ok(now);
            }
        }
    }

    /// Waits for an event that matters.
    async fn event(&self) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let heard = self.events.read(|fd| receive(fd, &mut buffer));
            match heard.await {
                Ok(length) if buffer.get(..length).is_some_and(parse::matters) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_overflow(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away the events that the coming dump answers for.
    fn drain(&self) -> io::Result<()> {
        let mut buffer = [0; 64];
        loop {
            match receive(self.events.fd(), &mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_overflow(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn look(before: Option<&Addresses>) -> io::Result<Addresses> {
    let mut picture = Picture::default();
    for _ in 0..ATTEMPTS {
        picture = Picture::default();
        let mut whole = true;
        for kind in [parse::RTM_GETLINK, parse::RTM_GETADDR, parse::RTM_GETROUTE] {
            whole &= dump(kind, &mut picture).await?;
        }
        if whole {
            break;
        }
    }
    Ok(picture.addresses(before))
}

/// Adds everything of one kind to the picture; `false` when a change has overtaken the dump.
async fn dump(kind: u16, picture: &mut Picture) -> io::Result<bool> {
    let socket = open(0)?;
    send(socket.fd().as_raw_fd(), &request(kind), MsgFlags::empty())?;
    let mut buffer = vec![0; DATAGRAM];
    let mut whole = true;
    loop {
        let length = socket.read(|fd| receive(fd, &mut buffer)).await?;
        for framed in parse::messages(buffer.get(..length).unwrap_or_default()) {
            whole &= !framed.interrupted;
            match framed.message {
                Message::End { errno: 0 } => return Ok(whole),
                Message::End { errno } => return Err(io::Error::from_raw_os_error(errno)),
                found @ (Message::Address(_) | Message::Route(_) | Message::Link { .. }) => {
                    picture.add(found);
                }
                Message::Other => {}
            }
        }
    }
}

fn open(groups: u32) -> io::Result<Readable> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Readable::new(fd)
}

/// Receives one datagram of the kernel's; what another process sent has length 0.
fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (length, sender) = recvfrom::<NetlinkAddr>(fd.as_raw_fd(), buffer)?;
    Ok(if sender.is_some_and(|sender| sender.pid() == 0) { length } else { 0 })
}

fn is_overflow(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw) == Some(Errno::ENOBUFS)
}

/// A dump request with a header long enough for its kind, all families.
fn request(kind: u16) -> Vec<u8> {
    let body = match kind {
        parse::RTM_GETLINK => {
            let mut body = vec![0; 16];
            body.extend_from_slice(&8_u16.to_ne_bytes());
            body.extend_from_slice(&IFLA_EXT_MASK.to_ne_bytes());
            body.extend_from_slice(&RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
            body
        }
        parse::RTM_GETADDR => vec![0; 8],
        _ => vec![0; 12],
    };
    // At most 40 bytes.
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and port: each dump has a socket of its own.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[tokio::test]
    async fn the_first_call_tells_what_is_and_the_second_one_waits() {
        let mut watcher = Watcher::open().unwrap();
        let first = tokio::time::timeout(Duration::from_secs(10), watcher.changed()).await;
        let first = first.unwrap().unwrap();
        assert!(first.v4.iter().all(|v4| !v4.is_loopback()));
        assert_eq!(first.default_route, first.interface.is_some());
        let second = tokio::time::timeout(Duration::from_millis(150), watcher.changed()).await;
        assert!(second.is_err(), "nothing changed");
    }
}
