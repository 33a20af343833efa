//! What is too random to be a word, and no identifier of the harmless kinds.

use super::words::{self, List, is_word_byte};
use super::{Kind, Layer, Span};

/// The shortest token that is looked at: shorter ones hold too few letters for the measure.
const SHORTEST: usize = 20;
/// The shortest whose letters' classes are looked at.
const SHORTEST_MIXED: usize = 12;
/// Hexadecimal digits of an MD5, the shortest random hexadecimal that is looked at.
const SHORTEST_HEX: usize = 32;
/// Bits for each letter above which base64 is random, as detect-secrets measures it.
const RANDOM: f32 = 4.0;
/// The same of hexadecimal digits.
const RANDOM_HEX: f32 = 3.0;

/// What random digits that are no secret stand behind.
static HARMLESS: List = List::new(
    "\
    sha1 sha224 sha256 sha384 sha512 md5 md5sum blake2 blake3 crc commit rev revision digest checksum uuid \
    guid partuuid fsid wwn wwid naa eui serial buildid build-id build fingerprint rsa ssh-rsa ssh-ed25519 \
    ssh-dss ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 publickey public_key pubkey \
    public peer image layer srcversion vermagic signer keyid issuer modulus pool_guid iqn machine-id machineid \
    container containerd etag inode sandbox digests blob manifest tree parent head hash bootid boot-id boot_id \
    md5sum: sha1sum sha256sum",
);

/// The random tokens of a line.
pub fn find(line: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    // What names a token stands up to three words before it: `HEAD is now at …`.
    let mut previous: [&[u8]; 3] = [b""; 3];
    while at < line.len() {
        let token = line.get(at..).unwrap_or_default();
        let length = token.iter().take_while(|byte| is_token_byte(**byte)).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let token = token.get(..length).unwrap_or_default();
        if length >= SHORTEST_MIXED && !is_named_harmless(token, &previous) && !is_public_key(token)
        {
            if length >= SHORTEST {
                parts(token, at, spans);
            }
            mixed(token, at, spans);
        }
        // `=` ends base64 and joins keys to values: what stands before it names what follows.
        if token.iter().any(|byte| *byte != b'=') {
            previous = [previous[1], previous[2], token];
        }
        at += length;
    }
}

/// Of what is no hexadecimal number only the word right before it counts.
fn is_named_harmless(token: &[u8], [first, second, last]: &[&[u8]; 3]) -> bool {
    let is_hex = token.iter().all(u8::is_ascii_hexdigit);
    is_harmless_after(last) || is_hex && (is_harmless_after(first) || is_harmless_after(second))
}

/// A path is judged by its parts, and a key with a value by the value.
fn parts(token: &[u8], at: usize, spans: &mut Vec<Span>) {
    let mut start = 0;
    let mut name: &[u8] = b"";
    let is_path = token.iter().filter(|byte| **byte == b'/').count() > 0 && looks_like_path(token);
    for (end, separator) in ends(token, is_path) {
        let part = token.get(start..end).unwrap_or_default();
        if is_random(part) && !is_harmless_after(name) {
            spans.push(Span {
                context: at,
                start: at + start,
                end: at + end,
                kind: Kind::Random,
                layer: Layer::Entropy,
            });
        }
        name = if separator == Some(b'=') { part } else { b"" };
        start = end + 1;
    }
}

/// Short parts whose letters change their class too often for a word, as a generator's passwords do.
fn mixed(token: &[u8], at: usize, spans: &mut Vec<Span>) {
    let mut start = 0;
    for part in token.split(|byte| !byte.is_ascii_alphanumeric()) {
        let is_named = start > 0 && token.get(start - 1) == Some(&b'=');
        let name = token.get(..start.saturating_sub(1)).unwrap_or_default();
        if is_named && is_harmless_after(name) {
            return;
        }
        if is_mixed(part) {
            let (start, end) = (at + start, at + start + part.len());
            let (kind, layer) = (Kind::Random, Layer::Entropy);
            spans.push(Span { context: at, start, end, kind, layer });
        }
        start += part.len() + 1;
    }
}

