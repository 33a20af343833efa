//! Secrets in commands and in lines whose words have places: behind a flag, in a column, in a pipe.

use super::context::{is_blank, skip, span};
use super::words::{List, is_word_byte, looks_secret};
use super::{Kind, Span, find as position};

/// The secrets of a line by the places of its words.
pub fn find(line: &[u8], speaks: bool, spans: &mut Vec<Span>) {
    let is_flag = |two: &[u8]| matches!(two, [b' ' | b'"' | b'\'' | b'\t' | 0, b'-' | b'/']);
    let may_hold = speaks || line.windows(2).any(is_flag) || position(line, b"<<<").is_some();
    let is_piped = line.contains(&b'|') && position(line, b"echo").is_some();
    if !may_hold && !is_piped {
        return;
    }
    let tokens = tokens(line);
    if speaks {
        columns(line, &tokens, spans);
    }
    flags(line, &tokens, spans);
    piped(line, &tokens, spans);
}

/// Where a word that has columns must stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// At the beginning of the line.
    First,
    /// Anywhere.
    Anywhere,
    /// Anywhere, and what is in the column must look like a secret.
    Made,
}

/// Words behind which secrets stand in columns, and in which: settings (snmpd.conf(5), ups.conf(5), tgt's, proftpd's),
/// and what protocols say (RFC 959, 3501, 4954, redis').
const COLUMNS: &[(&str, Stands, &[usize])] = &[
    ("createUser", Stands::First, &[3, 5]),
    ("com2sec", Stands::First, &[3]),
    ("com2sec6", Stands::First, &[3]),
    ("trapsink", Stands::First, &[2]),
    ("trap2sink", Stands::First, &[2]),
    ("informsink", Stands::First, &[2]),
    ("MONITOR", Stands::First, &[4]),
    ("incominguser", Stands::Anywhere, &[2]),
    ("outgoinguser", Stands::Anywhere, &[2]),
    ("SQLConnectInfo", Stands::First, &[3]),
    ("wpa_passphrase", Stands::Anywhere, &[2]),
    ("passwordeval", Stands::First, &[1, 2, 3]),
    ("IDENTIFIED", Stands::Anywhere, &[2]),
    ("secure_link_md5", Stands::First, &[1, 2, 3]),
    ("PASS", Stands::Made, &[1]),
    ("LOGIN", Stands::Made, &[2]),
    ("IDENTIFY", Stands::Made, &[1, 2]),
    ("AUTH", Stands::Made, &[1, 2, 3]),
    ("PLAIN", Stands::Made, &[1]),
];

/// The words of [`COLUMNS`], whatever their capitals.
static COLUMN_WORDS: List = List::new(
    "createuser com2sec com2sec6 trapsink trap2sink informsink monitor incominguser outgoinguser sqlconnectinfo \
    wpa_passphrase passwordeval identified pass login identify auth plain secure_link_md5",
);

fn columns(line: &[u8], tokens: &[(usize, usize)], spans: &mut Vec<Span>) {
    let text = |(start, end): (usize, usize)| line.get(start..end).unwrap_or_default();
    for (number, token) in tokens.iter().enumerate() {
        let word = text(*token);
        if !COLUMN_WORDS.has(word) {
            continue;
        }
        let found = COLUMNS.iter().find(|(name, stands, _)| match stands {
            Stands::First => number == 0 && name.as_bytes().eq_ignore_ascii_case(word),
            Stands::Anywhere => name.as_bytes().eq_ignore_ascii_case(word),
            Stands::Made => name.as_bytes() == word,
        });
        let Some((_, stands, columns)) = found else { continue };
        for (start, end) in columns.iter().filter_map(|n| tokens.get(number + n)) {
            let found = text((*start, *end));
            if *stands != Stands::Made || looks_secret(found) || found.ends_with(b"=") {
                spans.push(span(0, (*start, *end), Kind::Password));
            }
        }
    }
}

