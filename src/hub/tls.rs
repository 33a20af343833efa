//! TLS of the hub: its own face, and whom it asks for a certificate.

use super::keys::{KeyError, Keys, LEAF_LIFE, URN};
use super::store::Hash;
use crate::clock::{Clock, Wall};
use crate::wire::{API_ALPN, SESSION_ALPN};
use core::net::IpAddr;
use core::time::Duration;
use ring::digest::{SHA256, digest};
use rustls::Error::InvalidCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// How often a certificate in a file is read again: what renews it does so weeks before it expires.
const REREAD: Duration = Duration::from_secs(12 * 3600);

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server's certificate.
    #[error("the server's certificate could not be made")]
    Leaf(#[from] KeyError),
    /// A file that holds no certificate or key.
    #[error("{} cannot be read, or does not hold what it should", .path.display())]
    File {
        /// Which.
        path: PathBuf,
    },
    /// rustls refused.
    #[error("TLS could not be set up")]
    Rustls(#[from] rustls::Error),
    /// The devices' authority.
    #[error("the authority of the devices is not usable")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From the hub's own authority, for a name and addresses.
    Own {
        /// The name.
        host: String,
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// From files that something else renews.
    Files {
        /// The chain, PEM.
        chain: PathBuf,
        /// The key, PEM.
        key: PathBuf,
    },
}

/// A certificate that is made or read anew before it expires without ending a connection.
#[derive(Debug)]
pub struct LiveLeaf {
    source: Source,
    now: RwLock<Arc<CertifiedKey>>,
}

impl LiveLeaf {
    /// Gets the first one.
    ///
    /// # Errors
    /// [`TlsError`] when it cannot be made or read.
    pub fn new(keys: &Keys, source: Source, now: Wall) -> Result<Arc<Self>, TlsError> {
        let first = certified(keys, &source, now)?;
        Ok(Arc::new(Self { source, now: RwLock::new(first) }))
    }

    /// How long to use one before the next is made or read.
    pub const fn good_for(&self) -> Duration {
        match self.source {
            Source::Own { .. } => Duration::from_secs(LEAF_LIFE.as_secs() / 3 * 2),
            Source::Files { .. } => REREAD,
        }
    }

    /// When the one that is shown is over.
    pub fn over(&self) -> Option<Wall> {
        let now = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
        crate::identity::validity::ends_der(now.cert.first()?)
    }

    /// Gets another one; connections from now on show it.
    ///
    /// # Errors
    /// [`TlsError`] when it cannot be made or read; the old one stays.
    pub fn renew(&self, keys: &Keys, now: Wall) -> Result<(), TlsError> {
        let next = certified(keys, &self.source, now)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

fn certified(keys: &Keys, source: &Source, now: Wall) -> Result<Arc<CertifiedKey>, TlsError> {
    let (chain, key) = match source {
        Source::Own { host, addresses } => {
            let leaf = keys.server_leaf(host, addresses, now)?;
            (leaf.chain, leaf.key)
        }
        Source::Files { chain, key } => {
            let bad = |path: &PathBuf| TlsError::File { path: path.clone() };
            let pem = std::fs::read(chain).map_err(|_| bad(chain))?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let certificates = certificates.map_err(|_| bad(chain))?;
            (certificates, PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key))?)
        }
    };
    let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match()?;
    Ok(Arc::new(certified))
}

impl ResolvesServerCert for LiveLeaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// rustls' view of the hub's clock.
struct TlsTime(Clock);

impl core::fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().wall.0))
    }
}

/// The face of the pages: nobody is asked for a certificate, so that no browser asks a person for one.
///
/// # Errors
/// [`TlsError`] when rustls refuses a key or a version.
pub fn pages(leaf: &Arc<LiveLeaf>, clock: &Clock) -> Result<Arc<ServerConfig>, TlsError> {
    let both = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let mut face = face(both, WebPkiClientVerifier::no_client_auth(), leaf, clock)?;
    face.alpn_protocols = vec![API_ALPN.to_vec()];
    Ok(Arc::new(face))
}

