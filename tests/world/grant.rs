//! RFC 8628 on the device, to the letter, in virtual time.

use super::driver::{HOUR, World};
use super::hub::membership;
use core::time::Duration;
use qcloud_agent::card::Exit;
use qcloud_agent::daemon::feature::Answer;
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);
const POLL: &str = "registration.poll";

fn says(world: &World, states: &[&str]) {
    for state in states {
        world.hub.script(POLL, 200, json!({ "state": state }), None);
    }
}

/// Registers, and waits until the command ends.
async fn register(world: &mut World) -> (Vec<Answer>, Answer) {
    let args = json!({ "hub": "https://hub.example.test", "name": "box" });
    let asked = world.ask("registration", "register", args);
    for _ in 0..1000 {
        let answers = world.answers.get(&asked).cloned().unwrap_or_default();
        if let Some((last, first)) = answers.split_last().filter(|(last, _)| last.exit.is_some()) {
            return (first.to_vec(), last.clone());
        }
        world.run_for(SECOND).await;
    }
    panic!("nobody answered");
}

/// The waits between polls, without what the hub took to answer.
fn waits(world: &World) -> Vec<u64> {
    world.hub.waits(POLL).iter().map(Duration::as_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn pending_is_asked_again_after_the_interval_and_slow_down_adds_five_seconds_for_good() {
    let mut world = World::new();
    says(&world, &["authorization_pending", "slow_down", "authorization_pending", "slow_down"]);
    world.hub.lock().polls_to_approve = 1;
    let (shown, last) = register(&mut world).await;
    assert_eq!(last.exit, Some(Exit::Done), "{}", last.text);
    assert_eq!(shown.len(), 1, "the invitation, once");
    assert_eq!(shown[0].json["user_code"], "BCDF-GHJK");
    assert_eq!(waits(&world), [5, 10, 10, 15, 15]);
}

#[tokio::test(start_paused = true)]
async fn the_hubs_interval_counts_and_five_seconds_without_one() {
    for (interval, wait) in [(json!(20), 20), (json!(90), 90), (Value::Null, 5), (json!(0), 1)] {
        let mut world = World::new();
        let mut started = json!({"device_code": "code", "user_code": "BCDF-GHJK", "verification_uri": "-",
            "expires_in_seconds": 600, "challenge": "AAAA"});
        if !interval.is_null() {
            started["interval_seconds"] = interval.clone();
        }
        world.hub.script("registration.start", 200, started, None);
        world.hub.lock().polls_to_approve = 2;
        let (_, last) = register(&mut world).await;
        assert_eq!(last.exit, Some(Exit::Done), "{}", last.text);
        assert_eq!(waits(&world), [wait, wait], "{interval}");
    }
}

#[tokio::test(start_paused = true)]
async fn denied_ends_with_the_exit_code_of_refused_consent() {
    let mut world = World::new();
    says(&world, &["authorization_pending", "access_denied"]);
    let (_, last) = register(&mut world).await;
    assert_eq!(
        (last.exit, last.text.as_str()),
        (Some(Exit::Consent), "the owner declined this device\nhint: qcloud-agent register")
    );
    assert_eq!(Exit::Consent.code(), 4);
    world.run_for(HOUR).await;
    assert_eq!(world.hub.bodies(POLL).len(), 2, "it asks no more");
}

#[tokio::test(start_paused = true)]
async fn an_expired_code_ends_it_whether_the_hub_says_so_or_not() {
    let mut world = World::new();
    says(&world, &["expired_token"]);
    let (_, last) = register(&mut world).await;
    assert!(last.exit == Some(Exit::Failed) && last.text.contains("expired"), "{}", last.text);

    let mut world = World::new();
    world.hub.lock().polls_to_approve = u32::MAX;
    let (_, last) = register(&mut world).await;
    assert!(last.exit == Some(Exit::Failed) && last.text.contains("expired"), "{}", last.text);
    let polls = world.hub.bodies(POLL).len();
    assert!((115..=120).contains(&polls), "{polls} in ten minutes");
    world.run_for(HOUR).await;
    assert_eq!(world.hub.bodies(POLL).len(), polls, "it asks no more");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_hub_is_asked_more_and_more_slowly() {
    let mut world = World::new();
    world.hub.lock().polls_to_approve = 1;
    let args = json!({ "hub": "https://hub.example.test", "name": "box" });
    world.ask("registration", "register", args);
    world.run_for(4 * SECOND).await;
    world.hub.go_down();
    world.run_for(160 * SECOND).await;
    assert_eq!(waits(&world), [10, 20, 40, 60]);
    world.hub.come_back();
    world.run_for(200 * SECOND).await;
    assert_eq!(world.status().registered.map(|m| m.name), Some(membership().name.to_string()));
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_wait_waits() {
    let mut world = World::new();
    let busy = json!({ "error": "too many requests from this network" });
    world.hub.script("registration.start", 429, busy.clone(), Some(30));
    world.hub.script(POLL, 429, busy.clone(), Some(45));
    world.hub.script(POLL, 429, busy.clone(), Some(2));
    world.hub.lock().polls_to_approve = 0;
    let (shown, last) = register(&mut world).await;
    assert_eq!(last.exit, Some(Exit::Done), "{}", last.text);
    assert_eq!(shown[0].json, json!({ "wait_seconds": 30 }), "and the owner is told");
    let starts: Vec<_> =
        world.hub.waits("registration.start").iter().map(Duration::as_secs).collect();
    assert_eq!((starts, waits(&world)), (vec![30], vec![45, 20]));

    // Nobody is kept waiting for an hour.
    let mut world = World::new();
    world.hub.script("registration.start", 429, busy, Some(3600));
    let (_, last) = register(&mut world).await;
    assert!(last.exit == Some(Exit::Failed) && last.text.contains("too many"), "{}", last.text);
    assert_eq!(world.hub.bodies("registration.start").len(), 1);
}
