//! What the box is called, and the permanent addresses of its network cards.

use super::super::root::Root;
use super::place::{self, Place, SMALL};
use super::product::Family;
use super::{Fact, any, seek, text};
use crate::wire::label::Label;
use mac_address::{MacAddress, mac_address_by_name};

/// The name of a box that has none.
const FALLBACK_NAME: &str = "nas";
/// The most cards a box has; a tree that names more is not one.
const MOST_CARDS: usize = 64;

/// The host name, as it is set. A running box is asked by uname's sister call, a tree by its files.
pub fn hostname(root: &Root) -> Fact<String> {
    if root.is_live()
        && let Some(name) = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
        && let Ok(name) = text::believable(&name).map(str::to_owned)
    {
        return Fact::known(name, "gethostname(2)");
    }
    seek(root, &[Place::File("/proc/sys/kernel/hostname"), Place::File("/etc/hostname")], any)
}

/// The host name as a device name: what a person who gives none gets.
pub fn default_name(root: &Root) -> Label {
    label_of(&hostname(root).value.unwrap_or_default())
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

/// The permanent addresses, as the family keeps them; `aa:bb:cc:dd:ee:ff`.
pub(super) fn macs(family: Family, root: &Root) -> Fact<Vec<String>> {
    let kept = match family {
        Family::Qts | Family::QutsHero => qnap(root),
        Family::Dsm => synology(root),
        Family::Truenas | Family::Openwrt | Family::Linux => return cards(root),
    };
    let found = kept.unwrap_or_else(Fact::unknown);
    if found.value.is_some() {
        return found;
    }
    let cards = cards(root);
    if cards.value.is_some() { cards } else { found }
}

/// `[MAC]` `eth0 = 24:5E:BE:…`, written by the firmware from the EEPROM.
fn qnap(root: &Root) -> Result<Fact<Vec<String>>, String> {
    const PATH: &str = "/var/MacAddress";
    let text = place::load(root, PATH).map_err(|why| format!("{PATH}: {why}"))?;
    let mut of_cards: Vec<_> = text::entries(&text)
        .filter(|(section, key, _)| section.eq_ignore_ascii_case("MAC") && key.starts_with("eth"))
        .filter_map(|(_, key, value)| Some((text::by_number(key), lower(value)?)))
        .take(MOST_CARDS)
        .collect();
    of_cards.sort();
    listed(of_cards.into_iter().map(|(_, mac)| mac).collect(), &format!("{PATH} [MAC]"))
}

/// Twelve hex digits for each card.
fn synology(root: &Root) -> Result<Fact<Vec<String>>, String> {
    const PATH: &str = "/proc/sys/kernel/syno_mac_addresses";
    let text = place::load(root, PATH).map_err(|why| format!("{PATH}: {why}"))?;
    let words = text.split(|c: char| c.is_whitespace() || c == ',');
    listed(words.filter_map(lower).take(MOST_CARDS).collect(), PATH)
}

fn listed(macs: Vec<String>, source: &str) -> Result<Fact<Vec<String>>, String> {
    if macs.is_empty() {
        Err(format!("{source}: there is no address"))
    } else {
        Ok(Fact::known(macs, source))
    }
}

fn cards(root: &Root) -> Fact<Vec<String>> {
    const CARDS: &str = "/sys/class/net";
    if let Err(error) = root.names(CARDS) {
        return Fact::unknown(format!("{CARDS}: {}", place::said(&error)));
    }
    let macs: Vec<String> =
        permanent_macs(root).iter().map(|mac| mac.to_string().to_ascii_lowercase()).collect();
    listed(macs, "/sys/class/net/*/address").unwrap_or_else(Fact::unknown)
}

/// An address with or without separators, as the others are written; none for zeros and groups.
fn lower(text: &str) -> Option<String> {
    let separated = |c| text.contains(c) && text.split(c).all(|part| part.len() == 2);
    let digits: String = match text.len() {
        12 => text.into(),
        17 if separated(':') || separated('-') => text.replace([':', '-'], ""),
        _ => return None,
    };
    let bytes = data_encoding::HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    let mac = MacAddress::new(bytes.try_into().ok()?);
    is_a_cards(mac).then(|| mac.to_string().to_ascii_lowercase())
}

/// The lowest bit of the first byte marks addresses of groups (IEEE 802).
fn is_a_cards(mac: MacAddress) -> bool {
    let [first, ..] = mac.bytes();
    mac.bytes() != [0; 6] && first & 1 == 0
}

/// The permanent addresses of the network cards, in the order of the cards' names.
///
/// A card has a device behind it and an address it was made with (`addr_assign_type` 0, the kernel's
/// `NET_ADDR_PERM`): bridges, bonds, tunnels and containers' interfaces have not.
pub fn permanent_macs(root: &Root) -> Vec<MacAddress> {
    let mut names = root.names("/sys/class/net").unwrap_or_default();
    names.sort_by_cached_key(|name| text::by_number(name));
    let cards = names.iter().filter(|name| is_card(root, name)).take(MOST_CARDS);
    cards.filter_map(|name| mac_of(root, name)).filter(|mac| is_a_cards(*mac)).collect()
}

fn is_card(root: &Root, name: &str) -> bool {
    let assigned = root.read_text(&format!("/sys/class/net/{name}/addr_assign_type"), SMALL);
    assigned.is_ok_and(|text| text.trim() == "0")
        && root.names(&format!("/sys/class/net/{name}/device")).is_ok()
}

fn mac_of(root: &Root, name: &str) -> Option<MacAddress> {
    if root.is_live() { mac_address_by_name(name).ok().flatten() } else { mac_in_file(root, name) }
}

fn mac_in_file(root: &Root, name: &str) -> Option<MacAddress> {
    root.read_text(&format!("/sys/class/net/{name}/address"), SMALL).ok()?.trim().parse().ok()
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
        interface("eth10", "0\n", "24:5e:be:00:00:0a\n", true);
        interface("br0", "0\n", "24:5e:be:00:00:09\n", false);
        interface("eth3", "0\n", "00:00:00:00:00:00\n", true);
        interface("eth4", "0\n", "01:00:5e:00:00:01\n", true);
        let macs = permanent_macs(&Root::new(&tree));
        let texts: Vec<String> = macs.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["24:5E:BE:00:00:01", "24:5E:BE:00:00:02", "24:5E:BE:00:00:0A"]);
    }

    #[test]
    fn addresses_are_read_in_every_form_boxes_write_them_in() {
        for good in ["245ebe1a2b3c", "24:5E:BE:1A:2B:3C", "24-5e-be-1a-2b-3c"] {
            assert_eq!(lower(good).as_deref(), Some("24:5e:be:1a:2b:3c"), "{good}");
        }
        for bad in ["", "245ebe1a2b3", "24:5e:be:1a:2b:3", "2:45e:be:1a:2b:3cc", "zz5ebe1a2b3c"] {
            assert_eq!(lower(bad), None, "{bad}");
        }
        assert_eq!(lower("000000000000"), None);
        assert_eq!(lower("ffffffffffff"), None);
    }

    #[test]
    fn the_running_box_and_its_files_agree() {
        let live = Root::system();
        let name = hostname(&live);
        assert_eq!(name.source.as_deref(), Some("gethostname(2)"));
        let file = place::load(&live, "/proc/sys/kernel/hostname").unwrap();
        assert_eq!(name.value.as_deref(), Some(file.trim()));
        // Every interface, not the cards only: a container's box has none of these.
        for name in live.names("/sys/class/net").unwrap() {
            let asked = mac_address_by_name(&name).unwrap().map_or([0; 6], MacAddress::bytes);
            // Tunnels have addresses that are no Ethernet ones.
            let Some(file) = mac_in_file(&live, &name) else { continue };
            assert_eq!(asked, file.bytes(), "{name}");
        }
    }
}
