//! Plain data at the bottom of the house: what a feature says of itself.
//!
//! A [`Card`] is a constant. The command line, the catalogue of what leaves the device, the gate,
//! the hub's route table and its retention sweep are all read from the same cards and parcels, so
//! that none of them can say something the others do not.

use core::time::Duration;
use serde::Serialize;
use serde_json::Value;

/// What a feature is, promises, sends and understands. One constant for each feature.
#[derive(Debug)]
pub struct Card {
    /// The CLI noun, the config section, the directory, the tracing span and the parcel prefix: `[a-z]+`.
    pub name: &'static str,
    /// One sentence for a person: what switching it on gives them.
    pub promise: &'static str,
    /// The rows of the promise suite it must keep.
    pub promises: &'static [&'static str],
    /// How it comes to life.
    pub switch: Switch,
    /// Everything it may ever send.
    pub parcels: &'static [&'static Parcel],
    /// The parcel that makes the hub forget it; required as soon as one parcel is kept there.
    pub forget: Option<&'static Parcel>,
    /// The health warnings it may raise.
    pub warnings: &'static [&'static Warning],
    /// What a person can ask of it, besides `on`, `off` and `status`.
    pub verbs: &'static [Verb],
}

impl Card {
    /// Finds one of its parcels, the forget parcel included, by id.
    pub fn parcel(&self, id: &str) -> Option<&'static Parcel> {
        self.all_parcels().find(|parcel| parcel.id == id)
    }

    /// All its parcels, the forget parcel last.
    pub fn all_parcels(&self) -> impl Iterator<Item = &'static Parcel> {
        self.parcels.iter().copied().chain(self.forget)
    }
}

/// How a feature comes to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Always open, idle until one of its verbs is used (registration).
    Always,
    /// Off until the owner says `NAME on`.
    OnOff,
}

/// One declared kind of egress: what leaves, why, to whom, how, and how long it is kept there.
///
/// Two parcels are the same when their ids are.
#[derive(Debug)]
pub struct Parcel {
    /// `feature.word`, unique.
    pub id: &'static str,
    /// One sentence for a person.
    pub what: &'static str,
    /// Decides whether consent is needed.
    pub purpose: Purpose,
    /// Whom it goes to.
    pub to: Destination,
    /// The carrier, and what the carrier adds of its own.
    pub how: Carriage,
    /// Every field of the body, at every depth.
    pub fields: &'static [Field],
    /// How long the other side keeps it. The hub's sweep is driven by this.
    pub retention: Retention,
    /// A body with every field present, made of documentation values.
    pub example: fn() -> Value,
}

impl PartialEq for Parcel {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
impl Eq for Parcel {}

impl Parcel {
    /// A body of this parcel as it may be kept and shown: without the values of its secret fields.
    pub fn masked(&self, mut body: Value) -> Value {
        for field in self.fields.iter().filter(|field| field.secret) {
            mask(&mut body, &mut field.path.split('.'));
        }
        body
    }

    /// The feature that owns it: the id up to the dot.
    pub fn feature(&self) -> &'static str {
        self.id.split('.').next().unwrap_or(self.id)
    }
}

fn mask(value: &mut Value, path: &mut core::str::Split<'_, char>) {
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| mask(item, &mut path.clone()));
        return;
    }
    match path.next() {
        Some(name) => {
            if let Some(member) = value.get_mut(name) {
                mask(member, path);
            }
        }
        None => *value = MASKED.into(),
    }
}

/// One field of a parcel's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its path in the body: `name`, `address.v4`; a list is passed through (`services.name`).
    pub path: &'static str,
    /// What breaks without it.
    pub why: &'static str,
    /// Whether it tells this device or its owner from others.
    pub identifies: bool,
    /// Whether the owner may have it left out; the rest of the parcel then still does its work (promise C1).
    pub optional: bool,
    /// Whether whoever reads it could use it in the device's place. It is sent as it is; in everything that is kept
    /// or shown of the body, [`MASKED`] stands for it.
    pub secret: bool,
}

/// What stands for the value of a secret field in everything that is kept or shown.
pub const MASKED: &str = "[secret]";

/// Why something leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The feature cannot do its work without it.
    Service,
    /// It protects the device or its owner.
    Security,
    /// It helps the makers. Needs consent.
    Improve,
    /// It goes to somebody else than the hub's operator. Needs consent.
    ThirdParty,
}

impl Purpose {
    /// Whether the owner must have said yes first.
    pub const fn needs_consent(self) -> bool {
        matches!(self, Self::Improve | Self::ThirdParty)
    }
}

/// Whom a parcel goes to. The gate turns it into a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The hub this device is registered at, or is being registered at.
    Hub,
    /// The name servers of this device.
    Resolver,
    /// A service of the box itself or of its LAN that the owner has published.
    OwnService,
}

/// How a parcel is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carriage {
    /// One HTTPS POST. The only headers are those of [`HTTP_HEADERS`].
    Https {
        /// The path at the hub.
        path: &'static str,
        /// Whom the connection shows itself as.
        caller: Caller,
    },
    /// The QUIC session, as the device.
    Session,
    /// A DNS question over UDP, over TCP when the answer is truncated.
    Lookup,
    /// A TCP connection that stays inside the box or its LAN.
    Local,
}

