//! Where a report is written, so that a kill at any moment leaves nothing behind.
//!
//! A file without a name (`O_TMPFILE`) gets its name when it is whole. File systems without it (vfat, exFAT) get a
//! hidden file beside the place, which takes the name at the end; the next report there removes one that was left.

use crate::platform::mounts;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::linkat;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What must stay free beside a report.
const ROOM: u64 = 10 << 20;
/// The least that is asked for, of which half is the archive and half what it is given as.
const LEAST: u64 = 8 << 20;
/// What an unfinished file begins with where it needs a name.
const UNFINISHED: &str = ".qcloud-report-";

/// Why a report cannot be written there.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// No directory, or none that may be written to.
    #[error("cannot write to {}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not enough room.
    #[error("{} has {free} bytes free, a report may need {needed}", dir.display())]
    NoSpace {
        /// The directory.
        dir: PathBuf,
        /// What is free.
        free: u64,
        /// What may be needed.
        needed: u64,
    },
    /// Another report is made there.
    #[error("another report is made in {}", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// Something has that name.
    #[error("{} is there already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
}

/// A directory in which one report at a time is made.
pub struct Output {
    dir: PathBuf,
    lock: Flock<File>,
    free: u64,
}

/// A file that has no name of its own yet.
pub struct Unfinished {
    /// Its bytes.
    pub file: File,
    named: Option<PathBuf>,
}

impl Output {
    /// Takes a directory, which must have some room, and nothing of this name yet.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn open(dir: &Path, name: Option<&OsStr>) -> Result<Self, OutputError> {
        let failed = |source: io::Error| OutputError::Directory { dir: dir.into(), source };
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(dir)
            .map_err(failed)?;
        let lock = Flock::lock(handle, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            if errno == Errno::EWOULDBLOCK {
                OutputError::Busy { dir: dir.into() }
            } else {
                failed(errno.into())
            }
        })?;
        if name.is_some_and(|name| dir.join(name).symlink_metadata().is_ok()) {
            return Err(OutputError::Exists { path: dir.join(name.unwrap_or_default()) });
        }
        let (_, free) = mounts::room(&statvfs(dir).map_err(|errno| failed(errno.into()))?);
        if free < LEAST + ROOM {
            return Err(OutputError::NoSpace { dir: dir.into(), free, needed: LEAST + ROOM });
        }
        let output = Self { dir: dir.into(), lock, free };
        output.clear();
        Ok(output)
    }

    /// How large an archive may grow here: it is there twice for a moment.
    pub fn room(&self) -> u64 {
        self.free.saturating_sub(ROOM) / 2
    }

    /// A new file that never has a name.
    ///
    /// # Errors
    /// The system's own.
    pub fn nameless(&self, number: u32) -> io::Result<File> {
        let mut unfinished = self.create(number)?;
        if let Some(path) = unfinished.named.take() {
            std::fs::remove_file(path)?;
        }
        unfinished.file.try_clone()
    }

    /// Removes what a killed report left where files need names. The lock says that nobody writes to it.
    fn clear(&self) {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                // What stays is seen by the next one again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// A new file here.
    ///
    /// # Errors
    /// The system's own.
    pub fn create(&self, number: u32) -> io::Result<Unfinished> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = if crate::sabotage::off("report-private") { 0o644 } else { 0o600 };
        match openat(&*self.lock, ".", flags, Mode::from_bits_truncate(mode)) {
            Ok(fd) => Ok(Unfinished { file: File::from(fd), named: None }),
            // Older kernels take the flag for O_DIRECTORY.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT) => {
                let path = self.dir.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .custom_flags(OFlag::O_NOFOLLOW.bits())
                    .open(&path)?;
                Ok(Unfinished { file, named: Some(path) })
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a finished file its name, which nothing else may have. Gives whether others can read it all the same,
    /// as on file systems without permissions.
    ///
    /// # Errors
    /// The system's own; `AlreadyExists` when something has that name.
    pub fn publish(&self, unfinished: Unfinished, name: &OsStr) -> io::Result<bool> {
        let path = self.dir.join(name);
        unfinished.file.sync_all()?;
        match &unfinished.named {
            None => {
                let own = format!("/proc/self/fd/{}", unfinished.file.as_raw_fd());
                linkat(AT_FDCWD, &*own, &*self.lock, name, AtFlags::AT_SYMLINK_FOLLOW)?;
            }
            Some(from) => {
                if path.symlink_metadata().is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                std::fs::rename(from, &path)?;
            }
        }
        self.lock.sync_all()?;
        Ok(unfinished.file.metadata()?.permissions().mode() & 0o077 != 0)
    }

    /// The path of a name here.
    pub fn path(&self, name: &OsStr) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = self.named.take() {
            // It has its own name by now, or must not be left behind.
            let _ = std::fs::remove_file(path);
        }
    }
}
