//! People: who may sign in at the hub's pages, and what each of them owns.
//!
//! The store holds an address only sealed and as an HMAC, a password only as Argon2id, and an invitation or a
//! browser's session only as a hash: neither a copy of the database nor a look into it lets anybody in.

pub mod address;
pub mod audit;
pub mod email;
pub mod farewell;
pub mod identity;
pub mod known;
pub mod password;
pub mod profile;
pub mod second;
pub mod sharing;
pub mod totp;

use super::keys::{KeyError, random};
use super::metrics::SIGN_INS;
use super::seal::Seal;
use super::store::people::{Account, Entry, Happened, Letter, Line, Wanted};
use super::store::{Hash, Store, StoreError};
use super::tls::hash;
use super::watch::{Seen, Watch};
use crate::clock::Wall;
use crate::secret::Secret;
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use email::Email;
use password::{BadPassword, Passwords};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// How long an invitation is good for.
pub const INVITATION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a browser stays signed in.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a letter is tried.
pub const LETTER_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a line of an account's log is kept.
pub const LOG_KEPT: Duration = Duration::from_secs(180 * 24 * 3600);

/// What is kept of a sign-in, by table and column; no more (promise Q7).
pub static SIGN_IN_RECORD: &[(&str, &[&str])] = &[
    // The ticket is a hash of the cookie; the address has its host part cleared.
    ("browser", &["ticket", "account", "made_at", "masked"]),
    // `what` is a code of [`Happened`], `about` is sealed and empty for a sign-in.
    ("account_log", &["number", "account", "what", "about", "masked", "made_at"]),
];

const EMAIL: &str = "account.email";
/// For whom a letter is that goes elsewhere than to its account.
const OUTBOX: &str = "outbox.email";

/// Why something with accounts could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The password.
    #[error(transparent)]
    Password(#[from] BadPassword),
}

/// A random secret that its holder shows: in a link or in a cookie. The store has only its hash.
pub struct Ticket(Secret<String>);

impl Ticket {
    /// Rolls one.
    pub(in crate::hub) fn new() -> Result<Self, KeyError> {
        Ok(Self(Secret::new(BASE64URL_NOPAD.encode(&random::<32>()?))))
    }

    /// The text that is shown once.
    pub fn text(&self) -> &str {
        self.0.expose()
    }
}

/// What the store knows a ticket by.
pub fn ticket_hash(text: &str) -> Option<Hash> {
    hash(text.as_bytes())
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The number of the account.
    pub account: u64,
    /// The address of it.
    pub email: Email,
}

/// Accounts over the store.
pub struct People {
    store: Arc<dyn Store>,
    seal: Arc<Seal>,
    passwords: Passwords,
    mails: bool,
    posted: Notify,
    watch: OnceLock<Arc<Watch>>,
    farewells: farewell::Farewells,
}

impl People {
    /// Over a store and its seal; with `mails` there is somebody who empties the outbox.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random bytes.
    pub fn new(store: Arc<dyn Store>, seal: Arc<Seal>, mails: bool) -> Result<Self, KeyError> {
        let (passwords, posted) = (Passwords::new()?, Notify::new());
        let (watch, farewells) = (OnceLock::new(), farewell::Farewells::default());
        Ok(Self { store, seal, passwords, mails, posted, watch, farewells })
    }

    /// From here on sign-ins are watched; the first watch stays.
    pub fn watched_by(&self, watch: &Arc<Watch>) {
        let _ = self.watch.set(Arc::clone(watch));
    }

    fn seen(&self, seen: Seen, now: Wall) {
        SIGN_INS.count(if matches!(seen, Seen::SignedIn { .. }) { "ok" } else { "failed" });
        if let Some(watch) = self.watch.get() {
            watch.saw(seen, now);
        }
    }

