//! Which product family a box is of, and what the family calls model, version and build.

use super::super::root::Root;
use super::place::{self, Place};
use super::{Fact, any, seek, text};
use Place::{File, Member, Section, Variable};
use serde::Serialize;

/// Where QTS keeps its configuration: on the disks, and as it came from the factory.
const ULINUX: [&str; 2] = ["/etc/config/uLinux.conf", "/etc/default_config/uLinux.conf"];

/// A product family. Facts stand in other files in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// QNAP QTS.
    Qts,
    /// QNAP QuTS hero: QTS on ZFS.
    QutsHero,
    /// Synology DSM.
    Dsm,
    /// TrueNAS SCALE.
    Truenas,
    /// OpenWrt.
    Openwrt,
    /// Any other Linux.
    Linux,
}

impl Family {
    /// As people know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qts => "QTS",
            Self::QutsHero => "QuTS hero",
            Self::Dsm => "DSM",
            Self::Truenas => "TrueNAS",
            Self::Openwrt => "OpenWrt",
            Self::Linux => "Linux",
        }
    }
}

/// Finds the family by the files that only it has.
pub(super) fn family(root: &Root) -> Fact<Family> {
    if let Some(path) = ULINUX.into_iter().find(|path| root.exists(path)) {
        return match hero(root) {
            Some(source) => Fact::known(Family::QutsHero, source),
            None => Fact::known(Family::Qts, path),
        };
    }
    let markers = [
        ("/usr/syno", Family::Dsm),
        ("/usr/local/bin/freenas-debug", Family::Truenas),
        ("/etc/openwrt_release", Family::Openwrt),
        ("/etc/openwrt_version", Family::Openwrt),
    ];
    if let Some((path, family)) = markers.into_iter().find(|(path, _)| root.exists(path)) {
        return Fact::known(family, path);
    }
    let id = seek(root, OS_ID, any);
    id.map(|id| if id == "openwrt" { Family::Openwrt } else { Family::Linux })
}

const OS_ID: &[Place] = &[Variable("/etc/os-release", "ID"), Variable("/usr/lib/os-release", "ID")];

/// What shows that a QNAP box runs QuTS hero.
fn hero(root: &Root) -> Option<String> {
    const FILESYSTEMS: &str = "/proc/filesystems";
    let known = place::load(root, FILESYSTEMS).unwrap_or_default();
    if known.split_ascii_whitespace().any(|word| word == "zfs") {
        return Some(format!("{FILESYSTEMS} zfs"));
    }
    let version = seek(root, QTS_FIRMWARE, any);
    version.value.filter(|version| version.starts_with('h')).and(version.source)
}

/// The name the box is sold under.
pub(super) fn model(family: Family, root: &Root) -> Fact<String> {
    let places: &[Place] = match family {
        Family::Qts | Family::QutsHero => &[Section("/etc/platform.conf", "MISC", "DISPLAY_NAME")],
        Family::Dsm => &[
            File("/proc/sys/kernel/syno_hw_version"),
            Variable("/etc.defaults/synoinfo.conf", "upnpmodelname"),
            Variable("/etc/synoinfo.conf", "upnpmodelname"),
        ],
        Family::Openwrt => &[
            File("/tmp/sysinfo/model"),
            File("/proc/device-tree/model"),
            Member("/etc/board.json", "/model/name"),
            File("/sys/class/dmi/id/product_name"),
        ],
        Family::Truenas | Family::Linux => &[
            Variable("/etc/os-release", "MODEL"),
            File("/sys/class/dmi/id/product_name"),
            File("/proc/device-tree/model"),
        ],
    };
    seek(root, places, text::no_placeholder)
}

/// The maker's own name of the board or series.
pub(super) fn internal_model(family: Family, root: &Root) -> Fact<String> {
    let places: &[Place] = match family {
        Family::Qts | Family::QutsHero => &[
            Section(ULINUX[0], "System", "Internal Model"),
            Section(ULINUX[0], "System", "Model"),
            Section(ULINUX[1], "System", "Internal Model"),
            Section(ULINUX[1], "System", "Model"),
        ],
        Family::Dsm => &[
            Variable("/etc.defaults/synoinfo.conf", "unique"),
            Variable("/etc/synoinfo.conf", "unique"),
        ],
        Family::Openwrt => &[
            File("/tmp/sysinfo/board_name"),
            Member("/etc/board.json", "/model/id"),
            File("/proc/device-tree/compatible"),
        ],
        Family::Truenas | Family::Linux => {
            &[File("/sys/class/dmi/id/board_name"), File("/proc/device-tree/compatible")]
        }
    };
    seek(root, places, text::no_placeholder)
}

const QTS_FIRMWARE: &[Place] =
    &[Section(ULINUX[0], "System", "Version"), Section(ULINUX[1], "System", "Version")];

/// The version of the firmware or distribution.
pub(super) fn firmware(family: Family, root: &Root) -> Fact<String> {
    let places: &[Place] = match family {
        Family::Qts | Family::QutsHero => QTS_FIRMWARE,
        Family::Dsm => return dsm_firmware(root),
        Family::Truenas => &[File("/etc/version")],
        Family::Openwrt => &[
            Variable("/etc/openwrt_release", "DISTRIB_RELEASE"),
            File("/etc/openwrt_version"),
            Variable("/etc/os-release", "VERSION_ID"),
        ],
        Family::Linux => &[
            Variable("/etc/os-release", "VERSION_ID"),
            Variable("/usr/lib/os-release", "VERSION_ID"),
        ],
    };
    seek(root, places, any)
}

/// `7.2.2-72806-3`: version, build and, when there is one, update.
fn dsm_firmware(root: &Root) -> Fact<String> {
    const VERSION: &str = "/etc.defaults/VERSION";
    let version = seek(root, &[Variable(VERSION, "productversion")], any);
    let number = |name| seek(root, &[Variable(VERSION, name)], any).value;
    let (build, update) = (number("buildnumber"), number("smallfixnumber"));
    version.map(|version| {
        let parts = [Some(version), build, update.filter(|update| update != "0")];
        parts.into_iter().flatten().collect::<Vec<_>>().join("-")
    })
}

/// The build of that version.
pub(super) fn build(family: Family, root: &Root) -> Fact<String> {
    let places: &[Place] = match family {
        Family::Qts | Family::QutsHero => &[
            Section(ULINUX[0], "System", "Build Number"),
            Section(ULINUX[1], "System", "Build Number"),
        ],
        Family::Dsm => &[Variable("/etc.defaults/VERSION", "buildnumber")],
        Family::Openwrt => &[Variable("/etc/openwrt_release", "DISTRIB_REVISION")],
        Family::Truenas | Family::Linux => {
            &[Variable("/etc/os-release", "BUILD_ID"), File("/etc/debian_version")]
        }
    };
    seek(root, places, any)
}
