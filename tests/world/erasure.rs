//! What is switched off is erased at the hub, today or whenever the hub is back.

use super::driver::{DAY, HOUR, MINUTE, World};
use super::hub::Signing;
use qcloud_agent::card::Exit;
use qcloud_agent::daemon::feature::Event;
use qcloud_agent::daemon::supervisor::Sections;
use qcloud_agent::features::ALL;
use serde_json::json;

async fn with_ddns() -> World {
    let mut world = World::member(&["ddns"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), 1);
    world
}

#[tokio::test(start_paused = true)]
async fn an_erasure_owed_offline_survives_a_restart_and_is_settled_when_the_hub_is_back() {
    let mut world = with_ddns().await;
    world.hub.go_down();
    let answer = world.say("ddns", "off").await;
    assert_eq!(answer.exit, Some(Exit::Partial), "{}", answer.text);
    world.run_for(DAY).await;
    let tries = world.hub.lock().handed;
    assert!((1000..2500).contains(&tries), "about one a minute, not {tries} a day");

    let mut world = world.restart();
    assert_eq!((world.status().owed, world.state("ddns")), (vec!["ddns".into()], "leaving"));
    world.hub.come_back();
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.forget").len(), 1);
    assert_eq!((world.status().owed, world.state("ddns")), (vec![], "off"));
    assert_eq!((world.disk.owed.len(), world.disk.receipts.len()), (0, 1));
    assert_eq!(world.disk.receipts[0].receipt.feature, "ddns");

    let quiet = world.hub.lock().handed;
    world.run_for(DAY).await;
    assert_eq!(world.hub.lock().handed, quiet, "once is enough");
}

