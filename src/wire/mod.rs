//! What crosses between agent and hub: one file for each API, read by both sides.
//!
//! Each request is a typed struct tied to the [`Parcel`] that declares it, so that the catalogue, the
//! gate, the hub's routes and its retention sweep all read the same constant. Messages are golden
//! files: once released they are kept for ever and both sides decode them.

pub mod address;
pub mod authkey;
pub mod chain;
pub mod ddns;
pub mod frame;
pub mod label;
pub mod license;
pub mod link;
pub mod lookup;
pub mod privacy;
pub mod receipt;
pub mod registration;
pub mod signed;

use crate::card::Parcel;
use serde::Serialize;
use serde_json::Value;

/// The most bytes of a JSON body either side reads. The largest message (a certificate chain) is below 4 KiB.
pub const MAX_BODY: usize = 16 * 1024;

/// ALPN of the session between agent and hub.
pub const SESSION_ALPN: &[u8] = b"qcloud/1";
/// ALPN of the HTTPS API.
pub const API_ALPN: &[u8] = b"http/1.1";

/// Every parcel that reaches the hub, in the order of the wire's files. The hub builds its routes from it.
pub const TO_HUB: &[&Parcel] = &[
    &registration::ABOUT,
    &registration::START,
    &registration::POLL,
    &registration::RENEW,
    &registration::REKEY,
    &registration::FORGET,
    &ddns::UPDATE,
    &ddns::FORGET,
    &link::SESSION,
    &link::SERVICES,
    &link::FORGET,
    &privacy::EXPORT,
    &privacy::FIX,
    &privacy::RESTRICT,
    &license::ACTIVATE,
    &license::RENEW,
    &license::RELEASE,
    &license::REVOKED,
    &license::FORGET,
];

/// A request body that belongs to one parcel.
pub trait ParcelBody: Serialize {
    /// The parcel that declares it.
    const PARCEL: &'static Parcel;

    /// One with every field present, made of documentation values.
    fn example() -> Self;
}

/// A parcel with its body, ready for the gate. Only made from the typed struct of that parcel.
#[derive(Clone, Debug)]
pub struct Body {
    parcel: &'static Parcel,
    json: Value,
}

impl Body {
    /// Packs a typed body.
    pub fn of<T: ParcelBody>(body: &T) -> Self {
        Self { parcel: T::PARCEL, json: value_of(body) }
    }

    /// Takes up a body that was saved as JSON (an erasure owed since before a restart). The gate checks
    /// its fields like any other's.
    pub fn restored(parcel: &'static Parcel, json: Value) -> Self {
        Self { parcel, json }
    }

    /// The parcel it belongs to.
    pub fn parcel(&self) -> &'static Parcel {
        self.parcel
    }

    /// The body as JSON.
    pub fn json(&self) -> &Value {
        &self.json
    }
}

/// The example of a parcel's body as JSON, for [`Parcel::example`].
pub fn example_of<T: ParcelBody>() -> Value {
    value_of(&T::example())
}

fn value_of<T: Serialize>(body: &T) -> Value {
    // The wire's structs hold strings, numbers, addresses and lists of them: none of these can fail.
    serde_json::to_value(body).unwrap_or(Value::Null)
}
