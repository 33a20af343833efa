//! How far a box is set up, and whether it can keep anything.

use super::super::root::Root;
use super::Fact;
use super::place;
use super::product::Family;
use super::storage::{IN_MEMORY, Mount};
use serde::Serialize;

/// QTS: the system's array, made when the first disks are initialised.
const HDA_ROOT: &str = "/mnt/HDA_ROOT";
const DISKS: &str = "/sys/block";

/// How far a box is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallState {
    /// It has never been initialised, or lost what it was initialised on.
    Uninitialised,
    /// The same, and there is no disk that could be initialised.
    NoDisks,
    /// It is initialised and has no data volume.
    NoVolume,
    /// It has a data volume.
    Ready,
}

/// Judges by what is mounted and which disks there are.
pub(super) fn state(
    family: Family,
    root: &Root,
    mounts: &Fact<Vec<Mount>>,
    volumes: &Fact<Vec<String>>,
) -> Fact<InstallState> {
    let initialised: fn(&[Mount]) -> bool = match family {
        Family::Qts | Family::QutsHero => has_hda_root,
        // DSM starts from its first disks; before that, it runs from an image in memory.
        Family::Dsm => |mounts| mounts.iter().any(|m| m.point == "/" && m.device == "/dev/md0"),
        Family::Truenas => |_| true,
        Family::Openwrt | Family::Linux => {
            return Fact::unknown("this kind of box is not initialised by its maker");
        }
    };
    let (Some(mounted), Some(volumes)) = (&mounts.value, &volumes.value) else {
        return Fact { value: None, source: None, error: mounts.error.clone() };
    };
    let source = mounts.source.clone().unwrap_or_default();
    if !volumes.is_empty() {
        return Fact::known(InstallState::Ready, source);
    }
    if initialised(mounted) {
        return Fact::known(InstallState::NoVolume, source);
    }
    match has_disk(root) {
        Ok(false) => Fact::known(InstallState::NoDisks, format!("{source}, {DISKS}")),
        Ok(true) => Fact::known(InstallState::Uninitialised, format!("{source}, {DISKS}")),
        // Without a list of disks nothing says that there is none.
        Err(_) => Fact::known(InstallState::Uninitialised, source),
    }
}

/// Whether anything that is written survives a reboot.
pub(super) fn persistent(family: Family, mounts: &Fact<Vec<Mount>>) -> Fact<bool> {
    mounts.clone().map(|mounts| match family {
        Family::Qts | Family::QutsHero => has_hda_root(&mounts),
        Family::Dsm | Family::Truenas | Family::Openwrt | Family::Linux => {
            // A read-only image with a layer above it: the layer counts, and the last mount is the one seen.
            let seen = |point| mounts.iter().rev().find(|mount| mount.point == point);
            let kept = |mount: &Mount| !IN_MEMORY.contains(&&*mount.kind);
            seen("/overlay").or_else(|| seen("/")).is_some_and(kept)
        }
    })
}

fn has_hda_root(mounts: &[Mount]) -> bool {
    mounts.iter().any(|m| m.point == HDA_ROOT && !IN_MEMORY.contains(&&*m.kind))
}

/// Whether there is a disk that could hold data: no removable one, no USB, and not the one QTS boots from.
fn has_disk(root: &Root) -> Result<bool, String> {
    let names = root.names(DISKS).map_err(|error| place::said(&error))?;
    let read = |name: &str, file: &str| place::load(root, &format!("{DISKS}/{name}/{file}"));
    let is_disk = |name: &&String| {
        // eMMC and the disk on module are `mmcblk…` or hang on USB; `md`, `dm-`, `zd` and `loop` are made of others.
        let kind = ["sd", "hd", "vd", "nvme"].iter().any(|kind| name.starts_with(kind));
        let number = |file: &str| read(name, file).ok().and_then(|t| t.trim().parse::<u64>().ok());
        kind && number("removable") != Some(1) && number("size") != Some(0) && !on_usb(root, name)
    };
    Ok(names.iter().any(|name| is_disk(&name)))
}

/// The kernel's link of a block device leads through its bus: `../devices/pci…/usb1/…/block/sdc`.
fn on_usb(root: &Root, name: &str) -> bool {
    let target = root.link(&format!("{DISKS}/{name}")).unwrap_or_default();
    target
        .split('/')
        .any(|part| part.strip_prefix("usb").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
}
