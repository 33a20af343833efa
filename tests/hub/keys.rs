//! Renewal and rekey at a serving hub.

use super::link::Session;
use super::support::{Device, Hub};
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::card::Caller;
use qcloud_agent::clock::{Clock, Wall};
use qcloud_agent::hub::api::ROUTES;
use qcloud_agent::hub::keys::{DeviceKey, Keys};
use qcloud_agent::identity::id::device_id;
use qcloud_agent::wire::frame;
use qcloud_agent::wire::link::{CLOSED_CERTIFICATE_EXPIRED, ToDevice};
use qcloud_agent::wire::receipt::{Demand, verify};
use qcloud_agent::wire::registration::{
    CERTIFICATE_EXPIRED, CERTIFICATE_LIFE, Membership, rekey_message,
};
use serde_json::{Value, json};

const RENEW: &str = "/v1/registration/renew";
const REKEY: &str = "/v1/registration/rekey";
const UPDATE: &str = "/v1/ddns/update";

fn update() -> Value {
    json!({"a": "none", "aaaa": "none"})
}

fn member(answer: Value) -> Membership {
    serde_json::from_value(answer).unwrap()
}

/// What a device asks for when `next` is to be its key; `signer` signs, for the device of this id.
fn ask(id: &str, next: &Device, signer: &Device) -> Value {
    let signature = signer.sign(&rekey_message(id, &next.spki()));
    json!({"spki": BASE64URL_NOPAD.encode(&next.spki()), "signature": signature})
}

/// The device with a certificate that was over a month ago.
fn long_off(hub: &Hub, device: &Device) -> Device {
    let keys = Keys::load(&hub.dir).unwrap();
    let now = Clock::system(Wall::default()).now().wall;
    let then = Wall(now.0 - 2 * CERTIFICATE_LIFE);
    let key = DeviceKey::from_spki(&device.spki()).unwrap();
    let id = device_id(&device.spki());
    let mut late = device.clone();
    let member = late.member.as_mut().unwrap();
    member.certificate = keys.device_leaf(&key, &id, then).unwrap();
    late
}

#[tokio::test]
async fn a_certificate_is_renewed_as_often_as_it_is_asked_for() {
    let hub = Hub::start();
    let mut device = Device::registered(&hub, "box").await;
    let id = device_id(&device.spki());
    let now = Clock::system(Wall::default()).now().wall;
    for _ in 0..2 {
        let (status, answer) = device.post(&hub, RENEW, &json!({})).await;
        assert_eq!(status, 200, "{answer}");
        let renewed = member(answer);
        assert_eq!(renewed.device, id);
        let left = renewed.certificate_until.0 - now.0;
        assert!(left + core::time::Duration::from_secs(60) > CERTIFICATE_LIFE, "{left:?}");
        assert_ne!(Some(&renewed.certificate), device.member.as_ref().map(|m| &m.certificate));
        device.member = Some(renewed);
        assert_eq!(device.post(&hub, UPDATE, &update()).await.0, 200);
    }
}

