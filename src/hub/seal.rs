//! Sealing: what is personal lies in the store as bytes that only the key file opens (promise S5).
//!
//! A sealed value is a random nonce and ChaCha20-Poly1305 over the text, bound to the column it belongs to,
//! so that a value moved to another column does not open. What must be found again (an address that
//! somebody signs in with) is found by an HMAC of it, which tells nothing without the key.

use super::keys::{KeyError, random};
use super::store::Hash;
use crate::secret::Secret;
use data_encoding::BASE64URL_NOPAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// Seals and opens.
#[derive(Clone)]
pub struct Seal {
    key: LessSafeKey,
    index: hmac::Key,
}

impl Seal {
    /// From 64 random bytes: 32 for sealing, 32 for finding again.
    ///
    /// # Errors
    /// [`KeyError::Random`], which a key of this length never comes to.
    pub fn new(bytes: &Secret<[u8; 64]>) -> Result<Self, KeyError> {
        let (key, index) = bytes.expose().split_at(32);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| KeyError::Random)?;
        let index = hmac::Key::new(hmac::HMAC_SHA256, index);
        Ok(Self { key: LessSafeKey::new(key), index })
    }

    /// Seals a text for a column, such as `account.email`.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random bytes.
    pub fn seal(&self, column: &str, text: &str) -> Result<Vec<u8>, KeyError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = text.as_bytes().to_vec();
        let aad = Aad::from(column.as_bytes());
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce_of, aad, &mut sealed);
        let tag = tag.map_err(|_| KeyError::Random)?;
        Ok([&nonce, sealed.as_slice(), tag.as_ref()].concat())
    }

    /// Opens what was sealed for this column; `None` for anything else.
    pub fn open(&self, column: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let text = self.key.open_in_place(nonce, Aad::from(column.as_bytes()), &mut rest).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// [`Seal::seal`] as base64url, for columns of text.
    ///
    /// # Errors
    /// As [`Seal::seal`].
    pub fn seal_text(&self, column: &str, text: &str) -> Result<String, KeyError> {
        Ok(BASE64URL_NOPAD.encode(&self.seal(column, text)?))
    }

    /// Opens what [`Seal::seal_text`] made for this column; `None` for anything else.
    pub fn open_text(&self, column: &str, sealed: &str) -> Option<String> {
        self.open(column, &BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?)
    }

    /// What tells this key from others and gives nothing of it away: 63 bits of an HMAC.
    pub fn id(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.index("seal.id", "");
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
    }

    /// What a text is found by in a column: the same text, the same bytes.
    pub fn index(&self, column: &str, text: &str) -> Hash {
        let tag = hmac::sign(&self.index, &named(column, text));
        let mut hash = Hash::default();
        // HMAC-SHA-256 has 32 bytes.
        for (to, from) in hash.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        hash
    }

    /// Whether these bytes are [`Seal::index`] of a text, in constant time.
    pub fn is_index(&self, column: &str, text: &str, bytes: &[u8]) -> bool {
        hmac::verify(&self.index, &named(column, text), bytes).is_ok()
    }
}

/// A text that belongs to a column and to no other.
fn named(column: &str, text: &str) -> Vec<u8> {
    [column.as_bytes(), &[0], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&Secret::new([byte; 64])).unwrap()
    }

    #[test]
    fn only_the_same_key_opens_and_only_in_the_same_column() {
        let sealed = seal(1).seal("account.email", "anna@example.net").unwrap();
        assert_eq!(seal(1).open("account.email", &sealed).unwrap(), "anna@example.net");
        assert_eq!(seal(1).open("account.name", &sealed), None);
        assert_eq!(seal(2).open("account.email", &sealed), None);
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(seal(1).open("account.email", &forged), None, "byte {at}");
            assert_eq!(seal(1).open("account.email", &sealed[..at]), None, "cut at {at}");
        }
        assert!(!sealed.windows(4).any(|part| part == b"anna"));
    }

    #[test]
    fn a_key_is_known_by_its_id_and_a_text_opens_as_bytes_do() {
        assert_eq!(seal(1).id(), seal(1).id());
        assert_ne!(seal(1).id(), seal(2).id());
        let sealed = seal(1).seal_text("device.name", "box").unwrap();
        assert_eq!(seal(1).open_text("device.name", &sealed).unwrap(), "box");
        assert_eq!(seal(1).open_text("pending.name", &sealed), None);
        assert_eq!(seal(1).open_text("device.name", "box"), None, "what was never sealed");
    }

    #[test]
    fn the_same_text_never_looks_the_same_and_is_found_all_the_same() {
        let seal = seal(1);
        assert_ne!(seal.seal("c", "text").unwrap(), seal.seal("c", "text").unwrap());
        assert_eq!(seal.index("c", "text"), seal.index("c", "text"));
        assert_ne!(seal.index("c", "text"), seal.index("d", "text"));
        assert_ne!(seal.index("c", "text"), seal.index("c", "texu"));
    }
}
