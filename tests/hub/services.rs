//! `link/services` of a serving hub.

use super::support::{Device, Hub};
use qcloud_agent::wire::link::MAX_SERVICES;
use serde_json::{Value, json};

const PATH: &str = "/v1/link/services";

fn service(name: &str, host: &str) -> Value {
    json!({ "name": name, "host": host, "port": 443, "scheme": "https" })
}

fn listed(hub: &Hub) -> Value {
    let said = hub.command(&["devices", "--json"]);
    serde_json::from_slice::<Value>(&said.stdout).unwrap()["devices"][0]["services"].clone()
}

#[tokio::test]
async fn a_device_lists_services_below_its_own_name_and_no_other() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let own =
        [service("files", "files.box.link.example.test"), service("web", "box.link.example.test")];
    let all = json!({ "services": own });
    assert_eq!(device.post(&hub, PATH, &all).await, (200, all.clone()));
    assert_eq!(listed(&hub), all["services"]);

    let many: Vec<_> = (0..=MAX_SERVICES).map(|n| service(&format!("s{n}"), "x")).collect();
    let plain =
        json!({ "name": "web", "host": "box.link.example.test", "port": 80, "scheme": "http" });
    let cases = [
        (json!([service("web", "attic.link.example.test")]), 422, Some("host")),
        (json!([service("web", "xbox.link.example.test")]), 422, Some("host")),
        (json!([service("web", "files.box.link.example.test")]), 422, Some("host")),
        (json!([service("web", "")]), 422, Some("host")),
        (json!([own[1], own[1]]), 422, Some("name")),
        (json!(many), 422, Some("services")),
        (json!([plain]), 400, None),
    ];
    for (services, status, field) in cases {
        let (found, answer) = device.post(&hub, PATH, &json!({ "services": services })).await;
        assert_eq!((found, answer["field"].as_str()), (status, field), "{answer}");
    }
    let order = |on: bool| json!({ "feature": "link", "restricted": on });
    device.post(&hub, "/v1/privacy/restrict", &order(true)).await;
    assert_eq!(device.post(&hub, PATH, &json!({})).await.0, 409, "kept as they are");
    assert_eq!(listed(&hub), all["services"]);
    device.post(&hub, "/v1/privacy/restrict", &order(false)).await;
    assert_eq!(device.post(&hub, PATH, &json!({})).await.0, 200);
    assert_eq!(listed(&hub), json!([]));
}
