//! Certificates that must be refused, on both ways to believe a server: by a pin and by a list of authorities.

use super::pin::{HubPin, PinnedVerifier};
use super::testing::{
    Authority, Leaf, NOON, authority, clock_at, hub_with, leaf, self_signed, shake_hands,
};
use super::tls::{Versions, rooted, with_verifier};
use super::trust::{Distrust, Worded};
use crate::clock::{BUILT, Clock, Wall};
use core::time::Duration;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const HOST: &str = "hub.example.net";
const DAY: u64 = 86_400;
const WAYS: [Way; 2] = [Way::Pinned, Way::Rooted];

#[derive(Clone, Copy, Debug)]
enum Way {
    Pinned,
    Rooted,
}

impl Way {
    fn verifier(self, anchor: &CertificateDer<'_>) -> Arc<dyn ServerCertVerifier> {
        match self {
            Self::Pinned => PinnedVerifier::new(HubPin::of_certificate(anchor).unwrap()),
            Self::Rooted => {
                let mut roots = RootCertStore::empty();
                roots.add(anchor.clone().into_owned()).unwrap();
                rooted(roots).unwrap()
            }
        }
    }
}

/// What a client says to a hub that shows this chain; nothing when it is content.
fn refusal(
    way: Way,
    anchor: &CertificateDer<'_>,
    (shown, key): (Vec<CertificateDer<'static>>, Leaf),
    clock: &Clock,
    versions: Versions,
) -> Option<String> {
    let client = with_verifier(way.verifier(anchor), None, clock, versions, &[]).unwrap();
    let error = shake_hands(client, hub_with(shown, key.key), HOST).err()?;
    let words = Distrust::within(&error.to_string()).map(String::from);
    Some(words.unwrap_or_else(|| panic!("not in words: {error}")))
}

fn with_chain(leaf: Leaf, ca: &Authority) -> (Vec<CertificateDer<'static>>, Leaf) {
    (vec![leaf.certificate.clone(), ca.issuer.der().clone()], leaf)
}

#[test]
fn a_certificate_that_is_not_good_is_refused_in_words_with_a_pin_and_without() {
    let (ca, other) = (authority("hub"), authority("hub"));
    let good = || with_chain(leaf(&ca.issuer, &[HOST]), &ca);
    let own = || {
        let own = self_signed(&[HOST]);
        (vec![own.certificate.clone()], own)
    };
    let foreign = || with_chain(leaf(&other.issuer, &[HOST]), &other);
    let misnamed = || with_chain(leaf(&ca.issuer, &["other.example.net"]), &ca);
    for (way, versions) in
        WAYS.into_iter().flat_map(|way| [(way, Versions::Tls12Up), (way, Versions::Tls13)])
    {
        let say = |chain, at| refusal(way, ca.issuer.der(), chain, &clock_at(at), versions);
        let says = |chain, at| say(chain, at).unwrap_or_else(|| panic!("{way:?} {versions:?}"));
        assert_eq!(say(good(), NOON), None, "{way:?} {versions:?}");
        let late = says(good(), NOON + 400 * DAY);
        assert!(late.starts_with("its certificate ended at 2028-01-01T00:00:00Z"), "{late}");
        assert!(!Distrust::is_clock(&late), "{late}");
        let early = says(good(), NOON - 400 * DAY);
        assert!(early.contains("begins at 2027-01-01T00:00:00Z"), "{early}");
        assert!(early.ends_with("clock says 2026-04-27T00:00:00Z"), "{early}");
        assert!(Distrust::is_clock(&early) && Distrust::hint(&early).contains("date -u"));
        let name = says(misnamed(), NOON);
        assert_eq!(name, "its certificate is for another name than hub.example.net");
        let unknown = match way {
            Way::Pinned => "the hub showed no certificate with the pinned key",
            Way::Rooted => "no authority that this device knows vouches for its certificate",
        };
        for stranger in [says(own(), NOON), says(foreign(), NOON)] {
            let forged = "the signature on its certificate is forged";
            assert!(stranger.starts_with(unknown) || stranger == forged, "{stranger}");
            assert!(Distrust::hint(&stranger).contains(' '));
        }
    }
}

/// Made by `openssl x509`: nothing of this house makes the like.
#[test]
fn weak_signatures_and_short_keys_are_refused_in_words() {
    macro_rules! pem {
        ($name:literal) => {{
            let text = include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/golden/certificates/",
                $name,
                ".pem"
            ));
            CertificateDer::from_pem_slice(text).unwrap()
        }};
    }
    let (p256, rsa, short) = (pem!("authority"), pem!("long-authority"), pem!("short-authority"));
    let weak = "its certificate is signed in a way that is not safe any more, such as SHA-1";
    let few = "its certificate, or the one that signed it, has an RSA key of fewer than 2048 bits";
    let cases = [
        (&p256, pem!("good"), None),
        (&p256, pem!("sha1"), Some(weak)),
        (&rsa, pem!("sha1-rsa"), Some(weak)),
        (&short, pem!("by-short-key"), Some(few)),
    ];
    let name = ServerName::try_from(HOST).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(NOON));
    for way in WAYS {
        for (anchor, shown, wanted) in &cases {
            let verifier = Worded::new(way.verifier(anchor));
            let along = [(*anchor).clone()];
            let verdict = verifier.verify_server_cert(shown, &along, &name, &[], at);
            let error = verdict.err().map(|error| error.to_string());
            let words = error.as_deref().map(|text| Distrust::within(text).unwrap_or(text));
            assert_eq!(words, *wanted, "{way:?}");
        }
        // No handshake is signed so either.
        let verifier = Worded::new(way.verifier(&p256));
        let schemes = verifier.supported_verify_schemes();
        assert!(
            !schemes.iter().any(|scheme| format!("{scheme:?}").contains("SHA1")),
            "{schemes:?}"
        );
    }
}

