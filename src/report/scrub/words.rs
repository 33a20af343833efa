//! Names behind which secrets stand, and values that are none.

use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;

/// Letters of identifiers; bytes above ASCII are letters of other languages.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte >= 0x80
}

/// A list of words in small letters, made ready when it is first asked.
pub(super) struct List {
    words: &'static str,
    table: OnceLock<Table>,
}

struct Table {
    /// For each length the first letters there are: most words are not in a list by that alone.
    firsts: [u32; LONGEST + 1],
    words: HashSet<&'static [u8]>,
}

/// The longest word of a list.
const LONGEST: usize = 40;

impl List {
    /// Of words between blanks.
    pub(super) const fn new(words: &'static str) -> Self {
        Self { words, table: OnceLock::new() }
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            let words: HashSet<_> = self.words.split(' ').map(str::as_bytes).collect();
            let mut firsts = [0; LONGEST + 1];
            for word in &words {
                if let Some(first) = firsts.get_mut(word.len()) {
                    *first |= bit(word);
                }
            }
            Table { firsts, words }
        })
    }

    /// Whether a word is in it, whatever its capitals.
    pub(super) fn has(&self, word: &[u8]) -> bool {
        let table = self.table();
        if !table.firsts.get(word.len()).is_some_and(|firsts| firsts & bit(word) != 0) {
            return false;
        }
        let mut small = [0; LONGEST];
        let Some(small) = small.get_mut(..word.len()) else { return false };
        small.copy_from_slice(word);
        small.make_ascii_lowercase();
        table.words.contains(&*small)
    }
}

fn bit(word: &[u8]) -> u32 {
    1 << (word.first().copied().unwrap_or_default() & 31)
}

/// The beginnings of the words that speak of secrets: a name without any of them needs no closer look.
const STEMS: &str = "\
    pas pwd tok sec key psk cre coo ses sid otp pin jwt rer uth mmu alt sig lle ntl nth cov see mne hoo cen nnw eno \
    dga nha asa rol htw ras psw cod val ssi wpa wep pwo ntr tan mfa";

/// Three letters in a row, as a bit of 2^15: a letter counts by its last five bits, whatever its capital.
const TRIGRAMS: [u64; 512] = trigrams(STEMS.as_bytes());

const fn trigrams(stems: &[u8]) -> [u64; 512] {
    let mut bits = [0; 512];
    let (mut at, mut in_word) = (0, 0);
    while at < stems.len() {
        in_word = if stems[at] == b' ' { 0 } else { in_word + 1 };
        if in_word == 3 {
            let place = trigram(stems[at - 2], stems[at - 1], stems[at]);
            bits[place >> 6] |= 1 << (place & 63);
        }
        at += 1;
    }
    bits
}

const fn trigram(a: u8, b: u8, c: u8) -> usize {
    ((a & 31) as usize) << 10 | ((b & 31) as usize) << 5 | (c & 31) as usize
}

/// A quick look before the slow one: whether a name has three letters of a stem, or a `pw`.
fn may_be(name: &[u8]) -> bool {
    let (mut a, mut b) = (0, 0);
    for c in name {
        let place = trigram(a, b, *c);
        let speaks = TRIGRAMS.get(place >> 6).is_some_and(|bits| bits & (1 << (place & 63)) != 0);
        // Letters above ASCII are those of other languages' words.
        if speaks || *c == 0xc3 || matches!((b, *c), (b'p' | b'P', b'w' | b'W')) {
            return true;
        }
        (a, b) = (b, *c);
    }
    false
}

/// Words by themselves that have to do with secrets, beside the names that may be some.
static SPEAKING: List = List::new(
    "login unlock decrypt codes mot htpasswd use incominguser outgoinguser identified identify plain monitor \
    createuser com2sec com2sec6 trapsink trap2sink informsink trapsess sqlconnectinfo k 2fa openvpn secure_link_md5 connect code recovery",
);

/// Whether any word of a line has to do with secrets or users: the others are not looked at for them.
pub(super) fn speaks(line: &[u8], users: &BTreeSet<Vec<u8>>) -> bool {
    let mut words = line.split(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80);
    may_be(line)
        || words.any(|word| SPEAKING.has(word) || users.contains(word))
        || !users.is_empty() && names(line).any(|name| users.contains(name))
}

