//! DDNS at the hub's own zone: `NAME.ZONE` answers with the device's address.

use super::receipt::{EXAMPLE_NONCE, FORGET_FIELDS};
use super::{ParcelBody, example_of};
use crate::card::{Caller, Carriage, Destination, Field, Parcel, Purpose, Retention};
use core::fmt::Display;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds a resolver may keep an answer for a device's name.
pub const TTL_SECONDS: u32 = 60;

/// Says where the name shall point.
pub static UPDATE: Parcel = Parcel {
    id: "ddns.update",
    what: "the addresses the device's name shall answer with",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/ddns/update", caller: Caller::Device },
    fields: &[
        Field {
            path: "a",
            why: "the IPv4 answer of the name",
            identifies: true,
            optional: true,
            secret: false,
        },
        Field {
            path: "aaaa",
            why: "the IPv6 answer of the name",
            identifies: true,
            optional: true,
            secret: false,
        },
    ],
    retention: Retention::UntilDisabled,
    example: example_of::<Update>,
};

/// Takes the name out of the zone.
pub static FORGET: Parcel = Parcel {
    id: "ddns.forget",
    what: "the demand to take the name out of DNS and erase its row",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/ddns/forget", caller: Caller::Device },
    fields: FORGET_FIELDS,
    retention: Retention::Nothing,
    example: example_of::<Forget>,
};

/// What one family of the name shall answer. On the wire one word: `none`, `observed` or the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Answer<A> {
    /// Nothing.
    #[default]
    None,
    /// The address this request comes from, if it is of this family and may be published.
    Observed,
    /// This address.
    Address(A),
}

impl<A: Display> Serialize for Answer<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Observed => serializer.serialize_str("observed"),
            Self::Address(address) => serializer.collect_str(address),
        }
    }
}

impl<'de, A: FromStr> Deserialize<'de> for Answer<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "none" => Ok(Self::None),
            "observed" => Ok(Self::Observed),
            text => text.parse().map(Self::Address).map_err(|_| {
                let shown = super::label::printable(text, 64);
                serde::de::Error::custom(format!("`{shown}` is not none, observed or an address"))
            }),
        }
    }
}

/// Body of [`UPDATE`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Default)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// For A. Left out, it is `none`.
    #[serde(default)]
    pub a: Answer<Ipv4Addr>,
    /// For AAAA. Left out, it is `none`.
    #[serde(default)]
    pub aaaa: Answer<Ipv6Addr>,
}

impl ParcelBody for Update {
    const PARCEL: &'static Parcel = &UPDATE;
    fn example() -> Self {
        Self {
            a: Answer::Address(Ipv4Addr::new(203, 0, 113, 7)),
            aaaa: Answer::Address(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)),
        }
    }
}

/// Answer to [`UPDATE`]: what the zone now says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Updated {
    /// The A record.
    pub a: Option<Ipv4Addr>,
    /// The AAAA record.
    pub aaaa: Option<Ipv6Addr>,
    /// The address the request came from.
    pub observed: IpAddr,
}

/// Body of [`FORGET`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Comes back in the receipt.
    pub nonce: String,
}

impl ParcelBody for Forget {
    const PARCEL: &'static Parcel = &FORGET;
    fn example() -> Self {
        Self { nonce: EXAMPLE_NONCE.into() }
    }
}