/// A box without a battery: what its clock says is no reason to believe, or to doubt, anything.
#[test]
fn a_clock_in_1970_verifies_what_is_valid_by_the_last_good_time_or_the_time_of_the_build() {
    let ca = authority("hub");
    let good = || with_chain(leaf(&ca.issuer, &[HOST]), &ca);
    let say = |clock: &Clock, way| refusal(way, ca.issuer.der(), good(), clock, Versions::Tls13);
    let clock = |last_good, shows: u64| {
        Clock::above(Wall::from_unix_seconds(last_good), move || Wall::from_unix_seconds(shows))
    };
    for way in WAYS {
        assert_eq!(say(&clock(NOON, 0), way), None, "the last good time counts");
        assert_eq!(say(&clock(0, NOON), way), None, "a clock that is set counts");
        // The certificates of these tests begin after this version was made: that is as early as it can be.
        let built = say(&clock(0, 0), way).unwrap();
        assert!(Distrust::is_clock(&built), "{built}");
        assert!(built.ends_with(&BUILT.rfc3339()), "{built}");
    }
}

/// Guard of the attack: somebody sets the clock back to when a certificate that is over was still good.
#[test]
fn a_clock_set_back_revives_nothing_that_is_over() {
    let ca = authority("hub");
    let shows = Arc::new(AtomicU64::new(NOON));
    let hand = Arc::clone(&shows);
    let wall = move || Wall::from_unix_seconds(hand.load(Ordering::Relaxed));
    let clock = Clock::above(Wall::default(), wall);
    for way in WAYS {
        let say = |clock: &Clock| {
            let chain = with_chain(leaf(&ca.issuer, &[HOST]), &ca);
            refusal(way, ca.issuer.der(), chain, clock, Versions::Tls13)
        };
        let fresh = Clock::above(Wall::default(), || Wall::from_unix_seconds(NOON));
        assert_eq!(say(&fresh), None);
        shows.store(NOON + 400 * DAY, Ordering::Relaxed);
        // A hub has been met since, which said so too.
        clock.vouch(Wall::from_unix_seconds(NOON + 400 * DAY));
        assert!(say(&clock).unwrap().starts_with("its certificate ended"));
        shows.store(NOON, Ordering::Relaxed);
        assert!(
            say(&clock).unwrap().starts_with("its certificate ended"),
            "set back while it runs"
        );
        let restarted = Clock::above(clock.vouched(), || Wall::from_unix_seconds(NOON));
        assert!(
            say(&restarted).unwrap().starts_with("its certificate ended"),
            "and over a restart"
        );
    }
}

#[test]
fn words_survive_the_form_that_rustls_gives_them() {
    let words = |bad: CertificateError| {
        let verdict: Error = super::trust::worded(bad.into(), &[]);
        Distrust::within(&verdict.to_string()).map(String::from)
    };
    let unknown = "no authority that this device knows vouches for its certificate";
    assert_eq!(words(CertificateError::UnknownIssuer).as_deref(), Some(unknown));
    assert_eq!(Distrust::within("invalid peer certificate: UnknownIssuer"), None);
}
