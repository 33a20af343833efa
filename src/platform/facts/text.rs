//! The file formats facts stand in, read from text. Pure; nothing panics on any text.

/// The longest value of a fact, in bytes; DMI strings have at most 64 (SMBIOS 3.7 section 6.1.3).
const LONGEST: usize = 128;

/// What makers leave in the tables of their boards, in lower case.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "to be filled by oem",
    "default string",
    "default",
    "system product name",
    "system manufacturer",
    "system serial number",
    "system version",
    "product name",
    "serial number",
    "base board serial number",
    "chassis serial number",
    "not specified",
    "not applicable",
    "not available",
    "none",
    "n/a",
    "na",
    "null",
    "unknown",
    "undefined",
    "empty",
    "oem",
    "o.e.m.",
    "invalid",
    "123456789",
    "1234567890",
    "0123456789",
    "12345678",
    "01234567890123456789",
];

/// A value as it stands in a file, without the blanks around it.
///
/// # Errors
/// Why it is not believed: it is empty, too long, or holds characters that no maker writes.
pub fn believable(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    if crate::sabotage::off("fact-believable") {
        return Ok(text);
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LONGEST {
        return Err("it is longer than 128 bytes");
    }
    if text.chars().any(is_odd) {
        return Err("it holds characters that cannot be shown");
    }
    Ok(text)
}

/// Control characters, and those that change how the text around them is shown.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff0}'..='\u{ffff}')
}

/// Whether a value of a board's table says nothing about this board.
pub fn is_placeholder(value: &str) -> bool {
    let lower = value.trim().to_ascii_lowercase();
    let mut letters = lower.chars().filter(|c| !"-. ".contains(*c));
    // `0000000000`, `xxxxxxxxxxx`, `ffffffff`: one character all along.
    let same = letters.next().is_none_or(|first| {
        letters.all(|c| c == first) && (lower.len() > 1 || "0x?*#".contains(first))
    });
    same || PLACEHOLDERS.contains(&&*lower)
}

/// Refuses what says nothing.
///
/// # Errors
/// The reason, with the value.
pub fn no_placeholder(value: &str) -> Result<(), String> {
    if is_placeholder(value) { Err(format!("`{value}` is a placeholder")) } else { Ok(()) }
}

/// A key of a section in the form of QNAP's configuration files: `[Section]`, `Key = value`. Names are
/// compared as `getcfg` does, without regard to case; the first one counts; before any section its name is empty.
pub fn section(text: &str, section: &str, key: &str) -> Option<String> {
    let mut entries =
        entries(text).filter(|(in_section, _, _)| in_section.eq_ignore_ascii_case(section));
    entries
        .find(|(_, name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, _, value)| value.to_owned())
}

/// Every `(section, key, value)` of such a file, in its order.
pub fn entries(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            return None;
        }
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (name, value) = line.split_once('=')?;
        Some((section, name.trim(), value.trim()))
    })
}

/// A variable in a file of shell assignments (`os-release(5)`): quotes and backslashes are undone, and the last
/// assignment counts.
pub fn variable(text: &str, name: &str) -> Option<String> {
    let mut assigned = text.lines().rev().filter_map(|line| line.trim().split_once('='));
    assigned.find(|(left, _)| *left == name).map(|(_, right)| unquoted(right))
}

fn unquoted(text: &str) -> String {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(plain) = inside('\'') {
        return plain.to_owned();
    }
    let mut value = String::new();
    let mut characters = inside('"').unwrap_or(text).chars();
    while let Some(c) = characters.next() {
        value.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    value
}

/// Splits a text so that numbers in it sort by their size: `ZFS2` before `ZFS18`.
pub fn by_number(text: &str) -> (String, u64, String) {
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (before, rest) = text.split_at(start);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX);
    (before.to_owned(), number, rest.to_owned())
}