/// The words of a line with the signs that are in names.
fn names(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| !is_word_byte(*byte)).filter(|word| !word.is_empty())
}

/// How sure a name makes of what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) enum Name {
    /// Nothing secret.
    Plain,
    /// Something about secrets: one only where the value looks like it.
    About,
    /// A secret behind `=` or `:`; behind a mere blank only what looks like one.
    Likely,
    /// A secret even in prose.
    Certain,
}

/// Parts of names that are certain, in lower case.
static CERTAIN: List = List::new(
    "\
    password passwd passphrase passwort kennwort lösenord losenord bindpw rootpw userpw requirepass \
    masterauth rocommunity rwcommunity rocommunity6 rwcommunity6 trapcommunity authcommunity presharedkey \
    preshared privatekey mypass dbpass smtppass cloudkey contraseña motdepasse userpassword pwd passe \
    wachtwoord senha salasana adgangskode parola authtok keypass storepass passcode",
);
/// Parts that are likely.
static LIKELY: List = List::new(
    "\
    pass secret secrets token tokens psk apikey authkey authtoken credential credentials creds cookie \
    cookies sessionid sessid session sid otp totp pin jwt bearer authorization auth community passcode \
    passkey salt cred pw pswd pword sig signature challenge ntlm nthash recovery seed mnemonic webhook licence license",
);
/// Words in front of `key` that make it a secret; `key` by itself is one only where its value looks so.
static KEYS: List = List::new(
    "\
    private secret shared preshared api access auth encryption enc master wep wpa signing account session \
    client server license licence product cloud host hmac tsig aes luks recovery ssh storage root user admin \
    x wifi wlan wireless network jwt cookie crypt decrypt service app application",
);
/// Parts that turn a name into one of a setting about secrets.
static ABOUT: List = List::new(
    "\
    policy length len min max minlen expire expires expired expiry age file path dir prompt timeout type \
    algorithm algo method count changed last endpoint enabled allow authentication hint label field ttl \
    lifetime encoding format backend command cmd url uri mode size quality retries retry strength history \
    level public pub name map mac exchange agreement usage console wall service rotate id per warn store cipher support version required update",
);

/// Judges a name such as `db_password`, `--api-key`, `SMTPPassword` or `wpa_psk`.
pub(in crate::report) fn judge(name: &[u8]) -> Name {
    if !(2..=64).contains(&name.len()) || !may_be(name) {
        return Name::Plain;
    }
    let parts = parts(name);
    let is = |part: &str, list: &List| list.has(part.as_bytes());
    let ends = |part: &str| {
        let long = part.len() > 5;
        ["password", "passwd", "passphrase", "passwort", "kennwort"]
            .iter()
            .any(|end| part.ends_with(end))
            || long
                && part.ends_with("pass")
                && !["bypass", "compass", "encompass", "trespass"].contains(&part)
            || part.len() > 4 && part.ends_with("pw")
            || long
                && [
                    "secret",
                    "token",
                    "apikey",
                    "pwd",
                    "psk",
                    "sessid",
                    "sessionid",
                    "authtok",
                    "credential",
                ]
                .iter()
                .any(|end| part.ends_with(end))
    };
    let key = parts.windows(2).any(|two| match two {
        [before, key] => key == "key" && is(before, &KEYS),
        _ => false,
    });
    let certain = parts.iter().any(|part| is(part, &CERTAIN));
    let is_likely = |part: &String| is(part, &LIKELY) || is(part, &CERTAIN) || ends(part);
    let likely = key || parts.iter().any(is_likely);
    // What a name is about stands at its end: `token_type` is a type, `backend_token` a token. And an id is about a
    // session's secret only where it is the session's own.
    let secret = parts.iter().rposition(is_likely).unwrap_or_default();
    let is_sessions = parts.iter().any(|part| part == "session");
    let about = parts.iter().enumerate().any(|(at, part)| {
        let one = part.strip_suffix('s').unwrap_or(part);
        let asks = at < secret && part == "ask";
        (at > secret && (is(part, &ABOUT) || is(one, &ABOUT)) || asks)
            && !(part == "id" && is_sessions)
    });
    match (certain, likely, about) {
        (true, _, false) => Name::Certain,
        (false, true, false) => Name::Likely,
        (_, true, true) => Name::About,
        (true, false, true) | (false, false, _) => Name::Plain,
    }
}

