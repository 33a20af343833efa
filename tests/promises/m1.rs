//! M1: changes of the device's address, ports and URLs reach the hub within a minute.

use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::hub::Hub;
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use crate::common::watch::files_with;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(60);
const MOVED: &str = "203.0.113.11";

/// Guard: `link-services`, the one place where a list that is another one is sent.
///
/// The attack: the hub is away while the list changes, twice; what it is told afterwards is the last word. And
/// nothing else is told: not where the services listen on the box.
#[test]
fn m1_every_change_of_address_port_or_url_reaches_the_hub() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    let host = link_host("box");
    seen(&world.hub, &[("web", &host)]);
    answers(&world, "box", DEVICE);

    world.net.move_device(DEVICE, MOVED);
    answers(&world, "box", MOVED);
    agent.ok(&["link", "publish", "files", &page.url()]);
    seen(&world.hub, &[("files", &format!("files.{host}")), ("web", &host)]);
    agent.ok(&["link", "unpublish", "web"]);
    seen(&world.hub, &[("files", &format!("files.{host}"))]);

    agent.ok(&["privacy", "fix", "name", "attic"]);
    let host = link_host("attic");
    seen(&world.hub, &[("files", &format!("files.{host}"))]);
    answers(&world, "attic", MOVED);

    world.hub.kill();
    agent.ok(&["link", "publish", "mail", &page.url()]);
    agent.ok(&["link", "unpublish", "files"]);
    world.net.move_device(MOVED, DEVICE);
    world.hub.serve();
    seen(&world.hub, &[("mail", &format!("mail.{host}"))]);
    answers(&world, "attic", DEVICE);

    let local = page.address.port().to_string();
    let told = files_with(world.hub.dir(), format!("127.0.0.1:{local}").as_bytes());
    assert_eq!(told, Vec::<PathBuf>::new(), "the hub knows where a service listens");
    agent.ok(&["link", "unpublish", "mail"]);
    seen(&world.hub, &[]);
    agent.ok(&["link", "publish", "web", &page.url()]);
    seen(&world.hub, &[("web", &host)]);
    agent.ok(&["link", "off"]);
    assert_eq!(world.hub.rows("service"), 0, "switched off, and still there");
}

/// Waits until the hub lists these services of its one device.
fn seen(hub: &Hub, services: &[(&str, &str)]) {
    let row = |(name, host): &(&str, &str)| json!({"name": name, "host": host, "port": 443, "scheme": "https"});
    let wanted = Value::from(services.iter().map(row).collect::<Vec<_>>());
    until_equal("the services at the hub", BOUND, &wanted, || hub.devices()[0]["services"].clone());
}

fn answers(world: &World, name: &str, address: &str) {
    until_equal("the address at the hub", BOUND, &Answer::address(address), || {
        dig(&world.net.visitor, &ddns_host(name), "A", "+notcp")
    });
}
