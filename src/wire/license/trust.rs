//! Whose signature counts for what: issuer keys that are pinned, and the keys they vouch for.

use super::claims::{Entitlement, KeyCertificate, Lease, Revocations, SignedTime, Use};
use super::jws::{BadLicense, Claims, KEY_BYTES, Kind, Sealed, kid_of, public_key};
use crate::clock::Wall;
use std::collections::{BTreeMap, BTreeSet};

/// A document that an issuer stands behind, and which issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// What it says.
    pub claims: T,
    /// The key id of the pinned issuer key.
    pub issuer: String,
}

/// A document that only issuers, and keys they vouch for, sign.
pub trait Issued: Claims {
    /// The use a certified key needs for it; `None` for what only the issuer key signs.
    fn needs(&self) -> Option<Use>;
    /// When it was made.
    fn made(&self) -> Wall;
}

impl Issued for Entitlement {
    fn needs(&self) -> Option<Use> {
        Some(Use::Entitlement)
    }
    fn made(&self) -> Wall {
        self.iat
    }
}

impl Issued for Lease {
    fn needs(&self) -> Option<Use> {
        Some(Use::Lease)
    }
    fn made(&self) -> Wall {
        self.iat
    }
}

impl Issued for Revocations {
    fn needs(&self) -> Option<Use> {
        // A hub's key that was stolen must not be able to take the trust out of its successor.
        let plain = self.kids.is_empty() || crate::sabotage::off("license-withdrawn-root");
        plain.then_some(Use::Revocations)
    }
    fn made(&self) -> Wall {
        self.iat
    }
}

impl Issued for SignedTime {
    fn needs(&self) -> Option<Use> {
        Some(Use::Time)
    }
    fn made(&self) -> Wall {
        self.iat
    }
}

struct Certified {
    issuer: String,
    key: [u8; KEY_BYTES],
    certificate: KeyCertificate,
}

/// The keys this device believes.
#[derive(Default)]
pub struct Trust {
    issuers: BTreeMap<String, [u8; KEY_BYTES]>,
    certified: BTreeMap<String, Certified>,
    /// By issuer and key id: no issuer speaks of the keys of another one.
    withdrawn: BTreeSet<(String, String)>,
}

impl Trust {
    /// Believes these issuer keys, and nobody else yet.
    pub fn pinned(keys: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Self {
        let issuers = keys.into_iter().map(|key| (kid_of(&key), key)).collect();
        Self { issuers, ..Self::default() }
    }

    /// Key ids of the pinned issuer keys.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.keys().map(String::as_str)
    }

    /// Takes a [`KeyCertificate`] of a pinned issuer.
    ///
    /// # Errors
    /// [`BadLicense`]; what it names is then not believed.
    pub fn vouch(&mut self, document: &str) -> Result<(), BadLicense> {
        let sealed = Sealed::read(document)?;
        let unknown = || BadLicense::UnknownKey(sealed.kid().into());
        let issuer = self.issuers.get(sealed.kid()).ok_or_else(unknown)?;
        let certificate: KeyCertificate = sealed.open(issuer)?;
        let key = public_key(&certificate.key)?;
        let certified = Certified { issuer: sealed.kid().into(), key, certificate };
        self.certified.insert(kid_of(&key), certified);
        Ok(())
    }

    /// Takes every key certificate among documents, and passes over those that it cannot take: what they were to
    /// vouch for is then of an unknown key.
    pub fn vouch_all<'a>(&mut self, documents: impl IntoIterator<Item = &'a str>) {
        let is_key = |text: &&str| Sealed::read(text).is_ok_and(|sealed| sealed.kind == Kind::Key);
        for document in documents.into_iter().filter(is_key) {
            if let Err(error) = self.vouch(document) {
                tracing::debug!(%error, "a key certificate was not taken");
            }
        }
    }

    /// Never believes these certified keys of an issuer again, whether they are known yet or not.
    pub fn withdraw<'a>(&mut self, issuer: &str, kids: impl IntoIterator<Item = &'a String>) {
        self.withdrawn.extend(kids.into_iter().map(|kid| (issuer.to_owned(), kid.clone())));
    }

    /// Opens a document of an issuer.
    ///
    /// # Errors
    /// [`BadLicense::UnknownKey`] also for a key that is known, and not for this kind or this time.
    pub fn open<T: Issued>(&self, document: &str) -> Result<Opened<T>, BadLicense> {
        let sealed = Sealed::read(document)?;
        let kid = sealed.kid();
        if let Some(key) = self.issuers.get(kid) {
            return Ok(Opened { claims: sealed.open(key)?, issuer: kid.into() });
        }
        let known = self.certified.get(kid);
        let known = known.ok_or_else(|| BadLicense::UnknownKey(kid.into()))?;
        if self.is_withdrawn(kid, known) && !crate::sabotage::off("license-withdrawn") {
            return Err(BadLicense::UnknownKey(format!("{kid}, which its issuer has withdrawn")));
        }
        known.opens(&sealed)
    }

    fn is_withdrawn(&self, kid: &str, known: &Certified) -> bool {
        self.withdrawn.contains(&(known.issuer.clone(), kid.to_owned()))
    }

    /// Opens what a certified key signed that its issuer has withdrawn since. It proves nothing any more: it says what
    /// to ask for anew.
    pub fn open_withdrawn<T: Issued>(&self, document: &str) -> Option<T> {
        let sealed = Sealed::read(document).ok()?;
        let known = self.certified.get(sealed.kid())?;
        let opened = known.opens(&sealed).ok()?;
        self.is_withdrawn(sealed.kid(), known).then_some(opened.claims)
    }
}

impl Certified {
    fn opens<T: Issued>(&self, sealed: &Sealed<'_>) -> Result<Opened<T>, BadLicense> {
        let claims: T = sealed.open(&self.key)?;
        let KeyCertificate { uses, nbf, exp, .. } = &self.certificate;
        let may = claims.needs().is_some_and(|needed| uses.contains(&needed));
        let then = (*nbf..=*exp).contains(&claims.made());
        let allowed = may && then;
        if !allowed && !crate::sabotage::off("license-key-use") {
            let why = if may { "at that time" } else { "for this" };
            return Err(BadLicense::UnknownKey(format!("{}, which is not {why}", sealed.kid())));
        }
        Ok(Opened { claims, issuer: self.issuer.clone() })
    }
}
