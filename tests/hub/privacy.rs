//! `privacy/…` of a serving hub.

use super::support::{Device, Hub};
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::store::{Store, Visit};
use qcloud_agent::hub::sweep::RULES;
use qcloud_agent::identity::id::device_id;
use qcloud_agent::wire::MAX_BODY;
use qcloud_agent::wire::ddns::{Answer, Update};
use qcloud_agent::wire::privacy::Page;
use qcloud_agent::wire::registration::Membership;
use serde_json::{Value, json};

fn update() -> Update {
    Update { a: Answer::Address("203.0.113.7".parse().unwrap()), aaaa: Answer::None }
}

async fn export(hub: &Hub, device: &Device, page: &str) -> Page {
    let (status, answer) = device.post(hub, "/v1/privacy/export", &json!({ "page": page })).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.to_string().len() <= MAX_BODY, "the device would not read it");
    serde_json::from_value(answer).unwrap()
}

fn rows<'a>(page: &'a Page, table: &str) -> Vec<&'a serde_json::Map<String, Value>> {
    let tables = page.tables.iter().filter(|found| found.table == table);
    tables.flat_map(|table| table.rows.iter().map(|row| &row.data)).collect()
}

#[tokio::test]
async fn an_export_holds_every_table_with_its_term() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    Device::registered(&hub, "attic").await;
    device.post(&hub, "/v1/ddns/update", &update()).await;
    let page = export(&hub, &device, "").await;
    let names: Vec<_> = page.tables.iter().map(|table| table.table.as_str()).collect();
    let of_devices = RULES.iter().filter(|rule| rule.parcel().is_some());
    let ruled: Vec<_> = of_devices.map(|rule| rule.table).collect();
    assert_eq!(names, [&["session"], ruled.as_slice()].concat());
    assert_eq!(page.next, None);
    assert_eq!(rows(&page, "ddns")[0]["a"], "203.0.113.7");
    assert_eq!(rows(&page, "device")[0]["name"], "box");
    let pending = page.tables.iter().find(|table| table.table == "pending").unwrap();
    assert!(pending.rows[0].until.is_some(), "a code has ten minutes");
    let registered = page.tables.iter().find(|table| table.table == "device").unwrap();
    assert_eq!(registered.rows[0].until, None, "until unregistered");
    assert!(!serde_json::to_string(&page).unwrap().contains("attic"));
    for bad in ["x", "ddns", "ddns.x", "meta.0", "sqlite_schema.0"] {
        let body = json!({ "page": bad });
        let (status, answer) = device.post(&hub, "/v1/privacy/export", &body).await;
        assert_eq!((status, answer["field"].as_str()), (400, Some("page")), "{bad}");
    }
}

#[tokio::test]
async fn a_long_log_comes_page_by_page_and_whole() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let store = hub.store();
    let id = device_id(&device.spki());
    for number in 0..500 {
        let visit = Visit {
            device: id.clone(),
            made_at: Wall::from_unix_seconds(4_000_000_000),
            masked: "203.0.113.0".parse().unwrap(),
            host: "web.box.link.example.test".into(),
            up: number,
            down: u64::MAX,
            seconds: 3,
        };
        store.log_visit(visit).await.unwrap();
    }
    let (mut seen, mut page, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let got = export(&hub, &device, &page).await;
        seen.extend(rows(&got, "link_log").iter().map(|row| row["up"].as_u64().unwrap()));
        pages += 1;
        match got.next {
            Some(next) => page = next,
            None => break,
        }
    }
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
    assert!(pages > 2, "{pages}");
}

#[tokio::test]
async fn a_corrected_name_is_another_devices_no_more_than_at_registration() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    Device::registered(&hub, "attic").await;
    for (name, status) in [("attic", 409), ("wpad", 409), ("Not A Name", 400)] {
        let (found, answer) = device.post(&hub, "/v1/privacy/fix", &json!({ "name": name })).await;
        assert_eq!(found, status, "{answer}");
    }
    for _ in 0..2 {
        let (status, answer) =
            device.post(&hub, "/v1/privacy/fix", &json!({ "name": "cellar" })).await;
        assert_eq!(status, 200, "{answer}");
        let place: Membership = serde_json::from_value(answer).unwrap();
        assert_eq!(place.ddns_host(), "cellar.example.test");
    }
    assert_eq!(rows(&export(&hub, &device, "").await, "device")[0]["name"], "cellar");
    Device::registered(&hub, "box").await;
}

#[tokio::test]
async fn a_restriction_refuses_updates_over_restarts_until_it_is_lifted() {
    let mut hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update()).await.0, 200);
    let order = |on: bool| json!({ "feature": "ddns", "restricted": on });
    let (status, answer) = device.post(&hub, "/v1/privacy/restrict", &order(true)).await;
    assert_eq!((status, answer), (200, json!({ "restricted": ["ddns"] })));
    hub.crash();
    let (status, answer) = device.post(&hub, "/v1/ddns/update", &update()).await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["hint"], "qcloud-agent privacy restrict ddns off");
    let page = export(&hub, &device, "").await;
    assert_eq!(page.restricted.len(), 1);
    assert_eq!((rows(&page, "ddns").len(), rows(&page, "restriction").len()), (1, 1));
    let (_, answer) = device.post(&hub, "/v1/privacy/restrict", &order(false)).await;
    assert_eq!(answer, json!({ "restricted": [] }));
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update()).await.0, 200);
    let wrong = json!({ "feature": "registration", "restricted": true });
    assert_eq!(device.post(&hub, "/v1/privacy/restrict", &wrong).await.0, 400);
}

/// Promise H2: right after an erasure no interface gives it out any more.
#[tokio::test]
async fn what_was_erased_is_gone_from_the_api_at_once() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    device.post(&hub, "/v1/ddns/update", &update()).await;
    device
        .post(&hub, "/v1/privacy/restrict", &json!({ "feature": "ddns", "restricted": true }))
        .await;
    let nonce = json!({ "nonce": "n" });
    assert_eq!(device.post(&hub, "/v1/ddns/forget", &nonce).await.0, 200);
    let page = export(&hub, &device, "").await;
    assert_eq!((rows(&page, "ddns").len(), rows(&page, "restriction").len()), (0, 0));
    assert!(page.restricted.is_empty());
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update()).await.0, 200, "a fresh start");
    assert_eq!(device.post(&hub, "/v1/registration/forget", &nonce).await.0, 200);
    let bodies = [
        ("export", json!({ "page": "" })),
        ("fix", json!({ "name": "attic" })),
        ("restrict", json!({ "feature": "link", "restricted": true })),
    ];
    for (verb, body) in bodies {
        let (status, _) = device.post(&hub, &format!("/v1/privacy/{verb}"), &body).await;
        assert_eq!(status, 401, "{verb}");
    }
}
