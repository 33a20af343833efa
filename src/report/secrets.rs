//! What a box keeps secret, taken up to be looked for in every byte of a report.
//!
//! Three places hold it: files that are secret as a whole, values behind secret names in settings, and the
//! environments and arguments of what runs. What cannot be read is not known; the other layers stay.

use super::scrub::dictionary::Dictionary;
use super::scrub::{Kind, context, holds_key, shapes, words};
use super::source::{SECRET_FILES, Source};
use crate::secret::Secret;
use std::collections::{BTreeSet, VecDeque};
use std::io::Read;
use std::path::Path;

/// Where settings are.
const SETTINGS: &[&str] =
    &["/etc", "/opt/etc", "/usr/local/etc", "/usr/syno/etc", "/boot/grub", "/mnt/HDA_ROOT/.config"];
/// The largest file of settings that is looked into.
const MOST_BYTES: u64 = 256 * 1024;
/// The most files of settings, and the deepest directory.
const MOST_FILES: usize = 4000;
const DEEPEST: usize = 5;
/// From how many letters on a plain word is taken up.
const LONG_WORD: usize = 8;

/// Reads what is secret on this box.
pub fn known(source: &Source) -> Dictionary {
    let mut dictionary = Dictionary::default();
    for pattern in SECRET_FILES {
        for path in source.matches(pattern) {
            if let Some(text) = read(source, &path) {
                whole(&path, text.expose(), &mut dictionary);
            }
        }
    }
    mounted(source, &mut dictionary);
    users(source, &mut dictionary);
    settings(source, &mut dictionary);
    running(source, &mut dictionary);
    dictionary
}

fn read(source: &Source, path: &str) -> Option<Secret<Vec<u8>>> {
    let file = source.root().open_file(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}

/// Files of secrets that the mount table names.
fn mounted(source: &Source, dictionary: &mut Dictionary) {
    let Some(table) = read(source, "/etc/fstab") else { return };
    let options = table.expose().split(|byte| byte.is_ascii_whitespace() || *byte == b',');
    let named = options.filter_map(|option| {
        option.strip_prefix(b"credentials=").or_else(|| option.strip_prefix(b"cred="))
    });
    for path in named.filter_map(|path| core::str::from_utf8(path).ok()).take(16) {
        if let Some(text) = read(source, path) {
            whole(path, text.expose(), dictionary);
        }
    }
}

/// Names that are users' everywhere.
const USERS: &[&str] = &["admin", "administrator", "Administrator", "ADMIN", "root", "Admin"];

/// The names of users: what stands beside one may be a password.
fn users(source: &Source, dictionary: &mut Dictionary) {
    USERS.iter().for_each(|name| dictionary.add_user(name.as_bytes()));
    for path in
        ["/etc/passwd", "/etc/config/passwd", "/etc/samba/smbpasswd", "/etc/config/smbpasswd"]
    {
        let Some(text) = read(source, path) else { continue };
        for line in text.expose().split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            if let (Some(name), Some(_)) = (fields.next(), fields.nth(1)) {
                dictionary.add_user(name);
            }
        }
    }
}

/// Whether a file's name says that all of it is secret.
fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 13] = [
        "secret",
        "credential",
        "htpasswd",
        "pgpass",
        "netrc",
        ".key",
        ".keys",
        "token",
        "_key",
        "passphrase",
        "keytab",
        "password",
        "psk",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part)) && !name.contains(".pub")
}

/// Every word of a secret file's line that looks like a secret and names no host, place or user.
fn made_words(line: &[u8], dictionary: &mut Dictionary) {
    if line.starts_with(b"#") || line.starts_with(b";") {
        return;
    }
    for word in line.split(|byte| byte.is_ascii_whitespace() || *byte == b'=' || *byte == b',') {
        let word = unquoted(word.strip_suffix(b";").unwrap_or(word));
        let is_place = word.contains(&b'/') || word.contains(&b'.') || word.contains(&b':');
        if word.len() >= LONG_WORD && words::looks_secret(word) && !is_place {
            dictionary.add(word);
        }
    }
}

