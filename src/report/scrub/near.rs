//! Secrets in sentences: a word that looks made, near a word that speaks of secrets or behind a user's name.

use super::context::span;
use super::entropy::is_harmless_after;
use super::words::{self, List, Name, is_word_byte, looks_secret};
use super::{Kind, Span};
use std::collections::BTreeSet;

/// How far from a name a made word is looked for.
const NEAR: usize = 160;
/// The shortest word that looks made by itself.
const SHORTEST: usize = 8;
/// The longest one-time code, and the shortest (RFC 4226 section 5.3 has six to eight digits).
const CODE: core::ops::RangeInclusive<usize> = 4..=10;

/// Words by themselves that speak of a secret that people type.
static SPOKEN: List = List::new(
    "\
    pw passw pass password passwd passphrase passcode token secret credential credentials creds psk pin otp key \
    login wpa wep kennwort passwort apikey community cookie auth unlock decrypt mot",
);
/// Behind these words stands who or where, not a secret.
static WHO: List = List::new(
    "\
    for user users by from host login account uid on in at interface device dev logname name username group mac \
    serial model version kernel image package file service unit disk drive volume port id pid port realm domain \
    rhost ruser tty addr address server workgroup machine client ssid",
);
/// Words before a code that only counts once.
static ONCE: List = List::new("otp pin totp passcode mfa 2fa tan one-time onetime verification");
/// Words that make a code such a one.
static ABOUT_CODE: List = List::new(
    "verification security one-time login confirmation auth authentication access pairing sms unlock 2fa your",
);
/// Words before `codes`.
static SPARE: List = List::new("recovery backup scratch emergency rescue spare");

/// The secrets of a line by the words near them.
pub fn find(line: &[u8], users: &BTreeSet<Vec<u8>>, spans: &mut Vec<Span>) {
    let words = split(line);
    let mut spoken = Vec::new();
    for (number, (start, end)) in words.iter().enumerate() {
        let word = line.get(*start..*end).unwrap_or_default();
        if (2..=40).contains(&word.len()) && (speaks(word) || calls(line, word, *end)) {
            spoken.push(*start);
        }
        let is_user = users.contains(word) || is_setting_user(line, &words, number);
        if is_user {
            pair(line, *start, *end, spans);
        }
        code(line, &words, number, spans);
    }
    if let Some(first) = spoken.first() {
        made(line, &words, &spoken, spans);
        dumped(line, &words, *first, spans);
    }
}

