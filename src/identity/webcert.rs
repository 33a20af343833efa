//! The certificate that visitors of this device's own name see, as long as nobody signed a better one.

use super::IdentityError;
use super::key::certificates;
use super::tls;
use crate::clock::{Clock, Wall};
use crate::secret::Secret;
use crate::state::StateDir;
use core::time::Duration;
use data_encoding::HEXLOWER;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The file of the key in the state directory: PKCS#8, DER.
pub const KEY_FILE: &str = "web.key";
/// The document of the certificate in the state directory.
pub const STATE_NAME: &str = "web";
const DAY: Duration = Duration::from_secs(86_400);
/// The longest life that browsers take (CA/Browser Forum ballot SC-31: 398 days), less one for the seconds.
const LIFE: Duration = Duration::from_secs(397 * DAY.as_secs());
/// It is remade when less than this is left.
const RENEW: Duration = Duration::from_secs(30 * DAY.as_secs());
/// A visitor's clock may be behind ours by this.
const BEHIND: Duration = DAY;

/// A self-signed certificate for a host and the names below it.
pub struct WebCertificate {
    kept: Kept,
    certified: Arc<CertifiedKey>,
}

/// What the state directory holds of it.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    host: String,
    not_before: Wall,
    not_after: Wall,
    pem: String,
}

impl Kept {
    fn serves(&self, host: &str, now: Wall) -> bool {
        self.host == host && self.not_before <= now && now.0 + RENEW < self.not_after.0
    }
}

impl WebCertificate {
    /// The certificate in the state directory. It is made when there is none, and remade with the same key
    /// for another host, within 30 days of its end, and when the clock is found to have been wrong.
    ///
    /// # Errors
    /// [`IdentityError::State`], and [`IdentityError::Mint`] for a host that is no DNS name.
    pub fn load_or_make(state: &StateDir, host: &str, now: Wall) -> Result<Self, IdentityError> {
        let key = load_or_make_key(state)?;
        let found = state.load(STATE_NAME)?.and_then(|loaded| {
            serde_json::from_value::<Kept>(loaded.body).ok().filter(|kept| kept.serves(host, now))
        });
        if let Some(made) = found.and_then(|kept| Self::with(kept, &key).ok()) {
            return Ok(made);
        }
        let made = Self::with(mint(&key, host, now)?, &key)?;
        state.save(STATE_NAME, &serde_json::json!(made.kept))?;
        Ok(made)
    }

    fn with(kept: Kept, key: &Secret<Vec<u8>>) -> Result<Self, IdentityError> {
        let pkcs8 = PrivatePkcs8KeyDer::from(key.expose().as_slice());
        let signer = any_ecdsa_type(&PrivateKeyDer::from(pkcs8))
            .map_err(|_| IdentityError::BadKey(KEY_FILE))?;
        let certified = CertifiedKey::new(certificates(&kept.pem)?, signer);
        certified.keys_match().map_err(|_| IdentityError::ForeignCertificate)?;
        Ok(Self { kept, certified: Arc::new(certified) })
    }

    /// The TLS of a server with this certificate.
    ///
    /// # Errors
    /// As [`tls::server_config`].
    pub fn server_config(
        &self,
        clock: &Clock,
        alpn: &[&[u8]],
    ) -> Result<ServerConfig, IdentityError> {
        Ok(tls::server_config(Arc::clone(&self.certified), clock, alpn)?)
    }

    /// SHA-256 of the certificate as `sha256:HEX`, which is what browsers show of it.
    pub fn fingerprint(&self) -> String {
        // A certified key holds at least one certificate: `certificates` sees to it.
        let certificate = self.certified.cert.first().map(AsRef::as_ref).unwrap_or_default();
        format!("sha256:{}", HEXLOWER.encode(digest(&SHA256, certificate).as_ref()))
    }

    /// The certificate, for a visitor to import.
    pub fn pem(&self) -> &str {
        &self.kept.pem
    }

    /// The host it is for.
    pub fn host(&self) -> &str {
        &self.kept.host
    }

    /// When [`WebCertificate::load_or_make`] will remake it.
    pub fn renew_at(&self) -> Wall {
        Wall(self.kept.not_after.0.saturating_sub(RENEW))
    }
}

