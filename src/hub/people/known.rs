//! Browsers an account knows again, so that only a sign-in with another one is worth a letter (promise S13).
//!
//! A browser has a ticket for each account it was used for, in one cookie; the store has their hashes, and nothing
//! that tells which tickets lie in the same cookie. Being known opens nothing: it spares the letter, and gives the
//! owner tries of their own while somebody else guesses passwords.

use super::email::Email;
use super::{EMAIL, People, PeopleError, Person, Ticket, before, ticket_hash};
use crate::clock::Wall;
use crate::hub::keys::KeyError;
use crate::hub::store::Hash;
use crate::hub::store::people::Happened;
use core::net::IpAddr;
use core::time::Duration;

/// How long after its last sign-in a browser is known.
pub const KNOWN_LIFE: Duration = Duration::from_secs(180 * 24 * 3600);

impl People {
    /// Greets a browser that was just signed in: a ticket for its cookie if this account had not used it before,
    /// whose owner is told.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn greet(
        &self,
        person: &Person,
        tickets: &[String],
        from: IpAddr,
        now: Wall,
    ) -> Result<Option<Ticket>, PeopleError> {
        let known = self.knows_browser(person.account, tickets, now).await?;
        if let Some(hash) = known {
            self.store.remember(hash, person.account, now).await?;
            return Ok(None);
        }
        if crate::sabotage::off("new-browser") {
            return Ok(None);
        }
        let ticket = Ticket::new()?;
        let hash = ticket_hash(ticket.text()).ok_or(KeyError::Random)?;
        self.tell(person.account, Happened::NewBrowser, None, from, now).await?;
        self.store.remember(hash, person.account, now).await?;
        Ok(Some(ticket))
    }

    /// Whose budget of wrong passwords a try at an address counts for: that of the browser where the account knows it,
    /// else that of the address, be it anybody's or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn budget(
        &self,
        email: &Email,
        tickets: &[String],
        now: Wall,
    ) -> Result<Hash, PeopleError> {
        let index = self.seal.index(EMAIL, email.as_str());
        if let Some(account) = self.store.account(index).await?
            && let Some(known) = self.knows_browser(account.number, tickets, now).await?
            && !crate::sabotage::off("known-budget")
        {
            return Ok(known);
        }
        Ok(index)
    }

    /// The ticket, of these, by which an account knows a browser.
    pub(super) async fn knows_browser(
        &self,
        account: u64,
        tickets: &[String],
        now: Wall,
    ) -> Result<Option<Hash>, PeopleError> {
        let hashes = tickets.iter().filter_map(|ticket| ticket_hash(ticket)).collect();
        Ok(self.store.known(hashes, account, before(now, KNOWN_LIFE)).await?)
    }
}
