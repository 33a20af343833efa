//! Encryption for whoever a report is meant for: age v1 (C2SP age.md), X25519 recipients, writing only.
//!
//! The whole of it is `ring`'s own parts in the order of that text, so the program `age` opens what this writes.

use data_encoding::BASE64_NOPAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{error::Unspecified, hmac};
use std::io::{self, Write};

/// Plaintext bytes of a chunk of the payload.
const CHUNK: usize = 64 * 1024;
/// What a public key begins with.
const PREFIX: &str = "age1";
/// The alphabet of Bech32 (BIP 173).
const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Who alone can open a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    text: String,
    key: [u8; 32],
}

/// Why a text is no recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// A secret key was given.
    #[error(
        "this is a secret key, which has been shown now: the recipient is the public one, which begins with age1"
    )]
    Secret,
    /// Something else.
    #[error("it does not begin with age1: only age's own X25519 keys are taken")]
    Prefix,
    /// A key of a plugin or a newer kind.
    #[error(
        "it is an age key of another kind: only X25519 keys are taken, which are 62 letters long"
    )]
    Kind,
    /// Upper and lower case.
    #[error("it mixes upper and lower case")]
    Case,
    /// A letter that cannot be in it.
    #[error("its letter {at} is `{letter}`, which no key has")]
    Letter {
        /// Where, from 1.
        at: usize,
        /// The letter.
        letter: char,
    },
    /// The wrong length.
    #[error("it has {0} letters instead of 62: some are missing, or there are too many")]
    Length(usize),
    /// A mistyped letter.
    #[error("its checksum is wrong: a letter is mistyped")]
    Checksum,
}

impl Recipient {
    /// Reads a public key as `age-keygen` prints it.
    ///
    /// # Errors
    /// [`RecipientError`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("age-secret-key-") {
            return Err(RecipientError::Secret);
        }
        let data = lower.strip_prefix(PREFIX).ok_or(RecipientError::Prefix)?;
        if data.contains('1') {
            return Err(RecipientError::Kind);
        }
        if text != lower && text != text.to_ascii_uppercase() {
            return Err(RecipientError::Case);
        }
        let mut fives = Vec::new();
        for (at, letter) in data.chars().enumerate() {
            let value = ALPHABET.iter().position(|known| char::from(*known) == letter);
            let value = value.and_then(|value| u8::try_from(value).ok());
            let wrong = RecipientError::Letter { at: at + PREFIX.len() + 1, letter };
            fives.push(value.ok_or(wrong)?);
        }
        // 32 bytes are 52 letters, the checksum 6.
        if fives.len() != 58 {
            return Err(RecipientError::Length(lower.chars().count()));
        }
        if checksum(&fives) != 1 {
            return Err(RecipientError::Checksum);
        }
        let key = bytes(fives.get(..52).unwrap_or_default()).ok_or(RecipientError::Checksum)?;
        Ok(Self { text: lower, key })
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The remainder of BIP 173 over the human-readable part `age` and the data; 1 for what is right.
fn checksum(fives: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let name = b"age";
    let high = name.iter().map(|byte| byte >> 5);
    let low = name.iter().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(fives.iter().copied());
    all.fold(1_u32, |rest, value| {
        let top = rest >> 25;
        let rest = ((rest & 0x01ff_ffff) << 5) ^ u32::from(value);
        let on = GENERATOR.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1);
        on.fold(rest, |rest, (_, word)| rest ^ word)
    })
}

/// 52 values of 5 bits as 32 bytes; `None` when the bits left over are not zero.
fn bytes(fives: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let mut places = key.iter_mut();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for value in fives {
        held = (held << 5) | u32::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *places.next()? = u8::try_from((held >> bits) & 0xff).ok()?;
        }
    }
    let left = held & ((1 << bits) - 1);
    (places.next().is_none() && left == 0).then_some(key)
}

/// Encrypts what is written to it. Without [`Encrypted::finish`] nothing can open what came out.
pub struct Encrypted<W: Write> {
    to: W,
    key: LessSafeKey,
    /// A chunk is only written once it is known whether it is the last.
    chunk: Vec<u8>,
    number: u64,
}

