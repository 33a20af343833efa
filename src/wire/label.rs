//! Names that become DNS labels.

use serde::{Deserialize, Deserializer, Serialize};

/// A lower-case DNS label (RFC 1035 section 2.3.1): 1 to 63 of `a-z 0-9 -`, no hyphen at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

/// Why a text is not a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 63 of a-z, 0-9 and -, without a - at either end")]
pub struct BadLabel(String);

impl Label {
    /// Checks a label.
    ///
    /// # Errors
    /// Anything but a lower-case DNS label; the error shows it without control characters.
    pub fn parse(text: &str) -> Result<Self, BadLabel> {
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits { Ok(Self(text.into())) } else { Err(BadLabel(printable(text, 63))) }
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A text from outside as it may be shown: what acts on a terminal or a page instead of standing in it becomes
/// `?`, and it is cut after `most` characters.
pub fn printable(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if acts(c) { '?' } else { c }).collect()
}

/// Whether a character does something to the text around it: control characters (escapes, line ends, bells), and
/// what Unicode has for the direction of writing, for joining and for breaking lines, which can make one text look
/// like another (UTR #36 section 2.4; Trojan Source, CVE-2021-42574).
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_dns_labels_are_names() {
        for good in ["a", "box", "x1-y", &"a".repeat(63)] {
            assert!(Label::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "é", "a\n", &"a".repeat(64)] {
            assert!(Label::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_control_characters() {
        assert_eq!(printable("a\u{1b}[31m\nb", 99), "a?[31m?b");
        assert_eq!(printable("abcdef", 3), "abc");
        assert_eq!(
            printable("a\u{202e}b\u{2066}c\u{200b}d\u{2028}e\u{feff}\u{9b}", 99),
            "a?b?c?d?e??"
        );
        assert_eq!(printable("Åsö 日本 عربي", 99), "Åsö 日本 عربي");
    }
}
