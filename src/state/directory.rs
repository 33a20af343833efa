//! State in a directory: the order of system calls that a power cut cannot break.

use super::document::{self, Read};
use super::watch::{Change, Watch};
use super::{Contents, Loaded, MAX_FILE, StateError};
use crate::platform::root::Root;
use core::time::Duration;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use serde_json::Value;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The permissions of others, and of the group.
const OTHERS: u32 = 0o077;

/// How often the lock is tried, and the pause between: `status` of an agent that does not run holds it for some
/// milliseconds, and must not keep the agent from starting just then.
const LOCK_TRIES: usize = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Directory {
    path: PathBuf,
    watch: Watch,
    /// Itself, whatever is mounted over its path.
    opened: File,
    _lock: Flock<File>,
}

/// One step of putting a file in place. A crash may come between any two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A temporary file of an earlier crash goes.
    Clear,
    /// A new one is made, exclusively.
    Create,
    /// It is filled.
    Write,
    /// Its bytes are on the disk.
    SyncFile,
    /// It takes its name.
    Rename,
    /// The name is on the disk.
    SyncDirectory,
}

pub(super) const STEPS: &[Step] =
    &[Step::Clear, Step::Create, Step::Write, Step::SyncFile, Step::Rename, Step::SyncDirectory];

impl Directory {
    pub(super) fn open(path: &Path, watch: Watch) -> Result<Self, StateError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(failed("make", path))?;
        let open = |path: &Path, flags: OFlag| {
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
        };
        // A link is followed here: systemd's StateDirectory= is one. What it leads to is what counts.
        let opened = open(path, OFlag::O_DIRECTORY).map_err(failed("open", path))?;
        let found = opened.metadata().map_err(failed("open", path))?;
        refuse_unsafe(path, &found, "directory", 0o700)?;
        let lock_path = path.join("lock");
        match lock_soon(lock_file(&lock_path).map_err(failed("open", &lock_path))?) {
            Ok(lock) => Ok(Self { path: path.into(), watch, opened, _lock: lock }),
            Err(Errno::EWOULDBLOCK) => Err(StateError::Busy { path: path.into() }),
            Err(errno) => Err(failed("lock", &lock_path)(errno.into())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses to write into another directory than the one that was opened.
    fn still_there(&self) -> Result<(), StateError> {
        let failed = failed("look at", &self.path);
        let (now, then) = (self.path.metadata(), self.opened.metadata().map_err(failed)?);
        let same = |now: Metadata| (now.dev(), now.ino()) == (then.dev(), then.ino());
        if now.is_ok_and(same) { Ok(()) } else { Err(StateError::Gone { path: self.path.clone() }) }
    }

    /// The names in it, but for the lock, the socket and what a crash left.
    fn names(&self, dir: &Path) -> Result<Vec<String>, StateError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed("list", &self.path))? {
            let entry = entry.map_err(failed("list", &self.path))?;
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            let name = entry.file_name().into_string();
            names.extend(name.ok().filter(|name| is_file && name != "lock"));
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn contents(&self) -> Result<Contents, StateError> {
        // By way of the descriptor, since something else may be at the path by now.
        let descriptor = self.opened.as_raw_fd();
        let path = Root::system().path(&format!("/proc/self/fd/{descriptor}"));
        let mut contents = Contents::default();
        for name in self.names(&path)? {
            if name.ends_with(".tmp") {
                continue;
            }
            match name.strip_suffix(".json").and_then(|name| name.rsplit_once('.')) {
                Some((document, "0" | "1")) => {
                    let known = contents.documents.iter().any(|(known, _)| known == document);
                    if let Some((_, _, found)) = newest(&path, document)?.filter(|_| !known) {
                        contents.documents.push((document.to_owned(), found.body));
                    }
                }
                Some(_) | None => {
                    if let Some(bytes) = read(&path.join(&name))? {
                        contents.files.push((name, bytes));
                    }
                }
            }
        }
        Ok(contents)
    }

    pub(super) fn wipe(&self, last: &str) -> Result<(), StateError> {
        self.still_there()?;
        let kept = [0, 1].map(|slot| format!("{last}.{slot}.json"));
        for name in self.names(&self.path)?.into_iter().filter(|name| !kept.contains(name)) {
            let path = self.path.join(name);
            self.clear(&path).map_err(failed("remove", &path))?;
        }
        self.sync()
    }

    pub(super) fn load(&self, name: &str) -> Result<Option<Loaded>, StateError> {
        Ok(newest(&self.path, name)?.map(|(_, _, loaded)| loaded))
    }

    pub(super) fn save(&self, name: &str, body: &Value) -> Result<(), StateError> {
        self.save_until(name, body, STEPS)
    }

    /// Saves as far as the given steps go; all of them, but in tests.
    pub(super) fn save_until(
        &self,
        name: &str,
        body: &Value,
        steps: &[Step],
    ) -> Result<(), StateError> {
        let (number, generation) = match newest(&self.path, name)? {
            Some((_, _, loaded)) if loaded.damaged.is_none() && loaded.body == *body => {
                return Ok(());
            }
            // Never over the newest good one.
            Some((number, generation, _)) => (1 - number, generation.saturating_add(1)),
            None => (0, 1),
        };
        self.still_there()?;
        let target = slot(&self.path, name, number);
        self.put(&target, &document::encode(generation, body), steps)
    }

    pub(super) fn write_once(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.still_there()?;
        let target = self.path.join(name);
        // The lock keeps other processes out, so what is not there now is not there at the rename.
        match target.symlink_metadata() {
            Ok(_) => Err(StateError::Exists { path: target }),
            Err(error) if is_missing(&error) => self.put(&target, bytes, STEPS),
            Err(error) => Err(failed("look at", &target)(error)),
        }
    }

    pub(super) fn read_private(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        read(&self.path.join(name))
    }

    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.still_there()?;
        let path = self.path.join(name);
        let failed = failed("append to", &path);
        (self.watch)(Change::Create(&path)).map_err(&failed)?;
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(&failed)?;
        let before = file.metadata().map_err(&failed)?;
        refuse_unsafe(&path, &before, "file", 0o600)?;
        let written = (self.watch)(Change::Write(&path, bytes))
            .and_then(|()| file.write_all(bytes))
            .and_then(|()| (self.watch)(Change::SyncFile(&path)))
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // A torn line would read as tampering. Cutting a file needs no space.
            let _ = (self.watch)(Change::Cut(&path, before.len()))
                .and_then(|()| file.set_len(before.len()));
            return Err(failed(error));
        }
        if before.len() == 0 { self.sync() } else { Ok(()) }
    }

