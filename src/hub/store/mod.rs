//! What the hub keeps, behind one trait.
//!
//! SQLite today ([`sqlite`]); an engine for many machines must pass the same contract suite. The trait
//! speaks of devices and codes, not of rows and transactions: each call is one atomic step, and its
//! answer comes only after that step is on disk.

pub mod access;
pub mod account;
pub mod address;
mod auth;
pub mod classes;
pub mod dump;
pub mod happened;
pub mod hold;
pub mod identity;
pub mod keep;
mod keys;
pub mod known;
pub mod license;
mod opening;
pub mod operator;
pub mod people;
pub mod replay;
mod rights;
pub mod schema;
pub mod sealing;
pub mod second;
mod services;
pub mod share;
pub mod sqlite;
mod ticket;
mod worker;

pub use self::auth::{AuthKeyRow, fits};

use super::ticket::Fork;
use crate::clock::Wall;
use crate::wire::label::Label;
use crate::wire::link::Service;
use crate::wire::privacy::Restrictable;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::pin::Pin;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// SHA-256, as keys of rows.
pub type Hash = [u8; 32];

/// What a call of the store comes to.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine refused.
    #[error("the store could not {what}")]
    Engine {
        /// What was tried.
        what: &'static str,
        /// What the engine says.
        #[source]
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// A row holds what this version does not understand.
    #[error("the store holds a {what} that is not understood")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
    },
    /// Made by a newer version.
    #[error("the store has schema {found}, this version understands {known}")]
    Schema {
        /// The version found.
        found: i64,
        /// The newest one known.
        known: i64,
    },
    /// Sealed by another key.
    #[error("what the store holds was sealed with another key than the one that is there")]
    OtherKey,
    /// The store's thread is gone.
    #[error("the store is closed")]
    Closed,
    /// The device has no row.
    #[error("the store knows no such device")]
    NoDevice,
}

/// Where a request for registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its owner has not spoken.
    Open,
    /// Its owner said yes.
    Approved,
    /// Its owner said no.
    Denied,
}

/// A request for registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// SHA-256 of the device code.
    pub code_hash: Hash,
    /// What the owner types, without the hyphen.
    pub user_code: String,
    /// The name asked for.
    pub name: Label,
    /// The key, as SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The hub's part of the check words.
    pub challenge: Vec<u8>,
    /// Where it stands.
    pub state: State,
    /// When it was asked.
    pub made_at: Wall,
}

/// A registered device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The id, derived from its first key.
    pub id: String,
    /// Its name.
    pub name: Label,
    /// Its key, as SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// When it was registered.
    pub made_at: Wall,
}

/// What became of a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It stands.
    Yes,
    /// Too many stand already.
    Full,
    /// The user code is taken: roll another one.
    CodeTaken,
    /// The name belongs to another key.
    NameTaken,
}

/// What became of an owner's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is noted.
    Yes,
    /// No request has this code, or none any more.
    NoSuchCode,
    /// The name belongs, or was promised, to another key.
    NameTaken,
    /// It was decided before, otherwise.
    Already(State),
}

/// What became of an approved request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// The device has its row. Its name before, when that was another.
    Yes {
        /// The device.
        device: Device,
        /// The name it gave up by this.
        before: Option<Label>,
    },
    /// The name belongs to another key by now.
    NameTaken,
    /// The auth key it came with lets nobody in any more.
    KeySpent,
    /// The request is gone or not approved.
    NotApproved,
}

/// What became of a key that is to take the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// Both are the device's until the new one is used. Another one that waited is forgotten.
    Yes,
    /// It is, or is to be, the key of another device.
    Taken,
}

/// What became of a correction of a device's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// The device has the name.
    Yes {
        /// The device.
        device: Device,
        /// The name it had; the same one when nothing was wrong.
        before: Label,
    },
    /// The name belongs, or was promised, to another key.
    NameTaken,
}

/// Whether a session may begin, by the ticket its device shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It may.
    Yes,
    /// It may; it is the first one after a release.
    Released,
    /// Two boxes use this identity: it is in quarantine from now on.
    Forked(Fork),
    /// It was in quarantine already.
    Quarantined,
}

/// A device that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The device id.
    pub device: String,
    /// What it showed, in words.
    pub why: String,
    /// Since when.
    pub made_at: Wall,
}

