//! What the running system says of itself: its load, its memory, what runs on it and what room is left.

use super::super::mounts;
use super::super::root::Root;
use core::time::Duration;
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use sysinfo::{MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// The load of the running system, for `status`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Live {
    /// The kernel's release; `None` when it does not tell.
    pub kernel: Option<String>,
    /// Time since boot, in whole seconds.
    pub uptime: Duration,
    /// All memory.
    pub memory_bytes: u64,
    /// What can still be used without swapping.
    pub available_bytes: u64,
}

impl Live {
    /// Asks the running system; a file tree below `--root` has no load and answers `None`.
    pub fn read(root: &Root) -> Option<Self> {
        if !root.is_live() {
            return None;
        }
        let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(memory).ok()?;
        Some(Self {
            kernel: kernel(),
            uptime: Duration::from_secs(System::uptime().unwrap_or_default()),
            memory_bytes: system.total_memory(),
            available_bytes: system.available_memory(),
        })
    }
}

/// The kernel's release, from `uname(2)`.
fn kernel() -> Option<String> {
    nix::sys::utsname::uname().ok()?.release().to_str().map(String::from)
}

/// What runs on the box, and what room it has left; asked once, for a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Running {
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Time since boot.
    pub uptime_seconds: u64,
    /// Runnable processes on average over 1, 5 and 15 minutes; `None` when the kernel does not tell.
    pub load: Option<[f64; 3]>,
    /// How many processes there are.
    pub processes: u64,
    /// All memory.
    pub memory_bytes: u64,
    /// What can still be used without swapping.
    pub available_bytes: u64,
    /// The data volumes with their room; one that does not answer is left out.
    pub volumes: Vec<Room>,
}

/// The room of one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Where it is mounted.
    pub path: String,
    /// All of it.
    pub total_bytes: u64,
    /// What anybody may still use.
    pub free_bytes: u64,
}

impl Running {
    /// Asks the running system; a file tree has nothing that runs and answers `None`.
    pub fn read(root: &Root, volumes: &[String]) -> Option<Self> {
        let live = Live::read(root)?;
        let mut system = System::new_with_specifics(RefreshKind::nothing()).ok()?;
        let nothing_of_each = ProcessRefreshKind::nothing().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, nothing_of_each);
        Some(Self {
            kernel: live.kernel,
            uptime_seconds: live.uptime.as_secs(),
            load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
            processes: u64::try_from(system.processes().len()).unwrap_or(u64::MAX),
            memory_bytes: live.memory_bytes,
            available_bytes: live.available_bytes,
            volumes: rooms(root, volumes),
        })
    }
}

/// The room of each of these volumes; one that does not answer is left out, and a file tree has none.
pub fn rooms(root: &Root, volumes: &[String]) -> Vec<Room> {
    let live = if root.is_live() { volumes } else { Default::default() };
    live.iter().filter_map(|path| room(root, path)).collect()
}

fn room(root: &Root, path: &str) -> Option<Room> {
    let (total_bytes, free_bytes) = mounts::room(&statvfs(&root.path(path)).ok()?);
    Some(Room { path: path.into(), total_bytes, free_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::facts::place::load;

    #[test]
    fn the_running_system_tells_its_load_and_a_tree_does_not() {
        let live = Live::read(&Root::system()).unwrap();
        assert!(live.memory_bytes > 0 && live.available_bytes <= live.memory_bytes);
        assert!(live.kernel.is_some());
        assert_eq!(Live::read(&Root::new("/nowhere")), None);
        assert_eq!(Running::read(&Root::new("/nowhere"), &["/".into()]), None);
    }

    #[test]
    fn the_kernels_files_say_the_same() {
        let (live, root) = (Live::read(&Root::system()).unwrap(), Root::system());
        let kernel = load(&root, "/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(live.kernel.as_deref(), Some(kernel.trim()));
        let memory = load(&root, "/proc/meminfo").unwrap();
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let total: u64 = total.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        assert_eq!(live.memory_bytes, total * 1024);
        let uptime = load(&root, "/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((live.uptime.as_secs_f64() - seconds).abs() < 60.0, "{uptime}");
    }

    #[test]
    fn what_runs_and_what_room_there_is_is_counted() {
        let running = Running::read(&Root::system(), &["/".into(), "/no/such".into()]).unwrap();
        assert!(running.processes >= 2, "at least this one and its parent: {running:?}");
        let [room] = &*running.volumes else { panic!("{running:?}") };
        assert!(room.total_bytes > 0 && room.free_bytes <= room.total_bytes);
    }
}