    pub(super) fn cut(&self, name: &str, to_bytes: u64) -> Result<(), StateError> {
        let path = self.path.join(name);
        let failed = failed("cut", &path);
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(&failed)?;
        (self.watch)(Change::Cut(&path, to_bytes))
            .and_then(|()| file.set_len(to_bytes))
            .and_then(|()| (self.watch)(Change::SyncFile(&path)))
            .and_then(|()| file.sync_all())
            .map_err(failed)
    }

    pub(super) fn rotate(&self, name: &str, most_bytes: u64) -> Result<bool, StateError> {
        let path = self.path.join(name);
        match path.symlink_metadata() {
            Ok(found) if found.len() > most_bytes => {}
            Ok(_) => return Ok(false),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => return Err(failed("look at", &path)(error)),
        }
        let old = self.path.join(format!("{name}.1"));
        self.rename(&path, &old).map_err(failed("rename", &path))?;
        self.sync().map(|()| true)
    }

    pub(super) fn replace(&self, name: &str, by: &str) -> Result<(), StateError> {
        let (target, path) = (self.path.join(name), self.path.join(by));
        let failed = failed("replace", &target);
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        // Held open, so that it can be overwritten once nothing leads to it any more, and not before.
        let old = match OpenOptions::new().write(true).custom_flags(flags.bits()).open(&target) {
            Ok(file) => Some(file),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        self.rename(&path, &target).map_err(failed)?;
        self.sync()?;
        if let Some(mut old) = old
            && let Err(error) = (self.watch)(Change::Wipe).and_then(|()| wipe(&mut old))
        {
            tracing::warn!(%error, name, "what stood in this file before could not be overwritten");
        }
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), StateError> {
        let [first, second] = [slot(&self.path, name, 0), slot(&self.path, name, 1)];
        let mut all = vec![self.path.join(name), self.path.join(format!("{name}.1"))];
        all.extend([temporary(&first), temporary(&second), first, second]);
        for path in all {
            self.clear(&path).map_err(failed("remove", &path))?;
        }
        self.sync()
    }

    /// Puts a file in place, whole or not at all.
    fn put(&self, target: &Path, bytes: &[u8], steps: &[Step]) -> Result<(), StateError> {
        let temporary = temporary(target);
        let mut file: Option<File> = None;
        for step in steps {
            let done = match step {
                Step::Clear => self.clear(&temporary),
                Step::Create => self.create(&temporary).map(|made| file = Some(made)),
                Step::Write => file.as_mut().map_or(Ok(()), |file| {
                    (self.watch)(Change::Write(&temporary, bytes))?;
                    file.write_all(bytes)
                }),
                Step::SyncFile => file.as_ref().map_or(Ok(()), |file| {
                    (self.watch)(Change::SyncFile(&temporary))?;
                    file.sync_all()
                }),
                Step::Rename => self.rename(&temporary, target),
                Step::SyncDirectory => return self.sync(),
            };
            if let Err(error) = done {
                // The next save would clear it too; a full disk is better off at once.
                let _ = self.clear(&temporary);
                return Err(failed("write", target)(error));
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StateError> {
        (self.watch)(Change::SyncDirectory(&self.path))
            .and_then(|()| File::open(&self.path))
            .and_then(|directory| directory.sync_all())
            .map_err(failed("write", &self.path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        (self.watch)(Change::Create(path))?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.watch)(Change::Rename(from, to))?;
        std::fs::rename(from, to)
    }

    fn clear(&self, path: &Path) -> io::Result<()> {
        (self.watch)(Change::Remove(path))?;
        match std::fs::remove_file(path) {
            Err(error) if !is_missing(&error) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Overwrites a file with zeros, down to the disk.
fn wipe(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len().min(MAX_FILE);
    io::copy(&mut io::repeat(0).take(length), file)?;
    file.sync_all()
}

fn slot(dir: &Path, name: &str, slot: u64) -> PathBuf {
    dir.join(format!("{name}.{slot}.json"))
}

/// Slot, generation and content of the newest generation that holds.
fn newest(dir: &Path, name: &str) -> Result<Option<(u64, u64, Loaded)>, StateError> {
    let paths = [slot(dir, name, 0), slot(dir, name, 1)];
    let mut best: Option<(u64, u64, Value)> = None;
    let mut damage = Vec::new();
    for (slot, path) in [0, 1].into_iter().zip(&paths) {
        match read_document(path)? {
            Read::Missing => {}
            Read::Future { schema } => {
                return Err(StateError::Future { path: path.clone(), schema });
            }
            Read::Bad(why) => damage.push(format!("{}: {why}", path.display())),
            Read::Good { generation, body } => {
                if best.as_ref().is_none_or(|(_, newest, _)| generation > *newest) {
                    best = Some((slot, generation, body));
                }
            }
        }
    }
    let damaged = Some(damage.join("; ")).filter(|text| !text.is_empty());
    match (best, damaged) {
        (Some((slot, generation, body)), damaged) => {
            Ok(Some((slot, generation, Loaded { body, damaged })))
        }
        (None, None) => Ok(None),
        (None, Some(why)) => {
            let [first, second] = paths;
            Err(StateError::Damaged { first, second, why })
        }
    }
}

fn temporary(target: &Path) -> PathBuf {
    target.with_added_extension("tmp")
}

fn read_document(path: &Path) -> Result<Read, StateError> {
    match read(path) {
        Ok(None) => Ok(Read::Missing),
        Ok(Some(bytes)) => Ok(document::decode(&bytes)),
        // A block that the disk no longer gives is damage like any other.
        Err(StateError::Io { source, .. }) if is_damage(&source) => {
            Ok(Read::Bad(source.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw) == Some(Errno::EIO)
        || error.kind() == io::ErrorKind::FileTooLarge
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    refuse_unsafe(path, &file.metadata().map_err(failed("read", path))?, "file", 0o600)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(failed("read", path)(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(bytes))
}

/// Refuses what is no such thing, belongs to another user, or is open to others.
fn refuse_unsafe(
    path: &Path,
    found: &Metadata,
    kind: &str,
    wanted_mode: u32,
) -> Result<(), StateError> {
    let us = nix::unistd::geteuid().as_raw();
    let is_kind = if kind == "directory" { found.is_dir() } else { found.is_file() };
    if is_kind && found.uid() == us && found.mode() & OTHERS == 0 {
        return Ok(());
    }
    let is = if found.is_dir() {
        "directory"
    } else if found.is_file() {
        "file"
    } else {
        "special file"
    };
    Err(StateError::Unsafe {
        path: path.into(),
        found: format!("a {is} of uid {} with mode {:04o}", found.uid(), found.mode() & 0o7777),
        wanted: format!("a {kind} of uid {us} with mode {wanted_mode:04o}"),
    })
}

fn failed(tried: &'static str, path: &Path) -> impl Fn(io::Error) -> StateError {
    let path = path.to_path_buf();
    move |source| StateError::Io { tried, path: path.clone(), source }
}

/// Opened for reading: a file that is open for writing would keep its volume from being made read-only.
fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let open = || options.clone().read(true).open(path);
    match open() {
        Err(error) if is_missing(&error) => {
            // Not exclusively: another process may make it at the same time, and one of the two gets the lock.
            options.clone().write(true).create(true).truncate(false).open(path)?;
            open()
        }
        opened => opened,
    }
}

fn lock_soon(mut file: File) -> Result<Flock<File>, Errno> {
    for _ in 1..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            outcome => return outcome.map_err(|(_, errno)| errno),
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}
