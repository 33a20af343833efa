//! Which box a lease is for: two of its device key, its serial number and its network cards.
//!
//! One that changes alone is a repair or a factory reset; two are another box. Serial number and cards are hashes under
//! a salt of the lease: enough to match, and not readable at a glance, yet whoever has the salt can try all serial
//! numbers of a maker. They are pseudonyms, not anonymous.

use super::jws::kid_of;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// This many of the facts must be right, or all when a lease names fewer.
const ENOUGH: usize = 2;
/// The most network cards a box is known by.
pub const MAX_MACS: usize = 16;
const SALT_CHARS: usize = 22;
const HASH_CHARS: usize = 43;

/// What a box is known by, in a request and in a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Key id ([`kid_of`]) of the device key.
    pub device: String,
    /// 16 random bytes of the device, base64url, that the hashes are made with.
    pub salt: String,
    /// Hash of the serial number, of a box that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Hashes of the permanent addresses of its network cards, sorted, each once.
    pub macs: Vec<String>,
}

/// What a box says of itself at this moment. Never sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The device's public key; empty where there is none.
    pub key: Vec<u8>,
    /// The serial number.
    pub serial: Option<String>,
    /// Permanent addresses of its network cards, six bytes each as `24:5E:BE:00:00:01`.
    pub macs: Vec<String>,
}

/// The hash of one fact: SHA-256 of salt (its text), what it is, and its value, parted by line ends; base64url.
pub fn hash(salt: &str, what: &str, value: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in [salt, "\n", what, "\n", &value.trim().to_ascii_uppercase()] {
        context.update(part.as_bytes());
    }
    BASE64URL_NOPAD.encode(context.finish().as_ref())
}

impl Facts {
    /// What is sent of them, under a salt of 16 random bytes.
    pub fn bound(&self, salt: [u8; 16]) -> Binding {
        let salt = BASE64URL_NOPAD.encode(&salt);
        let mut macs: Vec<_> =
            self.macs.iter().take(MAX_MACS).map(|mac| hash(&salt, "mac", mac)).collect();
        macs.sort();
        macs.dedup();
        let serial = self.serial.as_ref().map(|serial| hash(&salt, "serial", serial));
        Binding { device: kid_of(&self.key), salt, serial, macs }
    }
}

impl Binding {
    /// Whether this is the box: see the top of this file. Of several network cards one is enough.
    pub fn fits(&self, facts: &Facts) -> bool {
        let serial = |bound: &String| {
            facts.serial.as_ref().is_some_and(|serial| hash(&self.salt, "serial", serial) == *bound)
        };
        let card = |mac: &String| self.macs.contains(&hash(&self.salt, "mac", mac));
        let named = [true, self.serial.is_some(), !self.macs.is_empty()];
        let right = [
            self.device == kid_of(&facts.key),
            self.serial.as_ref().is_some_and(serial),
            facts.macs.iter().any(card),
        ];
        let count = |facts: [bool; 3]| facts.into_iter().filter(|fact| *fact).count();
        count(right) >= count(named).min(ENOUGH) || crate::sabotage::off("license-binding")
    }

    /// Whether it has the shape of one.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        let is = |text: &str, length: usize| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            text.len() == length && text.bytes().all(plain)
        };
        let hashes = self.macs.iter().chain(&self.serial).chain([&self.device]);
        let fits = is(&self.salt, SALT_CHARS)
            && hashes.into_iter().all(|hash| is(hash, HASH_CHARS))
            && self.macs.len() <= MAX_MACS
            && self.macs.is_sorted_by(|a, b| a < b);
        if fits { Ok(()) } else { Err("it is not bound to a box as it should be") }
    }
}
