//! The power goes away at every single step of first start, registration, renewal and rekey, with every kind of disk,
//! and the answer to every message is lost: there is always a key that the hub takes, and exactly one in the end.

use super::driver::{DAY, HOUR, Time, World};
use super::hub::Hub;
use super::power::{LEFT, Left, Power};
use super::registry::Registry;
use qcloud_agent::daemon::records::LEDGER;
use qcloud_agent::egress::ledger::{HEAD_TYPE, SignedHead, head_after, verify};
use qcloud_agent::state::StateDir;
use qcloud_agent::wire::signed;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory of its own, in RAM where there is a place for that: thousands of files are synced here.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let ram = Path::new("/dev/shm");
        let base = if ram.is_dir() { ram.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(base.join(format!("qcloud-cuts-{}-{number}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A hub that begins with nobody, and the time both live in.
fn hub_and_time() -> (Hub, Arc<Time>) {
    let (hub, time) = (Hub::new(""), Time::new());
    hub.lock().registry = Some(Registry::new(time.clock()));
    hub.lock().polls_to_approve = 0;
    (hub, time)
}

fn open(dir: &Path, power: &Power, hub: &Hub, time: &Arc<Time>) -> Result<World, String> {
    let state = StateDir::open_watched(dir, power.watch()).map_err(|e| e.to_string())?;
    World::powered(state, power, hub.clone(), Arc::clone(time))
}

/// What is still to be done of a life; begun anew after a cut, it goes on where it was.
async fn live(world: &mut World) {
    let args = json!({ "hub": "https://hub.example.test", "name": "box" });
    while !world.is_dead() && world.status().registered.is_none() {
        world.ask("registration", "register", args.clone());
        world.run_for(HOUR).await;
    }
    let renewals = world.hub.bodies("registration.renew").len();
    if renewals == 0 {
        world.run_for(23 * DAY).await;
    }
    if !world.is_dead() && world.hub.bodies("registration.rekey").is_empty() {
        world.ask("registration", "rekey", json!({}));
    }
    world.run_for(HOUR).await;
}

/// What must hold right after a cut: the device is who it was, and the hub takes its key.
fn is_itself(world: &World, what: &str) {
    let key = world.identity.key();
    let hub = world.hub.lock();
    let registry = hub.registry.as_ref().unwrap();
    let known = |spki: &Option<Vec<u8>>| spki.as_deref() == Some(key.spki());
    if registry.own.is_some() {
        assert!(known(&registry.own) || known(&registry.next), "the hub knows another key: {what}");
    }
    if let Some((place, _)) = &world.supervisor.household().membership {
        assert!(key.fits(&place.certificate), "the certificate is another key's: {what}");
        assert_eq!(place.device, registry.device, "{what}");
    }
}

/// What must hold in the end.
fn is_whole(world: &World, dir: &Path, what: &str) {
    is_itself(world, what);
    let key = world.identity.key();
    {
        let hub = world.hub.lock();
        let registry = hub.registry.as_ref().unwrap();
        assert_eq!(registry.own.as_deref(), Some(key.spki()), "{what}");
        assert_eq!((&registry.next, registry.strangers), (&None, 0), "not one key: {what}");
        assert_ne!(key.id(), registry.device, "the key was changed: {what}");
        assert_eq!(world.status().device, registry.device, "{what}");
    }
    assert!(dir.join("device.key").exists() && !dir.join("device.key.next").exists(), "{what}");
    assert!(world.warnings().is_empty(), "{what}");
    let ledger = std::fs::read_to_string(dir.join(LEDGER)).unwrap();
    verify(ledger.lines()).unwrap_or_else(|e| panic!("{e}: {what}"));
    let household = world.supervisor.household();
    let document = household.signed_head.as_ref().unwrap();
    let head: SignedHead = signed::verify(document, HEAD_TYPE, key.public_key())
        .unwrap_or_else(|e| panic!("the end of the ledger is signed by another key: {e}: {what}"));
    let there = ledger.lines().filter_map(head_after).any(|line| line == head.head);
    assert!(there, "{what}");
}

/// One life with a cut at a step; whether it came to that.
async fn cut(step: u64, left: Left) -> bool {
    let (hub, time) = hub_and_time();
    let (before, after) = (Scratch::new(), Scratch::new());
    let power = Power::default();
    power.cut_at(step);
    if let Ok(mut world) = open(&before.0, &power, &hub, &time) {
        live(&mut world).await;
        if !world.is_dead() {
            return false;
        }
    }
    let what = format!("step {step} ({}), {left:?} left", power.what());
    power.restore(left, &after.0);
    let power = Power::of(&after.0);
    let mut world = open(&after.0, &power, &hub, &time).unwrap_or_else(|e| panic!("{e}: {what}"));
    is_itself(&world, &what);
    live(&mut world).await;
    is_whole(&world, &after.0, &what);
    drop(world);
    // What is on the disk is the same device.
    let world = open(&after.0, &power, &hub, &time).unwrap_or_else(|e| panic!("{e}: {what}"));
    is_whole(&world, &after.0, &what);
    true
}

/// All steps there are, so that the test knows that it has seen them.
async fn steps() -> u64 {
    let (hub, time) = hub_and_time();
    let (scratch, power) = (Scratch::new(), Power::default());
    let mut world = open(&scratch.0, &power, &hub, &time).unwrap();
    live(&mut world).await;
    is_whole(&world, &scratch.0, "no cut at all");
    power.steps()
}

#[tokio::test(start_paused = true)]
async fn the_power_may_go_at_any_step_and_one_key_is_left() {
    let steps = steps().await;
    assert!((60..400).contains(&steps), "{steps} steps in a life");
    for step in 0..steps {
        for left in LEFT {
            assert!(cut(step, left).await, "step {step} of {steps} was never reached");
        }
    }
    assert!(!cut(steps, Left::Nothing).await, "there are more steps than were counted");
}

#[tokio::test(start_paused = true)]
async fn any_answer_may_be_lost_and_one_key_is_left() {
    for answer in 1..=6 {
        let (hub, time) = hub_and_time();
        hub.lock().lost = Some(answer);
        let (scratch, power) = (Scratch::new(), Power::default());
        let mut world = open(&scratch.0, &power, &hub, &time).unwrap();
        live(&mut world).await;
        is_whole(&world, &scratch.0, &format!("answer {answer} was lost"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_power_may_go_twice_in_a_rekey() {
    let all = steps().await;
    // From the verb on, two cuts at every pair of steps a few apart, on the disk that keeps least.
    for first in all.saturating_sub(60)..all {
        let (hub, time) = hub_and_time();
        let (one, two, three) = (Scratch::new(), Scratch::new(), Scratch::new());
        let power = Power::default();
        power.cut_at(first);
        if let Ok(mut world) = open(&one.0, &power, &hub, &time) {
            live(&mut world).await;
        }
        power.restore(Left::Nothing, &two.0);
        let power = Power::of(&two.0);
        power.cut_at(first % 17);
        if let Ok(mut world) = open(&two.0, &power, &hub, &time) {
            live(&mut world).await;
        }
        power.restore(Left::Nothing, &three.0);
        let power = Power::of(&three.0);
        let mut world = open(&three.0, &power, &hub, &time).unwrap();
        live(&mut world).await;
        is_whole(&world, &three.0, &format!("steps {first} and {}", first % 17));
    }
}

/// The attack on the test itself: a disk that forgets what was synced must be noticed.
#[tokio::test(start_paused = true)]
async fn a_disk_that_loses_the_key_is_found_out() {
    let (hub, time) = hub_and_time();
    let (before, after) = (Scratch::new(), Scratch::new());
    let power = Power::default();
    let mut world = open(&before.0, &power, &hub, &time).unwrap();
    live(&mut world).await;
    drop(world);
    power.restore(Left::Nothing, &after.0);
    std::fs::remove_file(after.0.join("device.key")).unwrap();
    let world = open(&after.0, &Power::of(&after.0), &hub, &time).unwrap();
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| is_itself(&world, "")));
    assert!(looked.is_err());
}