/// The words of a line: what stands between blanks, quotes and signs that join.
fn split(line: &[u8]) -> Vec<(usize, usize)> {
    let is_between =
        |byte: u8| !byte.is_ascii_alphanumeric() && byte < 0x80 && !b"_-.!$&?+^~".contains(&byte);
    let mut words = Vec::new();
    let mut start = None;
    for (at, byte) in line.iter().chain(b" ").enumerate() {
        match (start, is_between(*byte)) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                words.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    words
}

fn speaks(word: &[u8]) -> bool {
    SPOKEN.has(word.strip_suffix(b".").unwrap_or(word))
        || matches!(words::judge(word), Name::Certain | Name::Likely)
}

/// `connect('db', 'user', 'SECRET')`.
fn calls(line: &[u8], word: &[u8], end: usize) -> bool {
    const CALLS: [&[u8]; 4] = [b"connect", b"login", b"bind", b"authenticate"];
    line.get(end) == Some(&b'(') && CALLS.iter().any(|call| word.ends_with(call))
}

/// `user=NAME%SECRET`.
fn is_setting_user(line: &[u8], words: &[(usize, usize)], number: usize) -> bool {
    let Some((before, word)) =
        number.checked_sub(1).and_then(|n| words.get(n)).zip(words.get(number))
    else {
        return false;
    };
    let name = line.get(before.0..before.1).unwrap_or_default();
    [&b"user"[..], b"username", b"-U", b"--user"].contains(&name) && line.get(word.1) == Some(&b'%')
}

/// `anna:SECRET`, `anna%SECRET`, `'anna', 'SECRET'`.
fn pair(line: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) {
    let rest = line.get(end..).unwrap_or_default();
    let signs = rest.iter().take(6).take_while(|b| b":%/,\"' ;|".contains(b)).count();
    let between = rest.get(..signs).unwrap_or_default();
    let joins = between.iter().any(|b| b":%/,;|".contains(b));
    let quoted = between.iter().any(|b| b"\"'".contains(b));
    let in_path =
        start.checked_sub(1).and_then(|at| line.get(at)) == Some(&b'/') && between == b"/";
    if !joins || in_path || between.contains(&b' ') && !quoted {
        return;
    }
    let from = end + signs;
    let value = line.get(from..).unwrap_or_default();
    let ends = |b: &u8| b.is_ascii_whitespace() || b"\"'`,;<>|)]}\0@".contains(b);
    let length = value.iter().position(ends).unwrap_or(value.len());
    let value = value.get(..length).unwrap_or_default();
    let is_other = value.contains(&b'=')
        || value.contains(&b'/')
        || value.contains(&b'.') && !has_signs(value);
    if looks_secret(value) && !is_other && !value.starts_with(b"[redacted") {
        spans.push(span(start, (from, from + length), Kind::Password));
    }
}

fn has_signs(word: &[u8]) -> bool {
    word.iter().any(|byte| b"!$%&?+*^~#".contains(byte))
}

/// `your verification code is 123456`, `recovery codes: a1b2c-d3e4f …`.
fn code(line: &[u8], words: &[(usize, usize)], number: usize, spans: &mut Vec<Span>) {
    let text =
        |n: usize| words.get(n).and_then(|(start, end)| line.get(*start..*end)).unwrap_or_default();
    let word = text(number);
    if !word.first().is_some_and(|byte| b"cCoOpPtTmM2vVkK".contains(byte)) {
        return;
    }
    let before = number.checked_sub(1).map(text).unwrap_or_default();
    let context = words.get(number).map_or(0, |(start, _)| *start);
    let spare = [&b"codes"[..], b"code", b"key", b"keys"].contains(&&*word.to_ascii_lowercase())
        && SPARE.has(before);
    let once = ONCE.has(word)
        || (word.eq_ignore_ascii_case(b"code") || word.eq_ignore_ascii_case(b"codes"))
            && ABOUT_CODE.has(before);
    if !spare && !once {
        return;
    }
    // `123456 is your login code`.
    let ahead = words.get(number.saturating_sub(5)..number).unwrap_or_default();
    for (start, end) in ahead.iter().filter(|_| once) {
        let found = line.get(*start..*end).unwrap_or_default();
        if found.iter().all(u8::is_ascii_digit) && (6..=8).contains(&found.len()) {
            spans.push(span(*start, (*start, *end), Kind::Password));
        }
    }
    let behind = words.get(number + 1..).unwrap_or_default();
    let behind = behind.iter().take(if spare { 64 } else { 5 });
    for (start, end) in behind {
        let found = line.get(*start..*end).unwrap_or_default();
        let digits = found.iter().all(u8::is_ascii_digit);
        let mixed = found.iter().any(u8::is_ascii_digit) && found.len() >= 6;
        let is_code = digits && CODE.contains(&found.len());
        if is_code || spare && mixed {
            spans.push(span(context, (*start, *end), Kind::Password));
            if !spare {
                return;
            }
        }
    }
}

/// Words that look made, near one that speaks of secrets.
fn made(line: &[u8], words: &[(usize, usize)], spoken: &[usize], spans: &mut Vec<Span>) {
    let mut last = 0;
    for (number, (start, end)) in words.iter().enumerate() {
        // The nearest that speaks, before or behind.
        while spoken.get(last + 1).is_some_and(|at| *at < *start) {
            last += 1;
        }
        let (before, behind) = (spoken.get(last), spoken.get(last + 1));
        let follows = before.is_some_and(|at| at < start && start - at <= NEAR);
        let precedes =
            [before, behind].iter().flatten().any(|at| **at > *start && **at - start <= NEAR);
        if !follows && !precedes {
            continue;
        }
        let word = line.get(*start..*end).unwrap_or_default();
        let strong = is_strong(word);
        if !(strong || follows && is_made(word)) || is_joined(line, *start, *end, strong) {
            continue;
        }
        let before = number.checked_sub(1).and_then(|n| words.get(n));
        let before = before.and_then(|(start, end)| line.get(*start..*end)).unwrap_or_default();
        if !WHO.has(before) && !is_harmless_after(before) {
            let context = before_or(spoken, last, *start);
            let more = line.get(*end..).unwrap_or_default().iter().take_while(|b| goes_on(**b));
            spans.push(span(context, (*start, *end + more.count()), Kind::Password));
        }
    }
}

/// Bytes in hexadecimal digits behind a word that speaks of secrets, as debug logs write them.
fn dumped(line: &[u8], words: &[(usize, usize)], from: usize, spans: &mut Vec<Span>) {
    let is_byte = |(start, end): &(usize, usize)| {
        let word = line.get(*start..*end).unwrap_or_default();
        let is_joined = line.get(*end) == Some(&b':')
            || start.checked_sub(1).and_then(|at| line.get(at)) == Some(&b':');
        word.len() == 2 && word.iter().all(u8::is_ascii_hexdigit) && !is_joined
    };
    let mut at = words.partition_point(|(start, _)| *start < from);
    while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
        let bytes = rest.iter().take_while(|word| is_byte(word)).count();
        if let Some(((start, _), (_, end))) = rest.first().zip(rest.get(bytes.wrapping_sub(1)))
            && bytes >= 6
        {
            spans.push(span(from, (*start, *end), Kind::Password));
        }
        at += bytes.max(1);
    }
}

