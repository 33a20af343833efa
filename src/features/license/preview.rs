//! What would be sent for the licenses this box has. Nonces, salts and signatures are made when something is sent; here
//! they are zeros.

use super::License;
use super::work::activation;
use crate::card::Parcel;
use crate::wire::Body;
use crate::wire::license::jws::sign_own;
use crate::wire::license::{
    ACTIVATE, Lease, LicenseId, RELEASE, RENEW, REVOKED, Release, Renew, Return, Revoked, Wanted,
};
use crate::wire::signed::Signer;
use data_encoding::BASE64URL_NOPAD;

const ZEROS: [u8; 16] = [0; 16];

/// Signs with zeros.
struct Unsigned;

impl Signer for Unsigned {
    fn signature(&self, _: &[u8]) -> Vec<u8> {
        vec![0; 64]
    }
}

impl License {
    /// The next body of a parcel; `None` while there is no license it could be about.
    pub(super) fn next_body(&self, parcel: &Parcel) -> Option<Body> {
        let nonce = BASE64URL_NOPAD.encode(&ZEROS);
        if *parcel == ACTIVATE {
            let facts = self.facts.clone()?;
            let license = Wanted::new(self.book.saved.held.keys().next()?.to_string());
            let (ip, firmware) = (self.address, self.firmware.clone());
            return Some(Body::of(&activation(license, &facts, ZEROS, firmware, ip, nonce)));
        }
        if *parcel == REVOKED {
            let held = self.book.saved.held.iter().find(|(_, held)| !held.revoked);
            return held.map(|(lid, _)| Body::of(&Revoked { prefix: lid.prefix().into() }));
        }
        let (lid, Lease { seat, seq, iat, .. }) = self.next_seat()?;
        if *parcel == RENEW {
            return Some(Body::of(&Renew { lid, seq, nonce }));
        }
        let key = &self.facts.as_ref()?.key;
        let release = Release { v: 1, lid, seat, seq, nonce, iat };
        (*parcel == RELEASE)
            .then(|| Body::of(&Return { receipt: sign_own(&release, &Unsigned, key) }))
    }

    /// The seat that is asked about next.
    fn next_seat(&self) -> Option<(LicenseId, Lease)> {
        let held = &self.book.saved.held;
        let due = self.renewals.iter().filter_map(|(lid, renewal)| Some((renewal.at?, lid))).min();
        let first = due.and_then(|(_, lid)| held.get_key_value(lid));
        let mut all = first.into_iter().chain(held);
        all.find_map(|(lid, held)| Some((lid.clone(), self.book.seat(held)?.0)))
    }
}
