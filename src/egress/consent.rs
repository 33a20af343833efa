//! The owner's yes to parcels that the service itself does not need.

use crate::card::Parcel;
use crate::clock::Wall;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the privacy text: what the catalogue and the README say of data. Counted up when it comes to mean
/// something else; every consent given to another version lapses (promise X14).
pub const PRIVACY_TEXT_VERSION: u32 = 1;
/// When this version was written.
pub const PRIVACY_TEXT_DATE: &str = "2026-11-22";

/// One yes: to one parcel, in the version it had then.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Consent {
    /// [`version`] of the parcel that was agreed to. A changed parcel lapses it.
    pub version: String,
    /// Who said yes, as the control socket knows them (`uid 0`).
    pub actor: String,
    /// When.
    pub when: Wall,
    /// For which feature.
    #[serde(default)]
    pub feature: String,
    /// The command it was said with.
    #[serde(default)]
    pub how: String,
}

/// All that was agreed to, by parcel id.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Consents(BTreeMap<String, Consent>);

impl Consents {
    /// Records a yes.
    pub fn give(&mut self, parcel: &Parcel, actor: &str, when: Wall) {
        let consent = Consent {
            version: version(parcel),
            actor: actor.into(),
            when,
            feature: parcel.feature().into(),
            how: format!("qcloud-agent consent give {}", parcel.id),
        };
        self.0.insert(parcel.id.into(), consent);
    }

    /// Takes a yes back; says whether there was one.
    pub fn withdraw(&mut self, parcel: &Parcel) -> bool {
        self.0.remove(parcel.id).is_some()
    }

    /// The yes that was last given to this parcel, perhaps in another version of it.
    pub fn given(&self, parcel: &Parcel) -> Option<&Consent> {
        self.0.get(parcel.id)
    }

    /// The yes that covers this parcel as it is declared today.
    pub fn covering(&self, parcel: &Parcel) -> Option<&Consent> {
        self.0.get(parcel.id).filter(|consent| consent.version == version(parcel))
    }
}

/// What a yes is bound to: a digest over everything the declaration says, and the privacy text it stands in.
pub fn version(parcel: &Parcel) -> String {
    let first = crate::sabotage::off("privacy-text");
    version_under(if first { 0 } else { PRIVACY_TEXT_VERSION }, parcel)
}

/// What a yes was bound to under another version of the privacy text.
pub fn version_under(text: u32, parcel: &Parcel) -> String {
    let declared = format!(
        "{text}|{}|{}|{:?}|{:?}|{:?}|{:?}|{:?}",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ddns::UPDATE;

    #[test]
    fn a_yes_lapses_with_the_parcel_and_with_the_text() {
        let mut consents = Consents::default();
        consents.give(&UPDATE, "uid 0", Wall::default());
        assert!(consents.covering(&UPDATE).is_some());
        let changed = Parcel { what: "more than before", ..UPDATE };
        assert!(consents.covering(&changed).is_none() && consents.given(&changed).is_some());
        assert_ne!(version_under(PRIVACY_TEXT_VERSION + 1, &UPDATE), version(&UPDATE));
        assert!(consents.withdraw(&UPDATE) && !consents.withdraw(&UPDATE));
        assert_eq!(consents.given(&UPDATE), None);
    }
}
