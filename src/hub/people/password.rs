//! Passwords: Argon2id, a few at a time.

use crate::hub::keys::{KeyError, random};
use crate::secret::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Memory in KiB, passes and lanes: the second choice of RFC 9106 is beyond a small hub; these are OWASP's
/// (19 MiB, 2, 1), about 25 ms on the machine this was written on.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once: bounds memory at 2 x 19 MiB, however many sign in.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// The shortest password (NIST SP 800-63B asks for 8, OWASP for 10 without a second factor).
pub const SHORTEST: usize = 10;
/// The longest one that is hashed.
pub const LONGEST: usize = 256;

const FORMAT: u8 = 1;
const SALT: usize = 16;
const HASH: usize = 32;

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadPassword {
    /// Too few letters.
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// Too many bytes.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// Too many at once.
    #[error("too many people sign in just now")]
    Busy,
    /// No randomness for the salt.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Hashes and verifies, [`AT_ONCE`] at a time.
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified in place of the password of an account that is not there, so that it takes as long.
    nobody: Vec<u8>,
}

impl Passwords {
    /// Ready to hash.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn new() -> Result<Self, KeyError> {
        let nobody = [[FORMAT].as_slice(), &random::<SALT>()?, &random::<HASH>()?].concat();
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobody })
    }

    /// What the store keeps of a password: a format byte, salt and hash.
    ///
    /// # Errors
    /// [`BadPassword`].
    pub async fn hash(&self, password: Secret<String>) -> Result<Vec<u8>, BadPassword> {
        if password.expose().chars().count() < SHORTEST {
            return Err(BadPassword::Short);
        }
        if password.expose().len() > LONGEST {
            return Err(BadPassword::Long);
        }
        let salt = random::<SALT>()?;
        let hash = self.turn(password, salt).await?;
        Ok([[FORMAT].as_slice(), &salt, &hash].concat())
    }

    /// Whether a password fits what the store kept; no for an account without one, after the same time.
    ///
    /// # Errors
    /// [`BadPassword::Busy`].
    pub async fn verify(
        &self,
        password: Secret<String>,
        kept: Option<Vec<u8>>,
    ) -> Result<bool, BadPassword> {
        if password.expose().len() > LONGEST {
            return Ok(false);
        }
        let is_somebody = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        let Some((salt, hash)) = parts(&kept) else { return Ok(false) };
        let found = self.turn(password, salt).await?;
        // The stored hash is compared by a keyed hash of both, whose timing tells nothing of them.
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &salt);
        let tag = ring::hmac::sign(&key, &found);
        Ok(ring::hmac::verify(&key, hash, tag.as_ref()).is_ok() && is_somebody)
    }

    async fn turn(
        &self,
        password: Secret<String>,
        salt: [u8; SALT],
    ) -> Result<[u8; HASH], BadPassword> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(BadPassword::Busy) };
        let work = tokio::task::spawn_blocking(move || {
            let hash = derive(&password, &salt);
            drop(turn);
            hash
        });
        work.await.ok().flatten().ok_or(BadPassword::Busy)
    }
}

fn parts(kept: &[u8]) -> Option<([u8; SALT], &[u8])> {
    let (format, rest) = kept.split_first()?;
    let (salt, hash) = rest.split_first_chunk::<SALT>()?;
    (*format == FORMAT && hash.len() == HASH).then_some((*salt, hash))
}

fn derive(password: &Secret<String>, salt: &[u8]) -> Option<[u8; HASH]> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH)).ok()?;
    let mut hash = [0; HASH];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(password.expose().as_bytes(), salt, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.into())
    }

    #[tokio::test]
    async fn a_password_fits_itself_and_no_other() {
        let passwords = Passwords::new().unwrap();
        let kept = passwords.hash(secret("correct horse")).await.unwrap();
        assert_eq!(kept.len(), 1 + SALT + HASH);
        assert!(passwords.verify(secret("correct horse"), Some(kept.clone())).await.unwrap());
        assert!(!passwords.verify(secret("correct horsf"), Some(kept.clone())).await.unwrap());
        assert!(!passwords.verify(secret("correct horse"), None).await.unwrap());
        assert!(
            !passwords.verify(secret("correct horse"), Some(kept[1..].to_vec())).await.unwrap()
        );
        let again = passwords.hash(secret("correct horse")).await.unwrap();
        assert_ne!(kept, again, "each has a salt of its own");
    }

    #[tokio::test]
    async fn short_and_endless_passwords_are_refused() {
        let passwords = Passwords::new().unwrap();
        assert!(matches!(passwords.hash(secret("nine char")).await, Err(BadPassword::Short)));
        assert!(matches!(passwords.hash(secret(&"a".repeat(257))).await, Err(BadPassword::Long)));
        assert!(!passwords.verify(secret(&"a".repeat(1 << 20)), None).await.unwrap());
    }
}
