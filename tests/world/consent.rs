//! Consent, and fields that nobody declared.

use super::driver::{MINUTE, World, member};
use super::tiny::{Curious, SHARE, SHARE_MORE};
use qcloud_agent::daemon::feature::Row;
use qcloud_agent::daemon::household::Household;
use qcloud_agent::daemon::supervisor::Sections;
use qcloud_agent::egress::consent::{Consents, PRIVACY_TEXT_VERSION, version, version_under};
use qcloud_agent::egress::outside::SendError;
use qcloud_agent::wire::ddns::Update;
use qcloud_agent::wire::link::Hello;
use qcloud_agent::wire::{Body, ParcelBody};
use serde_json::json;
use std::sync::{Arc, Mutex};

static ROWS: &[Row] = &[Row::of::<Curious>()];

fn world(consents: Consents) -> World {
    let disk = Household { consents, ..member(&["curious"]) };
    World::of(ROWS, disk, Sections::default())
}

fn consent_to(parcel: &'static qcloud_agent::card::Parcel) -> Consents {
    let mut consents = Consents::default();
    consents.give(parcel, "uid 0", qcloud_agent::clock::Wall::default());
    consents
}

async fn share(world: &mut World) -> String {
    world.say("curious", "share").await.text
}

/// Guard: `gate-consent`.
#[tokio::test(start_paused = true)]
async fn r8_a_consent_taken_back_stops_the_very_next_message() {
    let mut world = world(Consents::default());
    world.gate.set_keep(Box::new(|_| true));
    assert_eq!(share(&mut world).await, "curious.share needs the owner's consent");
    world.gate.set_consents(consent_to(&SHARE));
    assert_eq!(share(&mut world).await, "sent");
    world.gate.set_consents(Consents::default());
    assert_eq!(share(&mut world).await, "curious.share needs the owner's consent");
    assert_eq!(world.hub.bodies("curious.share").len(), 1);
    let line = world.lines().into_iter().find(|line| line.result == "ok").unwrap();
    assert_eq!(line.consent, Some(version(&SHARE)), "the line names the consent it stood on");
}

#[tokio::test(start_paused = true)]
async fn a_parcel_that_needs_consent_is_on_record_before_it_leaves() {
    let mut world = world(consent_to(&SHARE));
    // Without a disk, and with one that is full.
    assert_eq!(share(&mut world).await, "curious.share cannot be recorded first");
    world.gate.set_keep(Box::new(|_| false));
    assert_eq!(share(&mut world).await, "curious.share cannot be recorded first");
    let last = world.lines().pop().unwrap();
    assert_eq!(last.result, "refused: curious.share cannot be recorded first");
    assert_eq!(world.hub.lock().handed, 0);

    let (kept, hub) = (Arc::new(Mutex::new(String::new())), world.hub.clone());
    let keeps = Arc::clone(&kept);
    world.gate.set_keep(Box::new(move |lines| {
        assert_eq!(hub.lock().handed, 0, "recorded first");
        keeps.lock().unwrap().push_str(lines);
        true
    }));
    assert_eq!(share(&mut world).await, "sent");
    assert!(kept.lock().unwrap().contains("about to leave"));
}

/// Guard: `privacy-text`.
#[tokio::test(start_paused = true)]
async fn x14_a_consent_to_an_older_privacy_text_is_asked_for_again() {
    let older = json!({ "curious.share": {
        "version": version_under(PRIVACY_TEXT_VERSION - 1, &SHARE), "actor": "uid 0", "when": 0,
    } });
    let mut world = world(serde_json::from_value(older).unwrap());
    world.gate.set_keep(Box::new(|_| true));
    assert_eq!(share(&mut world).await, "curious.share needs the owner's consent");
    assert!(world.warnings().contains(&"daemon-consent"), "the owner is asked again");
    world.gate.set_consents(consent_to(&SHARE));
    assert_eq!(share(&mut world).await, "sent");
}

#[tokio::test(start_paused = true)]
async fn consent_lapses_when_the_parcel_changes() {
    assert_ne!(version(&SHARE), version(&SHARE_MORE));
    let mut world = world(consent_to(&SHARE_MORE));
    world.gate.set_keep(Box::new(|_| true));
    assert_eq!(share(&mut world).await, "curious.share needs the owner's consent");
}

/// Guard: `gate-fields`.
#[tokio::test(start_paused = true)]
async fn an_undeclared_field_is_refused_at_any_depth() {
    let mut world = world(Consents::default());
    let hidden = world.say("curious", "hide").await.text;
    assert_eq!(hidden, "the parcel curious.plain does not declare the field `serial`");
    let nested = world.say("curious", "nest").await.text;
    assert_eq!(nested, "the parcel curious.plain does not declare the field `word.deep.serial`");
    assert_eq!(world.hub.lock().handed, 0);
    assert!(world.lines().iter().all(|line| line.result.starts_with("refused: ")));
}

#[tokio::test(start_paused = true)]
async fn a_feature_cannot_send_what_another_declares() {
    let world = world(Consents::default());
    let error = world.dial("curious").send(&Update::example()).await.unwrap_err();
    assert_eq!(error.to_string(), "curious does not declare the parcel ddns.update");
    let forged = Body::restored(&SHARE, json!({}));
    assert!(world.gate.pass("nobody", &forged).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_passage_is_taken_back_when_its_feature_is_switched_off() {
    let mut world = World::member(&["link"]);
    world.run_for(MINUTE).await;
    let mut session = world.dial("link").session(&Hello::new(None), MINUTE).await.unwrap();
    assert!(session.events.recv().await.is_some(), "it stands");
    world.gate.close("link");
    let Some(qcloud_agent::egress::outside::SessionEvent::Down(why)) = session.events.recv().await
    else {
        panic!("the session goes on");
    };
    assert_eq!(why, SendError::Revoked);
    assert!(world.dial("link").session(&Hello::new(None), MINUTE).await.is_err());
}
