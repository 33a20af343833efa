//! The journal of deletions: `deletions.journal`, beside the database and not in it, so that it survives a restore.
//!
//! One line for each deletion, only ever added: number, time, kind, keyed hash of what was deleted, time of the newest
//! backup, and a MAC over these and the MAC of the line before. A line that was changed, left out or moved does not
//! verify. Lines cut off the end leave a chain that does; the database knows how many there were.
//!
//! Several processes write it (a command beside the serving hub), one at a time by a lock on the file.

use super::end_of;
use crate::clock::Wall;
use crate::hub::seal::Seal;
use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name in the hub's directory.
pub const FILE: &str = "deletions.journal";
/// Longer than any line: two numbers, a word, two hashes.
const LONGEST: u64 = 512;
/// The kind of the first line of a file; it notes nothing.
const BEGIN: &str = "begin";
/// The kind of a line that notes a backup.
pub const BACKUP: &str = "backup";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refuses.
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
    /// There is none.
    #[error("{} is missing", .path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A line is not as it was written.
    #[error("line {line} of {} was changed or cut", .path.display())]
    Altered {
        /// Which.
        path: PathBuf,
        /// The first such line, from 1.
        line: usize,
    },
    /// The end is missing.
    #[error("{} ends at entry {found}; the database knows of entry {known}", .path.display())]
    Cut {
        /// Which.
        path: PathBuf,
        /// The last entry there.
        found: u64,
        /// The last one there was.
        known: u64,
    },
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up, over all that the file ever held.
    pub number: u64,
    /// When.
    pub at: Wall,
    /// What kind.
    pub kind: String,
    /// The keyed hash of what was deleted; the id of a backup.
    pub id: String,
    /// When the newest backup was made, as of this line.
    newest: Option<Wall>,
}

/// The journal of one hub.
pub struct Journal {
    path: PathBuf,
    key: hmac::Key,
}

impl Entry {
    fn text(&self) -> String {
        let Self { number, at, kind, id, newest } = self;
        let newest = newest.map_or(0, Wall::unix_seconds);
        format!("{number} {} {kind} {id} {newest}", at.unix_seconds())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (count, at) = (number()?, number()?);
        let (kind, id) = (words.next()?.to_owned(), words.next()?.to_owned());
        let newest = words.next()?.parse::<u64>().ok()?;
        let newest = (newest > 0).then(|| Wall::from_unix_seconds(newest));
        let at = Wall::from_unix_seconds(at);
        words.next().is_none().then_some(Self { number: count, at, kind, id, newest })
    }
}

