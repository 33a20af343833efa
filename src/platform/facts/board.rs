//! The serial number: of the maker's own tool, of the DMI table, of the device tree.

use super::super::root::Root;
use super::place::Place::{self, File, Program};
use super::product::Family;
use super::{Fact, seek, text};

pub(super) fn serial(family: Family, root: &Root) -> Fact<String> {
    const DMI: Place = File("/sys/class/dmi/id/product_serial");
    const TREE: Place = File("/proc/device-tree/serial-number");
    let places: &[Place] = match family {
        // Its DMI table is a board maker's; the serial number on the box is in the maker's own EEPROM.
        Family::Qts | Family::QutsHero => &[Program("/sbin/get_hwsn")],
        Family::Dsm => &[File("/proc/sys/kernel/syno_serial")],
        Family::Openwrt => &[TREE, DMI],
        Family::Truenas | Family::Linux => &[DMI, TREE],
    };
    seek(root, places, text::no_placeholder)
}
