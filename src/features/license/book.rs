//! What is installed: the documents as they came, and what they say of each license.
//!
//! Documents are kept as text and verified when they are taken in and each time they are asked; nothing that was
//! concluded from them is kept but that a license was revoked, that a seat was given back, and that a key was withdrawn.

use super::foreign::Foreign;
use super::time::Question;
use crate::card::Exit;
use crate::clock::Wall;
use crate::sabotage;
use crate::wire::license::jws::{KEY_BYTES, fingerprint};
use crate::wire::license::{
    BadLicense, Entitlement, Facts, Kind, Lease, LicenseId, Opened, Product, Revocations, Sealed,
    SignedTime, Trust,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A hub's key is changed once a year or so; each is some 400 bytes in the state.
const MOST_KEYS: usize = 32;

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Saved {
    /// The licenses.
    pub held: BTreeMap<LicenseId, Held>,
    /// Licenses of other makers.
    pub foreign: Vec<Foreign>,
    /// Key certificates.
    pub keys: Vec<String>,
    /// The newest revocation list of each issuer.
    pub lists: BTreeMap<String, String>,
    /// Ids of the keys each issuer has withdrawn. They are never believed again, whatever comes later.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withdrawn: BTreeMap<String, BTreeSet<String>>,
    /// Of a seat that was given back, the last lease it had.
    pub released: BTreeMap<LicenseId, u64>,
    /// The sealed mark of the license clock, the other of its two places.
    pub mark: Option<String>,
    /// The nonce of the last request file.
    pub question: Option<Question>,
}

/// One license.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// What it was for when it was taken in: a document that is damaged later still stands for it.
    pub product: Product,
    /// What was bought.
    pub entitlement: String,
    /// The seat, once there is one.
    pub lease: Option<String>,
    /// Some list has named it once.
    #[serde(default)]
    pub revoked: bool,
}

/// How a license stands. The order is that of preference when a product has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds.
    Valid,
    /// It holds, and its lease should have been renewed.
    Grace,
    /// Its lease is too old, or it has none.
    LeaseStale,
    /// It begins later.
    NotYet,
    /// It is over.
    Expired,
    /// Its lease is another box's.
    HwMismatch,
    /// It was revoked.
    Revoked,
    /// Signed by nobody this device trusts.
    UnknownKey,
    /// A signature that does not fit.
    BadSignature,
    /// No document of ours.
    Malformed,
}

impl State {
    /// Its exit code.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Valid => Exit::Done,
            Self::Grace => Exit::Grace,
            Self::LeaseStale => Exit::LeaseStale,
            Self::NotYet => Exit::NotYet,
            Self::Expired => Exit::Expired,
            Self::HwMismatch => Exit::HwMismatch,
            Self::Revoked => Exit::Revoked,
            Self::UnknownKey => Exit::UnknownKey,
            Self::BadSignature => Exit::BadSignature,
            Self::Malformed => Exit::Malformed,
        }
    }

    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Grace => "grace",
            Self::LeaseStale => "lease_stale",
            Self::NotYet => "not_yet",
            Self::Expired => "expired",
            Self::HwMismatch => "hw_mismatch",
            Self::Revoked => "revoked",
            Self::UnknownKey => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Malformed => "malformed",
        }
    }
}

impl From<&BadLicense> for State {
    fn from(bad: &BadLicense) -> Self {
        match bad {
            BadLicense::Malformed(_) => Self::Malformed,
            BadLicense::Signature => Self::BadSignature,
            BadLicense::UnknownKey(_) => Self::UnknownKey,
        }
    }
}

/// How a license stands at a moment, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How.
    pub state: State,
    /// Until when that holds, as far as it is known.
    pub until: Option<Wall>,
    /// What was bought; not of one that cannot be read.
    pub entitlement: Option<Entitlement>,
    /// The seat.
    pub lease: Option<Lease>,
}

/// Why documents were not taken in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotTaken {
    /// One of them is not good.
    #[error(transparent)]
    Bad(#[from] BadLicense),
    /// A lease of another box.
    #[error("the lease is another box's")]
    OtherBox,
    /// The license was revoked.
    #[error("the license was revoked")]
    Revoked,
    /// They do not belong together, or are older than what is here.
    #[error("{0}")]
    Unfit(&'static str),
}

impl NotTaken {
    /// The exit code of the command.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bad(bad) => State::from(bad).exit(),
            Self::OtherBox => Exit::HwMismatch,
            Self::Revoked => Exit::Revoked,
            Self::Unfit(_) => Exit::Failed,
        }
    }
}