impl<W: Write> Encrypted<W> {
    /// Writes the header, after which any of these recipients can open what follows.
    ///
    /// # Errors
    /// The writer's own; `Other` for want of random bytes, and for a key that is none (a point of small order).
    pub fn new(mut to: W, recipients: &[Recipient]) -> io::Result<Self> {
        let random = SystemRandom::new();
        let (mut file_key, mut nonce) = ([0; 16], [0; 16]);
        random.fill(&mut file_key).map_err(failed)?;
        random.fill(&mut nonce).map_err(failed)?;
        let mut header = b"age-encryption.org/v1\n".to_vec();
        for recipient in recipients {
            stanza(recipient, &file_key, &random, &mut header).map_err(failed)?;
        }
        header.extend_from_slice(b"---");
        let mac_key = derive(&file_key, &[], b"header").map_err(failed)?;
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &mac_key), &header);
        header.extend_from_slice(format!(" {}\n", BASE64_NOPAD.encode(mac.as_ref())).as_bytes());
        header.extend_from_slice(&nonce);
        to.write_all(&header)?;
        let key = derive(&file_key, &nonce, b"payload").and_then(|key| aead(&key));
        let chunk = Vec::with_capacity(CHUNK + CHACHA20_POLY1305.tag_len());
        Ok(Self { to, key: key.map_err(failed)?, chunk, number: 0 })
    }

    /// Writes the last chunk, and gives back where it wrote to.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        // 11 bytes of the chunk's number, and whether it is the last.
        let mut nonce = [0; 12];
        let (head, last) = nonce.split_at_mut(11);
        let (_, number) = head.split_at_mut(3);
        number.copy_from_slice(&self.number.to_be_bytes());
        last.fill(u8::from(is_last));
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk).map_err(failed)?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Encrypted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let room = (CHUNK - self.chunk.len()).min(bytes.len());
        self.chunk.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file key, wrapped for one recipient.
fn stanza(
    recipient: &Recipient,
    file_key: &[u8; 16],
    random: &SystemRandom,
    header: &mut Vec<u8>,
) -> Result<(), Unspecified> {
    let own = EphemeralPrivateKey::generate(&X25519, random)?;
    let share = own.compute_public_key()?;
    let theirs = UnparsedPublicKey::new(&X25519, recipient.key);
    let salt = [share.as_ref(), &recipient.key].concat();
    let wrap = agree_ephemeral(own, &theirs, |shared| {
        derive(shared, &salt, b"age-encryption.org/v1/X25519")
    })??;
    let mut body = file_key.to_vec();
    // The key is used once.
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    aead(&wrap)?.seal_in_place_append_tag(nonce, Aad::empty(), &mut body)?;
    let lines = format!(
        "-> X25519 {}\n{}\n",
        BASE64_NOPAD.encode(share.as_ref()),
        BASE64_NOPAD.encode(&body)
    );
    header.extend_from_slice(lines.as_bytes());
    Ok(())
}

fn derive(from: &[u8], salt: &[u8], what: &[u8]) -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, salt).extract(from).expand(&[what], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new)
}

fn failed(_: Unspecified) -> io::Error {
    io::Error::other("encryption failed: no random bytes, or a recipient's key that is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the age README.
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_key_is_read_and_a_wrong_one_says_what_is_wrong() {
        let known = Recipient::parse(KEY).unwrap();
        assert_eq!(known.as_str(), KEY);
        assert_eq!(Recipient::parse(&KEY.to_uppercase()), Ok(known));
        for (text, what) in [
            ("", "does not begin with age1"),
            ("ssh-ed25519 AAAA", "does not begin with age1"),
            ("AGE-SECRET-KEY-1QQQ", "secret key"),
            (
                "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
                "another kind",
            ),
            (&KEY[..61], "61 letters instead of 62"),
            (&format!("{KEY}q"), "63 letters"),
            (&KEY.replace("l3z7", "l3z8"), "mistyped"),
            (&KEY.replace("l3z7", "l3b7"), "letter 8 is `b`"),
            (&KEY.replace("l3z7", "L3z7"), "mixes"),
        ] {
            let error = Recipient::parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn the_chunks_are_those_of_the_format() {
        let recipient = [Recipient::parse(KEY).unwrap()];
        for (length, chunks) in [(0, 1), (1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3)] {
            let mut writer = Encrypted::new(Vec::new(), &recipient).unwrap();
            writer.write_all(&vec![7; length]).unwrap();
            let out = writer.finish().unwrap();
            let mac = out.windows(4).position(|part| part == b"--- ").unwrap();
            let header = mac + out[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
            assert_eq!(out.len(), header + 16 + length + chunks * 16, "{length}");
        }
    }

    #[test]
    fn a_key_that_is_no_point_encrypts_nothing() {
        let nobody = Recipient { text: String::new(), key: [0; 32] };
        assert!(Encrypted::new(Vec::new(), &[nobody]).is_err());
    }
}
