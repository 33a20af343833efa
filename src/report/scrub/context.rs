//! What stands where a secret stands: behind a name, in a URL, in a header, behind a flag.

use super::words::{self, List, Name, is_prose, is_setting, is_word_byte, looks_secret};
use super::{Kind, Layer, Span, commands, markup, near, urls};
use std::collections::BTreeSet;

/// How many words behind a name in a sentence are looked at for `is`, `was`, `to` or a colon.
const SENTENCE: usize = 8;

/// The secrets of a line by what stands around them.
pub fn find(line: &[u8], users: &BTreeSet<Vec<u8>>, spans: &mut Vec<Span>) {
    urls::find(line, spans);
    let speaks = words::speaks(line, users);
    commands::find(line, speaks, spans);
    if speaks {
        names(line, spans);
        markup::find(line, spans);
        near::find(line, users, spans);
    }
}

/// The secrets behind names that say so.
fn names(line: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while at < line.len() {
        let length = word(line, at);
        if length == 0 {
            at += 1;
            continue;
        }
        let name = line.get(at..at + length).unwrap_or_default();
        if let Some(span) = header(line, at, name).or_else(|| named(line, at, name)) {
            // What lies in a value is hidden with it.
            at = span.end.max(at + length);
            spans.push(span);
        } else {
            at += length;
        }
    }
}

/// A span of this layer.
pub(super) fn span(context: usize, (start, end): (usize, usize), kind: Kind) -> Span {
    Span { context, start, end, kind, layer: Layer::Context }
}

/// How long the word at a place is.
fn word(line: &[u8], at: usize) -> usize {
    line.get(at..).unwrap_or_default().iter().take_while(|byte| is_word_byte(**byte)).count()
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

pub(super) fn skip(line: &[u8], mut at: usize, what: fn(u8) -> bool) -> usize {
    while line.get(at).is_some_and(|byte| what(*byte)) {
        at += 1;
    }
    at
}

/// Names of headers that hold secrets.
static HEADERS: List =
    List::new("cookie set-cookie authorization proxy-authorization x-auth-token");

/// `Authorization: Bearer …`, `Cookie: …`: all of the rest is the secret.
fn header(line: &[u8], at: usize, name: &[u8]) -> Option<Span> {
    if !HEADERS.has(name) {
        return None;
    }
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    let kind = if is("cookie") || is("set-cookie") {
        Kind::Cookie
    } else if is("authorization") || is("proxy-authorization") || is("x-auth-token") {
        // All of the rest, whatever the scheme.
        Kind::Token
    } else {
        return None;
    };
    let mut start = skip(line, at + name.len(), |byte| matches!(byte, b'"' | b'\'' | b'\\'));
    start = skip(line, start, is_blank);
    if !matches!(line.get(start), Some(b':' | b'=')) {
        return None;
    }
    start = skip(line, start + 1, |byte| is_blank(byte) || matches!(byte, b'"' | b'\'' | b'\\'));
    let rest = line.get(start..)?;
    let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'\r' | b'\n'));
    let end = start + length.unwrap_or(rest.len());
    Some(span(at, (start, end), kind))
}

/// A name that says what follows it.
fn named(line: &[u8], at: usize, name: &[u8]) -> Option<Span> {
    let trimmed = name.iter().take_while(|byte| **byte == b'-').count();
    // A sentence ends in a dot that is no part of the name.
    let name = name.strip_suffix(b".").unwrap_or(name);
    let end = at + name.len();
    let name = name.get(trimmed..)?;
    let judged = words::judge(name);
    if judged == Name::Plain {
        return bare_key(line, at, name, end);
    }
    let quote = skip(line, end, |byte| matches!(byte, b'\\' | b'"' | b'\'' | b'`' | b']' | b'*'));
    let after = skip(line, quote, is_blank);
    let (start, strong) = match line.get(after..)? {
        [b'=', b'>', ..] | [b':', b'=', ..] | [b'=', b'=', ..] => (after + 2, true),
        [b'=' | b':', ..] => (after + 1, true),
        [b'&', b'g', b't', b';', ..] => (after + 4, true),
        [b'-', b'>', ..] => (after + 2, true),
        [b'v' | b'V', ..] => match value_attribute(line, after) {
            Some(start) => (start, true),
            None => (after, false),
        },
        _ => (after, false),
    };
    let found = Named { at, name, judged, is_flag: trimmed > 0 };
    let start = skip(line, start, is_blank);
    if strong {
        behind_sign(line, &found, start)
    } else if after > quote {
        behind_blank(line, &found, start)
    } else {
        None
    }
}

/// A name that may say that a secret follows.
struct Named<'a> {
    at: usize,
    name: &'a [u8],
    judged: Name,
    is_flag: bool,
}

