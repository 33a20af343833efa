//! The system calls that the agent gives up after its start.
//!
//! A list of what is denied, not of what is allowed: the agent, its runtime and the C library below it are built
//! for four targets, and a call that one of them needs only when the clock jumps or memory is short would end in
//! a fault that no test saw. What is denied is what an agent never needs and what turns a mistake in it into
//! control of the box: starting programs, looking into other processes, mounting, loading code into the kernel,
//! namespaces, the clock, keys, and opening files past the checks of their directories. The answer is `EPERM`.
//! What needs one of them is asked of [`super::helper`].
//!
//! There is a filter on x86_64 and aarch64. On other processors, and on kernels without seccomp (before 3.17),
//! there is none, and `status` says so.

use std::borrow::Cow;

/// How the daemon is confined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// By the filter, in every thread.
    Filtered,
    /// Not at all, and why.
    None(Cow<'static, str>),
}

/// Confines this process, for good. It gives up new privileges with it.
pub fn confine() -> Confinement {
    if crate::sabotage::off("seccomp") {
        return Confinement::None("switched off".into());
    }
    filter::apply()
}

/// Takes the network away from this process and from all that it starts, for good: sockets are made to programs of
/// this box and to its kernel only. With `capture`, what passes at an interface can still be listened to.
pub fn close_network(capture: bool) -> Confinement {
    if crate::sabotage::off("report-network") {
        return Confinement::None("switched off".into());
    }
    filter::close_network(capture)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod filter {
    use super::Confinement;

    pub(super) fn close_network(_capture: bool) -> Confinement {
        apply()
    }

    pub(super) fn apply() -> Confinement {
        Confinement::None("there is no filter for this processor".into())
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter {
    use super::Confinement;
    use nix::libc;
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };
    use std::collections::BTreeMap;

    /// What is denied whatever its arguments are.
    pub(super) const DENIED: &[i64] = &[
        // Programs: the root helper was started before.
        libc::SYS_execve,
        libc::SYS_execveat,
        // Other processes.
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kcmp,
        libc::SYS_pidfd_getfd,
        libc::SYS_process_madvise,
        libc::SYS_perf_event_open,
        // The tree of files.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_quotactl,
        libc::SYS_mknodat,
        // Files past the permissions of their directories.
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        // Namespaces.
        libc::SYS_setns,
        libc::SYS_unshare,
        // Code and eyes in the kernel.
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_fanotify_init,
        libc::SYS_lookup_dcookie,
        libc::SYS_syslog,
        // Keys.
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        // The box itself.
        libc::SYS_reboot,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_acct,
        libc::SYS_vhangup,
        libc::SYS_personality,
        libc::SYS_move_pages,
        libc::SYS_migrate_pages,
        // Becoming somebody else.
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
        libc::SYS_setgroups,
        libc::SYS_capset,
    ];

    /// Those of one processor only.
    #[cfg(target_arch = "x86_64")]
    pub(super) const DENIED_HERE: &[i64] = &[
        libc::SYS_kexec_file_load,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_modify_ldt,
        libc::SYS_mknod,
        libc::SYS_uselib,
    ];
    /// `kexec_file_load`, which libc names for some C libraries only (`asm-generic/unistd.h`).
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) const DENIED_HERE: &[i64] = &[294];

    /// Bit of the x32 calling convention, whose calls have numbers of their own.
    #[cfg(target_arch = "x86_64")]
    const X32: i64 = 0x4000_0000;
    /// The x32 forms of `execve`, `ptrace`, `kexec_load`, `process_vm_*` and `execveat` (`syscall_64.tbl`).
    #[cfg(target_arch = "x86_64")]
    const DENIED_X32: &[i64] = &[520, 521, 528, 539, 540, 545];

    /// The flags of `clone(2)` that make a namespace.
    const NAMESPACES: &[i32] = &[
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];

    pub(super) fn apply() -> Confinement {
        let arch = TargetArch::try_from(std::env::consts::ARCH);
        let filters = arch.and_then(|arch| Ok([denied(arch)?, unknown(arch)?]));
        let filters = match filters {
            Ok(filters) => filters,
            Err(error) => return Confinement::None(format!("no filter was made: {error}").into()),
        };
        for filter in filters {
            if let Err(error) = seccompiler::apply_filter_all_threads(&filter) {
                return Confinement::None(format!("the kernel takes no filter: {error}").into());
            }
        }
        Confinement::Filtered
    }

    pub(super) fn close_network(capture: bool) -> Confinement {
        let arch = TargetArch::try_from(std::env::consts::ARCH);
        let filter = match arch.and_then(|arch| sockets(arch, capture)) {
            Ok(filter) => filter,
            Err(error) => return Confinement::None(format!("no filter was made: {error}").into()),
        };
        match seccompiler::apply_filter_all_threads(&filter) {
            Ok(()) => Confinement::Filtered,
            Err(error) => Confinement::None(format!("the kernel takes no filter: {error}").into()),
        }
    }

    /// Sockets of other families than these two, or three, by whichever call.
    fn sockets(arch: TargetArch, capture: bool) -> Result<BpfProgram, seccompiler::BackendError> {
        let local = [libc::AF_UNIX, libc::AF_NETLINK];
        let open = local.into_iter().chain(capture.then_some(libc::AF_PACKET));
        let other = |family: i32| {
            let family = u64::from(family.unsigned_abs());
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
        };
        let rule = SeccompRule::new(open.map(other).collect::<Result<Vec<_>, _>>()?)?;
        let rules =
            [(libc::SYS_socket, vec![rule.clone()]), (libc::SYS_io_uring_setup, Vec::new())]
                .into_iter();
        #[cfg(target_arch = "x86_64")]
        let rules = rules.chain([
            (libc::SYS_socket | X32, vec![rule]),
            (libc::SYS_io_uring_setup | X32, Vec::new()),
        ]);
        let rules: BTreeMap<_, _> = rules.collect();
        let answer = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
    }

    fn denied(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
        let all = DENIED.iter().chain(DENIED_HERE).copied();
        #[cfg(target_arch = "x86_64")]
        let all = all.clone().chain(all.chain(DENIED_X32.iter().copied()).map(|call| call | X32));
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            all.map(|call| (call, Vec::new())).collect();
        let makes = |flag: &i32| {
            let flag = u64::from(flag.unsigned_abs());
            let operator = SeccompCmpOp::MaskedEq(flag);
            let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, flag)?;
            SeccompRule::new(vec![condition])
        };
        let clone: Result<Vec<_>, _> = NAMESPACES.iter().map(makes).collect();
        rules.insert(libc::SYS_clone, clone?);
        let answer = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
    }

    /// `clone3` hides its flags in memory, where no filter sees them. Answered as by a kernel that does not know
    /// it, the C library makes its threads with `clone`.
    fn unknown(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
    }

    #[cfg(test)]
    pub(super) fn apply_to_this_thread() {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        for filter in [denied(arch).unwrap(), unknown(arch).unwrap()] {
            seccompiler::apply_filter(&filter).unwrap();
        }
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::super::kernel::attempt;
    use super::filter::{DENIED, DENIED_HERE, apply_to_this_thread};
    use nix::errno::Errno;
    use nix::libc;

    fn errno(number: i64) -> Option<Errno> {
        attempt(number).err()?.raw_os_error().map(Errno::from_raw)
    }

    #[test]
    fn every_denied_call_is_answered_with_eperm_and_threads_can_still_be_made() {
        let confined = std::thread::spawn(|| {
            apply_to_this_thread();
            let others: Vec<_> = DENIED
                .iter()
                .chain(DENIED_HERE)
                .filter(|call| errno(**call) != Some(Errno::EPERM))
                .collect();
            let clone3 = errno(libc::SYS_clone3);
            let sum = std::thread::spawn(|| 1 + 1).join().unwrap();
            // All ones: every flag for a namespace among them.
            (others.len(), clone3, errno(libc::SYS_clone), sum)
        });
        let (others, clone3, clone, sum) = confined.join().unwrap();
        assert_eq!(others, 0, "some calls were not denied");
        assert_eq!((clone3, clone, sum), (Some(Errno::ENOSYS), Some(Errno::EPERM), 2));
        // The other threads of this program were not confined: the filter is what denied it.
        assert_ne!(errno(libc::SYS_open_tree), Some(Errno::EPERM));
    }
}
