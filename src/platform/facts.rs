//! What the box is called, what it has, and the permanent addresses of its network cards.

use super::root::Root;
use crate::wire::label::Label;
use core::time::Duration;
use mac_address::{MacAddress, mac_address_by_name};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The name of a box that has none.
const FALLBACK_NAME: &str = "nas";
/// The largest of the small files read here; the kernel's own are below one page.
const SMALL: u64 = 4096;

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
            kernel: System::kernel_version().ok(),
            uptime: Duration::from_secs(System::uptime().unwrap_or_default()),
            memory_bytes: system.total_memory(),
            available_bytes: system.available_memory(),
        })
    }
}

/// The host name as a device name: what a person who gives none gets.
pub fn default_name(root: &Root) -> Label {
    let read = |path| root.read_text(path, SMALL).ok();
    let host = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    label_of(&host.unwrap_or_default())
}

/// Makes a label of any host name: its first part, lower-case, with `-` for what no label may hold.
fn label_of(host: &str) -> Label {
    let first = host.trim().split('.').next().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let text: String = first
        .chars()
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if allowed(c) { c } else { '-' })
        .take(63)
        .collect();
    // A box that nobody named is called `localhost`: no name to be found by.
    let text = Some(text.trim_matches('-')).filter(|text| *text != "localhost");
    text.and_then(|text| Label::parse(text).ok())
        .unwrap_or_else(|| Label::parse(FALLBACK_NAME).expect("the fallback is a valid label"))
}

/// The permanent addresses of the network cards, in the order of the cards' names.
///
/// A card has a device behind it and an address it was made with (`addr_assign_type` 0, the kernel's
/// `NET_ADDR_PERM`): bridges, bonds, tunnels and containers' interfaces have not.
pub fn permanent_macs(root: &Root) -> Vec<MacAddress> {
    let cards = root.names("/sys/class/net").unwrap_or_default();
    cards.iter().filter(|name| is_card(root, name)).filter_map(|name| mac_of(root, name)).collect()
}

fn is_card(root: &Root, name: &str) -> bool {
    let assigned = root.read_text(&format!("/sys/class/net/{name}/addr_assign_type"), SMALL);
    assigned.is_ok_and(|text| text.trim() == "0")
        && root.names(&format!("/sys/class/net/{name}/device")).is_ok()
}

fn mac_of(root: &Root, name: &str) -> Option<MacAddress> {
    let mac = if root.is_live() {
        mac_address_by_name(name).ok().flatten()?
    } else {
        root.read_text(&format!("/sys/class/net/{name}/address"), SMALL)
            .ok()?
            .trim()
            .parse()
            .ok()?
    };
    Some(mac).filter(|mac| mac.bytes() != [0; 6])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;

    #[test]
    fn any_host_name_becomes_a_label() {
        let label = |host| label_of(host).as_str().to_owned();
        assert_eq!(label("NAS-4F.local\n"), "nas-4f");
        assert_eq!(label("My Box!"), "my-box");
        assert_eq!(label("Größe"), "gr--e");
        for nothing in ["", "---", "\u{1b}[2J", "localhost", "é", ".local"] {
            assert!(Label::parse(&label(nothing)).is_ok(), "{nothing}");
        }
        assert_eq!(label(""), "nas");
        assert_eq!(label("localhost"), "nas");
        assert_eq!(label(&"a".repeat(99)).len(), 63);
    }

    #[test]
    fn only_cards_with_a_permanent_address_count() {
        let tree = scratch("facts");
        let interface = |name: &str, assigned: &str, mac: &str, device: bool| {
            let path = tree.join("sys/class/net").join(name);
            std::fs::create_dir_all(if device { path.join("device") } else { path.clone() })
                .unwrap();
            std::fs::write(path.join("addr_assign_type"), assigned).unwrap();
            std::fs::write(path.join("address"), mac).unwrap();
        };
        interface("eth1", "0\n", "24:5e:be:00:00:02\n", true);
        interface("eth0", "0\n", "24:5e:be:00:00:01\n", true);
        interface("eth2", "3\n", "24:5e:be:00:00:01\n", true);
        interface("br0", "0\n", "24:5e:be:00:00:09\n", false);
        interface("eth3", "0\n", "00:00:00:00:00:00\n", true);
        let macs = permanent_macs(&Root::new(&tree));
        let texts: Vec<String> = macs.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["24:5E:BE:00:00:01", "24:5E:BE:00:00:02"]);
    }

    #[test]
    fn the_running_system_tells_its_load_and_a_tree_does_not() {
        let live = Live::read(&Root::system()).unwrap();
        assert!(live.memory_bytes > 0 && live.available_bytes <= live.memory_bytes);
        assert!(live.kernel.is_some());
        assert_eq!(Live::read(&Root::new("/nowhere")), None);
    }
}
