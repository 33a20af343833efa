//! The envelope: JWS compact (RFC 7515), EdDSA over Ed25519 only (RFC 8037), one header for each kind of document.
//!
//! The header is compared, not parsed: before and after the key id every byte is fixed. `none`, HS256, RS256, `jwk`,
//! `jku`, `crit`, members twice, in another order or in another case all fail that one comparison.

use crate::wire::label::printable;
use crate::wire::signed::Signer;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Serialize, de::DeserializeOwned};

/// The largest document that is looked at, in bytes.
pub const MAX_DOCUMENT: usize = 8 * 1024;
/// How deep a payload may nest; the deepest of ours has two levels.
const MAX_DEPTH: usize = 4;
/// An Ed25519 public key (RFC 8032 section 5.1.5).
pub const KEY_BYTES: usize = 32;
/// A SHA-256 in base64url.
const KID_CHARS: usize = 43;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`super::KeyCertificate`].
    Key,
    /// [`super::Entitlement`].
    Entitlement,
    /// [`super::Lease`].
    Lease,
    /// [`super::Revocations`].
    Revocations,
    /// [`super::SignedTime`].
    Time,
    /// [`super::Request`].
    Request,
    /// [`super::Release`].
    Release,
}

impl Kind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Key,
        Self::Entitlement,
        Self::Lease,
        Self::Revocations,
        Self::Time,
        Self::Request,
        Self::Release,
    ];

    /// Its `typ`.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::Key => "qcl-key+jws",
            Self::Entitlement => "qcl-ent+jws",
            Self::Lease => "qcl-lease+jws",
            Self::Revocations => "qcl-rev+jws",
            Self::Time => "qcl-time+jws",
            Self::Request => "qcl-req+jws",
            Self::Release => "qcl-rel+jws",
        }
    }

    fn opening(self) -> String {
        format!(r#"{{"alg":"EdDSA","typ":"{}","kid":""#, self.typ())
    }
}

const CLOSING: &str = "\"}";

/// Why a document is refused. Each is a state of `license check`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLicense {
    /// Not one of our documents, or not as this program writes them.
    #[error("it is not a license document: {0}")]
    Malformed(String),
    /// The key is known, and did not sign this.
    #[error("its signature does not fit")]
    Signature,
    /// The key is not pinned here and nobody who is vouches for it, for this kind and this time.
    #[error("it is signed by a key this device does not trust: {0}")]
    UnknownKey(String),
}

impl BadLicense {
    pub(super) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

/// The payload of one kind of document.
pub trait Claims: Serialize + DeserializeOwned {
    /// What it is.
    const KIND: Kind;

    /// What serde cannot see: versions, orders of times, lengths.
    ///
    /// # Errors
    /// The rule that does not hold, for a person.
    fn check(&self) -> Result<(), &'static str>;
}

/// The key id of a public key: its JWK thumbprint (RFC 7638 with RFC 8037 appendix A.3), 43 characters.
pub fn kid_of(key: &[u8]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64URL_NOPAD.encode(key));
    BASE64URL_NOPAD.encode(digest(&SHA256, jwk.as_bytes()).as_ref())
}

/// SHA-256 of a document's text, base64url: how a lease names its entitlement.
pub fn fingerprint(document: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, document.as_bytes()).as_ref())
}

/// Reads a public key as it is written in configurations and files: 43 characters of base64url.
///
/// # Errors
/// [`BadLicense::Malformed`].
pub fn public_key(text: &str) -> Result<[u8; KEY_BYTES], BadLicense> {
    let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok();
    let key = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
    key.ok_or_else(|| BadLicense::malformed("a public key is 43 characters of base64url"))
}

