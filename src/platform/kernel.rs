//! The only `unsafe` of the house: what no crate offers safely yet.
#![allow(unsafe_code)]

mod devices;

pub(super) use devices::{CardFrame, Mapped, card_frames, frame_buffer, nvme_read, scsi_read};
use nix::libc;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A non-blocking file descriptor that the runtime waits for. It lends the descriptor only immutably, so
/// that it can never be exchanged for another one below the reactor.
pub(super) struct Readable(AsyncFd<OwnedFd>);

impl Readable {
    /// Registers the descriptor with the runtime.
    ///
    /// # Errors
    /// The system's own, for a descriptor that `epoll` does not take.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: `OwnedFd::as_raw_fd` names the same open descriptor every time and nobody else may close
        // it. The AsyncFd owns the OwnedFd until it has deregistered it, and nothing below lends it mutably.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        fd.map(Self).map_err(io::Error::from)
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Waits until `read` gives something else than `WouldBlock`. Cancel-safe when `read` is.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn read<R>(
        &self,
        read: impl FnMut(&OwnedFd) -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.async_io(Interest::READABLE, read).await
    }
}

/// `_LINUX_CAPABILITY_VERSION_3`, with which `capset(2)` takes two words of 32 bits (Linux 2.6.26).
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives this thread exactly these capabilities, by bit, as effective and permitted ones; none is inherited.
///
/// # Errors
/// `EPERM` for one that it does not have already.
pub(super) fn set_capabilities(bits: u64) -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let word = |bits: u64| {
        let word = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        CapabilityWord { effective: word, permitted: word, inheritable: 0 }
    };
    let words = [word(bits), word(bits >> 32)];
    // SAFETY: version 3 reads one header and two words; both live until the call returns and nothing is
    // written to them, since the version is one that the kernel knows.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An argument of `prctl(2)` that means nothing, as wide as the processor's words: the call is variadic.
const NOTHING: libc::c_ulong = 0;

/// Takes every capability out of the bounding and the ambient set of this thread: no program that it starts
/// can have one again.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`, as long as there is something to take.
pub(super) fn drop_bounding_set() -> io::Result<()> {
    // 64 are more than the sets have bits; the kernel ends the list with EINVAL.
    for capability in NOTHING..64 {
        // SAFETY: these options of prctl take numbers only.
        let has =
            unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, NOTHING, NOTHING, NOTHING) };
        if has < 0 {
            break;
        }
        // SAFETY: as above.
        let dropped =
            || unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, NOTHING, NOTHING, NOTHING) };
        if has == 1 && dropped() != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: numbers only. Kernels before 4.3 have no ambient set and answer EINVAL: nothing to clear.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, NOTHING, NOTHING, NOTHING)
    };
    Ok(())
}

/// Closes every descriptor above stderr that whoever started this process left open.
///
/// Must be called before anything is opened. A kernel without `close_range` (before 5.9) keeps them.
pub(super) fn close_inherited() {
    // SAFETY: the caller owns no descriptor above 2 yet, so none that an `OwnedFd` vouches for is closed.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
}

/// Gives this thread a priority for the processor, from -20 to 19, the nicest.
///
/// # Errors
/// The system's own.
pub(super) fn be_nice(nice: i32) -> io::Result<()> {
    // SAFETY: numbers only; 0 is this thread.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the first thread of this process the priority that programs have, for processor and disks.
///
/// # Errors
/// `EACCES` without the right to a higher one than it has.
pub(super) fn be_as_others() -> io::Result<()> {
    // SAFETY: numbers only; the first thread's number is the process's.
    let nice = unsafe { libc::setpriority(libc::PRIO_PROCESS, std::process::id(), 0) };
    // `IOPRIO_WHO_PROCESS`, and no class of its own: that of its nice value.
    // SAFETY: numbers only.
    let disks = unsafe { libc::syscall(libc::SYS_ioprio_set, 1_i32, std::process::id(), 0_i32) };
    if nice == 0 && disks == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets this thread have the disks only when nobody else wants them.
///
/// # Errors
/// The system's own.
pub(super) fn be_idle_at_disks() -> io::Result<()> {
    /// `IOPRIO_WHO_PROCESS` and `IOPRIO_CLASS_IDLE` in its place, as in `linux/ioprio.h`.
    const THIS: (i32, i32) = (1, 0);
    const IDLE: i32 = 3 << 13;
    // SAFETY: numbers only.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, THIS.0, THIS.1, IDLE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a system call with every argument all ones: an address, descriptor, length or flag that none takes.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn attempt(number: i64) -> io::Result<()> {
    let ones = -1_i64;
    // SAFETY: all ones is no address of this process, so nothing is read or written through it.
    let done = unsafe { libc::syscall(number, ones, ones, ones, ones, ones, ones) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