fn load_or_make_key(state: &StateDir) -> Result<Secret<Vec<u8>>, IdentityError> {
    if let Some(key) = state.read_private(KEY_FILE)? {
        return Ok(Secret::new(key));
    }
    let pair =
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| IdentityError::Randomness)?;
    let key = Secret::new(pair.serialize_der());
    state.write_once(KEY_FILE, key.expose())?;
    Ok(key)
}

fn mint(key: &Secret<Vec<u8>>, host: &str, now: Wall) -> Result<Kept, IdentityError> {
    let mint = |source| IdentityError::Mint { host: host.into(), source };
    let pkcs8 = PrivatePkcs8KeyDer::from(key.expose().as_slice());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_| IdentityError::BadKey(KEY_FILE))?;
    let not_before = Wall(now.0.saturating_sub(BEHIND));
    let not_after = Wall(not_before.0 + LIFE);
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params =
        CertificateParams::new(vec![host.to_owned(), format!("*.{host}")]).map_err(mint)?;
    params.not_before = epoch + Duration::from_secs(not_before.unix_seconds());
    params.not_after = epoch + Duration::from_secs(not_after.unix_seconds());
    params.serial_number = Some(serial()?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A common name holds 64 characters (RFC 5280, ub-common-name) and a host 253; nobody reads it.
    params.distinguished_name.push(DnType::CommonName, "qcloud device");
    let pem = params.self_signed(&pair).map_err(mint)?.pem();
    Ok(Kept { host: host.into(), not_before, not_after, pem })
}

/// A random serial number. rcgen's own is made of the key, and the key stays: Firefox refuses two
/// certificates of one issuer with one serial number.
fn serial() -> Result<SerialNumber, IdentityError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| IdentityError::Randomness)?;
    // Positive and without a leading zero byte (RFC 5280 section 4.1.2.2).
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
mod tests {
    use super::super::pin::{HubPin, PinnedVerifier};
    use super::super::testing::NOON;
    use super::*;
    use crate::platform::root::tests::scratch;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};
    use std::os::unix::fs::PermissionsExt;

    const HOST: &str = "box.link.example.net";

    fn at(days: u64) -> Wall {
        Wall::from_unix_seconds(NOON + days * DAY.as_secs())
    }

    fn made(state: &StateDir, host: &str, days: u64) -> WebCertificate {
        WebCertificate::load_or_make(state, host, at(days)).unwrap()
    }

    #[test]
    fn it_is_kept_until_the_host_changes_or_the_end_is_near() {
        let path = scratch("webcert").join("state");
        let state = StateDir::open(&path).unwrap();
        let first = made(&state, HOST, 10).fingerprint();
        assert_eq!(made(&state, HOST, 10).fingerprint(), first);
        assert_eq!(made(&state, HOST, 375).fingerprint(), first);
        let mode = std::fs::metadata(path.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let renewed = made(&state, HOST, 376).fingerprint();
        assert_ne!(renewed, first);
        assert_ne!(made(&state, HOST, 0).fingerprint(), renewed, "the clock had run ahead");
        assert_ne!(made(&state, "other.example.net", 0).fingerprint(), first);
        let bad = WebCertificate::load_or_make(&state, "no host\u{e9}", at(0)).err().unwrap();
        assert!(matches!(bad, IdentityError::Mint { .. }));
    }

    #[test]
    fn it_serves_the_host_and_the_names_below_it() {
        let made = made(&StateDir::memory(), HOST, 0);
        let certificate = &made.certified.cert[0];
        assert!(made.pem().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(made.fingerprint().starts_with("sha256:") && made.fingerprint().len() == 71);
        let verifier = PinnedVerifier::new(HubPin::of_certificate(certificate).unwrap());
        let verify = |host: String, days: u64| {
            let name = ServerName::try_from(host).unwrap();
            let at = UnixTime::since_unix_epoch(at(days).0);
            verifier.verify_server_cert(certificate, &[], &name, &[], at).is_ok()
        };
        assert!(verify(HOST.into(), 0) && verify(format!("files.{HOST}"), 395));
        assert!(!verify("example.net".into(), 0) && !verify(HOST.into(), 397));
        assert!(made.server_config(&super::super::testing::clock_at(NOON), &[b"http/1.1"]).is_ok());
    }
}
