//! A hub's key that was stolen: its issuer withdraws it, the hub signs with another one, and every device is told.

use super::licensing::{
    Issuer, NONCE, activation, documents, facts, file, issue, key_of, one, policy,
};
use super::support::{Device, Hub};
use qcloud_agent::wire::license::{Kind, Lease, LicenseId, Revocations, Sealed, Trust, jws};
use serde_json::{Value, json};
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qcloud-hub")).args(args).output().unwrap()
}

/// The kids that documents withdraw in the name of an issuer.
fn withdrawn(trust: &Trust, documents: &[String]) -> Vec<String> {
    let is_list = |text: &&String| Sealed::read(text).is_ok_and(|s| s.kind == Kind::Revocations);
    let lists = documents.iter().filter(is_list);
    lists.flat_map(|list| trust.open::<Revocations>(list).unwrap().claims.kids).collect()
}

fn health(hub: &Hub) -> (Option<i32>, String) {
    // A finding stands for a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let output = hub.command(&["health"]);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Guard: `license-withdrawn-told`.
#[tokio::test]
async fn a_stolen_key_is_withdrawn_and_every_device_is_told() {
    let hub = Hub::start();
    let issuer = Issuer::of(&hub);
    let path = hub.dir.with_extension("root.key");
    let (root, public) = (path.to_str().unwrap(), issuer.root.public());
    policy(&hub, "year", &[]);
    let (lid, key) = issue(&hub, "year", &[]);
    let device = Device::registered(&hub, "box").await;
    let (_, answer) = device.post(&hub, "/v1/license/activate", &activation(&key)).await;
    let before = documents(&answer);
    let kid = hub.json(&["license", "signer", "list"])["signers"][0]["kid"].clone();
    let kid = kid.as_str().unwrap();
    assert_eq!(withdrawn(&issuer.trust(&before), &before), Vec::<String>::new());

    // What is no such document, and what another issuer signs, is not taken; nor is the issuer's own key withdrawn.
    let install = |text: &str, root: &str| {
        let path = file(&hub, "word", text);
        hub.command(&["license", "signer", "withdraw", &path, "--root", root])
    };
    assert!(!run(&["license", "withdraw", &issuer.root.kid(), "--root", root]).status.success());
    assert!(!run(&["license", "withdraw", "x", "--root", root]).status.success());
    let word = run(&["license", "withdraw", kid, "--root", root]);
    assert!(word.status.success(), "{}", String::from_utf8_lossy(&word.stderr));
    let word = String::from_utf8(word.stdout).unwrap();
    assert!(!install(&word, &kid.replace(char::is_alphanumeric, "A")).status.success());
    assert!(!install(&one(&before, Kind::Revocations), &public).status.success());
    assert!(install(&word, &public).status.success());
    let row = hub.json(&["license", "signer", "list"])["signers"][0].clone();
    assert_eq!((&row["withdrawn"], &row["certified"]), (&json!(true), &json!(true)));
    let renewal = json!({"lid": lid, "seq": 1, "nonce": NONCE});
    let (status, _) = device.post(&hub, "/v1/license/renew", &renewal).await;
    assert_eq!(status, 503, "it signs with no key that was withdrawn");
    let (code, said) = health(&hub);
    assert!(code == Some(3) && said.contains("no license is renewed"), "{said}");
    let certificate = file(&hub, "again", &one(&before, Kind::Key));
    let again = ["license", "signer", "install", &certificate, "--root", &public];
    assert!(!hub.command(&again).status.success(), "and is not certified once more");

    // With another key it answers, and says so to whoever asks.
    issuer.certify(&hub, 365);
    let (status, answer) = device.post(&hub, "/v1/license/renew", &renewal).await;
    assert_eq!(status, 200, "{answer}");
    let after = documents(&answer);
    let asked = json!({"prefix": LicenseId::parse(&lid).unwrap().prefix()});
    let (_, answer) = Device::new().post(&hub, "/v1/license/revoked", &asked).await;
    for given in [&after, &documents(&answer)] {
        assert_eq!(withdrawn(&issuer.trust(given), given), [kid]);
    }
    // A device that has both believes the new lease only.
    let mut trust = issuer.trust(&[before.clone(), after.clone()].concat());
    trust.withdraw(&issuer.root.kid(), &withdrawn(&trust, &after));
    assert!(trust.open::<Lease>(&one(&before, Kind::Lease)).is_err());
    let lease = trust.open::<Lease>(&one(&after, Kind::Lease)).unwrap().claims;
    assert!(lease.bind.fits(&facts(&key_of(&device))));
    assert_eq!(health(&hub).0, Some(0));
    assert_eq!(kid.len(), jws::kid_of(&[0; 32]).len());
}

#[test]
fn health_says_when_licenses_are_signed_for_less_than_a_month() {
    let hub = Hub::start();
    assert_eq!(health(&hub).0, Some(0), "a hub without licenses needs no key");
    let issuer = Issuer::of(&hub);
    assert_eq!(health(&hub).0, Some(0));
    let first = &hub.json(&["license", "signer", "list"])["signers"][0]["kid"];
    hub.json(&["license", "signer", "drop", first.as_str().unwrap()]);
    issuer.certify(&hub, 20);
    let (code, said) = health(&hub);
    assert!(code == Some(3) && said.contains("license signer new"), "{said}");
    issuer.certify(&hub, 60);
    assert_eq!(health(&hub).0, Some(0), "another one takes over");
    let all = hub.json(&["license", "signer", "list"])["signers"].clone();
    assert!(all.as_array().unwrap().iter().all(|row: &Value| row["withdrawn"] == false));
}
