//! The hub's keys: made once by `init`, each in a file of its own that only its owner can read.

use crate::clock::Wall;
use crate::secret::Secret;
use crate::wire::registration::CERTIFICATE_LIFE;
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How long the authorities live. Agents pin the server's, so it is replaced by a planned move only.
pub const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long the server's own certificate lives; it is made anew in the last third of it.
pub const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// How far back certificates begin, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// What stands before a device's id in its certificate.
pub const URN: &str = "urn:qcloud:device:";

const SERVER_CA_KEY: &str = "server-ca.key";
const SERVER_CA: &str = "server-ca.crt";
const CLIENT_CA_KEY: &str = "client-ca.key";
const CLIENT_CA: &str = "client-ca.crt";
const RECEIPT_KEY: &str = "receipt.key";
const RESET_KEY: &str = "quic-reset.key";
const CID_KEY: &str = "quic-cid.key";

/// Why keys could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file.
    #[error("{} cannot be {what}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file whose content is no key.
    #[error("{} does not hold a {what}", .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A key that others can read.
    #[error("{} can be read by others (mode {mode:o})", .path.display())]
    Loose {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// Bytes from the system's generator.
///
/// # Errors
/// [`KeyError::Random`] when it gives none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// A certificate authority of the hub.
pub struct Authority {
    key: KeyPair,
    subject: &'static str,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
}

/// All keys of a hub but the one that seals its store: that one lies apart ([`super::seal_key`]).
pub struct Keys {
    /// Signs the server's certificate; agents pin its key.
    pub server: Authority,
    /// Signs the devices' certificates.
    pub client: Authority,
    /// Signs receipts.
    pub receipt: Ed25519KeyPair,
    /// Signs stateless resets, so that sessions of a crashed hub end at once.
    pub reset: Secret<[u8; 64]>,
    /// Marks connection ids as the hub's own; without it resets of a crashed hub are never sent.
    pub cid: Secret<[u8; 64]>,
}

impl Keys {
    /// Makes all keys in a directory that has none.
    ///
    /// # Errors
    /// [`KeyError::File`] when a file is there already or cannot be written.
    pub fn make(dir: &Path, now: Wall) -> Result<(), KeyError> {
        make_authority(dir, SERVER_CA_KEY, SERVER_CA, "qcloud hub server", now)?;
        make_authority(dir, CLIENT_CA_KEY, CLIENT_CA, "qcloud hub devices", now)?;
        let receipt =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        write_new(&dir.join(RECEIPT_KEY), receipt.as_ref())?;
        write_new(&dir.join(RESET_KEY), &random::<64>()?)?;
        write_new(&dir.join(CID_KEY), &random::<64>()?)
    }

    /// Reads all keys.
    ///
    /// # Errors
    /// [`KeyError`] for a file that is missing, no key, or readable by others.
    pub fn load(dir: &Path) -> Result<Self, KeyError> {
        let receipt_path = dir.join(RECEIPT_KEY);
        let receipt = Secret::new(read_private(&receipt_path)?);
        let receipt = Ed25519KeyPair::from_pkcs8(receipt.expose())
            .map_err(|_| KeyError::Content { path: receipt_path, what: "Ed25519 key" })?;
        Ok(Self {
            server: load_authority(dir, SERVER_CA_KEY, SERVER_CA, "qcloud hub server")?,
            client: load_authority(dir, CLIENT_CA_KEY, CLIENT_CA, "qcloud hub devices")?,
            receipt,
            reset: load_bytes(&dir.join(RESET_KEY))?,
            cid: load_bytes(&dir.join(CID_KEY))?,
        })
    }

    /// What agents pin: SHA-256 of the server authority's SubjectPublicKeyInfo.
    pub fn pin(&self) -> String {
        let spki = rcgen::PublicKeyData::subject_public_key_info(&self.server.key);
        format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, &spki).as_ref()))
    }

    /// Makes a certificate and key for the server, good from now on.
    ///
    /// # Errors
    /// [`KeyError::Certificate`] when the name fits in no certificate.
    pub fn server_leaf(
        &self,
        host: &str,
        addresses: &[IpAddr],
        now: Wall,
    ) -> Result<Leaf, KeyError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        let ips = addresses.iter().map(|ip: &IpAddr| SanType::IpAddress(*ip));
        params.subject_alt_names.extend(ips);
        params.distinguished_name = common_name(host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = issue(params, &key, &self.server, now, LEAF_LIFE)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Leaf { chain: vec![leaf, self.server.certificate.clone()], key })
    }

    /// Makes the certificate of a device, in PEM. It holds for [`CERTIFICATE_LIFE`].
    ///
    /// # Errors
    /// [`KeyError::Certificate`] when rcgen refuses.
    pub fn device_leaf(&self, key: &DeviceKey, id: &str, now: Wall) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        let urn = format!("{URN}{id}");
        params.subject_alt_names = vec![SanType::URI(urn.try_into()?)];
        params.distinguished_name = common_name(id);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let der = issue(params, key, &self.client, now, CERTIFICATE_LIFE)?;
        Ok(pem("CERTIFICATE", &der))
    }
}