/// Guard: `hub-certificate-end`.
#[tokio::test]
async fn a_certificate_that_is_over_opens_its_renewal_and_the_way_out() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let mut late = long_off(&hub, &device);
    for route in ROUTES {
        let (path, caller) = route.place().unwrap();
        let open = path == RENEW || path.ends_with("/forget") || caller != Caller::Device;
        if open {
            continue;
        }
        let (status, answer) = late.post(&hub, path, &(route.parcel.example)()).await;
        let code = answer["code"].as_str();
        assert_eq!((status, code), (401, Some(CERTIFICATE_EXPIRED)), "{path}: {answer}");
        assert!(answer["hint"].is_string(), "{answer}");
    }
    let (session, _endpoint) = Session::dial(&hub, &late).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(closed) = session.closed().await else {
        panic!("the session stands")
    };
    assert_eq!(closed.error_code, quinn::VarInt::from_u32(CLOSED_CERTIFICATE_EXPIRED));
    assert_eq!(closed.reason, "the certificate of this device is over");

    let mut stranger = Device::new();
    stranger.member = device.member.clone();
    let stranger = long_off(&hub, &stranger);
    let (status, answer) = stranger.post(&hub, RENEW, &json!({})).await;
    assert_eq!((status, answer["code"].as_str()), (401, None), "no row: {answer}");

    let (status, answer) = late.post(&hub, RENEW, &json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let expired = late.clone();
    late.member = Some(member(answer));
    assert_eq!(late.post(&hub, UPDATE, &update()).await.0, 200);
    assert!(matches!(Session::open(&hub, &late).await.1, ToDevice::Welcome { .. }));
    for path in ["/v1/ddns/forget", "/v1/link/forget", "/v1/registration/forget"] {
        let (status, answer) = expired.post(&hub, path, &json!({"nonce": "n"})).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_new_key_takes_the_place_of_the_old_one_with_its_first_use() {
    let hub = Hub::start();
    let old = Device::registered(&hub, "box").await;
    let id = device_id(&old.spki());
    let (mut session, _) = Session::open(&hub, &old).await;
    let (mut dropped, mut next) = (Device::new(), Device::new());
    let (_, answer) = old.post(&hub, REKEY, &ask(&id, &dropped, &dropped)).await;
    dropped.member = Some(member(answer));
    for _ in 0..2 {
        // The answer was lost: the same again, and the same comes of it.
        let (status, answer) = old.post(&hub, REKEY, &ask(&id, &next, &next)).await;
        assert_eq!(status, 200, "{answer}");
        next.member = Some(member(answer));
    }
    assert_eq!(next.member.as_ref().unwrap().device, id, "it stays the device it was");
    assert_eq!(old.post(&hub, UPDATE, &update()).await.0, 200, "not used yet");
    assert_eq!(dropped.post(&hub, UPDATE, &update()).await.0, 401, "another one took its place");
    assert!(session.connection.close_reason().is_none());

    assert_eq!(next.post(&hub, UPDATE, &update()).await.0, 200);
    let (status, answer) = old.post(&hub, UPDATE, &update()).await;
    assert_eq!(
        (status, answer["error"].as_str()),
        (401, Some("this device is not registered here"))
    );
    let goodbye: ToDevice = frame::read(&mut session.receive).await.unwrap();
    assert_eq!(goodbye, ToDevice::Goodbye { reason: "this device has another key now".into() });
    assert!(matches!(Session::open(&hub, &next).await.1, ToDevice::Welcome { .. }));
    let (status, answer) = next.post(&hub, REKEY, &ask(&id, &next, &next)).await;
    assert_eq!(status, 200, "its own key again changes nothing: {answer}");
    assert_eq!(next.post(&hub, RENEW, &json!({})).await.0, 200);

    // Erased, it is gone with all its keys; the receipt speaks of the device, whatever its key is.
    let after = Device::new();
    assert_eq!(next.post(&hub, REKEY, &ask(&id, &after, &after)).await.0, 200);
    let receipt_key = next.member.clone().unwrap().receipt_key;
    let key = BASE64URL_NOPAD.decode(receipt_key.as_bytes()).unwrap();
    for rows in [1, 0] {
        let nonce = json!({"nonce": "n1"});
        let (status, answer) = next.post(&hub, "/v1/registration/forget", &nonce).await;
        assert_eq!(status, 200, "{answer}");
        let demand = Demand { device: &id, feature: "registration", nonce: "n1" };
        let receipt = verify(answer["receipt"].as_str().unwrap(), &key, demand).unwrap();
        assert_eq!(receipt.rows["device_key"], rows);
    }
    for device in [&old, &next] {
        assert_eq!(device.post(&hub, UPDATE, &update()).await.0, 401);
    }
}

/// Guard: `hub-rekey-proof`. The attack on "a key for device A opens nothing of B": B tries to become A, or to have A
/// become B.
#[tokio::test]
async fn s15_a_key_that_belongs_to_another_device_is_refused() {
    let hub = Hub::start();
    let (a, b) = (Device::registered(&hub, "a").await, Device::registered(&hub, "b").await);
    let [of_a, of_b] = [&a, &b].map(|device| device_id(&device.spki()));
    let (next_of_a, fresh) = (Device::new(), Device::new());
    assert_eq!(a.post(&hub, REKEY, &ask(&of_a, &next_of_a, &next_of_a)).await.0, 200);
    let attacks = [
        ("a fresh key, signed by the old one", ask(&of_b, &fresh, &b), 403),
        ("a fresh key, signed by another device", ask(&of_b, &fresh, &a), 403),
        ("another device's key without its signature", ask(&of_b, &a, &b), 403),
        ("another device's signature for itself", ask(&of_a, &a, &a), 403),
        ("another device's rekey, replayed", ask(&of_a, &next_of_a, &next_of_a), 403),
        ("a fresh key that signed for another device", ask(&of_a, &fresh, &fresh), 403),
        ("another device's key, stolen", ask(&of_b, &a, &a), 409),
        ("another device's next key, stolen", ask(&of_b, &next_of_a, &next_of_a), 409),
        ("no key", json!({"spki": "AAAA", "signature": "AAAA"}), 400),
    ];
    for (what, body, wanted) in attacks {
        let (status, answer) = b.post(&hub, REKEY, &body).await;
        assert_eq!(status, wanted, "{what}: {answer}");
        assert!(answer["field"].is_string(), "{what}: {answer}");
    }
    // Whose key it is stays as it was: A's two keys are A's, and B's is B's.
    let (_, answer) = b.post(&hub, RENEW, &json!({})).await;
    assert_eq!(member(answer).device, of_b);
    let mut next_of_a = next_of_a;
    let (_, answer) = a.post(&hub, REKEY, &ask(&of_a, &next_of_a, &next_of_a)).await;
    next_of_a.member = Some(member(answer));
    let (status, answer) = next_of_a.post(&hub, RENEW, &json!({})).await;
    assert_eq!((status, member(answer).device), (200, of_a));
}
