//! A feature that panics costs itself and a warning; the rest lives, and its data can still be erased.

use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{until, until_equal};
use crate::common::visitor::{Answer, dig, fetch};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_panic_in_ddns_leaves_the_link_alone_and_ddns_can_be_forgotten() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", SOON, &1, || world.hub.rows("ddns"));
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    assert!(agent.stop(Duration::from_secs(5)).success());

    agent.start_through(&["env", "QCLOUD_PANIC=ddns"]);
    agent.start();
    until_equal("ddns", SOON, &json!("broken"), || agent.feature("ddns")["state"].clone());
    let warnings = agent.status()["warnings"].clone();
    let told = warnings.as_array().into_iter().flatten().any(|w| w["code"] == "daemon-quarantine");
    assert!(told, "no warning: {warnings}");
    agent.wait_for_link();
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
    // It is tried again, and panics again; the link does not notice.
    until("another try", SOON, || {
        (agent.log_text().matches("told to panic").count() >= 3).then_some(())
    });
    assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
    assert_eq!(agent.feature("link")["facts"]["up"], true);

    assert_eq!(world.hub.rows("ddns"), 1);
    assert_eq!(agent.ok(&["ddns", "off"])["receipt"]["feature"], "ddns");
    assert_eq!(world.hub.rows("ddns"), 0);
    let name = dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp");
    assert_eq!(name, Answer::no_such_name());
    assert_eq!(agent.feature("ddns")["state"], "off");
}
