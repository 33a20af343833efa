//! What stands where a secret stands: behind a name, in a URL, in a header, behind a flag.

use super::words::{self, Name, is_prose, is_setting, is_word_byte, looks_secret};
use super::{Kind, Span};

/// How many words behind a name in a sentence are looked at for `is`, `was`, `to` or a colon.
const SENTENCE: usize = 8;

/// The secrets of a line by what stands around them.
pub fn find(line: &[u8], spans: &mut Vec<Span>) {
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
    user_information(line, spans);
    flags(line, spans);
    columns(line, spans);
}

/// Settings whose secrets stand in a column: the first word, and which words are secret (snmpd.conf(5)).
const COLUMNS: &[(&str, &[usize])] = &[
    ("createUser", &[3, 5]),
    ("com2sec", &[3]),
    ("com2sec6", &[3]),
    ("trapsink", &[2]),
    ("trap2sink", &[2]),
    ("informsink", &[2]),
];

fn columns(line: &[u8], spans: &mut Vec<Span>) {
    let words = tokens(line);
    let first = words.first().and_then(|(start, end)| line.get(*start..*end)).unwrap_or_default();
    let found = COLUMNS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(first));
    for (start, end) in found.into_iter().flat_map(|(_, all)| *all).filter_map(|n| words.get(*n)) {
        spans.push(Span { context: 0, start: *start, end: *end, kind: Kind::Password });
    }
}

/// How long the word at a place is.
fn word(line: &[u8], at: usize) -> usize {
    line.get(at..).unwrap_or_default().iter().take_while(|byte| is_word_byte(**byte)).count()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

fn skip(line: &[u8], mut at: usize, what: fn(u8) -> bool) -> usize {
    while line.get(at).is_some_and(|byte| what(*byte)) {
        at += 1;
    }
    at
}

/// `Authorization: Bearer …`, `Cookie: …`: all of the rest is the secret.
fn header(line: &[u8], at: usize, name: &[u8]) -> Option<Span> {
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    let kind = if is("cookie") || is("set-cookie") {
        Kind::Cookie
    } else if is("authorization") || is("proxy-authorization") || is("x-auth-token") {
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
    Some(Span { context: at, start, end, kind })
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
        [b'>', ..] if quote == end => return element(line, at, after + 1),
        [b'v' | b'V', ..] => match value_attribute(line, after) {
            Some(start) => (start, true),
            None => (after, false),
        },
        _ => (after, false),
    };
    let start = skip(line, start, is_blank);
    let kind = kind_of(name);
    if strong {
        let (start, end) = value(line, start);
        let found = line.get(start..end)?;
        let keeps = is_setting(found)
            || judged == Name::Likely && is_plain_value(name, found)
            || judged == Name::About && (!looks_secret(found) || is_plain_value(name, found));
        return (!keeps).then_some(Span { context: at, start, end, kind });
    }
    // Behind a blank: a setting's line, a flag's value, or a sentence.
    if after == quote {
        return None;
    }
    let (start, end) = value(line, start);
    let found = line.get(start..end)?;
    if judged == Name::Certain {
        if !is_prose(found) && !is_setting(found) && !found.is_empty() && !is_verdict(found) {
            return Some(Span { context: at, start, end, kind });
        }
        return sentence(line, at, start, kind);
    }
    if judged == Name::About {
        return None;
    }
    let is_flag = trimmed > 0;
    let fits = (looks_secret(found) || is_flag) && !is_prose(found) && !is_setting(found);
    (fits && !is_plain_value(name, found)).then_some(Span { context: at, start, end, kind })
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
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = name.get(..name.len() - digits)?;
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
    if !(is("key") || is("code") || is("secretaccesskey") || is("pw") || is("pass1") || is("k")) {
        return None;
    }
    let quote = skip(line, end, |byte| matches!(byte, b'\\' | b'"' | b'\''));
    let after = skip(line, quote, is_blank);
    matches!(line.get(after), Some(b'=' | b':')).then_some(())?;
    let (start, end) = value(line, skip(line, after + 1, is_blank));
    let found = line.get(start..end)?;
    let is_made = found.len() >= 16 && looks_secret(found) && !found.contains(&b'/');
    (is_made && !words::is_uuid(found)).then_some(Span { context: at, start, end, kind: Kind::Key })
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
        let tells = [&b"is"[..], b"was", b"to", b"now", b"as", b"="].contains(&before)
            || before.ends_with(b":")
            || before.ends_with(b"=");
        let quoted = start > at;
        let fits =
            (tells && !is_prose(token) || quoted && looks_secret(token)) && !is_setting(token);
        if fits && (looks_secret(token) || quoted || before == b"is" || before.ends_with(b":")) {
            return Some(Span { context, start, end, kind });
        }
        before = token;
        at = if quoted { end + 1 } else { end };
    }
    None
}

/// `<password>…</password>`.
fn element(line: &[u8], context: usize, start: usize) -> Option<Span> {
    let rest = line.get(start..)?;
    let end = start + rest.iter().position(|byte| *byte == b'<')?;
    let found = line.get(start..end)?.trim_ascii();
    (!is_setting(found)).then_some(Span { context, start, end, kind: Kind::Password })
}

