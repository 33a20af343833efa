//! What the source says: lengths, directions, and who may touch what.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Which layer may name which. A layer may always name itself; everything stands on these three.
const EVERYWHERE: &[&str] = &["sabotage", "secret"];
const LAYERS: &[(&str, &[&str])] = &[
    ("sabotage", &[]),
    ("secret", &[]),
    ("card", &[]),
    ("clock", &[]),
    ("state", &["card", "clock", "platform"]),
    ("wire", &["card", "clock"]),
    ("platform", &["card", "clock", "wire"]),
    ("identity", &["card", "clock", "state", "wire", "platform"]),
    // It neither knows what can leave nor how: a report never leaves by itself (promise X7).
    ("report", &["clock", "platform"]),
    ("egress", &["card", "clock", "state", "wire", "identity", "platform"]),
    ("daemon", &["card", "clock", "state", "wire", "identity", "platform", "egress"]),
    ("features", &["card", "clock", "wire", "platform", "egress", "daemon"]),
    ("hub", &["card", "clock", "wire", "identity"]),
    (
        "cli",
        &[
            "card", "clock", "state", "wire", "identity", "platform", "egress", "daemon",
            "features", "hub", "report",
        ],
    ),
    // What the fuzz targets reach into.
    ("fuzz", &["daemon", "egress", "features", "platform", "state"]),
    ("bin", &["card", "cli", "features", "hub"]),
    ("lib", &[]),
];

/// A thing that only some files may name: the words, the files, and the rule in words.
struct Only {
    words: &'static [&'static str],
    files: &'static [&'static str],
    rule: &'static str,
}

const ONLY: &[Only] = &[
    Only {
        words: &["clock_gettime", "SystemTime", "std::time::Instant", "ClockId"],
        files: &["clock.rs", "platform/timer.rs"],
        rule: "only clock.rs reads clocks (timer.rs arms them)",
    },
    Only {
        words: &["process::Command", "Command::new(argv", "nix::unistd::fork", "execv"],
        files: &["platform/exec.rs"],
        rule: "only platform/exec.rs starts processes",
    },
    Only {
        words: &[
            "TcpStream",
            "TcpListener",
            "TcpSocket",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "UnixDatagram",
            "sys::socket::socket",
            "quinn::Endpoint",
            "reqwest::Client",
        ],
        files: &[
            "egress/",
            "hub/",
            "daemon/control.rs",
            // It receives only.
            "platform/capture.rs",
            "platform/helper.rs",
            "platform/netlink.rs",
            "platform/service.rs",
            "cli/try/",
        ],
        rule: "bytes leave through egress/ only; the others are named in this test",
    },
    Only {
        words: &["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"],
        // A signal handler cannot be written without.
        files: &["platform/kernel.rs", "platform/kernel/", "platform/crash.rs"],
        rule: "only platform/kernel.rs, what is below it, and platform/crash.rs are unsafe",
    },
    Only {
        words: &["println!", "eprintln!", "dbg!", "todo!", "unimplemented!"],
        files: &[],
        rule: "answers go through cli/print.rs, the rest is logged, and nothing is left to be done",
    },
    Only {
        words: &["getaddrinfo", "lookup_host", "ToSocketAddrs"],
        files: &["hub/"],
        rule: "look-ups are egress: egress/resolver.rs",
    },
];

/// What a feature never touches: it has hands.
const NOT_IN_FEATURES: &[&str] = &[
    "egress::carriers",
    "egress::https",
    "egress::session",
    "egress::local",
    "egress::resolver",
    "tokio::net",
    "std::fs",
    "std::net",
    "std::process",
    "tokio::fs",
    "tokio::process",
    "tokio::spawn",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a directory, by its path from there, with its text.
pub fn rust_files(dir: &Path) -> Vec<(String, String)> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The files of src/ as they are compiled for use: without comments, strings and tests.
fn source() -> Vec<(String, String)> {
    let files = rust_files(&root().join("src"));
    assert!(files.len() > 50, "the source was found");
    let is_test = |name: &str| name.ends_with("tests.rs") || name.ends_with("testing.rs");
    let code = files.into_iter().filter(|(name, _)| !is_test(name));
    code.map(|(name, text)| (name, without_tests(&blank(&text)))).collect()
}

/// The text with comments and the insides of literals as spaces; lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = skipped(rest, out.chars().next_back()).unwrap_or(0);
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[length..];
        }
    }
    out
}

/// The length of the comment or literal that a text begins with.
fn skipped(text: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return text.find("*/").map(|end| end + 2);
    }
    if !in_word && (text.starts_with("r\"") || text.starts_with("r#") || text.starts_with("br")) {
        let open = text.find('"').filter(|at| {
            text[..*at].trim_start_matches('b').trim_start_matches('r').bytes().all(|b| b == b'#')
        })?;
        let hashes = text[..open].matches('#').count();
        let close = format!("\"{}", "#".repeat(hashes));
        return text[open + 1..].find(&close).map(|end| open + 1 + end + close.len());
    }
    if text.starts_with('"') {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                '"' if !escaped => return Some(at + 1),
                '\\' if !escaped => escaped = true,
                _ => escaped = false,
            }
        }
    }
    // A character, not a lifetime.
    let mut characters = text.char_indices();
    if characters.next()?.1 != '\'' {
        return None;
    }
    match (characters.next()?.1, characters.next()) {
        ('\\', _) => {
            text[2..].find('\'').map(|end| end + 3).or(Some(4)).map(|l| l.max(4).min(text.len()))
        }
        (_, Some((at, '\''))) => Some(at + 1),
        _ => None,
    }
}

