//! [`Identity`]: the key of this device and everything that is made with it.

use super::IdentityError;
use super::board::{self, Facts};
use super::key::DeviceKey;
use super::pin::HubPin;
use super::ticket::TicketBook;
use super::tls::{self, Versions};
use super::webcert::{self, WebCertificate};
use crate::clock::Clock;
use crate::platform::root::Root;
use crate::state::{StateDir, StateError};
use crate::wire::link::Hello;
use crate::wire::registration::Membership;
use crate::wire::{API_ALPN, SESSION_ALPN};
use ring::hmac;
use rustls::{ClientConfig, ServerConfig};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The key of this device, and where its certificates are kept.
pub struct Identity {
    key: RwLock<Arc<DeviceKey>>,
    /// The key is in the state directory.
    kept: AtomicBool,
    tickets: Arc<TicketBook>,
    state: Arc<StateDir>,
    clock: Clock,
    root: Root,
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
    /// Reads the key. Where there is none, one is made in memory: it is kept with [`Identity::keep`], so that looking at
    /// a device does not give it an identity.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::BadKey`].
    pub fn open(state: Arc<StateDir>, clock: Clock, root: Root) -> Result<Self, IdentityError> {
        let found = DeviceKey::load(&state)?;
        let kept = AtomicBool::new(found.is_some());
        let key = found.map_or_else(DeviceKey::in_memory, Ok)?;
        let tickets = Arc::new(TicketBook::open(Arc::clone(&state), key.id()));
        Ok(Self { key: RwLock::new(Arc::new(key)), kept, tickets, state, clock, root })
    }

    /// The key.
    pub fn key(&self) -> Arc<DeviceKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the key is in the state directory.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// Puts the key into the state directory, with the board it was made on.
    ///
    /// # Errors
    /// [`StateError`]; a key that exists is never replaced.
    pub fn keep(&self) -> Result<(), StateError> {
        if self.is_kept() {
            return Ok(());
        }
        let key = self.key();
        key.keep(&self.state)?;
        self.kept.store(true, Ordering::Release);
        board::check(&self.state, key.id(), &Facts::read(&self.root));
        Ok(())
    }

    /// What is different of the board this key was made on, when it is enough to be another box's.
    pub fn differing(&self) -> Vec<&'static str> {
        if !self.is_kept() {
            return Vec::new();
        }
        board::check(&self.state, self.key().id(), &Facts::read(&self.root))
    }

    /// Takes the board as it is now for the one of this key, because its owner says so.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::Randomness`].
    pub fn keep_board(&self) -> Result<(), IdentityError> {
        board::keep(&self.state, self.key().id(), &Facts::read(&self.root))
    }

    /// Becomes another device: a new key in the place of the old one, which is destroyed, and nothing of what came with
    /// it. Gives the new id.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::Randomness`]; the key is the old one then.
    pub fn begin_anew(&self) -> Result<String, IdentityError> {
        let key = DeviceKey::in_memory()?;
        key.replace(&self.state)?;
        let id = key.id().to_owned();
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        self.kept.store(true, Ordering::Release);
        // What is left of these is of no use to the new key, and is replaced with it.
        for (name, removed) in [
            ("ticket", self.tickets.begin_anew(&id).err().map(|e| e.to_string())),
            ("web.key", self.state.remove(webcert::KEY_FILE).err().map(|e| e.to_string())),
            ("web", self.state.remove(webcert::STATE_NAME).err().map(|e| e.to_string())),
            ("board", self.keep_board().err().map(|e| e.to_string())),
        ] {
            if let Some(why) = removed {
                tracing::warn!(name, why, "something of the old identity could not be removed");
            }
        }
        Ok(id)
    }

    /// The first words of a session: with the ticket this device holds.
    pub fn hello(&self) -> Hello {
        Hello::new(self.tickets.held())
    }

    /// Where the tickets of sessions are kept.
    pub fn tickets(&self) -> Arc<TicketBook> {
        Arc::clone(&self.tickets)
    }

    /// Drops what belongs to a place at a hub: this device leaves it, or looks for another.
    pub fn leave_hub(&self) {
        if let Err(error) = self.tickets.begin_anew(self.key().id()) {
            tracing::warn!(%error, "the ticket of the hub that was left could not be removed");
        }
    }

    /// The key of the ledger's body HMACs. Ed25519 signatures are deterministic, so one over a fixed text
    /// is a secret that only this device can make again.
    pub fn ledger_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key().sign(b"qcloud-ledger-bodies/1"))
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
        let certified = self.key().tls_key(&membership.certificate)?;
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