/// The server's certificate with its authority's, and its key.
pub struct Leaf {
    /// Certificate, then authority: the agent pins the latter.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key, never stored: a restart makes another.
    pub key: PrivateKeyDer<'static>,
}

/// A device's Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceKey([u8; 32]);

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 section 10.1).
const ED25519_SPKI: &[u8; 12] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

impl DeviceKey {
    /// Takes the key out of a SubjectPublicKeyInfo in DER; nothing but an Ed25519 key passes.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(ED25519_SPKI)?.try_into().ok().map(Self)
    }

    /// Whether the key made this signature.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, self.0);
        key.verify(message, signature).is_ok()
    }
}

impl rcgen::PublicKeyData for DeviceKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

fn authority_params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn issue(
    mut params: CertificateParams,
    key: &impl rcgen::PublicKeyData,
    authority: &Authority,
    now: Wall,
    life: Duration,
) -> Result<CertificateDer<'static>, KeyError> {
    set_life(&mut params, now, life);
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::new(authority_params(authority.subject), &authority.key);
    Ok(params.signed_by(key, &issuer)?.into())
}

fn set_life(params: &mut CertificateParams, now: Wall, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.0.saturating_sub(BACKDATED);
    params.not_after = epoch + now.0.saturating_add(life);
}

fn make_authority(
    dir: &Path,
    key_file: &str,
    file: &str,
    subject: &'static str,
    now: Wall,
) -> Result<(), KeyError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_params(subject);
    set_life(&mut params, now, CA_LIFE);
    let certificate = params.self_signed(&key)?;
    let pkcs8 = Secret::new(key.serialize_der());
    let text = Secret::new(pem("PRIVATE KEY", pkcs8.expose()));
    write_new(&dir.join(key_file), text.expose().as_bytes())?;
    write_new(&dir.join(file), pem("CERTIFICATE", certificate.der()).as_bytes())
}

fn load_authority(
    dir: &Path,
    key_file: &str,
    file: &str,
    subject: &'static str,
) -> Result<Authority, KeyError> {
    let key_path = dir.join(key_file);
    let text = Secret::new(read_private(&key_path)?);
    let bad_key = || KeyError::Content { path: key_path.clone(), what: "private key in PEM" };
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(text.expose()).map_err(|_| bad_key())?;
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_| bad_key())?;
    let path = dir.join(file);
    let bytes = read(&path)?;
    let certificate = CertificateDer::from_pem_slice(&bytes)
        .map_err(|_| KeyError::Content { path, what: "certificate in PEM" })?;
    Ok(Authority { key, subject, certificate })
}

pub(super) fn load_bytes(path: &Path) -> Result<Secret<[u8; 64]>, KeyError> {
    let bytes = Secret::new(read_private(path)?);
    let array = <[u8; 64]>::try_from(bytes.expose().as_slice());
    array
        .map(Secret::new)
        .map_err(|_| KeyError::Content { path: path.to_owned(), what: "key of 64 bytes" })
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), what: "read", source };
    fs::read(path).map_err(file)
}

pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), what: "read", source };
    let mode = fs::metadata(path).map_err(file)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Loose { path: path.to_owned(), mode });
    }
    read(path)
}

/// Writes a file that must not be there yet, readable by its owner only, down to the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| KeyError::File { path: path.to_owned(), what: "made", source })
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (index, letter) in body.chars().enumerate() {
        // RFC 7468 section 2: lines of 64 letters.
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + &format!("\n-----END {label}-----\n")
}