/// Both faces of the hub towards devices.
pub struct Faces {
    /// HTTPS: a client certificate is asked for, and may be missing.
    pub api: Arc<ServerConfig>,
    /// Sessions: TLS 1.3, a client certificate is required.
    pub session: Arc<ServerConfig>,
    /// Says whether a certificate that was shown still holds.
    pub judge: Arc<Judge>,
}

impl Faces {
    /// Sets both up over one certificate.
    ///
    /// # Errors
    /// [`TlsError`] when rustls refuses a key or a version.
    pub fn new(keys: &Keys, leaf: &Arc<LiveLeaf>, clock: &Clock) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(keys.client.certificate.clone())?;
        let roots = Arc::new(roots);
        let verifier = || {
            WebPkiClientVerifier::builder_with_provider(
                Arc::clone(&roots),
                Arc::new(default_provider()),
            )
        };
        let optional = Lenient::over(verifier().allow_unauthenticated().build()?);
        let strict = verifier().build()?;
        let required = Lenient::over(Arc::clone(&strict));
        let judge = Arc::new(Judge { strict, clock: clock.clone() });
        let both = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let newest = &[&rustls::version::TLS13];
        let mut api = face(both, optional, leaf, clock)?;
        api.alpn_protocols = vec![API_ALPN.to_vec()];
        let mut session = face(newest, required, leaf, clock)?;
        session.alpn_protocols = vec![SESSION_ALPN.to_vec()];
        Ok(Self { api: Arc::new(api), session: Arc::new(session), judge })
    }
}

/// Takes a device's certificate that is over like one that holds, and nothing else: the holder proves the key in the
/// handshake, and the row of the key is the authority. What a certificate that is over still opens, [`Judge`] tells.
#[derive(Debug)]
struct Lenient(Arc<dyn ClientCertVerifier>);

impl Lenient {
    fn over(strict: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Self(strict))
    }
}

impl ClientCertVerifier for Lenient {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.0.verify_client_cert(own, others, now) {
            Err(InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                // As of its last second, so that everything but its end is verified.
                self.0.verify_client_cert(own, others, not_after)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Says whether a certificate that a handshake took still holds.
pub struct Judge {
    strict: Arc<dyn ClientCertVerifier>,
    clock: Clock,
}

impl Judge {
    /// Whether the certificate a peer showed is over, or otherwise not good now. Nobody who shows none is judged.
    pub fn is_over(&self, chain: &[CertificateDer<'_>]) -> bool {
        let now = UnixTime::since_unix_epoch(self.clock.now().wall.0);
        let Some((own, others)) = chain.split_first() else { return false };
        let is_over = self.strict.verify_client_cert(own, others, now).is_err();
        is_over && !crate::sabotage::off("hub-certificate-end")
    }
}

fn face(
    versions: &[&'static rustls::SupportedProtocolVersion],
    verifier: Arc<dyn ClientCertVerifier>,
    leaf: &Arc<LiveLeaf>,
    clock: &Clock,
) -> Result<ServerConfig, TlsError> {
    let time = Arc::new(TlsTime(clock.clone()));
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<LiveLeaf>::clone(leaf);
    let mut config = ServerConfig::builder_with_details(Arc::new(default_provider()), time)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    // Resumption would carry a certificate past its revocation, and tie anonymous connections together.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(config)
}

/// SHA-256 of the key of the certificate a peer showed.
pub fn key_hash(chain: &[CertificateDer<'_>]) -> Option<Hash> {
    let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
    hash(&leaf.subject_public_key_info())
}

/// The device id in the certificate a peer showed, as the hub wrote it there.
pub fn device_in(chain: &[CertificateDer<'_>]) -> Option<String> {
    let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
    leaf.valid_uri_names().find_map(|urn| urn.strip_prefix(URN)).map(String::from)
}

/// SHA-256 as the store keys its rows by.
pub fn hash(bytes: &[u8]) -> Option<Hash> {
    digest(&SHA256, bytes).as_ref().try_into().ok()
}
