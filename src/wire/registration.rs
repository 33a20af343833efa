//! Registration: a key made on the device gets a row at the hub (RFC 8628 in style).

pub use super::authkey::AuthKey;

use super::label::{Label, printable};
use super::{ParcelBody, example_of};
use crate::card::{Caller, Carriage, Destination, Field, Parcel, Purpose, Retention};
use crate::clock::Wall;
use core::time::Duration;
use serde::{Deserialize, Deserializer, Serialize};

/// How long a user code is good for (RFC 8628 section 3.2 `expires_in`).
pub const CODE_LIFE: Duration = Duration::from_secs(600);
/// How long a device's certificate holds. The row of its key at the hub is the authority and ends it at any moment;
/// this only bounds how long a key that nobody uses any more opens a connection.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The `code` of a refusal whose only reason is that the device's certificate is over: it renews, and comes again.
pub const CERTIFICATE_EXPIRED: &str = "certificate-expired";
/// How often the device may ask (RFC 8628 section 3.2 `interval`); `slow_down` adds as much again.
pub const POLL_SECONDS: u64 = 5;

/// Asks who runs the hub and where it stands, before anything of this device is sent (promise G1).
pub static ABOUT: Parcel = Parcel {
    id: "registration.about",
    what: "the question who runs the hub and where it stands, with nothing of this device in it",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/about", caller: Caller::Anonymous },
    fields: &[],
    retention: Retention::Nothing,
    example: example_of::<About>,
};

/// Asks for a user code.
pub static START: Parcel = Parcel {
    id: "registration.start",
    what: "the device's public key and the name it would like, to get a code that its owner approves",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/register/start", caller: Caller::Applicant },
    fields: &[
        Field {
            path: "spki",
            why: "the key the certificate is made for",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "name",
            why: "the name in DNS and on the approval page",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "auth_key",
            why: "lets the device in without a person who compares words; left out, one is asked",
            identifies: true,
            optional: true,
            secret: true,
        },
    ],
    retention: Retention::For(CODE_LIFE),
    example: example_of::<Start>,
};

/// Asks whether the code was approved.
pub static POLL: Parcel = Parcel {
    id: "registration.poll",
    what: "proof that the asking device holds the key, until its owner has approved the code",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/register/poll", caller: Caller::Applicant },
    fields: &[
        Field {
            path: "device_code",
            why: "which request this is",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "signature",
            why: "proof of the key; a stolen device code is worthless",
            identifies: true,
            optional: false,
            secret: false,
        },
    ],
    retention: Retention::UntilUnregistered,
    example: example_of::<Poll>,
};

/// Asks for another certificate for the same key.
pub static RENEW: Parcel = Parcel {
    id: "registration.renew",
    what: "the wish for another certificate, before this one is over or after",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/registration/renew", caller: Caller::Device },
    fields: &[],
    retention: Retention::Nothing,
    example: example_of::<Renew>,
};

/// Puts another key in the place of the device's own.
pub static REKEY: Parcel = Parcel {
    id: "registration.rekey",
    what: "the public half of the key this device will use from now on, asked for with the key it has",
    purpose: Purpose::Security,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/registration/rekey", caller: Caller::Device },
    fields: &[
        Field {
            path: "spki",
            why: "the key the next certificate is made for",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "signature",
            why: "proof that this device holds the new key; nobody can pass another's key for his own",
            identifies: true,
            optional: false,
            secret: false,
        },
    ],
    retention: Retention::UntilUnregistered,
    example: example_of::<Rekey>,
};

/// Makes the hub forget the device and everything it keeps of it.
pub static FORGET: Parcel = Parcel {
    id: "registration.forget",
    what: "the demand to erase this device at the hub, all its features included",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/registration/forget", caller: Caller::Device },
    fields: super::receipt::FORGET_FIELDS,
    retention: Retention::Nothing,
    example: example_of::<Forget>,
};

/// Body of [`ABOUT`]; the answer is an [`Operator`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct About {}

impl ParcelBody for About {
    const PARCEL: &'static Parcel = &ABOUT;
    fn example() -> Self {
        Self {}
    }
}

