//! Auth keys: boxes that nobody stands beside.

use super::store_contract::{at, device, holds, request, sqlite};
use super::support::{Device, Hub, TempDir};
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::store::{AuthKeyRow, Enrolled, Opened, Store};
use qcloud_agent::hub::sweep;
use qcloud_agent::wire::registration::{Polled, Started};
use serde_json::{Value, json};

fn new_key(hub: &Hub, args: &[&str]) -> String {
    let key = hub.json(&[&["authkey", "new"], args].concat());
    key["key"].as_str().unwrap().into()
}

fn keys(hub: &Hub) -> Vec<Value> {
    hub.json(&["authkey", "list"])["auth_keys"].as_array().unwrap().clone()
}

async fn enrol(hub: &Hub, device: &mut Device, name: &str, key: &str) -> Polled {
    let (status, answer) = device.knock(hub, name, key).await;
    assert_eq!(status, 200, "{answer}");
    let started: Started = serde_json::from_value(answer).unwrap();
    let polled = device.poll(hub, &started.device_code).await;
    if let Polled::Approved(member) = &polled {
        device.member = Some(*member.clone());
    }
    polled
}

#[tokio::test]
async fn a_key_lets_a_box_in_once_and_a_reusable_one_many() {
    let hub = Hub::start();
    let (once, many) = (new_key(&hub, &[]), new_key(&hub, &["--reusable"]));
    let mut first = Device::new();
    assert!(matches!(enrol(&hub, &mut first, "box", &once).await, Polled::Approved(_)));
    let (status, _) =
        first.post(&hub, "/v1/ddns/update", &json!({"a": "observed", "aaaa": "none"})).await;
    assert_eq!(status, 200, "it is in");
    assert_eq!(Device::new().knock(&hub, "other", &once).await.0, 403, "the key is used up");
    for name in ["one", "two", "three"] {
        assert!(matches!(enrol(&hub, &mut Device::new(), name, &many).await, Polled::Approved(_)));
    }
    let uses: Vec<_> = keys(&hub).iter().map(|k| (k["uses"].clone(), k["good"].clone())).collect();
    assert_eq!(uses, [(json!(1), json!(false)), (json!(3), json!(true))]);
}

