//! The second step of a sign-in: codes, recovery codes, and browsers that are trusted to skip it.
//!
//! With a second factor on, a password opens half a session, which opens nothing but the second step (promise
//! S8). A trusted browser skips that step and never the password (promise K2). Whoever changes the password or
//! the second factor ends all that was begun before.
//!
//! Passkeys are not offered: the browser's half of WebAuthn is a script, and these pages have none; of the crates for
//! the hub's half (looked at on 2026-11-22) `webauthn-rs` 0.6 stands on pre-release cryptography, and `passki` 0.2,
//! `passkey-rp` 0.1 and `webauthn-kit` 1.0, which need no OpenSSL, are too young to hold a door.

use super::totp::Totp;
use super::{People, PeopleError, Person, Ticket, before, masked, ticket_hash};
use crate::clock::Wall;
use crate::hub::keys::{KeyError, random};
use crate::hub::store::Hash;
use crate::hub::store::people::Happened;
use crate::hub::store::second::{Attempt, Browser, Browsers, Factor, Patience};
use crate::secret::Secret;
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;

/// How long the second step may take.
pub const HALF_LIFE: Duration = Duration::from_secs(600);
/// How long a browser is trusted (promise K2).
pub const TRUST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an offered secret may be confirmed.
const OFFER_LIFE: Duration = Duration::from_secs(3600);
/// Five wrong codes close the step for 15 minutes: 480 tries a day, each with 3 of 10^6 codes right, find one
/// once in two years of trying, and each of them stands in the log.
pub const PATIENCE: Patience = Patience { most: 5, closed: Duration::from_secs(15 * 60) };
/// How many recovery codes are made at once.
pub const RECOVERY_CODES: usize = 10;
/// Letters of a recovery code: base 20, no vowels, no words (RFC 8628 section 6.1); ten of them are 43 bits.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 10;

const SECRET: &str = "second_factor.secret";
const OFFER: &str = "second_factor.offer";
const RECOVERY: &str = "recovery_code.code";

/// How far a browser has come.
pub enum Entered {
    /// It is signed in.
    Whole(Ticket),
    /// It has the second step before it.
    Half(Ticket),
}

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It was right, and is used up.
    Right,
    /// It was wrong, or used before.
    Wrong,
    /// Nothing is tried just now.
    Closed,
}

/// What became of a second step.
pub enum Finished {
    /// The browser is signed in; with a second ticket if it is trusted from now on.
    Yes(Ticket, Option<Ticket>),
    /// There is no first step, or none any more.
    Over,
    /// Not with this code.
    No(Checked),
}

/// A secret that is not in force before a code of it was typed. The hub keeps nothing of it: it lies sealed in
/// the form that confirms it.
pub struct Offer {
    /// The secret.
    pub totp: Totp,
    /// For the form.
    pub sealed: String,
}

/// What the owner of an account sees of its second factor.
pub struct Standing {
    /// Since when it is on.
    pub since: Option<Wall>,
    /// How many recovery codes are left.
    pub recovery_left: u64,
}

