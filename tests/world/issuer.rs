//! An issuer of licenses behind the simulated hub: an issuer key, and a hub key that it vouches for.

use core::time::Duration;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
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
const NEXT_ONLINE: u8 = 3;
const OTHER: u8 = 4;
/// The key of another maker.
pub const MAKER: u8 = 7;
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

/// The key of another maker, as it is written in configurations.
pub fn maker_key() -> String {
    HEXLOWER.encode(&public(MAKER))
}

pub struct Issuer {
    clock: Clock,
    /// The key of the device, as its connection shows it.
    device: Vec<u8>,
    pub begun: Wall,
    pub lid: LicenseId,
    pub ends: Option<Wall>,
    pub begins: Option<Wall>,
    pub revoked: bool,
    /// The hub's key.
    online: u8,
    withdrawn: bool,
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
            online: ONLINE,
            withdrawn: false,
            epoch: 0,
            seq,
            bound,
        }
    }

    pub fn revoke(&mut self) {
        (self.revoked, self.epoch) = (true, self.epoch + 1);
    }

    /// The hub's key was stolen: it has another one, and the issuer has withdrawn the first.
    pub fn replace_key(&mut self) {
        (self.online, self.withdrawn) = (NEXT_ONLINE, true);
    }

    /// What whoever stole the first key makes of it for this box: a lease that is newer than all others.
    pub fn stolen(&self, bind: Binding) -> Vec<String> {
        let mut thief = Self::new(self.clock.clone(), &self.device);
        (thief.seq, thief.epoch) = (1000, u64::from(u32::MAX));
        thief.lease(bind)
    }

    /// A withdrawal of the hub's next key, signed by the one that was stolen.
    pub fn forged_withdrawal(&self) -> String {
        self.withdrawing(NEXT_ONLINE, ONLINE)
    }

    /// The issuer's word against the first key.
    pub fn withdrawal(&self) -> String {
        self.withdrawing(ONLINE, ROOT)
    }

    fn withdrawing(&self, key: u8, by: u8) -> String {
        let kids = vec![kid_of(&public(key))];
        signed(&Revocations { v: 1, epoch: 0, iat: self.now(), lids: Vec::new(), kids }, by)
    }

    /// The license signed by a key of its own, which may do this for ten days from then on.
    pub fn bought_by_a_key_for(&self, uses: Vec<Use>, from: Wall) -> [String; 2] {
        let key = BASE64URL_NOPAD.encode(&public(OTHER));
        let exp = Wall(from.0 + Duration::from_secs(10 * 86_400));
        let certificate = signed(&KeyCertificate { v: 1, key, uses, nbf: from, exp }, ROOT);
        [certificate, signed(&self.entitlement(), OTHER)]
    }

    /// How the box is bound.
    pub fn binding(&self) -> Binding {
        self.bound[&self.seq].clone()
    }

    fn keys(&self) -> Vec<String> {
        let withdrawal = self.withdrawn.then(|| self.withdrawal());
        [self.certificate()].into_iter().chain(withdrawal).collect()
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
        let key = BASE64URL_NOPAD.encode(&public(self.online));
        let uses = vec![Use::Entitlement, Use::Lease, Use::Revocations, Use::Time];
        let (nbf, exp) = (Wall(self.begun.0 - YEAR), Wall(self.begun.0 + 3 * YEAR));
        signed(&KeyCertificate { v: 1, key, uses, nbf, exp }, ROOT)
    }

    fn list(&self) -> String {
        let lids = if self.revoked { vec![self.lid.clone()] } else { Vec::new() };
        let (epoch, iat) = (self.epoch, self.now());
        signed(&Revocations { v: 1, epoch, iat, lids, kids: Vec::new() }, self.online)
    }

    pub fn time(&self, nonce: &str) -> String {
        signed(&SignedTime { v: 1, nonce: nonce.into(), iat: self.now() }, self.online)
    }

    /// The documents of a new lease for this box.
    pub fn lease(&mut self, bind: Binding) -> Vec<String> {
        self.seq += 1;
        self.bound.insert(self.seq, bind.clone());
        let iat = self.now();
        let later = |from: Wall, by: Duration| Wall(from.0 + by);
        let entitlement = signed(&self.entitlement(), self.online);
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
        let own = [entitlement, signed(&lease, self.online), self.list()];
        self.keys().into_iter().chain(own).collect()
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
            "license.renew" if self.revoked => [self.keys(), vec![self.list()]].concat(),
            "license.renew" => {
                let asked: Renew = serde_json::from_value(body.clone()).unwrap();
                let bind = self.bound.get(&asked.seq).cloned().unwrap_or_else(|| self.binding());
                let mut documents = self.lease(bind);
                documents.push(self.time(&asked.nonce));
                documents
            }
            "license.revoked" => [self.keys(), vec![self.list()]].concat(),
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
