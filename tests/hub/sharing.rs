//! The page of a device, and who may find it.

use super::browser::{Browser, EMAIL, Page, hub};
use super::link::Session;
use super::support::{Device, Hub};
use core::time::Duration;
use qcloud_agent::hub::people::sharing::MOST_GUESTS;
use qcloud_agent::wire::registration::Polled;
use rusqlite::Connection;
use serde_json::{Value, json};

const BEN: &str = "ben@mail.example.org";

/// The hub's database, beside the hub.
pub fn database(hub: &Hub) -> Connection {
    let database = Connection::open(hub.dir.join("hub.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
}

/// A device that its owner let in at the pages.
pub async fn member(hub: &Hub, owner: &mut Browser, name: &str) -> Device {
    let mut device = Device::new();
    let started = device.begin(hub, name).await;
    let code = started.user_code.as_str();
    let mark = owner.get("/").await.mark();
    let form =
        [("mark", mark.as_str()), ("code", code), ("decision", "approve"), ("words", "same")];
    assert_eq!(owner.post("/approve", &form).await.status, 303);
    let Polled::Approved(member) = device.poll(hub, &started.device_code).await else {
        panic!("not approved")
    };
    device.member = Some(*member);
    device
}

/// The id of a device that its owner let in at the pages.
pub async fn owned(hub: &Hub, owner: &mut Browser, name: &str) -> String {
    drop(member(hub, owner, name).await);
    id_of(hub, name)
}

pub fn id_of(hub: &Hub, name: &str) -> String {
    let devices = hub.json(&["devices"]);
    let mut devices = devices["devices"].as_array().unwrap().iter();
    devices.find(|d| d["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Fills a form of a device's page.
async fn set(owner: &mut Browser, id: &str, what: &str, pairs: &[(&str, &str)]) -> Page {
    let mark = owner.get("/").await.mark();
    let form = [&[("mark", mark.as_str())], pairs].concat();
    owner.post(&format!("/device/{id}/{what}"), &form).await
}

/// Shares a device with somebody who accepts it.
pub async fn shared(hub: &Hub, owner: &mut Browser, id: &str, email: &str) -> Browser {
    set(owner, id, "visibility", &[("level", "people")]).await;
    assert_eq!(set(owner, id, "invite", &[("email", email)]).await.status, 303);
    let mut guest = Browser::of(hub, email).await;
    let page = guest.get("/").await;
    let offer = page.text.split("name=\"offer\" value=\"").nth(1).expect("an invitation");
    let offer = offer.split('"').next().unwrap().to_owned();
    let mark = page.mark();
    let form = [("mark", mark.as_str()), ("offer", &offer), ("decision", "accept")];
    let page = guest.post("/offer", &form).await;
    assert_eq!(page.to.as_deref(), Some("/?done=accepted"), "{}", page.text);
    guest
}

#[tokio::test]
async fn an_owner_sees_how_a_device_is_connected_what_it_publishes_and_what_is_kept() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let device = member(&hub, &mut anna, "box").await;
    let id = id_of(&hub, "box");
    let page = anna.get(&format!("/device/{id}")).await;
    assert!(page.text.contains("○ not connected") && page.text.contains("written nowhere"));
    let (_session, _) = Session::open(&hub, &device).await;
    let update = json!({"a": "203.0.113.7", "aaaa": "none"});
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    let services = json!({"services": [{"name": "web", "host": "web.box.link.example.test", "port": 443, "scheme": "https"}]});
    assert_eq!(device.post(&hub, "/v1/link/services", &services).await.0, 200);
    for path in ["/".to_owned(), format!("/device/{id}")] {
        let page = anna.get(&path).await;
        for shown in [
            "● connected over QUIC since",
            "203.0.113.7",
            "https://web.box.link.example.test/",
            "Only me",
        ] {
            assert!(page.text.contains(shown), "{path}: {shown}\n{}", page.text);
        }
    }
    let page = anna.get(&format!("/device/{id}")).await;
    for shown in [
        "until ddns is switched off",
        "until it is unregistered or revoked",
        "10 minutes",
        "in memory only",
    ] {
        assert!(page.text.contains(shown), "{shown}\n{}", page.text);
    }
    let export: Value =
        serde_json::from_str(&anna.get(&format!("/device/{id}/export")).await.text).unwrap();
    assert_eq!(export["kept"]["ddns"]["rows"][0]["a"], "203.0.113.7");

    // What its owner has restricted is not shown.
    let restrict = json!({"feature": "ddns", "restricted": true});
    assert_eq!(device.post(&hub, "/v1/privacy/restrict", &restrict).await.0, 200);
    let page = anna.get("/").await;
    assert!(
        !page.text.contains("203.0.113.7") && page.text.contains("restricted"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn an_owner_revokes_a_device_at_the_pages_and_is_told() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let device = member(&hub, &mut anna, "box").await;
    let id = id_of(&hub, "box");
    let (session, _) = Session::open(&hub, &device).await;
    let asked = anna.get(&format!("/device/{id}/revoke")).await;
    assert!(asked.text.contains("Its session ends at once"), "{}", asked.text);
    assert_eq!(anna.post(&format!("/device/{id}/revoke"), &[("mark", "AAAA")]).await.status, 403);
    let page = set(&mut anna, &id, "revoke", &[]).await;
    assert_eq!(page.to.as_deref(), Some("/?done=revoked"));
    let closed = tokio::time::timeout(Duration::from_secs(5), session.connection.closed()).await;
    assert!(closed.expect("its session ends").to_string().contains("revoked by its owner"));
    let update = json!({"a": "none", "aaaa": "none"});
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 401);
    assert_eq!(hub.json(&["devices"])["devices"], json!([]));
    assert_eq!(anna.get(&format!("/device/{id}")).await.status, 404);
    assert!(anna.get("/log").await.text.contains("Revoked a device:"));
}

#[tokio::test]
async fn an_owner_lets_a_device_out_of_quarantine_at_the_pages() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let device = member(&hub, &mut anna, "box").await;
    let id = id_of(&hub, "box");
    assert!(set(&mut anna, &id, "release", &[]).await.to.unwrap().ends_with("done=calm"));
    drop(Session::open(&hub, &device).await);
    let foreign = Session::show(&hub, &device, Some("AAECAwQFBgcICQoLDA0ODw")).await;
    assert!(foreign.is_err(), "a copy was let in");
    let page = anna.get(&format!("/device/{id}")).await;
    assert!(page.text.contains("Set aside"), "{}", page.text);
    assert!(set(&mut anna, &id, "release", &[]).await.to.unwrap().ends_with("done=released"));
    assert!(Session::show(&hub, &device, None).await.is_ok(), "it is back");
    assert!(anna.get("/log").await.text.contains("Released a device"));
}

#[tokio::test]
async fn an_invitation_says_nothing_about_whether_anybody_has_the_address() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    drop(Browser::of(&hub, BEN).await);
    let id = owned(&hub, &mut anna, "box").await;
    let invite = |email: &'static str| [("email", email)];
    let known = set(&mut anna, &id, "invite", &invite(BEN)).await;
    let page = anna.get(&format!("/device/{id}")).await.text;
    let number = |page: &str| {
        let text = page.split("name=\"number\" value=\"").nth(1).unwrap();
        text.split('"').next().unwrap().to_owned()
    };
    let first = number(&page);
    set(&mut anna, &id, "withdraw", &[("list", "waiting"), ("number", &first)]).await;
    let unknown = set(&mut anna, &id, "invite", &invite("eve@mail.example.org")).await;
    assert_eq!(
        (known.status, &known.to, &known.text),
        (unknown.status, &unknown.to, &unknown.text)
    );
    let other = anna.get(&format!("/device/{id}")).await.text;
    let second = number(&other);
    let same = |page: &str, email: &str, number: &str| {
        let page = page.replace(email, "X").replace(&format!("value=\"{number}\""), "N");
        // The moment of the invitation, to the second.
        let mut parts = page.split("<time");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| all + part.split_once("</time>").map_or("", |(_, rest)| rest))
    };
    // Besides, the log of visits is empty and nothing is counted but rows.
    assert_eq!(same(&page, BEN, &first), same(&other, "eve@mail.example.org", &second));

    // Ten times the same is one; more than there is room for is refused.
    for _ in 0..2 {
        set(&mut anna, &id, "invite", &invite("eve@mail.example.org")).await;
    }
    let count = |hub: &Hub| -> i64 {
        database(hub).query_row("SELECT count(*) FROM share_invitation", [], |r| r.get(0)).unwrap()
    };
    assert_eq!(count(&hub), 1);
    for at in 1..MOST_GUESTS {
        let email = format!("n{at}@mail.example.org");
        assert_eq!(set(&mut anna, &id, "invite", &[("email", &email)]).await.status, 303);
    }
    assert_eq!(set(&mut anna, &id, "invite", &invite("more@mail.example.org")).await.status, 422);
    for bad in ["", "nobody", EMAIL] {
        assert_eq!(set(&mut anna, &id, "invite", &[("email", bad)]).await.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn a_share_is_accepted_left_and_gone_with_a_new_owner() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut device = member(&hub, &mut anna, "box").await;
    let id = id_of(&hub, "box");
    let mut ben = shared(&hub, &mut anna, &id, BEN).await;
    assert_eq!(ben.get("/find?name=box").await.status, 200);
    let page = anna.get(&format!("/device/{id}")).await;
    assert!(page.text.contains(BEN) && page.text.contains("since"), "{}", page.text);
    let mark = ben.get("/").await.mark();
    let left = ben.post("/shared/leave", &[("mark", &mark), ("device", &id)]).await;
    assert_eq!(left.to.as_deref(), Some("/?done=left"));
    assert_eq!(ben.get("/find?name=box").await.status, 404);
    assert!(!anna.get(&format!("/device/{id}")).await.text.contains(BEN));

    // Sold, and let in by another account under another name.
    set(&mut anna, &id, "visibility", &[("level", "public")]).await;
    set(&mut anna, &id, "invite", &[("email", "eve@mail.example.org")]).await;
    let started = device.begin(&hub, "loft").await;
    let mark = ben.get("/").await.mark();
    let code = started.user_code.as_str();
    let form =
        [("mark", mark.as_str()), ("code", code), ("decision", "approve"), ("words", "same")];
    assert_eq!(ben.post("/approve", &form).await.status, 303);
    let Polled::Approved(membership) = device.poll(&hub, &started.device_code).await else {
        panic!("not approved")
    };
    device.member = Some(*membership);
    assert_eq!(Browser::new(&hub).get("/find?name=loft").await.status, 404, "it is still public");
    for table in ["visibility", "share", "share_invitation"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = database(&hub).query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn an_invited_address_is_in_no_file_in_the_clear() {
    let mut hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let id = owned(&hub, &mut anna, "box").await;
    assert_eq!(set(&mut anna, &id, "invite", &[("email", BEN)]).await.status, 303);
    assert!(anna.get(&format!("/device/{id}")).await.text.contains(BEN));
    hub.stop();
    for entry in std::fs::read_dir(&hub.dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(8).any(|part| part == b"ben@mail"), "{}", path.display());
    }
}
