//! One thing that was looked at, and how it is printed.

use crate::wire::label::printable;
use serde::Serialize;

/// The columns of a terminal that everybody has.
const COLUMNS: usize = 80;
/// The columns of the word and of the name before the text.
const MARGIN: usize = 23;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and something is to be known or done.
    Warn,
    /// It does not work.
    Bad,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What it is.
    pub(super) what: &'static str,
    /// How it stands.
    pub(super) level: Level,
    /// In words.
    pub(super) text: String,
    /// A command that helps.
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, level: Level::Ok, text: text.into(), hint: None }
    }

    pub(super) fn warn(what: &'static str, text: impl Into<String>, hint: &str) -> Self {
        Self { what, level: Level::Warn, text: text.into(), hint: Some(hint.into()) }
    }

    pub(super) fn bad(what: &'static str, text: impl Into<String>, hint: &str) -> Self {
        Self { what, level: Level::Bad, text: text.into(), hint: Some(hint.into()) }
    }

    /// From an error of the house: a line, and perhaps one that begins with `hint: `.
    pub(super) fn failed(what: &'static str, text: &str) -> Self {
        let (text, hint) = text.split_once("\nhint: ").unwrap_or((text, "qcloud-agent status"));
        Self::bad(what, text, hint)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = wrapped(&printable(&self.text, 600));
        if let Some(hint) = &self.hint {
            lines.extend(wrapped(&format!("hint: {}", printable(hint, 300))));
        }
        let head = format!("{:<5} {:<16} ", self.level.word(), self.what);
        let mut lines = lines.into_iter();
        let first = format!("{head}{}", lines.next().unwrap_or_default());
        let rest = lines.map(|line| format!("{:MARGIN$}{line}", ""));
        core::iter::once(first).chain(rest).collect()
    }
}

/// The whole page.
pub(super) fn page(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings.iter().flat_map(Finding::lines).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let sum = match (count(Level::Bad), count(Level::Warn)) {
        (0, 0) => "all is well".to_owned(),
        (bad, warn) => format!("{bad} bad, {warn} to look at"),
    };
    format!("{}\n\n{sum}", lines.join("\n"))
}

/// A text in lines that fit behind the margin. A word longer than a line, such as a path, is cut into pieces.
fn wrapped(text: &str) -> Vec<String> {
    let most = COLUMNS - MARGIN;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let line = lines.last().map_or(0, |line| line.chars().count());
            let gap = usize::from(line > 0);
            if line + gap + word.len() > most && line > 0 {
                lines.push(String::new());
                continue;
            }
            let piece: String = word.drain(..word.len().min(most)).collect();
            if let Some(last) = lines.last_mut() {
                if gap > 0 {
                    last.push(' ');
                }
                last.push_str(&piece);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_fits_eighty_columns_whatever_the_words_are() {
        let long = "x".repeat(300);
        let findings = [
            Finding::ok("agent", "runs"),
            Finding::warn("clock", "a word and another ".repeat(30), &long),
            Finding::bad(
                "state directory",
                format!("\u{1b}[2J{long}\nbad agent"),
                "qcloud-agent status",
            ),
        ];
        let page = page(&findings);
        assert!(page.lines().all(|line| line.chars().count() <= COLUMNS), "{page}");
        assert!(page.ends_with("\n\n1 bad, 1 to look at"), "{page}");
        assert!(
            !page.contains('\u{1b}') && !page.lines().any(|line| line.starts_with("bad agent"))
        );
        assert!(
            page.starts_with("ok    agent            runs\nwarn  clock            a word"),
            "{page}"
        );
    }
}
