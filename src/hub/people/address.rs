//! Another mail address for an account: asked for with password and code, confirmed by a letter to the new address,
//! told to the old one (promise S13).
//!
//! The letter's link opens only for the account that asked. So a mistyped address gives its owner nothing, and a
//! mailbox somebody else reads is not enough either.

use super::email::Email;
use super::{EMAIL, OUTBOX, People, PeopleError, Person, before, masked};
use crate::clock::Wall;
use crate::hub::store::address::{AddressChange, Moved, SealedAddress};
use crate::hub::store::people::{Entry, Happened};
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;

/// How long a change may be confirmed.
pub const CHANGE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Letters go to somebody who has not asked for them: no more than one in this time.
const PAUSE: Duration = Duration::from_secs(10 * 60);

const ASKED: &str = "address_change.email";
const LINK: &str = "address_change.link";

/// A letter that is to confirm an address.
pub struct Confirmation {
    /// To whom.
    pub to: Email,
    /// For its link.
    pub token: String,
    /// Which change it is about.
    pub change: AddressChange,
}

impl People {
    /// Whether letters are sent at all: without them no address is confirmed.
    pub const fn mails(&self) -> bool {
        self.mails
    }

    /// Notes that an account is to have another address. False when it asked for one not long ago. That the address
    /// is another account's is told to nobody: then there is no letter.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn ask_address(
        &self,
        person: &Person,
        to: &Email,
        from: IpAddr,
        now: Wall,
    ) -> Result<bool, PeopleError> {
        let email = self.seal.seal(ASKED, to.as_str())?;
        let change = AddressChange { account: person.account, email, made_at: now };
        let index = self.seal.index(EMAIL, to.as_str());
        if !self.store.ask_address(change, index, before(now, PAUSE)).await? {
            return Ok(false);
        }
        let (account, about) = (person.account, Some(to.as_str()));
        self.tell(account, Happened::AddressAsked, about, from, now).await?;
        self.posted.notify_one();
        Ok(true)
    }

    /// The address an account is to have, once it is confirmed.
    ///
    /// # Errors
    /// The store's.
    pub async fn asked_address(
        &self,
        person: &Person,
        now: Wall,
    ) -> Result<Option<Email>, PeopleError> {
        let change = self.store.address_change(person.account).await?;
        let change = change.filter(|change| change.made_at >= before(now, CHANGE_LIFE));
        Ok(change.and_then(|change| self.address_of(&change)))
    }

    /// Takes a change back; whether there was one.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_change(&self, person: &Person) -> Result<bool, PeopleError> {
        Ok(self.store.end_change(person.account).await?)
    }

    /// The letters that are to confirm addresses, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn confirmations(&self, most: u64) -> Result<Vec<Confirmation>, PeopleError> {
        let mut all = Vec::new();
        for change in self.store.unsent_changes(most).await? {
            let Some(to) = self.address_of(&change) else { continue };
            let token = BASE64URL_NOPAD.encode(&self.seal.index(LINK, &named(&change, &to)));
            all.push(Confirmation { to, token, change });
        }
        Ok(all)
    }

    /// Notes that a confirmation was sent, or can never be.
    ///
    /// # Errors
    /// The store's.
    pub async fn confirmation_sent(&self, change: &AddressChange) -> Result<(), PeopleError> {
        Ok(self.store.change_sent(change.account, change.made_at).await?)
    }

    /// The change a letter's link is about, for the account that asked for it, while it waits.
    ///
    /// # Errors
    /// The store's.
    pub async fn change_of(
        &self,
        person: &Person,
        token: &str,
        now: Wall,
    ) -> Result<Option<(AddressChange, Email)>, PeopleError> {
        let waits = self.store.address_change(person.account).await?;
        let change = waits.filter(|change| change.made_at >= before(now, CHANGE_LIFE));
        let Some(change) = change else { return Ok(None) };
        let Some(to) = self.address_of(&change) else { return Ok(None) };
        let token = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap_or_default();
        let fits = self.seal.is_index(LINK, &named(&change, &to), &token);
        let fits = fits || crate::sabotage::off("address-owner");
        Ok(fits.then_some((change, to)))
    }

    /// Gives the account its new address, and tells whoever reads the old one.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn change_address(
        &self,
        person: &Person,
        (change, to): (AddressChange, &Email),
        from: IpAddr,
        now: Wall,
    ) -> Result<Moved, PeopleError> {
        let index = self.seal.index(EMAIL, to.as_str());
        let before = self.seal.seal(OUTBOX, person.email.as_str())?;
        let email = self.seal.seal(EMAIL, to.as_str())?;
        let address = SealedAddress { index, email, before };
        let about = Some(self.seal.seal("account_log.about", to.as_str())?);
        let what = Happened::AddressChanged;
        let entry = Entry { what, about, masked: masked(from), made_at: now };
        let mailed = self.mails && !crate::sabotage::off("address-told");
        let moved = self.store.move_account(change, address, entry, mailed).await?;
        self.posted.notify_one();
        Ok(moved)
    }

    fn address_of(&self, change: &AddressChange) -> Option<Email> {
        Email::parse(&self.seal.open(ASKED, &change.email)?).ok()
    }
}

/// One change, told apart from all others.
fn named(change: &AddressChange, to: &Email) -> String {
    format!("{} {} {to}", change.account, change.made_at.unix_seconds())
}
