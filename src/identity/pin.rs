//! The pin of a self-hosted hub: the one key that its certificates must come from.
//!
//! A hub with a certificate authority of its own is in no list of roots. What its operator shows, and
//! the owner types once, is the SHA-256 of a public key (SubjectPublicKeyInfo, as in RFC 7469): the
//! authority's, so that the hub can renew its own certificate, or that of a self-signed certificate. The
//! hub sends the pinned certificate along; its key is the only anchor, and name, dates and chain are
//! verified as for any other server. There is no way to ask for less.

use super::IdentityError;
use core::fmt;
use core::str::FromStr;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring as ring_provider, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// SHA-256 of the SubjectPublicKeyInfo of a certificate; written `sha256:HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HubPin([u8; 32]);

/// A text that is no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is `sha256:` and 64 hexadecimal digits")]
pub struct BadPin;

/// The hub showed no certificate with the pinned key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub showed no certificate with the pinned key {wanted}")]
pub struct PinMismatch {
    /// What was pinned.
    pub wanted: HubPin,
}

impl HubPin {
    /// The pin of a public key.
    pub fn of_spki(spki: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, spki).as_ref());
        Self(bytes)
    }

    /// The pin of a certificate's key.
    ///
    /// # Errors
    /// [`IdentityError::BadCertificate`].
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        // This gives the whole SubjectPublicKeyInfo; a webpki trust anchor has only what is inside it.
        let parsed =
            ParsedCertificate::try_from(certificate).map_err(|_| IdentityError::BadCertificate)?;
        Ok(Self::of_spki(&parsed.subject_public_key_info()))
    }
}

impl fmt::Display for HubPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode(&self.0))
    }
}

impl FromStr for HubPin {
    type Err = BadPin;
    fn from_str(text: &str) -> Result<Self, BadPin> {
        let hex = text.trim().strip_prefix("sha256:").ok_or(BadPin)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| BadPin)?;
        bytes.try_into().map(Self).map_err(|_| BadPin)
    }
}

impl Serialize for HubPin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HubPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Verifies a server whose chain holds the pinned key.
#[derive(Debug)]
pub struct PinnedVerifier {
    pin: HubPin,
    provider: Arc<CryptoProvider>,
}

