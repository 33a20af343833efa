//! The TLS of this house: rustls with ring, our clock, and the pin where there is one.

use super::pin::{HubPin, PinnedVerifier};
use super::trust::Worded;
use crate::clock::Clock;
use core::fmt;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring as ring_provider};
use rustls::pki_types::UnixTime;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Versions {
    /// 1.2 and 1.3.
    #[default]
    Tls12Up,
    /// 1.3 alone, as QUIC has it (RFC 9001 section 4.2).
    Tls13,
}

impl Versions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::Tls12Up => &BOTH,
            Self::Tls13 => &BOTH[..1],
        }
    }
}

/// How this device meets a server.
///
/// With a pin, only a chain with that key is believed; without one, the public roots are. Without an
/// identity nothing is shown and no session is resumed, so that two connections cannot be told to come from one device.
///
/// # Errors
/// rustls's own, which with these settings has none to tell.
pub fn client_config(
    pin: Option<&HubPin>,
    identity: Option<Arc<CertifiedKey>>,
    clock: &Clock,
    versions: Versions,
    alpn: &[&[u8]],
) -> Result<ClientConfig, rustls::Error> {
    let verifier: Arc<dyn ServerCertVerifier> = match pin {
        Some(pin) => PinnedVerifier::new(*pin),
        None => rooted(public_roots())?,
    };
    with_verifier(verifier, identity, clock, versions, alpn)
}

/// Believes what these authorities vouch for.
pub(super) fn rooted(roots: RootCertStore) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(verifier.map_err(|error| rustls::Error::General(error.to_string()))?)
}

pub(super) fn with_verifier(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<CertifiedKey>>,
    clock: &Clock,
    versions: Versions,
    alpn: &[&[u8]],
) -> Result<ClientConfig, rustls::Error> {
    // "Dangerous" is what rustls calls any verifier but its own; inside of this one rustls's own decides.
    let builder = ClientConfig::builder_with_details(provider(), time(clock))
        .with_protocol_versions(versions.list())?
        .dangerous()
        .with_custom_certificate_verifier(Worded::new(verifier));
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => {
            let mut config = builder.with_no_client_auth();
            if !crate::sabotage::off("tls-resumption") {
                config.resumption = Resumption::disabled();
            }
            config
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// How this device meets a visitor: its certificate, and no question for the visitor's.
///
/// # Errors
/// rustls's own, which with these settings has none to tell.
pub fn server_config(
    certificate: Arc<CertifiedKey>,
    clock: &Clock,
    alpn: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider(), time(clock))
        .with_protocol_versions(Versions::Tls12Up.list())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The cryptography of all TLS here.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring_provider::default_provider())
}

/// Trusted wall time for rustls.
pub fn time(clock: &Clock) -> Arc<dyn TimeProvider> {
    Arc::new(TrustedTime(clock.clone()))
}

fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

struct TrustedTime(Clock);

impl fmt::Debug for TrustedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedTime")
    }
}

impl TimeProvider for TrustedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().wall.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        Authority, NOON, authority, clock_at, hub_with, leaf, shake_hands,
    };
    use super::*;

    const HOST: &str = "hub.example.net";

    fn handshake(client: ClientConfig, server: ServerConfig) -> Result<(), rustls::Error> {
        shake_hands(client, server, HOST)
    }

    fn hub(ca: &Authority) -> ServerConfig {
        let leaf = leaf(&ca.issuer, &[HOST]);
        hub_with(vec![leaf.certificate, ca.issuer.der().clone()], leaf.key)
    }

    #[test]
    fn a_pinned_hub_is_met_and_another_one_is_not() {
        let (ca, other) = (authority("hub"), authority("hub"));
        let pin = HubPin::of_certificate(ca.issuer.der()).unwrap();
        let clock = clock_at(NOON);
        for versions in [Versions::Tls12Up, Versions::Tls13] {
            let client = || client_config(Some(&pin), None, &clock, versions, &[b"http/1.1"]);
            handshake(client().unwrap(), hub(&ca)).unwrap();
            assert!(handshake(client().unwrap(), hub(&other)).is_err());
        }
        let unpinned = client_config(None, None, &clock, Versions::Tls12Up, &[]).unwrap();
        assert!(handshake(unpinned, hub(&ca)).is_err(), "no public root made it");
    }

    #[test]
    fn dates_are_judged_by_our_clock() {
        let ca = authority("hub");
        let pin = HubPin::of_certificate(ca.issuer.der()).unwrap();
        let late = clock_at(NOON + 400 * 86_400);
        let client = client_config(Some(&pin), None, &late, Versions::Tls13, &[]).unwrap();
        assert!(handshake(client, hub(&ca)).is_err());
    }
}
