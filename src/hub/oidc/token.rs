//! The word of a provider: an ID token (OpenID Connect Core section 3.1.3.7), verified before it is read.
//!
//! Two algorithms and no others, each with the kind of key it belongs to: what a token says of its algorithm picks
//! neither a weaker check nor another use of a key (RFC 8725 section 3.1).

use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// The longest token.
const MOST: usize = 16 * 1024;
/// Keys that are looked at.
const MOST_KEYS: usize = 32;
/// The longest subject (OpenID Connect Core section 2).
const MOST_SUBJECT: usize = 255;
/// How far two clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(60);

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// No token.
    #[error("what it sent is no ID token")]
    Form,
    /// Signed in a way that is not taken.
    #[error("its ID token is signed by neither RS256 nor ES256")]
    Algorithm,
    /// By nobody we know.
    #[error("its ID token is signed by none of its keys")]
    Signature,
    /// Somebody else's word.
    #[error("its ID token is another issuer's")]
    Issuer,
    /// For somebody else.
    #[error("its ID token is for another client")]
    Audience,
    /// Too old, or of the future.
    #[error("its ID token is over, or not of now")]
    Expired,
    /// An answer to another question.
    #[error("its ID token answers another sign-in")]
    Nonce,
    /// Of nobody.
    #[error("its ID token names nobody")]
    Subject,
}

/// What a token has to say.
pub struct Expected<'a> {
    /// Whose word it is.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// To which question.
    pub nonce: &'a str,
    /// Now, in Unix seconds.
    pub now: u64,
}

/// The keys of a provider (RFC 7517).
#[derive(Deserialize)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: u64,
    iat: u64,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Keys {
    /// From the document.
    pub fn read(document: &[u8]) -> Option<Self> {
        serde_json::from_slice(document).ok()
    }
}

impl Key {
    fn fits(&self, header: &Header) -> bool {
        let named = header.kid.is_none() || self.kid == header.kid;
        let signs = self.purpose.as_ref().is_none_or(|purpose| purpose == "sig");
        named && signs && self.alg.as_ref().is_none_or(|alg| *alg == header.alg)
    }

    fn verifies(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        let bytes = |text: &Option<String>| {
            BASE64URL_NOPAD
                .decode(text.as_deref().unwrap_or_default().as_bytes())
                .unwrap_or_default()
        };
        match (alg, self.kty.as_str(), self.crv.as_deref()) {
            ("RS256", "RSA", _) => {
                let key = RsaPublicKeyComponents { n: bytes(&self.n), e: bytes(&self.e) };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            ("ES256", "EC", Some("P-256")) => {
                // Uncompressed (SEC 1 section 2.3.3); ring checks the length and the curve.
                let point = [&[4], bytes(&self.x).as_slice(), bytes(&self.y).as_slice()].concat();
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Whom a token speaks of.
///
/// # Errors
/// [`BadToken`].
pub fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<String, BadToken> {
    if token.len() > MOST {
        return Err(BadToken::Form);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
    let (header, payload) = message.split_once('.').ok_or(BadToken::Form)?;
    let bytes = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| BadToken::Form);
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| BadToken::Form)?;
    let unsigned = crate::sabotage::off("oidc-signature");
    // RFC 7515 section 4.1.11: what a signer declares critical and we do not know.
    if (!["RS256", "ES256"].contains(&header.alg.as_str()) || header.crit.is_some()) && !unsigned {
        return Err(BadToken::Algorithm);
    }
    let signature = bytes(signature)?;
    let mut fitting = keys.keys.iter().take(MOST_KEYS).filter(|key| key.fits(&header));
    let signed = fitting.any(|key| key.verifies(&header.alg, message.as_bytes(), &signature));
    if !signed && !unsigned {
        return Err(BadToken::Signature);
    }
    let claims = serde_json::from_slice(&bytes(payload)?).map_err(|_| BadToken::Form)?;
    judge(claims, expected)
}

fn judge(claims: Claims, expected: &Expected<'_>) -> Result<String, BadToken> {
    if claims.iss != expected.issuer && !crate::sabotage::off("oidc-token-issuer") {
        return Err(BadToken::Issuer);
    }
    let (is_for_us, alone) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, true),
        Audience::Several(all) => (all.iter().any(|one| one == expected.client_id), all.len() == 1),
    };
    // Where there are others in it, it has to say that we are the one who asked.
    let asked = claims.azp.as_ref().map_or(alone, |azp| azp == expected.client_id);
    let good = is_for_us && asked;
    if !good && !crate::sabotage::off("oidc-audience") {
        return Err(BadToken::Audience);
    }
    let leeway = LEEWAY.as_secs();
    let over = claims.exp.saturating_add(leeway) <= expected.now;
    let early = claims.iat > expected.now.saturating_add(leeway);
    if (over || early) && !crate::sabotage::off("oidc-expiry") {
        return Err(BadToken::Expired);
    }
    let answers = claims.nonce.as_deref() == Some(expected.nonce);
    if !answers && !crate::sabotage::off("oidc-nonce") {
        return Err(BadToken::Nonce);
    }
    let named = !claims.sub.is_empty() && claims.sub.len() <= MOST_SUBJECT && claims.sub.is_ascii();
    if named { Ok(claims.sub) } else { Err(BadToken::Subject) }
}
