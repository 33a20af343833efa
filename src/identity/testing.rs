//! Certificates for tests: an authority, and what it signs.

use crate::clock::{Boot, Clock, Now, Wall};
use core::time::Duration;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