/// What stands behind a name and a sign that joins them.
fn behind_sign(line: &[u8], named: &Named<'_>, start: usize) -> Option<Span> {
    let Named { at, name, judged, .. } = *named;
    let (start, end) = value(line, start);
    let found = line.get(start..end)?;
    // `check_password: Authentication for anna failed` is a sentence.
    let is_sentence = is_prose(found) && line.get(end).is_some_and(|byte| *byte == b' ');
    if is_sentence {
        return sentence(line, at, start, kind_of(name));
    }
    let is_directory = found.starts_with(b"/") && name.ends_with(b"PWD");
    let keeps = is_directory
        || is_setting(found)
        || judged == Name::Likely && (words::is_version(found) || is_plain_value(name, found))
        || judged == Name::About && (!looks_secret(found) || is_plain_value(name, found));
    let whole = || span(at, sentence_value(line, at, (start, end)), kind_of(name));
    (!keeps).then(whole)
}

/// What stands behind a name and a blank: a setting's value, a flag's, or a sentence.
fn behind_blank(line: &[u8], named: &Named<'_>, start: usize) -> Option<Span> {
    let Named { at, name, judged, is_flag } = *named;
    let kind = kind_of(name);
    let (start, end) = value(line, start);
    let found = line.get(start..end)?;
    // A package of that name and its version, and what a comment says.
    let is_comment = line.trim_ascii_start().starts_with(b"#")
        && found.iter().all(u8::is_ascii_lowercase)
        && line.get(end..)?.split(|byte| is_blank(*byte)).count() > 3;
    if judged == Name::About || words::is_version(found) || is_comment {
        return None;
    }
    if judged == Name::Certain {
        if !is_prose(found) && !is_setting(found) && !found.is_empty() && !is_verdict(found) {
            return Some(span(at, (start, end), kind));
        }
        return sentence(line, at, start, kind);
    }
    let is_pair = found.iter().position(|byte| *byte == b'=').is_some_and(|sign| {
        (1..16).contains(&sign)
            && found.iter().take(sign).all(|byte| is_word_byte(*byte))
            && sign + 1 < found.len()
    });
    let is_list = matches!(found.first(), Some(b'[' | b'('));
    let fits =
        (looks_secret(found) || is_flag) && !is_prose(found) && !is_setting(found) && !is_list;
    (fits && !is_pair && !is_plain_value(name, found)).then_some(span(at, (start, end), kind))
}

/// In a file of variables an unquoted value of several words goes on to the end of the line.
fn sentence_value(line: &[u8], at: usize, (start, end): (usize, usize)) -> (usize, usize) {
    let before = line.get(..at).unwrap_or_default().trim_ascii();
    let is_variable = before.is_empty() || before == b"export";
    let is_joined = line.get(start.wrapping_sub(1)) == Some(&b'=');
    let rest = line.get(end..).unwrap_or_default();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" \r\n".contains(byte);
    if is_variable && is_joined && rest.first() == Some(&b' ') && rest.iter().all(is_plain) {
        return (start, end + rest.trim_ascii_end().len());
    }
    (start, end)
}

/// What pam and sshd write behind a name in parentheses or as part of a list.
fn is_verdict(found: &[u8]) -> bool {
    matches!(
        found.first(),
        Some(b'(' | b'[' | b'<' | b'/' | b',' | b';' | b'-' | b'{' | b'|' | b'+')
    ) && !looks_secret(found)
}

/// `key=…`: a secret only where the value looks like one, since `key=volume_1` is none.
fn bare_key(line: &[u8], at: usize, name: &[u8], end: usize) -> Option<Span> {
    let next = line.get(end)?;
    if !(matches!(next, b'=' | b':' | b'"' | b'\'' | b'\\') || is_blank(*next)) || name.len() > 64 {
        return None;
    }
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = name.get(..name.len() - digits)?;
    let name = name.rsplit(|byte| *byte == b'.').next()?;
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    // uci's and NetworkManager's Wi-Fi key, behind `option` or `set`.
    const BARE: [&str; 7] = ["key", "code", "secretaccesskey", "pass1", "k", "ssid", "value"];
    if !BARE.iter().any(|known| is(known)) {
        return None;
    }
    let quote = skip(line, end, |byte| matches!(byte, b'\\' | b'"' | b'\''));
    let after = skip(line, quote, is_blank);
    let before = line.get(..at)?.trim_ascii_end();
    let is_option = after > quote && before.ends_with(b"option");
    if is_option {
        let (start, end) = value(line, after);
        let is_key = is("key") && !is_setting(line.get(start..end)?) && end - start > 1;
        return is_key.then_some(span(at, (start, end), Kind::Key));
    }
    matches!(line.get(after), Some(b'=' | b':')).then_some(())?;
    let (start, end) = value(line, skip(line, after + 1, is_blank));
    let found = line.get(start..end)?;
    let has = |class: fn(&u8) -> bool| found.iter().any(class);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let least = if is_mixed { 10 } else { 16 };
    let is_made = found.len() >= least && looks_secret(found) && !found.contains(&b'/');
    (is_made && !words::is_uuid(found)).then_some(span(at, (start, end), Kind::Key))
}

