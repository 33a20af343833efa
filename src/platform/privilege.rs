//! Giving up root: to whom, and in which order.
//!
//! A daemon that was started as root hands its state directory to a service user, becomes that user and
//! keeps no capability. Whoever starts it, it can gain no privilege afterwards, leaves no core file and
//! cannot be traced by others (promise S20). [`super::seccomp`] comes on top.

use super::root::Root;
use super::{kernel, memory};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, fchown, fchownat, geteuid, setgroups, setresgid, setresuid};
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The user the daemon becomes where the box has one of this name.
pub const SERVICE_USER: &str = "qcloud-agent";
/// The user it becomes where there is none: a number that systemd's table of uids lists as unused, outside what
/// distributions and container runtimes hand out.
pub const SERVICE_UID: u32 = 60653;

/// `/etc/passwd` of a box with many people is below this.
const PASSWD_MOST: u64 = 1024 * 1024;

/// Whom the daemon runs as after its start as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user id; 0 keeps root.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

impl User {
    /// Root itself.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// Whether this is root.
    pub const fn is_root(self) -> bool {
        self.uid == 0
    }
}

/// Why root could not be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The configuration names nobody.
    #[error("there is no user `{0}` in /etc/passwd, as [agent] user wants")]
    Nobody(String),
    /// A step of the way was refused. Nothing was opened or sent after it.
    #[error("cannot {what}")]
    Refused {
        /// The step.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state directory could not be handed over.
    #[error("cannot hand {} to uid {uid}", path.display())]
    HandOver {
        /// The directory, or the file in it.
        path: PathBuf,
        /// To whom.
        uid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PrivilegeError {
    /// What helps.
    pub fn hint(&self) -> String {
        match self {
            Self::Nobody(_) => "write a user's name or number there, or leave it out".into(),
            Self::Refused { .. } => {
                "user = \"root\" in section [agent] keeps the agent root".into()
            }
            Self::HandOver { path, .. } => format!("ls -ld {}", path.display()),
        }
    }
}

/// Whether this process is root, so that there is something to give up.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Whom to become: the user of this name or number; without one [`SERVICE_USER`], or [`SERVICE_UID`] where the
/// box has no such user.
///
/// # Errors
/// [`PrivilegeError::Nobody`] for a name that the box does not know.
pub fn service_user(root: &Root, wanted: Option<&str>) -> Result<User, PrivilegeError> {
    let passwd = root.read_text("/etc/passwd", PASSWD_MOST).unwrap_or_default();
    match wanted {
        None => Ok(find(&passwd, SERVICE_USER)
            .filter(|user| !user.is_root())
            .unwrap_or(User { uid: SERVICE_UID, gid: SERVICE_UID })),
        Some("root") => Ok(User::ROOT),
        Some(name) => find(&passwd, name)
            .or_else(|| name.parse().ok().map(|uid| of_number(&passwd, uid)))
            .ok_or_else(|| PrivilegeError::Nobody(name.into())),
    }
}

/// A user by number, with its own group where the box knows it.
fn of_number(passwd: &str, uid: u32) -> User {
    let known = passwd.lines().filter_map(entry).find(|(_, user)| user.uid == uid);
    known.map_or(User { uid, gid: uid }, |(_, user)| user)
}

fn find(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().filter_map(entry).find(|(known, _)| *known == name).map(|(_, user)| user)
}

/// A line of `passwd(5)`.
fn entry(line: &str) -> Option<(&str, User)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((name, User { uid, gid }))
}

/// Makes the state directory for its user, or hands over one that root made, with what is in it.
///
/// One that belongs to anybody else is left alone: its owner could have put a link to a file of root's there.
///
/// # Errors
/// [`PrivilegeError::HandOver`].
pub fn hand_over(dir: &Path, user: User) -> Result<(), PrivilegeError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| PrivilegeError::HandOver { path, uid: user.uid, source }
    };
    // The user must get through the directories above it.
    let above = dir.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(above).map_err(failed(above))?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(dir);
    let opened = opened.map_err(failed(dir))?;
    let found = opened.metadata().map_err(failed(dir))?;
    if found.uid() != 0 || found.mode() & 0o022 != 0 || user.is_root() {
        return Ok(());
    }
    let (uid, gid) = (Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
        let name = entry.map_err(failed(dir))?.file_name();
        fchownat(&opened, Path::new(&name), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(&dir.join(&name))(errno.into()))?;
    }
    // Last: a crash before it leaves a directory of root's, and the next start begins again.
    fchown(&opened, uid, gid).map_err(|errno| failed(dir)(errno.into()))
}

/// Who owns the state directory, if there is one.
pub fn owner(dir: &Path) -> Option<User> {
    let found = std::fs::metadata(dir).ok()?;
    Some(User { uid: found.uid(), gid: found.gid() })
}