/// What came in with documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// The licenses they speak of.
    pub lids: BTreeSet<LicenseId>,
    /// The time a hub signed for a nonce.
    pub time: Option<SignedTime>,
    /// The latest time any of them was made at.
    pub latest: Wall,
}

/// The documents and the keys they are verified with.
pub struct Book {
    /// What survives.
    pub saved: Saved,
    issuers: Vec<[u8; KEY_BYTES]>,
    trust: Trust,
    lists: BTreeMap<String, Revocations>,
}

impl Book {
    /// Opens what was saved, believing these issuers.
    pub fn open(saved: Saved, issuers: Vec<[u8; KEY_BYTES]>) -> Self {
        let (trust, lists) = (Trust::default(), BTreeMap::new());
        let mut book = Self { saved, issuers, trust, lists };
        book.read();
        book
    }

    /// Builds what follows from the documents.
    fn read(&mut self) {
        let mut trust = Trust::pinned(self.issuers.iter().copied());
        trust.vouch_all(self.saved.keys.iter().map(String::as_str));
        for (issuer, kids) in &self.saved.withdrawn {
            trust.withdraw(issuer, kids);
        }
        self.lists.clear();
        for list in self.saved.lists.values() {
            if let Ok(opened) = trust.open::<Revocations>(list) {
                self.lists.insert(opened.issuer.clone(), opened.claims);
            }
        }
        self.trust = trust;
    }

    /// Whether there is anything to look after.
    pub fn is_empty(&self) -> bool {
        self.saved.held.is_empty() && self.saved.foreign.is_empty()
    }

    /// Whether any issuer is believed.
    pub fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// How many issuers are believed.
    pub fn issuers_count(&self) -> usize {
        self.issuers.len()
    }

    /// The latest time any kept document was made at: that much has passed.
    pub fn latest(&self) -> Wall {
        let lists = self.lists.values().map(|list| list.iat);
        let leases = self.saved.held.values().filter_map(|held| Some(self.lease(held)?.iat));
        lists.chain(leases).max().unwrap_or_default()
    }

    /// The lease of a license, if it is one at all.
    pub fn lease(&self, held: &Held) -> Option<Lease> {
        Some(self.trust.open::<Lease>(held.lease.as_deref()?).ok()?.claims)
    }

    /// The seat to ask for anew, and whether that is urgent: the key its lease was signed with was withdrawn.
    pub fn seat(&self, held: &Held) -> Option<(Lease, bool)> {
        let withdrawn = || self.trust.open_withdrawn::<Lease>(held.lease.as_deref()?);
        let sound = self.lease(held).map(|lease| (lease, false));
        sound.or_else(|| withdrawn().map(|lease| (lease, true)))
    }

    /// Takes documents in: all of them, or none.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed then.
    pub fn take(&mut self, documents: &[&str], facts: &Facts) -> Result<Taken, NotTaken> {
        let mut next = Self::open(self.saved.clone(), self.issuers.clone());
        let taken = next.take_all(documents, facts)?;
        *self = next;
        Ok(taken)
    }

    fn take_all(&mut self, documents: &[&str], facts: &Facts) -> Result<Taken, NotTaken> {
        let mut kinds: BTreeMap<Kind, Vec<&str>> = BTreeMap::new();
        for document in documents {
            kinds.entry(Sealed::read(document)?.kind).or_default().push(document);
        }
        let of = |kind| kinds.get(&kind).map(Vec::as_slice).unwrap_or_default();
        if !of(Kind::Request).is_empty() || !of(Kind::Release).is_empty() {
            return Err(NotTaken::Unfit("it is for a hub, not for a device"));
        }
        for key in of(Kind::Key) {
            self.trust.vouch(key)?;
            if self.saved.keys.iter().any(|known| known == key) {
                continue;
            }
            if self.saved.keys.len() >= MOST_KEYS {
                return Err(NotTaken::Unfit("there are too many keys here"));
            }
            self.saved.keys.push((*key).into());
        }
        let mut taken = Taken::default();
        // Before the lists, as one of them may be signed by a key that another one withdraws.
        for list in of(Kind::Revocations) {
            self.take_withdrawal(list, &mut taken);
        }
        for list in of(Kind::Revocations) {
            self.take_list(list, &mut taken)?;
        }
        for entitlement in of(Kind::Entitlement) {
            self.take_entitlement(entitlement, &mut taken)?;
        }
        for lease in of(Kind::Lease) {
            self.take_lease(lease, facts, &mut taken)?;
        }
        for time in of(Kind::Time) {
            let opened = self.trust.open::<SignedTime>(time)?;
            taken.time = Some(opened.claims);
        }
        Ok(taken)
    }