/// `name="password" value="…"`: where the value begins.
fn value_attribute(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let named = rest.get(..5)?.eq_ignore_ascii_case(b"value");
    let after = skip(line, at + 5, is_blank);
    (named && matches!(line.get(after), Some(b'=' | b':'))).then_some(after + 1)
}

/// The value that begins here: in quotes, or up to where the next one begins.
fn value(line: &[u8], start: usize) -> (usize, usize) {
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

/// `scheme://user:secret@host`, and a token without a user.
fn user_information(line: &[u8], spans: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(found) =
        line.get(from..).and_then(|rest| rest.windows(3).position(|w| w == b"://"))
    {
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
                spans.push(Span {
                    context: start,
                    start: start + secret,
                    end: start + sign,
                    kind: Kind::Password,
                });
            }
        }
        from = start;
    }
}

/// A program, a flag of it, and whether the secret is a part of the word, or stands behind a colon or percent sign.
const FLAGS: &[(&[&str], &str, Shape)] = &[
    (
        &["mysql", "mariadb", "mysqldump", "mysqladmin", "mycli", "mongo", "mongodump"],
        "-p",
        Shape::Attached,
    ),
    (&["sshpass", "7z", "7za", "unrar"], "-p", Shape::Either),
    (&["zip", "unzip", "ipmitool", "rar"], "-P", Shape::Either),
    (&["curl", "wget", "http"], "-u", Shape::Pair(b':')),
    (&["curl", "http"], "--user", Shape::Pair(b':')),
    (&["curl"], "--proxy-user", Shape::Pair(b':')),
    (&["curl"], "-U", Shape::Pair(b':')),
    (&["smbclient", "rpcclient", "mount.cifs", "net"], "-U", Shape::Pair(b'%')),
    (&["smbclient"], "--user", Shape::Pair(b'%')),
    (&["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami", "ldappasswd"], "-w", Shape::Next),
    (&["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk", "snmptrap"], "-c", Shape::Next),
    (&["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk"], "-A", Shape::Next),
    (&["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk"], "-X", Shape::Next),
    (&["redis-cli"], "-a", Shape::Next),
    (&["mosquitto_pub", "mosquitto_sub"], "-P", Shape::Next),
    (&["upscmd", "upsrw"], "-p", Shape::Next),
    (&["iscsiadm"], "-v", Shape::Next),
    (&["rclone"], "--sftp-pass", Shape::Next),
    (&["docker", "podman"], "-p", Shape::Guarded),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `-pSECRET`.
    Attached,
    /// `-p SECRET`.
    Next,
    /// Both.
    Either,
    /// `-u user:SECRET`, with this sign.
    Pair(u8),
    /// `-p SECRET` where a login stands on the line: `docker -p 80:80` has no secret.
    Guarded,
}

/// The secrets behind flags of programs that take them there.
fn flags(line: &[u8], spans: &mut Vec<Span>) {
    if !line.windows(2).any(|two| matches!(two, [b' ' | 0 | b'\t' | b'"' | b'\'', b'-'])) {
        return;
    }
    let tokens = tokens(line);
    let says = |program: &str| {
        tokens.iter().any(|(start, end)| {
            let token = line.get(*start..*end).unwrap_or_default();
            token.rsplit(|b| !is_word_byte(*b)).next() == Some(program.as_bytes())
        })
    };
    for (programs, flag, shape) in FLAGS {
        if !programs.iter().any(|program| says(program)) {
            continue;
        }
        for (number, (start, end)) in tokens.iter().enumerate() {
            let token = line.get(*start..*end).unwrap_or_default();
            let next = tokens.get(number + 1).copied();
            let attached = (token.len() > flag.len() && token.starts_with(flag.as_bytes()))
                .then_some((start + flag.len(), *end));
            let following = next.filter(|_| token == flag.as_bytes());
            let found = match shape {
                Shape::Attached => attached,
                Shape::Next => following,
                Shape::Either => attached.or(following),
                Shape::Pair(sign) => attached.or(following).and_then(|(from, to)| {
                    let pair = line.get(from..to)?;
                    let at = pair.iter().position(|byte| byte == sign)?;
                    Some((from + at + 1, to))
                }),
                Shape::Guarded => following.filter(|_| says("login")),
            };
            if let Some((from, to)) = found {
                spans.push(Span { context: 0, start: from, end: to, kind: Kind::Password });
            }
        }
    }
}

/// The words of a command line, without the quotes around them.
fn tokens(line: &[u8]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < line.len() {
        at = skip(line, at, |byte| is_blank(byte) || matches!(byte, b'(' | b'[' | b'=' | b','));
        let quote = line.get(at).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let start = at + usize::from(quote.is_some());
        let rest = line.get(start..).unwrap_or_default();
        let length = match quote {
            Some(quote) => rest.iter().position(|byte| *byte == quote),
            None => rest
                .iter()
                .position(|byte| is_blank(*byte) || matches!(byte, b'"' | b'\'' | b')' | b']')),
        };
        let end = start + length.unwrap_or(rest.len());
        if end > start {
            all.push((start, end));
        }
        at = end + 1;
    }
    all
}