impl Journal {
    /// That of a hub's directory; nothing is made or read yet.
    pub fn new(dir: &Path, seal: &Seal) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &seal.index("journal.mac", ""));
        Self { path: dir.join(FILE), key }
    }

    /// Adds a line unless no backup could bring it back; its number then.
    ///
    /// # Errors
    /// [`JournalError`]; nothing was added then.
    pub fn note(&self, kind: &str, id: &str, now: Wall) -> Result<Option<u64>, JournalError> {
        let Some(mut file) = self.lock(None)? else { return Ok(None) };
        let (last, mac) = self.last(&mut file)?;
        let Some(newest) = last.newest.filter(|newest| end_of(*newest) > now) else {
            return Ok(None);
        };
        self.add(&mut file, &last, &mac, (kind, id), Some(newest), now).map(Some)
    }

    /// Notes a backup that is about to be made; from here on deletions are noted. The number of its line. A journal
    /// that begins by this begins behind the entry that the database knows of.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn note_backup(
        &self,
        id: &str,
        now: Wall,
        known: Option<u64>,
    ) -> Result<u64, JournalError> {
        let first = known.unwrap_or_default();
        let Some(mut file) = self.lock(Some(first))? else { return Err(self.missing()) };
        let (last, mac) = self.last(&mut file)?;
        self.add(&mut file, &last, &mac, (BACKUP, id), Some(now), now)
    }

    /// When the newest backup that is still good was made.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn newest_backup(&self, now: Wall) -> Result<Option<Wall>, JournalError> {
        let Some(mut file) = self.lock(None)? else { return Ok(None) };
        let (last, _) = self.last(&mut file)?;
        Ok(last.newest.filter(|newest| end_of(*newest) > now))
    }

    /// All lines, verified; `known` is the number that the database knows of.
    ///
    /// # Errors
    /// [`JournalError`], for a file that is missing, altered or cut as well.
    pub fn read(&self, known: Option<u64>) -> Result<Vec<Entry>, JournalError> {
        let mut file = self.lock(None)?.ok_or_else(|| self.missing())?;
        let all = self.verified(&mut file)?;
        let found = all.last().map_or(0, |entry| entry.number);
        match known.filter(|known| *known > found) {
            Some(known) => Err(JournalError::Cut { path: self.path.clone(), found, known }),
            None => Ok(all),
        }
    }

    /// Drops the lines that no good backup can need any more; how many.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn sweep(&self, now: Wall) -> Result<usize, JournalError> {
        let Some(mut file) = self.lock(None)? else { return Ok(0) };
        let all = self.verified(&mut file)?;
        let old = |entry: &&Entry| entry.kind == BEGIN || end_of(entry.at) <= now;
        let over = all.iter().take_while(old).count();
        let dropped = over.saturating_sub(1);
        let Some(begin) = over.checked_sub(1).and_then(|at| all.get(at)) else { return Ok(0) };
        if dropped == 0 {
            return Ok(0);
        }
        let begin = Entry { kind: BEGIN.into(), id: "-".into(), ..begin.clone() };
        let (mut text, mut mac) = (String::new(), String::new());
        for entry in [&begin].into_iter().chain(all.iter().skip(over)) {
            mac = self.mac(&mac, &entry.text());
            text += &format!("{} {mac}\n", entry.text());
        }
        self.replace(&text).map_err(|source| self.failed("written", source))?;
        Ok(dropped)
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let fresh = self.path.with_extension("fresh");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rename(&fresh, &self.path)?;
        sync_dir(&self.path)
    }

    /// The file, locked until it is dropped. Without a number to make one with, `None` when there is none.
    fn lock(&self, make: Option<u64>) -> Result<Option<File>, JournalError> {
        loop {
            let mut options = OpenOptions::new();
            let options = options.read(true).append(true).create(make.is_some()).mode(0o600);
            let mut file = match options.open(&self.path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(self.failed("opened", source)),
            };
            file.lock().map_err(|source| self.failed("locked", source))?;
            // A sweep may have put another file in its place meanwhile.
            let opened = file.metadata().map_err(|source| self.failed("read", source))?;
            if std::fs::metadata(&self.path).is_ok_and(|there| there.ino() == opened.ino()) {
                if opened.len() == 0 {
                    self.begin(&mut file, make.unwrap_or_default())?;
                }
                return Ok(Some(file));
            }
        }
    }

    fn begin(&self, file: &mut File, number: u64) -> Result<(), JournalError> {
        let (kind, id) = (BEGIN.into(), "-".into());
        let first = Entry { number, at: Wall::default(), kind, id, newest: None };
        self.append(file, &first, "")?;
        sync_dir(&self.path).map_err(|source| self.failed("made", source))
    }

    fn add(
        &self,
        file: &mut File,
        last: &Entry,
        mac: &str,
        (kind, id): (&str, &str),
        newest: Option<Wall>,
        now: Wall,
    ) -> Result<u64, JournalError> {
        let number = last.number.saturating_add(1);
        let entry = Entry { number, at: now, kind: kind.into(), id: id.into(), newest };
        self.append(file, &entry, mac)?;
        Ok(number)
    }

    fn append(&self, file: &mut File, entry: &Entry, before: &str) -> Result<(), JournalError> {
        let text = entry.text();
        let line = format!("{text} {}\n", self.mac(before, &text));
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|source| self.failed("written", source))
    }

    /// The last line and its MAC. A line that was begun and not ended was never acknowledged, and is cut off.
    fn last(&self, file: &mut File) -> Result<(Entry, String), JournalError> {
        let read = |file: &mut File| -> io::Result<(u64, Vec<u8>)> {
            let length = file.seek(SeekFrom::End(0))?;
            let from = file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok((from, bytes))
        };
        let (from, mut bytes) = read(file).map_err(|source| self.failed("read", source))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            tracing::warn!("a line of the journal of deletions was not ended, and is dropped");
            let length = from.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
            let cut = file.set_len(length).and_then(|()| file.sync_all());
            cut.map_err(|source| self.failed("repaired", source))?;
            bytes.truncate(whole);
        }
        let text = String::from_utf8_lossy(&bytes);
        let split = text.lines().last().and_then(|line| line.rsplit_once(' '));
        let found = split.and_then(|(text, mac)| Some((Entry::parse(text)?, mac.to_owned())));
        found.ok_or_else(|| JournalError::Altered { path: self.path.clone(), line: 1 })
    }

    fn verified(&self, file: &mut File) -> Result<Vec<Entry>, JournalError> {
        let mut text = String::new();
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
        read.map_err(|source| self.failed("read", source))?;
        let (mut all, mut before) = (Vec::<Entry>::new(), String::new());
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let altered = || JournalError::Altered { path: self.path.clone(), line: at + 1 };
            let line = line.strip_suffix('\n').ok_or_else(altered)?;
            let (text, mac) = line.rsplit_once(' ').ok_or_else(altered)?;
            let entry = Entry::parse(text).ok_or_else(altered)?;
            let follows = all.last().map_or(entry.kind == BEGIN, |last| {
                entry.kind != BEGIN && entry.number == last.number.saturating_add(1)
            });
            let bytes = BASE64URL_NOPAD.decode(mac.as_bytes()).map_err(|_| altered())?;
            let signed = hmac::verify(&self.key, &chained(&before, text), &bytes).is_ok();
            if !(follows && signed || crate::sabotage::off("hub-journal-mac")) {
                return Err(altered());
            }
            before = mac.into();
            all.push(entry);
        }
        Ok(all)
    }

    fn mac(&self, before: &str, text: &str) -> String {
        BASE64URL_NOPAD.encode(hmac::sign(&self.key, &chained(before, text)).as_ref())
    }

    fn missing(&self) -> JournalError {
        JournalError::Missing { path: self.path.clone() }
    }

    fn failed(&self, what: &'static str, source: io::Error) -> JournalError {
        JournalError::File { path: self.path.clone(), what, source }
    }
}

fn chained(before: &str, text: &str) -> Vec<u8> {
    [before.as_bytes(), b"\n", text.as_bytes()].concat()
}

/// Has the entry of a file in its directory on disk.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
