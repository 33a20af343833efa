//! Certificates end, and are renewed in time or after; keys are changed.

use super::driver::{DAY, HOUR, MINUTE, World};
use core::time::Duration;
use qcloud_agent::card::Exit;
use qcloud_agent::clock::Wall;
use qcloud_agent::daemon::feature::Event;
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

fn renewals(world: &World) -> usize {
    world.hub.bodies("registration.renew").len()
}

fn registrations(world: &World) -> usize {
    world.hub.bodies("registration.start").len()
}

fn strangers(world: &World) -> u64 {
    world.hub.lock().registry.as_ref().unwrap().strangers
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_two_thirds_and_nothing_else_happens() {
    let mut world = World::certified(&["ddns", "link"]);
    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let next = world.status().next.unwrap();
    assert_eq!((next.feature, next.why), ("registration", "renew this device's certificate"));
    let before = (world.hub.lock().handed, world.wakes, world.saves);
    world.run_for(18 * DAY - 2 * MINUTE).await;
    assert_eq!((world.hub.lock().handed, world.wakes, world.saves), before, "nothing for 18 days");
    world.run_for(4 * DAY + 2 * MINUTE).await;
    let (handed, wakes, saves) = before;
    assert_eq!(
        (world.hub.lock().handed, world.wakes, world.saves),
        (handed + 1, wakes + 1, saves + 1),
        "one message, one wake and one save"
    );
    assert_eq!(renewals(&world), 1);
    assert_eq!(world.hub.lock().dials.len(), 1, "the session went on");
    assert_eq!(world.hub.bodies("ddns.update").len(), 1, "and the name was left alone");
    world.run_for(365 * DAY).await;
    let more = renewals(&world) - 1;
    assert!((16..=21).contains(&more), "{more} renewals in a year");
    assert_eq!((world.saves - saves, strangers(&world)), (u64::try_from(more).unwrap() + 1, 0));
    assert_eq!(world.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_for_400_days_renews_and_goes_on() {
    for off in [40 * DAY, 400 * DAY] {
        let mut world = World::certified(&["ddns", "link"]);
        world.addresses(&[], &["2001:db8::7"]);
        world.run_for(MINUTE).await;
        // As off as can be: the clocks go on, and nothing else.
        *world.time.wrong.lock().unwrap() = (off, Duration::ZERO);
        let mut world = world.restart();
        world.addresses(&[], &["2001:db8::8"]);
        world.run_for(10 * SECOND).await;
        assert_eq!((renewals(&world), registrations(&world)), (1, 0));
        assert_eq!(world.hub.lock().sessions, 1, "the tunnel is back");
        assert_eq!(world.hub.bodies("ddns.update").pop().unwrap()["aaaa"], "2001:db8::8");
        assert_eq!((world.warnings(), strangers(&world)), (vec![], 0));
        world.run_for(10 * DAY).await;
        assert_eq!(renewals(&world), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_given_by_an_older_hub_is_renewed_within_the_hour() {
    let mut world = World::certified(&["link"]);
    let (place, _) = world.disk.membership.as_mut().unwrap();
    (place.certificate_until, place.device) = (Wall::default(), String::new());
    let mut world = world.restart();
    assert_eq!(world.status().device, world.identity.key().id());
    world.run_for(HOUR).await;
    assert_eq!((renewals(&world), world.hub.lock().dials.len()), (1, 1));
    world.run_for(10 * DAY).await;
    assert_eq!(renewals(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_the_owner_denies_is_one_try_a_day_until_he_allows_it() {
    let mut world = World::certified(&[]);
    let denied = world.deny("registration.renew");
    assert_eq!(denied.exit, Some(Exit::Done), "{}", denied.text);
    world.run_for(28 * DAY).await;
    assert_eq!((renewals(&world), world.warnings()), (0, vec!["registration-renewal"]));
    assert!(world.lines().len() <= 11, "{} lines", world.lines().len());
    world.allow("registration.renew");
    world.run_for(MINUTE).await;
    assert_eq!((renewals(&world), world.warnings()), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_clock_is_behind_renews_by_the_hubs_word() {
    let mut world = World::certified(&["ddns", "link"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    // The hub's registry and the device share one clock, so the hub's runs ahead by itself.
    let until = world.supervisor.household().membership.clone().unwrap().0.certificate_until;
    world.hub.lock().registry.as_mut().unwrap().ahead = 60 * DAY;
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(MINUTE).await;
    assert_eq!((renewals(&world), registrations(&world)), (1, 0));
    let renewed = world.supervisor.household().membership.clone().unwrap().0.certificate_until;
    assert_eq!(renewed.0 - until.0, 60 * DAY + MINUTE);
    assert_eq!(world.hub.bodies("ddns.update").pop().unwrap()["aaaa"], "2001:db8::8");
    assert_eq!(world.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_or_was_never_set_makes_no_storm() {
    let mut world = World::certified(&["ddns", "link"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let years = 3650 * DAY;
    for jump in 0..48 {
        let wrong = if jump % 2 == 0 { (years, Duration::ZERO) } else { (Duration::ZERO, years) };
        *world.time.wrong.lock().unwrap() = wrong;
        world.hub.lock().registry.as_mut().unwrap().true_time = Some(world.right_time());
        world.event(Event::WallClockSet);
        world.run_for(HOUR).await;
    }
    assert!(renewals(&world) <= 3, "{} renewals in two days of a mad clock", renewals(&world));
    let wakes = world.wakes;
    world.run_for(DAY).await;
    assert!(world.wakes - wakes <= 3, "it spins: {}", world.wakes - wakes);
}

#[tokio::test(start_paused = true)]
async fn the_owner_is_told_in_the_last_days_and_no_more_when_it_succeeds() {
    let mut world = World::certified(&[]);
    world.run_for(15 * DAY).await;
    world.hub.go_down();
    world.run_for(9 * DAY).await;
    assert_eq!(world.warnings(), [""; 0], "there is time");
    world.run_for(2 * DAY).await;
    assert_eq!(world.warnings(), ["registration-renewal"]);
    assert!(world.status().warnings[0].details.contains("nobody is there"));
    let handed = world.hub.lock().handed;
    assert!(handed < 24 * 12, "it asks too often: {handed}");
    world.run_for(10 * DAY).await;
    world.hub.come_back();
    world.run_for(6 * MINUTE).await;
    assert_eq!((world.warnings(), renewals(&world), registrations(&world)), (vec![], 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_key_leaves_the_device_who_it_is_and_the_session_dials_again() {
    let mut world = World::certified(&["ddns", "link"]);
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    let (device, key) = (world.status().device, world.identity.key().id().to_owned());
    let answer = world.say("registration", "rekey").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    assert_ne!(world.identity.key().id(), key);
    assert_eq!(world.status().device, device);
    {
        let hub = world.hub.lock();
        let registry = hub.registry.as_ref().unwrap();
        assert_eq!(registry.own.as_deref(), Some(world.identity.key().spki()));
        assert_eq!((registry.next.as_ref(), registry.strangers), (None, 0));
        assert_eq!(hub.sessions, 1);
    }
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("ddns.update").len(), 2);
    let mut world = world.restart();
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(DAY).await;
    assert_eq!((strangers(&world), world.warnings()), (0, vec![]));
    let receipt = world.say("ddns", "off").await;
    assert_eq!(receipt.exit, Some(Exit::Done), "receipts speak of the device: {}", receipt.text);
    assert_eq!(world.say("registration", "unregister").await.exit, Some(Exit::Done));
    assert_ne!(world.status().device, device, "without a hub it is its key");
}

#[tokio::test(start_paused = true)]
async fn a_rekey_that_finds_no_hub_goes_on_when_there_is_one() {
    let mut world = World::certified(&[]);
    let nobody = World::new().say("registration", "rekey").await;
    assert_eq!(nobody.exit, Some(Exit::Failed), "{}", nobody.text);
    world.hub.go_down();
    let answer = world.say("registration", "rekey").await;
    assert_eq!(answer.exit, Some(Exit::HubUnreachable), "{}", answer.text);
    assert_eq!(world.say("registration", "rekey").await.exit, Some(Exit::Busy));
    world.run_for(DAY).await;
    let mut world = world.restart();
    world.run_for(HOUR).await;
    let key = world.identity.key().id().to_owned();
    world.hub.come_back();
    world.run_for(11 * MINUTE).await;
    assert_ne!(world.identity.key().id(), key);
    assert_eq!(world.hub.lock().registry.as_ref().unwrap().next, None);
    // Refused for good, it keeps the key it has.
    let key = world.identity.key().id().to_owned();
    world.hub.script("registration.rekey", 403, json!({ "error": "not you" }), None);
    let answer = world.say("registration", "rekey").await;
    assert_eq!(answer.exit, Some(Exit::Failed), "{}", answer.text);
    world.run_for(DAY).await;
    assert_eq!(world.identity.key().id(), key);
}