/// The parts of a name in lower case: between `_`, `-`, `.`, and where letters turn from small to capital.
fn parts(name: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(name);
    let mut parts: Vec<String> = vec![String::new()];
    let mut was_small = false;
    for letter in text.chars() {
        let splits = matches!(letter, '_' | '-' | '.') || letter.is_uppercase() && was_small;
        if splits && parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| !matches!(letter, '_' | '-' | '.')) {
            part.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    // A number at the end numbers: `wep_key0`, `password2`.
    for part in &mut parts {
        let trimmed = part.trim_end_matches(|c: char| c.is_ascii_digit());
        if !trimmed.is_empty() {
            part.truncate(trimmed.len());
        }
    }
    parts
}

/// Values behind a secret's name that are settings, not secrets.
static SETTINGS: List = List::new(
    "\
    yes no true false null nil none on off never always required optional default prohibit-password \
    without-password ask prompt auto enabled disabled plain md5 sha1 sha256 sha512 scram-sha-256 peer trust \
    user ads unset empty (null) * x ! !! - (none) undefined secret password domain share sufficient \
    requisite files compat systemd sss nis ldap winbind db amd64 arm64 armhf armel i386 any all noarch x86_64",
);

/// Whether a value says that there is no secret, or only where one is.
pub(super) fn is_setting(value: &[u8]) -> bool {
    let is_place = value.starts_with(b"$")
        && value.get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'{')
        || value.starts_with(b"%") && value.len() <= 3
        || value.starts_with(b"[redacted:")
        || value.starts_with(b"<str:");
    let is_blank = value.iter().all(|byte| b"*x.-_#".contains(byte));
    let is_known = || SETTINGS.has(value);
    value.is_empty() || is_place || is_blank || is_known()
}

/// Words that follow `password` in the sentences of logs.
static PROSE: List = List::new(
    "\
    accepted administrator again age aging already also and are as at attempt attempts auth authentication \
    because been before by can cannot change changed changes check chat correct could database denied did \
    does empty entered entry error expired expires expiry failed failure file for from given had has hash \
    hashes hashing have history in incorrect into invalid it its length lock locked login logins manager may \
    mismatch missing must needed not of on only or over policy prompt protected protection provided quality \
    rejected removed request requested required requirements reset retry security server set setting \
    settings should store stored strength sync the then this too update updated user using verification \
    verified via with without will would wrong you your agent requests status dialog directory string \
    service module backend support type level method is was were be being lautet ist war here again works did \
    form field manager hint rules rule page screen link email mail reminder resets expiration must may which that routines routine tables table structure data entries map maps",
);

/// Whether a word belongs to a sentence about secrets.
pub(super) fn is_prose(word: &[u8]) -> bool {
    let word = word.trim_ascii_end();
    let word = match word.split_last() {
        Some((b',' | b'.' | b':' | b';', word)) => word,
        _ => word,
    };
    PROSE.has(word)
}

/// Whether a word looks chosen, or made, to be hard to guess: letters and digits, or signs among letters.
pub fn looks_secret(word: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| word.iter().any(class);
    let letters = has(u8::is_ascii_alphabetic);
    let signs = word.iter().any(|b| b.is_ascii_punctuation() && !b"-_.,:;/()[]'\"".contains(b));
    word.len() >= 6 && letters && (has(u8::is_ascii_digit) || signs)
}

/// Whether a word is the version of a package: `1:4.13+dfsg1-1+deb12u1`.
pub(super) fn is_version(word: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".+~:-".contains(b);
    let dot = word.iter().position(|byte| *byte == b'.').unwrap_or_default();
    let lead = word.get(..dot).unwrap_or_default();
    dot > 0 && lead.iter().all(|b| b.is_ascii_digit() || *b == b':') && word.iter().all(fits)
}

/// Whether a token has the shape of a UUID (RFC 9562 section 4).
pub(super) fn is_uuid(token: &[u8]) -> bool {
    let lengths = token.split(|byte| *byte == b'-').map(<[u8]>::len);
    token.len() == 36
        && lengths.eq([8, 4, 4, 4, 12])
        && token.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}
