//! Trees of files with secrets in them, random by a seed, and with what must stay.
//!
//! A corpus is a text: `@ PATH [gz] [crlf] [utf16]` begins a file; `{g}` is a secret of a kind, `{p:name}` one
//! that has a name and `{=name|hex}` the same once more, in an encoding; `«…»` must be found in the report;
//! `␀`, `␛` and `␦` are a NUL, an escape and a byte that is no text; `{~N}` is N bytes of words.

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// The corpora, by name.
pub const CORPORA: &[(&str, &str)] = &[
    ("early", include_str!("corpus/early.txt")),
    ("first", include_str!("corpus/first.txt")),
    ("second", include_str!("corpus/second.txt")),
    ("held_out", include_str!("corpus/held_out.txt")),
];

/// What was laid out.
#[derive(Default)]
pub struct Planted {
    /// No part of these may be found.
    pub secrets: Vec<String>,
    /// These must be.
    pub keepers: Vec<String>,
}

/// Lays a corpus out under `root`.
pub fn lay(root: &Path, corpus: &str, seed: u64) -> Planted {
    let mut writer = Writer { random: Random::new(seed), ..Writer::default() };
    for file in corpus.split("\n@ ").map(|file| file.trim_start_matches("@ ")) {
        let (head, text) = file.split_once('\n').unwrap();
        let mut words = head.split(' ');
        let path = writer.expand(words.next().unwrap());
        let mut bytes = raw(&writer.expand(&format!("{text}\n")));
        for word in words {
            bytes = match word {
                "gz" => gzip(&bytes),
                "crlf" => String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into(),
                "utf16" => utf16(&String::from_utf8(bytes).unwrap()),
                other => panic!("no form {other}"),
            };
        }
        let to = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
    writer.planted
}

fn raw(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for c in text.chars() {
        match c {
            '␀' => bytes.push(0),
            '␛' => bytes.push(0x1b),
            '␦' => bytes.push(0xff),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// A small generator (xorshift64*): the same seed, the same tree.
#[derive(Default)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn text(&mut self, letters: &str, length: usize) -> String {
        let letters = letters.as_bytes();
        let count = u64::try_from(letters.len()).unwrap();
        let pick = |n: u64| char::from(letters[usize::try_from(n % count).unwrap()]);
        (0..length).map(|_| pick(self.next() >> 8)).collect()
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";
const HEX_UPPER: &str = "0123456789ABCDEF";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[derive(Default)]
struct Writer {
    random: Random,
    named: BTreeMap<String, String>,
    planted: Planted,
}

impl Writer {
    /// The text with every placeholder replaced.
    fn expand(&mut self, template: &str) -> String {
        let (mut text, mut rest, mut keeper) = (String::new(), template, None);
        while let Some(c) = rest.chars().next() {
            let end = placeholder(rest);
            match (c, end) {
                ('«', _) => keeper = Some(text.len()),
                ('»', _) => {
                    let kept = text[keeper.take().unwrap()..].to_owned();
                    self.planted.keepers.extend(Some(kept).filter(|kept| !kept.is_empty()));
                }
                (_, Some(end)) => {
                    let filled = self.fill(&rest[1..end], keeper.is_none());
                    text.push_str(&filled);
                    rest = &rest[end + 1..];
                    continue;
                }
                _ => text.push(c),
            }
            rest = &rest[c.len_utf8()..];
        }
        text
    }

    fn fill(&mut self, what: &str, secret: bool) -> String {
        if let Some(length) = what.strip_prefix('~') {
            let length = length.parse().unwrap();
            let mut words = String::new();
            while words.len() < length {
                write!(words, "{} ", self.random.text(LOWER, 6)).unwrap();
            }
            return words;
        }
        let text = if let Some(again) = what.strip_prefix('=') {
            let (name, form) = again.split_once('|').unwrap_or((again, ""));
            encoded(&self.named[name], form)
        } else {
            let (kind, name) = what.split_once(':').unwrap_or((what, ""));
            let (kind, form) = kind.split_once('|').unwrap_or((kind, ""));
            let percent = kind.ends_with('%');
            let value = self.kind(kind.trim_end_matches('%'));
            if !name.is_empty() {
                self.named.insert(name.to_owned(), value.clone());
            }
            encoded(&value, if percent { "url" } else { form })
        };
        if secret {
            self.planted.secrets.push(text.trim_matches('\'').to_owned());
        }
        text
    }

    /// A secret of a kind.
    fn kind(&mut self, kind: &str) -> String {
        let count: Option<usize> = kind[1..].parse().ok();
        let random = &mut self.random;
        match &kind[..1] {
            // A password people choose: a word and a number, with and without a capital.
            "p" => format!(
                "{}{}{}",
                random.text(UPPER, 1),
                random.text(LOWER, 7),
                random.text(DIGITS, 2)
            ),
            "w" => format!("{}{}", random.text(LOWER, 8), random.text(DIGITS, 2)),
            // One a generator made; with signs; with signs that mean something to a shell.
            "g" => format!("{}7x", random.text(ALNUM, 12)),
            "s" => format!(
                "{}!{}3%{}",
                random.text(UPPER, 2),
                random.text(LOWER, 6),
                random.text(LOWER, 2)
            ),
            "t" => format!(
                "{}@{}#{}&",
                random.text(UPPER, 3),
                random.text(ALNUM, 5),
                random.text(LOWER, 4)
            ),
            // A sentence.
            "q" => {
                let mut words: Vec<_> = (0..4).map(|_| random.text(LOWER, 6)).collect();
                words[1].push_str("X1");
                let quote = if kind.ends_with('\'') { "'" } else { "" };
                format!("{quote}{}{quote}", words.join(" "))
            }
            "d" => random.text(DIGITS, count.unwrap_or(6)),
            "x" => random.text(HEX, 32),
            "X" => random.text(HEX_UPPER, 40),
            "i" => random.text(HEX, 40),
            "h" => random.text(HEX, 64),
            "n" => random.text(HEX_UPPER, 32),
            "b" => format!("{}=", random.text(ALNUM, 43)),
            "B" => random.text(ALNUM, 64),
            "T" => random.text(BASE32, 32),
            "a" => random.text(BASE32, count.unwrap_or(16)),
            "A" => random.text(BASE32, 58),
            "k" => random.text(ALNUM, count.unwrap_or(40)),
            "r" => format!("{}-{}", random.text(HEX, 5), random.text(HEX, 5)),
            "j" => {
                ["eyJhbGciOiJIUzI1NiJ9.eyJ", &random.text(ALNUM, 30), ".", &random.text(ALNUM, 43)]
                    .concat()
            }
            "u" => [8, 4, 4, 4, 12].map(|n| random.text(HEX, n)).join("-"),
            "c" => {
                let crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
                [4, 4, 4, 4, 3].map(|n| random.text(crockford, n)).join("-")
            }
            other => panic!("no kind {other}"),
        }
    }
}

/// Where the placeholder ends that a text begins with.
fn placeholder(text: &str) -> Option<usize> {
    let end = text.strip_prefix('{')?.find('}')? + 1;
    let inner = &text[1..end];
    let mut bytes = inner.bytes();
    let first = bytes.next()?;
    let named = inner.contains(':') && !inner.contains(' ');
    let kind = b"pwgstqdxXihnbBTaAkrujc".contains(&first)
        && (named
            || bytes.clone().all(|b| b.is_ascii_digit() || b"%'".contains(&b))
            || inner.contains('|'));
    let again = b"=~".contains(&first) && !inner.contains(' ');
    (kind || again).then_some(end)
}

/// The same secret as something else writes it.
fn encoded(value: &str, form: &str) -> String {
    let bytes = value.as_bytes();
    match form {
        "" => value.to_owned(),
        "b64" => BASE64.encode(bytes),
        "b64u1" => BASE64.encode(format!("a{value}").as_bytes())[2..].to_owned(),
        "b64sasl" => BASE64.encode(format!("\0maria\0{value}").as_bytes())[12..].to_owned(),
        "hex" => HEXLOWER.encode(bytes),
        "HEX" => HEXUPPER.encode(bytes),
        "hexdump" => bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
        "url" => bytes.iter().fold(String::new(), |mut text, b| {
            if b.is_ascii_alphanumeric() {
                text.push(char::from(*b));
            } else {
                write!(text, "%{b:02X}").unwrap();
            }
            text
        }),
        "json" => bytes.iter().fold(String::new(), |text, b| text + &format!("\\u{b:04x}")),
        "xml" => value.replace('&', "&amp;").replace('%', "&#37;").replace('!', "&#33;"),
        other => panic!("no form {other}"),
    }
}
