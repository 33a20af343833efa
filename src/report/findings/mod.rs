//! Findings: what is wrong, seen while the sections are written, each with the line that shows it.

mod rules;

use rules::RULES;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most lines that are shown of one finding: the first of all, and the newest.
const MOST: usize = 5;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Will be a fault.
    Warning,
    /// Is a fault.
    Fault,
}

/// One kind of thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// A name that stays.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it means.
    pub text: &'static str,
    /// What to do next.
    pub advice: &'static str,
    /// Where it was seen: `path:line`, and the line.
    pub evidence: Vec<Evidence>,
    /// How often it was seen in all.
    pub count: u64,
}

/// A line that shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// `path:line` in the archive.
    pub place: String,
    /// The line, cut after 200 characters.
    pub line: String,
}

/// Looks at every line that is written.
#[derive(Default)]
pub struct Watcher {
    found: BTreeMap<usize, Finding>,
}

impl Watcher {
    /// Looks at one line of a section, and says how bad it is.
    pub fn line(&mut self, path: &str, number: u64, line: &str) -> Option<Severity> {
        let mut worst = None;
        for (at, rule) in RULES.iter().enumerate() {
            if !path.starts_with(rule.section) || !(rule.look)(line) {
                continue;
            }
            worst = worst.max(Some(rule.severity));
            let finding = self.found.entry(at).or_insert_with(|| Finding {
                code: rule.code,
                severity: rule.severity,
                text: rule.text,
                advice: rule.advice,
                evidence: Vec::new(),
                count: 0,
            });
            finding.count += 1;
            if finding.evidence.len() == MOST {
                // Whether it still happens is what is asked first.
                finding.evidence.remove(1);
            }
            let line = line.trim().chars().take(200).collect();
            finding.evidence.push(Evidence { place: format!("{path}:{number}"), line });
        }
        worst
    }

    /// What was found, the worst first.
    pub fn finish(self) -> Vec<Finding> {
        let mut all: Vec<_> = self.found.into_values().collect();
        all.sort_by_key(|finding| core::cmp::Reverse(finding.severity));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rule_sees_its_example_and_nothing_in_a_healthy_line() {
        let examples = include_str!("examples.txt");
        let mut seen = BTreeSet::new();
        for example in examples.lines().filter(|line| !line.starts_with('#')) {
            let mut words = example.splitn(3, '\t');
            let (code, path) = (words.next().unwrap(), words.next().unwrap());
            let mut watcher = Watcher::default();
            watcher.line(path, 7, words.next().unwrap());
            let codes: Vec<_> = watcher.finish().iter().map(|found| found.code).collect();
            if code == "-" {
                assert!(codes.is_empty(), "{codes:?} in {example}");
            } else {
                assert_eq!(codes, [code], "{example}");
                seen.insert(code);
            }
        }
        let all: BTreeSet<_> = RULES.iter().map(|rule| rule.code).collect();
        assert_eq!(all, seen, "a rule without an example");
        assert!(all.len() >= 40, "{}", all.len());
    }

    #[test]
    fn the_first_line_and_the_newest_are_shown() {
        let mut watcher = Watcher::default();
        for number in 1..=9 {
            watcher.line(
                "logs/kernel.txt",
                number,
                &format!("[{number}] EXT4-fs error (device sda1)"),
            );
        }
        let found = watcher.finish();
        let [finding] = &*found else { panic!("{found:?}") };
        let places: Vec<_> = finding.evidence.iter().map(|one| &*one.place).collect();
        let kept = [1, 6, 7, 8, 9].map(|number| format!("logs/kernel.txt:{number}"));
        assert_eq!((finding.count, places), (9, kept.iter().map(String::as_str).collect()));
    }
}