/// Whether a word that was cut at a sign goes on behind it.
fn goes_on(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"\0\"'`<>()[]{}|,;=".contains(&byte)
}

fn before_or(spoken: &[usize], last: usize, start: usize) -> usize {
    spoken.get(last).copied().unwrap_or(start).min(start)
}

/// Whether a word is a part of a path, an address or a pair whose name says that it is none.
fn is_joined(line: &[u8], start: usize, end: usize, strong: bool) -> bool {
    let before = start.checked_sub(1).and_then(|at| line.get(at)).copied().unwrap_or(b' ');
    let behind = line.get(end).copied().unwrap_or(b' ');
    let escapes = matches!(line.get(end + 1), Some(b'r' | b'n' | b't' | b'"' | b'\''));
    matches!(before, b'/' | b'\\' | b'@' | b'#')
        || before == b'=' && !strong
        || matches!(behind, b'/' | b'=' | b'@')
        || behind == b'\\' && !escapes
}

/// Whether a word is a mix that nobody writes in a sentence: a capital, small letters and digits, or signs.
fn is_strong(word: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| word.iter().any(class);
    let mixed =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    is_made(word) && (mixed || has_signs(word))
}

/// Whether a word looks made: letters and digits, and neither a host, a version, an id nor the name of a device.
fn is_made(word: &[u8]) -> bool {
    let word = word
        .iter()
        .rposition(|b| !b".!?".contains(b))
        .map_or(word, |at| word.get(..=at).unwrap_or(word));
    let has = |class: fn(&u8) -> bool| word.iter().any(class);
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_hex = word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let is_name = word.contains(&b'.') || word.contains(&b'_') && !has_signs(word);
    let is_serial = !has(u8::is_ascii_lowercase);
    let is_date = word.first().is_some_and(u8::is_ascii_digit) && word.contains(&b'-');
    word.len() >= SHORTEST
        && looks_secret(word)
        && (digits >= 2 || has_signs(word))
        && !is_hex
        && (!is_name || has_signs(word))
        && !is_serial
        && !is_date
        && word.iter().all(|byte| is_word_byte(*byte) || has_signs(&[*byte]))
}
