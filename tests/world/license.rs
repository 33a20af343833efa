//! Lives with a license: years of it, with the hub away, the clock wrong, the box repaired or swapped.

use super::driver::{DAY, HOUR, MINUTE, World, member};
use super::issuer::{Issuer, issuer_key, maker_key};
use core::time::Duration;
use qcloud_agent::card::Exit;
use qcloud_agent::daemon::feature::{Answer, Event};
use qcloud_agent::daemon::supervisor::Sections;
use qcloud_agent::features::ALL;
use qcloud_agent::platform::root::Root;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub const SERIAL: &str = "Q205I01234";
pub const CARDS: [&str; 2] = ["24:5e:be:00:00:01", "24:5e:be:00:00:02"];

fn sections() -> Sections {
    let mut sections = Sections::default();
    sections.values.insert("license".into(), json!({ "issuers": [issuer_key()], "keygen": [{ "product": "camera", "key": maker_key() }] }));
    sections
}

/// A box as files.
pub fn tree(name: &str, serial: &str, cards: &[&str]) -> PathBuf {
    let dir =
        std::env::temp_dir().join(format!("qcloud-world-license-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let put = |path: &str, text: &str| {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("sys/class/dmi/id/product_serial", serial);
    for (number, card) in cards.iter().enumerate() {
        put(&format!("sys/class/net/eth{number}/address"), card);
        put(&format!("sys/class/net/eth{number}/addr_assign_type"), "0");
        put(&format!("sys/class/net/eth{number}/device/vendor"), "0x8086");
    }
    dir
}

/// A registered box with the feature on, on this tree.
pub fn world(dir: &Path) -> World {
    let mut world = World::of(ALL, member(&["license"]), sections());
    world.root = Root::new(dir);
    let issuer = Issuer::new(world.time.clock(), world.identity.key().public_key());
    world.hub.lock().issuer = Some(issuer);
    world
}

pub async fn ask(world: &mut World, verb: &str, args: Value) -> Answer {
    let asked = world.ask("license", verb, args);
    for _ in 0..300 {
        let last = world.answers.get(&asked).and_then(|answers| answers.last());
        if let Some(answer) = last {
            return answer.clone();
        }
        world.run_for(Duration::from_millis(100)).await;
    }
    panic!("nobody answered `license {verb}`");
}

pub async fn check(world: &mut World) -> Answer {
    ask(world, "check", json!({ "product": "surveillance" })).await
}

pub async fn exit(world: &mut World) -> Exit {
    check(world).await.exit.unwrap()
}

pub async fn activated(dir: &Path, change: impl FnOnce(&mut Issuer)) -> World {
    let mut world = world(dir);
    change(world.hub.lock().issuer.as_mut().unwrap());
    world.addresses(&["192.168.1.7"], &[]);
    let lid = world.hub.lock().issuer.as_ref().unwrap().lid.to_string();
    let answer = ask(&mut world, "install", json!({ "key": lid })).await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    world
}

fn contacts(world: &World) -> usize {
    world.hub.lock().seen.iter().filter(|(id, _)| id.starts_with("license.")).count()
}

fn has_timer(world: &World) -> bool {
    world.supervisor.next_wake().is_some_and(|(_, feature, _)| feature == "license")
}

/// The power goes and comes back, and the box is looked at on its own tree.
pub async fn restarted(world: World) -> World {
    let mut world = world.restart();
    world.run_for(MINUTE).await;
    world.event(Event::Resumed);
    world.run_for(MINUTE).await;
    world
}

/// Guard: `license-idle`.
#[tokio::test(start_paused = true)]
async fn l8_without_a_license_there_is_no_timer_and_no_contact_in_sixty_days() {
    let dir = tree("idle", SERIAL, &CARDS);
    let mut world = world(&dir);
    world.run_for(MINUTE).await;
    for _ in 0..6 {
        world.run_for(10 * DAY).await;
        world.addresses(&["192.168.1.8"], &[]);
        world.event(Event::WallClockSet);
        world.event(Event::Resumed);
        world.run_for(MINUTE).await;
        assert!(!has_timer(&world), "a timer is armed");
    }
    assert_eq!((world.wakes, contacts(&world)), (0, 0));
    let mut world = world.restart();
    world.run_for(DAY).await;
    assert_eq!((has_timer(&world), contacts(&world)), (false, 0));
    // With one, there is a timer and a contact.
    let mut other = activated(&dir, |_| {}).await;
    other.run_for(8 * DAY).await;
    assert!(has_timer(&other) && contacts(&other) > 1);
}

/// Guard: `license-next`.
#[tokio::test(start_paused = true)]
async fn l7_a_lease_is_renewed_by_the_moment_it_names() {
    let mut world = activated(&tree("next", SERIAL, &CARDS), |_| {}).await;
    world.run_for(7 * DAY - 2 * HOUR).await;
    assert!(world.hub.bodies("license.renew").is_empty(), "nothing is asked before");
    world.run_for(2 * HOUR + MINUTE).await;
    assert_eq!(world.hub.bodies("license.renew").len(), 1);
    world.run_for(70 * DAY).await;
    let renewals = world.hub.bodies("license.renew").len();
    assert!((11..=12).contains(&renewals), "{renewals} in 77 days");
    assert_eq!(world.hub.bodies("license.activate").len(), 1);
    // A box that is started again does not ask earlier for it.
    let mut world = restarted(world).await;
    world.run_for(DAY).await;
    assert!(world.hub.bodies("license.renew").len() <= renewals + 1);
}

/// Guard: `license-facts`.
#[tokio::test(start_paused = true)]
async fn l6_a_box_says_what_it_is_at_activation_only_and_in_hashes() {
    let mut world = activated(&tree("facts", SERIAL, &CARDS), |_| {}).await;
    world.run_for(30 * DAY).await;
    let [activation] = &world.hub.bodies("license.activate")[..] else { panic!("one activation") };
    let mut fields: Vec<_> = activation.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["firmware", "ip", "license", "macs", "nonce", "salt", "serial"]);
    assert_eq!(activation["ip"], "192.168.1.7");
    assert_eq!(activation["macs"].as_array().unwrap().len(), 2);
    let text = activation.to_string().to_lowercase();
    for plain in [SERIAL, CARDS[0], CARDS[1], "245ebe000001"] {
        assert!(!text.contains(&plain.to_lowercase()), "{plain} in {text}");
    }
    let renewals = world.hub.bodies("license.renew");
    assert!(!renewals.is_empty());
    for renewal in renewals {
        let mut fields: Vec<_> = renewal.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        assert_eq!(fields, ["lid", "nonce", "seq"]);
    }
    let ledger: Vec<_> = world.lines().iter().map(|line| line.parcel.clone()).collect();
    assert!(ledger.iter().any(|id| id == "license.activate"), "{ledger:?}");
}

/// Guard: `license-list-local`.
#[tokio::test(start_paused = true)]
async fn l10_what_is_installed_is_shown_without_a_hub() {
    let world = activated(&tree("list", SERIAL, &CARDS), |_| {}).await;
    world.hub.go_down();
    let handed = world.hub.lock().handed;
    let mut world = restarted(world).await;
    let listed = ask(&mut world, "list", json!({})).await;
    assert_eq!(listed.exit, Some(Exit::Done), "{}", listed.text);
    assert_eq!(listed.json["licenses"][0]["product"], "surveillance");
    assert_eq!(listed.json["licenses"][0]["state"], "valid");
    assert_eq!(check(&mut world).await.json["features"]["channels"], "8");
    assert_eq!(world.hub.lock().handed, handed, "something was sent for it");
}

/// Guard: `license-grace`.
#[tokio::test(start_paused = true)]
async fn a_hub_that_is_away_costs_nothing_for_thirty_days_and_little_for_fourteen_more() {
    let mut world = activated(&tree("away", SERIAL, &CARDS), |_| {}).await;
    world.hub.go_down();
    world.run_for(30 * DAY - HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
    world.run_for(2 * HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::Grace);
    world.run_for(DAY).await;
    assert!(world.warnings().contains(&"license-invalid"));
    world.run_for(13 * DAY - 2 * HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::Grace);
    world.run_for(3 * HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::LeaseStale);
    world.hub.come_back();
    world.run_for(DAY + HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
    assert!(!world.warnings().contains(&"license-invalid"), "{:?}", world.warnings());
}

/// Guard: `license-clock`.
#[tokio::test(start_paused = true)]
async fn a_clock_set_back_gains_nothing_and_one_of_1970_is_flagged() {
    let mut world = activated(&tree("back", SERIAL, &CARDS), |_| {}).await;
    world.hub.go_down();
    world.run_for(43 * DAY).await;
    world.time.wrong.lock().unwrap().1 = 400 * DAY;
    world.event(Event::WallClockSet);
    world.run_for(2 * DAY).await;
    let answer = check(&mut world).await;
    assert_eq!((answer.exit, &answer.json["clock"]), (Some(Exit::LeaseStale), &json!("unset")));
    let mut world = restarted(world).await;
    assert_eq!(exit(&mut world).await, Exit::LeaseStale, "nor with the power off in between");

    let mut world = activated(&tree("1970", SERIAL, &CARDS), |_| {}).await;
    world.run_for(2 * DAY).await;
    world.time.wrong.lock().unwrap().1 = 50 * 366 * DAY;
    let mut world = restarted(world).await;
    let answer = check(&mut world).await;
    assert_eq!((answer.exit, &answer.json["clock"]), (Some(Exit::Done), &json!("unset")));
    world.run_for(MINUTE).await;
    assert!(world.warnings().contains(&"license-clock"), "{:?}", world.warnings());
}

#[tokio::test(start_paused = true)]
async fn only_signed_time_takes_a_clock_of_the_far_future_back() {
    let dir = tree("future", SERIAL, &CARDS);
    let mut world = activated(&dir, |_| {}).await;
    world.hub.go_down();
    world.time.wrong.lock().unwrap().0 = 3650 * DAY;
    world.event(Event::WallClockSet);
    world.run_for(2 * DAY).await;
    assert_eq!(exit(&mut world).await, Exit::LeaseStale);
    world.time.wrong.lock().unwrap().0 = Duration::ZERO;
    world.event(Event::WallClockSet);
    world.run_for(DAY).await;
    assert_eq!(exit(&mut world).await, Exit::LeaseStale, "the mark stays");
    let mut world = restarted(world).await;
    assert_eq!(exit(&mut world).await, Exit::LeaseStale, "after a start as well");
    // A stranger's answer, one without the nonce: nothing.
    let stale = world.hub.lock().issuer.as_ref().unwrap().time(&"A".repeat(22));
    let answer = ask(&mut world, "install", json!({ "documents": stale })).await;
    assert_eq!((answer.exit, exit(&mut world).await), (Some(Exit::Done), Exit::LeaseStale));
    // By file, with the nonce of a request.
    let request = ask(&mut world, "request", json!({ "out": "x" })).await;
    let file = request.json["file"].as_str().unwrap();
    let (asked, _) =
        qcloud_agent::wire::license::jws::open_own::<qcloud_agent::wire::license::Request>(file)
            .unwrap();
    let time = world.hub.lock().issuer.as_ref().unwrap().time(&asked.nonce);
    world.run_for(HOUR).await;
    ask(&mut world, "install", json!({ "documents": time })).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
    // And by the next renewal of another box that had the same accident.
    let mut other = activated(&dir, |_| {}).await;
    other.time.wrong.lock().unwrap().0 = 3650 * DAY;
    other.event(Event::WallClockSet);
    other.hub.go_down();
    other.run_for(HOUR).await;
    other.time.wrong.lock().unwrap().0 = Duration::ZERO;
    other.event(Event::WallClockSet);
    other.hub.come_back();
    other.run_for(8 * DAY).await;
    assert_eq!(exit(&mut other).await, Exit::Done);
}

/// Guard: `license-binding`.
#[tokio::test(start_paused = true)]
async fn a_repaired_box_keeps_its_lease_and_a_copy_of_its_state_does_not() {
    let own = tree("own", SERIAL, &CARDS);
    let mut world = activated(&own, |_| {}).await;
    std::fs::write(own.join("sys/class/net/eth1/address"), "24:5e:be:00:00:99").unwrap();
    world.event(Event::Resumed);
    world.run_for(MINUTE).await;
    assert_eq!(exit(&mut world).await, Exit::Done, "one card of two");
    std::fs::write(own.join("sys/class/net/eth0/address"), "24:5e:be:00:00:98").unwrap();
    world.event(Event::Resumed);
    world.run_for(MINUTE).await;
    assert_eq!(exit(&mut world).await, Exit::Done, "all cards");
    world.root = Root::new(tree("other", "Q999I99999", &["24:5e:be:00:00:77"]));
    let mut world = restarted(world).await;
    assert_eq!(exit(&mut world).await, Exit::HwMismatch);
    world.run_for(60 * DAY).await;
    assert!(world.hub.bodies("license.renew").is_empty(), "a copy asks for nothing");
}

/// Guard: `license-revoked`.
#[tokio::test(start_paused = true)]
async fn a_revocation_is_seen_at_the_next_contact_and_by_a_box_its_hub_has_forgotten() {
    let dir = tree("revoked", SERIAL, &CARDS);
    let mut world = activated(&dir, |_| {}).await;
    world.hub.lock().issuer.as_mut().unwrap().revoke();
    assert_eq!(exit(&mut world).await, Exit::Done, "nobody has told it");
    world.run_for(7 * DAY + HOUR).await;
    assert_eq!(exit(&mut world).await, Exit::Revoked);
    let before = contacts(&world);
    world.run_for(90 * DAY).await;
    assert_eq!(contacts(&world), before, "it is not asked about any more");

    let mut forgotten = activated(&dir, |_| {}).await;
    forgotten.hub.lock().issuer.as_mut().unwrap().revoke();
    forgotten.event(Event::Disowned);
    forgotten.run_for(MINUTE).await;
    assert_eq!(exit(&mut forgotten).await, Exit::Revoked);
    assert_eq!(forgotten.hub.bodies("license.revoked")[0].as_object().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_owner_hears_of_an_end_thirty_seven_and_one_day_before() {
    let dir = tree("ends", SERIAL, &CARDS);
    let mut world = activated(&dir, |issuer| {
        issuer.ends =
            Some(qcloud_agent::clock::Wall(Duration::from_secs(1_795_341_600) + 60 * DAY));
    })
    .await;
    let details = |world: &World| {
        let status = world.status();
        status.warnings.iter().find(|w| w.code == "license-ends").map(|w| w.details.clone())
    };
    world.run_for(29 * DAY).await;
    assert_eq!(details(&world), None);
    for (days, words) in [(3, "within 30 days"), (22, "within 7 days"), (6, "within a day")] {
        world.run_for(days * DAY).await;
        let said = details(&world).unwrap_or_default();
        assert!(said.contains(words), "{said}");
    }
    world.run_for(DAY).await;
    assert_eq!((details(&world), exit(&mut world).await), (None, Exit::Expired));
}

/// Guard: `license-released`.
#[tokio::test(start_paused = true)]
async fn a_license_that_begins_later_and_one_that_was_given_back() {
    let dir = tree("later", SERIAL, &CARDS);
    let mut world = activated(&dir, |issuer| {
        issuer.begins =
            Some(qcloud_agent::clock::Wall(Duration::from_secs(1_795_341_600) + 2 * DAY));
    })
    .await;
    assert_eq!(exit(&mut world).await, Exit::NotYet);
    world.run_for(3 * DAY).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
    let lid = world.hub.lock().issuer.as_ref().unwrap().lid.to_string();
    let kept = world.disk.saved["license"]["held"][lid.as_str()].clone();
    let answer = ask(&mut world, "release", json!({ "license": lid })).await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    assert_eq!(world.hub.bodies("license.release").len(), 1);
    assert_eq!(exit(&mut world).await, Exit::Failed, "none is installed");
    let again =
        format!("{}\n{}", kept["entitlement"].as_str().unwrap(), kept["lease"].as_str().unwrap());
    let answer = ask(&mut world, "install", json!({ "documents": again })).await;
    assert_eq!(
        answer.exit,
        Some(Exit::Failed),
        "the lease of a seat that was given back: {}",
        answer.text
    );
}
