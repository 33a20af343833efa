//! What the documents say. Members are written in the order they stand here; what is absent is left out.

use super::bind::Binding;
use super::jws::{Claims, Kind, public_key};
use super::key::{LicenseId, Product, Wanted};
use super::{GRACE, LEASE};
use crate::clock::Wall;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of all of them.
pub const VERSION: u8 = 1;
/// The longest text in any of them, in bytes.
const MAX_TEXT: usize = 128;
/// The most entries in any list or map but that of a revocation list.
const MAX_ENTRIES: usize = 64;
/// Times are kept far from where sums overflow: the year 2500.
const LAST: Wall = Wall(Duration::from_secs(16_725_225_600));

/// What a certified key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Entitlements.
    Entitlement,
    /// Leases.
    Lease,
    /// Revocation lists without keys in them.
    Revocations,
    /// Signed times.
    Time,
}

/// The issuer's word for a key of a hub. Only a pinned issuer key signs one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCertificate {
    /// [`VERSION`].
    pub v: u8,
    /// The public key, 43 characters of base64url.
    pub key: String,
    /// What it may sign, sorted, each once.
    pub uses: Vec<Use>,
    /// From when. What it signs must have been made (`iat`) in between.
    pub nbf: Wall,
    /// Until when.
    pub exp: Wall,
}

/// How a license runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Until `exp`.
    Subscription,
    /// For good.
    Perpetual,
}

/// Who holds a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// A box, until it gives the seat back.
    Device,
    /// Whichever boxes come first; a lease that runs out gives its seat back.
    Floating,
    /// The boxes of one account share one seat.
    User,
}

/// What was bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// [`VERSION`].
    pub v: u8,
    /// Its id.
    pub lid: LicenseId,
    /// Whose it is, opaque to the device; empty where nobody's yet.
    pub holder: String,
    /// What it is for.
    pub product: Product,
    /// How it runs.
    pub plan: Plan,
    /// Who holds a seat.
    pub model: Model,
    /// How many.
    pub seats: u32,
    /// What it switches on, for the product to read.
    pub features: BTreeMap<String, String>,
    /// When it was made.
    pub iat: Wall,
    /// From when it holds.
    pub nbf: Wall,
    /// Until when; a subscription has one, a perpetual license has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Wall>,
    /// Until when newer versions of the product are covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintained_until: Option<Wall>,
    /// Whether it may go to another account.
    pub transferable: bool,
    /// Whether a lease may be carried in a file.
    pub offline: bool,
}

/// The seat a box holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// [`VERSION`].
    pub v: u8,
    /// The license.
    pub lid: LicenseId,
    /// [`super::jws::fingerprint`] of the entitlement it was made for.
    pub entitlement: String,
    /// The box.
    pub bind: Binding,
    /// Which seat, from 1.
    pub seat: u32,
    /// Counts the leases of this seat; a device takes none that is older than what it had.
    pub seq: u64,
    /// Whether it was carried in a file.
    pub offline: bool,
    /// When it was made, by the hub's clock.
    pub iat: Wall,
    /// When the device shall ask again.
    pub next: Wall,
    /// Until when it holds, at most [`LEASE`] after `iat`.
    pub exp: Wall,
    /// Until when it is honoured while no hub answers, at most [`GRACE`] after `exp`.
    pub grace_until: Wall,
    /// The epoch of the revocations when it was made: a device that has an older list does not take it.
    pub epoch: u64,
}

/// What does not hold any more. What was revoked stays revoked, whatever later lists say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocations {
    /// [`VERSION`].
    pub v: u8,
    /// Only rises, by one issuer key.
    pub epoch: u64,
    /// When it was made.
    pub iat: Wall,
    /// The licenses; of them all, or as many as concern whoever asked.
    pub lids: Vec<LicenseId>,
    /// Ids of certified keys that are not to be believed any more. Only the issuer key itself may name any.
    pub kids: Vec<String>,
}

/// The time at the hub when it saw a nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTime {
    /// [`VERSION`].
    pub v: u8,
    /// The nonce of the question, 22 characters of base64url.
    pub nonce: String,
    /// The time.
    pub iat: Wall,
}

/// What a hub needs to make a lease, signed by the device key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub v: u8,
    /// The product key or the license, where the person at the box has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<Wanted>,
    /// The box.
    pub bind: Binding,
    /// The version of its firmware.
    pub firmware: String,
    /// Comes back in the signed time.
    pub nonce: String,
    /// When, by the device's clock.
    pub iat: Wall,
}

