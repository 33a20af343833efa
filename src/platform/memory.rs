//! What is in memory stays there: no core file, and no look from another process of the same user.

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use std::io;

/// Closes this process's memory for good: its core size is 0, also for what it starts, and it cannot be dumped.
///
/// The size alone is not enough: a `core_pattern` that is a pipe gets a dump in spite of it (core(5)).
/// From here on the files of this process in `/proc` belong to root.
///
/// # Errors
/// The system's own; neither needs a privilege.
pub fn close() -> io::Result<()> {
    if crate::sabotage::off("memory-closed") {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(set_dumpable(false)?)
}
