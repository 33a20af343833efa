//! One feature that panics costs that feature and one warning.

use super::driver::{DAY, HOUR, MINUTE, World, member};
use super::tiny::{Brittle, Steady};
use qcloud_agent::card::Exit;
use qcloud_agent::daemon::feature::Row;
use qcloud_agent::daemon::supervisor::Sections;
use serde_json::json;

static ROWS: &[Row] = &[Row::of::<Brittle>(), Row::of::<Steady>()];

fn world(panics_at: &str) -> World {
    let mut sections = Sections::default();
    sections.values.insert("brittle".into(), json!({ "panics_at": panics_at }));
    World::of(ROWS, member(&["brittle", "steady"]), sections)
}

#[tokio::test(start_paused = true)]
async fn wherever_a_feature_panics_the_others_never_notice() {
    for place in
        ["open", "opened", "wake", "event", "save", "next_wake", "report", "job", "closing"]
    {
        let mut world = world(place);
        world.addresses(&[], &["2001:db8::7"]);
        world.run_for(HOUR + MINUTE / 2).await;
        assert_eq!(world.hub.bodies("steady.ping").len(), 60, "{place}");
        assert_eq!(world.state("steady"), "on", "{place}");
        world.addresses(&[], &["2001:db8::8"]);
        let answer = world.say("brittle", "off").await;
        assert_eq!(answer.exit, Some(Exit::Done), "{place}: {}", answer.text);
        assert_eq!(world.hub.bodies("brittle.forget").len(), 1, "{place}: its data is erased");
        assert_eq!(world.warnings(), [""; 0], "{place}");
        world.run_for(HOUR).await;
        assert_eq!(world.state("brittle"), "off", "{place}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_feature_that_keeps_panicking_is_tried_ever_less_often() {
    for place in ["open", "opened", "wake", "next_wake", "save"] {
        let mut world = world(place);
        world.run_for(HOUR).await;
        assert_eq!(world.state("brittle"), "broken", "{place}");
        assert_eq!(world.warnings(), ["daemon-quarantine"], "{place}");
        // Its neighbour wakes once a minute; the rest are tries.
        let tries = world.wakes - 59;
        assert!((8..40).contains(&tries), "{place}: {tries} tries in an hour");
        let before = world.wakes;
        world.run_for(DAY).await;
        let tries = world.wakes - before - 1440;
        assert!((20..120).contains(&tries), "{place}: {tries} tries in a day");
    }
}

#[tokio::test(start_paused = true)]
async fn a_feature_that_broke_once_comes_back_by_itself() {
    let mut world = world("");
    let asked = world.ask("brittle", "break", json!({}));
    assert_eq!((world.state("brittle"), world.warnings().len()), ("broken", 1));
    assert!(!world.answers.contains_key(&asked));
    let answer = world.say("brittle", "break").await;
    assert_eq!(answer.exit, Some(Exit::Failed), "it says that it is set aside");
    world.run_for(MINUTE).await;
    assert_eq!((world.state("brittle"), world.warnings().len()), ("on", 0));
}
