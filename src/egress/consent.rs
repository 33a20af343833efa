//! The owner's yes to parcels that the service itself does not need.

use crate::card::Parcel;
use crate::clock::Wall;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One yes: to one parcel, in the version it had then.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Consent {
    /// [`version`] of the parcel that was agreed to. A changed parcel lapses it.
    pub version: String,
    /// Who said yes, as the control socket knows them (`uid 0`).
    pub actor: String,
    /// When.
    pub when: Wall,
}

/// All that was agreed to, by parcel id.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Consents(BTreeMap<String, Consent>);

impl Consents {
    /// Records a yes.
    pub fn give(&mut self, parcel: &Parcel, actor: &str, when: Wall) {
        let consent = Consent { version: version(parcel), actor: actor.into(), when };
        self.0.insert(parcel.id.into(), consent);
    }

    /// Takes a yes back.
    pub fn withdraw(&mut self, parcel: &Parcel) {
        self.0.remove(parcel.id);
    }

    /// The yes that covers this parcel as it is declared today.
    pub fn covering(&self, parcel: &Parcel) -> Option<&Consent> {
        self.0.get(parcel.id).filter(|consent| consent.version == version(parcel))
    }
}

/// What a yes is bound to: a digest over everything the declaration says.
pub fn version(parcel: &Parcel) -> String {
    let declared = format!(
        "{}|{}|{:?}|{:?}|{:?}|{:?}|{:?}",
        parcel.id,
        parcel.what,
        parcel.purpose,
        parcel.to,
        parcel.how,
        parcel.fields,
        parcel.retention
    );
    let digest = ring::digest::digest(&ring::digest::SHA256, declared.as_bytes());
    HEXLOWER.encode(digest.as_ref()).chars().take(16).collect()
}
