//! Two boxes with one identity, seen from the box that may be the copy.

use super::driver::{DAY, HOUR, MINUTE, World};
use core::time::Duration;
use qcloud_agent::card::Exit;
use qcloud_agent::clock::{Boot, Clock, Now, Wall};
use qcloud_agent::daemon::feature::Answer;
use qcloud_agent::identity::Identity;
use qcloud_agent::platform::root::Root;
use qcloud_agent::state::StateDir;
use serde_json::{Value, json};
use std::sync::Arc;

/// Asks, and waits for the last answer.
async fn told(world: &mut World, noun: &str, verb: &str, args: Value) -> Answer {
    let asked = world.ask(noun, verb, args);
    for _ in 0..300 {
        let last = world.answers.get(&asked).and_then(|answers| answers.last());
        if let Some(answer) = last.filter(|answer| answer.exit.is_some()) {
            return answer.clone();
        }
        world.run_for(Duration::from_millis(100)).await;
    }
    panic!("nobody answered `{noun} {verb}`");
}

fn sessions(world: &World) -> usize {
    world.hub.lock().sessions
}

/// Everything the carrier was asked to carry.
fn handed(world: &World) -> u64 {
    world.hub.lock().handed
}

async fn register(world: &mut World, args: Value) -> Answer {
    told(world, "registration", "register", args).await
}

/// A member in use whose disk is started in another box.
async fn moved() -> World {
    let mut world = World::member(&["ddns", "link"]);
    world.addresses(&["192.168.1.7"], &[]);
    world.run_for(MINUTE).await;
    assert_eq!((sessions(&world), world.hub.bodies("ddns.update").len()), (1, 1));
    let mut world = world.moved();
    world.hub.lock().seen.clear();
    world.addresses(&["192.168.1.8"], &[]);
    world
}

/// Guard: `board-facts`, the comparison.
#[tokio::test]
async fn a_key_on_another_board_is_noticed_and_a_repair_is_not() {
    let tree = std::env::temp_dir().join(format!("qcloud-board-{}", std::process::id()));
    std::fs::create_dir_all(tree.join("etc")).unwrap();
    std::fs::create_dir_all(tree.join("sys/class/dmi/id")).unwrap();
    let board = |serial: &str, machine: &str| {
        std::fs::write(tree.join("sys/class/dmi/id/product_serial"), serial).unwrap();
        std::fs::write(tree.join("etc/machine-id"), machine).unwrap();
    };
    board("Q205I01234", "4f2d");
    let now = Now { boot: Boot::default(), wall: Wall::default(), dice: 1 };
    let clock = Clock::from_fn(move || now);
    let state = Arc::new(StateDir::memory());
    let identity = Identity::open(state, clock, Root::new(&tree)).unwrap();
    identity.keep().unwrap();
    for (serial, machine) in [("Q205I01234", "4f2d"), ("Q205I09999", "4f2d"), ("none", "other")] {
        board(serial, machine);
        assert_eq!(identity.differing(), Vec::<&str>::new(), "{serial} {machine}");
    }
    board("Q205I09999", "other");
    let differing = identity.differing();
    std::fs::remove_dir_all(&tree).unwrap();
    assert_eq!(differing, ["machine id", "serial number"]);
}

fn aside(world: &World, times: usize) {
    for _ in 0..times {
        let body = json!({ "error": "another copy exists", "code": "quarantined" });
        world.hub.script("ddns.update", 403, body, None);
    }
}

