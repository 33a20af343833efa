//! Waits for volumes: the kernel's table of mounts, and what kind of file system holds a directory.

use super::kernel::Readable;
use super::root::Root;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};
use nix::sys::uio::pread;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// `RAMFS_MAGIC` of `linux/magic.h`: the file system of an initramfs.
const RAMFS_MAGIC: i64 = 0x8584_58f6;
/// A box with thousands of mounts is above this; it is told of changes in the first part only.
const TABLE_MOST: usize = 1024 * 1024;

/// Waits for changes in the table of mounts, without a timer.
pub struct Mounts {
    table: Readable,
    last: Vec<u8>,
}

impl Mounts {
    /// Begins to watch. Needs no privilege.
    ///
    /// # Errors
    /// The system's own. Must be called inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let path = Root::system().path("/proc/self/mountinfo");
        let fd = OwnedFd::from(File::open(path)?);
        let last = read(&fd)?;
        Ok(Self { table: Readable::new(fd)?, last })
    }

    /// Waits until the table differs from what it was at the last call, or at the beginning. Cancel-safe.
    ///
    /// # Errors
    /// The system's own.
    pub async fn changed(&mut self) -> io::Result<()> {
        let last = &self.last;
        // The kernel reports every change as an edge; a table that reads the same was no change that matters.
        let now = self.table.read(|fd| match read(fd)? {
            now if now == *last => Err(io::ErrorKind::WouldBlock.into()),
            now => Ok(now),
        });
        self.last = now.await?;
        Ok(())
    }
}

fn read(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    let (mut table, mut chunk) = (Vec::new(), [0; 4096]);
    while table.len() < TABLE_MOST {
        let offset = i64::try_from(table.len()).unwrap_or_default();
        match pread(fd, &mut chunk, offset)? {
            0 => break,
            length => table.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
    Ok(table)
}

/// A count of the kernel's, which has 32 bits on some machines.
pub fn wide(count: impl Into<u64>) -> u64 {
    count.into()
}

/// How large a file system is, and how much of it whoever has no privileges may still take, in bytes.
pub fn room(of: &Statvfs) -> (u64, u64) {
    let bytes = |blocks: u64| blocks.saturating_mul(wide(of.fragment_size()));
    (bytes(wide(of.blocks())), bytes(wide(of.blocks_available())))
}

/// Whether the file system of a directory takes no writes.
///
/// # Errors
/// The system's own.
pub fn is_read_only(dir: &Path) -> io::Result<bool> {
    Ok(statvfs(dir)?.flags().contains(FsFlags::ST_RDONLY))
}

/// Whether what is written to a directory, or to the nearest one above it that exists, is lost at power-off.
///
/// # Errors
/// The system's own.
pub fn is_volatile(dir: &Path) -> io::Result<bool> {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let kind = statfs(there)?.filesystem_type();
    #[allow(clippy::useless_conversion, reason = "how wide the number is differs between targets")]
    let is_ramfs = i64::try_from(kind.0).is_ok_and(|n| n & 0xffff_ffff == RAMFS_MAGIC);
    Ok(kind == TMPFS_MAGIC || is_ramfs)
}
