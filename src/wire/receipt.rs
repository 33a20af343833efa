//! The hub's signed word that something was erased.

use super::signed::{self, BadDocument};
use crate::card::Field;
use crate::clock::Wall;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// JWS type of an erasure receipt.
pub const TYPE: &str = "qcloud-erasure+jws";

/// The fields of every forget parcel.
pub const FORGET_FIELDS: &[Field] = &[Field {
    path: "nonce",
    why: "comes back in the signed receipt, so that an old receipt cannot pass for a new one",
    identifies: false,
    optional: false,
    secret: false,
}];

/// The nonce of examples.
pub const EXAMPLE_NONCE: &str = "JBSWY3DPEHPK3PXP";

/// Answer to every forget parcel.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Forgotten {
    /// A [`Receipt`] as a signed document.
    pub receipt: String,
}

/// What was erased, and what is kept all the same.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Receipt {
    /// The device id.
    pub device: String,
    /// The feature that was forgotten; `registration` means all of them.
    pub feature: String,
    /// The nonce of the demand.
    pub nonce: String,
    /// When, by the hub's clock.
    pub erased_at: Wall,
    /// Rows erased, by table. A table with none is listed with 0.
    pub rows: BTreeMap<String, u64>,
    /// What is kept, why and until when. Nothing else is.
    pub kept: Vec<Kept>,
}

/// JWS type of the receipt of a whole account's erasure.
pub const ACCOUNT_TYPE: &str = "qcloud-account-erasure+jws";

/// The hub's word that an account is gone; its owner gets it, and nobody else.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AccountReceipt {
    /// The mail address of the account.
    pub account: String,
    /// The names of the devices that went with it.
    pub devices: Vec<String>,
    /// When, by the hub's clock.
    pub erased_at: Wall,
    /// Rows erased, by table. A table with none is listed with 0.
    pub rows: BTreeMap<String, u64>,
    /// What is kept, why and until when. Nothing else is.
    pub kept: Vec<Kept>,
}

/// One thing that stays after an erasure (promise R12).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub what: String,
    /// Why it stays.
    pub why: String,
    /// When it goes.
    pub until: Wall,
}

/// What a receipt must speak of to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The device id.
    pub device: &'a str,
    /// The feature.
    pub feature: &'a str,
    /// The nonce that was sent.
    pub nonce: &'a str,
}

/// Why a receipt is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// The document itself is not good.
    #[error("the receipt is not signed by the hub")]
    Document(#[from] BadDocument),
    /// It is about something else.
    #[error("the receipt speaks of another {0}")]
    Other(&'static str),
}

/// Verifies a receipt against the demand it answers.
///
/// # Errors
/// [`BadReceipt::Document`] for a wrong signature or shape, [`BadReceipt::Other`] for a receipt about
/// another device, feature or demand.
pub fn verify(document: &str, key: &[u8], demand: Demand<'_>) -> Result<Receipt, BadReceipt> {
    let receipt: Receipt = signed::verify(document, TYPE, key)?;
    if receipt.device != demand.device {
        return Err(BadReceipt::Other("device"));
    }
    if receipt.feature != demand.feature {
        return Err(BadReceipt::Other("feature"));
    }
    if receipt.nonce != demand.nonce {
        return Err(BadReceipt::Other("demand"));
    }
    Ok(receipt)
}
