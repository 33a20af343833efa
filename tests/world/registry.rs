//! The part of the hub that knows keys: who has which, and what a certificate opens. It keeps to the same rules as the
//! real one (`hub/store/keys.rs`, `hub/api`).

use super::hub::{membership, ok};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::egress::outside::Reply;
use qcloud_agent::identity::id::device_id;
use qcloud_agent::wire::registration::{
    CERTIFICATE_EXPIRED, CERTIFICATE_LIFE, Membership, Polled, rekey_message,
};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A caller: the key of the certificate it shows, and when that is over.
type Caller = (Vec<u8>, Wall);

pub struct Registry {
    clock: Clock,
    issuer: CertifiedIssuer<'static, KeyPair>,
    given: BTreeMap<String, Caller>,
    shown: Option<Caller>,
    applicant: Option<Vec<u8>>,
    /// The device's id: that of its first key.
    pub device: String,
    /// The key, and the one that is to take its place.
    pub own: Option<Vec<u8>>,
    pub next: Option<Vec<u8>>,
    /// Who was turned away because his key has no row.
    pub strangers: u64,
    /// What its clock is ahead of the device's.
    pub ahead: Duration,
    /// Its clock has been right since, when the device's is not.
    pub true_time: Option<Wall>,
}

struct Public<'a>(&'a [u8]);

impl rcgen::PublicKeyData for Public<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.0[12..]
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl Registry {
    pub fn new(clock: Clock) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self {
            clock,
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            given: BTreeMap::new(),
            shown: None,
            applicant: None,
            device: String::new(),
            own: None,
            next: None,
            strangers: 0,
            ahead: Duration::ZERO,
            true_time: None,
        }
    }

    fn now(&self) -> Wall {
        let now = self.true_time.unwrap_or_else(|| self.clock.now().wall);
        Wall(now.0 + self.ahead)
    }

    /// Takes a device in, as an owner's approval does.
    pub fn enrol(&mut self, spki: &[u8]) -> Membership {
        if self.own.is_none() {
            self.device = device_id(spki);
            self.own = Some(spki.to_vec());
        }
        assert_eq!(self.own.as_deref(), Some(spki), "it came back with another key");
        self.certify(spki)
    }

    fn certify(&mut self, spki: &[u8]) -> Membership {
        let now = self.now();
        let until = Wall(now.0 + CERTIFICATE_LIFE);
        let mut params = CertificateParams::new(vec!["device.test".into()]).unwrap();
        // The number makes each of them another one, in one second too.
        let number = u64::try_from(self.given.len()).unwrap() + 1;
        params.serial_number = Some(number.into());
        let certificate = params.signed_by(&Public(spki), &self.issuer).unwrap().pem();
        self.given.insert(certificate.clone(), (spki.to_vec(), until));
        let device = self.device.clone();
        Membership { certificate, certificate_until: until, device, ..membership() }
    }

    /// The device shows itself with this certificate from here on.
    pub fn show(&mut self, certificate: Option<&str>) {
        self.shown = certificate.and_then(|text| self.given.get(text).cloned());
    }

    pub fn shown(&self) -> Option<Caller> {
        self.shown.clone()
    }

    /// Turns away whom the real hub turns away, and drops the old key when the new one is used.
    pub fn judge(&mut self, parcel: &str, caller: Option<Caller>) -> Option<Reply> {
        if matches!(parcel, "registration.about" | "registration.start" | "registration.poll") {
            return None;
        }
        let known = caller
            .filter(|(key, _)| [&self.own, &self.next].iter().any(|own| own.as_ref() == Some(key)));
        let Some((key, until)) = known else {
            self.strangers += 1;
            return Some(refusal(json!({ "error": "this device is not registered here" })));
        };
        if self.next.as_ref() == Some(&key) {
            self.own = self.next.take();
        }
        let outlasts = parcel == "registration.renew" || parcel.ends_with(".forget");
        (until <= self.now() && !outlasts)
            .then(|| refusal(json!({ "error": "over", "code": CERTIFICATE_EXPIRED })))
    }

    pub fn answer(&mut self, parcel: &str, body: &Value) -> Option<Reply> {
        let bytes = |field: &str| {
            BASE64URL_NOPAD.decode(body[field].as_str().unwrap_or_default().as_bytes()).unwrap()
        };
        match parcel {
            "registration.start" => {
                self.applicant = Some(bytes("spki"));
                None
            }
            "registration.poll" => {
                let spki = self.applicant.clone().unwrap();
                Some(ok(&Polled::Approved(Box::new(self.enrol(&spki)))))
            }
            "registration.renew" => {
                let spki = self.own.clone().unwrap();
                Some(ok(&self.certify(&spki)))
            }
            "registration.rekey" => {
                let spki = bytes("spki");
                let message = rekey_message(&self.device, &spki);
                let key = UnparsedPublicKey::new(&ED25519, &spki[12..]);
                key.verify(&message, &bytes("signature")).unwrap();
                if self.own.as_ref() != Some(&spki) {
                    self.next = Some(spki.clone());
                }
                Some(ok(&self.certify(&spki)))
            }
            _ => None,
        }
    }
}

fn refusal(body: Value) -> Reply {
    Reply { status: 401, body, retry_after: None }
}