/// Body of [`START`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// SubjectPublicKeyInfo of the device key, DER in base64url without padding.
    pub spki: String,
    /// The name the owner asked for.
    pub name: Label,
    /// A key of the hub's operator that stands for their approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_key: Option<AuthKey>,
}

impl ParcelBody for Start {
    const PARCEL: &'static Parcel = &START;
    fn example() -> Self {
        Self {
            spki: "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            name: label("box"),
            auth_key: Some(AuthKey::new("qk1_7z2m4kqa_5yvx3t7wq2nhd6rkfj4mzcgbasdfgh22".into())),
        }
    }
}

/// Answer to [`START`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Started {
    /// Opaque, for polling.
    pub device_code: String,
    /// What the owner types: `BCDF-GHJK`.
    pub user_code: String,
    /// Where the owner types it, or the command that does it.
    pub verification_uri: String,
    /// Seconds between two polls; [`POLL_SECONDS`] when the hub does not say (RFC 8628 section 3.2).
    #[serde(default = "poll_seconds")]
    pub interval_seconds: u64,
    /// Seconds the code is good for.
    pub expires_in_seconds: u64,
    /// Hub's random part of the check words, base64url.
    pub challenge: String,
    /// Who runs the hub, to be shown before the owner decides. A hub may not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
}

/// Who runs the hub and where it stands: whom an owner turns to, and whose law holds (promise R10).
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Operator {
    /// Whom to write to; empty when the hub does not say.
    #[serde(default, deserialize_with = "shown")]
    pub contact: String,
    /// Where the hub stands; empty when it does not say.
    #[serde(default, deserialize_with = "shown")]
    pub region: String,
}

/// A zone is shown, dialled and certified: what is no lower-case DNS name is none.
fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // RFC 1035 section 2.3.4: 255 octets, less `NAME.link.` before it.
    if text.len() <= 185 && text.split('.').all(|label| Label::parse(label).is_ok()) {
        return Ok(text);
    }
    let shown = printable(&text, 60);
    Err(serde::de::Error::custom(format!("`{shown}` is not a zone of DNS names")))
}

/// The longest contact and the longest region, in characters.
pub const OPERATOR_MOST: usize = 200;

/// These texts are the hub's own and end on the owner's terminal: they are made fit for it as they are read.
fn shown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if crate::sabotage::off("operator-printable") {
        return Ok(text);
    }
    Ok(printable(text.trim(), OPERATOR_MOST))
}

const fn poll_seconds() -> u64 {
    POLL_SECONDS
}

/// Body of [`POLL`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// From [`Started`].
    pub device_code: String,
    /// By the device key over [`poll_message`], base64url.
    pub signature: String,
}

impl ParcelBody for Poll {
    const PARCEL: &'static Parcel = &POLL;
    fn example() -> Self {
        Self { device_code: "3q2-7wAAAAAAAAAAAAAAAA".into(), signature: "c2lnbmF0dXJl".into() }
    }
}

/// The bytes a poll signs: domain-separated, so that no other signature of the key fits here.
pub fn poll_message(device_code: &str) -> Vec<u8> {
    [b"qcloud-register-poll/1\0".as_slice(), device_code.as_bytes()].concat()
}

/// Body of [`RENEW`]: the connection says it all.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Renew {}

impl ParcelBody for Renew {
    const PARCEL: &'static Parcel = &RENEW;
    fn example() -> Self {
        Self {}
    }
}

/// Body of [`REKEY`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Rekey {
    /// SubjectPublicKeyInfo of the new key, DER in base64url without padding.
    pub spki: String,
    /// By the new key over [`rekey_message`], base64url.
    pub signature: String,
}

impl ParcelBody for Rekey {
    const PARCEL: &'static Parcel = &REKEY;
    fn example() -> Self {
        Self {
            spki: "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into(),
            signature: "c2lnbmF0dXJl".into(),
        }
    }
}

