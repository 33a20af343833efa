//! Certificates for tests: an authority, and what it signs.

use crate::clock::{Boot, Clock, Now, Wall};
use core::time::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::sync::Arc;

/// 2027-06-01: the middle of the life of every certificate made here.
pub(super) const NOON: u64 = 1_811_808_000;

pub(super) struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(super) struct Leaf {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

pub(super) fn clock_at(seconds: u64) -> Clock {
    let wall = Wall::from_unix_seconds(seconds);
    Clock::from_fn(move || Now { boot: Boot(Duration::ZERO), wall, dice: 0 })
}

pub(super) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2027, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(super) fn authority(name: &str) -> Authority {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer = CertifiedIssuer::self_signed(authority_params(name), key).unwrap();
    Authority { issuer }
}

pub(super) fn intermediate(root: &Authority, name: &str) -> Authority {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer = CertifiedIssuer::signed_by(authority_params(name), key, &root.issuer).unwrap();
    Authority { issuer }
}

pub(super) fn leaf(issuer: &Issuer<'_, KeyPair>, names: &[&str]) -> Leaf {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params(names).signed_by(&key, issuer).unwrap();
    Leaf { certificate: certificate.der().clone(), key: key.into() }
}

pub(super) fn self_signed(names: &[&str]) -> Leaf {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params(names).self_signed(&key).unwrap();
    Leaf { certificate: certificate.der().clone(), key: key.into() }
}

/// A server that shows this chain.
pub(super) fn hub_with(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ServerConfig {
    let certified = CertifiedKey::from_der(chain, key, &super::tls::provider()).unwrap();
    super::tls::server_config(Arc::new(certified), &clock_at(NOON), &[b"http/1.1"]).unwrap()
}

/// Shakes hands in memory; the error is the client's.
pub(super) fn shake_hands(
    client: ClientConfig,
    server: ServerConfig,
    host: &'static str,
) -> Result<(), rustls::Error> {
    let name = ServerName::try_from(host).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}
