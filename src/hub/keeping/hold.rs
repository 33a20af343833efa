//! Legal holds: what an operator must not lose, kept out of use, for six calendar months at most (promise R4).

use super::Keeping;
use super::journal::JournalError;
use crate::clock::Wall;
use crate::hub::keys::KeyError;
use crate::hub::state::Hub;
use crate::hub::store::hold::{LABEL, ROWS, WHY, account_subject, device_subject};
use crate::hub::store::keep::{Held, Hold, Holding};
use crate::hub::store::{Hash, Store, StoreError};
use crate::wire::receipt::Kept;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a hold is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A device: its id, and its name as it is shown.
    Device {
        /// The id.
        id: String,
        /// The name.
        name: String,
    },
    /// An account, by its number, and the devices of it.
    Account(u64),
}

impl Subject {
    /// What it is found by.
    pub fn hash(&self, keeping: &Keeping) -> Hash {
        match self {
            Self::Device { id, .. } => device_subject(keeping, id),
            Self::Account(number) => account_subject(keeping, *number),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Device { id, name } => format!("device {name} ({id})"),
            Self::Account(number) => format!("account {number}"),
        }
    }
}

/// Why a hold could not be noted or read.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// It cannot be sealed.
    #[error("it could not be sealed")]
    Key(#[from] KeyError),
    /// It was sealed with another key.
    #[error("it does not open with this seal.key")]
    Sealed,
}

/// A hold as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Over what.
    pub what: String,
    /// Why.
    pub why: String,
    /// Since when.
    pub begun_at: Wall,
    /// Until when.
    pub until: Wall,
}

/// What is held of one erasure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// Why.
    pub why: String,
    /// The rows, by table.
    pub rows: BTreeMap<String, Vec<Value>>,
}

/// Notes a hold from now on, or gives the one that stands another reason and end.
///
/// # Errors
/// [`HoldError`].
pub async fn add(
    store: &dyn Store,
    keeping: &Keeping,
    subject: &Subject,
    why: &str,
    until: Wall,
) -> Result<Holding, HoldError> {
    let row = Hold {
        subject: subject.hash(keeping),
        label: keeping.seal.seal(LABEL, &subject.label())?,
        why: keeping.seal.seal(WHY, why)?,
        expires_at: until,
        made_at: keeping.clock.now().wall,
    };
    Ok(store.hold(row).await?)
}

/// All holds.
///
/// # Errors
/// [`HoldError`].
pub async fn list(store: &dyn Store, keeping: &Keeping) -> Result<Vec<Shown>, HoldError> {
    let open = |column, sealed: &[u8]| keeping.seal.open(column, sealed).ok_or(HoldError::Sealed);
    let shown = |hold: Hold| {
        let (what, why) = (open(LABEL, &hold.label)?, open(WHY, &hold.why)?);
        Ok(Shown { what, why, begun_at: hold.made_at, until: hold.expires_at })
    };
    store.holds().await?.into_iter().map(shown).collect()
}

/// What is held now, of one subject or of all, with the row it stands in.
///
/// # Errors
/// [`HoldError`].
pub async fn held(
    store: &dyn Store,
    keeping: &Keeping,
    about: Option<Hash>,
) -> Result<Vec<(Held, Aside)>, HoldError> {
    let open = |held: Held| {
        let text = keeping.seal.open(ROWS, &held.rows).ok_or(HoldError::Sealed)?;
        let aside = serde_json::from_str(&text).map_err(|_| HoldError::Sealed)?;
        Ok((held, aside))
    };
    let now = keeping.clock.now().wall;
    store.held(about, now).await?.into_iter().map(open).collect()
}

/// What is kept of a device after an erasure at this moment, as its receipt names it (promise R12).
///
/// # Errors
/// The store's.
pub async fn kept(hub: &Hub, device: &str, erased_at: Wall) -> Result<Vec<Kept>, StoreError> {
    let about = hub.keeping.as_ref().map(|keeping| device_subject(keeping, device));
    kept_about(hub, about, erased_at).await
}

/// The same of an account.
///
/// # Errors
/// The store's.
pub async fn kept_of_account(
    hub: &Hub,
    account: u64,
    erased_at: Wall,
) -> Result<Vec<Kept>, StoreError> {
    let about = hub.keeping.as_ref().map(|keeping| account_subject(keeping, account));
    kept_about(hub, about, erased_at).await
}

async fn kept_about(
    hub: &Hub,
    about: Option<Hash>,
    erased_at: Wall,
) -> Result<Vec<Kept>, StoreError> {
    let failed = |source: Box<dyn core::error::Error + Send + Sync>| StoreError::Engine {
        what: "say what is kept",
        source,
    };
    let Some(keeping) = &hub.keeping else { return Ok(Vec::new()) };
    let held = held(hub.store.as_ref(), keeping, about).await.map_err(|e| failed(e.into()))?;
    let named = |(held, aside): (Held, Aside)| {
        let tables: Vec<&str> = aside.rows.keys().map(String::as_str).collect();
        let what = format!("rows of {}, out of use", tables.join(", "));
        Kept { what, why: aside.why, until: held.expires_at }
    };
    let backups: Result<_, JournalError> = keeping.kept(erased_at);
    let backups = backups.map_err(|e| failed(e.into()))?;
    if crate::sabotage::off("hub-kept-named") {
        return Ok(Vec::new());
    }
    Ok(held.into_iter().map(named).chain(backups).collect())
}