/// Values behind likely names that are no secrets: numbers, places, plain small words.
fn is_plain_value(name: &[u8], found: &[u8]) -> bool {
    let is_number = found.len() <= 4 && found.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    let is_place = found.starts_with(b"/") && found.iter().filter(|b| **b == b'/').count() > 1;
    let is_small = |b: &u8| b.is_ascii_lowercase() || b"_-.:/".contains(b);
    let is_word =
        found.iter().all(is_small) && words::judge(name) == Name::Likely && is_vague(name);
    is_number || is_place || is_word || words::is_uuid(found) && is_vague(name)
}

/// Names that more often stand for something harmless.
fn is_vague(name: &[u8]) -> bool {
    const VAGUE: &[&str] =
        &["auth", "session", "sid", "community", "signature", "seed", "salt", "challenge", "key"];
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    VAGUE.iter().any(|word| lower == *word || lower.ends_with(&format!("_{word}")))
        || ["policy", "type", "file", "path", "min", "max", "age", "name", "method"]
            .iter()
            .any(|word| lower.contains(word))
}

fn kind_of(name: &[u8]) -> Kind {
    let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("cookie") {
        Kind::Cookie
    } else if has("key") || has("psk") {
        Kind::Key
    } else if has("hash") {
        Kind::Hash
    } else if ["token", "auth", "session", "sid", "jwt", "sig", "bearer"]
        .iter()
        .any(|part| has(part))
    {
        Kind::Token
    } else {
        Kind::Password
    }
}

/// `the password for anna is …`, `password of the share was set to …`.
fn sentence(line: &[u8], context: usize, from: usize, kind: Kind) -> Option<Span> {
    let mut at = from;
    let mut before: &[u8] = b"";
    for _ in 0..SENTENCE {
        at = skip(line, at, is_blank);
        let (start, end) = value(line, at);
        let token = line.get(start..end).filter(|token| !token.is_empty())?;
        let tells = [&b"is"[..], b"was", b"to", b"now", b"as", b"=", b"lautet", b"ist"]
            .contains(&before)
            || before.ends_with(b":")
            || before.ends_with(b"=");
        let quoted = start > at;
        let fits = (tells && !is_prose(token) || quoted && looks_secret(token))
            && !is_setting(token)
            && !token.contains(&b'=');
        let is_said = [&b"is"[..], b"lautet", b"ist"].contains(&before) || before.ends_with(b":");
        if fits && (looks_secret(token) || quoted || is_said) {
            return Some(span(context, (start, end), kind));
        }
        before = token;
        at = if quoted { end + 1 } else { end };
    }
    None
}

/// `name="password" value="…"`: where the value begins.
fn value_attribute(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let named = rest.get(..5)?.eq_ignore_ascii_case(b"value");
    let after = skip(line, at + 5, is_blank);
    (named && matches!(line.get(after), Some(b'=' | b':'))).then_some(after + 1)
}

/// The value that begins here: in quotes, or up to where the next one begins.
pub(super) fn value(line: &[u8], start: usize) -> (usize, usize) {
    let rest = line.get(start..).unwrap_or_default();
    // Also `\"`, as in JSON inside a string.
    let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    let quote = rest.get(slashes).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    if let Some(quote) = quote {
        let from = start + slashes + 1;
        return (from, from + quoted(line.get(from..).unwrap_or_default(), quote, slashes));
    }
    let mut end = start;
    while let Some(byte) = line.get(end) {
        let next = line.get(end + 1..).unwrap_or_default();
        let stops = match byte {
            b' ' | b'\t' | 0 | b'\r' | b'\n' | b'"' | b'<' => true,
            b'\'' | b')' | b']' | b'}' | b'`' => ends_here(next),
            b',' | b';' | b'&' | b'|' => begins_pair(next),
            _ => false,
        };
        if stops {
            break;
        }
        end += 1;
    }
    (start, end)
}

/// How long a quoted text is; without its closing quote all of the line is.
fn quoted(text: &[u8], quote: u8, slashes: usize) -> usize {
    let mut escaped = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\\' => escaped += 1,
            byte if *byte == quote && escaped <= slashes && (slashes > 0 || escaped == 0) => {
                return at - escaped.min(slashes);
            }
            _ => escaped = 0,
        }
    }
    text.len()
}

/// Whether a closing bracket or quote ends the word it stands in.
fn ends_here(next: &[u8]) -> bool {
    next.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Whether another pair, or nothing, follows a separator.
fn begins_pair(next: &[u8]) -> bool {
    let length = next.iter().take_while(|byte| is_word_byte(**byte)).count();
    match next.get(length) {
        None => length == 0,
        Some(byte) if length == 0 => {
            is_blank(*byte) || matches!(byte, b'"' | b'\'' | b'\r' | b'\n')
        }
        Some(byte) => matches!(byte, b'=' | b':') || matches!(byte, b',') && length < 12,
    }
}
