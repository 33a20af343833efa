//! Where seats are asked for: by a device, in a file that a person brings, and by an operator.
//!
//! What a device says of itself is believed only as far as its signature goes: the key a lease is bound to is the key
//! that asked. Its hashes of serial number and network cards are taken as they are, for a lease on somebody else's is
//! of no use to it.

use super::signing::Signing;
use crate::clock::Wall;
use crate::hub::keys::KeyError;
use crate::hub::people::{People, PeopleError};
use crate::hub::store::license::{Freed, LicenseRow, Right, SeatRow, Take, Taken};
use crate::hub::store::{Hash, Store, StoreError};
use crate::hub::tls;
use crate::identity::id::device_id;
use crate::wire::license::claims::is_nonce;
use crate::wire::license::jws::{self, BadLicense, KEY_BYTES};
use crate::wire::license::{Binding, LicenseId, Release, Request, Wanted, kid_of};
use core::net::IpAddr;
use data_encoding::BASE64URL_NOPAD;

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410 section 10.1).
const SPKI: &[u8; 12] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The longest version of a firmware.
const MAX_FIRMWARE: usize = 128;

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No such license for whoever asks.
    #[error("there is no such license, or it is not this device's")]
    Unknown,
    /// All seats are taken.
    #[error("all seats of this license are taken; the first is free on {} or when a device releases it", .0.rfc3339())]
    NoSeat(Wall),
    /// All are taken, and at least one was carried somewhere in a file.
    #[error("all seats of this license are taken, and a lease of it was carried to a box in a file: bring the release receipt of that box, or wait until {}", .0.rfc3339())]
    Offline(Wall),
    /// The firmware is too old.
    #[error("this license needs firmware {0} or newer")]
    Firmware(String),
    /// It has ended.
    #[error("this license has ended")]
    Ended,
    /// The device sits on no seat of it.
    #[error("this device has no seat of this license any more")]
    Released,
    /// Only devices that reach the hub may use it.
    #[error("leases of this license are not given in files: the device asks for them itself")]
    OnlineOnly,
    /// Its seats are of people.
    #[error("this license is of people: the device must belong to an account")]
    NoOwner,
    /// A receipt that is older than the lease.
    #[error("this receipt is of an older lease: the device has taken another one since")]
    OldReceipt,
    /// What was sent is not what it should be.
    #[error("{0}")]
    Bad(String),
    /// The hub has no key that is certified.
    #[error("this hub has no certified key to sign licenses with")]
    NoKey,
    /// The store, or what it holds.
    #[error(transparent)]
    Broken(#[from] PeopleError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<KeyError> for Denied {
    fn from(error: KeyError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<BadLicense> for Denied {
    fn from(error: BadLicense) -> Self {
        Self::Bad(error.to_string())
    }
}

/// A device that asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Its id.
    pub device: String,
    /// Its public key.
    pub key: [u8; KEY_BYTES],
    /// The account it belongs to, or of whoever brings its file.
    pub owner: Option<u64>,
}

impl Asker {
    /// A device by its SubjectPublicKeyInfo; `None` for any but an Ed25519 key.
    pub fn new(device: String, spki: &[u8], owner: Option<u64>) -> Option<Self> {
        Some(Self { device, key: spki.strip_prefix(SPKI)?.try_into().ok()?, owner })
    }
}

/// What a box says when it asks for a seat.
#[derive(Clone, Debug)]
pub struct Said {
    /// What it is known by.
    pub bind: Binding,
    /// The version of its firmware.
    pub firmware: String,
    /// Its own address.
    pub ip: Option<IpAddr>,
    /// Comes back in the signed time.
    pub nonce: String,
}

/// Who brings a file.
#[derive(Clone, Copy, Debug)]
pub enum Bringer {
    /// Somebody who is signed in.
    Person(u64),
    /// An operator.
    Operator,
}

/// What came of a file that was brought.
#[derive(Debug)]
pub enum Brought {
    /// The text of a `.qcl` file.
    Answer {
        /// The license.
        lid: String,
        /// The file.
        text: String,
    },
    /// A seat was given back.
    Freed {
        /// The license.
        lid: String,
        /// Whether it was taken until now.
        was_taken: bool,
    },
}

/// Where seats are asked for.
#[derive(Clone, Copy)]
pub struct Office<'a> {
    /// What is kept.
    pub store: &'a dyn Store,
    /// Who holds licenses.
    pub people: &'a People,
    /// The moment.
    pub now: Wall,
}

