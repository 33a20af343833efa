//! Finding addresses in a text: as people write them, and as the kernel's tables do.

use super::Kind;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The longest text of an address.
const LONGEST: usize = 45;

/// The address a text begins with: its kind, its bytes and the length of its text.
pub fn begins(text: &[u8]) -> Option<(Kind, Vec<u8>, usize)> {
    card(text).or_else(|| dotted(text)).or_else(|| coloned(text)).or_else(|| table(text))
}

/// Whether every machine has this address, or it is a mask: telling it tells nothing.
pub fn is_everybodys(kind: Kind, bytes: &[u8]) -> bool {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        let address = Ipv4Addr::from(four);
        return address.is_loopback() || matches!(four, [0 | 255, ..]);
    }
    if let Ok(six) = <[u8; 16]>::try_from(bytes) {
        let address = Ipv6Addr::from(six);
        return address.is_loopback() || address.is_unspecified() || address.is_multicast();
    }
    kind == Kind::Mac
        && (bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 255))
}

/// Whether an address was made of a network card's (RFC 4291, appendix A).
pub fn holds_card(bytes: &[u8]) -> bool {
    bytes.get(11..13) == Some(&[0xff, 0xfe])
}

fn ends(text: &[u8], length: usize) -> bool {
    !text.get(length).copied().is_some_and(super::is_word)
}

/// `00:11:32:aa:bb:cc`, with either sign between.
fn card(text: &[u8]) -> Option<(Kind, Vec<u8>, usize)> {
    let part = text.get(..17)?;
    let sign = *part.get(2)?;
    let goes_on = text.get(17) == Some(&sign) && text.get(18).is_some_and(u8::is_ascii_hexdigit);
    if !matches!(sign, b':' | b'-') || goes_on || !ends(text, 17) {
        return None;
    }
    let pairs: Vec<&[u8]> = part.split(|byte| *byte == sign).collect();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|pair| hex(pair)?.first().copied()).collect();
    let is_whole = pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2);
    is_whole.then_some((Kind::Mac, bytes?, 17))
}

fn dotted(text: &[u8]) -> Option<(Kind, Vec<u8>, usize)> {
    let length = run(text, |byte| byte.is_ascii_digit() || byte == b'.');
    let (text_of, length) = trimmed(text, length, b'.')?;
    let address: Ipv4Addr = text_of.parse().ok()?;
    ends(text, length).then(|| (Kind::Ip, address.octets().to_vec(), length))
}

fn coloned(text: &[u8]) -> Option<(Kind, Vec<u8>, usize)> {
    let length = run(text, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let (text_of, length) = trimmed(text, length, b'.')?;
    // A colon may follow an address that does not end in two of them.
    let (text_of, length) = match text_of.strip_suffix(':') {
        Some(shorter) if !shorter.ends_with(':') => (shorter, length - 1),
        Some(_) | None => (text_of, length),
    };
    let address: Ipv6Addr = text_of.parse().ok()?;
    ends(text, length).then(|| (Kind::Ip, address.octets().to_vec(), length))
}

/// 8 or 32 digits, as in `/proc/net`: in capitals, words in the machine's own order; in small letters, as they are.
fn table(text: &[u8]) -> Option<(Kind, Vec<u8>, usize)> {
    let length = run(text, |byte| byte.is_ascii_hexdigit());
    let part = text.get(..length)?;
    if !ends(text, length) {
        return None;
    }
    let is_small = part.iter().any(u8::is_ascii_lowercase);
    let bytes = hex(part)?;
    match length {
        // A port follows, or a column of a table: a hash or a size of as many digits has neither.
        8 if !is_small && is_in_table(text, length) => Some((Kind::Ip, native(&bytes), length)),
        32 if !is_small && text.get(32) == Some(&b':') => Some((Kind::Ip, native(&bytes), length)),
        32 if is_small
            && text.get(32) == Some(&b' ')
            && (holds_prefix(&bytes) || holds_card(&bytes)) =>
        {
            Some((Kind::Ip, bytes, length))
        }
        _ => None,
    }
}

/// Whether `:PORT` or a tab follows.
fn is_in_table(text: &[u8], length: usize) -> bool {
    let port = text.get(length + 1..length + 5).unwrap_or_default();
    let has_port = text.get(length) == Some(&b':')
        && port.len() == 4
        && port.iter().all(u8::is_ascii_hexdigit)
        && !text.get(length + 5).copied().is_some_and(super::is_word);
    has_port || text.get(length) == Some(&b'\t')
}

/// Whether it begins as addresses do that are in use: 2000::/3, fc00::/7, fe80::/10.
fn holds_prefix(bytes: &[u8]) -> bool {
    let first = bytes.first().copied().unwrap_or_default();
    matches!(first, 0x20..=0x3f | 0xfc | 0xfd)
        || (first == 0xfe && bytes.get(1).is_some_and(|second| second & 0xc0 == 0x80))
}

/// Words of four bytes in the machine's order, as bytes of an address.
fn native(bytes: &[u8]) -> Vec<u8> {
    let words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok());
    words.flat_map(|word| u32::from_be_bytes(word).to_ne_bytes()).collect()
}

fn run(text: &[u8], fits: impl Fn(u8) -> bool) -> usize {
    text.iter().take(LONGEST).take_while(|byte| fits(**byte)).count()
}

/// The first part of a text without this sign at its end.
fn trimmed(text: &[u8], length: usize, sign: u8) -> Option<(&str, usize)> {
    let mut part = text.get(..length)?;
    while let Some(shorter) = part.strip_suffix(&[sign]) {
        part = shorter;
    }
    core::str::from_utf8(part).ok().map(|text| (text, part.len()))
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok()
}
