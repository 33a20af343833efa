//! The box's own secrets, looked for in every encoding.
//!
//! Root can read what a box keeps secret: exactly that is searched for in every byte of a report. Each secret stands
//! for several patterns (plain, base64 at its three offsets, base64url, percent-encoded, hexadecimal, escaped as in
//! JSON, XML and C, UTF-16).
//! A pattern is found by its first six bytes, which a table of bits lets through or not: one lookup for each
//! byte of a report, however many secrets there are.

use super::words::List;
use super::{Kind, Layer, Span};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::collections::{BTreeSet, HashMap};
use zeroize::Zeroize;

/// The shortest secret that is searched for: anything shorter is a part of many words.
const SHORTEST: usize = 6;
/// The longest part of a secret that is searched for.
const LONGEST: usize = 256;
/// The most secrets of a box that are taken up.
pub const MOST: usize = 4096;
/// 2^16 bits: with 30,000 patterns every second byte passes, with the usual 500 one in a hundred.
const BITS: u32 = 16;

/// The bits of six bytes.
const SIX: u64 = (1 << 48) - 1;

/// Words that are values of secret keys in factory settings and words of every log at the same time.
static COMMON: List = List::new(
    "\
    administrator changeme default disabled enabled public private password passwd secret guest nobody \
    server system backup localhost required prompt share string unknown workgroup",
);

/// Secrets as patterns.
#[derive(Default)]
pub struct Dictionary {
    patterns: Vec<Vec<u8>>,
    by_head: HashMap<u64, Vec<usize>>,
    bits: Vec<u64>,
    seen: BTreeSet<Vec<u8>>,
    users: BTreeSet<Vec<u8>>,
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        self.patterns.iter_mut().for_each(Zeroize::zeroize);
        while let Some(mut secret) = self.seen.pop_first() {
            secret.zeroize();
        }
    }
}

impl Dictionary {
    /// Takes a secret up, unless it is too short or a common word.
    pub fn add(&mut self, secret: &[u8]) {
        let secret = secret.trim_ascii();
        let secret = secret.get(..LONGEST).unwrap_or(secret);
        if secret.len() < SHORTEST || self.seen.len() >= MOST || COMMON.has(secret) {
            return;
        }
        if self.seen.insert(secret.to_vec()) {
            for pattern in encodings(secret) {
                self.index(pattern);
            }
        }
    }

    /// Takes the name of a user up: what stands beside one may be a password.
    pub fn add_user(&mut self, name: &[u8]) {
        if (2..=64).contains(&name.len()) && self.users.len() < MOST {
            self.users.insert(name.to_vec());
        }
    }

    /// The names of users.
    pub fn users(&self) -> &BTreeSet<Vec<u8>> {
        &self.users
    }

    /// How many secrets it holds.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn index(&mut self, pattern: Vec<u8>) {
        let Some(head) = head(&pattern, 0) else { return };
        if self.bits.is_empty() {
            self.bits = vec![0; 1 << (BITS - 6)];
        }
        let (word, bit) = place(head);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
        self.by_head.entry(head).or_default().push(self.patterns.len());
        self.patterns.push(pattern);
    }

    /// The places of secrets in a text.
    pub fn find(&self, text: &[u8], spans: &mut Vec<Span>) {
        if self.bits.is_empty() || crate::sabotage::off("report-dictionary") {
            return;
        }
        let mut at = 0;
        let mut rolling = head(text, 0);
        while let Some(head) = rolling {
            let (word, bit) = place(head);
            if self.bits.get(word).is_some_and(|bits| bits & bit != 0)
                && let Some(end) = self.longest(head, text, at)
            {
                // What is left of an encoding whose last letter is shared with what follows.
                let rest = text.get(end..).unwrap_or_default();
                let tail = rest.iter().take(4).take_while(|b| b.is_ascii_alphanumeric()).count();
                let padding = rest.iter().skip(tail).take_while(|b| **b == b'=').count();
                let end = if padding > 0 { end + tail + padding } else { end };
                let (kind, layer) = (Kind::Known, Layer::Dictionary);
                spans.push(Span { context: at, start: at, end, kind, layer });
                at = end.max(at + 1);
                rolling = self::head(text, at);
                continue;
            }
            let next = text.get(at + SHORTEST);
            rolling = next.map(|byte| (head << 8 | u64::from(*byte)) & SIX);
            at += 1;
        }
    }

    /// Where the longest pattern that begins here ends.
    fn longest(&self, head: u64, text: &[u8], at: usize) -> Option<usize> {
        let here = text.get(at..)?;
        let patterns = self.by_head.get(&head)?.iter().filter_map(|n| self.patterns.get(*n));
        patterns.filter(|pattern| here.starts_with(pattern)).map(|pattern| at + pattern.len()).max()
    }
}

/// The six bytes from `at`, as a number.
fn head(text: &[u8], at: usize) -> Option<u64> {
    let six = text.get(at..at + SHORTEST)?;
    Some(six.iter().fold(0, |head, byte| head << 8 | u64::from(*byte)))
}

/// Word and bit of a head in the table.
fn place(head: u64) -> (usize, u64) {
    // Fibonacci hashing: the high bits of a product with 2^64 over the golden ratio.
    let hash = head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
}

/// The shapes in which a secret may stand in a text.
fn encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut all =
        vec![secret.to_vec(), HEXLOWER.encode(secret).into(), HEXUPPER.encode(secret).into()];
    for offset in 0..3 {
        // What stands before shifts the letters; those it has a part in differ each time.
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(secret);
        let from = (offset * 8).div_ceil(6);
        let to = shifted.len() * 8 / 6;
        for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            let letters = alphabet.encode(&shifted);
            all.extend(letters.as_bytes().get(from..to).map(<[u8]>::to_vec));
        }
    }
    for upper in [true, false] {
        all.push(percent(secret, upper));
    }
    all.push(json(secret));
    all.push(xml(secret));
    all.push(wide(secret));
    for form in [
        |b: u8| format!("%{b:02X}"),
        |b| format!("%{b:02x}"),
        |b| format!("\\x{b:02x}"),
        |b| format!("\\u{b:04x}"),
        |b| format!("&#{b};"),
        |b| format!("{b:02x} "),
        |b| format!("{b:02X} "),
        |b| format!("{b:02x}:"),
    ] {
        let mut text: Vec<u8> = secret.iter().flat_map(|byte| form(*byte).into_bytes()).collect();
        text.truncate(text.trim_ascii_end().len());
        all.push(text);
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn percent(secret: &[u8], upper: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            out.push(*byte);
        } else {
            let code = if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            out.extend_from_slice(code.as_bytes());
        }
    }
    out
}

/// With the five named references of XML 1.0 section 4.6, and others by number where they are signs.
fn xml(secret: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| match byte {
        b'&' => b"&amp;".to_vec(),
        b'<' => b"&lt;".to_vec(),
        b'>' => b"&gt;".to_vec(),
        b'"' => b"&quot;".to_vec(),
        b if b.is_ascii_punctuation() => format!("&#{b};").into(),
        b => vec![*b],
    };
    secret.iter().flat_map(one).collect()
}

/// In UTF-16.
fn wide(secret: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = secret.iter().flat_map(|byte| [*byte, 0]).collect();
    out.pop();
    out
}

fn json(secret: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}