/// A file that is secret as a whole: which part of each line, its name says.
fn whole(path: &str, text: &[u8], dictionary: &mut Dictionary) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let field = |line: &[u8], number: usize| -> Option<Vec<u8>> {
        line.split(|byte| *byte == b':').nth(number).map(<[u8]>::to_vec)
    };
    let in_key = holds_key(text);
    for line in text.split(|byte| matches!(byte, b'\n' | 0)) {
        let line = line.trim_ascii();
        match name {
            "shadow" | "shadow-" | "gshadow" | "gshadow-" => {
                field(line, 1).into_iter().for_each(|hash| dictionary.add(&hash));
            }
            "smbpasswd" => {
                [2, 3]
                    .iter()
                    .filter_map(|n| field(line, *n))
                    .for_each(|hash| dictionary.add(&hash));
            }
            "chap-secrets" | "pap-secrets" => {
                line.split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty())
                    .nth(2)
                    .into_iter()
                    .for_each(|word| dictionary.add(unquoted(word)));
            }
            "rsyncd.secrets" | "sasl_passwd" | ".htpasswd" | ".pgpass" | "passwd.client" => {
                let last = |sign: u8| line.rsplit(move |byte| *byte == sign).next();
                // Of a hash in crypt(5) the last part as well: it may stand somewhere without its salt.
                last(b':').into_iter().chain(last(b'$')).for_each(|word| dictionary.add(word));
            }
            _ if in_key && !line.starts_with(b"-----") => dictionary.add(line),
            _ => {
                if text.len() < 512 && !line.contains(&b' ') && !line.contains(&b'=') {
                    // A key or a password by itself.
                    dictionary.add(line);
                }
            }
        }
        made_words(line, dictionary);
        values(line, dictionary);
    }
}

fn unquoted(word: &[u8]) -> &[u8] {
    let inner = word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\""));
    inner.unwrap_or(word)
}

/// What a line of settings says behind secret names.
fn values(line: &[u8], dictionary: &mut Dictionary) {
    let mut spans = Vec::new();
    context::find(line, &BTreeSet::new(), &mut spans);
    shapes::spans(line, &mut spans);
    for span in spans.iter().filter(|span| span.kind != Kind::Random) {
        let secret = line.get(span.start..span.end).unwrap_or_default();
        // A short plain word stands in every log by itself: where it is a secret, the other layers see it.
        if secret.len() >= LONG_WORD || words::looks_secret(secret) {
            dictionary.add(secret);
        }
    }
}

/// Every file of settings, breadth first.
fn settings(source: &Source, dictionary: &mut Dictionary) {
    let mut files = 0;
    for base in SETTINGS {
        let mut dirs = VecDeque::from([(std::path::PathBuf::new(), 0)]);
        while let Some((dir, depth)) = dirs.pop_front() {
            for name in source.root().names_below(base, &dir).unwrap_or_default() {
                if files >= MOST_FILES || source.is_late() {
                    return;
                }
                let path = dir.join(&name);
                match source.root().open_below(base, &path) {
                    Ok(file) => {
                        files += 1;
                        look_into(file, &name.to_string_lossy(), dictionary);
                    }
                    Err(error)
                        if error.kind() == std::io::ErrorKind::InvalidInput && depth < DEEPEST =>
                    {
                        dirs.push_back((path, depth + 1));
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

fn look_into(file: std::fs::File, name: &str, dictionary: &mut Dictionary) {
    let mut text = Vec::new();
    let is_read = file.take(MOST_BYTES).read_to_end(&mut text).is_ok();
    let text = Secret::new(text);
    if is_read && is_secret_name(name) {
        whole(name, text.expose(), dictionary);
    } else if is_read && !text.expose().contains(&0) {
        let in_key = holds_key(text.expose());
        for line in text.expose().split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if !line.starts_with(b"#") {
                values(line, dictionary);
            }
            if in_key && line.len() >= 32 && !line.contains(&b' ') {
                dictionary.add(line);
            }
        }
    }
}

/// The environments and arguments of what runs.
fn running(source: &Source, dictionary: &mut Dictionary) {
    for file in ["environ", "cmdline"] {
        for path in source.matches(&format!("/proc/*/{file}")) {
            if !Path::new(&path).components().nth(2).is_some_and(is_number) {
                continue;
            }
            let Some(text) = read(source, &path) else { continue };
            if file == "environ" {
                text.expose().split(|byte| *byte == 0).for_each(|pair| variable(pair, dictionary));
            } else {
                let line: Vec<u8> = text
                    .expose()
                    .iter()
                    .map(|byte| if *byte == 0 { b' ' } else { *byte })
                    .collect();
                let line = Secret::new(line);
                values(line.expose(), dictionary);
            }
        }
    }
}

/// A variable of a process: its value may be of several words.
fn variable(pair: &[u8], dictionary: &mut Dictionary) {
    let sign = pair.iter().position(|byte| *byte == b'=');
    if let Some((name, value)) = sign.and_then(|sign| pair.split_at_checked(sign)) {
        let value = value.get(1..).unwrap_or_default();
        let judged = words::judge(name);
        if judged == words::Name::Certain && value.len() >= LONG_WORD {
            dictionary.add(value);
        }
        // `user%secret`, `user:secret`.
        let last = value.rsplit(|byte| matches!(byte, b'%' | b':')).next().unwrap_or_default();
        if judged != words::Name::Plain && last.len() >= LONG_WORD && words::looks_secret(last) {
            dictionary.add(last);
        }
    }
    values(pair, dictionary);
}

fn is_number(part: std::path::Component<'_>) -> bool {
    part.as_os_str().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}
