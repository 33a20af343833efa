//! No secret of a box is in its server report (promise X4), and what is none is.

use super::plant::{CORPORA, Planted, lay};
use super::{entries, made, report, scratch};
use std::collections::{HashMap, HashSet};

/// Boxes of each corpus: twenty in a test run. `SEEDS=20` lays twenty of each.
fn seeds() -> u64 {
    std::env::var("SEEDS").map_or(5, |seeds| seeds.parse().unwrap())
}

#[test]
fn x4_what_settings_keep_secret_is_found_where_nothing_gives_it_away() {
    let dir = scratch("known");
    let (root, out) = (dir.join("root"), dir.join("out"));
    for (path, text) in [
        ("etc/app.conf", "password = Wolke7kranich\n".to_owned()),
        (
            "etc/ssl/private/key.pem",
            "-----BEGIN PRIVATE KEY-----\nzweiundvierzigkraniche\n".to_owned(),
        ),
        (
            "var/log/syslog",
            format!(
                "he said Wolke7kranich aloud\nand {} too, zweiundvierzigkraniche\n",
                data_encoding::BASE64.encode(b"anna:Wolke7kranich")
            ),
        ),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    std::fs::create_dir_all(&out).unwrap();
    let (_, path) = made(&report(&root, &out));
    for (name, bytes) in entries(&path) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["7kranich", "kraniche", "Wolke", "V29sa2U3"] {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
    }
}

/// Tells the secrets of a corpus that are in a report in part, and what was lost.
#[derive(Default)]
struct Tally {
    leaks: Vec<String>,
    lost: Vec<String>,
    secrets: usize,
    keepers: usize,
}

/// So much of a secret is a leak of it.
const PART: usize = 8;

impl Tally {
    fn look(&mut self, label: &str, planted: &Planted, all: &[(String, Vec<u8>)]) {
        let mut parts = HashMap::new();
        for secret in &planted.secrets {
            let length = secret.len().min(PART);
            for part in secret.as_bytes().windows(length) {
                parts.insert(part, secret);
            }
        }
        let mut found = HashSet::new();
        for (name, bytes) in all {
            let text: Vec<u8> = [name.as_bytes(), b"\n", bytes].concat();
            let text: Vec<u8> = text.into_iter().filter(|byte| *byte != 0).collect();
            for length in 5..=PART {
                for (at, part) in text.windows(length).enumerate() {
                    let Some(secret) = parts.get(part) else { continue };
                    let flanked = [at.checked_sub(1), Some(at + length)].into_iter().flatten();
                    let in_word = flanked.filter_map(|at| text.get(at)).any(u8::is_ascii_hexdigit);
                    if length < PART && in_word || !found.insert(secret.as_str()) {
                        continue;
                    }
                    let around = &text[at.saturating_sub(70)..(at + 20).min(text.len())];
                    let around = String::from_utf8_lossy(around).replace('\n', "\\n");
                    self.leaks.push(format!("{label} {secret} in {name}: …{around}"));
                }
            }
        }
        self.secrets += planted.secrets.len();
        let text: Vec<u8> = all.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let text = String::from_utf8_lossy(&text);
        for keeper in &planted.keepers {
            self.keepers += 1;
            if !text.contains(keeper.as_str()) {
                self.lost.push(format!("{label} {keeper}"));
            }
        }
    }
}

fn tally(corpus: &str, seeds: std::ops::RangeInclusive<u64>) -> Tally {
    let text = CORPORA.iter().find(|(name, _)| *name == corpus).unwrap().1;
    let mut tally = Tally::default();
    for seed in seeds {
        let dir = scratch(&format!("planted-{corpus}-{seed}"));
        let (root, out) = (dir.join("root"), dir.join("out"));
        std::fs::create_dir_all(&out).unwrap();
        let planted = lay(&root, text, seed);
        let (said, path) = made(&report(&root, &out));
        let removed = said["removed"].as_array().unwrap();
        tally.lost.extend(removed.iter().map(|name| format!("{corpus} {seed}: all of {name}")));
        tally.look(&format!("{corpus} {seed}:"), &planted, &entries(&path));
        std::fs::remove_dir_all(&dir).unwrap();
    }
    tally
}

#[allow(clippy::print_stdout)]
fn holds(corpus: &str) {
    let Tally { leaks, lost, secrets, keepers } = tally(corpus, 1..=seeds());
    let first = |lines: &[String]| lines[..lines.len().min(400)].join("\n");
    println!("{corpus}: {} of {secrets} leak, {} of {keepers} lost", leaks.len(), lost.len());
    println!("{}", first(&lost));
    assert!(leaks.is_empty(), "{} of {secrets} leak:\n{}", leaks.len(), first(&leaks));
    assert!(lost.len() * 20 <= keepers, "{} of {keepers} lost:\n{}", lost.len(), first(&lost));
}

#[test]
fn x4_no_secret_of_twenty_boxes_is_in_their_reports_and_what_is_none_stays() {
    holds("early");
}

#[test]
fn x4_no_secret_in_more_than_forty_formats_is_in_a_report() {
    holds("first");
}

#[test]
fn x4_no_secret_of_a_second_corpus_is_in_a_report() {
    holds("second");
}

#[test]
fn x4_no_secret_of_a_corpus_that_was_held_out_is_in_a_report() {
    holds("held_out");
}
