//! What a device does when nobody asked it to do anything, and what it does not do besides what was asked.

use super::driver::{DAY, HOUR, MINUTE, World, member};
use super::tiny::{Slow, Steady};
use qcloud_agent::daemon::feature::Row;
use qcloud_agent::daemon::household::Household;
use qcloud_agent::daemon::supervisor::Sections;
use qcloud_agent::egress::gate::Refused;
use qcloud_agent::egress::outside::SendError;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::ParcelBody;
use qcloud_agent::wire::ddns::Update;

/// Guard: `gate-feature-off`.
#[tokio::test(start_paused = true)]
async fn c2_with_everything_off_nothing_leaves_in_thirty_days() {
    let mut world = World::new();
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    for day in 0..30 {
        world.run_for(DAY).await;
        world.addresses(&["192.168.1.7"], &[&format!("2001:db8::{day}")]);
        world.suspend(HOUR);
    }
    assert_eq!((world.hub.lock().handed, world.wakes, world.saves), (0, 0, 0));
    assert_eq!(world.lines().len(), 0, "not even a refused attempt");
    assert_eq!(world.disk, Household::default());

    // A device that had everything on and has it off is as quiet, whatever is left over of it.
    let mut world = World::member(&["ddns", "link"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let left_over = world.dial("ddns");
    for feature in ["ddns", "link"] {
        world.say(feature, "off").await;
    }
    world.run_for(MINUTE).await;
    let before = (world.hub.lock().handed, world.wakes, world.saves);
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(30 * DAY).await;
    assert_eq!((world.hub.lock().handed, world.wakes, world.saves), before);
    assert_eq!(world.hub.lock().sessions, 0);
    let refused = left_over.send(&Update::example()).await.unwrap_err();
    assert_eq!(refused, SendError::Refused(Refused::FeatureOff("ddns")));
}

#[tokio::test(start_paused = true)]
async fn c3_one_feature_on_sends_its_own_parcels_only() {
    for row in ALL {
        let mut world = World::member(&[row.card.name]);
        world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
        world.run_for(HOUR).await;
        world.addresses(&["192.168.1.7"], &["2001:db8::8"]);
        world.suspend(HOUR);
        world.run_for(DAY).await;
        for line in world.lines() {
            assert_eq!(line.feature, row.card.name);
        }
        for id in world.hub.parcels() {
            assert!(row.card.parcel(id).is_some(), "{} with only {} on", id, row.card.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_subset_of_the_features_starts_and_stops() {
    for subset in 0..(1_u32 << ALL.len()) {
        let has = |index: usize| subset & (1 << index) != 0;
        let rows = ALL.iter().enumerate().filter(|(index, _)| has(*index)).map(|(_, row)| Row {
            card: row.card,
            open: row.open,
            forget: row.forget,
            shape: row.shape,
        });
        let rows: &'static [Row] = Vec::leak(rows.collect());
        let names: Vec<_> = rows.iter().map(|row| row.card.name).collect();
        let mut world = World::of(rows, member(&names), Sections::default());
        world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
        world.run_for(HOUR).await;
        assert_eq!(world.warnings(), [""; 0], "{names:?}");
        for row in rows {
            assert!(["on", "ready"].contains(&world.state(row.card.name)), "{names:?}");
        }
        let mut world = world.restart();
        world.run_for(HOUR).await;
        assert_eq!(world.warnings(), [""; 0], "{names:?}, started again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_steady_agent_neither_wakes_nor_writes() {
    let mut world = World::member(&["ddns", "link"]);
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let before = (world.hub.lock().handed, world.wakes, world.saves);
    world.run_for(30 * DAY).await;
    assert_eq!((world.hub.lock().handed, world.wakes, world.saves), before);
}

static SLOW: &[Row] = &[Row::of::<Slow>(), Row::of::<Steady>()];

#[tokio::test(start_paused = true)]
async fn an_answer_never_reaches_a_later_life_of_its_feature() {
    let heard = |world: &World| world.status().features[0].section.facts["heard"].clone();
    let mut world = World::of(SLOW, member(&["slow"]), Sections::default());
    world.run_for(MINUTE).await;
    // One reply, two notes, and the end of the job.
    assert_eq!(heard(&world), 4);

    world.hub.lock().latency = MINUTE;
    world.say("slow", "off").await;
    world.say("slow", "on").await;
    world.say("slow", "off").await;
    world.hub.lock().latency = HOUR;
    world.say("slow", "on").await;
    world.run_for(HOUR / 2).await;
    // Two lives asked; the answer of the first came meanwhile. This one has heard of its own job only.
    assert_eq!(world.hub.bodies("slow.ask").len(), 2);
    assert_eq!(heard(&world), 3);
    world.run_for(HOUR).await;
    assert_eq!(heard(&world), 4);
}
