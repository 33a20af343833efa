//! RFC 8628 at the hub, to the letter.

use super::store_contract::{at, request, sqlite};
use super::support::{Device, Hub};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::{Boot, Now};
use qcloud_agent::hub::approval::{Approvals, NotFound};
use qcloud_agent::hub::store::Pending;
use qcloud_agent::wire::registration::{CODE_LIFE, Polled, Started, check_words, poll_message};
use serde_json::json;

fn words(device: &Device, started: &Started) -> String {
    let challenge = BASE64URL_NOPAD.decode(started.challenge.as_bytes()).unwrap();
    check_words(&challenge, &device.spki()).join(" ")
}

/// Section 5.4: the attacker began a registration and gives the owner its code as if it were that of the owner's
/// device. The words the owner reads on the device are not those of the code.
#[tokio::test]
async fn swapped_codes_show_other_words_and_are_not_approved() {
    let hub = Hub::start();
    let (victim, attacker) = (Device::new(), Device::new());
    let mine = victim.begin(&hub, "box").await;
    let theirs = attacker.begin(&hub, "box").await;
    let on_the_device = words(&victim, &mine);
    assert_ne!(on_the_device, words(&attacker, &theirs));
    let phished = hub.command(&["approve", &theirs.user_code, "--words", &on_the_device]);
    assert_eq!(phished.status.code(), Some(1));
    let said = String::from_utf8(phished.stderr).unwrap();
    assert!(said.contains("somebody else may be using its code"), "{said}");
    assert_eq!(attacker.poll(&hub, &theirs.device_code).await, Polled::AuthorizationPending);
    // Nor the other way round: the attacker shows its own words beside the victim's code.
    let other = hub.command(&["approve", &mine.user_code, "--words", &words(&attacker, &theirs)]);
    assert_eq!(other.status.code(), Some(1));
    assert!(hub.command(&["approve", &mine.user_code, "--words", &on_the_device]).status.success());
    assert!(matches!(victim.poll(&hub, &mine.device_code).await, Polled::Approved(_)));
    assert_eq!(attacker.poll(&hub, &theirs.device_code).await, Polled::AuthorizationPending);
}

/// Section 3.5: `slow_down` to who polls faster than the interval of section 3.2, and only to them.
#[tokio::test]
async fn who_polls_too_fast_is_told_to_slow_down() {
    let hub = Hub::start_with(&[]);
    let (hasty, other) = (Device::new(), Device::new());
    let started = hasty.begin(&hub, "box").await;
    assert_eq!((started.interval_seconds, started.expires_in_seconds), (5, 600));
    let calm = other.begin(&hub, "attic").await;
    assert_eq!(hasty.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);
    assert_eq!(hasty.poll(&hub, &started.device_code).await, Polled::SlowDown);
    assert_eq!(other.poll(&hub, &calm.device_code).await, Polled::AuthorizationPending);
}

/// A stolen device code is worth nothing without the key. Guard: `hub-poll-signature`.
#[tokio::test]
async fn who_polls_with_another_key_learns_nothing() {
    let hub = Hub::start();
    let (device, thief) = (Device::new(), Device::new());
    let started = device.begin(&hub, "box").await;
    assert!(hub.command(&["approve", &started.user_code, "--yes"]).status.success());
    let code = &started.device_code;
    let poll = |signature: String| json!({"device_code": code, "signature": signature});
    let forged = [thief.sign(&poll_message(code)), device.sign(code.as_bytes()), String::new()];
    for signature in forged {
        let (status, answer) = thief.post(&hub, "/v1/register/poll", &poll(signature)).await;
        assert_eq!((status, answer["field"].as_str()), (401, Some("signature")), "{answer}");
    }
    assert!(
        matches!(device.poll(&hub, code).await, Polled::Approved(_)),
        "the key's holder gets in"
    );
}

#[tokio::test]
async fn an_unknown_code_is_answered_like_one_that_is_over() {
    let hub = Hub::start();
    assert_eq!(Device::new().poll(&hub, "AAAAAAAAAAAAAAAAAAAAAA").await, Polled::ExpiredToken);
}

/// Section 5.1: who guesses user codes over the network is stopped, and others are not.
#[tokio::test]
async fn wrong_user_codes_are_counted_by_network() {
    let (store, _temp) = sqlite();
    let store = store.as_ref();
    let row = waiting();
    store.open_code(row.clone(), 9).await.unwrap();
    let approvals = Approvals::default();
    let attacker = "2001:db8:0:1::666".parse().unwrap();
    let neighbour = "2001:db8:0:1::667".parse().unwrap();
    let owner = "203.0.113.7".parse().unwrap();
    for guess in 0..10 {
        let wrong = approvals.find(store, attacker, "BBBB-BBBB", now(0)).await;
        assert!(matches!(wrong, Err(NotFound::NoSuchCode)), "{guess}: {wrong:?}");
    }
    for from in [attacker, neighbour] {
        // Not even the right one, or the eleventh guess could be it.
        let stopped = approvals.find(store, from, &row.user_code, now(0)).await;
        let Err(NotFound::TooMany { wait }) = stopped else { panic!("{stopped:?}") };
        assert_eq!(wait, Duration::from_secs(6));
    }
    let typed = approvals.find(store, owner, "BBBB-BBBB", now(0)).await;
    assert!(matches!(typed, Err(NotFound::NoSuchCode)), "an owner mistypes: {typed:?}");
    for _ in 0..20 {
        let right = approvals.find(store, owner, &row.user_code, now(1)).await;
        assert_eq!(right.unwrap(), row, "right codes are not counted");
    }
    for _ in 0..10 {
        let wrong = approvals.find(store, attacker, "BBBB-BBBB", now(60)).await;
        assert!(matches!(wrong, Err(NotFound::NoSuchCode)), "a minute later: {wrong:?}");
    }
    let again = approvals.find(store, attacker, "BBBB-BBBB", now(60)).await;
    assert!(matches!(again, Err(NotFound::TooMany { .. })), "{again:?}");
}

fn waiting() -> Pending {
    Pending { user_code: "BCDFGHJK".into(), ..request(1, "box", 1) }
}

fn now(second: u64) -> Now {
    Now { boot: Boot(Duration::from_secs(second)), wall: at(second), dice: 0 }
}

#[tokio::test]
async fn a_right_code_is_found_however_it_is_typed_until_its_time_is_over() {
    let (store, _temp) = sqlite();
    let store = store.as_ref();
    let row = waiting();
    store.open_code(row.clone(), 9).await.unwrap();
    let approvals = Approvals::default();
    let from = "203.0.113.7".parse().unwrap();
    for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk "] {
        assert_eq!(approvals.find(store, from, typed, now(1)).await.unwrap(), row);
    }
    let late = approvals.find(store, from, "BCDF-GHJK", now(CODE_LIFE.as_secs() + 1)).await;
    assert!(matches!(late, Err(NotFound::NoSuchCode)));
}
