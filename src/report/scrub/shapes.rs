//! Secrets that are known by their own shape, wherever they stand.

use super::{Kind, Layer, Span, find, holds_key};
use std::sync::LazyLock;

/// How the head of something in PEM begins, and how its foot does.
pub(super) const BEGIN: &[u8] = b"-----BEGIN ";
/// See [`BEGIN`].
pub(super) const END: &[u8] = b"-----END ";

/// Prefixes of providers' tokens, and how many letters follow at least. The prefixes are their makers' own, made so
/// that scanners find them.
const PREFIXES: &[(&str, usize)] = &[
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 16),
    ("gldt-", 16),
    ("xoxb-", 16),
    ("xoxa-", 16),
    ("xoxp-", 16),
    ("xoxr-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("SG.", 20),
    ("hf_", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("dop_v1_", 30),
    ("dckr_pat_", 16),
    ("doo_v1_", 30),
    ("dor_v1_", 30),
    ("glptt-", 16),
    ("glrt-", 16),
    ("glcbt-", 16),
    ("glsa_", 30),
    ("gloas-", 16),
    ("xoxe", 16),
    ("hvb.", 20),
    ("hvr.", 20),
    ("GOCSPX-", 20),
    ("FwoGZX", 30),
    ("IQoJb3", 30),
    ("nvapi-", 30),
    ("gsk_", 30),
    ("PMAK-", 20),
    ("sntrys_", 30),
    ("phc_", 30),
    ("rubygems_", 30),
    ("ATATT3", 30),
    ("sl.", 40),
    ("key-", 32),
    ("rdme_", 30),
    ("figd_", 30),
    ("pscale_", 20),
    ("ghi_", 30),
    ("eyJ0", 20),
    ("shpat_", 20),
    ("tskey-", 12),
    ("AGE-SECRET-KEY-1", 20),
    ("1//0", 30),
    ("EAAC", 60),
    ("lin_api_", 30),
    ("pat-", 30),
    ("hvs.", 20),
    ("s.", 24),
    ("eyJ", 20),
    ("bnc_", 30),
    ("qc1_", 16),
];
/// Names of schemes of hashed passwords (crypt(5), RFC 2307).
const CRYPT: &str = "\
    1 2a 2b 2x 2y 3 5 6 7 y gy md5 sha1 apr1 P H argon2i argon2d argon2id scrypt pbkdf2 pbkdf2-sha256 \
    pbkdf2-sha512 bcrypt-sha256 sm3";
const BRACED: &str = "\
    {SSHA {SHA {SMD5 {MD5 {CRYPT {PBKDF2 {ARGON2 {BLF-CRYPT {PLAIN {CRAM-MD5 {SCRAM";

/// The secrets of a line by their shape.
pub fn spans(line: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        let before = at.checked_sub(1).and_then(|at| line.get(at)).copied();
        let is_bot = at >= 3 && byte.is_ascii_digit() && line.get(at - 3..at) == Some(b"bot");
        let begins = before.is_none_or(|byte| !byte.is_ascii_alphanumeric()) || is_bot;
        let found = match byte {
            b'$' => crypt(line, at),
            b'{' => braced(line, at),
            b'*' if begins => starred(line, at),
            b'-' => pem_on_one_line(line, at),
            byte if begins && byte.is_ascii_alphanumeric() => token(line, at),
            _ => None,
        };
        match found {
            Some((start, end, kind)) => {
                spans.push(Span { context: at, start, end, kind, layer: Layer::Shapes });
                at = end.max(at + 1);
            }
            None => at += 1,
        }
    }
}

type Found = Option<(usize, usize, Kind)>;

fn run(line: &[u8], at: usize, fits: impl Fn(u8) -> bool) -> usize {
    line.get(at..).unwrap_or_default().iter().take_while(|byte| fits(**byte)).count()
}

/// `$6$salt$hash`.
fn crypt(line: &[u8], at: usize) -> Found {
    let rest = line.get(at + 1..)?;
    let name = rest.iter().position(|byte| *byte == b'$')?;
    let scheme = rest.get(..name)?;
    let known = CRYPT.split(' ').any(|known| known.as_bytes() == scheme);
    let length = run(line, at, |b| b.is_ascii_alphanumeric() || b"$./=,+-*_".contains(&b));
    (known && length >= name + 14).then_some((at, at + length, Kind::Hash))
}

