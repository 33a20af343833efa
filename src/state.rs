//! What survives a restart: small JSON files in one directory, saved so that a power cut costs at most the
//! newest change, and never a good older one.
//!
//! Each document has two files, `NAME.0.json` and `NAME.1.json`, and a save replaces the older of them:
//! a new temporary file, fsync, rename, fsync of the directory. A load takes the newest file whose checksum holds. Beside documents
//! there are secrets, written once, and the ledger, appended to. A directory or file that others could
//! read is refused rather than repaired: who knows who has read it. Where there is no place to keep
//! anything, the same calls work in memory.
//!
//! A single file with a backup copy was the other way: it needs two writes for each save, and a crash
//! between them leaves two files of which neither says which is newer.

mod directory;
pub(crate) mod document;
mod watch;

pub use watch::{Change, Watch};

use crate::card::Exit;
use directory::Directory;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

/// The version of the documents' format. A file of a later one is refused, and kept.
pub const SCHEMA: u32 = 1;
/// The largest file that is read: state is a few KiB, the ledger is rotated far below this.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Why state could not be opened, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error("could not {tried} {}", path.display())]
    Io {
        /// What was tried.
        tried: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It is open to others, belongs to somebody else, or is no such thing at all.
    #[error("{} is {found}, and must be {wanted}", path.display())]
    Unsafe {
        /// Which one.
        path: PathBuf,
        /// Its kind, owner and mode.
        found: String,
        /// What they must be.
        wanted: String,
    },
    /// Another process has the directory.
    #[error("{} is in use by another process", path.display())]
    Busy {
        /// Which one.
        path: PathBuf,
    },
    /// Neither generation can be read. Both files are still there.
    #[error("{} and {} are damaged: {why}", first.display(), second.display())]
    Damaged {
        /// Generation file 0.
        first: PathBuf,
        /// Generation file 1.
        second: PathBuf,
        /// What is wrong with each.
        why: String,
    },
    /// Written by a later version. It is neither read nor replaced.
    #[error("{} has format {schema}, and this version knows {SCHEMA}", path.display())]
    Future {
        /// Which file.
        path: PathBuf,
        /// Its format.
        schema: u32,
    },
    /// A secret exists already.
    #[error("{} exists already, and is written only once", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Another file system was mounted over it, or it was removed: what is written there now would be lost, or
    /// fall among somebody else's.
    #[error("{} is another directory now than the one that was opened", path.display())]
    Gone {
        /// Which one.
        path: PathBuf,
    },
    /// Not a name for a file.
    #[error("`{0}` cannot be a name in the state directory")]
    Name(String),
}

impl StateError {
    /// The exit code of a command that failed of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Busy { .. } => Exit::Busy,
            Self::Io { source, .. } if no_space(source) => Exit::NoSpace,
            Self::Io { .. }
            | Self::Unsafe { .. }
            | Self::Damaged { .. }
            | Self::Future { .. }
            | Self::Exists { .. }
            | Self::Gone { .. }
            | Self::Name(_) => Exit::Failed,
        }
    }
}

fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A document as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Its content.
    pub body: Value,
    /// What is wrong with the other generation, when this is one to be told: the newest change may be lost.
    pub damaged: Option<String>,
}

/// All of a state directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The documents by name, each as its newest generation has it.
    pub documents: Vec<(String, Value)>,
    /// The other files by name.
    pub files: Vec<(String, Vec<u8>)>,
}

/// The place where state is kept. Holds the lock of its directory as long as it lives.
pub struct StateDir {
    place: Place,
}

/// Where state is.
enum Place {
    /// In a directory.
    Directory(Directory),
    /// Nowhere: it ends with the process.
    Memory(Mutex<Memory>),
}

#[derive(Default)]
struct Memory {
    documents: BTreeMap<String, Value>,
    files: BTreeMap<String, Vec<u8>>,
}

