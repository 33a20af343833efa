//! The serial number of the box, as its maker wrote it.

use super::root::Root;

/// One line is enough for a serial number; more than this is none.
const SMALL: u64 = 256;
/// Where it stands, the best first: the product's own, its board's, and that of a box without a BIOS.
const PLACES: &[&str] = &[
    "/sys/class/dmi/id/product_serial",
    "/sys/class/dmi/id/board_serial",
    "/proc/device-tree/serial-number",
];
/// What makers leave in the place of a serial number, in lower case.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "default",
    "system serial number",
    "serial number",
    "not specified",
    "not applicable",
    "not available",
    "none",
    "n/a",
    "unknown",
    "oem",
    "0123456789",
    "123456789",
    "1234567890",
    "xxxxxxxx",
];

/// The serial number; `None` for a box that has none, or hides it from all but root.
pub fn serial(root: &Root) -> Option<String> {
    PLACES.iter().find_map(|place| meant(&root.read_text(place, SMALL).ok()?))
}

/// A serial number that may tell one box from another.
fn meant(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let known = PLACEHOLDERS.contains(&text.to_ascii_lowercase().as_str());
    // `00000000`, `--------`: one character over and over is a placeholder too.
    let first = text.chars().next()?;
    let same = text.chars().all(|c| c == first);
    (!known && !same).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;

    #[test]
    fn placeholders_are_no_serial_numbers() {
        for text in
            ["To be filled by O.E.M.\n", "Default string", "0123456789", "0000000", "", " \0", "-"]
        {
            assert_eq!(meant(text), None, "{text:?}");
        }
        assert_eq!(meant("Q205I01234\n").as_deref(), Some("Q205I01234"));
    }

    #[test]
    fn the_products_own_is_better_than_the_boards() {
        let tree = scratch("serial");
        let dir = tree.join("sys/class/dmi/id");
        std::fs::create_dir_all(&dir).unwrap();
        let root = Root::new(&tree);
        assert_eq!(serial(&root), None);
        std::fs::write(dir.join("board_serial"), "board-1\n").unwrap();
        std::fs::write(dir.join("product_serial"), "Default string\n").unwrap();
        assert_eq!(serial(&root).as_deref(), Some("board-1"));
        std::fs::write(dir.join("product_serial"), "Q205I01234\n").unwrap();
        assert_eq!(serial(&root).as_deref(), Some("Q205I01234"));
    }
}