/// What a product key is found by.
pub fn key_hash(text: &str) -> Option<Hash> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

impl Office<'_> {
    /// Gives a device a seat of the license it names, by product key or by id.
    ///
    /// # Errors
    /// [`Denied`]; no seat was taken then.
    pub async fn activate(
        &self,
        asker: &Asker,
        wanted: &Wanted,
        said: Said,
    ) -> Result<Vec<String>, Denied> {
        let (row, by) = self.find(wanted, asker.owner, None).await?;
        self.seat(asker, (row, by), said, false).await
    }

    /// The license that is meant, and by which right.
    async fn find(
        &self,
        wanted: &Wanted,
        owner: Option<u64>,
        bringer: Option<Bringer>,
    ) -> Result<(LicenseRow, Right), Denied> {
        if let Some(key) = wanted.product_key() {
            let hash = key_hash(&key.hash()).ok_or(Denied::Unknown)?;
            // By this a license of nobody, or one that was given away, has a holder.
            let claimed = match owner {
                Some(owner) => self.store.claim(hash, owner, self.now).await?,
                None => None,
            };
            let row = match claimed {
                Some(lid) => self.store.license(lid).await?,
                None => self.store.license_of_key(hash).await?,
            };
            return Ok((row.ok_or(Denied::Unknown)?, Right::Key));
        }
        let lid = wanted.lid().ok_or(Denied::Unknown)?;
        let row = self.store.license(lid.to_string()).await?.ok_or(Denied::Unknown)?;
        let by =
            if matches!(bringer, Some(Bringer::Operator)) { Right::Operator } else { Right::Owner };
        Ok((row, by))
    }

    async fn seat(
        &self,
        asker: &Asker,
        (row, by): (LicenseRow, Right),
        said: Said,
        offline: bool,
    ) -> Result<Vec<String>, Denied> {
        let signing = Signing::load(self.store, self.now).await?.ok_or(Denied::NoKey)?;
        check(asker, &said)?;
        let needs = row.terms.firmware.as_ref().filter(|needs| is_older(&said.firmware, needs));
        if let Some(needs) = needs {
            return Err(Denied::Firmware(needs.clone()));
        }
        let take = Take {
            lid: row.lid.clone(),
            device: asker.device.clone(),
            bind: said.bind,
            ip: said.ip,
            seq: 0,
            owner: asker.owner,
            by,
            offline,
        };
        let nonce = said.nonce;
        match self.store.take_seat(take, self.now).await? {
            Taken::Yes(seat) => self.documents(&signing, &row, &seat, &nonce).await,
            Taken::Void => self.void(&signing, &row.lid, &nonce).await,
            Taken::Full { until, offline: true } => Err(Denied::Offline(until)),
            Taken::Full { until, offline: false } => Err(Denied::NoSeat(until)),
            Taken::NotYours => Err(Denied::Unknown),
            Taken::Ended => Err(Denied::Ended),
            Taken::OnlineOnly => Err(Denied::OnlineOnly),
            Taken::NoOwner => Err(Denied::NoOwner),
        }
    }

    /// Gives a device that sits on a seat its next lease; to one whose license is void, the list that says so.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn renew(
        &self,
        asker: &Asker,
        lid: &LicenseId,
        seq: u64,
        nonce: &str,
    ) -> Result<Vec<String>, Denied> {
        let signing = Signing::load(self.store, self.now).await?.ok_or(Denied::NoKey)?;
        if self.store.void_since(lid.to_string()).await?.is_some() {
            return self.void(&signing, lid.as_str(), nonce).await;
        }
        let row = self.store.license(lid.to_string()).await?.ok_or(Denied::Unknown)?;
        let take = Take {
            lid: row.lid.clone(),
            device: asker.device.clone(),
            bind: Binding {
                device: kid_of(&asker.key),
                salt: String::new(),
                serial: None,
                macs: Vec::new(),
            },
            ip: None,
            seq,
            owner: asker.owner,
            by: Right::Seat,
            offline: false,
        };
        match self.store.take_seat(take, self.now).await? {
            Taken::Yes(seat) => self.documents(&signing, &row, &seat, nonce).await,
            Taken::Void => self.void(&signing, lid.as_str(), nonce).await,
            Taken::Ended => Err(Denied::Ended),
            Taken::NoOwner => Err(Denied::NoOwner),
            Taken::OnlineOnly | Taken::NotYours | Taken::Full { .. } => Err(Denied::Released),
        }
    }

    /// What is void among the licenses whose ids begin so; for anybody.
    ///
    /// # Errors
    /// [`Denied::NoKey`], and the store's.
    pub async fn revoked(&self, prefix: &str) -> Result<Vec<String>, Denied> {
        let plain = |b: u8| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b);
        if prefix.len() != 2 || !prefix.bytes().all(plain) {
            return Err(Denied::Bad(
                "`prefix` is not the first two characters of a license's id".into(),
            ));
        }
        let signing = Signing::load(self.store, self.now).await?.ok_or(Denied::NoKey)?;
        let (epoch, void) = self.store.void().await?;
        Ok(with_keys(&signing, [signing.revocations(epoch, &void, prefix)]))
    }

    /// Takes a file that a device wrote and somebody brings: a request, to be answered by a file, or a receipt. `chosen`
    /// is the license whoever brings it means, where the request names none.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn bring(
        &self,
        text: &str,
        chosen: Option<&str>,
        bringer: Bringer,
    ) -> Result<Brought, Denied> {
        if let Ok((receipt, key)) = jws::open_own::<Release>(text) {
            return self.receipt(&receipt, &key).await;
        }
        let (request, key) = jws::open_own::<Request>(text)?;
        let wanted = request.license.or_else(|| chosen.map(|lid| Wanted::new(lid.to_owned())));
        let none =
            || Denied::Bad("the request does not say which license it is for: choose one".into());
        let wanted = wanted.ok_or_else(none)?;
        let owner = match bringer {
            Bringer::Person(account) => Some(account),
            Bringer::Operator => None,
        };
        let (row, by) = self.find(&wanted, owner, Some(bringer)).await?;
        let asker =
            Asker { device: self.device_of(&key).await?, key, owner: owner.or(row.account) };
        let (bind, firmware, nonce) = (request.bind, request.firmware, request.nonce);
        let lid = row.lid.clone();
        let said = Said { bind, firmware, ip: None, nonce };
        let documents = self.seat(&asker, (row, by), said, true).await?;
        let text = format!("# license {lid}\n{}\n", documents.join("\n"));
        Ok(Brought::Answer { lid, text })
    }

    /// The id of a registered device with this key, else the one it would have.
    async fn device_of(&self, key: &[u8; KEY_BYTES]) -> Result<String, Denied> {
        let spki = [SPKI.as_slice(), key].concat();
        let hash = tls::hash(&spki).ok_or(KeyError::Random)?;
        let known = self.store.device_by_key(hash).await?;
        Ok(known.map_or_else(|| device_id(&spki), |device| device.id))
    }

    /// Frees the seat that a device signed it gives back. Who brings it does not matter: only the device can have
    /// signed it.
    ///
    /// # Errors
    /// [`Denied::OldReceipt`], and the store's.
    pub async fn receipt(
        &self,
        receipt: &Release,
        key: &[u8; KEY_BYTES],
    ) -> Result<Brought, Denied> {
        let (lid, kid) = (receipt.lid.to_string(), kid_of(key));
        let seats = self.store.seats(lid.clone(), self.now).await?;
        let seat = seats.into_iter().find(|seat| seat.bind.device == kid);
        let Some(seat) = seat.filter(|seat| seat.seat == receipt.seat) else {
            return Ok(Brought::Freed { lid, was_taken: false });
        };
        match self.store.free_seat(lid.clone(), seat.device, receipt.seq, self.now).await? {
            Freed::Yes => Ok(Brought::Freed { lid, was_taken: true }),
            Freed::Already => Ok(Brought::Freed { lid, was_taken: false }),
            Freed::Later => Err(Denied::OldReceipt),
        }
    }

    async fn documents(
        &self,
        signing: &Signing,
        row: &LicenseRow,
        seat: &SeatRow,
        nonce: &str,
    ) -> Result<Vec<String>, Denied> {
        // As it is now that somebody may have claimed it.
        let row = self.store.license(row.lid.clone()).await?.unwrap_or_else(|| row.clone());
        let lid =
            LicenseId::parse(&row.lid).map_err(|_| StoreError::Corrupt { what: "license" })?;
        let holder = row.account.map(|account| self.people.license_holder(account));
        let entitlement = signing.entitlement(&row, lid.clone(), holder.unwrap_or_default());
        let entitlement =
            entitlement.ok_or(StoreError::Corrupt { what: "product of a license" })?;
        let (epoch, void) = self.store.void().await?;
        let lease = signing.lease((&row, lid.clone()), seat, &entitlement, epoch)?;
        let revocations = signing.revocations(epoch, &void, lid.prefix());
        Ok(with_keys(signing, [entitlement, lease, revocations, signing.time(nonce)]))
    }

    async fn void(&self, signing: &Signing, lid: &str, nonce: &str) -> Result<Vec<String>, Denied> {
        let (epoch, void) = self.store.void().await?;
        let prefix = lid.get(..2).unwrap_or_default();
        let revocations = signing.revocations(epoch, &void, prefix);
        Ok(with_keys(signing, [revocations, signing.time(nonce)]))
    }
}

