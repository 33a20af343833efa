//! What the house itself keeps across restarts: one small file.

use super::feature::HubAddress;
use crate::clock::Wall;
use crate::egress::consent::Consents;
use crate::egress::denied::Denied;
use crate::egress::ledger::Head;
use crate::wire::receipt::Receipt;
use crate::wire::registration::Membership;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Receipts kept on the device for the owner to look up; the oldest go first.
const RECEIPTS_KEPT: usize = 32;

/// Everything that survives, but for the key and the ledger's lines, which have files of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Household {
    /// What the owner switched at run time; wins over the configuration.
    pub switches: BTreeMap<String, bool>,
    /// The features with a switch that were open last: one that the configuration has switched off since then
    /// is still to be erased at the hub.
    pub open: BTreeSet<String>,
    /// Each feature's own.
    pub saved: BTreeMap<String, Value>,
    /// This device's place at its hub.
    pub membership: Option<(Membership, HubAddress)>,
    /// Erasures the hub has not confirmed yet.
    pub owed: Vec<Owed>,
    /// Erasures the hub has confirmed.
    pub receipts: VecDeque<KeptReceipt>,
    /// What the owner agreed to.
    pub consents: Consents,
    /// What the owner does not let leave.
    pub denied: Denied,
    /// The features whose data the hub keeps and does not use, as it last confirmed.
    pub restricted: BTreeSet<String>,
    /// Where the ledger's chain stood when this was written.
    pub ledger: Head,
    /// The same, signed by the device key: [`crate::egress::ledger::SignedHead`].
    pub signed_head: Option<String>,
    /// The number of the line that was signed for.
    pub signed_head_seq: u64,
    /// A wall time that has passed for certain ([`crate::clock::Clock::vouched`]), for boxes that wake up in 1970.
    pub last_good: Wall,
    /// Whether key and state go as soon as no hub holds anything of this device.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    /// Whether the agent stopped in an orderly way after this was written.
    pub stopped: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// An erasure the hub owes us a receipt for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owed {
    /// The feature.
    pub feature: String,
    /// The demand.
    pub nonce: String,
    /// The body of the forget parcel.
    pub body: Value,
    /// Since when.
    pub since: Wall,
}

/// A receipt with the document that proves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptReceipt {
    /// What it says.
    pub receipt: Receipt,
    /// As the hub signed it.
    pub document: String,
    /// The key it verifies under, base64url.
    pub key: String,
}

impl Household {
    /// Drops what belongs to the identity this box had: it is another box's, which goes on with it. What its owner
    /// decided here stays.
    pub fn begin_anew(&mut self) {
        self.membership = None;
        self.owed.clear();
        self.receipts.clear();
        self.restricted.clear();
        self.signed_head_seq = 0;
    }

    /// Notes that the hub uses a feature's data, or does not; says whether that is news.
    pub fn restrict(&mut self, feature: &str, restricted: bool) -> bool {
        if restricted {
            self.restricted.insert(feature.into())
        } else {
            self.restricted.remove(feature)
        }
    }

    /// Keeps a receipt.
    pub fn keep_receipt(&mut self, receipt: KeptReceipt) {
        if self.receipts.len() >= RECEIPTS_KEPT {
            self.receipts.pop_front();
        }
        self.receipts.push_back(receipt);
    }
}