/// One row as it is shown to the device it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Counts up in its table.
    pub number: u64,
    /// Every column, by name.
    pub data: Map<String, Value>,
}

/// The addresses a device's name answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The A record.
    pub a: Option<Ipv4Addr>,
    /// The AAAA record.
    pub aaaa: Option<Ipv6Addr>,
}

/// A device as the zone needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRow {
    /// Its name.
    pub name: Label,
    /// Its addresses, while DDNS is on.
    pub addresses: Option<Addresses>,
}

/// One line of the connection log. This is all that is kept of a visitor (promises L3a, Y2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The device id.
    pub device: String,
    /// When the connection ended.
    pub made_at: Wall,
    /// The visitor's address with its host part cleared.
    pub masked: IpAddr,
    /// The name asked for.
    pub host: String,
    /// Bytes to the device.
    pub up: u64,
    /// Bytes from the device.
    pub down: u64,
    /// How long the connection stood.
    pub seconds: u64,
}

/// What a device wants erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything of it.
    Registration,
    /// Its addresses.
    Ddns,
    /// What it publishes, and its connection log.
    Link,
    /// The seats it has.
    License,
}

impl Scope {
    /// The feature, as receipts name it.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Ddns => "ddns",
            Self::Link => "link",
            Self::License => "license",
        }
    }

    /// From its word.
    pub fn of(feature: &str) -> Option<Self> {
        let all = [Self::Registration, Self::Ddns, Self::Link, Self::License];
        all.into_iter().find(|it| it.feature() == feature)
    }

    /// The tables it erases from, children first; of the restrictions only the feature's own.
    pub const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Registration => {
                const ALL: &[&str] = &[
                    "service",
                    "link_log",
                    "ddns",
                    "restriction",
                    "ticket",
                    "quarantine",
                    "device_key",
                    "visibility",
                    "share",
                    "share_invitation",
                    "license_seat",
                    "pending",
                    "device",
                ];
                ALL
            }
            Self::Ddns => &["ddns", "restriction"],
            Self::Link => &["service", "link_log", "restriction"],
            Self::License => &["license_seat"],
        }
    }
}

