//! DDNS: what is sent, when, and when not.

use super::driver::{DAY, HOUR, MINUTE, World};
use super::hub::OBSERVED;
use core::time::Duration;
use qcloud_agent::daemon::feature::Event;
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

fn aaaa(world: &World) -> Vec<String> {
    let bodies = world.hub.bodies("ddns.update");
    bodies.iter().map(|body| body["aaaa"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_restart_without_a_change_sends_nothing() {
    let mut world = World::member(&["ddns"]);
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.run_for(HOUR).await;
    assert_eq!(world.hub.bodies("ddns.update"), [json!({"a": "observed", "aaaa": "2001:db8::7"})]);
    for _ in 0..5 {
        world = world.restart();
        world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
        world.run_for(DAY).await;
    }
    assert_eq!(aaaa(&world), ["2001:db8::7"]);
    let mut world = world.restart();
    world.addresses(&["192.168.1.7"], &["2001:db8::8"]);
    world.run_for(SECOND).await;
    assert_eq!(aaaa(&world), ["2001:db8::7", "2001:db8::8"]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_address_wins_while_an_older_one_is_under_way() {
    let mut world = World::member(&["ddns"]);
    world.hub.lock().latency = 10 * SECOND;
    for address in ["2001:db8::a", "2001:db8::b", "2001:db8::c"] {
        world.addresses(&[], &[address]);
        world.run_for(SECOND).await;
    }
    world.run_for(MINUTE).await;
    assert_eq!(aaaa(&world), ["2001:db8::a", "2001:db8::c"]);
}

#[tokio::test(start_paused = true)]
async fn a_final_refusal_is_not_repeated_until_something_changes() {
    let mut world = World::member(&["ddns"]);
    world.hub.script("ddns.update", 403, json!({ "error": "this name is blocked" }), None);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(DAY).await;
    world.addresses(&[], &["2001:db8::7"]);
    world.suspend(HOUR);
    world.run_for(DAY).await;
    assert_eq!(aaaa(&world), ["2001:db8::7"]);
    assert_eq!(world.warnings(), ["ddns-stale"]);
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(MINUTE).await;
    assert_eq!(aaaa(&world), ["2001:db8::7", "2001:db8::8"]);
    assert_eq!(world.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_asks_to_wait_is_waited_for() {
    let mut world = World::member(&["ddns"]);
    world.hub.script("ddns.update", 429, json!({ "error": "too many" }), Some(300));
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(299 * SECOND).await;
    assert_eq!(aaaa(&world).len(), 1);
    world.run_for(2 * SECOND).await;
    assert_eq!(aaaa(&world).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_flaps_is_slowed_down_and_ends_up_right() {
    let mut world = World::member(&["ddns"]);
    for number in 1..=1200 {
        world.addresses(&[], &[&format!("2001:db8::{number}")]);
        world.run_for(SECOND).await;
    }
    let sent = aaaa(&world).len();
    assert!((10..=30).contains(&sent), "{sent} updates in twenty minutes");
    assert_eq!(world.state("ddns"), "on");
    assert_eq!(world.warnings(), [""; 0]);
    world.run_for(HOUR).await;
    assert_eq!(aaaa(&world).last().map(String::as_str), Some("2001:db8::1200"));
}

#[tokio::test(start_paused = true)]
async fn behind_the_providers_own_nat_there_is_no_a_record() {
    let mut world = World::member(&["ddns"]);
    world.addresses(&["100.64.1.2"], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update"), [json!({"a": "none", "aaaa": "2001:db8::7"})]);
    world.addresses(&["198.51.100.7"], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update")[1]["a"], "198.51.100.7");
}

#[tokio::test(start_paused = true)]
async fn the_address_the_hub_sees_is_followed_where_the_name_depends_on_it() {
    let mut world = World::member(&["ddns"]);
    world.addresses(&["192.168.1.7"], &[]);
    world.run_for(MINUTE).await;
    world.event(Event::Observed(OBSERVED.parse().unwrap()));
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), 1, "nothing new");
    world.hub.lock().observed = "203.0.113.99".parse().unwrap();
    world.event(Event::Observed("203.0.113.99".parse().unwrap()));
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_down_is_asked_ever_less_often_and_at_once_after_a_change() {
    let mut world = World::member(&["ddns"]);
    world.hub.go_down();
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(DAY).await;
    let tries = world.hub.lock().handed;
    assert!((144..320).contains(&tries), "{tries} tries in a day");
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(SECOND).await;
    assert_eq!(world.hub.lock().handed, tries + 1);
    world.hub.come_back();
    world.run_for(10 * MINUTE).await;
    assert_eq!(aaaa(&world), ["2001:db8::8"]);
}
