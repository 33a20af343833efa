//! Ways in by a provider of identities (promise Q2): an account is linked by issuer and subject together, never by a
//! mail address, which a provider may give to somebody else tomorrow.

use super::{EMAIL, INVITATION_LIFE, People, PeopleError, Person, before, ticket_hash};
use crate::clock::Wall;
use crate::hub::keys::KeyError;
use crate::hub::oidc::Flow;
use crate::hub::store::Hash;
use crate::hub::store::identity::{Identity, Unlinked};
use crate::hub::store::people::Happened;
use core::net::IpAddr;
use data_encoding::BASE64URL_NOPAD;

const SUBJECT: &str = "identity.subject";
const ISSUER: &str = "identity.issuer";
const FLOW: &str = "identity.flow";

/// A link as its owner sees it.
pub struct Link {
    /// What it is known by.
    pub subject: Hash,
    /// Whose word is taken.
    pub issuer: String,
    /// Since when.
    pub made_at: Wall,
}

impl People {
    /// Who may sign in by this subject at this issuer.
    ///
    /// # Errors
    /// The store's.
    pub async fn linked(&self, issuer: &str, sub: &str) -> Result<Option<Person>, PeopleError> {
        let account = self.store.linked(self.subject(issuer, sub)).await?;
        Ok(account.and_then(|account| self.person(&account)))
    }

    /// Links an account to this subject; false when an account is linked to it already.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn link(
        &self,
        person: &Person,
        (issuer, sub): (&str, &str),
        from: IpAddr,
        now: Wall,
    ) -> Result<bool, PeopleError> {
        let subject = self.subject(issuer, sub);
        let issuer_sealed = self.seal.seal(ISSUER, issuer)?;
        let identity = Identity { subject, issuer: issuer_sealed, made_at: now };
        let linked = self.store.link(person.account, identity).await?;
        if linked {
            self.tell(person.account, Happened::Linked, Some(issuer), from, now).await?;
        }
        Ok(linked)
    }

    /// Takes an invitation without a password: whoever this subject is may sign in. Nothing when the invitation is
    /// over, or an account is linked to the subject already.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn accept_linked(
        &self,
        ticket: &str,
        (issuer, sub): (&str, &str),
        from: IpAddr,
        now: Wall,
    ) -> Result<Option<Person>, PeopleError> {
        let Some(hash) = ticket_hash(ticket) else { return Ok(None) };
        let sealed = self.seal.seal(ISSUER, issuer)?;
        let subject = self.subject(issuer, sub);
        let identity = Identity { subject, issuer: sealed, made_at: now };
        let since = before(now, INVITATION_LIFE);
        let account = self.store.accept_linked(hash, since, identity).await?;
        let Some(person) = account.and_then(|account| self.person(&account)) else {
            return Ok(None);
        };
        self.tell(person.account, Happened::Linked, Some(issuer), from, now).await?;
        Ok(Some(person))
    }

    /// Whether an account has a password to ask for.
    ///
    /// # Errors
    /// The store's.
    pub async fn has_password(&self, person: &Person) -> Result<bool, PeopleError> {
        let account = self.store.account(self.seal.index(EMAIL, person.email.as_str())).await?;
        Ok(account.is_some_and(|account| account.password.is_some()))
    }

    /// What is begun at a provider, for the cookie of the browser that began it.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random bytes.
    pub fn keep_flow(&self, flow: &Flow) -> Result<String, KeyError> {
        let text = serde_json::to_string(flow).map_err(|_| KeyError::Random)?;
        Ok(BASE64URL_NOPAD.encode(&self.seal.seal(FLOW, &text)?))
    }

    /// What was begun, from that cookie.
    pub fn kept_flow(&self, cookie: &str) -> Option<Flow> {
        let text = self.seal.open(FLOW, &BASE64URL_NOPAD.decode(cookie.as_bytes()).ok()?)?;
        serde_json::from_str(&text).ok()
    }

    /// Ends a link, but not the last way in.
    ///
    /// # Errors
    /// The store's.
    pub async fn unlink(
        &self,
        person: &Person,
        subject: Hash,
        from: IpAddr,
        now: Wall,
    ) -> Result<Unlinked, PeopleError> {
        let all = self.links(person).await?;
        let unlinked = self.store.unlink(person.account, subject).await?;
        if unlinked == Unlinked::Yes {
            let issuer = all.iter().find(|link| link.subject == subject).map(|l| l.issuer.as_str());
            self.tell(person.account, Happened::Unlinked, issuer, from, now).await?;
        }
        Ok(unlinked)
    }

    /// The links of an account, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn links(&self, person: &Person) -> Result<Vec<Link>, PeopleError> {
        let all = self.store.identities(person.account).await?;
        let opened = |identity: Identity| {
            let issuer = self.seal.open(ISSUER, &identity.issuer)?;
            Some(Link { subject: identity.subject, issuer, made_at: identity.made_at })
        };
        Ok(all.into_iter().filter_map(opened).collect())
    }

    /// A subject of one issuer is none of another. An issuer is a URL, which has no space (OpenID Connect Core
    /// section 2).
    fn subject(&self, issuer: &str, sub: &str) -> Hash {
        self.seal.index(SUBJECT, &format!("{issuer} {sub}"))
    }
}