impl People {
    /// Lets a browser in after the right password or an invitation: wholly, or to the second step.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn enter(
        &self,
        person: &Person,
        trusted: Option<&str>,
        from: IpAddr,
        now: Wall,
    ) -> Result<Entered, PeopleError> {
        let asked = self.store.second(person.account).await?.is_some();
        let asked = asked && !crate::sabotage::off("second-step");
        if !asked || self.trusts(person, trusted, now).await? {
            return Ok(Entered::Whole(self.sign_in(person, from, now).await?));
        }
        let (ticket, hash) = fresh()?;
        self.store.half(hash, person.account, now).await?;
        Ok(Entered::Half(ticket))
    }

    async fn trusts(
        &self,
        person: &Person,
        ticket: Option<&str>,
        now: Wall,
    ) -> Result<bool, PeopleError> {
        let Some(hash) = ticket.and_then(ticket_hash) else { return Ok(false) };
        Ok(self.store.trusts(hash, person.account, before(now, TRUST_LIFE)).await?)
    }

    /// Who has made the first step with this cookie.
    ///
    /// # Errors
    /// The store's.
    pub async fn half(&self, ticket: &str, now: Wall) -> Result<Option<Person>, PeopleError> {
        let Some(hash) = ticket_hash(ticket) else { return Ok(None) };
        let account = self.store.half_of(hash, before(now, HALF_LIFE)).await?;
        Ok(account.and_then(|account| self.person(&account)))
    }

    /// Makes the second step with a code of the app or a recovery code.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn finish(
        &self,
        half: &str,
        typed: &str,
        trust: bool,
        from: IpAddr,
        now: Wall,
    ) -> Result<Finished, PeopleError> {
        let Some(person) = self.half(half, now).await? else { return Ok(Finished::Over) };
        let checked = self.check(&person, typed, from, now).await?;
        if checked != Checked::Right {
            return Ok(Finished::No(checked));
        }
        let Some(hash) = ticket_hash(half) else { return Ok(Finished::Over) };
        if !self.store.end_half(hash).await? {
            return Ok(Finished::Over);
        }
        let session = self.sign_in(&person, from, now).await?;
        let trusted = match trust {
            true => Some(self.trust(&person, from, now).await?),
            false => None,
        };
        Ok(Finished::Yes(session, trusted))
    }

    async fn trust(&self, person: &Person, from: IpAddr, now: Wall) -> Result<Ticket, PeopleError> {
        let (ticket, hash) = fresh()?;
        self.store.trust(hash, person.account, masked(from), now).await?;
        self.tell(person.account, Happened::BrowserTrusted, None, from, now).await?;
        Ok(ticket)
    }

    /// Tries a code of the app, or a recovery code, and uses it up.
    ///
    /// # Errors
    /// The store's.
    pub async fn check(
        &self,
        person: &Person,
        typed: &str,
        from: IpAddr,
        now: Wall,
    ) -> Result<Checked, PeopleError> {
        let account = person.account;
        let (factor, last) = match self.store.attempt(account, PATIENCE, now).await? {
            Attempt::Open { factor, last } => (factor, last),
            Attempt::Closed => return Ok(Checked::Closed),
            Attempt::Off => return Ok(Checked::Wrong),
        };
        let right = if typed.chars().any(char::is_alphabetic) {
            let right = self.store.take_recovery(account, self.recovery(account, typed)).await?;
            if right {
                self.tell(account, Happened::RecoveryUsed, None, from, now).await?;
            }
            right
        } else {
            let totp = self.seal.open(SECRET, &factor.secret).and_then(|text| Totp::read(&text));
            match totp.and_then(|totp| totp.step_of(typed, now)) {
                Some(step) => self.store.take_step(account, step).await?,
                None => crate::sabotage::off("second-code"),
            }
        };
        if right {
            return Ok(Checked::Right);
        }
        self.tell(account, Happened::SecondFailed, None, from, now).await?;
        if last {
            self.tell(account, Happened::SecondLocked, None, from, now).await?;
        }
        Ok(Checked::Wrong)
    }

    /// A new secret for an account, not in force yet.
    ///
    /// # Errors
    /// The system's when it gives no random bytes.
    pub fn offer(&self, person: &Person, now: Wall) -> Result<Offer, PeopleError> {
        let totp = Totp::new()?;
        let text = format!("{} {} {}", person.account, now.unix_seconds(), totp.base32());
        let sealed = BASE64URL_NOPAD.encode(&self.seal.seal(OFFER, &text)?);
        Ok(Offer { totp, sealed })
    }

    /// The secret of an offer that was made to this account not long ago.
    pub fn offered(&self, person: &Person, sealed: &str, now: Wall) -> Option<Offer> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let text = self.seal.open(OFFER, &bytes)?;
        let mut parts = text.splitn(3, ' ');
        let account = parts.next()?.parse::<u64>().ok()?;
        let made_at = Wall::from_unix_seconds(parts.next()?.parse().ok()?);
        let fits = account == person.account && made_at >= before(now, OFFER_LIFE);
        let totp = Totp::read(parts.next()?)?;
        fits.then(|| Offer { totp, sealed: sealed.to_owned() })
    }

    /// Switches the second factor on with a code that proves the secret is in an app. Signs every other browser
    /// out. The recovery codes, for this one time; nothing when the code is wrong or a second factor is on.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn second_on(
        &self,
        person: &Person,
        offer: &Offer,
        typed: &str,
        keep: &str,
        now: Wall,
    ) -> Result<Option<Vec<String>>, PeopleError> {
        let Some(step) = offer.totp.step_of(typed, now) else { return Ok(None) };
        let (codes, hashes) = self.roll(person.account)?;
        let secret = self.seal.seal(SECRET, &offer.totp.base32())?;
        let factor = Factor { secret, made_at: now };
        let but = ticket_hash(keep).ok_or(KeyError::Random)?;
        let on = self.store.second_on(person.account, factor, step, hashes, but).await?;
        Ok(on.then_some(codes))
    }

    /// Switches the second factor off. Signs every other browser out.
    ///
    /// # Errors
    /// The store's.
    pub async fn second_off(&self, person: &Person, keep: &str) -> Result<(), PeopleError> {
        let but = ticket_hash(keep).ok_or(KeyError::Random)?;
        Ok(self.store.second_off(person.account, but).await?)
    }

    /// New recovery codes, for this one time; those before are void.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn new_recovery(
        &self,
        person: &Person,
        now: Wall,
    ) -> Result<Vec<String>, PeopleError> {
        let (codes, hashes) = self.roll(person.account)?;
        self.store.set_recovery(person.account, hashes, now).await?;
        Ok(codes)
    }

    /// How the second factor of an account stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn standing(&self, person: &Person) -> Result<Standing, PeopleError> {
        let factor = self.store.second(person.account).await?;
        let recovery_left = self.store.recovery_left(person.account).await?;
        Ok(Standing { since: factor.map(|factor| factor.made_at), recovery_left })
    }

    /// Whether this is the password of the account.
    ///
    /// # Errors
    /// As [`People::recognise`].
    pub async fn confirm(
        &self,
        person: &Person,
        password: Secret<String>,
    ) -> Result<bool, PeopleError> {
        let found = self.recognise(&person.email, password).await?;
        Ok(found.is_some_and(|found| found.account == person.account))
    }

    /// Sets another password. Signs every other browser out and trusts none any more.
    ///
    /// # Errors
    /// [`super::BadPassword`], and the store's.
    pub async fn change_password(
        &self,
        person: &Person,
        password: Secret<String>,
        keep: &str,
    ) -> Result<(), PeopleError> {
        let hashed = self.passwords.hash(password).await?;
        let but = ticket_hash(keep).ok_or(KeyError::Random)?;
        Ok(self.store.set_password(person.account, hashed, but).await?)
    }

    /// The browsers of an account.
    ///
    /// # Errors
    /// The store's.
    pub async fn browsers(
        &self,
        list: Browsers,
        person: &Person,
        now: Wall,
    ) -> Result<Vec<Browser>, PeopleError> {
        let life = match list {
            Browsers::SignedIn => super::SESSION_LIFE,
            Browsers::Trusted => TRUST_LIFE,
            Browsers::Known => super::known::KNOWN_LIFE,
        };
        Ok(self.store.browsers(list, person.account, before(now, life)).await?)
    }

    /// Takes one browser, or all, from a list; how many there were.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_browsers(
        &self,
        list: Browsers,
        person: &Person,
        one: Option<Hash>,
    ) -> Result<u64, PeopleError> {
        Ok(self.store.end_browsers(list, person.account, one).await?)
    }

    /// Ten codes as they are shown, and as they are kept.
    fn roll(&self, account: u64) -> Result<(Vec<String>, Vec<Hash>), KeyError> {
        let codes = (0..RECOVERY_CODES).map(|_| roll()).collect::<Result<Vec<_>, _>>()?;
        let hashes = codes.iter().map(|code| self.recovery(account, code)).collect();
        Ok((codes, hashes))
    }

    /// What a recovery code is known by: a code of one account is none of another.
    fn recovery(&self, account: u64, typed: &str) -> Hash {
        let letters = typed.chars().filter(char::is_ascii_alphabetic).take(LENGTH * 2);
        let plain: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        self.seal.index(RECOVERY, &format!("{account} {plain}"))
    }
}

fn fresh() -> Result<(Ticket, Hash), KeyError> {
    let ticket = Ticket::new()?;
    let hash = ticket_hash(ticket.text()).ok_or(KeyError::Random)?;
    Ok((ticket, hash))
}

/// A recovery code as it is shown: `BCDFG-HJKLM`.
fn roll() -> Result<String, KeyError> {
    let mut code = String::new();
    while code.len() < LENGTH {
        // 240 is the largest multiple of 20 in a byte: beyond it letters would not be equally likely.
        let fair = random::<16>()?.into_iter().filter(|byte| *byte < 240);
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(byte % 20)));
        code.extend(letters.take(LENGTH - code.len()).map(|letter| char::from(*letter)));
    }
    code.insert(LENGTH / 2, '-');
    Ok(code)
}
