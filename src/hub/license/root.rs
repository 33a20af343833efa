//! The issuer's own key: made, kept and used away from the hub.
//!
//! Whoever has it can sign any license, and every device believes it; so there is no command that brings it to a hub,
//! and a hub's directory is refused as its place. The file is PKCS#8 in DER, of mode 0600; beside it lies the public
//! key as devices and hubs pin it.

use crate::clock::Wall;
use crate::hub::config;
use crate::hub::keys::{KeyError, read_private, write_new};
use crate::secret::Secret;
use crate::wire::license::jws::{self, Claims, KEY_BYTES};
use crate::wire::license::{KeyCertificate, Revocations, Use, kid_of};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many keys one document withdraws at most: every answer of a hub carries it.
pub const MOST_WITHDRAWN: usize = 16;
/// For how long a hub's key is certified at most.
pub const MOST_DAYS: u64 = 730;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A hub whose clock is a little behind signs with a fresh certificate all the same.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Why the issuer's key is not made or used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Its file.
    #[error(transparent)]
    File(#[from] KeyError),
    /// The place is a hub's.
    #[error("{} is the directory of a hub: the issuer's key belongs on another machine", .0.display())]
    AtHub(PathBuf),
    /// What was given is no key.
    #[error("`{0}` is not a public key of a hub")]
    Key(String),
    /// What was given is no id of a hub's key.
    #[error("`{0}` is not the id of a hub's key, as in `license signer list`")]
    Kid(String),
    /// None, or too many.
    #[error("1 to {MOST_WITHDRAWN} keys are withdrawn by one document")]
    Kids,
    /// It would be good for too long, or not at all.
    #[error("a key is certified for 1 to {MOST_DAYS} days")]
    Days,
}

/// The issuer's key.
pub struct Root(Ed25519KeyPair);

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

impl Root {
    /// Makes one in a file that is not there yet, with its public half beside it in `FILE.pub`.
    ///
    /// # Errors
    /// [`RootError`]; nothing is written over.
    pub fn make(path: &Path) -> Result<Self, RootError> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or_else(|| Path::new("."));
        if dir.join(config::FILE).exists() {
            return Err(RootError::AtHub(dir.into()));
        }
        let pkcs8 =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        write_new(path, pkcs8.as_ref())?;
        let root = Self::load(path)?;
        write_new(&public_path(path), format!("{}\n", root.public()).as_bytes())?;
        Ok(root)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`RootError::File`] for a file that is missing, no key, or readable by others.
    pub fn load(path: &Path) -> Result<Self, RootError> {
        let bytes = Secret::new(read_private(path)?);
        let key = Ed25519KeyPair::from_pkcs8(bytes.expose())
            .map_err(|_| KeyError::Content { path: path.into(), what: "Ed25519 key" })?;
        Ok(Self(key))
    }

    /// The public key as it is pinned: base64url.
    pub fn public(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.public_key().as_ref())
    }

    /// Its key id.
    pub fn kid(&self) -> String {
        kid_of(self.0.public_key().as_ref())
    }

    /// Vouches for the key of a hub: a document that the hub sends along with what it signs.
    ///
    /// # Errors
    /// [`RootError::Key`], [`RootError::Days`].
    pub fn certify(&self, key: &str, days: u64, now: Wall) -> Result<String, RootError> {
        let days =
            u32::try_from(days).ok().filter(|days| (1..=MOST_DAYS).contains(&(*days).into()));
        let life = DAY.saturating_mul(days.ok_or(RootError::Days)?);
        let shown = || RootError::Key(crate::wire::label::printable(key, 60));
        let bytes: [u8; KEY_BYTES] = jws::public_key(key).map_err(|_| shown())?;
        let certificate = KeyCertificate {
            v: 1,
            key: BASE64URL_NOPAD.encode(&bytes),
            uses: vec![Use::Entitlement, Use::Lease, Use::Revocations, Use::Time],
            nbf: Wall::from_unix_seconds(now.0.saturating_sub(BACKDATED).as_secs()),
            exp: Wall::from_unix_seconds(now.0.saturating_add(life).as_secs()),
        };
        certificate.check().map_err(|_| RootError::Days)?;
        Ok(jws::sign(&certificate, &self.0, self.0.public_key().as_ref()))
    }

    /// Withdraws keys of hubs for good: a document that every hub of the issuer sends along from then on. No certified
    /// key can sign such a one.
    ///
    /// # Errors
    /// [`RootError::Kid`] also for the issuer's own key; [`RootError::Kids`].
    pub fn withdraw(&self, kids: &[String], now: Wall) -> Result<String, RootError> {
        let is_kid = |kid: &&String| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            kid.len() == 43 && kid.bytes().all(plain) && **kid != self.kid()
        };
        if let Some(other) = kids.iter().find(|kid| !is_kid(kid)) {
            return Err(RootError::Kid(crate::wire::label::printable(other, 60)));
        }
        let kids: Vec<_> = kids.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        if kids.is_empty() || kids.len() > MOST_WITHDRAWN {
            return Err(RootError::Kids);
        }
        let (iat, epoch) = (Wall::from_unix_seconds(now.unix_seconds()), now.unix_seconds());
        let list = Revocations { v: 1, epoch, iat, lids: Vec::new(), kids };
        Ok(jws::sign(&list, &self.0, self.0.public_key().as_ref()))
    }
}