    /// Makes an account, or invites the holder of one to set another password. The invitation is for its link.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn invite(&self, email: &Email, now: Wall) -> Result<Ticket, PeopleError> {
        let ticket = Ticket::new()?;
        let hash = ticket_hash(ticket.text()).ok_or(KeyError::Random)?;
        let index = self.seal.index(EMAIL, email.as_str());
        let sealed = self.seal.seal(EMAIL, email.as_str())?;
        self.store.invite(index, sealed, hash, now).await?;
        Ok(ticket)
    }

    /// Whose invitation this is, while it is good.
    ///
    /// # Errors
    /// The store's.
    pub async fn invited(&self, ticket: &str, now: Wall) -> Result<Option<Person>, PeopleError> {
        let Some(hash) = ticket_hash(ticket) else { return Ok(None) };
        let since = before(now, INVITATION_LIFE);
        Ok(self.store.invited(hash, since).await?.and_then(|account| self.person(&account)))
    }

    /// Takes an invitation: sets the password and ends every browser's session of the account.
    ///
    /// # Errors
    /// [`BadPassword`], and the store's.
    pub async fn accept(
        &self,
        ticket: &str,
        password: Secret<String>,
        now: Wall,
    ) -> Result<Option<Person>, PeopleError> {
        let Some(hash) = ticket_hash(ticket) else { return Ok(None) };
        if self.invited(ticket, now).await?.is_none() {
            return Ok(None);
        }
        let hashed = self.passwords.hash(password).await?;
        let account = self.store.accept(hash, before(now, INVITATION_LIFE), hashed).await?;
        Ok(account.and_then(|account| self.person(&account)))
    }

    /// Whose address and password these are. Takes as long for an address nobody has.
    ///
    /// # Errors
    /// The store's; [`BadPassword::Busy`] when too many sign in at once.
    pub async fn recognise(
        &self,
        email: &Email,
        password: Secret<String>,
    ) -> Result<Option<Person>, PeopleError> {
        let account = self.store.account(self.seal.index(EMAIL, email.as_str())).await?;
        let hashed = account.as_ref().and_then(|account| account.password.clone());
        let locked = self.store.locked().await?;
        let is_locked =
            |account: &Account| locked.iter().any(|(number, _)| *number == account.number);
        let account =
            account.filter(|found| !is_locked(found) || crate::sabotage::off("account-lock"));
        let fits = self.passwords.verify(password, hashed).await?;
        let fits = fits || crate::sabotage::off("hub-password");
        Ok(account.filter(|_| fits).and_then(|account| self.person(&account)))
    }

    /// Signs a browser in; the ticket is for its cookie. Only [`second`] may say that nothing is missing.
    async fn sign_in(
        &self,
        person: &Person,
        from: IpAddr,
        now: Wall,
    ) -> Result<Ticket, PeopleError> {
        let ticket = Ticket::new()?;
        let hash = ticket_hash(ticket.text()).ok_or(KeyError::Random)?;
        self.store.sign_in(hash, person.account, masked(from), now).await?;
        self.tell(person.account, Happened::SignedIn, None, from, now).await?;
        Ok(ticket)
    }

    /// Who is signed in with this cookie.
    ///
    /// # Errors
    /// The store's.
    pub async fn signed_in(&self, ticket: &str, now: Wall) -> Result<Option<Person>, PeopleError> {
        let Some(hash) = ticket_hash(ticket) else { return Ok(None) };
        let mut account = self.store.signed_in(hash, before(now, SESSION_LIFE)).await?;
        if account.is_none() && crate::sabotage::off("half-session") {
            account = self.store.half_of(hash, before(now, second::HALF_LIFE)).await?;
        }
        Ok(account.and_then(|account| self.person(&account)))
    }

    /// Signs a browser out.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_out(&self, ticket: &str) -> Result<(), PeopleError> {
        match ticket_hash(ticket) {
            Some(hash) => Ok(self.store.sign_out(hash).await?),
            None => Ok(()),
        }
    }

    /// Adds a line to the log of an account (promise S11), with the address masked (promise Y1).
    ///
    /// # Errors
    /// The store's.
    pub async fn tell(
        &self,
        account: u64,
        what: Happened,
        about: Option<&str>,
        from: IpAddr,
        now: Wall,
    ) -> Result<(), PeopleError> {
        if crate::sabotage::off("account-log") {
            return Ok(());
        }
        let about = about.map(|text| self.seal.seal("account_log.about", text)).transpose()?;
        if what == Happened::SignedIn {
            self.seen(Seen::SignedIn { from, account }, now);
        } else if matches!(what, Happened::SignInFailed | Happened::SecondFailed) {
            self.seen(Seen::SignInFailed { from, account: Some(account) }, now);
        }
        let masked = masked(from);
        let entry = Entry { what, about, masked, made_at: now };
        let mailed = self.mails && what.is_mailed() && !crate::sabotage::off("people-mail");
        self.store.note(account, entry, mailed).await?;
        if mailed {
            self.posted.notify_one();
        }
        Ok(())
    }

    /// The letters that wait to be sent, opened, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn letters(&self, most: u64) -> Result<Vec<(u64, Email, Entry)>, PeopleError> {
        let letters = self.store.outbox(most).await?;
        let opened = |letter: Letter| {
            let email = self.seal.open(EMAIL, &letter.email);
            let email = email.or_else(|| self.seal.open(OUTBOX, &letter.email))?;
            Some((letter.number, Email::parse(&email).ok()?, letter.entry))
        };
        Ok(letters.into_iter().filter_map(opened).collect())
    }

    /// Notes that a letter was sent, or can never be.
    ///
    /// # Errors
    /// The store's.
    pub async fn sent(&self, letter: u64) -> Result<(), PeopleError> {
        Ok(self.store.mailed(letter).await?)
    }

    /// Says that a letter waits which is about no account.
    pub fn wake_post(&self) {
        self.posted.notify_one();
    }

    /// Waits until a letter is posted.
    pub async fn posted(&self) {
        self.posted.notified().await;
    }

    /// The log of an account, newest line first (promise S12).
    ///
    /// # Errors
    /// The store's.
    pub async fn log(
        &self,
        account: u64,
        wanted: Wanted,
        most: u64,
    ) -> Result<Vec<Line>, PeopleError> {
        Ok(self.store.log(account, wanted, most).await?)
    }

    /// Notes a failed sign-in in the log of the account, if there is one with this address.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_in_failed(
        &self,
        email: &Email,
        from: IpAddr,
        now: Wall,
    ) -> Result<(), PeopleError> {
        match self.store.account(self.seal.index(EMAIL, email.as_str())).await? {
            Some(account) => {
                self.tell(account.number, Happened::SignInFailed, None, from, now).await
            }
            None => {
                self.seen(Seen::SignInFailed { from, account: None }, now);
                Ok(())
            }
        }
    }

    /// What a line of the log is about, opened.
    pub fn about(&self, entry: &Entry) -> Option<String> {
        self.seal.open("account_log.about", entry.about.as_ref()?)
    }

    /// What marks the forms of a browser's session.
    pub fn mark(&self, ticket: &str) -> Hash {
        self.seal.index("browser.form", ticket)
    }

    /// Whether this is the mark of a browser's session, compared in constant time.
    pub fn is_mark(&self, ticket: &str, mark: &[u8]) -> bool {
        self.seal.is_index("browser.form", ticket, mark)
    }

    /// What licenses call an account: the same for all of its licenses, and nothing to anybody without the key.
    pub fn license_holder(&self, account: u64) -> String {
        let mark = self.seal.index("license.holder", &account.to_string());
        BASE64URL_NOPAD.encode(mark.get(..16).unwrap_or_default())
    }

    /// The account with this address.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, email: &Email) -> Result<Option<(Person, Account)>, PeopleError> {
        let account = self.store.account(self.seal.index(EMAIL, email.as_str())).await?;
        Ok(account.and_then(|account| Some((self.person(&account)?, account))))
    }

    /// All accounts.
    ///
    /// # Errors
    /// The store's.
    pub async fn all(&self) -> Result<Vec<(Person, Account)>, PeopleError> {
        let accounts = self.store.accounts().await?;
        let opened = |account: Account| Some((self.person(&account)?, account));
        Ok(accounts.into_iter().filter_map(opened).collect())
    }

    fn person(&self, account: &Account) -> Option<Person> {
        let email = self.seal.open(EMAIL, &account.email)?;
        Some(Person { account: account.number, email: Email::parse(&email).ok()? })
    }
}

/// Where a visitor is, as it is written down: the host part cleared (promises Q7, Y1).
fn masked(from: IpAddr) -> IpAddr {
    if crate::sabotage::off("people-mask") { from } else { crate::wire::address::masked(from) }
}

fn before(now: Wall, life: Duration) -> Wall {
    Wall(now.0.saturating_sub(life))
}
