//! Names: of a license, of a product, and the product key a person types.

use crate::secret::Secret;
use crate::wire::label::printable;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a license: 26 lower-case letters and digits 2 to 7, random.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LicenseId(String);

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not {what}")]
pub struct BadName {
    shown: String,
    what: &'static str,
}

fn bad(text: &str, what: &'static str) -> BadName {
    BadName { shown: printable(text, 40), what }
}

impl LicenseId {
    /// Makes one from randomness.
    pub fn of(random: [u8; 16]) -> Self {
        Self(data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let plain = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
        let fits = text.len() == 26 && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(bad(text, "the id of a license")) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first two characters, which it shares with one in 1024.
    pub fn prefix(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

impl core::fmt::Display for LicenseId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for LicenseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What a license is for: 1 to 64 of `a-z 0-9 . _ -`, a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Product(String);

impl Product {
    /// Reads one.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| word(b) || b".-_".contains(&b))
            && text.bytes().next().is_some_and(word);
        if fits { Ok(Self(text.into())) } else { Err(bad(text, "the name of a product")) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for Product {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// Crockford's base 32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP: usize = 5;
/// 23 random characters are 115 bits; the last two are a checksum.
const RANDOM: usize = 23;
const LENGTH: usize = 25;

/// A product key, `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`. Whoever has one has the license: it is sent once and never printed.
pub struct ProductKey(Secret<String>);

impl ProductKey {
    /// Makes one from 23 random bytes, of which five bits each count.
    pub fn of(random: [u8; RANDOM]) -> Self {
        let random: String = random.iter().map(|b| letter(*b)).collect();
        let sum = checksum(&random);
        Self(Secret::new(format!("{random}{sum}")))
    }

    /// Reads what a person typed: dashes and spaces do not count, small letters are large ones, O is 0, I and L are 1.
    ///
    /// # Errors
    /// [`BadName`], which does not repeat the text: a typo leaves most of a key intact.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let typed: String =
            text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(meant).collect();
        let (random, sum) = typed.split_at_checked(RANDOM).unwrap_or_default();
        let fits = typed.len() == LENGTH
            && typed.bytes().all(|b| ALPHABET.contains(&b))
            && sum == checksum(random);
        if fits {
            return Ok(Self(Secret::new(typed)));
        }
        Err(BadName {
            shown: "what was typed".into(),
            what: "a product key: 5 groups of 5, and a mistyped character shows",
        })
    }

    /// In five groups. The name is easy to search for in review.
    pub fn expose(&self) -> String {
        let text = self.0.expose();
        let groups: Vec<_> =
            (0..LENGTH / GROUP).filter_map(|i| text.get(i * GROUP..(i + 1) * GROUP)).collect();
        groups.join("-")
    }

    /// What a hub keeps of it: SHA-256 of its 25 characters, base64url. It holds 115 random bits, so a slow hash adds nothing.
    pub fn hash(&self) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.0.expose().as_bytes()).as_ref())
    }

    /// Its last four characters, for a person who has several.
    pub fn tail(&self) -> &str {
        self.0.expose().get(LENGTH - 4..).unwrap_or_default()
    }
}

fn meant(c: char) -> char {
    match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    }
}

fn letter(bits: u8) -> char {
    char::from(ALPHABET[usize::from(bits & 31)])
}

fn checksum(random: &str) -> String {
    let digest = digest(&SHA256, format!("qcloud-product-key/1\n{random}").as_bytes());
    digest.as_ref().iter().take(LENGTH - RANDOM).map(|b| letter(*b)).collect()
}

/// What a person asks a license by: a product key, or the id of a license of the owner's account. It is sent; it is
/// never printed.
#[derive(Deserialize)]
#[serde(from = "String")]
pub struct Wanted(Secret<String>);

impl Wanted {
    /// Takes a text in.
    pub fn new(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// As the id of a license, if it has the shape of one.
    pub fn lid(&self) -> Option<LicenseId> {
        LicenseId::parse(self.0.expose()).ok()
    }

    /// As a product key, if it is one.
    pub fn product_key(&self) -> Option<ProductKey> {
        ProductKey::parse(self.0.expose()).ok()
    }
}

impl From<String> for Wanted {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Clone for Wanted {
    fn clone(&self) -> Self {
        Self::new(self.0.expose().clone())
    }
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}
impl Eq for Wanted {}

impl core::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(crate::card::MASKED)
    }
}

impl Serialize for Wanted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_key_survives_a_person_and_shows_a_typo() {
        let key = ProductKey::of(core::array::from_fn(|i| u8::try_from(i * 37 % 256).unwrap()));
        let text = key.expose();
        assert_eq!((text.len(), text.matches('-').count()), (29, 4));
        let typed = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(ProductKey::parse(&typed).unwrap().hash(), key.hash());
        let mut missed = 0;
        for position in 0..text.len() {
            for letter in ALPHABET {
                let mut bytes = text.clone().into_bytes();
                if bytes[position] == b'-' || bytes[position] == *letter {
                    continue;
                }
                bytes[position] = *letter;
                let typo = String::from_utf8(bytes).unwrap();
                missed += usize::from(ProductKey::parse(&typo).is_ok());
            }
        }
        // Ten bits: one typo in 1024 of 775 slips through.
        assert!(missed <= 3, "{missed}");
        let error = ProductKey::parse(&text[..28]).err().unwrap();
        assert!(!error.to_string().contains(&text[..5]), "{error}");
    }

    #[test]
    fn what_is_wanted_is_a_key_or_an_id_and_is_never_printed() {
        let id = LicenseId::of([7; 16]);
        let wanted = Wanted::new(id.to_string());
        assert_eq!((wanted.lid(), wanted.product_key().is_none()), (Some(id), true));
        assert_eq!(format!("{wanted:?}"), crate::card::MASKED);
        assert!(LicenseId::parse("ABC").is_err() && LicenseId::parse(&"a".repeat(27)).is_err());
    }
}
