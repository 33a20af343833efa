//! C5: what is switched off is erased at the hub.

use crate::common::World;
use crate::common::agent::{Agent, ddns_host, link_host};
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig, fetch};
use serde_json::{Value, json};
use std::time::Duration;

/// A device with rows of both features at the hub.
fn with_rows(world: &World) -> Agent {
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let visitor = &world.net.visitor;
    fetch(visitor, &certificate, &format!("https://{}/", link_host("box"))).ok();
    for table in ["ddns", "link_log"] {
        until_equal(table, Duration::from_secs(10), &1, || world.hub.rows(table));
    }
    agent
}

/// Guard: `hub-erase`.
#[test]
fn c5_switching_off_erases_the_rows_of_that_feature() {
    let world = World::new(Line::Direct);
    let agent = with_rows(&world);
    for (feature, table, other) in [("ddns", "ddns", 1), ("link", "link_log", 0)] {
        let answer = agent.ok(&[feature, "off"]);
        assert_eq!(world.hub.rows(table), 0, "rows of {feature} are left");
        assert_eq!(answer["receipt"]["feature"], feature);
        assert_eq!(answer["receipt"]["rows"][table], 1);
        assert_eq!(world.hub.rows("link_log"), other, "rows of the other feature");
        assert_eq!(world.hub.rows("device"), 1, "the device itself");
    }
}

/// The attack: the hub is down at that moment, and both sides are started again before they meet. Guard:
/// `erasure-owed`, the taking up of what is owed at a start.
#[test]
fn c5_a_hub_that_was_down_erases_when_it_is_back() {
    let mut world = World::new(Line::Direct);
    let mut agent = with_rows(&world);
    world.hub.kill();
    for feature in ["ddns", "link"] {
        let ran = agent.command(&[feature, "off"]);
        assert_eq!(ran.code, Some(3), "it cannot be erased now: {ran:?}");
    }
    assert_eq!(agent.status()["owed"], json!(["ddns", "link"]));
    agent.kill();
    agent.start();
    assert_eq!(agent.status()["owed"], json!(["ddns", "link"]), "a crash forgot what is owed");

    assert_eq!((world.hub.rows("ddns"), world.hub.rows("link_log")), (1, 1));
    world.hub.serve();
    // The longest wait between two tries is a minute.
    until_equal("owed", Duration::from_secs(75), &json!([]), || agent.status()["owed"].clone());
    assert_eq!((world.hub.rows("ddns"), world.hub.rows("link_log")), (0, 0));
    let name = dig(&world.net.visitor, &ddns_host("box"), "A", "+notcp");
    assert_eq!(name, Answer::no_such_name(), "not {DEVICE}");
    assert_eq!(agent.feature("ddns")["state"], Value::from("off"));
}
