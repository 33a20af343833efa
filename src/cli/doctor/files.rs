//! What the files say: the configuration and the state directory.

use super::finding::Finding;
use crate::cli::print;
use crate::daemon::config;
use crate::daemon::feature::Row;
use crate::daemon::run::Options;
use crate::platform::mounts;
use crate::platform::root::Root;
use nix::sys::statvfs::{FsFlags, statvfs};
use serde_json::Value;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The state directory takes at most 2 MiB of ledger and a few KiB beside it.
const ENOUGH_BYTES: u64 = 4 * 1024 * 1024;

/// Whether the configuration can be used, as it stands on disk now.
pub(super) fn configuration(rows: &[Row], options: &Options) -> Finding {
    let what = "configuration";
    let named = options.config_path.as_deref();
    let root = Root::new(&options.root);
    let path = named.map_or_else(|| root.path(config::DEFAULT_PATH), PathBuf::from);
    let vendor_path = root.path(config::VENDOR_PATH);
    let vendor = if root.exists(config::VENDOR_PATH) {
        format!("; below it {}, of the firmware's maker", vendor_path.display())
    } else {
        String::new()
    };
    let shown = path.display();
    match config::load(named, &root, rows) {
        Ok(_) if path.exists() => Finding::ok(what, format!("{shown}{vendor}")),
        Ok(_) => Finding::ok(what, format!("{shown} does not exist: the defaults serve{vendor}")),
        Err(error) => {
            let hint = format!("mend the line, then: {}", error.hint());
            Finding::bad(what, print::chain(&error), &hint)
        }
    }
}

/// Who owns the state directory, whether it takes anything, and how much.
pub(super) fn state(options: &Options, daemon: Option<&Value>) -> Vec<Finding> {
    let what = "state directory";
    let dir = &options.state_dir;
    let shown = dir.display();
    let found = match dir.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::ok(what, format!("{shown} is made at the first start"))];
        }
        Err(error) => {
            let hint = format!("ls -ld {shown}");
            return vec![Finding::bad(
                what,
                format!("{shown} cannot be looked at: {error}"),
                &hint,
            )];
        }
    };
    let mode = found.mode() & 0o7777;
    let mut findings = Vec::new();
    if !found.is_dir() || mode & 0o077 != 0 {
        let text = format!("{shown} has mode {mode:04o}: others can look in");
        findings.push(Finding::bad(what, text, &format!("see who did, then: chmod 0700 {shown}")));
    } else {
        let text = format!("{shown}, of uid {}, mode {mode:04o}", found.uid());
        findings.push(Finding::ok(what, text));
    }
    findings.extend(strangers(dir, found.uid()));
    findings.push(space(dir, daemon.is_some()));
    findings
}

/// Files of another user, which the agent would refuse.
fn strangers(dir: &Path, uid: u32) -> Option<Finding> {
    let entries = dir.read_dir().ok()?.filter_map(Result::ok);
    let bad = |entry: &std::fs::DirEntry| {
        let found = entry.metadata().ok();
        found.is_some_and(|f| {
            let open = !f.file_type().is_socket() && f.mode() & 0o077 != 0;
            f.uid() != uid || open
        })
    };
    let names: Vec<_> =
        entries.filter(bad).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.is_empty() {
        return None;
    }
    let text = format!("of another user, or open to others: {}", names.join(", "));
    Some(Finding::bad("state files", text, &format!("ls -l {}", dir.display())))
}

fn space(dir: &Path, runs: bool) -> Finding {
    let what = "space";
    let shown = dir.display();
    let facts = match statvfs(dir) {
        Ok(facts) => facts,
        Err(error) => {
            return Finding::bad(what, format!("{shown}: {error}"), &format!("df {shown}"));
        }
    };
    if facts.flags().contains(FsFlags::ST_RDONLY) {
        let text = format!("{shown} is on a read-only file system: nothing new is kept");
        return Finding::bad(what, text, "mount -o remount,rw on its file system");
    }
    let (_, free) = mounts::room(&facts);
    let note = if runs { "" } else { "; whether it takes a file shows at the start" };
    if free < ENOUGH_BYTES {
        let text = format!("only {} KiB are free for {shown}", free / 1024);
        return Finding::bad(what, text, &format!("df {shown}"));
    }
    Finding::ok(what, format!("{} MiB free, writable{note}", free / (1024 * 1024)))
}
