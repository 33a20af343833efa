//! A device's whole life, from the shelf to the next owner.

use super::driver::{DAY, HOUR, MINUTE, World};
use core::time::Duration;
use nix::time::{ClockId, clock_gettime};
use qcloud_agent::card::Exit;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn a_whole_life_of_a_device_takes_less_than_a_second() {
    let begun = cpu_time();
    let mut world = unpacked_and_registered().await;
    switched_on_and_moved_about(&mut world).await;
    let mut world = hub_lost_for_hours(world).await;
    gone_to_the_next_owner(&mut world).await;
    let took = cpu_time() - begun;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

/// What this thread has computed, so that a busy machine does not matter.
#[allow(clippy::disallowed_methods, reason = "it is about the test's own time")]
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Boot without a network, a hub that is not there, one that is; restarts on the way.
async fn unpacked_and_registered() -> World {
    let mut world = World::new();
    world.run_for(HOUR).await;
    world.hub.go_down();
    let answer = world.say("registration", "register").await;
    assert_eq!(answer.exit, Some(Exit::HubUnreachable), "{}", answer.text);
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.hub.come_back();
    world.hub.lock().polls_to_approve = 3;
    let answer = world.say("registration", "register").await;
    assert_eq!(answer.json["ddns_host"], "box.example.test", "{}", answer.text);
    assert_eq!(world.hub.bodies("registration.poll").len(), 4);
    let mut world = world.restart();
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.run_for(DAY).await;
    assert_eq!(world.status().registered.unwrap().name, "box");
    assert_eq!(
        world.hub.parcels(),
        ["registration.about", "registration.poll", "registration.start"]
    );
    world
}

async fn switched_on_and_moved_about(world: &mut World) {
    assert_eq!(world.say("ddns", "on").await.exit, Some(Exit::Done));
    assert_eq!(world.say("link", "on").await.exit, Some(Exit::Done));
    let args = json!({ "name": "web", "url": "http://127.0.0.1:8080" });
    world.ask("link", "publish", args);
    world.run_for(MINUTE).await;
    for number in 1..=20 {
        world.addresses(&["192.168.1.7"], &[&format!("2001:db8::{number}")]);
        world.run_for(HOUR).await;
        world.suspend(HOUR);
        world.run_for(HOUR).await;
    }
    let last = world.hub.bodies("ddns.update").pop().unwrap();
    assert_eq!(last, json!({ "a": "observed", "aaaa": "2001:db8::20" }));
    assert_eq!(world.hub.bodies("ddns.update").len(), 21, "one for each address");
    assert_eq!((world.hub.lock().sessions, world.warnings()), (1, vec![]));
}

async fn hub_lost_for_hours(mut world: World) -> World {
    world.hub.go_down();
    world.run_for(2 * HOUR).await;
    world.addresses(&["192.168.1.7"], &["2001:db8::99"]);
    world.run_for(2 * HOUR).await;
    assert_eq!(world.warnings(), ["ddns-stale", "link-down"]);
    let mut world = world.restart();
    world.addresses(&["192.168.1.7"], &["2001:db8::99"]);
    assert_eq!(world.say("link", "off").await.exit, Some(Exit::Partial));
    world.run_for(4 * HOUR).await;
    world.hub.come_back();
    world.run_for(20 * MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").pop().unwrap()["aaaa"], "2001:db8::99");
    assert_eq!(world.hub.bodies("link.forget").len(), 1);
    assert_eq!((world.warnings(), world.status().owed), (vec![], vec![]));
    world
}

async fn gone_to_the_next_owner(world: &mut World) {
    let answer = world.say("registration", "unregister").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    assert_eq!(world.hub.bodies("registration.forget").len(), 1);
    assert_eq!(world.disk.membership, None);
    assert_eq!(world.disk.owed, []);
    let before = world.hub.lock().handed;
    world.addresses(&["192.168.1.7"], &["2001:db8::100"]);
    world.run_for(30 * DAY).await;
    assert_eq!(world.hub.lock().handed, before);
    let lines: Vec<_> = world.gate.with_ledger(|ledger| ledger.lines().map(String::from).collect());
    qcloud_agent::egress::ledger::verify(lines.iter().map(String::as_str)).unwrap();
}