impl PinnedVerifier {
    /// Makes one.
    pub fn new(pin: HubPin) -> Arc<Self> {
        Arc::new(Self { pin, provider: Arc::new(ring_provider::default_provider()) })
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// The certificate with the pinned key.
    fn anchor(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<CertificateDer<'static>, rustls::Error> {
        let mut shown = intermediates.iter().chain([end_entity]);
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            HubPin::of_certificate(certificate).is_ok_and(|found| found == self.pin)
        };
        if let Some(certificate) = shown.find(is_pinned) {
            return Ok(certificate.clone().into_owned());
        }
        if crate::sabotage::off("pin") {
            return Ok(intermediates.last().unwrap_or(end_entity).clone().into_owned());
        }
        let mismatch = OtherError(Arc::new(PinMismatch { wanted: self.pin }));
        Err(CertificateError::Other(mismatch).into())
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.anchor(end_entity, intermediates)?)?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Leaf, NOON, authority, intermediate, leaf, self_signed};
    use super::*;
    use core::time::Duration;
    use rustls::CertificateError as Bad;

    const HOST: &str = "hub.example.net";

    fn verdict(
        pin: HubPin,
        end_entity: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &str,
        at: u64,
    ) -> Result<(), rustls::Error> {
        let name = ServerName::try_from(host).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let verifier = PinnedVerifier::new(pin);
        verifier.verify_server_cert(end_entity, others, &name, &[], at).map(drop)
    }

    fn bad(verdict: Result<(), rustls::Error>) -> Bad {
        let rustls::Error::InvalidCertificate(bad) = verdict.unwrap_err() else {
            panic!("not about the certificate");
        };
        bad
    }

    fn is_mismatch(bad: &Bad) -> bool {
        matches!(bad, Bad::Other(OtherError(why)) if why.is::<PinMismatch>())
    }

    #[test]
    fn a_pin_is_read_as_it_is_written() {
        let pin = HubPin::of_spki(b"key");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().len(), 71);
        let upper = format!("sha256:{}", pin.to_string()[7..].to_uppercase());
        assert_eq!(upper.parse(), Ok(pin));
        for bad in ["", "sha256:", "sha256:00", "sha1:00", &pin.to_string()[7..]] {
            assert_eq!(bad.parse::<HubPin>(), Err(BadPin), "{bad}");
        }
    }

    #[test]
    fn the_pin_is_over_the_whole_public_key_info_of_leaf_and_authority_alike() {
        let root = authority("root");
        let pin = HubPin::of_certificate(root.issuer.der()).unwrap();
        let anchor = webpki::anchor_from_trusted_cert(root.issuer.der()).unwrap();
        let inside = anchor.subject_public_key_info.as_ref();
        // P-256: 89 bytes inside a SEQUENCE header of two.
        let whole = [&[0x30, u8::try_from(inside.len()).unwrap()], inside].concat();
        assert_eq!(HubPin::of_spki(&whole), pin);
        assert_ne!(HubPin::of_spki(inside), pin);
    }

    #[test]
    fn the_pinned_authority_vouches_for_its_hub_and_for_nothing_else() {
        let (root, other) = (authority("root"), authority("root"));
        let pin = HubPin::of_certificate(root.issuer.der()).unwrap();
        let Leaf { certificate, .. } = leaf(&root.issuer, &[HOST]);
        let sent = [root.issuer.der().clone()];
        verdict(pin, &certificate, &sent, HOST, NOON).unwrap();
        let wrong_name = bad(verdict(pin, &certificate, &sent, "other.example.net", NOON));
        assert!(matches!(wrong_name, Bad::NotValidForNameContext { .. }), "{wrong_name:?}");
        let late = bad(verdict(pin, &certificate, &sent, HOST, NOON + 400 * 86_400));
        assert!(matches!(late, Bad::ExpiredContext { .. }), "{late:?}");
        let early = bad(verdict(pin, &certificate, &sent, HOST, NOON - 400 * 86_400));
        assert!(matches!(early, Bad::NotValidYetContext { .. }), "{early:?}");
        // Another authority of the same name: with its own certificate, with none, and behind the real one.
        let Leaf { certificate: forged, .. } = leaf(&other.issuer, &[HOST]);
        assert!(is_mismatch(&bad(verdict(
            pin,
            &forged,
            &[other.issuer.der().clone()],
            HOST,
            NOON
        ))));
        assert!(is_mismatch(&bad(verdict(pin, &forged, &[], HOST, NOON))));
        let both = [root.issuer.der().clone(), other.issuer.der().clone()];
        assert!(verdict(pin, &forged, &both, HOST, NOON).is_err());
        // The right hub that forgets to send the pinned certificate cannot be told from a forger.
        assert!(is_mismatch(&bad(verdict(pin, &certificate, &[], HOST, NOON))));
    }

    #[test]
    fn a_chain_is_followed_to_the_pin_wherever_it_stands() {
        let root = authority("root");
        let middle = intermediate(&root, "middle");
        let Leaf { certificate, .. } = leaf(&middle.issuer, &[HOST]);
        let sent = [middle.issuer.der().clone(), root.issuer.der().clone()];
        for pinned in [&root, &middle] {
            let pin = HubPin::of_certificate(pinned.issuer.der()).unwrap();
            verdict(pin, &certificate, &sent, HOST, NOON).unwrap();
        }
        let pin = HubPin::of_certificate(middle.issuer.der()).unwrap();
        let Leaf { certificate: beside, .. } = leaf(&root.issuer, &[HOST]);
        assert!(verdict(pin, &beside, &sent, HOST, NOON).is_err(), "the root is not pinned");
    }

    #[test]
    fn a_self_signed_certificate_can_be_pinned_itself() {
        let (own, other) = (self_signed(&[HOST]), self_signed(&[HOST]));
        let pin = HubPin::of_certificate(&own.certificate).unwrap();
        verdict(pin, &own.certificate, &[], HOST, NOON).unwrap();
        assert!(is_mismatch(&bad(verdict(pin, &other.certificate, &[], HOST, NOON))));
        // The pinned certificate is public: sending it along proves nothing.
        let along = [own.certificate.clone()];
        assert!(verdict(pin, &other.certificate, &along, HOST, NOON).is_err());
        assert!(verdict(pin, &own.certificate, &[], "other.example.net", NOON).is_err());
        assert!(verdict(pin, &own.certificate, &[], HOST, NOON + 400 * 86_400).is_err());
    }
}