    /// What an issuer says of its keys holds for good. No epoch counts here: whoever stole a key can count as high as
    /// he likes.
    fn take_withdrawal(&mut self, document: &str, taken: &mut Taken) {
        let Ok(Opened { claims, issuer }) = self.trust.open::<Revocations>(document) else {
            return;
        };
        if claims.kids.is_empty() {
            return;
        }
        taken.latest = taken.latest.max(claims.iat);
        self.saved.withdrawn.entry(issuer).or_default().extend(claims.kids);
        self.read();
    }

    fn take_list(&mut self, document: &str, taken: &mut Taken) -> Result<(), NotTaken> {
        let opened = self.trust.open::<Revocations>(document)?;
        // What withdraws keys is no list of the hub's, and takes the place of none.
        let is_withdrawal = !opened.claims.kids.is_empty();
        let known = self.epoch(&opened.issuer).filter(|_| !is_withdrawal);
        let older = known.is_some_and(|known| opened.claims.epoch < known);
        if older && !sabotage::off("license-epoch") {
            // An old list says nothing new, and must not take the place of what is known.
            return Ok(());
        }
        taken.latest = taken.latest.max(opened.claims.iat);
        for (lid, held) in &mut self.saved.held {
            let issuer = self.trust.open::<Entitlement>(&held.entitlement).map(|e| e.issuer);
            let same = issuer.is_ok_and(|issuer| issuer == opened.issuer);
            if same && opened.claims.lids.contains(lid) {
                held.revoked = true;
                taken.lids.insert(lid.clone());
            }
        }
        if !is_withdrawal {
            self.saved.lists.insert(opened.issuer, document.into());
            self.read();
        }
        Ok(())
    }

    fn epoch(&self, issuer: &str) -> Option<u64> {
        self.lists.get(issuer).map(|list| list.epoch)
    }

    fn take_entitlement(&mut self, document: &str, taken: &mut Taken) -> Result<(), NotTaken> {
        let Entitlement { lid, iat, product, .. } =
            self.trust.open::<Entitlement>(document)?.claims;
        taken.lids.insert(lid.clone());
        if let Some(held) = self.saved.held.get_mut(&lid) {
            let before = self.trust.open::<Entitlement>(&held.entitlement);
            if before.is_ok_and(|before| before.claims.iat > iat) {
                return Err(NotTaken::Unfit("there is a newer version of this license here"));
            }
            (held.entitlement, held.product) = (document.into(), product);
            return Ok(());
        }
        let held = Held { product, entitlement: document.into(), lease: None, revoked: false };
        self.saved.held.insert(lid, held);
        Ok(())
    }