#[tokio::test(start_paused = true)]
async fn r3_a_hub_away_for_three_days_erases_within_a_minute_of_its_return() {
    let mut world = World::member(&["ddns", "link"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    world.hub.go_down();
    let answer = world.say("registration", "unregister").await;
    assert_eq!(answer.exit, Some(Exit::Partial), "{}", answer.text);
    assert_eq!(world.hub.lock().sessions, 0, "the session ends at once");
    let (dials, sent) = (world.hub.lock().dials.len(), world.lines().len());
    world.run_for(3 * DAY).await;
    assert_eq!(world.hub.lock().dials.len(), dials, "nobody dials for a device that left");
    let lines = world.lines();
    let other = lines.iter().skip(sent).find(|line| line.parcel != "registration.forget");
    assert!(other.is_none(), "{other:?}");

    let mut world = world.restart();
    assert_eq!(world.status().owed, ["registration"]);
    world.hub.come_back();
    world.run_for(MINUTE).await;
    assert_eq!((world.status().owed, world.disk.membership.clone()), (vec![], None));
    assert_eq!(world.status().receipts[0].feature, "registration");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_tried_at_once_when_the_line_or_the_clock_changed_but_no_storm_makes_it_many()
 {
    let mut world = with_ddns().await;
    world.hub.go_down();
    world.say("ddns", "off").await;
    world.run_for(DAY).await;
    let second = MINUTE / 60;
    for event in [Event::Resumed, Event::WallClockSet] {
        world.run_for(3 * second).await;
        let tries = world.hub.lock().handed;
        world.event(event);
        world.run_for(second).await;
        assert_eq!(world.hub.lock().handed, tries + 1);
    }
    let tries = world.hub.lock().handed;
    for last in 0..100_u8 {
        world.addresses(&[], &[&format!("2001:db8::{last:x}")]);
        world.run_for(second / 10).await;
    }
    let storm = world.hub.lock().handed - tries;
    assert!((4..=6).contains(&storm), "one in two seconds, not {storm} in ten");
    world.hub.come_back();
    world.run_for(3 * second).await;
    world.addresses(&[], &["2001:db8::77"]);
    world.run_for(second).await;
    assert_eq!(world.disk.owed.len(), 0);
}

/// Guard: `receipt-signature`.
#[tokio::test(start_paused = true)]
async fn only_an_honest_receipt_settles_an_erasure() {
    let forgeries = [
        Signing::Tampered,
        Signing::ForeignKey,
        Signing::OtherDevice,
        Signing::OtherFeature,
        Signing::Replayed,
    ];
    for signing in forgeries {
        let mut world = with_ddns().await;
        // A good receipt of an earlier erasure, to be replayed.
        world.say("ddns", "off").await;
        world.say("ddns", "on").await;
        world.run_for(MINUTE).await;
        world.hub.lock().signing = signing;
        let answer = world.say("ddns", "off").await;
        assert_eq!(answer.exit, Some(Exit::Partial), "{signing:?}: {}", answer.text);
        world.run_for(HOUR).await;
        assert_eq!(world.disk.owed.len(), 1, "{signing:?}");
        assert!(world.hub.bodies("ddns.forget").len() > 50, "it is tried again");
        world.hub.lock().signing = Signing::Honest;
        world.run_for(MINUTE).await;
        assert_eq!((world.disk.owed.len(), world.disk.receipts.len()), (0, 2), "{signing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_receipt_settles_nothing() {
    let mut world = with_ddns().await;
    world.hub.script("ddns.forget", 200, json!({}), None);
    world.hub.script("ddns.forget", 500, json!({ "error": "no disk" }), None);
    world.hub.script("ddns.forget", 404, json!(null), None);
    world.say("ddns", "off").await;
    assert_eq!(world.disk.owed.len(), 1);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.forget").len(), 4);
    assert_eq!(world.disk.owed.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn switching_on_again_waives_the_erasure() {
    let mut world = with_ddns().await;
    world.hub.go_down();
    world.say("ddns", "off").await;
    assert_eq!(world.disk.owed.len(), 1);
    world.run_for(HOUR).await;
    // In the moment in which a demand is under way it says so instead.
    assert_eq!(world.say("ddns", "on").await.exit, Some(Exit::Done));
    world.hub.come_back();
    world.run_for(HOUR).await;
    assert_eq!((world.disk.owed.len(), world.hub.bodies("ddns.forget").len()), (0, 0));
    assert_eq!(world.state("ddns"), "on");
    assert_eq!(world.hub.bodies("ddns.update").len(), 2, "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn an_erasure_under_way_is_not_waived() {
    let mut world = with_ddns().await;
    world.hub.lock().latency = MINUTE / 4;
    world.ask("ddns", "off", json!({}));
    let answer = world.say("ddns", "on").await;
    assert_eq!(answer.exit, Some(Exit::Busy), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_left_a_hub_brings_nothing_of_it_to_the_next() {
    let mut world = World::member(&["ddns"]);
    // The update is still under way while the owner leaves.
    world.hub.lock().latency = MINUTE / 2;
    world.addresses(&[], &["2001:db8::7"]);
    world.hub.lock().latency = MINUTE / 60;
    let answer = world.say("registration", "unregister").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    world.run_for(MINUTE).await;
    assert_eq!(world.disk.membership, None);
    let before = world.hub.bodies("ddns.update").len();
    let answer = world.say("registration", "register").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), before + 1, "the next hub is told");
}

#[tokio::test(start_paused = true)]
async fn a_section_that_became_unusable_does_not_keep_data_at_the_hub() {
    let mut world = with_ddns().await;
    let mut sections = Sections::default();
    sections.values.insert("ddns".into(), json!({ "adresses": "auto" }));
    world.reload(sections);
    assert_eq!(world.warnings(), ["daemon-config"]);
    let answer = world.say("ddns", "off").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    assert_eq!(world.hub.bodies("ddns.forget").len(), 1);
    assert_eq!(world.disk.receipts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_feature_that_is_kept_at_the_hub_is_erased_by_switching_it_off() {
    for row in ALL.iter().filter(|row| row.card.switch == qcloud_agent::card::Switch::OnOff) {
        let Some(forget) = row.card.forget else { continue };
        let mut world = World::member(&[row.card.name]);
        world.addresses(&[], &["2001:db8::7"]);
        world.run_for(MINUTE).await;
        let answer = world.say(row.card.name, "off").await;
        assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
        assert_eq!(world.hub.bodies(forget.id).len(), 1, "{}", forget.id);
        assert!(!world.disk.saved.contains_key(row.card.name), "nothing stays here either");
    }
}

/// `[ddns] enabled = …` and nothing else.
fn by_file(enabled: bool) -> Sections {
    Sections { enabled: [("ddns".to_string(), enabled)].into(), ..Sections::default() }
}

#[tokio::test(start_paused = true)]
async fn what_the_file_switches_off_is_erased_and_what_it_switches_on_again_is_on() {
    let mut world = World::of(ALL, super::driver::member(&[]), by_file(true));
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    world.reload(by_file(false));
    world.run_for(MINUTE).await;
    assert_eq!((world.hub.bodies("ddns.forget").len(), world.state("ddns")), (1, "off"));
    world.reload(by_file(true));
    world.run_for(MINUTE).await;
    assert_eq!((world.hub.bodies("ddns.update").len(), world.state("ddns")), (2, "on"));
}

#[tokio::test(start_paused = true)]
async fn what_the_file_switched_off_while_the_agent_was_stopped_is_erased_at_its_next_start() {
    let mut world = World::of(ALL, super::driver::member(&[]), by_file(true));
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let mut world = World::of(ALL, world.disk, by_file(false));
    world.run_for(MINUTE).await;
    assert_eq!((world.hub.bodies("ddns.forget").len(), world.state("ddns")), (1, "off"));
    let mut world = World::of(ALL, world.disk, by_file(false));
    world.run_for(HOUR).await;
    assert_eq!(world.hub.lock().handed, 0, "once is enough");
}