/// Of random letters and digits two in three change the class; a capital before a small letter is a word's beginning.
fn is_mixed(part: &[u8]) -> bool {
    // Counters of the kernel, and numbers with their sign.
    const COUNTERS: [&[u8]; 6] = [b"Ip6", b"Icmp", b"Tcp", b"TCP", b"Udp", b"0x"];
    if part.len() < SHORTEST_MIXED || COUNTERS.iter().any(|head| part.starts_with(head)) {
        return false;
    }
    let class = |byte: u8| match byte {
        b'0'..=b'9' => 2,
        b'A'..=b'Z' => 0,
        _ => 1,
    };
    // Of letters alone more must change.
    let needed = if part.len() < 24 { 3 } else { 2 };
    let all = (0..needed).all(|wanted| part.iter().any(|byte| class(*byte) == wanted));
    let changes = part.windows(2).filter(|two| match two {
        [a, b] => class(*a) != class(*b) && (class(*a), class(*b)) != (0, 1),
        _ => false,
    });
    let share = if needed == 3 { 3 } else { 5 };
    all && changes.count() * share >= part.len()
}

/// Where the parts of a token end, and what ends each.
fn ends(token: &[u8], is_path: bool) -> impl Iterator<Item = (usize, Option<u8>)> + '_ {
    let last = token.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    let splits = move |(at, byte): (usize, &u8)| {
        let splits = (*byte == b'=' && at < last) || (is_path && *byte == b'/');
        splits.then_some((at, Some(*byte)))
    };
    token.iter().enumerate().filter_map(splits).chain([(token.len(), None)])
}

/// Whether the slashes of a token are those of a path: base64 has one in 64 letters, and no short parts.
fn looks_like_path(token: &[u8]) -> bool {
    let longest = token.split(|byte| *byte == b'/').map(<[u8]>::len).max().unwrap_or_default();
    token.starts_with(b"/") || longest < SHORTEST
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-')
}

/// Whether what stands behind a word may be random without being a secret.
pub(super) fn is_harmless_after(word: &[u8]) -> bool {
    let word = word.strip_suffix(b"=").unwrap_or(word);
    HARMLESS.has(word)
}

/// OpenSSH's public keys begin with the length of their type's name.
fn is_public_key(token: &[u8]) -> bool {
    token.starts_with(b"AAAAB3NzaC1")
        || token.starts_with(b"AAAAC3NzaC1")
        || token.starts_with(b"AAAAE2VjZHNh")
}

/// Whether a token is one that nobody chose.
fn is_random(token: &[u8]) -> bool {
    let token = token.strip_prefix(b"0x").unwrap_or(token);
    if token.len() < SHORTEST || words::is_uuid(token) {
        return false;
    }
    if token.iter().all(u8::is_ascii_hexdigit) {
        return token.len() >= SHORTEST_HEX && bits(token) > RANDOM_HEX;
    }
    let has = |class: fn(&u8) -> bool| token.iter().any(class);
    let mixed =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    mixed && bits(token) > RANDOM && !is_words(token)
}

/// Whether a token is made of words: parts of one kind of letter each.
fn is_words(token: &[u8]) -> bool {
    let is_plain = |part: &[u8]| {
        let digits = part.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let stem = part.get(..part.len() - digits).filter(|stem| stem.len() >= 3);
        let part = stem.unwrap_or(part);
        let rest = part.get(1..).unwrap_or_default();
        part.iter().all(u8::is_ascii_digit)
            || part.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                && part.len() < SHORTEST
            || rest.iter().all(|b| b.is_ascii_lowercase()) && part.len() < SHORTEST
            || part.len() <= 4
    };
    token.split(|byte| !is_word_byte(*byte) || b"_-.".contains(byte)).all(is_plain)
}

/// Shannon's entropy, in bits for each letter.
fn bits(token: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in token {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let all = f32::from(u16::try_from(token.len()).unwrap_or(u16::MAX));
    let share = |count: &u16| f32::from(*count) / all;
    -counts.iter().filter(|count| **count > 0).map(share).map(|p| p * p.log2()).sum::<f32>()
}
