//! `qcloud-hub backup`: a copy of one moment, also while the hub serves.

use super::archive::{Archive, ArchiveError, Header, Opened};
use super::journal::{JournalError, sync_dir};
use super::{Keeping, end_of};
use crate::clock::Wall;
use crate::hub::keys::KeyError;
use crate::hub::store::{Store, StoreError, schema};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What names of backups in a directory begin and end with; the moment stands between.
const BEFORE: &str = "qcloud-hub-";
const AFTER: &str = ".backup";
/// What a file is called until it is whole.
const PARTIAL: &str = ".partial";

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file.
    #[error("{} cannot be {what}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store.
    #[error("the store could not be copied")]
    Store(#[from] StoreError),
    /// The journal.
    #[error("deletions could not be noted from here on")]
    Journal(#[from] JournalError),
    /// The file's content.
    #[error("the backup could not be sealed")]
    Archive(#[from] ArchiveError),
    /// No randomness.
    #[error("the backup has no key")]
    Key(#[from] KeyError),
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Where.
    pub path: PathBuf,
    /// When.
    pub made_at: Wall,
    /// How many rows it has.
    pub rows: u64,
    /// Older ones that were deleted from the directory.
    pub pruned: Vec<PathBuf>,
}

/// Makes a backup: of this name, or, where a directory is given, in it with a name of its own, and deletes those of
/// this hub there that are no good any more. Until it is whole and on disk it has another name.
///
/// # Errors
/// [`BackupError`]; nothing has the final name then.
pub async fn make(store: &dyn Store, keeping: &Keeping, to: &Path) -> Result<Made, BackupError> {
    let now = keeping.clock.now().wall;
    let into = to.is_dir();
    let path = if into { to.join(name(now)) } else { to.to_owned() };
    if path.exists() {
        let source = io::ErrorKind::AlreadyExists.into();
        return Err(BackupError::File { path, what: "made", source });
    }
    let whole = !crate::sabotage::off("hub-backup-whole");
    let partial = if whole { beside(&path, PARTIAL) } else { path.clone() };
    let file = create(&partial).map_err(|source| failed(&partial, "made", source))?;
    let written = write(store, keeping, file, now).await;
    let ended = written.and_then(|(rows, file)| {
        let done = file.sync_all().and_then(|()| std::fs::rename(&partial, &path));
        let done = done.and_then(|()| sync_dir(&path));
        done.map(|()| rows).map_err(|source| failed(&path, "written", source))
    });
    if ended.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    let rows = ended?;
    let pruned = if into { prune(to, keeping, now) } else { Vec::new() };
    Ok(Made { path, made_at: now, rows, pruned })
}

async fn write(
    store: &dyn Store,
    keeping: &Keeping,
    file: File,
    now: Wall,
) -> Result<(u64, File), BackupError> {
    let header = Header::new(now, schema::STEPS.len())?;
    // Before the first row is read: what is deleted from here on may be in the backup.
    let known = store.journaled().await?;
    keeping.journal.note_backup(&header.id, now, known)?;
    let archive = Archive::begin(BufWriter::new(file), &keeping.seal, &header)?;
    Ok(store.dump(archive).await?)
}

/// A file of this name that nobody else writes; one that a crash left behind is taken over.
fn create(partial: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(partial)?;
    file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
    file.set_len(0)?;
    Ok(file)
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), what, source }
}

/// The name of a backup in a directory: `qcloud-hub-2026-11-22T10-00-00Z.backup`.
fn name(now: Wall) -> String {
    format!("{BEFORE}{}{AFTER}", now.rfc3339().replace(':', "-"))
}

/// This path with something behind its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Deletes the backups of this hub in a directory that are older than six calendar months, and what unfinished ones
/// left; those deleted. A file is the hub's own when its header says so, under the hub's key.
pub fn prune(dir: &Path, keeping: &Keeping, now: Wall) -> Vec<PathBuf> {
    let mut pruned = Vec::new();
    let Ok(entries) = dir.read_dir() else { return pruned };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let over = if !name.starts_with(BEFORE) {
            false
        } else if name.ends_with(AFTER) {
            made_at(&path, keeping).is_some_and(|made_at| end_of(made_at) <= now)
        } else {
            // One that is being written is locked.
            name.ends_with(PARTIAL) && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
        };
        if !over || crate::sabotage::off("hub-backup-prune") {
            continue;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => pruned.push(path),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "a backup that is over six months old could not be deleted");
            }
        }
    }
    pruned
}

/// When a file was made, if it is a backup of this hub.
fn made_at(path: &Path, keeping: &Keeping) -> Option<Wall> {
    let file = File::open(path).ok()?;
    Some(Opened::begin(BufReader::new(file), &keeping.seal).ok()?.header.made_at)
}
