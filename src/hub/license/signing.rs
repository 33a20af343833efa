//! The hub's own key, and what it signs.

use crate::clock::Wall;
use crate::hub::keys::{KeyError, random};
use crate::hub::people::PeopleError;
use crate::hub::store::license::{IssuerRow, LicenseRow, SeatRow, WithdrawnRow};
use crate::hub::store::{Store, StoreError};
use crate::wire::license::jws::{self, BadLicense, Claims, KEY_BYTES, Sealed};
use crate::wire::license::{
    Entitlement, KeyCertificate, Lease, LicenseId, NEXT, NEXT_JITTER_PERCENT, Plan, Product,
    Revocations, SignedTime, kid_of,
};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::BTreeSet;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a key waits for its certificate.
const WAITS: Duration = Duration::from_secs(30 * 24 * 3600);
/// A lease is renewed this many times in its life at least.
const RENEWALS: u32 = 4;
/// The most licenses in one list: it fits into one document, and with all that goes along into one file.
const MOST_LISTED: usize = 150;
/// The most documents that withdraw keys: every answer carries them.
pub const MOST_WITHDRAWALS: usize = 4;

/// A key that signs at this moment.
pub struct Signing {
    key: Ed25519KeyPair,
    certificate: String,
    withdrawals: Vec<String>,
    now: Wall,
}

/// A key that was made; its certificate is still to come.
pub struct Made {
    /// Its id.
    pub kid: String,
    /// The public key, for the issuer to certify.
    pub key: String,
}

fn from_seed(seed: &str) -> Option<Ed25519KeyPair> {
    let seed = BASE64URL_NOPAD.decode(seed.as_bytes()).ok()?;
    Ed25519KeyPair::from_seed_unchecked(&seed).ok()
}

/// Makes a key. It signs nothing before it is certified.
///
/// # Errors
/// The store's, and the system's when it gives no random bytes.
pub async fn make(store: &dyn Store, now: Wall) -> Result<Made, PeopleError> {
    let seed = BASE64URL_NOPAD.encode(&random::<32>()?);
    let pair = from_seed(&seed).ok_or(KeyError::Random)?;
    let public = pair.public_key().as_ref();
    let (kid, key) = (kid_of(public), BASE64URL_NOPAD.encode(public));
    let expires_at = Wall(now.0.saturating_add(WAITS));
    let row =
        IssuerRow { kid: kid.clone(), key: seed, certificate: None, expires_at, made_at: now };
    store.add_issuer(row).await?;
    Ok(Made { kid, key })
}

/// The key a certificate is for, if this issuer signed it and it still holds.
///
/// # Errors
/// [`BadLicense`].
pub fn certified(
    document: &str,
    issuer: &[u8; KEY_BYTES],
    now: Wall,
) -> Result<(String, KeyCertificate), BadLicense> {
    let certificate: KeyCertificate = Sealed::read(document)?.open(issuer)?;
    if certificate.exp <= now {
        return Err(BadLicense::Malformed("it is over".into()));
    }
    Ok((kid_of(&jws::public_key(&certificate.key)?), certificate))
}

/// What a document withdraws, if this issuer signed it.
///
/// # Errors
/// [`BadLicense`].
pub fn withdrawal(document: &str, issuer: &[u8; KEY_BYTES]) -> Result<Revocations, BadLicense> {
    let list: Revocations = Sealed::read(document)?.open(issuer)?;
    if list.kids.is_empty() {
        return Err(BadLicense::Malformed("it withdraws no key".into()));
    }
    Ok(list)
}

/// Until when this hub can sign by the keys it has; `None` when it cannot.
///
/// # Errors
/// The store's.
pub async fn until(store: &dyn Store, now: Wall) -> Result<Option<Wall>, StoreError> {
    let withdrawn = store.withdrawn().await?;
    let rows = store.issuers().await?;
    let usable = rows.iter().filter_map(|row| Some(usable(row, &withdrawn, now)?.exp));
    Ok(usable.max())
}

/// The certificate of a key, if it may sign at this moment.
fn usable(row: &IssuerRow, withdrawn: &[WithdrawnRow], now: Wall) -> Option<KeyCertificate> {
    let certificate = read_certificate(row.certificate.as_ref()?)?;
    let holds = certificate.nbf <= now && now < certificate.exp;
    let is_withdrawn = withdrawn.iter().any(|other| other.kid == row.kid);
    (holds && !is_withdrawn).then_some(certificate)
}

/// The issuer of a document.
fn issuer_of(document: &str) -> Option<String> {
    Some(Sealed::read(document).ok()?.kid().to_owned())
}

/// What a certificate says that was verified when it was installed.
pub fn read_certificate(document: &str) -> Option<KeyCertificate> {
    let payload = document.split('.').nth(1)?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
}

