//! Documents that are not what they say, and documents of before.

use super::driver::{DAY, MINUTE, World};
use super::issuer::MAKER;
use super::license::{CARDS, SERIAL, activated, ask, check, exit, restarted, tree, world};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use qcloud_agent::card::Exit;
use qcloud_agent::clock::Wall;
use qcloud_agent::wire::license::{ACTIVATE, RELEASE, RENEW, REVOKED, Use};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

async fn installed(world: &mut World, documents: &[&str]) -> Exit {
    let answer = ask(world, "install", json!({ "documents": documents.join("\n") })).await;
    answer.exit.unwrap()
}

/// What the hub gives out for a box like this one.
fn given(world: &World) -> Vec<String> {
    let mut hub = world.hub.lock();
    let issuer = hub.issuer.as_mut().unwrap();
    let bind = issuer.binding();
    issuer.lease(bind)
}

fn lid(world: &World) -> String {
    world.hub.lock().issuer.as_ref().unwrap().lid.to_string()
}

/// Guard: `license-signature`.
///
/// The attack: one seat is made nine, under the signature of before.
#[tokio::test(start_paused = true)]
async fn a_document_that_was_changed_is_refused() {
    let mut world = activated(&tree("changed", SERIAL, &CARDS), |_| {}).await;
    let documents = given(&world);
    let (certificate, entitlement) = (documents[0].as_str(), documents[1].as_str());
    let parts: Vec<_> = entitlement.split('.').collect();
    let plain = BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap();
    let more = String::from_utf8(plain).unwrap().replace("\"seats\":1", "\"seats\":9");
    let more = BASE64URL_NOPAD.encode(more.as_bytes());
    let changed = format!("{}.{more}.{}", parts[0], parts[2]);
    assert_ne!(changed, entitlement);
    assert_eq!(installed(&mut world, &[certificate, &changed]).await, Exit::BadSignature);
    assert_eq!(installed(&mut world, &[certificate, entitlement]).await, Exit::Done);
}

/// Guard: `license-key-use`.
///
/// The attack: a key that may sign the time only signs a license, and so does one whose certificate was over.
#[tokio::test(start_paused = true)]
async fn a_key_signs_nothing_that_it_may_not_and_nothing_when_it_may_not() {
    let mut world = activated(&tree("uses", SERIAL, &CARDS), |_| {}).await;
    let by = |uses: Vec<Use>, days: u32| {
        let hub = world.hub.lock();
        let issuer = hub.issuer.as_ref().unwrap();
        issuer.bought_by_a_key_for(uses, Wall(issuer.begun.0 - days * DAY))
    };
    let all = vec![Use::Entitlement, Use::Lease];
    let (good, other, over) = (by(all.clone(), 1), by(vec![Use::Lease, Use::Time], 1), by(all, 20));
    for (documents, wanted) in
        [(other, Exit::UnknownKey), (over, Exit::UnknownKey), (good, Exit::Done)]
    {
        assert_eq!(installed(&mut world, &documents.each_ref().map(|d| &**d)).await, wanted);
    }
}

/// Guard: `license-epoch`.
///
/// The attack: the owner of a revoked license removes it, and installs the file he kept of it with the list of then.
#[tokio::test(start_paused = true)]
async fn an_old_list_brings_no_revoked_license_back() {
    let mut world = activated(&tree("epoch", SERIAL, &CARDS), |_| {}).await;
    let kept = given(&world);
    world.hub.lock().issuer.as_mut().unwrap().revoke();
    world.run_for(8 * DAY).await;
    assert_eq!(exit(&mut world).await, Exit::Revoked);
    let lid = lid(&world);
    ask(&mut world, "remove", json!({ "license": lid })).await;
    let kept: Vec<_> = kept.iter().map(String::as_str).collect();
    assert_eq!(installed(&mut world, &kept).await, Exit::Revoked);
    assert_eq!(exit(&mut world).await, Exit::Failed, "none is installed");
}

