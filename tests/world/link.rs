//! Link: when the hub is dialled.

use super::driver::{DAY, HOUR, MINUTE, World};
use core::time::Duration;
use qcloud_agent::daemon::feature::Event;
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

/// The waits between dials.
fn waits(world: &World) -> Vec<Duration> {
    let dials = world.hub.lock().dials.clone();
    dials.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_dialled_quickly_at_first_and_slowly_later() {
    let mut world = World::member(&["link"]);
    world.run_for(HOUR).await;
    // One wake: the first dial after a start is spread over a second.
    assert_eq!((world.hub.lock().sessions, world.wakes), (1, 1));

    world.hub.go_down();
    world.run_for(MINUTE).await;
    assert_eq!(world.warnings(), ["link-down"]);
    let (first, rest) = (waits(&world)[1], waits(&world)[2..].to_vec());
    assert!(first < SECOND, "most outages are restarts: {first:?}");
    assert!(rest.iter().all(|wait| *wait < 2 * SECOND), "{rest:?}");
    let soon = world.hub.lock().dials.len();
    world.run_for(DAY).await;
    let later = waits(&world)[soon + 10..].to_vec();
    let slow = |wait: &Duration| (25 * SECOND..=61 * SECOND).contains(wait);
    assert!(later.iter().all(slow), "{later:?}");

    world.hub.come_back();
    world.run_for(MINUTE + SECOND).await;
    assert_eq!((world.hub.lock().sessions, world.warnings()), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_address_or_a_resume_dials_at_once() {
    let mut world = World::member(&["link"]);
    world.hub.go_down();
    world.run_for(DAY).await;
    let before = world.hub.lock().dials.len();
    world.hub.come_back();
    world.addresses(&["192.168.1.8"], &[]);
    world.run_for(SECOND / 2).await;
    assert_eq!(world.hub.lock().dials.len(), before + 1);
    assert_eq!(world.hub.lock().sessions, 1);

    // A session that stands is left alone: the house probes it.
    world.addresses(&["192.168.1.9"], &[]);
    world.event(Event::Resumed);
    world.run_for(HOUR).await;
    assert_eq!(world.hub.lock().dials.len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_session_and_it_ends_with_the_feature() {
    let mut world = World::member(&["link"]);
    world.run_for(MINUTE).await;
    for _ in 0..5 {
        world.say("link", "off").await;
        assert_eq!(world.hub.lock().sessions, 0);
        world.say("link", "on").await;
        world.run_for(MINUTE).await;
        assert_eq!(world.hub.lock().sessions, 1);
    }
    world.say("registration", "unregister").await;
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.lock().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn m1_a_list_that_changed_while_the_hub_was_away_is_told_within_a_minute_and_once() {
    let mut world = World::member(&["link"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("link.services").len(), 0, "nothing is published");
    world.hub.go_down();
    for name in ["web", "files"] {
        world.ask("link", "publish", json!({ "name": name, "url": "http://127.0.0.1:1" }));
        world.run_for(HOUR).await;
    }
    assert_eq!(world.warnings(), ["link-down", "link-services"]);
    world.hub.come_back();
    world.run_for(MINUTE).await;
    let told = world.hub.bodies("link.services");
    let names = |body: &Value| body["services"].as_array().map(Vec::len);
    assert_eq!(told.iter().map(names).collect::<Vec<_>>(), [Some(2)], "the last word, once");
    assert_eq!(world.warnings(), Vec::<&str>::new());

    let mut world = world.restart();
    world.run_for(HOUR).await;
    assert_eq!(world.hub.bodies("link.services").len(), 1, "the hub knows it");
    world.hub.script("link.services", 422, json!({ "error": "no" }), None);
    world.ask("link", "unpublish", json!({ "name": "web" }));
    world.run_for(DAY).await;
    assert_eq!(world.hub.bodies("link.services").len(), 2, "a no is not asked for again");
    world.ask("link", "unpublish", json!({ "name": "files" }));
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("link.services").last(), Some(&json!({})));
    assert_eq!(world.warnings(), Vec::<&str>::new());
}
