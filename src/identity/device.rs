//! [`Identity`]: the key of this device and everything that is made with it.

use super::IdentityError;
use super::board::{self, Facts};
use super::key::DeviceKey;
use super::keyring::Keyring;
use super::mark::{self, Mark, Sealer};
use super::pin::HubPin;
use super::ticket::TicketBook;
use super::tls::{self, Versions};
use super::webcert::{self, WebCertificate};
use crate::clock::{Clock, Wall};
use crate::platform::root::Root;
use crate::state::{StateDir, StateError};
use crate::wire::link::Hello;
use crate::wire::registration::Membership;
use crate::wire::{API_ALPN, SESSION_ALPN};
use ring::hmac;
use rustls::{ClientConfig, ServerConfig};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The key of this device, and where its certificates are kept.
pub struct Identity {
    keys: Mutex<Keyring>,
    tickets: Arc<TicketBook>,
    state: Arc<StateDir>,
    clock: Clock,
    root: Root,
    serial: OnceLock<String>,
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
        let keys = Keyring::open(&state)?;
        let tickets = Arc::new(TicketBook::open(Arc::clone(&state), &keys.mark()));
        let serial = OnceLock::new();
        Ok(Self { keys: Mutex::new(keys), tickets, state, clock, root, serial })
    }

    /// The key.
    pub fn key(&self) -> Arc<DeviceKey> {
        self.keys().current()
    }

    /// The key a certificate was made for, be it the one that is to come; the key there is when it is nobody's.
    pub fn key_of(&self, certificate: &str) -> Arc<DeviceKey> {
        self.keys().key_of(certificate)
    }

    /// Whether a certificate was made for the key that is to come: it must be saved before that key is used.
    pub fn is_of_next(&self, certificate: &str) -> bool {
        self.keys().is_of_next(certificate)
    }

    /// The key that is to come, made when there is none. Nothing else changes by that.
    ///
    /// # Errors
    /// As [`Identity::open`].
    pub fn next_key(&self) -> Result<Arc<DeviceKey>, IdentityError> {
        self.keys().next(&self.state)
    }

    /// Gives up the key that was to come.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub fn drop_next(&self) -> Result<(), IdentityError> {
        self.keys().drop_next(&self.state)
    }

    /// Takes the key that the saved certificate was made for as the key, and removes what it replaces. To be called
    /// at the start and whenever another certificate has been saved; without one the device has no hub.
    ///
    /// # Errors
    /// [`IdentityError::State`]: the key is the right one all the same, and the next call removes the other.
    pub fn settle(&self, certificate: Option<&str>) -> Result<(), IdentityError> {
        self.keys().settle(&self.state, certificate)
    }

    fn keys(&self) -> MutexGuard<'_, Keyring> {
        // Each change of the ring is one assignment: a panic elsewhere leaves nothing half done.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the key is in the state directory.
    pub fn is_kept(&self) -> bool {
        self.keys().is_kept()
    }

    /// Puts the key into the state directory, with the board it was made on.
    ///
    /// # Errors
    /// [`StateError`]; a key that exists is never replaced.
    pub fn keep(&self) -> Result<(), StateError> {
        let mut keys = self.keys();
        if keys.keep(&self.state)? {
            board::check(&self.state, &keys.mark(), &Facts::read(&self.root));
        }
        Ok(())
    }

    /// What is different of the board this key was made on, when it is enough to be another box's.
    pub fn differing(&self) -> Vec<&'static str> {
        if !self.is_kept() {
            return Vec::new();
        }
        board::check(&self.state, &self.keys().mark(), &Facts::read(&self.root))
    }

    /// Takes the board as it is now for the one of this key, because its owner says so.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::Randomness`].
    pub fn keep_board(&self) -> Result<(), IdentityError> {
        board::keep(&self.state, &self.keys().mark(), &Facts::read(&self.root))
    }

    /// Becomes another device: a new key in the place of the old one, which is destroyed, and nothing of what came with
    /// it. Gives the new id.
    ///
    /// # Errors
    /// [`IdentityError::State`] and [`IdentityError::Randomness`]; the key is the old one then.
    pub fn begin_anew(&self) -> Result<String, IdentityError> {
        let mut keys = self.keys();
        keys.begin_anew(&self.state)?;
        let (id, mark) = (keys.current().id().to_owned(), keys.mark());
        drop(keys);
        // What is left of these is of no use to the new key, and is replaced with it.
        for (name, removed) in [
            ("ticket", self.tickets.begin_anew(&mark).err().map(|e| e.to_string())),
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

    /// Notes the serial number that root's helper read, which this process cannot.
    pub fn tell_serial(&self, serial: &str) {
        // The box has one; whoever tells it again tells the same.
        let _ = self.serial.set(serial.into());
    }

    /// The serial number that was told.
    pub fn told_serial(&self) -> Option<String> {
        self.serial.get().cloned()
    }

    /// What the wall clock shows, believed or not.
    pub fn shown_time(&self) -> Wall {
        self.clock.shown()
    }

    /// Keeps a time that has passed, beside what the household has of it, and gives it sealed.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_mark(&self, mark: Mark) -> Result<String, StateError> {
        let sealed = self.sealer().seal(mark);
        mark::keep(&self.state, &sealed)?;
        Ok(sealed)
    }

    /// The latest mark of those whose seal holds: the one kept here and another. The second says whether one of the two
    /// is missing or false.
    pub fn marks(&self, other: Option<&str>) -> (Option<Mark>, bool) {
        let (sealer, kept) = (self.sealer(), mark::kept(&self.state));
        let open = |text: Option<&str>| text.and_then(|text| sealer.open(text));
        let both = [open(kept.as_deref()), open(other)];
        let is_whole = kept.is_none() && other.is_none() || both.iter().all(Option::is_some);
        (both.into_iter().flatten().max(), !is_whole)
    }

    fn sealer(&self) -> Sealer {
        Sealer::new(&self.key().sign(Sealer::MESSAGE))
    }

    /// Where the tickets of sessions are kept.
    pub fn tickets(&self) -> Arc<TicketBook> {
        Arc::clone(&self.tickets)
    }

    /// Drops what belongs to a place at a hub: this device leaves it, or looks for another.
    pub fn leave_hub(&self) {
        if let Err(error) = self.tickets.begin_anew(&self.keys().mark()) {
            tracing::warn!(%error, "the ticket of the hub that was left could not be removed");
        }
    }

    /// The key of the ledger's body HMACs. It stays the same when the device's key changes.
    pub fn ledger_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.keys().ledger_seed().expose())
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
