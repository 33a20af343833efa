//! Secrets in addresses: before the host, in the query, and in paths that are secrets themselves.

use super::context::span;
use super::words::{self, looks_secret};
use super::{Kind, Span, find as position};

/// The shortest value of a query that is looked at without knowing its name.
const SHORTEST: usize = 12;

/// The secrets in the addresses of a line.
pub fn find(line: &[u8], spans: &mut Vec<Span>) {
    user_information(line, spans);
    if line.contains(&b'@') {
        before_at(line, spans);
    }
    query(line, spans);
    webhook(line, spans);
}

/// `scheme://user:secret@host`, and a token without a user.
fn user_information(line: &[u8], spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(found) = line.get(from..).and_then(|rest| position(rest, b"://")) {
        let start = from + found + 3;
        let authority = line.get(start..).unwrap_or_default();
        let ends = |byte: &u8| {
            matches!(byte, b' ' | b'\t' | 0 | b'"' | b'\'' | b'<' | b'>' | b'\r' | b'\n')
        };
        let whole = authority.iter().position(ends).unwrap_or(authority.len());
        let authority = authority.get(..whole).unwrap_or_default();
        // A password may hold a slash that nobody escaped: the last @ before the path's first word counts.
        let slash = authority.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
        let host_end = slash.unwrap_or(authority.len());
        // Behind a colon that begins no port, a slash is one of the password.
        let host = authority.get(..host_end).unwrap_or_default();
        let port = host.iter().rposition(|b| *b == b':').and_then(|colon| host.get(colon + 1..));
        let is_port = port.is_none_or(|port| port.iter().all(u8::is_ascii_digit));
        let host_end = if is_port || host.starts_with(b"[") { host_end } else { authority.len() };
        let sign = authority.get(..host_end).and_then(|a| a.iter().rposition(|b| *b == b'@'));
        if let Some(sign) = sign {
            let user = authority.get(..sign).unwrap_or_default();
            let colon = user.iter().position(|b| *b == b':');
            let secret = colon.map_or(0, |colon| colon + 1);
            if colon.is_some() || user.len() >= 16 && looks_secret(user) {
                spans.push(span(start, (start + secret, start + sign), Kind::Password));
            }
        }
        from = start;
    }
}

/// `user:secret@host` without a scheme.
fn before_at(line: &[u8], spans: &mut Vec<Span>) {
    for (at, _) in line.iter().enumerate().filter(|(_, byte)| **byte == b'@') {
        let before = line.get(..at).unwrap_or_default();
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'=<>(,;\0".contains(byte);
        let from =
            before.iter().rev().take(128).position(ends).map_or(at.saturating_sub(128), |n| at - n);
        let pair = line.get(from..at).unwrap_or_default();
        let Some(colon) = pair.iter().position(|byte| *byte == b':') else { continue };
        let secret = pair.get(colon + 1..).unwrap_or_default();
        let next = line.get(at + 1).copied().unwrap_or_default();
        let is_host = next.is_ascii_alphanumeric() || matches!(next, b'[' | b'(' | b'/');
        if colon > 0 && is_host && looks_secret(secret) && !secret.starts_with(b"//") {
            spans.push(span(from, (from + colon + 1, at), Kind::Password));
        }
    }
}

/// Values of a query that are too random for a word, whatever their names.
fn query(line: &[u8], spans: &mut Vec<Span>) {
    for (at, byte) in line.iter().enumerate() {
        if !matches!(byte, b'?' | b'&') {
            continue;
        }
        let rest = line.get(at + 1..).unwrap_or_default();
        let in_name = |b: &&u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(b);
        let name = rest.iter().take(40).take_while(in_name).count();
        if name == 0 || rest.get(name) != Some(&b'=') {
            continue;
        }
        let value = rest.get(name + 1..).unwrap_or_default();
        let ends = |b: &u8| b.is_ascii_whitespace() || b"&\"'<>#;\0)".contains(b);
        let length = value.iter().position(ends).unwrap_or(value.len());
        let value = value.get(..length).unwrap_or_default();
        if is_made(value) {
            let start = at + name + 2;
            spans.push(span(at, (start, start + length), Kind::Token));
        }
    }
}

/// Whether a value of a query is one that a program made.
fn is_made(value: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| value.iter().any(class);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let letters = value.iter().all(|b| b.is_ascii_alphanumeric() || b"-_%+/=~".contains(b));
    let is_named = value.contains(&b'.') || value.starts_with(b"/") || value.starts_with(b"%2F");
    value.len() >= SHORTEST && has(u8::is_ascii_digit) && mixed && letters && !is_named
        || words::is_uuid(value)
}

/// Whoever has a hook's address may use it: what stands behind the word is secret.
fn webhook(line: &[u8], spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(found) = line.get(from..).and_then(|rest| position(rest, b"hook")) {
        let at = from + found;
        from = at + 4;
        let rest = line.get(from..).unwrap_or_default();
        let letters =
            rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b"-._".contains(b)).count();
        if rest.get(letters) != Some(&b'/') {
            continue;
        }
        let start = from + letters + 1;
        let path = line.get(start..).unwrap_or_default();
        let ends = |b: &u8| b.is_ascii_whitespace() || b"\"'<>\0".contains(b);
        let length = path.iter().position(ends).unwrap_or(path.len());
        let path = path.get(..length).unwrap_or_default();
        if path.len() >= 16 && path.iter().any(u8::is_ascii_digit) {
            spans.push(span(at, (start, start + length), Kind::Token));
            from = start + length;
        }
    }
}
