//! Why a server is not believed, in words of a person.
//!
//! rustls speaks of seconds since 1970 and of enum variants, and QUIC hands its words on as text alone. So the
//! verifier itself says what is wrong, once, for both carriers; what it accepts is for the verifier inside to say.

use crate::clock::Wall;
use core::fmt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::sync::Arc;

/// How the reason begins when the certificate's time has not come by this device's clock, which then is wrong.
const NOT_YET: &str = "its certificate is not valid yet: it begins at ";
/// Marks the words in a text that passed through rustls and quinn.
const MARKS: (&str, &str) = ("Other(OtherError(\u{ab}", "\u{bb}))");

/// A server that is not believed, and why.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Distrust(String);

/// Found again by [`Distrust::within`]: rustls shows what others say only in this form.
impl fmt::Debug for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\u{ab}{}\u{bb}", self.0)
    }
}

impl Distrust {
    /// The words within the text of an error that only has text left.
    pub fn within(text: &str) -> Option<&str> {
        text.split_once(MARKS.0)?.1.split_once(MARKS.1).map(|(words, _)| words)
    }

    /// Whether these words blame the clock.
    pub fn is_clock(words: &str) -> bool {
        words.starts_with(NOT_YET)
    }

    /// What to do about it.
    pub fn hint(words: &str) -> &'static str {
        if Self::is_clock(words) {
            "date -u shows this device's clock; once it is right, what waits goes on by itself"
        } else if words.contains("pinned key") {
            "compare the pin with the one that the hub's operator shows you; if it is the same, somebody stands between"
        } else if words.contains("authority") {
            "qcloud-agent register --hub https://HOST --hub-pin sha256:HEX, with the pin that the hub's operator shows you"
        } else {
            "tell the hub's operator; there is no way around it on this device"
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "rustls keeps its errors open for more")]
    fn of(error: &CertificateError, shown: &[&CertificateDer<'_>]) -> Self {
        use CertificateError as Bad;
        let at = |time: UnixTime| Wall::from_unix_seconds(time.as_secs()).rfc3339();
        let is_short = || shown.iter().any(|certificate| has_short_rsa_key(certificate));
        Self(match error {
            Bad::NotValidYetContext { time, not_before } => {
                format!("{NOT_YET}{}, and this device's clock says {}", at(*not_before), at(*time))
            }
            Bad::ExpiredContext { time, not_after } => {
                let (end, now) = (at(*not_after), at(*time));
                format!("its certificate ended at {end}, and this device's clock says {now}")
            }
            Bad::NotValidForNameContext { expected, .. } => {
                format!("its certificate is for another name than {}", expected.to_str())
            }
            Bad::BadSignature if is_short() => {
                "its certificate, or the one that signed it, has an RSA key of fewer than 2048 bits"
                    .into()
            }
            Bad::BadSignature => "the signature on its certificate is forged".into(),
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                "its certificate is signed in a way that is not safe any more, such as SHA-1".into()
            }
            Bad::UnknownIssuer => {
                "no authority that this device knows vouches for its certificate".into()
            }
            Bad::Other(ours) if ours.0.to_string().contains("CaUsedAsEndEntity") => {
                "it shows an authority's certificate as its own: no authority vouches for it".into()
            }
            Bad::Other(ours) => ours.0.to_string(),
            other => format!("its certificate is not good: {other}"),
        })
    }
}

/// An RSA key as it is in a certificate has 294 bytes with 2048 bits, and 162 with 1024.
fn has_short_rsa_key(certificate: &CertificateDer<'_>) -> bool {
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    ParsedCertificate::try_from(certificate).is_ok_and(|parsed| {
        let spki = parsed.subject_public_key_info();
        spki.len() < 270 && spki.windows(RSA.len()).any(|part| part == RSA)
    })
}

/// A verifier that gives its reasons in words.
#[derive(Debug)]
pub struct Worded(Arc<dyn ServerCertVerifier>);

impl Worded {
    /// Around the one that decides.
    pub fn new(inside: Arc<dyn ServerCertVerifier>) -> Arc<Self> {
        Arc::new(Self(inside))
    }
}

pub(super) fn worded(error: Error, shown: &[&CertificateDer<'_>]) -> Error {
    if let Error::InvalidCertificate(bad) = &error {
        return CertificateError::Other(OtherError(Arc::new(Distrust::of(bad, shown)))).into();
    }
    error
}

impl ServerCertVerifier for Worded {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verdict.is_err() && crate::sabotage::off("tls-verify") {
            return Ok(ServerCertVerified::assertion());
        }
        let shown: Vec<_> = core::iter::once(end_entity).chain(intermediates).collect();
        verdict.map_err(|error| worded(error, &shown))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.0.verify_tls12_signature(message, certificate, signature);
        verdict.map_err(|error| worded(error, &[certificate]))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.0.verify_tls13_signature(message, certificate, signature);
        verdict.map_err(|error| worded(error, &[certificate]))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
