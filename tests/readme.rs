//! The README's tables are made from the catalogue and from the names of the tests. `BLESS=1` writes them anew.
#![allow(clippy::unwrap_used)]

use qcloud_agent::card::Card;
use qcloud_agent::egress::catalogue::{kept, parcels, recipient};
use qcloud_agent::features::ALL;
use std::collections::BTreeMap;
use std::path::Path;

const PARCELS: &str = "<!-- generated: parcels -->\n";
const PROMISES: &str = "<!-- generated: promises -->\n";
const END: &str = "<!-- end -->";

fn table() -> String {
    let cards: Vec<&'static Card> = ALL.iter().map(|row| row.card).collect();
    let mut table =
        String::from("| parcel | what | fields | to | kept there |\n|---|---|---|---|---|\n");
    for parcel in parcels(&cards) {
        let fields: Vec<_> =
            parcel.fields.iter().map(|field| format!("`{}`", field.path)).collect();
        table += &format!(
            "| `{}` | {} | {} | {} | {} |\n",
            parcel.id,
            parcel.what,
            fields.join(", "),
            recipient(parcel.to),
            kept(parcel.retention)
        );
    }
    table
}

/// Every test named after a promise, by promise: the name is what must hold.
fn promises() -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found: BTreeMap<(char, u32, String), Vec<String>> = BTreeMap::new();
    let mut todo = vec![tests];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                for (id, says) in text.lines().filter_map(promise) {
                    let (letter, number) = id.split_at(1);
                    let number = number.parse().unwrap();
                    let letter = letter.chars().next().unwrap();
                    found.entry((letter, number, id)).or_default().push(says);
                }
            }
        }
    }
    let mut table = String::from("| promise | what its tests show |\n|---|---|\n");
    for ((.., id), mut says) in found {
        says.sort();
        table += &format!("| {id} | {} |\n", says.join("; "));
    }
    table
}

/// `fn s2_the_api_is_tls_only()` is the promise S2 and the words behind it.
fn promise(line: &str) -> Option<(String, String)> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?.split('(').next()?;
    let (id, says) = name.split_once('_')?;
    let digits = id.get(1..)?;
    let is_id = id.starts_with(|c: char| c.is_ascii_lowercase())
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit());
    is_id.then(|| (id.to_uppercase(), says.replace('_', " ")))
}

/// Compares what stands behind a marker with what it should be, or puts it there.
fn check(marker: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(marker).expect("the marker stands in the README") + marker.len();
    let end = begin + text[begin..].find(END).expect("the end marker stands in the README");
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{}{wanted}{}", &text[..begin], &text[end..]);
        std::fs::write(&path, blessed).unwrap();
    } else {
        assert_eq!(&text[begin..end], wanted, "run this test with BLESS=1");
    }
}

#[test]
fn the_readme_says_what_the_catalogue_and_the_tests_say() {
    check(PARCELS, &table());
    check(PROMISES, &promises());
}
