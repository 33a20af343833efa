//! `qcloud-hub restore`: a backup takes the database's place, and everything deleted since is deleted again.
//!
//! The new database is made, verified and cleaned beside the old one, and takes its place by one rename. The former
//! one is kept as an encrypted backup, which grows old and is swept like any other. From the moment the old files are
//! touched until the new one stands, [`UNFINISHED`] lies in the directory and no hub starts there; what a crash left
//! is finished by running the command again.

use super::archive::{Archive, ArchiveError, Header, Opened};
use super::backup::beside;
use super::journal::{BACKUP, Entry, JournalError, sync_dir};
use super::{Keeping, MONTHS, end_of};
use crate::clock::Wall;
use crate::hub::admin::SOCKET;
use crate::hub::config::{FILE as CONFIG, STORE};
use crate::hub::keys::KeyError;
use crate::hub::store::StoreError;
use crate::hub::store::replay::{Replayed, build, take_leave, version};
use std::fs::{File, OpenOptions, remove_file, rename};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Lies in the directory while the database is being replaced.
pub const UNFINISHED: &str = "restore.unfinished";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A hub serves.
    #[error("a hub serves this directory")]
    Serving,
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
    /// The backup.
    #[error("{} cannot be restored", .path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ArchiveError,
    },
    /// It is too old.
    #[error("the backup of {} is over {MONTHS} months old: it holds what was promised to be gone", .made_at.rfc3339())]
    TooOld {
        /// When it was made.
        made_at: Wall,
    },
    /// Which deletions came after it cannot be told.
    #[error("the deletions since the backup are not known")]
    Journal(#[from] JournalError),
    /// The journal is of another time.
    #[error(
        "the journal of deletions does not know this backup, so that what was deleted since is not known"
    )]
    NotNoted,
    /// Its rows.
    #[error("the rows of the backup cannot be used")]
    Rows(#[from] StoreError),
    /// No randomness.
    #[error("the former database has no key to be sealed with")]
    Key(#[from] KeyError),
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Restored {
    /// When the backup was made.
    pub made_at: Wall,
    /// How many rows it had.
    pub rows: u64,
    /// What was deleted again, and taken back.
    pub replayed: Replayed,
    /// Where the former database is, if there was one.
    pub former: Option<PathBuf>,
    /// Whether that one could be read, and is a backup; otherwise it is the bare file.
    pub former_is_sealed: bool,
    /// Why the deletions since are not known, when the operator went on without them.
    pub without_journal: Option<String>,
}

/// Whether a restore was begun here and not finished.
pub fn is_unfinished(dir: &Path) -> bool {
    dir.join(UNFINISHED).exists()
}

/// Restores a backup into a hub's directory. `without_journal` goes on when what was deleted since is not known.
///
/// # Errors
/// [`RestoreError`]; the database is the former one then, unless [`is_unfinished`].
pub fn restore(
    dir: &Path,
    keeping: &Keeping,
    file: &Path,
    without_journal: bool,
) -> Result<Restored, RestoreError> {
    not_serving(dir)?;
    let dir = &dir.canonicalize().map_err(|source| failed(dir, "read", source))?;
    let _turn = alone(dir)?;
    let now = keeping.clock.now().wall;
    let source = File::open(file).map_err(|source| failed(file, "read", source))?;
    let bad = |source| RestoreError::Archive { path: file.to_owned(), source };
    let opened = Opened::begin(BufReader::new(source), &keeping.seal).map_err(bad)?;
    let header = opened.header.clone();
    if end_of(header.made_at) <= now && !crate::sabotage::off("hub-backup-age") {
        return Err(RestoreError::TooOld { made_at: header.made_at });
    }
    let database = dir.join(STORE);
    let since = deletions(keeping, &header, &database);
    let (entries, unknown) = match since {
        Err(error) if without_journal => (Vec::new(), Some(error)),
        since => (since?, None),
    };
    let fresh = beside(&database, ".restoring");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        gone(&beside(&fresh, suffix))?;
    }
    let mut content = BufReader::new(opened);
    let built = build(&fresh, keeping, header.schema, &mut content, &entries);
    let (rows, replayed) = match built {
        Ok(built) => built,
        Err(error) => {
            let _ = remove_file(&fresh);
            return Err(error.into());
        }
    };
    let former = place(dir, keeping, &fresh, now)?;
    if unknown.is_some() {
        begin_anew(dir, keeping, &header, now)?;
    }
    let former_is_sealed = former.as_ref().is_none_or(|(_, sealed)| *sealed);
    Ok(Restored {
        made_at: header.made_at,
        rows,
        replayed,
        former: former.map(|(path, _)| path),
        former_is_sealed,
        without_journal: unknown.map(|error| error.to_string()),
    })
}

/// What was deleted after a backup was begun.
fn deletions(
    keeping: &Keeping,
    header: &Header,
    database: &Path,
) -> Result<Vec<Entry>, RestoreError> {
    // A database that is lost or broken tells nothing; the journal must do without it then.
    let known = take_leave(database, None::<&mut io::Sink>).ok().flatten();
    let known = known.filter(|_| !crate::sabotage::off("hub-journal-end"));
    let mut all = keeping.journal.read(known)?.into_iter();
    all.by_ref()
        .find(|entry| entry.kind == BACKUP && entry.id == header.id)
        .ok_or(RestoreError::NotNoted)?;
    Ok(all.collect())
}

/// Puts the new database in the place of the old one; where that is kept, and whether as a backup.
fn place(
    dir: &Path,
    keeping: &Keeping,
    fresh: &Path,
    now: Wall,
) -> Result<Option<(PathBuf, bool)>, RestoreError> {
    let (database, marker) = (dir.join(STORE), dir.join(UNFINISHED));
    let wrong = |source| failed(&database, "replaced", source);
    let mut former = None;
    if !is_unfinished(dir) {
        former = keep_former(&database, keeping, now)?;
        let text = former.as_ref().map(|(path, _)| path.display().to_string());
        let text = text.unwrap_or_default();
        write_new(&marker, text.as_bytes()).map_err(wrong)?;
    } else if let Ok(text) = std::fs::read_to_string(&marker) {
        // The run that was cut short has kept it.
        let is_sealed = text.ends_with(".backup");
        former = Some((PathBuf::from(text), is_sealed)).filter(|(path, _)| path.is_absolute());
    }
    not_serving(dir).inspect_err(|_| {
        let _ = remove_file(&marker);
    })?;
    if let Some((path, false)) = &former
        && !path.exists()
        && database.exists()
    {
        rename(&database, path).map_err(wrong)?;
    }
    // They belong to the old one, and would be read into the new one.
    for suffix in ["-wal", "-shm", "-journal"] {
        gone(&beside(&database, suffix))?;
    }
    rename(fresh, &database).and_then(|()| sync_dir(&database)).map_err(wrong)?;
    remove_file(&marker).and_then(|()| sync_dir(&marker)).map_err(wrong)?;
    Ok(former)
}

/// Makes a backup of the database that is to be replaced. One that cannot be read is to be kept as it is.
fn keep_former(
    database: &Path,
    keeping: &Keeping,
    now: Wall,
) -> Result<Option<(PathBuf, bool)>, RestoreError> {
    if !database.exists() {
        return Ok(None);
    }
    let moment = now.rfc3339().replace(':', "-");
    let path = database.with_file_name(format!("qcloud-hub-former-{moment}.backup"));
    let wrong = |source| failed(&path, "written", source);
    let Ok(schema) = version(database) else {
        return Ok(Some((beside(database, &format!(".unreadable-{moment}")), false)));
    };
    let header = Header::new(now, schema)?;
    keeping.journal.note_backup(&header.id, now, None)?;
    let partial = beside(&path, ".partial");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let file = BufWriter::new(options.open(&partial).map_err(wrong)?);
    let sealed = |source| RestoreError::Archive { path: path.clone(), source };
    let mut archive = Archive::begin(file, &keeping.seal, &header).map_err(sealed)?;
    if take_leave(database, Some(&mut archive)).is_err() {
        let _ = remove_file(&partial);
        return Ok(Some((beside(database, &format!(".unreadable-{moment}")), false)));
    }
    let file = archive.end().and_then(|file| file.into_inner().map_err(|e| e.into_error()));
    file.and_then(|file| file.sync_all()).map_err(wrong)?;
    rename(&partial, &path).and_then(|()| sync_dir(&path)).map_err(wrong)?;
    Ok(Some((path, true)))
}

/// A journal for the restored database, in the place of one that is of no use: deletions from here on are noted.
fn begin_anew(
    dir: &Path,
    keeping: &Keeping,
    header: &Header,
    now: Wall,
) -> Result<(), RestoreError> {
    let journal = dir.join(super::journal::FILE);
    if keeping.journal.read(None).is_err() {
        gone(&journal)?;
    }
    keeping.journal.note_backup(&header.id, now, None)?;
    Ok(())
}

/// One restore at a time: its lock is on the configuration, which no restore touches.
fn alone(dir: &Path) -> Result<File, RestoreError> {
    let path = dir.join(CONFIG);
    let file = File::open(&path).map_err(|source| failed(&path, "read", source))?;
    file.try_lock().map_err(|source| failed(&path, "locked", source.into()))?;
    Ok(file)
}

fn not_serving(dir: &Path) -> Result<(), RestoreError> {
    match UnixStream::connect(dir.join(SOCKET)) {
        Ok(_) if !crate::sabotage::off("hub-restore-stopped") => Err(RestoreError::Serving),
        _ => Ok(()),
    }
}

fn gone(path: &Path) -> Result<(), RestoreError> {
    match remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(path, "removed", error))
        }
        _ => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_dir(path)
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> RestoreError {
    RestoreError::File { path: path.to_owned(), what, source }
}