/// The text without what is compiled for its own tests only.
fn without_tests(code: &str) -> String {
    let mut rest = code.to_owned();
    while let Some(start) = rest.find("#[cfg(test)]") {
        let end = item_end(&rest[start..]).map_or(rest.len(), |end| start + end);
        rest.replace_range(start..end, "");
    }
    rest
}

/// Where the item that a text begins with ends.
fn item_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return Some(at + 1),
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The layer a file of src/ is in.
fn layer(name: &str) -> &str {
    let first = name.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Every `crate::` path of a file, braces after it undone: `crate::{card, wire}` names both.
fn named_layers(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for marker in ["crate::", "qcloud_agent::"] {
        for rest in code.split(marker).skip(1) {
            let inside = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once('}').map_or(rest, |(inside, _)| inside),
                None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap(),
            };
            let words = inside.split(',').map(|word| word.trim().split(':').next().unwrap());
            named.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    named
}

fn assert_none(what: &str, found: &[String]) {
    let mut list = String::new();
    for line in found {
        let _ = writeln!(list, "  {line}");
    }
    assert!(found.is_empty(), "{what}:\n{list}");
}

#[test]
fn no_file_is_longer_than_it_can_be_read() {
    let mut long = Vec::new();
    for dir in ["src", "tests"] {
        for (name, text) in rust_files(&root().join(dir)) {
            let lines = text.lines().count();
            if lines > FILE_LINES {
                long.push(format!("{dir}/{name}: {lines} lines, more than {FILE_LINES}"));
            }
        }
    }
    assert_none("files that hold two ideas", &long);
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut long = Vec::new();
    for dir in ["src", "tests"] {
        for (name, text) in rust_files(&root().join(dir)) {
            let code = blank(&text);
            for (start, _) in code.match_indices("fn ") {
                let is_word = code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let Some(end) = item_end(&code[start..]).filter(|_| !is_word) else { continue };
                let lines = code[start..start + end].lines().count();
                let function = code[start + 3..].split(['(', '<']).next().unwrap();
                let allowed = LONG_FUNCTIONS.iter().any(|(known, _)| *known == function);
                if lines > FUNCTION_LINES && !allowed {
                    long.push(format!("{dir}/{name}: {function} has {lines} lines"));
                }
            }
        }
    }
    assert_none("functions that hold two ideas", &long);
}

#[test]
fn every_layer_names_only_what_is_below_it() {
    let layers: Vec<_> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    let mut wrong = Vec::new();
    for (name, code) in source() {
        let own = layer(&name);
        let Some((_, below)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
            wrong.push(format!("{name}: this layer is not in the list of this test"));
            continue;
        };
        for other in named_layers(&code) {
            let fits = other == own || below.contains(&&*other) || EVERYWHERE.contains(&&*other);
            if layers.contains(&&*other) && !fits {
                wrong.push(format!("{name} names {other}"));
            }
        }
    }
    assert_none("imports against the direction", &wrong);
}

#[test]
fn the_hub_uses_only_the_verifying_half_of_identity() {
    let mut wrong = Vec::new();
    for (name, code) in source().into_iter().filter(|(name, _)| layer(name) == "hub") {
        for rest in code.split("crate::identity::").skip(1) {
            let word = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if !["id", "pin", "validity"].contains(&word) {
                wrong.push(format!("{name} names identity::{word}"));
            }
        }
    }
    assert_none("the hub holds no device's key", &wrong);
}

#[test]
fn a_feature_knows_no_other_feature_and_touches_nothing_itself() {
    let features: Vec<_> = qcloud_agent::features::ALL.iter().map(|row| row.card.name).collect();
    let mut wrong = Vec::new();
    let code = source().into_iter().filter(|(name, _)| name.starts_with("features/"));
    for (name, code) in code.filter(|(name, _)| name != "features/mod.rs") {
        let own = name.split('/').nth(1).unwrap();
        for other in features.iter().filter(|other| **other != own) {
            let paths = [format!("features::{other}"), format!("super::super::{other}")];
            wrong.extend(
                paths.iter().filter(|path| code.contains(*path)).map(|p| format!("{name}: {p}")),
            );
        }
        let touched = NOT_IN_FEATURES.iter().filter(|word| code.contains(**word));
        wrong.extend(touched.map(|word| format!("{name}: {word}")));
    }
    assert_none("features talk by events and act by their hands", &wrong);
}

#[test]
fn sockets_clocks_processes_and_unsafe_code_have_one_place_each() {
    let mut wrong = Vec::new();
    for (name, code) in source() {
        for only in ONLY {
            let may = only.files.iter().any(|file| name.starts_with(file));
            for word in only.words.iter().filter(|word| !may && has_word(&code, word)) {
                wrong.push(format!("{name}: `{word}` ({})", only.rule));
            }
        }
    }
    assert_none("things out of their place", &wrong);
}

/// Whether a word stands in a text on its own, not as the end of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn this_test_sees_through_comments_strings_and_tests() {
    let text = "fn a() { /* { */ let b = \"}\\\"{\"; let c = '{'; } // dbg!\n#[cfg(test)]\nmod tests { dbg!(); }\nfn z<'a>() {}";
    let code = without_tests(&blank(text));
    assert_eq!(item_end(&code).map(|end| code[..end].matches('b').count()), Some(1));
    assert!(!code.contains("dbg") && code.contains("fn z<'a>() {}"), "{code}");
    assert_eq!(blank("r#\"dbg!\"# x").trim(), "x");
    assert_eq!(
        named_layers("use crate::{card::Exit, wire}; crate::hub::x()"),
        ["card", "wire", "hub"]
    );
    assert!(has_word("a println!()", "println!") && !has_word("a eprintln!()", "println!"));
}
