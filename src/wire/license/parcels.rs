//! What a device says to its hub about licenses, and what it hears.
//!
//! A refusal is the hub's usual one: a status, `error` for the owner and `code` for the agent, one of `REFUSED_*`.
//! That a license was revoked is never believed from a refusal: the answer is then 200 with the revocation list.

use super::bind::hash;
use super::claims::Release;
use super::jws;
use super::key::{LicenseId, ProductKey, Wanted};
use crate::card::{Caller, Carriage, Destination, Field, Parcel, Purpose, Retention};
use crate::wire::receipt::{EXAMPLE_NONCE, FORGET_FIELDS};
use crate::wire::signed::Signer;
use crate::wire::{ParcelBody, example_of};
use core::net::{IpAddr, Ipv4Addr};
use serde::{Deserialize, Serialize};

/// 404: no such product key or license, or it is not this owner's. The two are not told apart.
pub const REFUSED_UNKNOWN: &str = "license-unknown";
/// 409: all seats are taken.
pub const REFUSED_NO_SEAT: &str = "license-no-seat";
/// 409: the seat was given out in a file that may still be in use; a release receipt frees it.
pub const REFUSED_OFFLINE: &str = "license-offline-lease";
/// 409: the product needs a newer firmware.
pub const REFUSED_FIRMWARE: &str = "license-firmware";
/// 410: the license is over.
pub const REFUSED_EXPIRED: &str = "license-expired";
/// 410: this device holds no seat of it any more (released, or given to another box): it asks for a new one, or removes it.
pub const REFUSED_RELEASED: &str = "license-released";

const NONCE: Field = Field {
    path: "nonce",
    why: "comes back with the hub's signed time, so that no old answer can set the license clock back",
    identifies: false,
    optional: false,
    secret: false,
};

/// Asks for a seat. The only parcel that says what the box is.
pub static ACTIVATE: Parcel = Parcel {
    id: "license.activate",
    what: "a product key or license, and what this box is known by, to get a lease that holds on this box only",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/license/activate", caller: Caller::Device },
    fields: &[
        Field {
            path: "license",
            why: "which license: the product key as typed, or the id of one of the owner's",
            identifies: true,
            optional: false,
            secret: true,
        },
        Field {
            path: "salt",
            why: "random, so that the same hash says nothing to anybody else",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "serial",
            why: "hash of the serial number: the lease still holds after a factory reset",
            identifies: true,
            optional: true,
            secret: false,
        },
        Field {
            path: "macs",
            why: "hashes of the network cards' addresses: the lease still holds after a repair",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "firmware",
            why: "a product that needs a newer firmware says so instead of taking a seat",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "ip",
            why: "the box's own address, shown beside its seat so that its owner knows which box it is",
            identifies: true,
            optional: true,
            secret: false,
        },
        NONCE,
    ],
    retention: Retention::UntilDisabled,
    example: example_of::<Activate>,
};

/// Asks for the next lease of a seat.
pub static RENEW: Parcel = Parcel {
    id: "license.renew",
    what: "the question whether a license that this box has still holds, at the moment its lease names",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/license/renew", caller: Caller::Device },
    fields: &[
        Field {
            path: "lid",
            why: "which license",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "seq",
            why: "which lease of it the box has: two boxes with one lease show",
            identifies: false,
            optional: false,
            secret: false,
        },
        NONCE,
    ],
    retention: Retention::UntilDisabled,
    example: example_of::<Renew>,
};

/// Gives a seat back.
pub static RELEASE: Parcel = Parcel {
    id: "license.release",
    what: "this box's signed word that it gives the seat of a license back",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/license/release", caller: Caller::Device },
    fields: &[Field {
        path: "receipt",
        why: "the signature proves that this box, and nobody else, gave up its seat",
        identifies: true,
        optional: false,
        secret: false,
    }],
    retention: Retention::Nothing,
    example: example_of::<Return>,
};

