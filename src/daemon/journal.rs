//! The journal: the last panics of this agent, in a file that survives it.
//!
//! A panic of a feature costs that feature, one of the house the process; either leaves a line here, with the place
//! in the code, the callers and the end of the tape. What a signal ends leaves a record ([`crash`]). Both are
//! bounded, private, and read by nobody but a crash report of the owner's.

use super::tape::Tape;
use crate::clock::Clock;
use crate::platform::crash::{self, NEWEST};
use crate::wire::label::printable;
use serde_json::json;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError, TryLockError};

/// The directory in the state directory.
pub const DIR: &str = "crash";
/// The file of panics in it: a JSON object a line, the newest last.
pub const PANICS: &str = "panics.jsonl";
/// Panics that are kept.
const KEPT: usize = 16;
/// The longest message that is kept, in characters.
const MESSAGE: usize = 400;
/// Lines of the tape that go with a panic.
const TAPE: usize = 32;
/// The largest file that is read again; a line is below 8 KiB.
const MOST: u64 = 256 * 1024;
/// Records of signals that are kept: at most 100 KiB each.
pub const RECORDS: u64 = 4;

struct Place {
    dir: PathBuf,
    clock: Clock,
    tape: Tape,
}

static PLACE: Mutex<Option<Place>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Keeps a journal in this directory from here on: a later call changes where, and whose tape goes with it.
///
/// What the life before left as its newest record gets a place among the kept ones.
///
/// # Errors
/// The system's own. Without a journal the agent does its work all the same.
pub fn keep(state_dir: &Path, clock: &Clock, tape: &Tape) -> io::Result<()> {
    let dir = state_dir.join(DIR);
    // Made when there is something to keep: an agent that is well writes nothing.
    rotate(&dir)?;
    crash::install(&dir)?;
    let place = Place { dir, clock: clock.clone(), tape: tape.clone() };
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            before(panic);
            note(panic);
        }));
    });
    Ok(())
}

/// Removes what is kept below a state directory: the device that it is of is to be forgotten.
///
/// # Errors
/// The system's own. That there is nothing is none.
pub fn forget(state_dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(state_dir.join(DIR)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The name of a kept record; 0 is the newest.
pub fn record_name(number: u64) -> String {
    format!("{number}.crash")
}

fn rotate(dir: &Path) -> io::Result<()> {
    let newest = dir.join(NEWEST);
    if !newest.exists() {
        return Ok(());
    }
    for number in (1..RECORDS).rev() {
        let (from, to) = (dir.join(record_name(number - 1)), dir.join(record_name(number)));
        if from.exists() {
            std::fs::rename(from, to)?;
        }
    }
    std::fs::rename(newest, dir.join(record_name(0)))
}

/// Writes a line. It runs inside of a panic: nothing here may fail loudly, or wait.
fn note(panic: &PanicHookInfo<'_>) {
    let place = match PLACE.try_lock() {
        Ok(place) => place,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // Another thread panics just now.
        Err(TryLockError::WouldBlock) => return,
    };
    let Some(Place { dir, clock, tape }) = &*place else { return };
    let now = clock.now();
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let line = json!({
        "at": now.wall.rfc3339(),
        "boot_seconds": now.boot.0.as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "thread": std::thread::current().name().unwrap_or_default(),
        "place": panic.location().map(ToString::to_string),
        "message": printable(text.unwrap_or_default(), MESSAGE),
        "callers": crash::callers().iter().map(|at| format!("{at:#x}")).collect::<Vec<_>>(),
        "tape": tape.last(TAPE),
    });
    if let Err(error) = add(dir, &line.to_string()) {
        tracing::warn!(%error, "the panic could not be noted");
    }
}

/// Adds a line, and drops the oldest.
fn add(dir: &Path, line: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = dir.join(PANICS);
    let mut old = String::new();
    if let Ok(file) = std::fs::File::open(&path) {
        // One that is damaged begins anew.
        let _ = file.take(MOST).read_to_string(&mut old);
    }
    let lines: Vec<&str> = old.lines().collect();
    let kept = lines.iter().skip(lines.len().saturating_sub(KEPT - 1)).copied();
    let text: String = kept.chain([line]).flat_map(|line| [line, "\n"]).collect();
    let new = path.with_added_extension("tmp");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_newest_panics_and_records_are_kept_and_nobody_else_can_read_them() {
        let dir = scratch("journal");
        for number in 0..KEPT + 5 {
            add(&dir, &format!("{{\"n\":{number}}}")).unwrap();
        }
        let path = dir.join(PANICS);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), KEPT);
        assert!(text.starts_with("{\"n\":5}\n") && text.ends_with("{\"n\":20}\n"), "{text}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"\xff damaged").unwrap();
        add(&dir, "{}").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("{}\n"));
        for number in 0..RECORDS + 2 {
            std::fs::write(dir.join(NEWEST), number.to_string()).unwrap();
            rotate(&dir).unwrap();
        }
        let kept = (0..RECORDS).map(|n| std::fs::read_to_string(dir.join(record_name(n))).unwrap());
        assert_eq!(kept.collect::<Vec<_>>(), ["5", "4", "3", "2"]);
        assert!(!dir.join(record_name(RECORDS)).exists() && !dir.join(NEWEST).exists());
        rotate(&dir).unwrap();
    }
}
