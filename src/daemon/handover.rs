//! From one key to the next: what a rekey brought is shown to nobody before it is on the disk.
//!
//! The hub drops the old key as soon as it sees the new one. A device that used the new one first, and lost what it
//! had not saved, would come back with a key that opens nothing any more.

use super::feature::HubAddress;
use crate::identity::Identity;
use crate::wire::registration::Membership;
use std::sync::Arc;

/// A hub, and what this device is there; neither for one that has left.
pub type Place = (Option<HubAddress>, Option<Arc<Membership>>);

/// Holds a place back until it is saved, if it must be.
#[derive(Default)]
pub struct Handover {
    waiting: Option<Place>,
}

impl Handover {
    /// Gives a place back that may be shown at once. One with a certificate of the next key waits for
    /// [`Handover::saved`]; whatever waited before it is forgotten.
    pub fn offer(&mut self, identity: &Identity, place: Place) -> Option<Place> {
        let certificate = place.1.as_ref().map(|membership| membership.certificate.as_str());
        let is_of_next = certificate.is_some_and(|certificate| identity.is_of_next(certificate));
        if is_of_next && !crate::sabotage::off("rekey-saved-first") {
            self.waiting = Some(place);
            return None;
        }
        self.waiting = None;
        Some(place)
    }

    /// Everything is on the disk: gives what waited for that.
    pub fn saved(&mut self) -> Option<Place> {
        self.waiting.take()
    }
}
