//! Questions to netlink that the kernel answers at once: no timer, no task, no waiting for events.

use super::parse::{u16_at, u32_at};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};
use std::io;
use std::os::fd::AsRawFd;

/// The most the kernel puts into one datagram of a dump (`netlink_dump` in af_netlink.c).
pub(super) const DATAGRAM: usize = 32 * 1024;
/// More datagrams than any dump of interfaces has; a kernel that goes on is not waited for.
const DATAGRAMS: usize = 1024;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The one answer to the question.
    One,
    /// Everything of its kind.
    All,
}

/// Asks one question and hands each answer to `take`, with its type and body.
///
/// # Errors
/// The kernel's own: `NotFound` when there is no such thing.
pub(super) fn ask(
    protocol: SockProtocol,
    kind: u16,
    want: Want,
    body: &[u8],
    mut take: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    send(fd.as_raw_fd(), &request(kind, want, body), MsgFlags::empty())?;
    let mut buffer = vec![0; DATAGRAM];
    for _ in 0..DATAGRAMS {
        // Both kinds of answer stand in the queue when `send` or the `recvfrom` before returns.
        let (length, sender) = recvfrom::<NetlinkAddr>(fd.as_raw_fd(), &mut buffer)?;
        if sender.is_none_or(|sender| sender.pid() != 0) {
            continue;
        }
        for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return errno(body),
                _ => take(kind, body),
            }
        }
        if want == Want::One {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn errno(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).map_or(0, u32::cast_signed) {
        0 => Ok(()),
        error => Err(Errno::from_raw(error.saturating_neg()).into()),
    }
}

fn request(kind: u16, want: Want, body: &[u8]) -> Vec<u8> {
    // At most 72 bytes.
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let flags = NLM_F_REQUEST | if want == Want::All { NLM_F_DUMP } else { 0 };
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    // Sequence number and port: each question has a socket of its own.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(body);
    bytes
}

/// Type and body of each message of one datagram. What is cut off or odd ends it.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let kind = u16_at(bytes, 4)?;
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}