/// Asks for the revocations, as nobody: a hub that has forgotten this device can still answer.
pub static REVOKED: Parcel = Parcel {
    id: "license.revoked",
    what: "the question which licenses of a range were revoked, asked when the hub does not know this device any more",
    purpose: Purpose::Security,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/license/revoked", caller: Caller::Anonymous },
    fields: &[Field {
        path: "prefix",
        why: "the first two characters of a license's id, which one in 1024 shares, so that the answer is short",
        identifies: false,
        optional: false,
        secret: false,
    }],
    retention: Retention::Nothing,
    example: example_of::<Revoked>,
};

/// Makes the hub forget which seats this box holds.
pub static FORGET: Parcel = Parcel {
    id: "license.forget",
    what: "the demand to erase what the hub keeps of this device's licenses, and to free its seats",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/license/forget", caller: Caller::Device },
    fields: FORGET_FIELDS,
    retention: Retention::Nothing,
    example: example_of::<Forget>,
};

const SALT: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn lid() -> LicenseId {
    LicenseId::of([7; 16])
}

/// Body of [`ACTIVATE`]; the answer is [`Documents`]: key certificate, entitlement, lease, revocation list, signed time.
/// With the device key of the connection, `salt`, `serial` and `macs` are the [`super::Binding`] of the lease.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// Product key or license id.
    pub license: Wanted,
    /// 16 random bytes, base64url.
    pub salt: String,
    /// Hash of the serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Hashes of the network cards, sorted.
    pub macs: Vec<String>,
    /// Version of the firmware; empty where the box does not say.
    pub firmware: String,
    /// The box's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// 16 random bytes, base64url.
    pub nonce: String,
}

impl ParcelBody for Activate {
    const PARCEL: &'static Parcel = &ACTIVATE;
    fn example() -> Self {
        Self {
            license: Wanted::new(ProductKey::of([7; 23]).expose()),
            salt: SALT.into(),
            serial: Some(hash(SALT, "serial", "Q205I01234")),
            macs: vec![hash(SALT, "mac", "24:5E:BE:00:00:01")],
            firmware: "5.2.1".into(),
            ip: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
            nonce: SALT.into(),
        }
    }
}

/// Body of [`RENEW`]; the answer is [`Documents`]: the next lease (`seq` + 1) with all that it needs, or, when the
/// license was revoked, the revocation list without a lease.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The license.
    pub lid: LicenseId,
    /// The lease this device has.
    pub seq: u64,
    /// 16 random bytes, base64url.
    pub nonce: String,
}

impl ParcelBody for Renew {
    const PARCEL: &'static Parcel = &RENEW;
    fn example() -> Self {
        Self { lid: lid(), seq: 3, nonce: SALT.into() }
    }
}

/// Answer to [`ACTIVATE`], [`RENEW`] and [`REVOKED`]: documents as the lines of a `.qcl` file, in any order. All together
/// are below [`crate::wire::MAX_BODY`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Documents {
    /// The documents.
    pub documents: Vec<String>,
}

/// Body of [`RELEASE`]; the answer is [`Released`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Return {
    /// A [`Release`] as [`jws::sign_own`] writes it: the key that held the seat, a line end, the document.
    pub receipt: String,
}

impl ParcelBody for Return {
    const PARCEL: &'static Parcel = &RELEASE;
    fn example() -> Self {
        struct Nobody;
        impl Signer for Nobody {
            fn signature(&self, _: &[u8]) -> Vec<u8> {
                vec![7; 64]
            }
        }
        let iat = crate::clock::BUILT;
        let release = Release { v: 1, lid: lid(), seat: 1, seq: 3, nonce: SALT.into(), iat };
        Self { receipt: jws::sign_own(&release, &Nobody, &[7; jws::KEY_BYTES]) }
    }
}

/// Answer to [`RELEASE`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Released {
    /// Whether a seat became free by it; one that was free before is none.
    pub freed: bool,
}

/// Body of [`REVOKED`]; the answer is [`Documents`]: key certificate and revocation list.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The first two characters of a license's id.
    pub prefix: String,
}

impl ParcelBody for Revoked {
    const PARCEL: &'static Parcel = &REVOKED;
    fn example() -> Self {
        Self { prefix: lid().prefix().into() }
    }
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