/// Becomes this user for good: groups, ids and every set of capabilities. A process that is not root keeps what
/// it is.
///
/// Must be called while the process has one thread: capabilities belong to threads.
///
/// # Errors
/// [`PrivilegeError::Refused`]; the process must end then.
pub fn become_user(user: User) -> Result<(), PrivilegeError> {
    if !is_root() || user.is_root() || crate::sabotage::off("privilege-drop") {
        return Ok(());
    }
    let refused = |what| move |errno: Errno| PrivilegeError::Refused { what, source: errno.into() };
    let refused_io = |what| move |source| PrivilegeError::Refused { what, source };
    let threads = Root::system().names("/proc/self/task").map_or(1, |threads| threads.len());
    if threads != 1 {
        let source = io::Error::other(format!("there are {threads} threads"));
        return Err(refused_io("give up root")(source));
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    kernel::drop_bounding_set().map_err(refused_io("drop the bounding set of capabilities"))?;
    setgroups(&[]).map_err(refused("leave the groups of root"))?;
    setresgid(gid, gid, gid).map_err(refused("become the agent's own group"))?;
    setresuid(uid, uid, uid).map_err(refused("become the agent's own user"))?;
    kernel::set_capabilities(0).map_err(refused_io("drop all capabilities"))?;
    let root = Uid::from_raw(0);
    if setresuid(root, root, root).is_ok() {
        return Err(refused_io("give up root for good")(io::Error::other("it came back")));
    }
    Ok(())
}

/// Leaves nothing for others: no new privileges, no core file, no tracing, no file that others can read.
///
/// # Errors
/// [`PrivilegeError::Refused`].
pub fn harden() -> Result<(), PrivilegeError> {
    umask(Mode::from_bits_truncate(0o077));
    let refused = |what| move |errno: Errno| PrivilegeError::Refused { what, source: errno.into() };
    // Once more: becoming another user opened it again, as far as the system's `suid_dumpable` says.
    memory::close()
        .map_err(|source| PrivilegeError::Refused { what: "close its memory", source })?;
    // Linux 3.5; an older kernel has nothing to forbid it with.
    match set_no_new_privs() {
        Err(errno) if errno != Errno::EINVAL => Err(refused("give up new privileges")(errno)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps only what the root helper needs: reaching and owning files. With `programs`, what it starts may
/// still do all that root may, since an init script needs it.
///
/// # Errors
/// [`PrivilegeError::Refused`].
pub fn keep_files_only(programs: bool) -> Result<(), PrivilegeError> {
    /// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`: the first four bits.
    const FILES: u64 = 0b1111;
    let refused = |what| move |source| PrivilegeError::Refused { what, source };
    // What it makes is made with a mode of its own.
    umask(Mode::from_bits_truncate(0o022));
    memory::close().map_err(refused("close its memory"))?;
    if !programs {
        kernel::drop_bounding_set().map_err(refused("drop the bounding set of capabilities"))?;
        set_no_new_privs().map_err(|e| refused("give up new privileges")(e.into()))?;
    }
    kernel::set_capabilities(FILES).map_err(refused("drop capabilities"))
}

/// Closes what whoever started this process left open. Must come before anything is opened.
pub fn close_inherited() {
    if !crate::sabotage::off("inherited-descriptors") {
        kernel::close_inherited();
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::tests::scratch;
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\n\nbad\nnas:x:500:501::/:/bin/sh\n";

    fn tree(name: &str, passwd: &str) -> Root {
        let tree = scratch(name);
        std::fs::create_dir(tree.join("etc")).unwrap();
        std::fs::write(tree.join("etc/passwd"), passwd).unwrap();
        Root::new(tree)
    }

    #[test]
    fn the_user_is_the_named_one_the_boxs_own_or_the_fixed_one() {
        let without = tree("passwd-without", PASSWD);
        let user = |root: &Root, wanted| service_user(root, wanted).ok();
        let fixed = User { uid: SERVICE_UID, gid: SERVICE_UID };
        assert_eq!(user(&without, None), Some(fixed));
        assert_eq!(user(&without, Some("nas")), Some(User { uid: 500, gid: 501 }));
        assert_eq!(user(&without, Some("500")), Some(User { uid: 500, gid: 501 }));
        assert_eq!(user(&without, Some("77")), Some(User { uid: 77, gid: 77 }));
        assert_eq!(user(&without, Some("root")), Some(User::ROOT));
        let error = service_user(&without, Some("nobody-here")).unwrap_err();
        assert!(error.to_string().contains("`nobody-here`"), "{error}");
        assert!(error.hint().contains("leave it out"), "{}", error.hint());
        let with = tree("passwd-with", &format!("{PASSWD}qcloud-agent:x:990:991::/:/bin/false\n"));
        assert_eq!(user(&with, None), Some(User { uid: 990, gid: 991 }));
        // A box that was made to lead the agent's name to root does not keep it root.
        let trick = tree("passwd-trick", "qcloud-agent:x:0:0::/:/bin/sh\n");
        assert_eq!(user(&trick, None), Some(fixed));
        assert_eq!(user(&Root::new("/nowhere"), None), Some(fixed));
    }

    #[test]
    fn only_a_directory_of_roots_own_is_handed_over_and_no_link_is_followed() {
        if !is_root() {
            return;
        }
        let tree = scratch("hand-over");
        let (dir, outside) = (tree.join("a/state"), tree.join("outside"));
        let user = User { uid: 4242, gid: 4243 };
        hand_over(&dir, user).unwrap();
        assert_eq!(owner(&dir), Some(user));
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);

        std::fs::write(&outside, "root's").unwrap();
        let old = tree.join("old");
        std::fs::create_dir(&old).unwrap();
        std::fs::write(old.join("file"), "").unwrap();
        symlink(&outside, old.join("link")).unwrap();
        hand_over(&old, user).unwrap();
        assert_eq!(owner(&old.join("file")), Some(user));
        assert_eq!(owner(&outside).map(|user| user.uid), Some(0), "a link was followed");

        // Now it is the user's: what that one puts there stays what it is.
        std::fs::hard_link(&outside, old.join("hard")).unwrap();
        hand_over(&old, user).unwrap();
        assert_eq!(
            owner(&outside).map(|user| user.uid),
            Some(0),
            "a file of root's was given away"
        );
    }
}
