//! The operator takes a device's place back.

use super::dns::{question, send};
use super::link::{Session, visitor};
use super::support::{Device, Hub};
use core::time::Duration;
use domain::base::iana::{Rcode, Rtype};
use qcloud_agent::hub::admin::{Answer, Request};
use qcloud_agent::hub::admin::{SOCKET, ask};
use qcloud_agent::hub::operators::act::Act;
use qcloud_agent::hub::session::CLOSED_UNKNOWN_DEVICE;
use qcloud_agent::wire::frame;
use qcloud_agent::wire::label::Label;
use qcloud_agent::wire::link::{ToDevice, Verdict, Visitor};
use qcloud_agent::wire::registration::Polled;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// What is promised (S10).
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_others_stay_in() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let other = Device::registered(&hub, "attic").await;
    let update = json!({"a": "none", "aaaa": "2001:db8::7"});
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    let (mut session, _) = Session::open(&hub, &device).await;
    let (stays, _) = Session::open(&hub, &other).await;
    let (mut tcp, _) = visitor(&hub, "box.link.example.test").await;
    let (mut to_visitor, mut from_visitor) = session.connection.accept_bi().await.unwrap();
    let _: Visitor = frame::read(&mut from_visitor).await.unwrap();
    to_visitor.write_all(&[Verdict::Welcome.byte(), 1]).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), 1, "the visitor's connection stands");
    let pending = device.begin(&hub, "later").await;
    let online = |name: &str| {
        let devices = hub.json(&["devices"]);
        let devices = devices["devices"].as_array().unwrap().clone();
        devices.into_iter().find(|d| d["name"] == name).map(|d| d["online"].clone())
    };
    assert_eq!(online("box"), Some(json!(true)));

    let unasked = hub.command(&["revoke", "box"]);
    assert_eq!(unasked.status.code(), Some(1), "nobody confirmed it");
    let revoked = hub.json(&["revoke", "box", "--yes"]);
    assert_eq!((&revoked["serving"], &revoked["rows"]["device"]), (&json!(true), &json!(1)));
    let goodbye: ToDevice = frame::read(&mut session.receive).await.unwrap();
    assert!(matches!(goodbye, ToDevice::Goodbye { reason } if reason.contains("revoked")));
    tokio::time::timeout(SOON, session.connection.closed()).await.expect("the session is closed");
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(SOON, tcp.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the visitor's connection is cut");

    for path in ["/v1/ddns/update", "/v1/link/forget", "/v1/privacy/export"] {
        let (status, answer) = device.post(&hub, path, &update).await;
        assert_eq!((status, &answer["error"]), (401, &json!("this device is not registered here")));
    }
    let refused = match Session::connect(&hub, &device).await {
        Err(error) => error,
        Ok(connection) => connection.closed().await,
    };
    let quinn::ConnectionError::ApplicationClosed(close) = refused else { panic!("{refused}") };
    assert_eq!(close.error_code, CLOSED_UNKNOWN_DEVICE);
    assert_eq!(
        device.poll(&hub, &pending.device_code).await,
        Polled::ExpiredToken,
        "nor by a code"
    );
    let asked = send(&hub, &question("box.example.test", Rtype::AAAA)).await.unwrap();
    assert_eq!(asked.rcode(), Rcode::NXDOMAIN);
    assert_eq!((online("box"), online("attic")), (None, Some(json!(true))));
    assert!(stays.connection.close_reason().is_none(), "the other one is undisturbed");
    assert_eq!(hub.command(&["revoke", "box", "--yes"]).status.code(), Some(1), "it is gone");
    let again = Device::registered(&hub, "box").await;
    assert_eq!(again.post(&hub, "/v1/ddns/update", &update).await.0, 200, "the name is free");
}

#[tokio::test]
async fn a_hub_that_does_not_run_forgets_a_revoked_device_all_the_same() {
    let mut hub = Hub::start();
    Device::registered(&hub, "box").await;
    assert_eq!(hub.stop(), Some(0));
    assert!(!hub.dir.join(SOCKET).exists(), "the socket goes with the hub");
    let revoked = hub.json(&["revoke", "box", "--yes"]);
    assert_eq!((&revoked["serving"], &revoked["rows"]["device"]), (&json!(false), &json!(1)));
    assert_eq!(hub.json(&["devices"]), json!({"devices": []}));
}

#[tokio::test]
async fn the_operators_socket_is_the_hubs_own_and_bounded() {
    let hub = Hub::start();
    let path = hub.dir.join(SOCKET);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let act = Act::DeviceRevoke { name: Label::parse("nobody").unwrap() };
    let nobody = Request::Desk { act, reason: None };
    let answer = ask(&hub.dir, &nobody).await.unwrap();
    assert!(matches!(answer, Some(Answer::Refused { .. })), "{answer:?}");
    let long = format!("{}\n", "x".repeat(1 << 20));
    for nonsense in ["\n", "{}\n", "{\"verb\":\"health\",\"more\":1}\n", "[1]\n", &long] {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        // A request that is too long is not read to its end.
        let _ = stream.write_all(nonsense.as_bytes()).await;
        let mut said = String::new();
        let read = tokio::time::timeout(SOON, stream.read_to_string(&mut said)).await;
        let read = read.expect("an answer or an end");
        assert!(read.is_err() || said.contains("not understood"), "{said}");
    }
    assert_eq!(
        ask(&hub.dir, &Request::Health {}).await.unwrap(),
        Some(Answer::Health { reasons: vec![] })
    );
    // A second hub does not take the first one's place.
    let second = hub.command(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        String::from_utf8(second.stderr).unwrap().contains("another hub serves this directory")
    );
}

#[tokio::test]
async fn a_crashed_hubs_socket_is_replaced() {
    let mut hub = Hub::start();
    hub.crash();
    assert_eq!(
        ask(&hub.dir, &Request::Health {}).await.unwrap(),
        Some(Answer::Health { reasons: vec![] })
    );
}
