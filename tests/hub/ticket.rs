//! Two boxes with one key, and one box whose words get lost.

use super::link::Session;
use super::support::{Device, Hub};
use core::time::Duration;
use qcloud_agent::hub::session::{CLOSED_PROTOCOL, CLOSED_QUARANTINED};
use qcloud_agent::wire::frame;
use qcloud_agent::wire::link::{ToDevice, ToHub};
use quinn::ConnectionError;
use serde_json::{Value, json};
use std::time::Instant;

/// A session that shows this and does not answer for what it was given: its ticket.
async fn brief(hub: &Hub, device: &Device, shown: Option<&str>) -> Result<String, ConnectionError> {
    let (_session, welcome) = Session::show(hub, device, shown).await?;
    let ToDevice::Welcome { ticket, .. } = welcome else { panic!("no welcome") };
    Ok(ticket)
}

/// A session that says what became of the ticket it was given, and knows that the hub has heard it.
async fn whole(
    hub: &Hub,
    device: &Device,
    shown: Option<&str>,
    stored: bool,
) -> Result<(Session, String), ConnectionError> {
    let (mut session, welcome) = Session::show(hub, device, shown).await?;
    let ToDevice::Welcome { ticket, .. } = welcome else { panic!("no welcome") };
    frame::write(&mut session.send, &ToHub::Ticket { stored }).await.unwrap();
    frame::write(&mut session.send, &ToHub::Heartbeat { number: 1 }).await.unwrap();
    let beat: ToDevice = frame::read(&mut session.receive).await.unwrap();
    assert!(matches!(beat, ToDevice::Heartbeat { number: 1, .. }));
    Ok((session, ticket))
}

fn is_quarantine(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == CLOSED_QUARANTINED)
}

fn devices(hub: &Hub) -> Value {
    let said = hub.command(&["devices", "--json"]);
    serde_json::from_slice::<Value>(&said.stdout).unwrap()["devices"].clone()
}

/// How many addresses the name answers with.
async fn answers(hub: &Hub, name: &str) -> usize {
    let name = format!("{name}.example.test");
    super::dns::addresses(hub, &name).await
}

/// Guard: `hub-ticket`, the rule itself.
///
/// The attack: a copy of the disk, which proves the key as well as the original.
#[tokio::test]
async fn an_older_ticket_sets_both_copies_aside_until_one_is_released() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let update = json!({"a": "127.0.0.5", "aaaa": "none"});
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    assert_eq!(answers(&hub, "box").await, 1);
    let (_original, first) = whole(&hub, &device, None, true).await.unwrap();
    // The disk is copied now. The copy comes, and the newest session wins; then the original comes back.
    let (mut copy, second) = whole(&hub, &device, Some(&first), true).await.unwrap();
    let refused = brief(&hub, &device, Some(&first)).await.unwrap_err();
    assert!(is_quarantine(&refused), "{refused}");
    let goodbye: ToDevice = frame::read(&mut copy.receive).await.unwrap();
    assert!(matches!(goodbye, ToDevice::Goodbye { reason } if reason.contains("another copy")));
    copy.connection.closed().await;
    for shown in [Some(second.as_str()), Some(&first), None] {
        assert!(is_quarantine(&brief(&hub, &device, shown).await.unwrap_err()));
    }
    assert_eq!(answers(&hub, "box").await, 0, "the name answers still");
    assert!(devices(&hub)[0]["why"].as_str().unwrap().contains("older ticket"));
    let said = hub.command(&["devices"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("quarantined since"));
    for path in ["/v1/ddns/update", "/v1/privacy/export", "/v1/privacy/fix"] {
        let (status, answer) = device.post(&hub, path, &json!({})).await;
        assert_eq!((status, &answer["code"]), (403, &"quarantined".into()), "{path}: {answer}");
        assert!(answer["hint"].as_str().unwrap().contains("register --fork"), "{answer}");
    }

    // One of them is released. It may show whatever it has, and the name answers again.
    assert!(hub.command(&["release", "box"]).status.success());
    let (_session, third) = whole(&hub, &device, Some(&first), true).await.unwrap();
    assert_eq!(answers(&hub, "box").await, 1);
    assert_eq!(devices(&hub)[0]["quarantined"], Value::Null);
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    assert!(!hub.command(&["release", "box"]).status.success(), "there is nothing to release");
    // The other one comes all the same.
    assert!(is_quarantine(&brief(&hub, &device, Some(&second)).await.unwrap_err()));
    assert!(is_quarantine(&brief(&hub, &device, Some(&third)).await.unwrap_err()));
    // To be forgotten is a right of both.
    let (status, receipt) =
        device.post(&hub, "/v1/registration/forget", &json!({"nonce": "n"})).await;
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(devices(&hub), json!([]));
}

#[tokio::test]
async fn a_quarantine_outlives_a_restart_of_the_hub() {
    let mut hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let update = json!({"a": "127.0.0.5", "aaaa": "none"});
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    whole(&hub, &device, None, true).await.unwrap();
    assert!(is_quarantine(&brief(&hub, &device, None).await.unwrap_err()));
    hub.crash();
    assert_eq!(answers(&hub, "box").await, 0);
    assert!(is_quarantine(&brief(&hub, &device, None).await.unwrap_err()));
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 403);
}

#[tokio::test]
async fn a_thousand_sessions_whose_words_are_lost_are_no_fork() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let begun = Instant::now();
    let mut held: Option<String> = None;
    for number in 0..1000 {
        let given = brief(&hub, &device, held.as_deref()).await;
        let given = given.unwrap_or_else(|e| panic!("session {number}: {e}"));
        // By turns: its word of it was lost, and the welcome itself was.
        if number % 2 == 0 {
            held = Some(given);
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{number} sessions only");
    }
    assert_eq!(devices(&hub)[0]["quarantined"], Value::Null);
    // A copy is found all the same.
    let shown = held.clone();
    let (_session, _) = whole(&hub, &device, shown.as_deref(), true).await.unwrap();
    assert!(is_quarantine(&brief(&hub, &device, shown.as_deref()).await.unwrap_err()));
}

#[tokio::test]
async fn a_box_that_cannot_write_keeps_its_ticket() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    for _ in 0..3 {
        whole(&hub, &device, None, false).await.unwrap();
    }
    let (_, held) = whole(&hub, &device, None, true).await.unwrap();
    for _ in 0..3 {
        whole(&hub, &device, Some(&held), false).await.unwrap();
    }
    let (_, newer) = whole(&hub, &device, Some(&held), true).await.unwrap();
    assert!(is_quarantine(&brief(&hub, &device, Some(&held)).await.unwrap_err()));
    assert!(is_quarantine(&brief(&hub, &device, Some(&newer)).await.unwrap_err()));
}

#[tokio::test]
async fn what_is_no_ticket_sets_nobody_aside() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let refused = brief(&hub, &device, Some("no ticket")).await.unwrap_err();
    let ConnectionError::ApplicationClosed(close) = refused else { panic!("{refused}") };
    assert_eq!(close.error_code, CLOSED_PROTOCOL);
    brief(&hub, &device, None).await.unwrap();
}

#[tokio::test]
async fn a_hub_whose_database_is_an_older_copy_can_take_every_device_as_it_comes() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    whole(&hub, &device, None, true).await.unwrap();
    assert!(hub.command(&["release", "--all"]).status.success());
    brief(&hub, &device, Some("AAECAwQFBgcICQoLDA0ODw")).await.unwrap();
    assert!(!hub.command(&["release", "nobody"]).status.success());
    assert!(!hub.command(&["release"]).status.success());
}