/// The bytes a rekey signs with the new key: domain-separated, and tied to the one device it is for.
pub fn rekey_message(device: &str, spki: &[u8]) -> Vec<u8> {
    [b"qcloud-rekey/1\0".as_slice(), device.as_bytes(), b"\0", spki].concat()
}

/// Answer to [`POLL`]; the words of RFC 8628 section 3.5.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Polled {
    /// Not yet approved.
    AuthorizationPending,
    /// Asked too often: wait [`POLL_SECONDS`] longer from here on.
    SlowDown,
    /// The owner said no.
    AccessDenied,
    /// The code is too old.
    ExpiredToken,
    /// Approved.
    Approved(Box<Membership>),
}

/// What a registered device knows of its place at the hub. Answer to [`RENEW`] and [`REKEY`] too.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Membership {
    /// The name the device got.
    pub name: Label,
    /// The zone its names are in: DDNS `NAME.ZONE`, link `NAME.link.ZONE`.
    #[serde(deserialize_with = "zone")]
    pub zone: String,
    /// Client certificate, PEM.
    pub certificate: String,
    /// Ed25519 public key that signs the hub's receipts, base64url.
    pub receipt_key: String,
    /// When the certificate is over, by the hub's clock. Zero where a hub of before its time did not say.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub certificate_until: Wall,
    /// The device's id at the hub: that of its first key. Empty where a hub of before its time did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
    /// Who runs the hub, as far as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
}

fn is_unknown(wall: &Wall) -> bool {
    *wall == Wall::default()
}

impl Membership {
    /// The device's id at the hub, for a device whose key has the id `of_key`.
    pub fn device_or<'a>(&'a self, of_key: &'a str) -> &'a str {
        if self.device.is_empty() { of_key } else { &self.device }
    }

    /// The name that answers with the device's address.
    pub fn ddns_host(&self) -> String {
        format!("{}.{}", self.name, self.zone)
    }

    /// The name browsers reach through the relay.
    pub fn link_host(&self) -> String {
        format!("{}.link.{}", self.name, self.zone)
    }
}

/// Body of [`FORGET`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Comes back in the receipt, so that an old one does not pass for a new one.
    pub nonce: String,
}

impl ParcelBody for Forget {
    const PARCEL: &'static Parcel = &FORGET;
    fn example() -> Self {
        Self { nonce: super::receipt::EXAMPLE_NONCE.into() }
    }
}

/// The four check words: 64 bits of SHA-256(challenge || SPKI) as proquints (arXiv:0901.4016), which are
/// pronounceable in most languages and need no word list. Device and approver show the same ones.
pub fn check_words(challenge: &[u8], spki: &[u8]) -> [String; 4] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(challenge);
    context.update(spki);
    let digest = context.finish();
    let (pairs, _) = digest.as_ref().as_chunks::<2>();
    core::array::from_fn(|i| proquint(pairs.get(i).copied().map_or(0, u16::from_be_bytes)))
}

fn proquint(bits: u16) -> String {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aiou";
    let consonant = |shift: u16| char::from(CONSONANTS[usize::from(bits >> shift & 0xf)]);
    let vowel = |shift: u16| char::from(VOWELS[usize::from(bits >> shift & 0x3)]);
    [consonant(12), vowel(10), consonant(6), vowel(4), consonant(0)].iter().collect()
}

/// A label for examples; the texts are literals of this crate.
pub(super) fn label(text: &str) -> Label {
    Label::parse(text).expect("examples are written as valid labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proquints_are_those_of_the_paper() {
        // arXiv:0901.4016: 127.0.0.1 is lusab-babad, 63.84.220.193 is gutih-tugad.
        assert_eq!((proquint(0x7f00), proquint(0x0001)), ("lusab".into(), "babad".into()));
        assert_eq!((proquint(0x3f54), proquint(0xdcc1)), ("gutih".into(), "tugad".into()));
    }

    #[test]
    fn check_words_differ_when_key_or_challenge_do() {
        let words = check_words(b"challenge", b"key");
        assert_ne!(words, check_words(b"challengf", b"key"));
        assert_ne!(words, check_words(b"challenge", b"kez"));
    }
}
