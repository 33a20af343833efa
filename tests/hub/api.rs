//! The API of a serving hub.

use super::support::{Device, HOST, Hub};
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::card::Caller;
use qcloud_agent::hub::api::ROUTES;
use qcloud_agent::identity::id::device_id;
use qcloud_agent::wire::ddns::{Answer, Update};
use qcloud_agent::wire::receipt::{Demand, verify};
use qcloud_agent::wire::registration::{Polled, check_words, poll_message};
use qcloud_agent::wire::{MAX_BODY, TO_HUB};
use serde_json::json;

/// Rows of a device that registered and moved, and had no session.
const ERASED: [(&str, u64); 13] = [
    ("ddns", 1),
    ("device", 1),
    ("device_key", 0),
    ("license_seat", 0),
    ("link_log", 0),
    ("pending", 1),
    ("quarantine", 0),
    ("restriction", 0),
    ("service", 0),
    ("share", 0),
    ("share_invitation", 0),
    ("ticket", 0),
    ("visibility", 0),
];

#[tokio::test]
async fn a_device_registers_moves_and_is_forgotten() {
    let mut hub = Hub::start();
    let mut device = Device::new();
    let started = device.begin(&hub, "box").await;
    assert_eq!(device.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);
    assert_eq!(device.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);

    let wrong = hub.command(&["approve", &started.user_code, "--words", "babab babab babab babab"]);
    assert_eq!(wrong.status.code(), Some(1), "wrong words");
    let unseen = hub.command(&["approve", &started.user_code]);
    assert_eq!(unseen.status.code(), Some(1), "nobody compared the words");
    assert_eq!(device.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);

    let challenge = BASE64URL_NOPAD.decode(started.challenge.as_bytes()).unwrap();
    let words = check_words(&challenge, &device.spki()).join(" ");
    let lower = started.user_code.to_lowercase();
    let right = hub.command(&["approve", &lower, "--words", &words]);
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));

    for _ in 0..2 {
        let Polled::Approved(member) = device.poll(&hub, &started.device_code).await else {
            panic!("not approved")
        };
        device.member = Some(*member);
    }
    let member = device.member.clone().unwrap();
    assert_eq!(member.link_host(), "box.link.example.test");

    let v6 = Answer::Address("2001:db8::7".parse().unwrap());
    let update = json!(Update { a: Answer::Observed, aaaa: v6 });
    let (status, answer) = device.post(&hub, "/v1/ddns/update", &update).await;
    let expected = json!({"a": "127.0.0.1", "aaaa": "2001:db8::7", "observed": "127.0.0.1"});
    assert_eq!((status, answer), (200, expected));
    let private = Answer::Address("192.168.1.5".parse().unwrap());
    let private = json!(Update { a: private, aaaa: Answer::None });
    let (status, answer) = device.post(&hub, "/v1/ddns/update", &private).await;
    assert_eq!((status, answer["field"].as_str()), (422, Some("a")));

    let nonce = json!({"nonce": "n1"});
    let (status, answer) = device.post(&hub, "/v1/registration/forget", &nonce).await;
    assert_eq!(status, 200, "{answer}");
    let id = device_id(&device.spki());
    let demand = Demand { device: &id, feature: "registration", nonce: "n1" };
    let key = BASE64URL_NOPAD.decode(member.receipt_key.as_bytes()).unwrap();
    let receipt = verify(answer["receipt"].as_str().unwrap(), &key, demand).unwrap();
    assert_eq!(receipt.rows, ERASED.map(|(table, count)| (table.to_owned(), count)).into());

    for (path, body) in [("/v1/ddns/update", &update), ("/v1/link/forget", &nonce)] {
        let (status, _) = device.post(&hub, path, body).await;
        assert_eq!(status, 401, "its certificate is worth nothing without its row");
    }
    assert_eq!(hub.stop(), Some(0));
    for entry in std::fs::read_dir(&hub.dir).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(id.len()).any(|w| w == id.as_bytes()), "bytes of it stayed");
    }
}

#[tokio::test]
async fn nothing_but_the_declared_routes_is_served() {
    let hub = Hub::start();
    let nobody = Device::new();
    for parcel in TO_HUB {
        let served = ROUTES.iter().any(|route| route.parcel == *parcel);
        let by_https = matches!(parcel.how, qcloud_agent::card::Carriage::Https { .. });
        assert_eq!(served, by_https, "{}", parcel.id);
    }
    for path in ["/", "/v1", "/v1/register/start/", "/v1/REGISTER/start", "/v1/ddns", "/admin"] {
        let (status, answer) = nobody.post(&hub, path, &json!({})).await;
        assert_eq!((status, answer["error"].as_str()), (404, Some("nothing is served here")));
    }
    for route in ROUTES {
        let (path, caller) = route.place().unwrap();
        let url = format!("https://{HOST}:{}{path}", hub.listen.port());
        let got = nobody.client(&hub).get(url).send().await.unwrap();
        assert_eq!(got.status().as_u16(), 404, "GET {path}");
        let (status, _) = nobody.post(&hub, path, &(route.parcel.example)()).await;
        assert_eq!(status == 401, caller == Caller::Device, "{path}: {status}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let hub = Hub::start();
    let device = Device::new();
    let start = "/v1/register/start";
    let ask = |body: serde_json::Value| device.post(&hub, start, Box::leak(Box::new(body)));
    let key = BASE64URL_NOPAD.encode(&device.spki());
    let cases = [
        (json!({"spki": key}), 400, Some("name")),
        (json!({"spki": key, "name": "box", "serial": "Q1"}), 400, Some("serial")),
        (json!({"spki": "AAAA", "name": "box"}), 400, Some("spki")),
        (json!({"spki": key, "name": "Not A Name"}), 400, None),
        (json!({"spki": key, "name": "wpad"}), 409, Some("name")),
        (json!({"spki": "x".repeat(MAX_BODY), "name": "box"}), 413, None),
    ];
    for (body, status, field) in cases {
        let answer = ask(body).await;
        assert_eq!((answer.0, answer.1["field"].as_str()), (status, field), "{}", answer.1);
        assert!(answer.1["error"].is_string());
    }
}

#[tokio::test]
async fn only_the_keys_holder_learns_of_a_registration() {
    let hub = Hub::start();
    let (device, thief) = (Device::new(), Device::new());
    let started = device.begin(&hub, "box").await;
    let code = &started.device_code;
    let signature = thief.sign(&poll_message(code));
    let body = json!({"device_code": code, "signature": signature});
    let (status, answer) = thief.post(&hub, "/v1/register/poll", &body).await;
    assert_eq!((status, answer["state"].as_str()), (401, None));
    assert!(hub.command(&["deny", &started.user_code]).status.success());
    assert_eq!(device.poll(&hub, code).await, Polled::AccessDenied);
}

#[tokio::test]
async fn a_taken_name_is_refused_to_another_key() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let other = Device::new();
    let body = json!({"spki": BASE64URL_NOPAD.encode(&other.spki()), "name": "box"});
    let (status, answer) = other.post(&hub, "/v1/register/start", &body).await;
    assert_eq!((status, answer["field"].as_str()), (409, Some("name")));
    device.begin(&hub, "box").await;
}

#[test]
fn a_sandbox_never_listens_to_others() {
    let temp = super::support::TempDir::new();
    let args = ["init", "--zone", "example.test", "--sandbox"];
    let refused = super::support::command(&args, &temp.0.join("hub"));
    assert_eq!(refused.status.code(), Some(1));
}
