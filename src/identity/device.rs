//! [`Identity`]: the key of this device and everything that is made with it.

use super::IdentityError;
use super::key::DeviceKey;
use super::pin::HubPin;
use super::tls::{self, Versions};
use super::webcert::WebCertificate;
use crate::clock::Clock;
use crate::state::StateDir;
use crate::wire::registration::Membership;
use crate::wire::{API_ALPN, SESSION_ALPN};
use ring::hmac;
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;

/// The key of this device, and where its certificates are kept.
pub struct Identity {
    key: DeviceKey,
    state: Arc<StateDir>,
    clock: Clock,
}

/// How this device meets its hub, by occasion.
#[derive(Clone)]
pub struct HubTls {
    /// Without a certificate, and without resumption.
    pub anonymous: Arc<ClientConfig>,
    /// As the device; present once it is registered.
    pub device: Option<Arc<ClientConfig>>,
    /// As the device, for the session over QUIC.
    pub session: Option<Arc<ClientConfig>>,
}

/// What visitors of this device meet.
pub struct Web {
    certificate: WebCertificate,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Reads the key, or makes it when there is none yet.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::BadKey`]; a key that exists is never replaced.
    pub fn open(state: Arc<StateDir>, clock: Clock) -> Result<Self, IdentityError> {
        Ok(Self { key: DeviceKey::load_or_make(&state)?, state, clock })
    }

    /// The key.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// The key of the ledger's body HMACs. Ed25519 signatures are deterministic, so one over a fixed text
    /// is a secret that only this device can make again.
    pub fn ledger_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key.sign(b"qcloud-ledger-bodies/1"))
    }

    /// How to meet a hub.
    ///
    /// # Errors
    /// A certificate in the membership that is not understood or belongs to another key.
    pub fn hub_tls(
        &self,
        pin: Option<&HubPin>,
        membership: Option<&Membership>,
    ) -> Result<HubTls, IdentityError> {
        let config = |certified, versions, alpn| {
            tls::client_config(pin, certified, &self.clock, versions, &[alpn]).map(Arc::new)
        };
        let anonymous = config(None, Versions::Tls12Up, API_ALPN)?;
        let Some(membership) = membership else {
            return Ok(HubTls { anonymous, device: None, session: None });
        };
        let certified = self.key.tls_key(&membership.certificate)?;
        let device = config(Some(Arc::clone(&certified)), Versions::Tls12Up, API_ALPN)?;
        let session = config(Some(certified), Versions::Tls13, SESSION_ALPN)?;
        Ok(HubTls { anonymous, device: Some(device), session: Some(session) })
    }

    /// The certificate visitors of a host of this device meet, made here when there is none.
    ///
    /// # Errors
    /// As [`WebCertificate::load_or_make`].
    pub fn web(&self, host: &str) -> Result<Web, IdentityError> {
        let certificate = WebCertificate::load_or_make(&self.state, host, self.clock.now().wall)?;
        let server = Arc::new(certificate.server_config(&self.clock, &[API_ALPN])?);
        Ok(Web { certificate, server })
    }
}

impl Web {
    /// `sha256:HEX` of the certificate.
    pub fn fingerprint(&self) -> String {
        self.certificate.fingerprint()
    }

    /// The certificate, PEM.
    pub fn pem(&self) -> &str {
        self.certificate.pem()
    }

    /// For accepting visitors.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}
