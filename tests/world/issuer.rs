//! An issuer of licenses behind the simulated hub: an issuer key, and a hub key that it vouches for.

use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::egress::outside::Reply;
use qcloud_agent::wire::license::jws::{self, Claims, fingerprint, kid_of};
use qcloud_agent::wire::license::{
    Activate, Binding, Documents, Entitlement, GRACE, KeyCertificate, LEASE, Lease, LicenseId,
    Model, NEXT, Plan, Product, Renew, Revocations, SignedTime, Use,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ROOT: u8 = 1;
const ONLINE: u8 = 2;
const YEAR: Duration = Duration::from_secs(366 * 86_400);

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> Vec<u8> {
    pair(seed).public_key().as_ref().to_vec()
}

fn signed<C: Claims>(claims: &C, seed: u8) -> String {
    jws::sign(claims, &pair(seed), &public(seed))
}

/// What devices pin.
pub fn issuer_key() -> String {
    BASE64URL_NOPAD.encode(&public(ROOT))
}

pub struct Issuer {
    clock: Clock,
    /// The key of the device, as its connection shows it.
    device: Vec<u8>,
    begun: Wall,
    pub lid: LicenseId,
    pub ends: Option<Wall>,
    pub begins: Option<Wall>,
    pub revoked: bool,
    epoch: u64,
    seq: u64,
    bound: BTreeMap<u64, Binding>,
}

impl Issuer {
    pub fn new(clock: Clock, device: &[u8]) -> Self {
        let begun = clock.now().wall;
        let lid = LicenseId::of([9; 16]);
        let (seq, bound) = (0, BTreeMap::new());
        Self {
            clock,
            device: device.into(),
            begun,
            lid,
            ends: None,
            begins: None,
            revoked: false,
            epoch: 0,
            seq,
            bound,
        }
    }

    pub fn revoke(&mut self) {
        (self.revoked, self.epoch) = (true, self.epoch + 1);
    }

    fn now(&self) -> Wall {
        self.clock.now().wall
    }

    fn entitlement(&self) -> Entitlement {
        Entitlement {
            v: 1,
            lid: self.lid.clone(),
            holder: "holder".into(),
            product: Product::parse("surveillance").unwrap(),
            plan: if self.ends.is_some() { Plan::Subscription } else { Plan::Perpetual },
            model: Model::Device,
            seats: 1,
            features: BTreeMap::from([("channels".into(), "8".into())]),
            iat: self.begun,
            nbf: self.begins.unwrap_or(self.begun),
            exp: self.ends,
            maintained_until: None,
            transferable: true,
            offline: true,
        }
    }

    pub fn certificate(&self) -> String {
        let key = BASE64URL_NOPAD.encode(&public(ONLINE));
        let uses = vec![Use::Entitlement, Use::Lease, Use::Revocations, Use::Time];
        let (nbf, exp) = (Wall(self.begun.0 - YEAR), Wall(self.begun.0 + 3 * YEAR));
        signed(&KeyCertificate { v: 1, key, uses, nbf, exp }, ROOT)
    }

    fn list(&self) -> String {
        let lids = if self.revoked { vec![self.lid.clone()] } else { Vec::new() };
        let (epoch, iat) = (self.epoch, self.now());
        signed(&Revocations { v: 1, epoch, iat, lids, kids: Vec::new() }, ONLINE)
    }

    pub fn time(&self, nonce: &str) -> String {
        signed(&SignedTime { v: 1, nonce: nonce.into(), iat: self.now() }, ONLINE)
    }

    /// The documents of a new lease for this box.
    pub fn lease(&mut self, bind: Binding) -> Vec<String> {
        self.seq += 1;
        self.bound.insert(self.seq, bind.clone());
        let iat = self.now();
        let later = |from: Wall, by: Duration| Wall(from.0 + by);
        let entitlement = signed(&self.entitlement(), ONLINE);
        let lease = Lease {
            v: 1,
            lid: self.lid.clone(),
            entitlement: fingerprint(&entitlement),
            bind,
            seat: 1,
            seq: self.seq,
            offline: false,
            iat,
            next: later(iat, NEXT),
            exp: later(iat, LEASE),
            grace_until: later(iat, LEASE + GRACE),
            epoch: self.epoch,
        };
        vec![self.certificate(), entitlement, signed(&lease, ONLINE), self.list()]
    }

    /// Answers a parcel.
    pub fn answer(&mut self, parcel: &str, body: &Value) -> Option<Reply> {
        let documents = match parcel {
            "license.activate" => {
                let asked: Activate = serde_json::from_value(body.clone()).unwrap();
                let device = kid_of(&self.device);
                let bind =
                    Binding { device, salt: asked.salt, serial: asked.serial, macs: asked.macs };
                let mut documents = self.lease(bind);
                documents.push(self.time(&asked.nonce));
                documents
            }
            "license.renew" if self.revoked => vec![self.certificate(), self.list()],
            "license.renew" => {
                let asked: Renew = serde_json::from_value(body.clone()).unwrap();
                let bind = self.bound[&asked.seq].clone();
                let mut documents = self.lease(bind);
                documents.push(self.time(&asked.nonce));
                documents
            }
            "license.revoked" => vec![self.certificate(), self.list()],
            "license.release" => {
                return Some(Reply {
                    status: 200,
                    body: json!({ "freed": true }),
                    retry_after: None,
                });
            }
            _ => return None,
        };
        Some(Reply { status: 200, body: json!(Documents { documents }), retry_after: None })
    }
}
