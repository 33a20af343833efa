//! Licenses of makers that use Keygen: their license and machine files are read, and never renewed or sent.
//!
//! A file is PEM-like text around JSON with `enc`, `sig` and `alg`. The signature is Ed25519 over `license/` or `machine/`
//! and `enc`; `enc` is the data set in base64, or AES-256-GCM text, nonce and tag under the SHA-256 of the license key
//! (for machine files with the fingerprint behind it). <https://keygen.sh/docs/api/cryptography/>

use super::book::State;
use crate::clock::Wall;
use crate::wire::license::jws::{BadLicense, KEY_BYTES, MAX_DOCUMENT, holds};
use crate::wire::license::{Facts, Product};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose files are read, from `[[license.keygen]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maker {
    /// What its licenses are for.
    pub product: Product,
    /// The account's Ed25519 public key, 64 hexadecimal digits.
    pub key: String,
}

impl Maker {
    /// Its key.
    pub fn key(&self) -> Option<[u8; KEY_BYTES]> {
        HEXLOWER_PERMISSIVE.decode(self.key.as_bytes()).ok()?.try_into().ok()
    }
}

/// A file that was installed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// What it is for.
    pub product: Product,
    /// The file.
    pub text: String,
    /// What opens an encrypted one: SHA-256 of what its owner typed, base64. The license key itself is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opener: Option<String>,
}

impl core::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Foreign({})", self.product)
    }
}

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The maker's id of the license or machine.
    pub id: String,
    /// When the license ends.
    pub expiry: Option<Wall>,
    /// When the file was made.
    pub issued: Wall,
    /// Until when the file itself may be used.
    pub file_expiry: Option<Wall>,
    /// The box a machine file is for.
    pub fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    enc: String,
    sig: String,
    alg: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Wrapping {
    License,
    Machine,
}

impl Wrapping {
    const fn word(self) -> &'static str {
        match self {
            Self::License => "license",
            Self::Machine => "machine",
        }
    }
}

fn malformed(why: &str) -> BadLicense {
    BadLicense::Malformed(why.into())
}

/// Whether a text is one of these files.
pub fn is_one(text: &str) -> bool {
    unwrapped(text).is_some()
}

fn unwrapped(text: &str) -> Option<(Wrapping, String)> {
    let of = |kind: Wrapping| {
        let upper = kind.word().to_ascii_uppercase();
        let inner = text.trim().strip_prefix(&format!("-----BEGIN {upper} FILE-----"))?;
        let inner = inner.strip_suffix(&format!("-----END {upper} FILE-----"))?;
        Some((kind, inner.chars().filter(|c| !c.is_ascii_whitespace()).collect()))
    };
    of(Wrapping::License).or_else(|| of(Wrapping::Machine))
}

/// What opens an encrypted file, from the license key, or the license key and the fingerprint of a machine file.
pub fn opener(license_key: &str, fingerprint: &str) -> String {
    BASE64.encode(digest(&SHA256, format!("{license_key}{fingerprint}").as_bytes()).as_ref())
}

/// Verifies and reads a file. Nothing in it but the envelope is parsed before its signature held.
///
/// # Errors
/// [`BadLicense`]; [`BadLicense::UnknownKey`] for an encrypted file that the opener does not open.
pub fn read(
    text: &str,
    key: &[u8; KEY_BYTES],
    opener: Option<&str>,
) -> Result<Reading, BadLicense> {
    if text.len() > MAX_DOCUMENT * 2 {
        return Err(malformed("it is too large"));
    }
    let (kind, inner) = unwrapped(text).ok_or_else(|| malformed("it is no license file"))?;
    let json = BASE64.decode(inner.as_bytes()).map_err(|_| malformed("it is not base64"))?;
    let envelope: Envelope =
        serde_json::from_slice(&json).map_err(|_| malformed("its envelope is not understood"))?;
    let encrypted = match envelope.alg.as_str() {
        "base64+ed25519" => false,
        "aes-256-gcm+ed25519" => true,
        _ => return Err(malformed("it is signed in a way this device does not read")),
    };
    let signature = BASE64.decode(envelope.sig.as_bytes()).map_err(|_| BadLicense::Signature)?;
    let message = format!("{}/{}", kind.word(), envelope.enc);
    if !holds(key, message.as_bytes(), &signature) && !crate::sabotage::off("license-foreign") {
        return Err(BadLicense::Signature);
    }
    let plain = if encrypted { decrypted(&envelope.enc, opener)? } else { decoded(&envelope.enc)? };
    let data: Value =
        serde_json::from_slice(&plain).map_err(|_| malformed("its data is not JSON"))?;
    reading(kind, &data).ok_or_else(|| malformed("its data set is not understood"))
}

fn decoded(part: &str) -> Result<Vec<u8>, BadLicense> {
    BASE64.decode(part.as_bytes()).map_err(|_| malformed("its data is not base64"))
}

fn decrypted(enc: &str, opener: Option<&str>) -> Result<Vec<u8>, BadLicense> {
    let locked =
        || BadLicense::UnknownKey("it is encrypted, and this license key does not open it".into());
    let key = BASE64.decode(opener.ok_or_else(locked)?.as_bytes()).map_err(|_| locked())?;
    let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| locked())?;
    let mut parts = enc.split('.').map(decoded);
    let mut next =
        || parts.next().unwrap_or_else(|| Err(malformed("its data has not three parts")));
    let (mut text, nonce, tag) = (next()?, next()?, next()?);
    let nonce =
        Nonce::try_assume_unique_for_key(&nonce).map_err(|_| malformed("its nonce is none"))?;
    text.extend(tag);
    let opened = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut text);
    Ok(opened.map_err(|_| locked())?.to_vec())
}

fn reading(kind: Wrapping, json: &Value) -> Option<Reading> {
    let (data, meta) = (json.get("data")?, json.get("meta")?);
    let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
    // Absent and null are no end; a text that is no time is no license.
    let time = |value: &Value, name: &str| match value.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => Some(Some(wall(value.as_str()?)?)),
    };
    let own = data.get("attributes")?;
    let included = json.get("included").and_then(Value::as_array);
    let is_license = |item: &&Value| item.get("type").and_then(Value::as_str) == Some("licenses");
    let license = included.and_then(|items| items.iter().find(is_license));
    let (attributes, fingerprint) = match kind {
        Wrapping::License => (Some(own), None),
        Wrapping::Machine => {
            (license.and_then(|l| l.get("attributes")), Some(text(own, "fingerprint")?))
        }
    };
    let expiry = match attributes {
        Some(attributes) => time(attributes, "expiry")?,
        None => None,
    };
    let (issued, file_expiry) = (time(meta, "issued")??, time(meta, "expiry")?);
    Some(Reading { id: text(data, "id")?, expiry, issued, file_expiry, fingerprint })
}

/// Reads any text as such a file and as what is in one.
pub fn fuzz(text: &str) {
    let _ = read(text, &[0; KEY_BYTES], None);
    let data = serde_json::from_str::<Value>(text).unwrap_or_default();
    for kind in [Wrapping::License, Wrapping::Machine] {
        if let Some(reading) = reading(kind, &data) {
            let _ = (reading.state(&Facts::default(), reading.issued), reading.until());
        }
    }
    let _ = decrypted(text, Some(&opener("key", "print")));
}

/// `2022-10-16T22:35:07.508Z`, with any fraction; in UTC only.
fn wall(text: &str) -> Option<Wall> {
    let (date, time) = text.split_once('T')?;
    let mut parts = time.strip_suffix('Z')?.split('.').next()?.split(':');
    let mut next = |below: u64| parts.next()?.parse::<u64>().ok().filter(|value| *value < below);
    let (hour, minute, second) = (next(24)?, next(60)?, next(61)?);
    let day = Wall::from_date(date)?.unix_seconds();
    Some(Wall::from_unix_seconds(day + hour * 3600 + minute * 60 + second))
}

impl Reading {
    /// How it stands.
    pub fn state(&self, facts: &Facts, now: Wall) -> State {
        let is_ours = |print: &String| {
            let plain = |text: &str| text.replace([':', '-'], "").to_ascii_lowercase();
            facts.macs.iter().chain(&facts.serial).any(|fact| plain(fact) == plain(print))
        };
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            State::Expired
        } else if self.fingerprint.as_ref().is_some_and(|print| !is_ours(print)) {
            State::HwMismatch
        } else if self.file_expiry.is_some_and(|expiry| expiry <= now) {
            State::LeaseStale
        } else {
            State::Valid
        }
    }

    /// Until when, as far as it says.
    pub fn until(&self) -> Option<Wall> {
        self.expiry.into_iter().chain(self.file_expiry).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap()
    }

    fn key() -> [u8; 32] {
        pair().public_key().as_ref().try_into().unwrap()
    }

    fn file(kind: &str, enc: &str, alg: &str) -> String {
        let sig = BASE64.encode(pair().sign(format!("{kind}/{enc}").as_bytes()).as_ref());
        let json = json!({ "enc": enc, "sig": sig, "alg": alg }).to_string();
        let body = BASE64.encode(json.as_bytes());
        let lines: Vec<_> = body.as_bytes().chunks(60).map(String::from_utf8_lossy).collect();
        let upper = kind.to_uppercase();
        format!("-----BEGIN {upper} FILE-----\n{}\n-----END {upper} FILE-----\n", lines.join("\n"))
    }

    fn data(kind: &str) -> Value {
        let license = json!({ "id": "l1", "type": "licenses", "attributes": { "expiry": "2027-01-02T03:04:05.678Z" } });
        let machine = json!({ "id": "m1", "type": "machines", "attributes": { "fingerprint": "24:5E:BE:00:00:01" } });
        let meta = json!({ "issued": "2026-11-22T10:00:00.000Z", "expiry": "2026-12-22T10:00:00.000Z", "ttl": 2_592_000 });
        match kind {
            "license" => json!({ "data": license, "included": [], "meta": meta }),
            _ => json!({ "data": machine, "included": [license], "meta": meta }),
        }
    }

    fn sealed(kind: &str, opener: &str) -> String {
        let raw = BASE64.decode(opener.as_bytes()).unwrap();
        let secret = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &raw).unwrap());
        let mut text = data(kind).to_string().into_bytes();
        let nonce = [3; 12];
        let tag = secret
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut text,
            )
            .unwrap();
        [BASE64.encode(&text), BASE64.encode(&nonce), BASE64.encode(tag.as_ref())].join(".")
    }

    #[test]
    fn both_kinds_of_file_are_read_plain_and_encrypted() {
        let now = Wall::from_date("2026-12-01").unwrap();
        let own = Facts { macs: vec!["24:5E:BE:00:00:01".into()], ..Facts::default() };
        for kind in ["license", "machine"] {
            let plain =
                file(kind, &BASE64.encode(data(kind).to_string().as_bytes()), "base64+ed25519");
            let reading = read(&plain, &key(), None).unwrap();
            assert_eq!(reading.expiry.map(Wall::rfc3339).as_deref(), Some("2027-01-02T03:04:05Z"));
            assert_eq!(reading.state(&own, now), State::Valid);
            assert_eq!(reading.until(), reading.file_expiry);
            let opener = opener("KEY-1", if kind == "machine" { "24:5E:BE:00:00:01" } else { "" });
            let locked = file(kind, &sealed(kind, &opener), "aes-256-gcm+ed25519");
            assert_eq!(read(&locked, &key(), Some(&opener)), Ok(reading));
            let unknown = |r| matches!(r, Err(BadLicense::UnknownKey(_)));
            assert!(unknown(read(&locked, &key(), None)));
            assert!(unknown(read(&locked, &key(), Some(&super::opener("KEY-2", "")))));
        }
    }

    #[test]
    fn a_file_that_was_changed_is_refused() {
        let enc = BASE64.encode(data("license").to_string().as_bytes());
        let good = file("license", &enc, "base64+ed25519");
        assert_eq!(read(&good, &[0; 32], None), Err(BadLicense::Signature));
        let other = good.replace("LICENSE", "MACHINE");
        assert_eq!(
            read(&other, &key(), None),
            Err(BadLicense::Signature),
            "each kind has its prefix"
        );
        let malformed =
            |text: &str| matches!(read(text, &key(), None), Err(BadLicense::Malformed(_)));
        assert!(malformed(&file("license", &enc, "base64+rsa-sha256")));
        assert!(malformed(&file("license", &enc, "none")));
        assert!(malformed("") && malformed(&good[..40]));
        let bad = data("license").to_string().replace("2027-01-02T", "soon ");
        assert!(malformed(&file("license", &BASE64.encode(bad.as_bytes()), "base64+ed25519")));
    }

    #[test]
    fn the_states_of_a_foreign_license() {
        let enc = BASE64.encode(data("machine").to_string().as_bytes());
        let reading = read(&file("machine", &enc, "base64+ed25519"), &key(), None).unwrap();
        let own = Facts { macs: vec!["245ebe000001".into()], ..Facts::default() };
        let at = |date: &str| reading.state(&own, Wall::from_date(date).unwrap());
        assert_eq!(
            (at("2026-12-01"), at("2026-12-23"), at("2027-02-01")),
            (State::Valid, State::LeaseStale, State::Expired)
        );
        assert_eq!(
            reading.state(&Facts::default(), Wall::from_date("2026-12-01").unwrap()),
            State::HwMismatch
        );
    }
}