impl StateDir {
    /// Opens a directory, makes it with mode 0700 when it is missing, and locks it.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] when others can enter it or it belongs to another user than this process's,
    /// [`StateError::Busy`] while another process has it, [`StateError::Io`] otherwise.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StateError> {
        Self::open_watched(path, watch::nobody())
    }

    /// As [`StateDir::open`], with somebody who sees each change of the disk before it is made and can refuse it: the
    /// tests of a power cut at each of them.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn open_watched(path: impl AsRef<Path>, watch: Watch) -> Result<Self, StateError> {
        Directory::open(path.as_ref(), watch).map(|found| Self { place: Place::Directory(found) })
    }

    /// A place in memory, for a box that has no other.
    pub fn memory() -> Self {
        Self { place: Place::Memory(Mutex::default()) }
    }

    /// The directory, `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(directory) => Some(directory.path()),
            Place::Memory(_) => None,
        }
    }

    /// Reads a document; `None` when it was never saved.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when no generation holds, [`StateError::Future`] when either one is of a
    /// later version, [`StateError::Unsafe`] and [`StateError::Io`]. Nothing is changed or deleted.
    pub fn load(&self, name: &str) -> Result<Option<Loaded>, StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.load(name),
            Place::Memory(memory) => Ok(lock(memory)
                .documents
                .get(name)
                .map(|body| Loaded { body: body.clone(), damaged: None })),
        }
    }

    /// Saves a document. Writes nothing when it says what the newest generation says already.
    ///
    /// # Errors
    /// As [`StateDir::load`]: what cannot be read is not written over either. After an error the
    /// document is what it was before or what it was to become.
    pub fn save(&self, name: &str, body: &Value) -> Result<(), StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.save(name, body),
            Place::Memory(memory) => {
                lock(memory).documents.insert(name.into(), body.clone());
                Ok(())
            }
        }
    }

    /// Appends to a file and waits until it is on the disk. A failed append leaves the file as it was.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] and [`StateError::Io`].
    pub fn append(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.append(name, bytes),
            Place::Memory(memory) => {
                lock(memory).files.entry(name.into()).or_default().extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Cuts a file that grows by [`StateDir::append`] to its first `to_bytes` bytes: a power cut may have
    /// torn its last line.
    ///
    /// # Errors
    /// [`StateError::Io`], and [`StateError::Name`].
    pub fn cut(&self, name: &str, to_bytes: u64) -> Result<(), StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.cut(name, to_bytes),
            Place::Memory(memory) => {
                if let Some(bytes) = lock(memory).files.get_mut(name) {
                    bytes.truncate(usize::try_from(to_bytes).unwrap_or(usize::MAX));
                }
                Ok(())
            }
        }
    }

    /// Renames a file of more than `most_bytes` to `NAME.1`, replacing the last one; tells whether it did.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn rotate(&self, name: &str, most_bytes: u64) -> Result<bool, StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.rotate(name, most_bytes),
            Place::Memory(memory) => {
                let files = &mut lock(memory).files;
                let size = files.get(name).map_or(0, Vec::len);
                if u64::try_from(size).is_ok_and(|size| size <= most_bytes) {
                    return Ok(false);
                }
                if let Some(bytes) = files.remove(name) {
                    files.insert(format!("{name}.1"), bytes);
                }
                Ok(true)
            }
        }
    }

    /// Writes a private file (0600) that must not exist yet, and waits until it is on the disk.
    ///
    /// It appears whole or not at all.
    ///
    /// # Errors
    /// [`StateError::Exists`] and [`StateError::Io`].
    pub fn write_once(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.write_once(name, bytes),
            Place::Memory(memory) => {
                let files = &mut lock(memory).files;
                if files.contains_key(name) {
                    return Err(StateError::Exists { path: name.into() });
                }
                files.insert(name.into(), bytes.to_vec());
                Ok(())
            }
        }
    }

    /// Reads a private file; `None` when there is none.
    ///
    /// # Errors
    /// [`StateError::Unsafe`] for one that others could read or that belongs to another user, and
    /// [`StateError::Io`], above [`MAX_FILE`] too.
    pub fn read_private(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.read_private(name),
            Place::Memory(memory) => Ok(lock(memory).files.get(name).cloned()),
        }
    }

    /// Puts a private file in the place of another one in one step, and then overwrites what stood there before, as
    /// far as the file system writes over old blocks at all (flash and copy-on-write do not).
    ///
    /// # Errors
    /// [`StateError::Io`]. Either the one or the other has its place then.
    pub fn replace(&self, name: &str, by: &str) -> Result<(), StateError> {
        check(name)?;
        check(by)?;
        match &self.place {
            Place::Directory(directory) => directory.replace(name, by),
            Place::Memory(memory) => {
                let files = &mut lock(memory).files;
                if let Some(bytes) = files.remove(by)
                    && let Some(mut old) = files.insert(name.into(), bytes)
                {
                    old.zeroize();
                }
                Ok(())
            }
        }
    }

    /// Everything that is kept here, whole: documents by name, and the other files.
    ///
    /// A directory that a volume was mounted over meanwhile is still read.
    ///
    /// # Errors
    /// As [`StateDir::load`].
    pub fn contents(&self) -> Result<Contents, StateError> {
        match &self.place {
            Place::Directory(directory) => directory.contents(),
            Place::Memory(memory) => {
                let memory = lock(memory);
                Ok(Contents {
                    documents: memory.documents.clone().into_iter().collect(),
                    files: memory.files.clone().into_iter().collect(),
                })
            }
        }
    }

    /// Removes everything but the document `last`, and then that one.
    ///
    /// # Errors
    /// [`StateError::Io`]. A second call goes on where the first one stopped.
    pub fn wipe(&self, last: &str) -> Result<(), StateError> {
        check(last)?;
        match &self.place {
            Place::Directory(directory) => directory.wipe(last)?,
            Place::Memory(memory) => *lock(memory) = Memory::default(),
        }
        self.remove(last)
    }

    /// Removes everything of that name: a document with both generations, or a file with its rotated one.
    ///
    /// # Errors
    /// [`StateError::Io`]. That there is nothing is none.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        check(name)?;
        match &self.place {
            Place::Directory(directory) => directory.remove(name),
            Place::Memory(memory) => {
                let mut memory = lock(memory);
                memory.documents.remove(name);
                memory.files.remove(name);
                memory.files.remove(&format!("{name}.1"));
                Ok(())
            }
        }
    }
}

/// Each call changes the maps in one step, so a panic elsewhere leaves nothing half done.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(name: &str) -> Result<(), StateError> {
    let fits = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
        && !name.starts_with('.')
        && name != "lock";
    if fits { Ok(()) } else { Err(StateError::Name(name.escape_debug().take(64).collect())) }
}

#[cfg(test)]
mod tests;