/// What the hub keeps. Each call is atomic and durable when answered; dropping an unanswered call does not undo it.
pub trait Store:
    people::People
    + second::Second
    + share::Shares
    + access::Access
    + known::Known
    + address::AddressChanges
    + identity::Identities
    + operator::Operators
    + account::Own
    + keep::Keep
    + license::Licenses
{
    /// Notes a request for registration unless `most` stand already.
    fn open_code(&self, row: Pending, most: u64) -> Answer<'_, Opened>;
    /// The request with this device code.
    fn pending_by_code(&self, code_hash: Hash) -> Answer<'_, Option<Pending>>;
    /// All requests, oldest first.
    fn pending(&self) -> Answer<'_, Vec<Pending>>;
    /// Notes the owner's decision on the request with this user code, made no earlier than `since`.
    fn decide(&self, user_code: String, approve: bool, since: Wall) -> Answer<'_, Decided>;
    /// Makes the row of an approved request's device. Calling it again changes nothing.
    fn enrol(&self, code_hash: Hash, device: Device) -> Answer<'_, Enrolled>;
    /// The device with this key (SHA-256 of its SubjectPublicKeyInfo), be it the one that is to take the other's
    /// place; the device's row still names the other then.
    fn device_by_key(&self, key_hash: Hash) -> Answer<'_, Option<Device>>;
    /// Notes the key (SubjectPublicKeyInfo) that is to take the place of a device's own. Its own one changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn stage_key(&self, device: String, spki: Vec<u8>, now: Wall) -> Answer<'_, Staged>;
    /// Forgets a device's key for the one that waited, which was used; the device as it is then. `None` when no such
    /// key waits.
    fn settle_key(&self, key_hash: Hash) -> Answer<'_, Option<Device>>;
    /// All devices, by name.
    fn devices(&self) -> Answer<'_, Vec<Device>>;
    /// Sets a device's addresses; says whether anything changed.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn set_addresses(&self, device: String, addresses: Addresses, now: Wall) -> Answer<'_, bool>;
    /// Every device with its addresses.
    fn zone(&self) -> Answer<'_, Vec<ZoneRow>>;
    /// Adds a line to the connection log.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn log_visit(&self, visit: Visit) -> Answer<'_, ()>;
    /// The connection log of a device, oldest first.
    fn visits(&self, device: String) -> Answer<'_, Vec<Visit>>;
    /// Replaces what a device publishes; says whether anything changed.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn set_services(&self, device: String, services: Vec<Service>, now: Wall) -> Answer<'_, bool>;
    /// What a device publishes, by name.
    fn services(&self, device: String) -> Answer<'_, Vec<Service>>;
    /// Gives a device another name, everywhere the old one stands as a name of it; what it publishes there goes. Requests made no earlier than
    /// `since` hold their names.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn rename(&self, device: String, name: Label, since: Wall) -> Answer<'_, Renamed>;
    /// Notes whether a feature's data is only kept; everything that is, then.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn restrict(
        &self,
        device: String,
        feature: Restrictable,
        on: bool,
        now: Wall,
    ) -> Answer<'_, Vec<Restrictable>>;
    /// Everything whose data is only kept, by device id.
    fn restrictions(&self) -> Answer<'_, Vec<(String, Restrictable)>>;
    /// The addresses of a device, restricted or not.
    fn addresses(&self, device: String) -> Answer<'_, Option<Addresses>>;
    /// Judges the ticket a device shows at the begin of a session, hashed, and notes `fresh` as the next one; a fork
    /// is a quarantine from then on.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn admit(
        &self,
        device: String,
        shown: Option<Hash>,
        fresh: Hash,
        now: Wall,
    ) -> Answer<'_, Admitted>;
    /// Notes whether `given` is on the device's disk.
    fn settle(&self, device: String, given: Hash, stored: bool) -> Answer<'_, ()>;
    /// Everything that is in quarantine, by device id.
    fn quarantined(&self) -> Answer<'_, Vec<Quarantined>>;
    /// Whether a device is in quarantine.
    fn is_quarantined(&self, device: String) -> Answer<'_, bool>;
    /// Ends a quarantine; the next ticket is taken whatever it is, and with `anyway` also when there was none. Says
    /// whether there was one.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn release(&self, device: String, anyway: bool, now: Wall) -> Answer<'_, bool>;
    /// Rows of a table that are about a device, after the one with this number, at most so many.
    fn rows(
        &self,
        device: Device,
        table: &'static str,
        after: u64,
        most: u64,
    ) -> Answer<'_, Vec<Kept>>;
    /// Erases what is kept of a device; the rows erased by table, each table of the scope listed.
    fn erase(&self, device: Device, scope: Scope) -> Answer<'_, BTreeMap<String, u64>>;
    /// Notes an auth key.
    fn add_auth_key(&self, key: AuthKeyRow) -> Answer<'_, ()>;
    /// All auth keys, oldest first.
    fn auth_keys(&self) -> Answer<'_, Vec<AuthKeyRow>>;
    /// The auth key with this id.
    fn auth_key(&self, id: String) -> Answer<'_, Option<AuthKeyRow>>;
    /// Whether the device with this key (SubjectPublicKeyInfo) came in by the auth key with this id.
    fn came_by(&self, id: String, spki: Vec<u8>) -> Answer<'_, bool>;
    /// Erases an auth key; whether there was one. Requests that came with it are refused from then on.
    fn revoke_auth_key(&self, id: String) -> Answer<'_, bool>;
    /// Notes a request that the auth key with this id stands for, unless `most` stand already. It is approved from
    /// the start; [`Store::enrol`] uses the key.
    fn open_authorised(&self, row: Pending, key: String, most: u64) -> Answer<'_, Opened>;
    /// The time the first row of a table with `expires_at` expires.
    fn oldest_expiry(&self, table: &'static str) -> Answer<'_, Option<Wall>>;
    /// Erases the rows of a table that have expired; how many there were.
    fn sweep_expired(&self, table: &'static str, now: Wall) -> Answer<'_, u64>;
    /// The time of the oldest row of a table.
    fn oldest(&self, table: &'static str) -> Answer<'_, Option<Wall>>;
    /// Erases the rows of a table made before a moment; how many there were.
    fn sweep(&self, table: &'static str, before: Wall) -> Answer<'_, u64>;
    /// The tables there are.
    fn tables(&self) -> Answer<'_, Vec<String>>;
}
