//! The device key: Ed25519, made on the device, and never anywhere else.

use super::IdentityError;
use super::id::device_id;
use crate::secret::Secret;
use crate::state::{StateDir, StateError};
use crate::wire::signed::Signer;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The file of the key in the state directory: PKCS#8 version 2 (RFC 5958), DER.
pub const KEY_FILE: &str = "device.key";
/// The file of the key that is to take its place, while a rekey is under way.
pub const NEXT_FILE: &str = "device.key.next";
/// What stands before the 32 bytes of an Ed25519 public key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The key of this device. It has no `Debug`, and its secret half is wiped on drop.
pub struct DeviceKey {
    pkcs8: Secret<Vec<u8>>,
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
    id: String,
}

impl DeviceKey {
    /// The key in one of the two files of the state directory; `None` when there is none.
    ///
    /// # Errors
    /// [`IdentityError::State`] when the file is open to others, [`IdentityError::BadKey`] when it
    /// holds no key: a damaged one is never replaced by a new one, which would be another device.
    pub fn load(state: &StateDir, file: &'static str) -> Result<Option<Self>, IdentityError> {
        let Some(pkcs8) = state.read_private(file)? else { return Ok(None) };
        let key = Self::from_pkcs8(Secret::new(pkcs8));
        key.map(Some).map_err(|_| IdentityError::BadKey(file))
    }

    /// Keeps a key that was made in memory; there must be none yet in this file.
    ///
    /// # Errors
    /// [`StateError::Exists`] and [`StateError::Io`].
    pub fn keep(&self, state: &StateDir, file: &'static str) -> Result<(), StateError> {
        state.write_once(file, self.pkcs8.expose())
    }

    /// A new key that is kept nowhere.
    ///
    /// # Errors
    /// [`IdentityError::Randomness`].
    pub fn in_memory() -> Result<Self, IdentityError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| IdentityError::Randomness)?;
        Self::from_pkcs8(Secret::new(pkcs8.as_ref().to_vec()))
    }

    fn from_pkcs8(pkcs8: Secret<Vec<u8>>) -> Result<Self, IdentityError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.expose())
            .map_err(|_| IdentityError::BadKey(KEY_FILE))?;
        let spki = [SPKI_PREFIX.as_slice(), pair.public_key().as_ref()].concat();
        let id = device_id(&spki);
        Ok(Self { pkcs8, pair, spki, id })
    }

    /// The public key as SubjectPublicKeyInfo, 44 bytes of DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The public key itself, 32 bytes.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The device id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs. Every message that this key signs begins with its own purpose, so that no signature fits elsewhere.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// Whether a certificate (PEM, own certificate first) was made for this key.
    pub fn fits(&self, chain_pem: &str) -> bool {
        let chain = certificates(chain_pem).unwrap_or_default();
        let own = chain.first().and_then(|first| webpki::EndEntityCert::try_from(first).ok());
        own.is_some_and(|own| own.subject_public_key_info().as_ref() == self.spki)
    }

    /// The key with its certificate chain (PEM, own certificate first), as TLS shows it.
    ///
    /// # Errors
    /// [`IdentityError::BadCertificate`] for a text without a certificate, and
    /// [`IdentityError::ForeignCertificate`] for one of another key.
    pub fn tls_key(&self, chain_pem: &str) -> Result<Arc<CertifiedKey>, IdentityError> {
        let chain = certificates(chain_pem)?;
        let signer = any_eddsa_type(&PrivatePkcs8KeyDer::from(self.pkcs8.expose().as_slice()))?;
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|_| IdentityError::ForeignCertificate)?;
        Ok(Arc::new(certified))
    }
}

/// The certificates of a PEM text, at least one.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|_| IdentityError::BadCertificate)?;
    if chain.is_empty() { Err(IdentityError::BadCertificate) } else { Ok(chain) }
}

impl Signer for DeviceKey {
    fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.sign(message)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::{Authority, authority};
    use super::*;
    use crate::platform::root::tests::scratch;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn the_key_is_kept_once_and_found_again() {
        let path = scratch("key").join("state");
        let state = StateDir::open(&path).unwrap();
        assert!(DeviceKey::load(&state, KEY_FILE).unwrap().is_none());
        let made = DeviceKey::in_memory().unwrap();
        made.keep(&state, KEY_FILE).unwrap();
        let found = DeviceKey::load(&state, KEY_FILE).unwrap().unwrap();
        assert_eq!((made.id(), made.spki()), (found.id(), found.spki()));
        assert_eq!(made.spki().len(), 44);
        assert_ne!(DeviceKey::in_memory().unwrap().id(), made.id());
        let signature = found.sign(b"message");
        let public = UnparsedPublicKey::new(&ED25519, &made.spki()[12..]);
        public.verify(b"message", &signature).unwrap();
        let other = DeviceKey::in_memory().unwrap();
        assert!(other.keep(&state, KEY_FILE).is_err(), "a key is never replaced by accident");
    }

    #[test]
    fn a_damaged_key_is_refused_and_never_replaced() {
        let path = scratch("key-damaged").join("state");
        let state = StateDir::open(&path).unwrap();
        state.write_once(KEY_FILE, b"rubbish").unwrap();
        let refused = DeviceKey::load(&state, KEY_FILE).err().unwrap();
        assert!(matches!(refused, IdentityError::BadKey(KEY_FILE)));
        assert_eq!(std::fs::read(path.join(KEY_FILE)).unwrap(), b"rubbish");
    }

    /// What an authority needs to know of the key.
    struct Public<'a>(&'a DeviceKey);

    impl rcgen::PublicKeyData for Public<'_> {
        fn der_bytes(&self) -> &[u8] {
            &self.0.spki()[SPKI_PREFIX.len()..]
        }

        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_ED25519
        }
    }

    /// A certificate for a key, by somebody.
    pub fn certificate_for(key: &DeviceKey) -> String {
        let Authority { issuer, .. } = authority("client CA");
        let params = rcgen::CertificateParams::new(vec!["device.test".into()]).unwrap();
        params.signed_by(&Public(key), &issuer).unwrap().pem()
    }

    #[test]
    fn only_a_certificate_of_this_key_goes_with_it() {
        let key = DeviceKey::in_memory().unwrap();
        let own = certificate_for(&key);
        assert!(key.fits(&own) && !DeviceKey::in_memory().unwrap().fits(&own) && !key.fits(""));
        assert_eq!(key.tls_key(&own).unwrap().cert.len(), 1);
        let other = DeviceKey::in_memory().unwrap().tls_key(&own);
        assert!(matches!(other, Err(IdentityError::ForeignCertificate)));
        assert!(matches!(key.tls_key("none"), Err(IdentityError::BadCertificate)));
    }
}
