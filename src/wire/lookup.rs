//! Name look-ups: declared like everything else that leaves, though they go to no hub.

use super::{ParcelBody, example_of};
use crate::card::{Carriage, Destination, Field, Parcel, Purpose, Retention};
use serde::{Deserialize, Serialize};

/// A DNS question for the address of a host that another parcel goes to.
///
/// It belongs to no feature: it is asked on behalf of whichever feature's parcel needs it, passes the
/// gate with that parcel, and stands in the ledger under that feature.
pub static LOOKUP: Parcel = Parcel {
    id: "egress.lookup",
    what: "the host name of a hub, asked of this device's name servers",
    purpose: Purpose::Service,
    to: Destination::Resolver,
    how: Carriage::Lookup,
    fields: &[Field {
        path: "host",
        why: "the name whose address is wanted",
        identifies: false,
        optional: false,
        secret: false,
    }],
    retention: Retention::Nothing,
    example: example_of::<Lookup>,
};

/// Declared body of [`LOOKUP`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The host asked for.
    pub host: String,
}

impl ParcelBody for Lookup {
    const PARCEL: &'static Parcel = &LOOKUP;
    fn example() -> Self {
        Self { host: "hub.example.test".into() }
    }
}