/// Guard: `hub-authkey-once`. The attack: a stolen key, used in the same moment as by its owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_boxes_with_one_key_exactly_one_gets_in() {
    let hub = std::sync::Arc::new(Hub::start());
    let key = new_key(&hub, &[]);
    let mut boxes = Vec::new();
    for number in 0..20 {
        let device = Device::new();
        let (status, answer) = device.knock(&hub, &format!("box{number}"), &key).await;
        assert_eq!(status, 200, "a start uses nothing up: {answer}");
        let started: Started = serde_json::from_value(answer).unwrap();
        boxes.push((device, started));
    }
    let mut polls = tokio::task::JoinSet::new();
    for (device, started) in boxes {
        let hub = std::sync::Arc::clone(&hub);
        polls.spawn(async move { device.poll(&hub, &started.device_code).await });
    }
    let answers = polls.join_all().await;
    let is_in = |polled: &&Polled| matches!(polled, Polled::Approved(_));
    assert_eq!(answers.iter().filter(is_in).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|p| **p == Polled::AccessDenied).count(), 19);
    assert_eq!(hub.json(&["devices"])["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_uses_no_key_up() {
    let hub = Hub::start();
    let (key, device) = (new_key(&hub, &[]), Device::new());
    // Of the first start, the answer never came.
    assert_eq!(device.knock(&hub, "box", &key).await.0, 200);
    let (_, answer) = device.knock(&hub, "box", &key).await;
    let started: Started = serde_json::from_value(answer).unwrap();
    assert_eq!(keys(&hub)[0]["uses"], 0);
    for _ in 0..2 {
        // And of the first poll neither.
        let polled = device.poll(&hub, &started.device_code).await;
        assert!(matches!(polled, Polled::Approved(_)), "{polled:?}");
    }
    assert_eq!(keys(&hub)[0]["uses"], 1);
    // Nor is a box locked out that forgot in a power cut that it is in; another one still is.
    let mut same = device;
    assert!(matches!(enrol(&hub, &mut same, "box", &key).await, Polled::Approved(_)));
    assert_eq!(Device::new().knock(&hub, "other", &key).await.0, 403);
    assert_eq!(keys(&hub)[0]["uses"], 1);
    assert!(hub.command(&["revoke", "box", "--yes"]).status.success());
    assert_eq!(same.knock(&hub, "box", &key).await.0, 403, "the operator took it back");
}

#[tokio::test]
async fn every_refusal_is_the_same() {
    let hub = Hub::start();
    let used = new_key(&hub, &[]);
    enrol(&hub, &mut Device::new(), "taken", &used).await;
    let narrow = new_key(&hub, &["--name", "office-*"]);
    let gone = new_key(&hub, &[]);
    let id = gone.split('_').nth(1).unwrap();
    assert!(hub.command(&["authkey", "revoke", id]).status.success());
    assert_eq!(hub.command(&["authkey", "revoke", id]).status.code(), Some(1));
    let (head, secret) = narrow.rsplit_once('_').unwrap();
    let flipped = format!("{head}_{}", secret.chars().rev().collect::<String>());
    // The reserved name and the taken one must not tell that a key is good, either.
    let cases = [
        ("box", used.as_str()),
        ("box", narrow.as_str()),
        ("wpad", narrow.as_str()),
        ("taken", narrow.as_str()),
        ("office-1", flipped.as_str()),
        ("office-1", gone.as_str()),
        ("office-1", "qk1_aaaaaaaa_bbbbbbbb"),
        ("office-1", "no key at all"),
        ("office-1", ""),
    ];
    let device = Device::new();
    let expected = json!({"error": "this auth key does not let this device in", "field": "auth_key", "hint": "qcloud-hub authkey list"});
    for (name, key) in cases {
        assert_eq!(device.knock(&hub, name, key).await, (403, expected.clone()), "{name}");
    }
    assert_eq!(device.knock(&hub, "office-1", &narrow).await.0, 200, "the right one is let in");
}

/// Guard: `hub-authkey-names`.
#[tokio::test]
async fn a_key_gives_no_other_names_than_its_own() {
    let hub = Hub::start();
    let key = new_key(&hub, &["--name", "office-*", "--reusable"]);
    let mut device = Device::new();
    assert_eq!(device.knock(&hub, "vault", &key).await.0, 403);
    assert!(matches!(enrol(&hub, &mut device, "office-1", &key).await, Polled::Approved(_)));
    // The attack: in by a name that may be, then correct the name.
    let rename = |name: &str| json!({ "name": name });
    let (status, answer) = device.post(&hub, "/v1/privacy/fix", &rename("vault")).await;
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = device.post(&hub, "/v1/privacy/fix", &rename("office-2")).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn only_the_hash_of_a_key_is_kept_and_only_until_it_expires() {
    let hub = Hub::start();
    let key = new_key(&hub, &["--reusable"]);
    enrol(&hub, &mut Device::new(), "box", &key).await;
    let secret = key.rsplit('_').next().unwrap();
    assert_eq!(secret.len(), 32, "160 bits");
    for entry in std::fs::read_dir(&hub.dir).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "the key is kept");
    }
    let plain = hub.command(&["authkey", "new", "--expires", "90"]);
    assert!(String::from_utf8(plain.stdout).unwrap().starts_with("qk1_"), "and shown this once");
    let list = hub.command(&["authkey", "list"]);
    assert!(!String::from_utf8(list.stdout).unwrap().contains("qk1_"));
    for bad in [&["--expires", "91"], &["--expires", "0"], &["--name", "Office"], &["--name", ""]] {
        let refused = hub.command(&[&["authkey", "new"], bad.as_slice()].concat());
        assert_eq!(refused.status.code(), Some(2), "{bad:?}");
    }
}

