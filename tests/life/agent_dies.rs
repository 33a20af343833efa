//! An agent that is killed again and again: it comes back as who it was.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until;
use crate::common::visitor::fetch;
use std::time::Duration;

const KILLS: u32 = 20;

/// Some milliseconds nobody chose.
fn random_below(most: u64) -> Duration {
    let bytes: [u8; 8] = qcloud_agent::hub::keys::random().expect("random bytes");
    Duration::from_millis(u64::from_ne_bytes(bytes) % most)
}

#[test]
fn killed_twenty_times_it_is_the_same_device_and_the_tunnel_is_back_each_time() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let fingerprint = agent.ok(&["link", "certificate"])["fingerprint"].clone();
    let (id, devices) = (agent.id(), world.hub.devices());
    let url = format!("https://{}/", link_host("box"));
    for kill in 0..KILLS {
        // Every other time right after its start, wherever it is then.
        std::thread::sleep(random_below(if kill % 2 == 0 { 800 } else { 200 }));
        agent.kill();
        agent.launch();
        if kill % 2 == 1 {
            continue;
        }
        agent.wait_until_it_answers();
        until(&format!("the tunnel after kill {kill}"), Duration::from_secs(20), || {
            (fetch(&world.net.visitor, &certificate, &url).code == Some(0)).then_some(())
        });
        assert_eq!(agent.id(), id, "another device after kill {kill}");
    }
    agent.wait_until_it_answers();
    agent.wait_for_link();
    assert_eq!(agent.id(), id);
    assert_eq!(agent.ok(&["link", "certificate"])["fingerprint"], fingerprint);
    assert_eq!(world.hub.devices(), devices, "the hub knows another device, or since another time");
    let registered = world.hub.log_text().matches("a device was registered").count();
    assert_eq!(registered, 1, "it registered again");
    let starts = agent.ledger_since(0).into_iter().filter(|l| l["parcel"] == "registration.start");
    assert!(starts.count() <= 1, "it asked to be registered again");
    agent.command(&["egress", "verify"]).ok();
}
