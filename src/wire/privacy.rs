//! Privacy: what the hub holds of a device is shown, corrected, or set aside.

use super::label::Label;
use super::{ParcelBody, example_of};
use crate::card::{Caller, Carriage, Destination, Field, Parcel, Purpose, Retention};
use crate::clock::Wall;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest mark of a page.
pub const MAX_PAGE: usize = 64;

/// Asks for everything the hub holds.
pub static EXPORT: Parcel = Parcel {
    id: "privacy.export",
    what: "the demand to see everything the hub holds of this device",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/privacy/export", caller: Caller::Device },
    fields: &[Field {
        path: "page",
        why: "where a long answer goes on",
        identifies: false,
        optional: false,
        secret: false,
    }],
    retention: Retention::Nothing,
    example: example_of::<Export>,
};

/// Corrects what the hub holds.
pub static FIX: Parcel = Parcel {
    id: "privacy.fix",
    what: "the name this device shall have instead of the one the hub holds",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/privacy/fix", caller: Caller::Device },
    fields: &[Field {
        path: "name",
        why: "the corrected name; it replaces the old one everywhere",
        identifies: true,
        optional: false,
        secret: false,
    }],
    retention: Retention::UntilUnregistered,
    example: example_of::<Fix>,
};

/// Has the hub keep a feature's data without using it, or use it again.
///
/// The order itself stays at the hub, or a restart of it would undo the order. It goes with the feature's
/// data, and with the device's at the latest.
pub static RESTRICT: Parcel = Parcel {
    id: "privacy.restrict",
    what: "the demand to keep a feature's data without using it, or to use it again",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/privacy/restrict", caller: Caller::Device },
    fields: &[
        Field {
            path: "feature",
            why: "whose data is meant",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "restricted",
            why: "whether it is set aside or taken up again",
            identifies: false,
            optional: false,
            secret: false,
        },
    ],
    retention: Retention::UntilUnregistered,
    example: example_of::<Restrict>,
};

/// Body of [`EXPORT`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// Empty for the first page, then [`Page::next`].
    pub page: String,
}

impl ParcelBody for Export {
    const PARCEL: &'static Parcel = &EXPORT;
    fn example() -> Self {
        Self { page: "link_log.17".into() }
    }
}

/// Answer to [`EXPORT`]: as much as fits into one body.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Page {
    /// The device id.
    pub device: String,
    /// When it was read, by the hub's clock.
    pub at: Wall,
    /// The features whose data is kept and not used.
    pub restricted: Vec<Restrictable>,
    /// Every table the hub has, or its continuation.
    pub tables: Vec<Table>,
    /// Asks for the rest; `None` when this was all.
    pub next: Option<String>,
}

/// One table.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Table {
    /// Its name at the hub.
    pub table: String,
    /// The parcel whose retention its rows have.
    pub parcel: String,
    /// The rows of this device.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Row {
    /// When the sweep takes it; `None` when only an erasure does.
    pub until: Option<Wall>,
    /// Every column as it is kept; bytes in base64url.
    pub data: Map<String, Value>,
}

/// Body of [`FIX`]; the answer is the device's new [`Membership`](super::registration::Membership).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// The name it shall have.
    pub name: Label,
}

/// The fields of [`Fix`]: what can be corrected.
pub const FIXABLE: &[&str] = &["name"];

impl ParcelBody for Fix {
    const PARCEL: &'static Parcel = &FIX;
    fn example() -> Self {
        Self { name: super::registration::label("attic") }
    }
}

/// A feature whose data the hub can set aside. Without the row of its key a device has no place at all, so
/// that `registration` can only be erased.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Restrictable {
    /// Its name does not answer, and takes no updates.
    Ddns,
    /// No visitor is let in.
    Link,
}

impl Restrictable {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Ddns, Self::Link];

    /// The feature's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddns => "ddns",
            Self::Link => "link",
        }
    }

    /// By the feature's name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.name() == name)
    }
}

/// Body of [`RESTRICT`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// Whose data.
    pub feature: Restrictable,
    /// Whether it is set aside.
    pub restricted: bool,
}

impl ParcelBody for Restrict {
    const PARCEL: &'static Parcel = &RESTRICT;
    fn example() -> Self {
        Self { feature: Restrictable::Ddns, restricted: true }
    }
}

/// Answer to [`RESTRICT`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Restrictions {
    /// Everything that is set aside now.
    pub restricted: Vec<Restrictable>,
}