/// `{SSHA}…`.
fn braced(line: &[u8], at: usize) -> Found {
    let rest = line.get(at..)?;
    let known = BRACED.split(' ').any(|scheme| {
        rest.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    let brace = rest.iter().take(24).position(|byte| *byte == b'}').filter(|_| known)?;
    let start = at + brace + 1;
    let length = run(line, start, |b| b.is_ascii_graphic() && !b"\"',".contains(&b));
    let is_new = !is_redacted(line.get(start..start + length)?);
    (length >= 8 && is_new).then_some((start, start + length, Kind::Hash))
}

/// MySQL's `*` and 40 capital hexadecimal digits.
fn starred(line: &[u8], at: usize) -> Found {
    let length = run(line, at + 1, |b| b.is_ascii_hexdigit() && !b.is_ascii_lowercase());
    (length == 40).then_some((at, at + 41, Kind::Hash))
}

/// Where the body of a private key begins whose head (RFC 7468) begins at this place.
pub(super) fn key_body(line: &[u8], at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let label = rest.strip_prefix(BEGIN)?;
    let end = find(label, b"-----")?;
    let head = rest.get(..64.min(rest.len()))?;
    holds_key(head).then_some(at + BEGIN.len() + end + 5)
}

/// Where the body of a private key begins that does not end on this line.
pub(super) fn begins_key(line: &[u8]) -> Option<usize> {
    let body = key_body(line, find(line, BEGIN)?)?;
    find(line.get(body..)?, END).is_none().then_some(body)
}

/// Whether the body of something in PEM that is not secret begins on the next line.
pub(super) fn begins_public(line: &[u8]) -> bool {
    let Some(label) = find(line, BEGIN).and_then(|at| line.get(at + BEGIN.len()..)) else {
        return false;
    };
    is_public(label) && label.trim_ascii_end().ends_with(b"-----") && find(label, END).is_none()
}

fn is_public(label: &[u8]) -> bool {
    const LABELS: [&[u8]; 6] =
        [b"CERTIFICATE", b"TRUSTED CERT", b"PUBLIC KEY", b"RSA PUBLIC", b"X509 CRL", b"DH PARAM"];
    LABELS.iter().any(|known| label.starts_with(known))
}

/// Where certificates and public keys stand whose lines are joined by `\n`.
pub(super) fn public_blocks(line: &[u8]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(at) = line.get(from..).and_then(|rest| find(rest, BEGIN)) {
        let start = from + at + BEGIN.len();
        let label = line.get(start..).unwrap_or_default();
        if let Some(end) = find(label, END).filter(|_| is_public(label)) {
            blocks.push((start, start + end));
        }
        from = start;
    }
    blocks
}

/// A private key whose lines are joined by `\n`, as JSON and environments hold it.
fn pem_on_one_line(line: &[u8], at: usize) -> Found {
    let start = key_body(line, at)?;
    let body = line.get(start..)?;
    let end = find(body, END).unwrap_or(body.len());
    (!is_redacted(body.get(..end)?)).then_some((start, start + end, Kind::Key))
}

/// Whether nothing is left of what stood here but the mark of that.
fn is_redacted(text: &[u8]) -> bool {
    let is_around = |byte: &u8| byte.is_ascii_whitespace() || b"\\nr\"'".contains(byte);
    let start = text.iter().position(|byte| !is_around(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    text.is_empty() || text.starts_with(b"[redacted:")
}

fn token(line: &[u8], at: usize) -> Found {
    provider(line, at)
        .or_else(|| telegram(line, at))
        .or_else(|| nt_hashes(line, at))
        .or_else(|| cloud_key(line, at))
}

/// A token that begins as its maker's tokens do; a JSON web token has its dots.
fn provider(line: &[u8], at: usize) -> Found {
    let rest = line.get(at..)?;
    if !begins_one(rest) {
        return None;
    }
    let (prefix, least) =
        PREFIXES.iter().find(|(prefix, _)| rest.starts_with(prefix.as_bytes()))?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-./+=".contains(&b);
    let length = run(line, at + prefix.len(), fits);
    let body = line.get(at + prefix.len()..at + prefix.len() + length)?;
    let has = |class: fn(&u8) -> bool| body.iter().any(class);
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_made = has(u8::is_ascii_digit) || is_mixed || matches!(*prefix, "AKIA" | "ASIA");
    let is_web = *prefix != "eyJ" || body.iter().filter(|b| **b == b'.').count() >= 1;
    (length >= *least && is_made && is_web).then_some((at, at + prefix.len() + length, Kind::Token))
}

/// First two letters of prefixes, as a bit of 2^12: a letter counts by its last six bits.
static HEADS: LazyLock<[u64; 64]> = LazyLock::new(|| {
    let mut bits = [0; 64];
    for (prefix, _) in PREFIXES {
        let [a, b, ..] = prefix.as_bytes() else { continue };
        let place = pair(*a, *b);
        if let Some(word) = bits.get_mut(place >> 6) {
            *word |= 1 << (place & 63);
        }
    }
    bits
});

fn pair(a: u8, b: u8) -> usize {
    usize::from(a & 63) << 6 | usize::from(b & 63)
}

/// A quick look before all prefixes are compared.
fn begins_one(text: &[u8]) -> bool {
    let [a, b, ..] = text else { return false };
    let place = pair(*a, *b);
    HEADS.get(place >> 6).is_some_and(|bits| bits & (1 << (place & 63)) != 0)
}

/// `123456789:AA…`, a bot's token.
fn telegram(line: &[u8], at: usize) -> Found {
    let digits = run(line, at, |b| b.is_ascii_digit());
    let behind = line.get(at + digits..)?;
    if !(8..=10).contains(&digits) || !behind.starts_with(b":AA") {
        return None;
    }
    let length = run(line, at + digits + 1, |b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    (length >= 30).then_some((at, at + digits + 1 + length, Kind::Token))
}

/// smbpasswd's two hashes: `:LM:NT:`.
fn nt_hashes(line: &[u8], at: usize) -> Found {
    let hex = |at: usize| run(line, at, |b| b.is_ascii_hexdigit() || matches!(b, b'X' | b'*'));
    let first = hex(at) == 32 && line.get(at + 32) == Some(&b':') && hex(at + 33) == 32;
    first.then_some((at, at + 65, Kind::Hash))
}

/// A set-up key: 19 Crockford base32 letters in groups of four, four, four, four and three.
fn cloud_key(line: &[u8], at: usize) -> Found {
    const GROUPS: [usize; 5] = [4, 4, 4, 4, 3];
    let mut to = at;
    for (number, group) in GROUPS.iter().enumerate() {
        if number > 0 {
            (line.get(to) == Some(&b'-')).then_some(())?;
            to += 1;
        }
        let fits = |b: u8| (b.is_ascii_uppercase() || b.is_ascii_digit()) && !b"ILOU".contains(&b);
        (run(line, to, fits) == *group).then_some(())?;
        to += group;
    }
    let ends = line.get(to).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'-');
    ends.then_some((at, to, Kind::Key))
}
