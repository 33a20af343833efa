//! What the store says of licenses.

use crate::clock::Wall;
use crate::wire::license::{Binding, Model, Plan};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a license allows: of a policy, and copied into each license made by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whose a seat is.
    pub model: Model,
    /// How long it lasts.
    pub plan: Plan,
    /// How many may use it at once.
    pub seats: u32,
    /// Days of a subscription; days of updates of what is perpetual.
    pub days: Option<u64>,
    /// Days that a lease is good.
    pub lease_days: u64,
    /// Days after a lease in which a device that cannot reach the hub goes on.
    pub grace_days: u64,
    /// Whether a lease may be carried to a box without a network.
    pub offline: bool,
    /// Whether its holder may give it to somebody else.
    pub transferable: bool,
    /// What the product may do by it.
    pub features: BTreeMap<String, String>,
    /// The oldest firmware it works with; any, where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
}

/// A key that signs, certified by the offline root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRow {
    /// What documents name it by.
    pub kid: String,
    /// Its seed, base64url; sealed where it lies.
    pub key: String,
    /// What the root signed of it; until then it signs nothing.
    pub certificate: Option<String>,
    /// When it signs nothing any more, and its row goes.
    pub expires_at: Wall,
    /// When it was made.
    pub made_at: Wall,
}

/// A key that the issuer has withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawnRow {
    /// Its id.
    pub kid: String,
    /// What the root signed of it, and maybe of others.
    pub document: String,
}

/// What is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// Its short name in documents.
    pub product: String,
    /// As people call it.
    pub name: String,
}

/// Under which terms a product is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Of which product.
    pub product: String,
    /// Its short name.
    pub policy: String,
    /// The terms.
    pub terms: Terms,
}

/// A license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseRow {
    /// A random number that names it.
    pub lid: String,
    /// Of which product.
    pub product: String,
    /// By which policy.
    pub policy: String,
    /// Whose it is; nobody's before somebody has claimed it.
    pub account: Option<u64>,
    /// Its own terms.
    pub terms: Terms,
    /// When it begins.
    pub starts_at: Wall,
    /// When it ends.
    pub ends_at: Option<Wall>,
    /// When it was made.
    pub made_at: Wall,
    /// The epoch in which it was made void.
    pub void: Option<u64>,
}

impl LicenseRow {
    /// Whether it may be used at this moment.
    pub fn is_good(&self, now: Wall) -> bool {
        self.void.is_none() && self.ends_at.is_none_or(|end| now < end)
    }
}

/// A seat that somebody sits on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// Of which license.
    pub lid: String,
    /// Which device.
    pub device: String,
    /// Its number, from 1.
    pub seat: u32,
    /// What its lease is bound to.
    pub bind: Binding,
    /// The address the box said it has.
    pub ip: Option<IpAddr>,
    /// Which lease of the license it was, counted from 1.
    pub seq: u64,
    /// Whether its last lease was carried there by hand.
    pub offline: bool,
    /// When lease and grace are over.
    pub ends_at: Wall,
    /// When the lease was made.
    pub made_at: Wall,
}

/// Who asks for a seat, and with which right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Of which license.
    pub lid: String,
    /// Which device.
    pub device: String,
    /// What the box is known by; of one that renews, only its key.
    pub bind: Binding,
    /// The address the box says it has.
    pub ip: Option<IpAddr>,
    /// The last lease of the license that it knows of.
    pub seq: u64,
    /// The account of the device's owner.
    pub owner: Option<u64>,
    /// What it comes with.
    pub by: Right,
    /// Whether the lease is carried there by hand.
    pub offline: bool,
}

/// What opens a license to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It sits there already.
    Seat,
    /// Its owner's account holds the license.
    Owner,
    /// It was shown the product key. Whoever has one may use it; a license of nobody becomes its first user's.
    Key,
    /// The operator lets it.
    Operator,
}

/// What became of the wish for a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It sits.
    Yes(SeatRow),
    /// All seats are taken. The first of them is free at this moment, or as soon as its device gives it back.
    Full {
        /// When.
        until: Wall,
        /// Whether one that was carried somewhere by hand is among them.
        offline: bool,
    },
    /// There is no such license for whoever asks.
    NotYours,
    /// It is void.
    Void,
    /// It has ended.
    Ended,
    /// Its leases may not be carried by hand.
    OnlineOnly,
    /// Its seats are of people, and the device is nobody's.
    NoOwner,
}

/// What became of a seat that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// It is free.
    Yes,
    /// It was free already.
    Already,
    /// Another lease was made for it since.
    Later,
}

/// What became of a license that was to have another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It has.
    Yes,
    /// There is no such license of theirs.
    NotYours,
    /// Its terms do not allow it.
    Fixed,
    /// Seats are taken.
    InUse,
    /// It is void or has ended.
    Over,
}

/// Whose licenses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those of an account.
    Account(u64),
}

/// A line of what happened with a license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// What: one word.
    pub what: String,
    /// When.
    #[serde(skip)]
    pub made_at: Wall,
}

/// How many there are of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The product.
    pub product: String,
    /// The policy.
    pub policy: String,
    /// Licenses that may be used.
    pub good: u64,
    /// Licenses that have ended.
    pub ended: u64,
    /// Seats that are taken.
    pub taken: u64,
}
