//! What is mounted, and how the RAID arrays are.
//!
//! Formats: `proc_pid_mountinfo(5)`; mdstat as the kernel's `drivers/md/md.c` writes it. The trap: QTS and DSM keep
//! their system on RAID 1 arrays with a slot for every bay there could ever be. `[32/3] [UUU____…]` is how they are
//! built, and no sign of a missing disk.

use super::super::root::Root;
use super::place::{self, said};
use super::product::Family;
use super::{Fact, text};

const MOUNTINFO: &str = "/proc/self/mountinfo";
const MDSTAT: &str = "/proc/mdstat";
/// A box with many containers has thousands of mounts of some 150 bytes.
const MOST: u64 = 4 * 1024 * 1024;
/// QTS: system, extensions, and the swap areas.
const QNAP_SYSTEM: &[&str] =
    &["md9", "md13", "md256", "md320", "md321", "md322", "md323", "md324", "md325"];
/// DSM: system and swap.
const SYNOLOGY_SYSTEM: &[&str] = &["md0", "md1"];
/// File systems that are not kept.
pub(super) const IN_MEMORY: &[&str] = &["tmpfs", "ramfs", "rootfs", "devtmpfs"];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// The kind of file system.
    pub kind: String,
    /// The device, or what stands for it.
    pub device: String,
}

/// One array of the kernel's RAID driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// `md1`.
    pub name: String,
    /// `raid5`; nothing for an array that does not run.
    pub level: Option<String>,
    /// Places for members, and how many work; nothing for levels without redundancy.
    pub members: Option<(u64, u64)>,
    /// What it rebuilds: `recovery`, `resync`, `reshape` or `check`, and how much is done, as written.
    pub at_work: Option<(String, String)>,
}

impl Array {
    /// Whether members are missing, or the array does not run at all.
    pub fn is_degraded(&self) -> bool {
        self.level.is_none() || self.members.is_some_and(|(slots, work)| work < slots)
    }
}

/// Reads a mountinfo; lines that are not understood are passed over.
pub fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        // Optional fields stand between the sixth and a lone hyphen.
        let (before, behind) = line.split_once(" - ")?;
        let point = unescaped(before.split(' ').nth(4)?)?;
        let mut behind = behind.split(' ');
        Some(Mount { point, kind: behind.next()?.into(), device: unescaped(behind.next()?)? })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Undoes the kernel's `\040` for a blank.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads an mdstat.
pub fn arrays(mdstat: &str) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    let mut inside = false;
    for line in mdstat.lines() {
        let header = line.split_once(" : ").filter(|(name, _)| {
            name.strip_prefix("md").is_some_and(|rest| !rest.is_empty() && !rest.contains(' '))
        });
        if let Some((name, rest)) = header {
            let mut words = rest.split_ascii_whitespace();
            let runs = words.next() == Some("active");
            // `active (auto-read-only) raid1 sda1[0] …`
            let level = words.find(|word| !word.starts_with('('));
            let level = level.filter(|_| runs).map(String::from);
            arrays.push(Array { name: name.into(), level, members: None, at_work: None });
            inside = true;
        } else if !line.starts_with(' ') {
            inside = false;
        } else if let Some(array) = arrays.last_mut().filter(|_| inside) {
            array.members = array.members.or_else(|| members(line));
            array.at_work = array.at_work.take().or_else(|| work(line));
        }
    }
    arrays
}

/// `[32/3]` in the line of an array.
fn members(line: &str) -> Option<(u64, u64)> {
    line.split_ascii_whitespace().find_map(|word| {
        let (slots, work) = word.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
        Some((slots.parse().ok()?, work.parse().ok()?))
    })
}

/// `[==>....]  recovery = 22.8% (…)`, or `resync=DELAYED`.
fn work(line: &str) -> Option<(String, String)> {
    let kinds = ["recovery", "resync", "reshape", "check"];
    let (kind, rest) = kinds.iter().find_map(|kind| Some((kind, line.split_once(kind)?.1)))?;
    let done = rest.trim_start().strip_prefix('=')?.split_ascii_whitespace().next()?;
    Some(((*kind).to_owned(), text::believable(done).ok()?.to_owned()))
}

/// Everything that is mounted.
pub(super) fn read_mounts(root: &Root) -> Fact<Vec<Mount>> {
    match root.read_text(MOUNTINFO, MOST) {
        Ok(text) => Fact::known(mounts(&text), MOUNTINFO),
        Err(error) => Fact::unknown(format!("{MOUNTINFO}: {}", said(&error))),
    }
}

/// The data volumes, by number.
pub(super) fn volumes(family: Family, mounts: &Fact<Vec<Mount>>) -> Fact<Vec<String>> {
    let is_volume: fn(&Mount) -> bool = match family {
        Family::Qts => |mount| in_share(mount) && !IN_MEMORY.contains(&&*mount.kind),
        Family::QutsHero => |mount| in_share(mount) && mount.kind == "zfs",
        Family::Dsm => |mount| {
            let number = mount.point.strip_prefix("/volume").unwrap_or_default();
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        },
        Family::Truenas => |mount| mount.kind == "zfs" && top(&mount.point, "/mnt/"),
        Family::Openwrt | Family::Linux => on_a_disk_of_its_own,
    };
    mounts.clone().map(|mounts| {
        let chosen = mounts.into_iter().filter(is_volume).map(|mount| mount.point);
        let mut chosen: Vec<_> = chosen
            .filter(|point| text::believable(point).is_ok_and(|text| text == point))
            .collect();
        chosen.sort_by_cached_key(|point| text::by_number(point));
        chosen.dedup();
        chosen
    })
}

/// `/share/CACHEDEV1_DATA`, `/share/ZFS530_DATA`, `/share/MD0_DATA`.
fn in_share(mount: &Mount) -> bool {
    top(&mount.point, "/share/") && mount.point.ends_with("_DATA")
}

fn top(point: &str, under: &str) -> bool {
    // A name with a dot before it is the system's own: TrueNAS mounts its `/mnt/.ix-apps` from the pool.
    let name = point.strip_prefix(under).unwrap_or_default();
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

/// Where people of other systems mount their data disks.
fn on_a_disk_of_its_own(mount: &Mount) -> bool {
    let places = ["/srv", "/mnt", "/media", "/data", "/DATA", "/home", "/opt"];
    let within = |place: &&str| {
        let rest = mount.point.strip_prefix(*place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_disk = mount.device.starts_with("/dev/") && !mount.device.starts_with("/dev/loop");
    places.iter().any(within) && (is_disk || mount.kind == "zfs")
}

/// The arrays with members missing, but for those of the system.
pub(super) fn degraded(family: Family, root: &Root) -> Fact<Vec<String>> {
    let system = match family {
        Family::Qts | Family::QutsHero => QNAP_SYSTEM,
        Family::Dsm => SYNOLOGY_SYSTEM,
        Family::Truenas | Family::Openwrt | Family::Linux => &[],
    };
    match place::load(root, MDSTAT) {
        Ok(text) => {
            let broken = arrays(&text).into_iter().filter(Array::is_degraded);
            let names = broken.map(|array| array.name).filter(|name| !system.contains(&&**name));
            let named = names.filter(|name| text::believable(name).is_ok());
            Fact::known(named.collect(), MDSTAT)
        }
        Err(why) => Fact::unknown(format!("{MDSTAT}: {why}")),
    }
}
