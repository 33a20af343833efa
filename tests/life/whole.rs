//! A device's life from its first registration to its last, behind a home router.

use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::net::{Line, OUTSIDE};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig, fetch, is_refused};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_device_lives_its_whole_life_behind_a_router() {
    let world = World::new(Line::Nat);
    let mut agent = world.agent("");
    agent.start();
    assert_eq!(agent.status()["registered"], Value::Null);
    agent.register(&world.hub, "box");
    assert_eq!(world.hub.devices()[0]["name"], "box");

    let visitor = &world.net.visitor;
    agent.ok(&["ddns", "on"]);
    for over in ["+notcp", "+tcp"] {
        until_equal(over, SOON, &Answer::address(OUTSIDE), || {
            dig(visitor, &ddns_host("box"), "A", over)
        });
    }
    let page = Page::open(&world.net.device, &"a long page\n".repeat(100_000));
    let certificate = agent.link_up(&page.url());
    let host = link_host("box");
    let body = fetch(visitor, &certificate, &format!("https://{host}/")).ok();
    assert_eq!(body.len(), 1_200_000, "the page did not come whole");
    assert!(is_refused(visitor, &format!("files.{host}")));
    let visits = agent.feature("link")["facts"]["visits"].clone();
    assert_eq!(visits[0]["service"], "web", "{visits}");

    // The box is started anew in order, and goes on where it was.
    assert!(agent.stop(Duration::from_secs(5)).success());
    agent.start();
    agent.wait_for_link();
    assert_eq!(fetch(visitor, &certificate, &format!("https://{host}/")).ok().len(), 1_200_000);
    agent.command(&["egress", "verify"]).ok();

    for feature in ["ddns", "link"] {
        assert_eq!(agent.ok(&[feature, "off"])["receipt"]["feature"], feature);
    }
    assert_eq!(agent.ok(&["unregister"])["receipt"]["feature"], "registration");
    assert_eq!(world.hub.devices(), Vec::<Value>::new());
    assert!(is_refused(visitor, &host));
    assert_eq!(dig(visitor, &host, "A", "+notcp"), Answer::no_such_name());

    // It may come back, as the same device, and the name is free for it.
    agent.register(&world.hub, "box");
    assert_eq!(world.hub.devices()[0]["id"], json!(agent.id()));
    agent.command(&["egress", "verify"]).ok();
}
