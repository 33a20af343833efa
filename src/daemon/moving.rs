//! A box without a disk: everything runs in RAM, and moves to the disk when one appears.
//!
//! What is moved is written under its own names, with the device key last, between two states of a marker. A
//! power cut before the key leaves a directory that the next start empties; one after it leaves a whole one. A
//! directory that already has a key is another state, perhaps of this very box before its disks were taken
//! out: it wins over a state in RAM that is registered nowhere, and nothing is ever written over it.

use super::journal;
use super::records::HOUSEHOLD;
use super::start::{RunError, Standing};
use crate::card::Warning;
use crate::identity::key::KEY_FILE;
use crate::platform::mounts;
use crate::platform::privilege::{self, PrivilegeError, User};
use crate::state::{Contents, StateDir, StateError};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// There while a state is being moved in.
const MARKER: &str = "moving";

/// Raised while nothing survives a power cut.
pub static VOLATILE: Warning = Warning {
    code: "daemon-volatile",
    title: "There is no disk to keep state on: it is lost with the power",
    hint: "qcloud-agent status",
};

/// Raised while the disk that appeared holds another device's state.
pub static CONFLICT: Warning = Warning {
    code: "daemon-conflict",
    title: "The disk that appeared holds another state than the one in use; neither was changed",
    hint: "qcloud-agent unregister",
};

/// Where state is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// In a directory on a disk.
    #[default]
    Disk,
    /// In a directory on a file system in RAM: it survives the process, not the box.
    Volatile,
    /// In this process.
    Memory,
}

/// Makes the state directory for its user, as root; where there is no place for one, state stays in memory.
///
/// # Errors
/// Of the hand-over, when a place for the directory is there.
pub(super) fn prepare(dir: &Path, user: User) -> Result<Place, RunError> {
    match privilege::hand_over(dir, user) {
        Ok(()) => Ok(look(dir)),
        Err(PrivilegeError::HandOver { source, .. }) if is_no_place(&source) && !has_key(dir) => {
            Ok(Place::Memory)
        }
        Err(error) => Err(error.into()),
    }
}

/// Where state of this directory would be, without making anything.
pub(super) fn look(dir: &Path) -> Place {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    if is_read_only(there) && !has_key(dir) {
        return Place::Memory;
    }
    match mounts::is_volatile(dir) {
        Ok(true) => Place::Volatile,
        Ok(false) | Err(_) => Place::Disk,
    }
}

fn is_read_only(dir: &Path) -> bool {
    mounts::is_read_only(dir).unwrap_or(false)
}

fn is_no_place(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound | ErrorKind::NotADirectory
    )
}

fn has_key(dir: &Path) -> bool {
    dir.join(KEY_FILE).exists()
}

/// Opens the state of a daemon where it is kept.
///
/// # Errors
/// Those of the state directory.
pub fn open(dir: &Path, place: Place) -> Result<StateDir, StateError> {
    match place {
        Place::Memory => Ok(StateDir::memory()),
        Place::Disk | Place::Volatile => StateDir::open(dir),
    }
}

/// The state on the disk that appeared, moved there unless the disk has its own; or the one from before, when
/// that failed.
pub fn move_to(dir: &Path, from: Arc<StateDir>, standing: &mut Standing) -> Arc<StateDir> {
    let moved = StateDir::open(dir).and_then(|to| move_in(&from, &to).map(|()| to));
    match moved {
        Ok(to) => {
            standing.place = Place::Disk;
            Arc::new(to)
        }
        Err(error) => {
            tracing::error!(%error, "the state could not be moved to the disk that appeared");
            from
        }
    }
}

/// Removes everything of a device that was reset; the next life is a new device's.
///
/// # Errors
/// Those of the state directory.
pub fn start_anew(state: &StateDir) -> Result<(), StateError> {
    if let Some(dir) = state.path()
        && let Err(source) = journal::forget(dir)
    {
        return Err(StateError::Io { tried: "empty", path: dir.join(journal::DIR), source });
    }
    wipe(state)
}

/// What there is to do now that the table of mounts changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appeared {
    /// Still no disk.
    Nothing,
    /// A disk that this state can move to, or whose own state serves from now on.
    Disk,
    /// A disk with a state of its own, while this one is registered.
    Conflict,
}

/// Looks whether a disk has appeared where the state directory belongs.
pub(super) fn appeared(dir: &Path, is_registered: bool) -> Appeared {
    match look(dir) {
        Place::Disk if is_torn(dir) || !has_key(dir) => Appeared::Disk,
        Place::Disk if is_registered => Appeared::Conflict,
        Place::Disk => Appeared::Disk,
        Place::Volatile | Place::Memory => Appeared::Nothing,
    }
}

