//! [`Root`]: the `--root` prefix, and the only maker of absolute system paths.
//!
//! With a prefix, the tree below it is somebody else's box seen on this one: a link in it is resolved
//! inside the tree, as that box would, and never leads out of it. The kernel does that (`openat2` with
//! `RESOLVE_IN_ROOT`, Linux 5.6); an older one gets the same rule walked component by component, which
//! is sound as long as nobody changes the tree meanwhile.

use crate::secret::Secret;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroize;

/// The bits of a mode that a secret must not have.
const OTHERS: u32 = 0o077;

/// The most symbolic links one path may lead through, as in the kernel (`path_resolution(7)`).
const MOST_LINKS: usize = 40;
/// The most names of one directory that are looked at.
const MOST_NAMES: usize = 65_536;

/// Where the system's files are: `/`, or the file tree of a box below some directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// The file tree of a box below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The running system.
    pub fn system() -> Self {
        Self::new("/")
    }

    /// Whether this is the running system, so that what is asked of the kernel fits what is read.
    pub fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The place of a system path below this root. Links are not looked at; `..` stays inside.
    pub fn path(&self, absolute: &str) -> PathBuf {
        let mut path = self.0.clone();
        for part in normal_parts(absolute) {
            path.push(part);
        }
        path
    }

    /// Reads a file of at most `cap_bytes`.
    ///
    /// # Errors
    /// The system's own; `FileTooLarge` above the cap; `InvalidInput` for what is no regular file. No
    /// link leads out of the root, and opening never blocks (a FIFO).
    pub fn read(&self, absolute: &str, cap_bytes: u64) -> io::Result<Vec<u8>> {
        // Looked at before it is opened: opening a device can do something, such as arm a watchdog.
        regular(&self.open(absolute, OFlag::O_PATH)?)?;
        let file = self.open(absolute, OFlag::O_NONBLOCK)?;
        read_capped(file, cap_bytes)
    }

    /// Reads a text of at most `cap_bytes`; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`Root::read`].
    pub fn read_text(&self, absolute: &str, cap_bytes: u64) -> io::Result<String> {
        self.read(absolute, cap_bytes).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Reads a text of at most `cap_bytes` that is a secret.
    ///
    /// # Errors
    /// As [`Root::read`]; `PermissionDenied` when its group or others may do anything with it; `InvalidData` for
    /// what is no UTF-8.
    pub fn read_private(&self, absolute: &str, cap_bytes: u64) -> io::Result<Secret<String>> {
        let file = self.open(absolute, OFlag::O_NONBLOCK)?;
        let mode = file.metadata()?.mode() & 0o7777;
        if mode & OTHERS != 0 && !crate::sabotage::off("private-file") {
            let what = format!("its mode is {mode:04o} and must be 0600: others can read it");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        let mut bytes = read_capped(file, cap_bytes)?;
        let text = core::str::from_utf8(&bytes).map(|text| Secret::new(text.to_owned()));
        bytes.zeroize();
        text.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }

    /// The names in a directory, in order, at most 65,536; names that are no UTF-8 are left out.
    ///
    /// # Errors
    /// The system's own.
    pub fn names(&self, absolute: &str) -> io::Result<Vec<String>> {
        let mut directory = Dir::from_fd(self.open(absolute, OFlag::O_DIRECTORY)?.into())?;
        let mut names = Vec::new();
        for entry in directory.iter().take(MOST_NAMES) {
            let entry = entry?;
            let name = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | ".."));
            names.extend(name.map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file to be read piece by piece; its links are followed inside the root.
    ///
    /// # Errors
    /// The system's own; `InvalidInput` for what is no regular file. Opening never blocks.
    pub fn open_file(&self, absolute: &str) -> io::Result<File> {
        regular(&self.open(absolute, OFlag::O_PATH)?)?;
        let file = self.open(absolute, OFlag::O_NONBLOCK)?;
        regular(&file)?;
        Ok(file)
    }

    /// Opens the ring of the kernel's messages, a record for each read, which never waits for the next.
    ///
    /// # Errors
    /// The system's own; `NotFound` for a file tree, which has none.
    pub fn kernel_log(&self) -> io::Result<File> {
        if !self.is_live() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.open("/dev/kmsg", OFlag::O_NONBLOCK)
    }

    /// Opens a device of the running system to be asked about, never waiting for it.
    ///
    /// # Errors
    /// The system's own; `NotFound` for a file tree, `InvalidInput` for what is no device.
    pub fn device(&self, absolute: &str) -> io::Result<File> {
        if !self.is_live() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Looked at before it is opened: a FIFO would wait.
        let kind = self.open(absolute, OFlag::O_PATH | OFlag::O_NOFOLLOW)?.metadata()?.file_type();
        if !kind.is_char_device() && !kind.is_block_device() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a device"));
        }
        self.open(absolute, OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW)
    }

    /// Opens a regular file below a directory, where no part of `relative` is a link: for directories that others
    /// than root write to.
    ///
    /// # Errors
    /// The system's own, `ELOOP` for a link; `InvalidInput` for what is no regular file. Opening never blocks.
    pub fn open_below(&self, dir: &str, relative: &Path) -> io::Result<File> {
        let dir = self.open(dir, OFlag::O_DIRECTORY)?;
        regular(&beneath(&dir, relative, OFlag::O_PATH)?)?;
        let file = beneath(&dir, relative, OFlag::O_NONBLOCK)?;
        regular(&file)?;
        Ok(file)
    }

    /// The names in a directory below another, as [`Root::open_below`] finds it, in order, at most 65,536.
    ///
    /// # Errors
    /// The system's own.
    pub fn names_below(&self, dir: &str, relative: &Path) -> io::Result<Vec<OsString>> {
        let dir = self.open(dir, OFlag::O_DIRECTORY)?;
        let dir = if relative.as_os_str().is_empty() {
            dir
        } else {
            beneath(&dir, relative, OFlag::O_DIRECTORY)?
        };
        let mut directory = Dir::from_fd(dir.into())?;
        let mut names = Vec::new();
        for entry in directory.iter().take(MOST_NAMES) {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is anything at a path, its last link followed; no also when it may not be looked at.
    pub fn exists(&self, absolute: &str) -> bool {
        self.open(absolute, OFlag::O_PATH).is_ok()
    }

    /// Where a symbolic link points to, as it is written; what is no UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// The system's own, `ENOENT` for what is no link.
    pub fn link(&self, absolute: &str) -> io::Result<String> {
        let link = self.open(absolute, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        Ok(readlinkat(link, "")?.to_string_lossy().into_owned())
    }

    fn open(&self, absolute: &str, flags: OFlag) -> io::Result<File> {
        if self.is_live() {
            return open_plain(&self.path(absolute), flags);
        }
        let root = open_plain(&self.0, OFlag::O_DIRECTORY)?;
        // The dot is for the root itself: the kernel knows no empty path.
        let relative = Path::new(".").join(normal_parts(absolute).collect::<PathBuf>());
        // openat2(2) refuses flags that mean nothing for a mere path.
        let tty = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NOCTTY };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | tty | flags)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&root, &relative, how) {
            Ok(fd) => Ok(File::from(fd)),
            // Older kernels do not know the call; sandboxes of that age forbid what they do not know.
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let last = relative.file_name().filter(|_| flags.contains(OFlag::O_NOFOLLOW));
                let path = match (last, relative.parent().and_then(Path::to_str)) {
                    (Some(last), Some(parent)) => self.resolve(parent)?.join(last),
                    _ => self.resolve(absolute)?,
                };
                open_plain(&path, flags)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Follows every link of a path inside the root, the last component's too.
    fn resolve(&self, absolute: &str) -> io::Result<PathBuf> {
        let mut todo: VecDeque<OsString> = normal_parts(absolute).collect();
        let mut done: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                done.pop();
                continue;
            }
            let here = self.0.join(done.iter().collect::<PathBuf>()).join(&part);
            if !std::fs::symlink_metadata(&here)?.is_symlink() {
                done.push(part);
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let target = std::fs::read_link(&here)?;
            if target.is_absolute() {
                done.clear();
            }
            for step in target.components().rev() {
                match step {
                    Component::Normal(name) => todo.push_front(name.to_owned()),
                    Component::ParentDir => todo.push_front("..".into()),
                    Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                }
            }
        }
        Ok(self.0.join(done.iter().collect::<PathBuf>()))
    }
}

/// Refuses what is no regular file.
fn regular(file: &File) -> io::Result<()> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    file.metadata()?.is_file().then_some(()).ok_or_else(odd)
}

/// Opens a path below a directory without following any link, by the kernel or part by part.
fn beneath(dir: &File, relative: &Path, flags: OFlag) -> io::Result<File> {
    let base = OFlag::O_RDONLY | OFlag::O_CLOEXEC | flags;
    let tty = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NOCTTY };
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(dir, relative, OpenHow::new().flags(base | tty).resolve(resolve)) {
        Ok(fd) => return Ok(File::from(fd)),
        Err(Errno::ENOSYS | Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    part_by_part(dir, relative, base | tty)
}

/// As [`beneath`], for kernels before 5.6: each part is opened by itself, and may be no link.
fn part_by_part(dir: &File, relative: &Path, flags: OFlag) -> io::Result<File> {
    let mut here = dir.try_clone()?;
    let parts: Vec<_> = relative.components().collect();
    for (number, part) in parts.iter().enumerate() {
        let Component::Normal(name) = part else { return Err(Errno::EXDEV.into()) };
        let last = number + 1 == parts.len();
        let between = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let flags = if last { flags } else { between } | OFlag::O_NOFOLLOW;
        here = openat(&here, *name, flags, Mode::empty())?.into();
        // With O_PATH a link is opened itself.
        if here.metadata()?.is_symlink() {
            return Err(Errno::ELOOP.into());
        }
    }
    Ok(here)
}

fn read_capped(file: File, cap_bytes: u64) -> io::Result<Vec<u8>> {
    regular(&file)?;
    let mut bytes = Vec::new();
    file.take(cap_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= cap_bytes) {
        Ok(bytes)
    } else {
        let what = format!("more than {cap_bytes} bytes");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
    }
}

/// The named components of an absolute path, with `..` applied to what stands before it.
fn normal_parts(absolute: &str) -> impl Iterator<Item = OsString> + use<> {
    let mut parts: Vec<OsString> = Vec::new();
    for component in Path::new(absolute).components() {
        match component {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    parts.into_iter()
}

fn open_plain(path: &Path, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A new empty directory of this test process; the caller's name keeps tests apart.
    pub(crate) fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("qcloud-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn every_path_stays_below_the_root() {
        let root = Root::new("/srv/box");
        assert_eq!(root.path("/etc/hostname"), Path::new("/srv/box/etc/hostname"));
        assert_eq!(root.path("etc//./x/../hostname"), Path::new("/srv/box/etc/hostname"));
        assert_eq!(root.path("/../../etc/shadow"), Path::new("/srv/box/etc/shadow"));
        assert_eq!(Root::system().path("/etc"), Path::new("/etc"));
    }

    #[test]
    fn links_are_followed_inside_the_root_and_never_out_of_it() {
        let outside = scratch("root-outside");
        std::fs::write(outside.join("secret"), "outside").unwrap();
        let tree = scratch("root-tree");
        std::fs::create_dir_all(tree.join("etc/config")).unwrap();
        std::fs::write(tree.join("etc/config/a"), "inside").unwrap();
        symlink("/etc/config/a", tree.join("etc/absolute")).unwrap();
        symlink("config/../config/a", tree.join("etc/relative")).unwrap();
        symlink(outside.join("secret"), tree.join("etc/out")).unwrap();
        symlink("../../../../../../../../../../etc/passwd", tree.join("etc/up")).unwrap();
        symlink("/etc/loop", tree.join("etc/loop")).unwrap();
        let root = Root::new(&tree);
        for good in ["/etc/absolute", "/etc/relative"] {
            assert_eq!(root.read_text(good, 99).unwrap(), "inside");
            assert_eq!(root.resolve(good).unwrap(), tree.join("etc/config/a"));
        }
        for bad in ["/etc/out", "/etc/up", "/etc/loop"] {
            assert!(root.read(bad, 99).is_err(), "{bad}");
            assert!(root.resolve(bad).is_err(), "{bad}");
        }
        assert_eq!(root.names("/etc/config").unwrap(), ["a"]);
    }

    #[test]
    fn a_link_to_a_secret_of_this_machine_finds_the_trees_own_file_or_none() {
        let tree = scratch("root-shadow");
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        let depth = "../".repeat(30);
        for (name, target) in [("a", "/etc/shadow"), ("b", &*format!("{depth}etc/shadow"))] {
            symlink(target, tree.join(name)).unwrap();
        }
        // Magic links lead out without a name (proc(5)); directories are links' prey as well.
        symlink(format!("/proc/{}/root/etc/shadow", std::process::id()), tree.join("c")).unwrap();
        symlink("/", tree.join("up")).unwrap();
        let root = Root::new(&tree);
        for path in ["/a", "/b", "/c", "/up/etc/shadow", "/up/../../etc/shadow"] {
            let error = root.read(path, 1 << 20).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{path}: {error}");
        }
        std::fs::write(tree.join("etc/shadow"), "the tree's own").unwrap();
        for path in ["/a", "/b", "/up/etc/shadow"] {
            assert_eq!(root.read_text(path, 99).unwrap(), "the tree's own", "{path}");
        }
        assert_eq!(root.names("/up/etc").unwrap(), ["shadow"]);
        assert!(root.exists("/a") && root.exists("/etc") && !root.exists("/c"));
        assert_eq!(root.link("/a").unwrap(), "/etc/shadow");
        assert_eq!(root.link("/etc").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_too_large_or_no_file_is_refused() {
        let tree = scratch("root-cap");
        std::fs::write(tree.join("five"), "12345").unwrap();
        let huge = File::create(tree.join("huge")).unwrap();
        huge.set_len(1 << 40).unwrap();
        nix::unistd::mkfifo(&tree.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
        let root = Root::new(&tree);
        assert_eq!(root.read("/five", 5).unwrap(), b"12345");
        for large in ["/five", "/huge"] {
            let kind = root.read(large, 4).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::FileTooLarge, "{large}");
        }
        for odd in ["/", "/fifo", "/socket"] {
            let kind = root.read(odd, 9).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput, "{odd}");
        }
        assert_eq!(root.read("/five/six", 9).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        assert_eq!(root.names("/five").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_device_is_looked_at_and_not_opened() {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        let tree = scratch("root-device");
        // No driver has this number: opening it would say so (ENXIO).
        let made = mknod(&tree.join("device"), SFlag::S_IFCHR, Mode::S_IRWXU, makedev(120, 77));
        if made.is_ok() {
            let error = Root::new(&tree).read("/device", 9).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        let live = Root::system().read("/dev/null", 9).unwrap_err();
        assert_eq!(live.kind(), io::ErrorKind::InvalidInput, "{live}");
    }
}
