//! What this kernel can do of what the agent likes to use. Nothing is sent by asking.

use super::{netlink, sockdiag};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::File;

/// Each by its name, what is lost without it, and whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelFeature {
    /// As the kernel calls it.
    pub name: &'static str,
    /// What the agent does without it.
    pub without: &'static str,
    /// Whether it is there for this process.
    pub there: bool,
}

/// Asks the kernel. Must be called inside a tokio runtime.
pub fn all() -> [KernelFeature; 3] {
    [
        KernelFeature {
            name: "openat2",
            without: "links below --root are walked by the agent itself",
            there: has_openat2(),
        },
        KernelFeature {
            name: "netlink",
            without: "a change of address is not noticed",
            there: netlink::Watcher::open().is_ok(),
        },
        KernelFeature {
            name: "sock_diag",
            without: "the ledger counts bodies only, and reconcile leaves a rest",
            there: sockdiag::Ended::open().is_ok(),
        },
    ]
}

/// Linux 5.6; sandboxes of that age forbid what they do not know.
fn has_openat2() -> bool {
    let Ok(root) = File::open("/") else { return false };
    let how = OpenHow::new().flags(OFlag::O_PATH).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    !matches!(openat2(&root, ".", how), Err(Errno::ENOSYS | Errno::EPERM))
}
