//! Auth keys: what an operator gives to boxes that nobody stands beside, `qk1_ID_SECRET`.

use crate::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

/// What every key of this kind begins with.
const PREFIX: &str = "qk1";
/// The longest text that is looked at as a key; one of the hub's own is 45 bytes long.
pub const MAX_KEY: usize = 128;

/// A key, or what somebody took for one. It is sent; it is never printed.
#[derive(Deserialize)]
#[serde(from = "String")]
pub struct AuthKey(Secret<String>);

impl AuthKey {
    /// Takes a text in.
    pub fn new(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// Puts a key together.
    pub fn of(id: &str, secret: &str) -> Self {
        Self::new(format!("{PREFIX}_{id}_{secret}"))
    }

    /// Its id, which is no secret, and its secret; `None` when it has not the shape of a key.
    pub fn parts(&self) -> Option<(&str, &str)> {
        let text = self.0.expose();
        let (id, secret) = text.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        (text.len() <= MAX_KEY && plain(id) && plain(secret)).then_some((id, secret))
    }

    /// Lends the text. The name is easy to search for in review.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl From<String> for AuthKey {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Clone for AuthKey {
    fn clone(&self) -> Self {
        Self::new(self.expose().into())
    }
}

impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}
impl Eq for AuthKey {}

impl core::fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(crate::card::MASKED)
    }
}

impl Serialize for AuthKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_an_id_and_a_secret_and_is_never_printed() {
        let key = AuthKey::of("7z2m4kqa", "5yvx3t7w");
        assert_eq!(key.parts(), Some(("7z2m4kqa", "5yvx3t7w")));
        assert_eq!(format!("{key:?}"), "[secret]");
        let long = format!("qk1_a_{}", "b".repeat(MAX_KEY));
        for bad in [
            "",
            "qk1",
            "qk1_",
            "qk1_a",
            "qk1_a_",
            "qk1__b",
            "qk2_a_b",
            "qk1_a_b_c",
            "qk1_A_b",
            &long,
        ] {
            assert_eq!(AuthKey::new(bad.into()).parts(), None, "{bad}");
        }
    }
}