/// The device gives a seat back, signed by the device key. From then on it takes no lease up to `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// [`VERSION`].
    pub v: u8,
    /// The license.
    pub lid: LicenseId,
    /// The seat.
    pub seat: u32,
    /// The last lease it had of it.
    pub seq: u64,
    /// Makes this receipt like no other.
    pub nonce: String,
    /// When, by the device's clock.
    pub iat: Wall,
}

fn all(rules: &[(bool, &'static str)]) -> Result<(), &'static str> {
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(*rule))
}

const V: &str = "it is of another version";
const TIMES: &str = "its times do not fit together";
const TEXT: &str = "a text in it is too long";

/// Whether a text is a nonce: 16 bytes in base64url.
pub fn is_nonce(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn short(text: &str) -> bool {
    text.len() <= MAX_TEXT
}

impl Claims for KeyCertificate {
    const KIND: Kind = Kind::Key;
    fn check(&self) -> Result<(), &'static str> {
        all(&[
            (self.v == VERSION, V),
            (public_key(&self.key).is_ok(), "its key is none"),
            (
                self.uses.is_sorted_by(|a, b| a < b) && !self.uses.is_empty(),
                "its uses are not sorted",
            ),
            (self.nbf < self.exp && self.exp <= LAST, TIMES),
        ])
    }
}

impl Claims for Entitlement {
    const KIND: Kind = Kind::Entitlement;
    fn check(&self) -> Result<(), &'static str> {
        let texts = self.features.iter().all(|(name, value)| short(name) && short(value));
        let ends = self.exp.unwrap_or(LAST);
        all(&[
            (self.v == VERSION, V),
            (texts && short(&self.holder), TEXT),
            (self.features.len() <= MAX_ENTRIES, "it has too many features"),
            (self.seats > 0, "it has no seats"),
            (
                self.exp.is_some() == (self.plan == Plan::Subscription),
                "its plan and its end disagree",
            ),
            (self.nbf < ends && ends <= LAST && self.iat <= LAST, TIMES),
            (self.maintained_until.is_none_or(|until| until <= LAST), TIMES),
        ])
    }
}

impl Claims for Lease {
    const KIND: Kind = Kind::Lease;
    fn check(&self) -> Result<(), &'static str> {
        let Self { iat, next, exp, grace_until, .. } = *self;
        let within = |from: Wall, to: Wall, most: Duration| from.0 + most >= to.0;
        let ordered = iat <= next && next <= exp && exp <= grace_until && grace_until <= LAST;
        all(&[
            (self.v == VERSION, V),
            (self.seat > 0, "its seat is none"),
            (short(&self.entitlement), TEXT),
            (ordered, TIMES),
            (within(iat, exp, LEASE) && within(exp, grace_until, GRACE), "it runs for too long"),
        ])?;
        self.bind.check()
    }
}

impl Claims for Revocations {
    const KIND: Kind = Kind::Revocations;
    fn check(&self) -> Result<(), &'static str> {
        all(&[
            (self.v == VERSION, V),
            (self.iat <= LAST, TIMES),
            (self.kids.len() <= MAX_ENTRIES, "it names too many keys"),
            (self.lids.is_sorted_by(|a, b| a < b), "its licenses are not sorted"),
            (self.kids.iter().all(|kid| kid.len() == 43), "a key in it is none"),
        ])
    }
}

impl Claims for SignedTime {
    const KIND: Kind = Kind::Time;
    fn check(&self) -> Result<(), &'static str> {
        all(&[
            (self.v == VERSION, V),
            (is_nonce(&self.nonce), "its nonce is none"),
            (self.iat <= LAST, TIMES),
        ])
    }
}

impl Claims for Request {
    const KIND: Kind = Kind::Request;
    fn check(&self) -> Result<(), &'static str> {
        all(&[
            (self.v == VERSION, V),
            (short(&self.firmware), TEXT),
            (is_nonce(&self.nonce), "its nonce is none"),
            (self.iat <= LAST, TIMES),
        ])?;
        self.bind.check()
    }
}

impl Claims for Release {
    const KIND: Kind = Kind::Release;
    fn check(&self) -> Result<(), &'static str> {
        all(&[
            (self.v == VERSION, V),
            (self.seat > 0, "its seat is none"),
            (is_nonce(&self.nonce), "its nonce is none"),
            (self.iat <= LAST, TIMES),
        ])
    }
}