/// Guard: `license-mark-seal`.
///
/// The attack: somebody writes a time into the household, to have a license end early on a box that he can write on
/// and has no key of.
#[tokio::test(start_paused = true)]
async fn a_mark_that_nobody_sealed_says_nothing_of_the_time() {
    let mut world = activated(&tree("seal", SERIAL, &CARDS), |_| {}).await;
    world.run_for(2 * DAY).await;
    world.hub.go_down();
    let forged = format!("4000000000 0 {}", "00".repeat(32));
    world.disk.saved.get_mut("license").unwrap()["mark"] = json!(forged);
    let mut world = restarted(world).await;
    let answer = check(&mut world).await;
    assert_eq!((answer.exit, &answer.json["clock"]), (Some(Exit::Done), &json!("seal")));
}

fn keygen(seed: u8) -> String {
    let data = json!({
        "data": { "id": "l1", "type": "licenses", "attributes": { "expiry": null } },
        "meta": { "issued": "2026-11-22T10:00:00.000Z", "expiry": null },
    });
    let enc = BASE64.encode(data.to_string().as_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let sig = BASE64.encode(pair.sign(format!("license/{enc}").as_bytes()).as_ref());
    let file = json!({ "enc": enc, "sig": sig, "alg": "base64+ed25519" }).to_string();
    let body = BASE64.encode(file.as_bytes());
    format!("-----BEGIN LICENSE FILE-----\n{body}\n-----END LICENSE FILE-----\n")
}

/// Guard: `license-foreign`.
///
/// The attack: a file as another maker writes it, signed by somebody else.
#[tokio::test(start_paused = true)]
async fn a_license_of_another_maker_is_signed_by_that_maker() {
    let mut world = world(&tree("foreign", SERIAL, &CARDS));
    world.run_for(MINUTE).await;
    assert_eq!(installed(&mut world, &[&keygen(MAKER + 1)]).await, Exit::BadSignature);
    assert_eq!(installed(&mut world, &[&keygen(MAKER)]).await, Exit::Done);
    let answer = ask(&mut world, "check", json!({ "product": "camera" })).await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    world.run_for(60 * DAY).await;
    assert!(world.hub.lock().seen.iter().all(|(id, _)| !id.starts_with("license.")));
}

/// But for the random numbers, `egress preview` shows what is sent next.
#[tokio::test(start_paused = true)]
async fn a_preview_is_about_the_licenses_of_this_box() {
    let dir = tree("preview", SERIAL, &CARDS);
    let bare = world(&dir);
    for parcel in [&ACTIVATE, &RENEW, &RELEASE, &REVOKED] {
        assert!(bare.supervisor.preview(parcel).is_none(), "{} is an example", parcel.id);
    }
    let mut world = activated(&dir, |_| {}).await;
    let shown = |world: &World, parcel| world.supervisor.preview(parcel).unwrap().json().clone();
    let without = |mut body: Value, random: &[&str]| {
        random.iter().for_each(|name| drop(body.as_object_mut().unwrap().remove(*name)));
        body
    };
    let random = ["nonce", "salt", "serial", "macs"];
    let activation = shown(&world, &ACTIVATE);
    let sent = world.hub.bodies("license.activate").remove(0);
    assert_eq!(without(activation.clone(), &random), without(sent.clone(), &random));
    assert_eq!(activation["macs"].as_array().unwrap().len(), 2);
    assert_ne!(activation["serial"], SERIAL);
    let renewal = shown(&world, &RENEW);
    assert_eq!(shown(&world, &REVOKED)["prefix"], lid(&world)[..2]);
    let receipt = shown(&world, &RELEASE)["receipt"].as_str().unwrap().to_owned();
    let key = BASE64URL_NOPAD.encode(world.identity.key().public_key());
    assert_eq!(receipt.lines().next(), Some(key.as_str()));
    world.run_for(8 * DAY).await;
    let sent = world.hub.bodies("license.renew").remove(0);
    assert_eq!(without(renewal, &["nonce"]), without(sent, &["nonce"]));
    assert_eq!(shown(&world, &RENEW)["seq"], 2);
}
