//! Crashes of other programs: who takes the kernel's memory images, and what of them is kept.
//!
//! `core_pattern` is one line for the whole box. It is changed only when an administrator says so, only where nobody
//! else takes the images, and back to exactly what was found; what was found is on the disk before the line is
//! changed. The kernel forgets it with the next boot.

use super::mounts;
use super::root::Root;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::fstatvfs;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The hidden verb of the command line that the kernel starts.
pub const VERB: &str = "core-dump";
/// Where crashes are kept: root's alone.
pub const DIR: &str = "/var/lib/qcloud-cores";
/// The largest crash: some thirty stacks of 32 KiB, and the heads of others.
pub const MOST_BYTES: u64 = 1 << 20;
/// Crashes that are kept, and of one hour.
const KEPT: usize = 8;
const AN_HOUR: usize = 5;
/// What must stay free on the disk.
const FREE: u64 = 10 << 20;
/// The kernel's line.
const PATTERN: &str = "/proc/sys/kernel/core_pattern";
/// The longest line, `CORENAME_MAX_SIZE` of the kernel less its end.
const PATTERN_MOST: usize = 127;
const SETTINGS: &str = "settings.json";
/// The most of the settings that is read.
const SETTINGS_MOST: u64 = 64 * 1024;
/// The most programs that can be named.
pub const PROGRAMS: usize = 32;

/// What was found, and what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The kernel's line as it was.
    pub before: String,
    /// The programs whose crashes are kept, by name; none named is all.
    pub only: Vec<String>,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stands {
    /// Whether the kernel gives its images to this program.
    pub on: bool,
    /// The kernel's line.
    pub pattern: String,
    /// The programs whose crashes are kept; none named is all.
    pub only: Vec<String>,
    /// Crashes that are kept.
    pub kept: usize,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CoresError {
    /// Somebody else takes the images.
    #[error("another program takes memory images here: {}", .0.escape_debug())]
    Taken(String),
    /// The kernel would cut the line.
    #[error("{0} is too long for the kernel's line of 127 bytes")]
    TooLong(String),
    /// The system refused.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CoresError {
    move |source| CoresError::System { what, source }
}

/// How it stands.
///
/// # Errors
/// [`CoresError::System`] when the kernel's line cannot be read.
pub fn stands(root: &Root) -> Result<Stands, CoresError> {
    let pattern = pattern(root)?;
    let only = settings(root).map(|settings| settings.only).unwrap_or_default();
    Ok(Stands { on: is_ours(&pattern), pattern, only, kept: names(root).len() })
}

/// Has the kernel give its memory images to `program` from here on, until the next boot.
///
/// # Errors
/// [`CoresError`]; then the line is what it was.
pub fn on(root: &Root, program: &Path, only: &[String]) -> Result<Stands, CoresError> {
    let found = pattern(root)?;
    if !is_ours(&found) && found.starts_with('|') && !crate::sabotage::off("cores-taken") {
        return Err(CoresError::Taken(found));
    }
    // The name comes last and behind the two dashes: older kernels take it apart at its spaces.
    let line = format!("|{} {VERB} %P %s %t -- %e", program.display());
    if line.len() > PATTERN_MOST || line.contains('\n') {
        return Err(CoresError::TooLong(line));
    }
    let known = settings(root).filter(|_| is_ours(&found)).map(|settings| settings.before);
    let before = if is_ours(&found) { known.unwrap_or_else(|| "core".into()) } else { found };
    let settings = Settings { before: before.clone(), only: only.to_vec() };
    save(root, &settings).map_err(failed("keep what was found"))?;
    let written = write(root, &line).and_then(|()| {
        let now = pattern(root).map_err(io::Error::other)?;
        if now == line { Ok(()) } else { Err(io::Error::other("the kernel took another line")) }
    });
    if let Err(error) = written {
        // The line may be half of ours.
        let _ = write(root, &before);
        return Err(failed("change core_pattern")(error));
    }
    stands(root)
}

/// Puts the kernel's line back as it was found. One that somebody else has changed meanwhile stays as it is.
///
/// # Errors
/// [`CoresError::System`].
pub fn off(root: &Root) -> Result<Stands, CoresError> {
    if is_ours(&pattern(root)?) {
        let before = settings(root).map_or_else(|| "core".into(), |settings| settings.before);
        write(root, &before).map_err(failed("change core_pattern"))?;
    }
    match std::fs::remove_file(root.path(DIR).join(SETTINGS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("forget what was found")(error))
        }
        Ok(()) | Err(_) => stands(root),
    }
}

fn is_ours(pattern: &str) -> bool {
    let mut words = pattern.split(' ');
    words.next().is_some_and(|program| program.starts_with('|')) && words.next() == Some(VERB)
}