/// Signs claims. `public` is the key of `signer`.
pub fn sign<T: Claims>(claims: &T, signer: &impl Signer, public: &[u8]) -> String {
    let header = format!("{}{}{CLOSING}", T::KIND.opening(), kid_of(public));
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(&written(claims)));
    let signature = encode(&signer.signature(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The one way to write claims.
fn written<T: Claims>(claims: &T) -> Vec<u8> {
    // Structs of strings, numbers, lists and maps with string keys: these cannot fail.
    serde_json::to_vec(claims).unwrap_or_default()
}

/// A document whose header was understood, and nothing else of it yet.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// What it says it is.
    pub kind: Kind,
    kid: [u8; KID_CHARS],
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Sealed<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`BadLicense::Malformed`] for anything but three parts of base64url with one of our headers.
    pub fn read(document: &'a str) -> Result<Self, BadLicense> {
        if document.len() > MAX_DOCUMENT {
            return Err(BadLicense::malformed("it is too large"));
        }
        let shape = || BadLicense::malformed("it has not three parts");
        let (message, signature) = document.rsplit_once('.').ok_or_else(shape)?;
        let (head, payload) = message.split_once('.').ok_or_else(shape)?;
        if payload.contains('.') {
            return Err(shape());
        }
        let (kind, kid) = header(&decoded(head)?)?;
        Ok(Self { kind, kid, message, payload, signature })
    }

    /// The key id in its header: 43 characters of base64url.
    pub fn kid(&self) -> &str {
        core::str::from_utf8(&self.kid).unwrap_or_default()
    }

    /// Verifies it with a key, and only then reads its claims.
    ///
    /// # Errors
    /// [`BadLicense::Malformed`] when it is of another kind or its payload is not what this program writes;
    /// [`BadLicense::UnknownKey`] when its header names another key; [`BadLicense::Signature`].
    pub fn open<T: Claims>(&self, key: &[u8]) -> Result<T, BadLicense> {
        if self.kind != T::KIND {
            let (is, wanted) = (self.kind.typ(), T::KIND.typ());
            return Err(BadLicense::Malformed(format!("it is a {is}, not a {wanted}")));
        }
        if self.kid() != kid_of(key) {
            return Err(BadLicense::UnknownKey(self.kid().into()));
        }
        let signature = decoded(self.signature)?;
        let holds = holds(key, self.message.as_bytes(), &signature);
        if !holds && !crate::sabotage::off("license-signature") {
            return Err(BadLicense::Signature);
        }
        claims(&decoded(self.payload)?)
    }
}

/// Whether an Ed25519 signature (RFC 8032) holds.
pub fn holds(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

fn decoded(part: &str) -> Result<Vec<u8>, BadLicense> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
    bytes.map_err(|_| BadLicense::malformed("a part of it is not base64url"))
}

fn header(bytes: &[u8]) -> Result<(Kind, [u8; KID_CHARS]), BadLicense> {
    let matching = |kind: &Kind| {
        let kid =
            bytes.strip_prefix(kind.opening().as_bytes())?.strip_suffix(CLOSING.as_bytes())?;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
        let kid = <[u8; KID_CHARS]>::try_from(kid).ok().filter(|kid| kid.iter().all(plain))?;
        Some((*kind, kid))
    };
    let found = Kind::ALL.iter().find_map(matching);
    found.ok_or_else(|| BadLicense::malformed("its header is none of those this device knows"))
}

fn claims<T: Claims>(payload: &[u8]) -> Result<T, BadLicense> {
    if depth(payload) > MAX_DEPTH {
        return Err(BadLicense::malformed("it nests too deep"));
    }
    let claims: T = serde_json::from_slice(payload)
        .map_err(|e| BadLicense::Malformed(printable(&e.to_string(), 200)))?;
    if written(&claims) != payload {
        return Err(BadLicense::malformed("it is not written the one way it can be"));
    }
    claims.check().map_err(BadLicense::malformed)?;
    Ok(claims)
}

/// How deep JSON text nests at most, by its brackets outside of strings.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Signs a document of a device, as the file that carries it: its public key, a line end, the document.
pub fn sign_own<T: Claims>(claims: &T, signer: &impl Signer, public: &[u8]) -> String {
    format!("{}\n{}\n", BASE64URL_NOPAD.encode(public), sign(claims, signer, public))
}

/// Opens a document that brings its own key: what a device says of itself. Whoever calls it decides what that
/// key may say.
///
/// # Errors
/// As [`Sealed::open`].
pub fn open_own<T: Claims>(text: &str) -> Result<(T, [u8; KEY_BYTES]), BadLicense> {
    if text.len() > MAX_DOCUMENT {
        return Err(BadLicense::malformed("it is too large"));
    }
    let lines = text.trim().split_once('\n');
    let (key, document) = lines.ok_or_else(|| BadLicense::malformed("it has not two lines"))?;
    let key = public_key(key)?;
    Ok((Sealed::read(document.trim())?.open(&key)?, key))
}