#[tokio::test(start_paused = true)]
async fn on_another_board_nothing_leaves_and_everything_says_why() {
    let mut world = moved().await;
    let before = handed(&world);
    world.run_for(DAY).await;
    assert_eq!(world.warnings(), ["daemon-board"]);
    for (noun, verb) in [
        ("ddns", "off"),
        ("link", "certificate"),
        ("privacy", "export"),
        ("registration", "unregister"),
        ("registration", "register"),
    ] {
        let answer = told(&mut world, noun, verb, json!({ "hub": "https://h.example.test" })).await;
        assert_eq!(answer.exit, Some(Exit::Failed), "{noun} {verb}: {}", answer.text);
        assert!(answer.text.contains("clone suspected"), "{}", answer.text);
        assert!(answer.text.contains("\nhint: qcloud-agent register --fork"), "{}", answer.text);
    }
    world.run_for(DAY).await;
    assert_eq!((handed(&world), world.hub.parcels()), (before, vec![]));
    assert_eq!(world.lines().iter().filter(|line| line.result.contains("refused")).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_box_with_another_board_goes_on_at_once() {
    let mut world = moved().await;
    world.run_for(HOUR).await;
    let id = world.status().device;
    let kept = register(&mut world, json!({ "keep": "yes" })).await;
    assert_eq!(kept.exit, Some(Exit::Done), "{}", kept.text);
    world.run_for(MINUTE).await;
    assert_eq!((sessions(&world), world.warnings()), (1, vec![]));
    assert_eq!(world.hub.bodies("registration.start"), Vec::<Value>::new());
    assert_eq!(world.status().device, id);
    let again = register(&mut world, json!({ "keep": "yes" })).await;
    assert_eq!(again.exit, Some(Exit::Failed), "{}", again.text);
}

#[tokio::test(start_paused = true)]
async fn a_copy_becomes_a_device_of_its_own_and_erases_nothing_of_the_other() {
    let mut world = moved().await;
    let id = world.status().device;
    let both = register(&mut world, json!({ "keep": "yes", "fork": "yes" })).await;
    assert_eq!(both.exit, Some(Exit::Usage));
    // Its hub is known.
    let forked = register(&mut world, json!({ "fork": "yes", "name": "attic" })).await;
    assert_eq!(forked.exit, Some(Exit::Done), "{}", forked.text);
    world.run_for(MINUTE).await;
    let asked = world.hub.bodies("registration.start");
    assert_eq!((asked.len(), &asked[0]["name"]), (1, &json!("attic")));
    assert_ne!(world.status().device, id);
    let forgets = world.hub.parcels().iter().filter(|id| id.ends_with(".forget")).count();
    assert_eq!((forgets, sessions(&world)), (0, 1));
    assert_eq!((world.warnings(), world.hub.bodies("ddns.update").len()), (vec![], 1));
    // All of it is on the disk.
    let world = world.restart();
    assert!(world.disk.membership.is_some() && world.disk.owed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_gives_no_name_gets_one_of_its_own() {
    let mut world = moved().await;
    let forked = register(&mut world, json!({ "fork": "yes" })).await;
    assert_eq!(forked.exit, Some(Exit::Done), "{}", forked.text);
    let name = world.hub.bodies("registration.start")[0]["name"].as_str().unwrap().to_owned();
    let id = world.status().device;
    assert_eq!(name, format!("nas-{}", &id[..4]));
}

#[tokio::test(start_paused = true)]
async fn an_owed_erasure_of_the_other_box_is_never_sent() {
    let mut world = World::member(&["ddns"]);
    world.run_for(MINUTE).await;
    world.hub.go_down();
    assert_eq!(world.say("ddns", "off").await.exit, Some(Exit::Partial));
    let mut world = world.moved();
    world.hub.come_back();
    world.run_for(HOUR).await;
    assert_eq!(world.hub.bodies("ddns.forget"), Vec::<Value>::new());
    let forked = register(&mut world, json!({ "fork": "yes" })).await;
    assert_eq!(forked.exit, Some(Exit::Done), "{}", forked.text);
    world.run_for(DAY).await;
    assert_eq!(world.hub.bodies("ddns.forget"), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn what_the_hub_set_aside_asks_slowly_and_is_back_when_it_is_released() {
    let mut world = World::member(&["ddns"]);
    let only = register(&mut world, json!({ "fork": "yes" })).await;
    assert_eq!(only.exit, Some(Exit::Failed), "{}", only.text);
    aside(&world, 1000);
    world.addresses(&["192.168.1.7"], &[]);
    world.run_for(MINUTE / 2).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), 1);
    assert_eq!(world.warnings(), ["ddns-stale", "registration-cloned"]);
    world.run_for(DAY).await;
    let asked = world.hub.bodies("ddns.update").len();
    assert!((12..=1440).contains(&asked), "{asked} in a day");
    let keep = register(&mut world, json!({ "keep": "yes" })).await;
    assert!(keep.text.contains("qcloud-hub release"), "{}", keep.text);
    // Known after a restart too, before the hub has said it again.
    let mut world = world.restart();
    world.run_for(Duration::ZERO).await;
    assert_eq!(world.warnings(), ["registration-cloned"]);
    world.hub.lock().scripted.clear();
    world.addresses(&["192.168.1.7"], &[]);
    world.run_for(2 * HOUR).await;
    assert_eq!(world.warnings(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn the_hubs_word_is_enough_to_become_a_device_of_its_own() {
    let mut world = World::member(&["ddns"]);
    aside(&world, 1);
    world.addresses(&["192.168.1.7"], &[]);
    world.run_for(MINUTE / 2).await;
    let id = world.status().device;
    let forked = register(&mut world, json!({ "fork": "yes", "name": "attic" })).await;
    assert_eq!(forked.exit, Some(Exit::Done), "{}", forked.text);
    assert_ne!(world.status().device, id);
    world.run_for(HOUR).await;
    assert_eq!(world.warnings(), Vec::<&str>::new());
}