fn pattern(root: &Root) -> Result<String, CoresError> {
    let text = root.read(PATTERN, 4096).map_err(failed("read core_pattern"))?;
    let text =
        String::from_utf8(text).map_err(|e| failed("read core_pattern")(io::Error::other(e)))?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

fn write(root: &Root, line: &str) -> io::Result<()> {
    // In one call: the kernel takes each for a whole line.
    let mut file = OpenOptions::new().write(true).truncate(true).open(root.path(PATTERN))?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn settings(root: &Root) -> Option<Settings> {
    let text = root.read(&format!("{DIR}/{SETTINGS}"), SETTINGS_MOST).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The directory, made for its owner alone, and nobody else in it meanwhile.
fn dir(root: &Root) -> io::Result<Flock<File>> {
    let path = root.path(DIR);
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    let dir = File::open(&path)?;
    let found = dir.metadata()?;
    if found.uid() != nix::unistd::geteuid().as_raw() || found.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can reach into it"));
    }
    Flock::lock(dir, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

fn save(root: &Root, settings: &Settings) -> io::Result<()> {
    let dir = dir(root)?;
    put(root, SETTINGS, &serde_json::to_vec(settings)?)?;
    dir.sync_all()
}

fn put(root: &Root, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = root.path(DIR).join(name);
    let new = path.with_added_extension("tmp");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // A full disk is better off at once.
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    std::fs::rename(new, path)
}

/// Whether the crash of a program of this name is wanted.
pub fn is_wanted(root: &Root, name: &str) -> bool {
    let only = settings(root).map(|settings| settings.only).unwrap_or_default();
    only.is_empty() || only.iter().any(|wanted| *wanted == name)
}

/// The crashes that are kept, the oldest first: `SECONDS-PID-NAME.dmp`.
pub fn names(root: &Root) -> Vec<String> {
    let names = root.names(DIR).unwrap_or_default();
    names.into_iter().filter(|name| name.ends_with(".dmp") && seconds(name).is_some()).collect()
}

fn seconds(name: &str) -> Option<u64> {
    name.split('-').next()?.parse().ok()
}

/// Keeps a crash of `name` at `at` (Unix seconds), and gives the oldest up for it. `false` when there were enough of
/// them in this hour.
///
/// # Errors
/// The system's own; `StorageFull` when the disk would have too little room left.
pub fn keep(root: &Root, (at, pid, name): (u64, u32, &str), bytes: &[u8]) -> io::Result<bool> {
    let dir = dir(root)?;
    let known = names(root);
    let an_hour_ago = at.saturating_sub(3600);
    let lately = known.iter().filter(|name| seconds(name).is_some_and(|then| then > an_hour_ago));
    if lately.count() >= AN_HOUR && !crate::sabotage::off("cores-rate") {
        return Ok(false);
    }
    let (_, free) = mounts::room(&fstatvfs(&*dir)?);
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > MOST_BYTES || free < FREE.saturating_add(size) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let surplus = (known.len() + 1).saturating_sub(KEPT);
    for oldest in known.iter().take(surplus) {
        std::fs::remove_file(root.path(DIR).join(oldest))?;
    }
    // Whoever crashes chose the name.
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' };
    let name: String = name.chars().take(15).map(plain).collect();
    put(root, &format!("{at:010}-{pid}-{name}.dmp"), bytes)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::root::tests::scratch;
    use super::*;
    use std::path::PathBuf;

    fn tree(name: &str, pattern: &str) -> (Root, PathBuf) {
        let tree = scratch(name);
        let path = tree.join("proc/sys/kernel");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("core_pattern"), pattern).unwrap();
        (Root::new(&tree), path.join("core_pattern"))
    }

    #[test]
    fn the_kernels_line_is_put_back_as_it_was_found_whatever_happened_between() {
        let program = Path::new("/usr/bin/qcloud-agent");
        for found in ["core", "core\n", "/var/cores/%e.%p\n", "\n"] {
            let (root, path) = tree("cores-line", found);
            let before = found.trim_end_matches('\n');
            assert!(on(&root, program, &[]).unwrap().on);
            let line = std::fs::read_to_string(&path).unwrap();
            assert_eq!(line, "|/usr/bin/qcloud-agent core-dump %P %s %t -- %e\n");
            // Once more, with another choice: what was found is not lost.
            assert_eq!(on(&root, program, &["smbd".into()]).unwrap().only, ["smbd"]);
            assert!(is_wanted(&root, "smbd") && !is_wanted(&root, "nginx"));
            assert!(!off(&root).unwrap().on);
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end_matches('\n'), before);
            // A power cut after what was found is on the disk and before the line is changed.
            save(&root, &Settings { before: "nonsense".into(), only: Vec::new() }).unwrap();
            off(&root).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end_matches('\n'), before);
        }
    }

    #[test]
    fn a_line_of_somebody_elses_is_left_alone() {
        let other = "|/lib/systemd/systemd-coredump %P %u\n";
        let (root, path) = tree("cores-other", other);
        let error = on(&root, Path::new("/usr/bin/qcloud-agent"), &[]).unwrap_err();
        assert!(matches!(error, CoresError::Taken(_)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        off(&root).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        let long = PathBuf::from(format!("/{}", "a".repeat(120)));
        std::fs::write(&path, "core\n").unwrap();
        assert!(matches!(on(&root, &long, &[]), Err(CoresError::TooLong(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "core\n");
    }

    #[test]
    fn few_crashes_are_kept_and_no_more_than_some_an_hour() {
        let (root, _) = tree("cores-kept", "core\n");
        for number in 0..AN_HOUR {
            let at = 1_700_000_000 + u64::try_from(number).unwrap();
            assert!(keep(&root, (at, 7, "../../etc/x y"), b"crash").unwrap());
        }
        assert!(!keep(&root, (1_700_000_100, 7, "smbd"), b"crash").unwrap());
        assert_eq!(names(&root)[0], "1700000000-7-......etc.x.y.dmp");
        for number in 1..20 {
            assert!(keep(&root, (1_700_000_000 + number * 4000, 7, "smbd"), b"crash").unwrap());
        }
        let kept = names(&root);
        assert_eq!((kept.len(), &*kept[KEPT - 1]), (KEPT, "1700076000-7-smbd.dmp"));
        let large = vec![0; usize::try_from(MOST_BYTES + 1).unwrap()];
        assert!(keep(&root, (1_800_000_000, 7, "smbd"), &large).is_err());
    }
}
