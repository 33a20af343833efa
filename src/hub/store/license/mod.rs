//! Licenses: what the vendor offers, what was sold, who sits on which seat, and what is void.
//!
//! One seat is one lease at a time. Whoever takes one, renews it, gives it back or has it taken away goes through one
//! transaction ([`seat`]), so that no count is ever exceeded however many ask at once. A seat is free again when its
//! lease and the grace after it are over, or when its device has signed that it gave it back: until then a copy of the
//! lease could still be in use somewhere without a network.
//!
//! What is void is a random number in a list ([`void`]): it names nobody, and outlives the license and the account it
//! was of for as long as a lease could.

mod catalog;
mod issuer;
mod rows;
mod seat;
mod sold;
mod tables;
mod void;
mod withdrawn;

pub use self::rows::*;
pub(super) use self::tables::{CREATE, WITHDRAWN};
pub use self::void::VOID_KEPT;
pub(super) use self::void::{revoke as revoke_noted, void_account, void_later};

use super::sqlite::SqliteStore;
use super::worker::Kind;
use super::{Answer, Hash, StoreError};
use crate::clock::Wall;
use crate::wire::license::{GRACE, LEASE};
use core::time::Duration;
use rusqlite::Connection;

/// How long a transaction is kept: who asks why a seat is taken finds the answer, and no history grows (promise P4).
pub const LOG_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);
/// How long a seat is kept: as long as the longest lease with the longest grace (promise L11).
pub const SEAT_KEPT: Duration = Duration::from_secs(LEASE.as_secs() + GRACE.as_secs());
/// How long a license is kept after its end, so that it can be renewed.
pub const ENDED_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// What the store does for licenses. Each call is atomic and durable when answered.
pub trait Licenses: Send + Sync {
    /// Notes a key; whether its name was free.
    fn add_issuer(&self, row: IssuerRow) -> Answer<'_, bool>;
    /// All keys, the newest first.
    fn issuers(&self) -> Answer<'_, Vec<IssuerRow>>;
    /// Notes what the root signed of a key; whether there is such a key.
    fn certify(&self, kid: String, certificate: String, until: Wall) -> Answer<'_, bool>;
    /// Drops a key; whether there was one.
    fn drop_issuer(&self, kid: String) -> Answer<'_, bool>;
    /// Notes that these keys were withdrawn, and by which document, in the place of what was noted of them before.
    fn withdraw(&self, kids: Vec<String>, document: String, now: Wall) -> Answer<'_, ()>;
    /// All keys that were withdrawn, the first one first.
    fn withdrawn(&self) -> Answer<'_, Vec<WithdrawnRow>>;
    /// Whether there is a license that has not ended.
    fn has_licenses(&self, now: Wall) -> Answer<'_, bool>;
    /// Notes a product, or another name for it.
    fn set_product(&self, product: Product, now: Wall) -> Answer<'_, ()>;
    /// All products, by name.
    fn products(&self) -> Answer<'_, Vec<Product>>;
    /// Notes a policy, or other terms for licenses made from now on; whether there is such a product.
    fn set_policy(&self, policy: Policy, now: Wall) -> Answer<'_, bool>;
    /// All policies, by product and name.
    fn policies(&self) -> Answer<'_, Vec<Policy>>;
    /// Makes a license. Its number must be new.
    fn issue(&self, row: LicenseRow) -> Answer<'_, ()>;
    /// Licenses, oldest first.
    fn licenses(&self, whose: Whose) -> Answer<'_, Vec<LicenseRow>>;
    /// The license of this number.
    fn license(&self, lid: String) -> Answer<'_, Option<LicenseRow>>;
    /// Gives a license until later; whether there is one that is not void.
    fn prolong(&self, lid: String, ends_at: Wall, now: Wall) -> Answer<'_, bool>;
    /// Notes a product key by its hash, in the place of all before; whether there is such a license. With `gives` it is
    /// a present: whoever claims it is the holder.
    fn set_license_key(&self, lid: String, key: Hash, gives: bool, now: Wall) -> Answer<'_, bool>;
    /// The license a product key is of.
    fn license_of_key(&self, key: Hash) -> Answer<'_, Option<LicenseRow>>;
    /// Has an account hold the license of this key, if it is nobody's or was given away by it; its number then.
    fn claim(&self, key: Hash, account: u64, now: Wall) -> Answer<'_, Option<String>>;
    /// Has a device sit on a seat: on its own one, or on one that is free.
    fn take_seat(&self, take: Take, now: Wall) -> Answer<'_, Taken>;
    /// Frees a seat that a device gave back by this lease.
    fn free_seat(&self, lid: String, device: String, seq: u64, now: Wall) -> Answer<'_, Freed>;
    /// Frees the seats a device has by leases it fetched itself, when it says that it destroys them; how many.
    fn free_seats_of(&self, device: String, now: Wall) -> Answer<'_, u64>;
    /// Frees a seat although nobody gave it back; whether it was taken.
    fn clear_seat(&self, lid: String, seat: u32, now: Wall) -> Answer<'_, bool>;
    /// The seats of a license that are taken by a device, by number.
    fn seats(&self, lid: String, now: Wall) -> Answer<'_, Vec<SeatRow>>;
    /// Seats that are taken until their time is over by devices nobody knows any more: number and until.
    fn blocked(&self, lid: String, now: Wall) -> Answer<'_, Vec<(u32, Wall)>>;
    /// The seats a device sits on.
    fn seats_of(&self, device: String, now: Wall) -> Answer<'_, Vec<SeatRow>>;
    /// Has another account hold a license, or nobody's; `of` is whose it must be.
    fn move_license(
        &self,
        lid: String,
        of: Option<u64>,
        to: Option<u64>,
        now: Wall,
    ) -> Answer<'_, Moved>;
    /// Makes a license void; the epoch of it, or nothing when there is no such license.
    fn revoke_license(&self, lid: String, now: Wall) -> Answer<'_, Option<u64>>;
    /// Whether a license is void, whether its row is there or not; in which epoch.
    fn void_since(&self, lid: String) -> Answer<'_, Option<u64>>;
    /// The epoch, and everything that is void and could still be in use.
    fn void(&self) -> Answer<'_, (u64, Vec<String>)>;
    /// What happened with a license, oldest first.
    fn transactions(&self, lid: String) -> Answer<'_, Vec<Transaction>>;
    /// Licenses of somebody that end within so many days, and of which nobody was told so yet.
    fn ending(&self, days: u64, now: Wall) -> Answer<'_, Vec<LicenseRow>>;
    /// Notes that somebody was told so.
    fn noticed(&self, lid: String, days: u64) -> Answer<'_, ()>;
    /// How many there are of each product and policy.
    fn count_licenses(&self, now: Wall) -> Answer<'_, Vec<Cell>>;
}