impl Signing {
    /// The newest key that may sign at this moment.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(store: &dyn Store, now: Wall) -> Result<Option<Self>, PeopleError> {
        let withdrawn = store.withdrawn().await?;
        let signing = |row: IssuerRow| {
            usable(&row, &withdrawn, now)?;
            let (key, certificate) = (from_seed(&row.key)?, row.certificate?);
            // A device that pins another issuer would refuse the whole answer for a document of this one.
            let issuer = issuer_of(&certificate);
            let documents = withdrawn.iter().map(|row| row.document.clone());
            let own: BTreeSet<_> = documents.filter(|text| issuer_of(text) == issuer).collect();
            let now = Wall::from_unix_seconds(now.unix_seconds());
            Some(Self { key, certificate, withdrawals: own.into_iter().collect(), now })
        };
        Ok(store.issuers().await?.into_iter().find_map(signing))
    }

    fn sign(&self, claims: &impl Claims) -> String {
        jws::sign(claims, &self.key, self.key.public_key().as_ref())
    }

    /// The issuer's word for this key, and against others.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.certificate.clone()];
        if !crate::sabotage::off("license-withdrawn-told") {
            keys.extend(self.withdrawals.iter().cloned());
        }
        keys
    }

    /// What was bought. `holder` says nothing to anybody but this hub.
    pub fn entitlement(&self, row: &LicenseRow, lid: LicenseId, holder: String) -> Option<String> {
        let terms = &row.terms;
        let updates = terms.days.filter(|_| terms.plan == Plan::Perpetual);
        let days = |days: u64| DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
        let maintained_until =
            updates.map(|number| Wall(row.starts_at.0.saturating_add(days(number))));
        Some(self.sign(&Entitlement {
            v: 1,
            lid,
            holder,
            product: Product::parse(&row.product).ok()?,
            plan: terms.plan,
            model: terms.model,
            seats: terms.seats,
            features: terms.features.clone(),
            iat: self.now,
            nbf: row.starts_at,
            exp: row.ends_at,
            maintained_until,
            transferable: terms.transferable,
            offline: terms.offline,
        }))
    }

    /// The seat a device sits on.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random bytes.
    pub fn lease(
        &self,
        (row, lid): (&LicenseRow, LicenseId),
        seat: &SeatRow,
        entitlement: &str,
        epoch: u64,
    ) -> Result<String, KeyError> {
        let days = |days: u64| DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
        let good = days(row.terms.lease_days);
        let exp = Wall(self.now.0.saturating_add(good));
        let next = jittered((good / RENEWALS).min(NEXT))?.min(good);
        Ok(self.sign(&Lease {
            v: 1,
            lid,
            entitlement: jws::fingerprint(entitlement),
            bind: seat.bind.clone(),
            seat: seat.seat,
            seq: seat.seq,
            offline: seat.offline,
            iat: self.now,
            next: Wall::from_unix_seconds(self.now.0.saturating_add(next).as_secs()),
            exp,
            grace_until: Wall(exp.0.saturating_add(days(row.terms.grace_days))),
            epoch,
        }))
    }

    /// What is void among the licenses whose ids begin so.
    pub fn revocations(&self, epoch: u64, void: &[String], prefix: &str) -> String {
        let meant = void.iter().rev().filter(|lid| lid.starts_with(prefix)).take(MOST_LISTED);
        let mut lids: Vec<_> = meant.filter_map(|lid| LicenseId::parse(lid).ok()).collect();
        lids.sort();
        lids.dedup();
        if crate::sabotage::off("license-void-told") {
            lids.clear();
        }
        self.sign(&Revocations { v: 1, epoch, iat: self.now, lids, kids: Vec::new() })
    }

    /// The time, for whoever made this nonce.
    pub fn time(&self, nonce: &str) -> String {
        self.sign(&SignedTime { v: 1, nonce: nonce.into(), iat: self.now })
    }
}

/// A span, give or take [`NEXT_JITTER_PERCENT`] hundredths.
fn jittered(span: Duration) -> Result<Duration, KeyError> {
    let [dice] = random::<1>()?;
    let width = 2 * NEXT_JITTER_PERCENT;
    let percent = 100 - NEXT_JITTER_PERCENT + u32::from(dice) * width / u32::from(u8::MAX);
    Ok(span.saturating_mul(percent) / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::license::{MAX_BUNDLE, jws::MAX_DOCUMENT};

    #[test]
    fn a_list_fits_into_one_document_however_much_is_void() {
        let key = from_seed(&BASE64URL_NOPAD.encode(&[1; 32])).unwrap();
        let now = Wall::from_unix_seconds(1_800_000_000);
        let signing = Signing { key, certificate: String::new(), withdrawals: Vec::new(), now };
        let id = |n: u16| {
            let [high, low] = n.to_be_bytes();
            LicenseId::of([0, 0, high, low, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]).to_string()
        };
        let void: Vec<_> = (0..2000).map(id).collect();
        let list = signing.revocations(u64::MAX, &void, void[0].get(..2).unwrap());
        assert!(list.len() <= MAX_DOCUMENT && list.len() <= MAX_BUNDLE * 2 / 3, "{}", list.len());
        let opened: Revocations =
            Sealed::read(&list).unwrap().open(signing.key.public_key().as_ref()).unwrap();
        assert_eq!(opened.lids.len(), MOST_LISTED);
    }
}