    fn take_lease(
        &mut self,
        document: &str,
        facts: &Facts,
        taken: &mut Taken,
    ) -> Result<(), NotTaken> {
        let Opened { claims: lease, issuer } = self.trust.open::<Lease>(document)?;
        let held = self.saved.held.get(&lease.lid);
        let held = held.ok_or(NotTaken::Unfit("it brings a lease without its license"))?;
        let of = self.trust.open::<Entitlement>(&held.entitlement)?;
        let belongs = of.issuer == issuer && fingerprint(&held.entitlement) == lease.entitlement;
        let list = self.lists.get(&issuer);
        let before = self.lease(held).map(|before| before.seq).unwrap_or_default();
        let released = self.saved.released.get(&lease.lid).copied();
        let same = held.lease.as_deref() == Some(document);
        if !belongs {
            return Err(NotTaken::Unfit("its lease was made for another license"));
        }
        if held.revoked || list.is_some_and(|list| list.lids.contains(&lease.lid)) {
            return Err(NotTaken::Revoked);
        }
        if list.map_or(0, |list| list.epoch) < lease.epoch {
            return Err(NotTaken::Unfit(
                "it comes without the revocation list its lease was made with",
            ));
        }
        let returned = released.is_some_and(|released| lease.seq <= released);
        if returned && !sabotage::off("license-released") {
            return Err(NotTaken::Unfit("this box gave the seat of that lease back"));
        }
        if lease.seq <= before && !same {
            return Err(NotTaken::Unfit("there is a newer lease of this license here"));
        }
        if !lease.bind.fits(facts) {
            return Err(NotTaken::OtherBox);
        }
        taken.lids.insert(lease.lid.clone());
        taken.latest = taken.latest.max(lease.iat);
        if let Some(held) = self.saved.held.get_mut(&lease.lid) {
            held.lease = Some(document.into());
        }
        Ok(())
    }

    /// How a license stands.
    pub fn judge(&self, held: &Held, facts: &Facts, now: Wall) -> Verdict {
        let plain = |state, until| Verdict { state, until, entitlement: None, lease: None };
        let opened = match self.trust.open::<Entitlement>(&held.entitlement) {
            Ok(opened) => opened,
            Err(bad) => return plain(State::from(&bad), None),
        };
        let lease = held.lease.as_deref().map(|text| self.trust.open::<Lease>(text));
        let (state, until) = self.stands(held, &opened, lease.as_ref(), facts, now);
        let lease = lease.and_then(Result::ok).map(|lease| lease.claims);
        Verdict { state, until, entitlement: Some(opened.claims), lease }
    }

    fn stands(
        &self,
        held: &Held,
        opened: &Opened<Entitlement>,
        lease: Option<&Result<Opened<Lease>, BadLicense>>,
        facts: &Facts,
        now: Wall,
    ) -> (State, Option<Wall>) {
        let Opened { claims: entitlement, issuer } = opened;
        let listed =
            self.lists.get(issuer).is_some_and(|list| list.lids.contains(&entitlement.lid));
        if (held.revoked || listed) && !sabotage::off("license-revoked") {
            return (State::Revoked, None);
        }
        if now < entitlement.nbf {
            return (State::NotYet, Some(entitlement.nbf));
        }
        if let Some(exp) = entitlement.exp.filter(|exp| *exp <= now) {
            return (State::Expired, Some(exp));
        }
        let lease = match lease {
            None => return (State::LeaseStale, None),
            Some(Err(bad)) => return (State::from(bad), None),
            Some(Ok(lease)) => lease,
        };
        let named = fingerprint(&held.entitlement) == lease.claims.entitlement;
        if lease.issuer != *issuer || !named || lease.claims.lid != entitlement.lid {
            return (State::Malformed, None);
        }
        let Lease { exp, grace_until, bind, .. } = &lease.claims;
        if !bind.fits(facts) {
            return (State::HwMismatch, None);
        }
        let until = |end: Wall| Some(entitlement.exp.unwrap_or(end).min(end));
        if now < *exp {
            (State::Valid, until(*exp))
        } else if now < *grace_until || sabotage::off("license-grace") {
            (State::Grace, until(*grace_until))
        } else {
            (State::LeaseStale, Some(*grace_until))
        }
    }

    /// Every license with its verdict.
    pub fn verdicts(&self, facts: &Facts, now: Wall) -> Vec<(&LicenseId, &Held, Verdict)> {
        let judged = |(lid, held)| (lid, held, self.judge(held, facts, now));
        self.saved.held.iter().map(judged).collect()
    }

    /// The best license there is for a product; `None` where there is none at all.
    pub fn best(
        &self,
        product: &Product,
        facts: &Facts,
        now: Wall,
    ) -> Option<(LicenseId, Verdict)> {
        let of = self.saved.held.iter().filter(|(_, held)| held.product == *product);
        let judged = of.map(|(lid, held)| (lid.clone(), self.judge(held, facts, now)));
        judged.min_by_key(|(_, verdict)| verdict.state)
    }
}