/// Adds a line to what happened with a license.
fn log(connection: &Connection, lid: &str, what: &str, now: Wall) -> Result<(), StoreError> {
    let sql = "INSERT INTO license_log (lid, what, made_at) VALUES (?1, ?2, ?3)";
    let values = (lid, what, seconds(now));
    super::sqlite::write(connection, "note a transaction", sql, values).map(drop)
}

fn seconds(at: Wall) -> i64 {
    super::schema::integer(at.unix_seconds())
}

impl SqliteStore {
    fn reads<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.0.call(Kind::Read, work))
    }

    fn writes<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.0.call(Kind::Write, work))
    }

    /// Writes over what is to be in no file any more.
    fn drops<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(self.0.call(Kind::Erase, work))
    }
}

impl Licenses for SqliteStore {
    fn add_issuer(&self, row: IssuerRow) -> Answer<'_, bool> {
        self.writes(move |c| issuer::add(c, &row))
    }

    fn issuers(&self) -> Answer<'_, Vec<IssuerRow>> {
        self.reads(issuer::all)
    }

    fn certify(&self, kid: String, certificate: String, until: Wall) -> Answer<'_, bool> {
        self.writes(move |c| issuer::certify(c, &kid, &certificate, until))
    }

    fn drop_issuer(&self, kid: String) -> Answer<'_, bool> {
        self.drops(move |c| issuer::drop(c, &kid))
    }

    fn withdraw(&self, kids: Vec<String>, document: String, now: Wall) -> Answer<'_, ()> {
        self.writes(move |c| withdrawn::add(c, &kids, &document, now))
    }

    fn withdrawn(&self) -> Answer<'_, Vec<WithdrawnRow>> {
        self.reads(withdrawn::all)
    }

    fn has_licenses(&self, now: Wall) -> Answer<'_, bool> {
        self.reads(move |c| sold::has_any(c, now))
    }

    fn set_product(&self, product: Product, now: Wall) -> Answer<'_, ()> {
        self.writes(move |c| catalog::set_product(c, &product, now))
    }

    fn products(&self) -> Answer<'_, Vec<Product>> {
        self.reads(catalog::products)
    }

    fn set_policy(&self, policy: Policy, now: Wall) -> Answer<'_, bool> {
        self.writes(move |c| catalog::set_policy(c, &policy, now))
    }

    fn policies(&self) -> Answer<'_, Vec<Policy>> {
        self.reads(catalog::policies)
    }

    fn issue(&self, row: LicenseRow) -> Answer<'_, ()> {
        self.writes(move |c| sold::issue(c, &row))
    }

    fn licenses(&self, whose: Whose) -> Answer<'_, Vec<LicenseRow>> {
        self.reads(move |c| sold::all(c, whose))
    }

    fn license(&self, lid: String) -> Answer<'_, Option<LicenseRow>> {
        self.reads(move |c| sold::find(c, &lid))
    }

    fn prolong(&self, lid: String, ends_at: Wall, now: Wall) -> Answer<'_, bool> {
        self.writes(move |c| sold::prolong(c, &lid, ends_at, now))
    }

    fn set_license_key(&self, lid: String, key: Hash, gives: bool, now: Wall) -> Answer<'_, bool> {
        self.drops(move |c| sold::set_key(c, &lid, &key, gives, now))
    }

    fn license_of_key(&self, key: Hash) -> Answer<'_, Option<LicenseRow>> {
        self.reads(move |c| sold::of_key(c, &key))
    }

    fn claim(&self, key: Hash, account: u64, now: Wall) -> Answer<'_, Option<String>> {
        self.drops(move |c| sold::claim(c, &key, account, now))
    }

    fn take_seat(&self, take: Take, now: Wall) -> Answer<'_, Taken> {
        self.writes(move |c| seat::take(c, &take, now))
    }

    fn free_seat(&self, lid: String, device: String, seq: u64, now: Wall) -> Answer<'_, Freed> {
        self.drops(move |c| seat::free(c, &lid, &device, seq, now))
    }

    fn free_seats_of(&self, device: String, now: Wall) -> Answer<'_, u64> {
        self.drops(move |c| seat::free_all(c, &device, now))
    }

    fn clear_seat(&self, lid: String, seat: u32, now: Wall) -> Answer<'_, bool> {
        self.drops(move |c| seat::clear(c, &lid, seat, now))
    }

    fn seats(&self, lid: String, now: Wall) -> Answer<'_, Vec<SeatRow>> {
        self.reads(move |c| seat::of_license(c, &lid, now))
    }

    fn blocked(&self, lid: String, now: Wall) -> Answer<'_, Vec<(u32, Wall)>> {
        self.reads(move |c| seat::blocked(c, &lid, now))
    }

    fn seats_of(&self, device: String, now: Wall) -> Answer<'_, Vec<SeatRow>> {
        self.reads(move |c| seat::of_device(c, &device, now))
    }

    fn move_license(
        &self,
        lid: String,
        of: Option<u64>,
        to: Option<u64>,
        now: Wall,
    ) -> Answer<'_, Moved> {
        self.writes(move |c| sold::give(c, &lid, of, to, now))
    }

    fn revoke_license(&self, lid: String, now: Wall) -> Answer<'_, Option<u64>> {
        self.noted(move |c, keeping| void::revoke(c, keeping, &lid, now))
    }

    fn void_since(&self, lid: String) -> Answer<'_, Option<u64>> {
        self.reads(move |c| void::since(c, &lid))
    }

    fn void(&self) -> Answer<'_, (u64, Vec<String>)> {
        self.reads(void::list)
    }

    fn transactions(&self, lid: String) -> Answer<'_, Vec<Transaction>> {
        self.reads(move |c| sold::transactions(c, &lid))
    }

    fn ending(&self, days: u64, now: Wall) -> Answer<'_, Vec<LicenseRow>> {
        self.reads(move |c| sold::ending(c, days, now))
    }

    fn noticed(&self, lid: String, days: u64) -> Answer<'_, ()> {
        self.writes(move |c| sold::noticed(c, &lid, days))
    }

    fn count_licenses(&self, now: Wall) -> Answer<'_, Vec<Cell>> {
        self.reads(move |c| sold::count(c, now))
    }
}
