//! Sharing a device: its owner names people by mail address, and they accept.
//!
//! An invitation waits for whoever holds the address, now or later; nothing tells the owner whether anybody does
//! before they have accepted.

use super::email::Email;
use super::{EMAIL, People, PeopleError, Person, before};
use crate::clock::Wall;
use crate::hub::store::Device;
use crate::hub::store::share::{Guest, Offer};
use core::time::Duration;

/// Where the address of somebody who was invited lies; who accepted has one of the account.
const INVITED: &str = "share_invitation.email";

/// How long an invitation to a device waits.
pub const OFFER_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most people one device is shared with, those who have not accepted among them.
pub const MOST_GUESTS: u64 = 50;

/// Somebody with whom a device is shared, or who was invited to it.
pub struct Named {
    /// The number of the share or of the invitation.
    pub number: u64,
    /// Who.
    pub email: String,
    /// When they were invited, or when they accepted.
    pub made_at: Wall,
}

/// Who has and who waits for a device.
pub struct Guests {
    /// Those who accepted.
    pub accepted: Vec<Named>,
    /// Those who did not, so far.
    pub waiting: Vec<Named>,
}

/// An invitation as the invited person sees it.
pub struct Invitation {
    /// Its number.
    pub number: u64,
    /// To which device.
    pub device: Device,
    /// By whom.
    pub owner: String,
}

impl People {
    /// Invites the holder of an address to a device; whether there was room. The same for an address nobody has.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn share(
        &self,
        device: &Device,
        email: &Email,
        now: Wall,
    ) -> Result<bool, PeopleError> {
        let who = self.seal.index(EMAIL, email.as_str());
        let sealed = self.seal.seal(INVITED, email.as_str())?;
        Ok(self.store.share(device.id.clone(), who, sealed, MOST_GUESTS, now).await?)
    }

    /// Whom a device is shared with, and who was invited to it.
    ///
    /// # Errors
    /// The store's.
    pub async fn guests(&self, device: &Device, now: Wall) -> Result<Guests, PeopleError> {
        let opened = |column: &'static str, guests: Vec<Guest>| {
            let named = |guest: Guest| {
                let email = self.seal.open(column, &guest.email)?;
                Some(Named { number: guest.number, email, made_at: guest.made_at })
            };
            guests.into_iter().filter_map(named).collect()
        };
        let since = before(now, OFFER_LIFE);
        Ok(Guests {
            accepted: opened(EMAIL, self.store.guests(device.id.clone()).await?),
            waiting: opened(INVITED, self.store.invited_guests(device.id.clone(), since).await?),
        })
    }

    /// Takes a share, or an invitation that `waits`, back; whose it was.
    ///
    /// # Errors
    /// The store's.
    pub async fn unshare(
        &self,
        device: &Device,
        number: u64,
        waits: bool,
    ) -> Result<Option<String>, PeopleError> {
        let id = device.id.clone();
        let (email, column) = if waits {
            (self.store.uninvite(id, number).await?, INVITED)
        } else {
            (self.store.unshare(id, number).await?, EMAIL)
        };
        Ok(email.map(|email| self.seal.open(column, &email).unwrap_or_default()))
    }

    /// The invitations that wait for somebody.
    ///
    /// # Errors
    /// The store's.
    pub async fn offers(&self, person: &Person, now: Wall) -> Result<Vec<Invitation>, PeopleError> {
        let who = self.seal.index(EMAIL, person.email.as_str());
        let offers = self.store.offers(who, before(now, OFFER_LIFE)).await?;
        let opened = |offer: Offer| {
            let owner = self.seal.open(EMAIL, &offer.owner)?;
            Some(Invitation { number: offer.number, device: offer.device, owner })
        };
        Ok(offers.into_iter().filter_map(opened).collect())
    }

    /// Accepts or declines an invitation; to which device, if it waited for this person.
    ///
    /// # Errors
    /// The store's.
    pub async fn answer_offer(
        &self,
        person: &Person,
        number: u64,
        accept: bool,
        now: Wall,
    ) -> Result<Option<Device>, PeopleError> {
        let who = self.seal.index(EMAIL, person.email.as_str());
        let since = before(now, OFFER_LIFE);
        let answered = self.store.answer_offer(number, who, person.account, accept, since, now);
        Ok(answered.await?)
    }
}
