//! Each change of the disk by name, before it is made: so that a test can take the power away there.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A change that a power cut can come before, and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A file that need not be there goes.
    Remove(&'a Path),
    /// A new, empty file appears; one that is appended to may be there already.
    Create(&'a Path),
    /// Bytes are added to the end of a file.
    Write(&'a Path, &'a [u8]),
    /// A file's bytes reach the disk.
    SyncFile(&'a Path),
    /// A file takes another name, whatever had it.
    Rename(&'a Path, &'a Path),
    /// The names in a directory reach the disk.
    SyncDirectory(&'a Path),
    /// A file is cut to so many bytes.
    Cut(&'a Path, u64),
    /// The bytes of a file that has lost its name are overwritten.
    Wipe,
}

/// Sees each change. What it refuses is not made, and the call fails of it.
pub type Watch = Arc<dyn Fn(Change<'_>) -> io::Result<()> + Send + Sync>;

/// Lets everything pass.
pub(super) fn nobody() -> Watch {
    Arc::new(|_| Ok(()))
}