/// The request headers of every HTTPS parcel, in the order in which they are sent. There is no user agent, cookie or
/// language.
pub const HTTP_HEADERS: &[&str] = &["content-type", "accept", "host", "content-length"];

/// Whom a connection shows itself as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// Nobody: no client certificate, no resumption, no identifying field.
    Anonymous,
    /// A device that has no certificate yet; its key is in the body.
    Applicant,
    /// The device, by its client certificate.
    Device,
}

/// How long the other side keeps what a parcel brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retention {
    /// It is used and dropped.
    Nothing,
    /// At most this long.
    For(Duration),
    /// Until the feature is switched off, which erases it.
    UntilDisabled,
    /// Until the device is unregistered, which erases it whatever feature brought it.
    UntilUnregistered,
}

/// A health warning a feature may raise. Raised again, it replaces its own text.
#[derive(Debug)]
pub struct Warning {
    /// `feature-what`, unique.
    pub code: &'static str,
    /// One line for a person.
    pub title: &'static str,
    /// A command that helps, as typed.
    pub hint: &'static str,
}

/// Something a person can ask of a feature.
#[derive(Debug)]
pub struct Verb {
    /// As typed after the noun; alone when [`Verb::top`] is set.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Its arguments, positional ones in order.
    pub args: &'static [Arg],
    /// Typed without the noun: `register`, not `registration register`.
    pub top: bool,
}

/// An argument of a verb.
#[derive(Debug)]
pub struct Arg {
    /// Its name; an option is typed `--name`.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// What shape it has.
    pub kind: ArgKind,
}

/// The shape of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Must be given, by position.
    Positional,
    /// `--name VALUE`, must be given.
    Required,
    /// `--name VALUE`, may be given.
    Optional,
    /// `--name`, given or not; its value is `yes`.
    Flag,
    /// `--name VALUE` is never taken, and typed it is a usage error that says why.
    Refused(&'static str),
}

/// The exit codes of both programs. One table, tested as a golden file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Done.
    Done,
    /// Failed; the error says on what and why.
    Failed,
    /// The command line was not understood.
    Usage,
    /// Done in part; the answer says what is missing.
    Partial,
    /// Consent is missing or was refused.
    Consent,
    /// No space left.
    NoSpace,
    /// Something else is at it.
    Busy,
    /// The feature is off.
    Off,
    /// The hub cannot be reached.
    HubUnreachable,
    /// The license holds, and its lease should have been renewed by now.
    Grace,
    /// The license is over.
    Expired,
    /// The license has not begun.
    NotYet,
    /// The lease is another box's.
    HwMismatch,
    /// The license was revoked.
    Revoked,
    /// A signature of the license does not fit.
    BadSignature,
    /// The license is signed by a key this device does not trust.
    UnknownKey,
    /// The license is not a document this device understands.
    Malformed,
    /// There is no lease that is fresh enough.
    LeaseStale,
}

impl Exit {
    /// All of them, for the table.
    pub const ALL: &'static [Self] = &[
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Partial,
        Self::Consent,
        Self::NoSpace,
        Self::Busy,
        Self::Off,
        Self::HubUnreachable,
        Self::Grace,
        Self::Expired,
        Self::NotYet,
        Self::HwMismatch,
        Self::Revoked,
        Self::BadSignature,
        Self::UnknownKey,
        Self::Malformed,
        Self::LeaseStale,
    ];

    /// The number the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Consent => 4,
            Self::NoSpace => 5,
            Self::Busy => 6,
            Self::Off => 7,
            Self::HubUnreachable => 8,
            Self::Grace => 10,
            Self::Expired => 20,
            Self::NotYet => 21,
            Self::HwMismatch => 22,
            Self::Revoked => 23,
            Self::BadSignature => 24,
            Self::UnknownKey => 25,
            Self::Malformed => 26,
            Self::LeaseStale => 27,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static KEYS: Parcel = Parcel {
        id: "test.keys",
        what: "keys at every depth",
        purpose: Purpose::Service,
        to: Destination::Hub,
        how: Carriage::Session,
        fields: &[
            Field { path: "key", why: "", identifies: true, optional: false, secret: true },
            Field { path: "list.key", why: "", identifies: true, optional: false, secret: true },
            Field { path: "name", why: "", identifies: true, optional: false, secret: false },
        ],
        retention: Retention::Nothing,
        example: || Value::Null,
    };

    #[test]
    fn a_secret_is_masked_at_every_depth_and_nothing_else_is() {
        let body = json!({"key": "a", "list": [{"key": "b", "name": "c"}, {"key": {"d": 1}}], "name": "e"});
        let masked = json!({"key": MASKED, "list": [{"key": MASKED, "name": "c"}, {"key": MASKED}], "name": "e"});
        assert_eq!(KEYS.masked(body), masked);
        assert_eq!(KEYS.masked(json!({"name": "e"})), json!({"name": "e"}), "none is made up");
    }
}