fn is_torn(dir: &Path) -> bool {
    (0..2).any(|slot| dir.join(format!("{MARKER}.{slot}.json")).exists()) && !has_key(dir)
}

/// Moves a state to a directory that has none; one that has its own is left as it is.
///
/// # Errors
/// Those of the state directory. What was written by then is taken back by [`settle`].
pub(super) fn move_in(from: &StateDir, to: &StateDir) -> Result<(), StateError> {
    settle(to)?;
    if to.read_private(KEY_FILE)?.is_some() {
        tracing::info!("the state on the disk that appeared serves from now on");
        return Ok(());
    }
    write_until(from, to, usize::MAX)?;
    tracing::info!("the state moved from RAM to the disk that appeared");
    Ok(())
}

/// Writes everything, the key last; in tests, no more than so many files.
fn write_until(from: &StateDir, to: &StateDir, most: usize) -> Result<(), StateError> {
    let Contents { documents, files } = from.contents()?;
    let (key, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name == KEY_FILE);
    to.save(MARKER, &json!({ "moving": true }))?;
    let mut left = most;
    let mut may = || {
        left = left.saturating_sub(1);
        left > 0
    };
    for (name, body) in documents.iter().filter(|_| may()) {
        to.save(name, body)?;
    }
    for (name, bytes) in files.iter().chain(&key).filter(|_| may()) {
        to.write_once(name, bytes)?;
    }
    if may() { to.remove(MARKER) } else { Ok(()) }
}

/// Finishes or takes back a move that a power cut interrupted.
///
/// # Errors
/// Those of the state directory.
pub(super) fn settle(state: &StateDir) -> Result<(), StateError> {
    if state.path().is_none() || state.load(MARKER)?.is_none() {
        return Ok(());
    }
    if state.read_private(KEY_FILE)?.is_none() {
        tracing::warn!("a move to this disk was interrupted; what it left is removed");
        state.wipe(MARKER)?;
    }
    state.remove(MARKER)
}

/// Removes everything, the household last: it is what says that all of this is to go.
///
/// # Errors
/// Those of the state directory.
pub(super) fn wipe(state: &StateDir) -> Result<(), StateError> {
    state.remove(KEY_FILE)?;
    state.wipe(HOUSEHOLD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;

    fn in_ram() -> StateDir {
        let state = StateDir::memory();
        state.save(HOUSEHOLD, &json!({ "switches": { "ddns": true } })).unwrap();
        state.write_once("web.pem", b"a certificate").unwrap();
        state.append("ledger.jsonl", b"{}\n").unwrap();
        state.write_once(KEY_FILE, b"a key").unwrap();
        state
    }

    #[test]
    fn a_power_cut_at_any_file_leaves_nothing_or_everything() {
        let (from, dir) = (in_ram(), scratch("moving"));
        let wanted = from.contents().unwrap();
        let mut whole = 0;
        for most in 1..9 {
            let path = dir.join(most.to_string());
            let to = StateDir::open(&path).unwrap();
            write_until(&from, &to, most).unwrap();
            // The next start, with or without a state in RAM.
            settle(&to).unwrap();
            let left = to.contents().unwrap();
            assert!(left == Contents::default() || left == wanted, "after {most}: {left:?}");
            whole += usize::from(left == wanted);
            move_in(&from, &to).unwrap();
            assert_eq!(to.contents().unwrap(), wanted, "moved again after {most}");
        }
        assert!((1..8).contains(&whole), "{whole}");
    }

    #[test]
    fn a_disk_with_a_key_is_never_written_to() {
        let (from, dir) = (in_ram(), scratch("moving-other"));
        let to = StateDir::open(dir.join("state")).unwrap();
        to.write_once(KEY_FILE, b"another key").unwrap();
        let before = to.contents().unwrap();
        move_in(&from, &to).unwrap();
        assert_eq!(to.contents().unwrap(), before);
        assert_eq!(appeared(&dir.join("state"), true), Appeared::Conflict);
        assert_eq!(appeared(&dir.join("state"), false), Appeared::Disk);
        assert_eq!(appeared(&dir.join("new"), true), Appeared::Disk);
    }

    #[test]
    fn what_is_wiped_is_empty_but_for_what_is_locked() {
        let dir = scratch("wipe").join("state");
        let state = StateDir::open(&dir).unwrap();
        move_in(&in_ram(), &state).unwrap();
        state.save(HOUSEHOLD, &json!({ "reset": true })).unwrap();
        wipe(&state).unwrap();
        assert_eq!(state.contents().unwrap(), Contents::default());
        let names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["lock"]);
    }
}