/// A program, a flag of it, and whether the secret is a part of the word, or stands behind a colon or percent sign.
const FLAGS: &[(&[&str], &str, Shape)] = &[
    (
        &["mysql", "mariadb", "mysqldump", "mysqladmin", "mycli", "mongo", "mongodump"],
        "-p",
        Shape::Attached,
    ),
    (&["mongo", "mongosh", "mongodump", "mongorestore"], "-p", Shape::Next),
    (&["sshpass", "7z", "7za", "unrar", "useradd", "usermod"], "-p", Shape::Either),
    (&["zip", "unzip", "ipmitool", "rar"], "-P", Shape::Either),
    (&["curl", "wget", "http", "https"], "-u", Shape::Pair(b':')),
    (&["lftp"], "-u", Shape::Pair(b',')),
    (&["curl", "http"], "--user", Shape::Pair(b':')),
    (&["http", "https"], "-a", Shape::Pair(b':')),
    (&["curl"], "--proxy-user", Shape::Pair(b':')),
    (&["curl"], "-U", Shape::Pair(b':')),
    (&["curl"], "-b", Shape::Next),
    (&["smbclient", "rpcclient", "mount.cifs", "net", "smbcacls"], "-U", Shape::Pair(b'%')),
    (&["smbclient"], "--user", Shape::Pair(b'%')),
    (&["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami", "ldappasswd"], "-w", Shape::Next),
    (
        &["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk", "snmptrap", "trapsess"],
        "-c",
        Shape::Next,
    ),
    (
        &["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk", "snmptrap", "trapsess"],
        "-A",
        Shape::Next,
    ),
    (
        &["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk", "snmptrap", "trapsess"],
        "-X",
        Shape::Next,
    ),
    (&["redis-cli"], "-a", Shape::Next),
    (&["mosquitto_pub", "mosquitto_sub"], "-P", Shape::Next),
    (&["upscmd", "upsrw"], "-p", Shape::Next),
    (&["iscsiadm"], "-v", Shape::Next),
    (&["rclone"], "--sftp-pass", Shape::Next),
    (&["ssh-keygen"], "-N", Shape::Next),
    (&["ssh-keygen"], "-P", Shape::Next),
    (&["hdparm"], "--security-unlock", Shape::Next),
    (&["hdparm"], "--security-disable", Shape::Next),
    (&["hdparm"], "--security-erase", Shape::Next),
    (&["openssl"], "-k", Shape::Next),
    (&["openssl"], "-K", Shape::Next),
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

/// Flags that mostly stand before a secret, whatever the program: it is one where it looks made.
const USUAL: &[&str] =
    &["-p", "-P", "-pw", "-w", "--pw", "--pass", "-pass", "-passwd", "-storepass", "-keypass"];

/// The secrets behind flags of programs that take them there.
fn flags(line: &[u8], tokens: &[(usize, usize)], spans: &mut Vec<Span>) {
    let is_flag = |(start, _): &(usize, usize)| {
        line.get(*start) == Some(&b'-') || line.get(*start..*start + 3) == Some(b"/p:")
    };
    if !tokens.iter().any(is_flag)
        && !tokens.iter().any(|token| line.get(token.0..token.1) == Some(b"use"))
    {
        return;
    }
    let text = |(start, end): (usize, usize)| line.get(start..end).unwrap_or_default();
    let program = |token: &(usize, usize)| text(*token).rsplit(|b| !is_word_byte(*b)).next();
    let says = |name: &str| tokens.iter().any(|token| program(token) == Some(name.as_bytes()));
    for (programs, flag, shape) in FLAGS {
        if !tokens.iter().any(|token| text(*token).starts_with(flag.as_bytes()))
            || !programs.iter().any(|program| says(program))
        {
            continue;
        }
        for (number, (start, end)) in tokens.iter().enumerate() {
            let token = text((*start, *end));
            let next = tokens.get(number + 1).copied();
            let attached = (token.len() > flag.len() && token.starts_with(flag.as_bytes()))
                .then_some((start + flag.len(), *end));
            let following = next.filter(|_| token == flag.as_bytes());
            let found = match shape {
                Shape::Attached => attached,
                Shape::Next => following,
                Shape::Either => attached.or(following),
                Shape::Pair(sign) => attached.or(following).and_then(|(from, to)| {
                    let at = text((from, to)).iter().position(|byte| byte == sign)?;
                    Some((from + at + 1, to))
                }),
                Shape::Guarded => following.filter(|_| says("login")),
            };
            spans.extend(found.map(|(from, to)| span(0, (from, to), Kind::Password)));
        }
    }
    for (number, token) in tokens.iter().enumerate() {
        let word = text(*token);
        let next = tokens.get(number + 1).copied().unwrap_or_default();
        if USUAL.iter().any(|flag| flag.as_bytes() == word) && is_made(text(next)) {
            spans.push(span(token.0, next, Kind::Password));
        }
        // As programs of Windows take it: `/p:…`.
        if let Some(value) = word.strip_prefix(b"/p:").filter(|value| value.len() >= 4) {
            spans.push(span(token.0, (token.1 - value.len(), token.1), Kind::Password));
        }
        // iwconfig(8): a key in letters.
        if let Some(value) = text(next).strip_prefix(b"s:").filter(|_| word.ends_with(b"key")) {
            spans.push(span(token.0, (next.1 - value.len(), next.1), Kind::Key));
        }
    }
    placed(line, tokens, spans);
}

/// Words of commands that stand at a place: `htpasswd -b FILE USER SECRET`, `net use DRIVE SHARE SECRET`.
fn placed(line: &[u8], tokens: &[(usize, usize)], spans: &mut Vec<Span>) {
    let text = |(start, end): (usize, usize)| line.get(start..end).unwrap_or_default();
    for (number, token) in tokens.iter().enumerate() {
        let from = tokens.get(number + 1..).unwrap_or_default();
        let place = match text(*token) {
            b"htpasswd" => from.iter().filter(|word| !text(**word).starts_with(b"-")).nth(2),
            b"use" => from.iter().skip_while(|word| !text(**word).starts_with(b"\\\\")).nth(1),
            _ => None,
        };
        spans.extend(
            place.filter(|word| is_made(text(**word))).map(|word| span(0, *word, Kind::Password)),
        );
    }
}

/// Whether what stands behind a flag is no port, place, number or name of a protocol.
fn is_made(word: &[u8]) -> bool {
    let is_port = word.first().is_some_and(u8::is_ascii_digit) && word.contains(&b':');
    looks_secret(word) && !is_port && !word.contains(&b'/') && !word.contains(&b'=')
}

/// Programs that read a secret from what is piped or put into them.
const READERS: &[&str] = &[
    "sudo -S",
    "chpasswd",
    "--stdin",
    "-stdin",
    "cryptsetup",
    "smbpasswd",
    "passwd",
    "luks",
    "kinit",
    "openssl",
    "pdbedit",
    "gpg",
    "su -",
    "load-key",
    "luksOpen",
    "login",
];

/// `echo SECRET | sudo -S …`, `smbpasswd <<< SECRET`.
fn piped(line: &[u8], tokens: &[(usize, usize)], spans: &mut Vec<Span>) {
    let pipe = line.iter().position(|byte| *byte == b'|');
    let here = position(line, b"<<<");
    if pipe.is_none() && here.is_none() {
        return;
    }
    let reads =
        |text: &[u8]| READERS.iter().any(|reader| position(text, reader.as_bytes()).is_some());
    let text = |(start, end): (usize, usize)| line.get(start..end).unwrap_or_default();
    for (number, token) in tokens.iter().enumerate() {
        let is_echo = matches!(text(*token), b"echo" | b"printf");
        let behind = pipe.filter(|pipe| is_echo && *pipe > token.1);
        let is_read = behind.and_then(|pipe| line.get(pipe..)).is_some_and(reads);
        let words = tokens.get(number + 1..).unwrap_or_default();
        for word in words.iter().take_while(|word| is_read && Some(word.1) <= pipe) {
            let found = text(*word);
            if found.starts_with(b"-") || found.starts_with(b"%") || found == b"|" {
                continue;
            }
            let colon = found.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
            spans.push(span(token.0, (word.0 + colon, word.1), Kind::Password));
        }
        if here.is_some_and(|here| token.0 >= here + 3)
            && here.and_then(|at| line.get(..at)).is_some_and(reads)
        {
            spans.push(span(0, *token, Kind::Password));
        }
    }
}

/// The words of a command line, without the quotes around them.
pub(super) fn tokens(line: &[u8]) -> Vec<(usize, usize)> {
    let ends = |byte: u8| is_blank(byte) || matches!(byte, b'\r' | b'\n');
    let mut all = Vec::new();
    let mut at = 0;
    while at < line.len() {
        at = skip(line, at, |byte| {
            is_blank(byte) || matches!(byte, b'(' | b'[' | b'=' | b',' | b'\r' | b'\n')
        });
        let quote = line.get(at).copied().filter(|byte| matches!(byte, b'"' | b'\''));
        let start = at + usize::from(quote.is_some());
        let rest = line.get(start..).unwrap_or_default();
        let length = match quote {
            Some(quote) => rest.iter().position(|byte| *byte == quote),
            None => rest
                .iter()
                .position(|byte| ends(*byte) || matches!(byte, b'"' | b'\'' | b')' | b']')),
        };
        let mut end = start + length.unwrap_or(rest.len());
        while end > start && line.get(end - 1).is_some_and(|byte| ends(*byte)) {
            end -= 1;
        }
        if end > start {
            all.push((start, end));
        }
        at = at.max(start + length.unwrap_or(rest.len())) + 1;
    }
    all
}