fn with_keys(signing: &Signing, documents: impl IntoIterator<Item = String>) -> Vec<String> {
    signing.keys().into_iter().chain(documents).collect()
}

/// Whether what a box says of itself has the shape of it, and is of the box that says it.
fn check(asker: &Asker, said: &Said) -> Result<(), Denied> {
    said.bind.check().map_err(|why| Denied::Bad(why.into()))?;
    if said.bind.device != kid_of(&asker.key) && !crate::sabotage::off("license-bound-key") {
        return Err(Denied::Bad("it is bound to another key than the one that asks".into()));
    }
    if !is_nonce(&said.nonce) {
        return Err(Denied::Bad("`nonce` is not 16 bytes in base64url".into()));
    }
    if said.firmware.len() > MAX_FIRMWARE {
        return Err(Denied::Bad(format!("`firmware` is longer than {MAX_FIRMWARE} bytes")));
    }
    Ok(())
}

/// Whether a version is before another one: number by number, and one that says nothing before all.
fn is_older(has: &str, needs: &str) -> bool {
    let numbers = |text: &str| {
        let parts = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        parts.map(|part| part.parse::<u64>().unwrap_or(u64::MAX)).collect::<Vec<_>>()
    };
    numbers(has) < numbers(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (has, needs, older) in [
            ("5.2.1", "5.2.1", false),
            ("5.10.0", "5.9.9", false),
            ("5.2", "5.2.1", true),
            ("", "1", true),
            ("5.2.1-build7", "5.2.1", false),
        ] {
            assert_eq!(is_older(has, needs), older, "{has} {needs}");
        }
    }
}