#[tokio::test]
async fn a_network_that_guesses_keys_or_asks_too_much_is_told_to_wait() {
    let hub = Hub::start_with(&[]);
    let (key, device) = (new_key(&hub, &["--reusable"]), Device::new());
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(device.knock(&hub, "box", "qk1_aaaaaaaa_bbbbbbbb").await.0);
    }
    assert_eq!(answers.iter().filter(|status| **status == 403).count(), 10, "{answers:?}");
    assert_eq!(answers.last(), Some(&429));
    assert_eq!(
        device.knock(&hub, "box", &key).await.0,
        429,
        "now no key of that network is looked at"
    );
    let mut others = Vec::new();
    for _ in 0..40 {
        let url =
            format!("https://{}:{}/v1/register/start", super::support::HOST, hub.listen.port());
        let response = device.client(&hub).post(url).body("{}").send().await.unwrap();
        others.push((response.status().as_u16(), response.headers().get("retry-after").is_some()));
    }
    assert!(others.contains(&(429, true)), "{others:?}");
    assert!(!others.contains(&(429, false)));
}

fn row(id: &str, reusable: bool, expires: u64) -> AuthKeyRow {
    AuthKeyRow {
        id: id.into(),
        hash: [7; 32],
        pattern: "*".into(),
        reusable,
        uses: 0,
        expires_at: at(expires),
        made_at: at(0),
    }
}

async fn open_and_enrol(store: &dyn Store, number: u8, key: &str) -> Enrolled {
    let (name, request) =
        (format!("box{number}"), request(number, &format!("box{number}"), number));
    let opened = store.open_authorised(request.clone(), key.into(), 99).await.unwrap();
    assert_eq!(opened, Opened::Yes);
    store.enrol(request.code_hash, device(&name, number)).await.unwrap()
}

#[tokio::test]
async fn a_store_uses_up_revokes_and_sweeps_keys() {
    let (store, temp): (_, TempDir) = sqlite();
    let store = store.as_ref();
    for key in [
        row("once", false, 100),
        row("many", true, 100),
        row("late", true, 1),
        row("canarykey", true, 300),
    ] {
        store.add_auth_key(key).await.unwrap();
    }
    assert_eq!(store.auth_key("once".into()).await.unwrap(), Some(row("once", false, 100)));
    assert_eq!(store.auth_key("nobody".into()).await.unwrap(), None);
    assert!(matches!(open_and_enrol(store, 1, "once").await, Enrolled::Yes { .. }));
    assert_eq!(open_and_enrol(store, 2, "once").await, Enrolled::KeySpent);
    assert!(matches!(open_and_enrol(store, 3, "many").await, Enrolled::Yes { .. }));
    assert!(matches!(open_and_enrol(store, 4, "many").await, Enrolled::Yes { .. }));
    // Devices of these tests enrol at second 1, which is when this one expires.
    assert_eq!(open_and_enrol(store, 5, "late").await, Enrolled::KeySpent);
    let waits = request(6, "box6", 6);
    store.open_authorised(waits.clone(), "canarykey".into(), 99).await.unwrap();
    assert!(holds(&temp, "canarykey"));
    assert!(store.revoke_auth_key("canarykey".into()).await.unwrap());
    assert!(!store.revoke_auth_key("canarykey".into()).await.unwrap());
    assert_eq!(store.enrol(waits.code_hash, device("box6", 6)).await.unwrap(), Enrolled::KeySpent);
    let uses: Vec<_> =
        store.auth_keys().await.unwrap().into_iter().map(|k| (k.id, k.uses)).collect();
    assert_eq!(uses, [("once".into(), 1), ("many".into(), 2), ("late".into(), 0)]);
    let next = sweep::sweep(store, at(50)).await.unwrap().unwrap();
    assert!(next <= at(100), "the next one expires at 100: {next:?}");
    let left: Vec<_> = store.auth_keys().await.unwrap().into_iter().map(|k| k.id).collect();
    assert_eq!(left, ["once", "many"]);
    sweep::sweep(store, Wall(at(100).0 + Duration::from_secs(600))).await.unwrap();
    assert_eq!(store.auth_keys().await.unwrap(), []);
}
