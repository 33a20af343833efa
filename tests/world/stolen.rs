//! Lives with a license whose hub lost its key to somebody.

use super::driver::{DAY, MINUTE};
use super::license::{CARDS, SERIAL, activated, ask, exit, restarted, tree};
use qcloud_agent::card::Exit;
use serde_json::{Value, json};

fn together(documents: &[String]) -> Value {
    json!({ "documents": documents.join("\n") })
}

/// Guard: `license-withdrawn`.
///
/// The attack: whoever has the key of a hub makes leases with it, before and after its issuer withdrew it, counts his
/// lists as high as he can, and shows the certificate once more.
#[tokio::test(start_paused = true)]
async fn a_stolen_key_opens_nothing_after_the_next_contact_and_never_again() {
    let mut world = activated(&tree("stolen", SERIAL, &CARDS), |_| {}).await;
    let stolen = {
        let hub = world.hub.lock();
        let issuer = hub.issuer.as_ref().unwrap();
        issuer.stolen(issuer.binding())
    };
    let answer = ask(&mut world, "install", together(&stolen)).await;
    assert_eq!(answer.exit, Some(Exit::Done), "nobody knows of the theft: {}", answer.text);
    world.hub.lock().issuer.as_mut().unwrap().replace_key();
    world.run_for(8 * DAY).await;
    assert_eq!(exit(&mut world).await, Exit::Done, "the hub's next key has renewed it");
    for restart in [false, true] {
        if restart {
            world = restarted(world).await;
        }
        let answer = ask(&mut world, "install", together(&stolen)).await;
        assert_eq!(answer.exit, Some(Exit::UnknownKey), "{}", answer.text);
        assert!(answer.text.contains("withdrawn"), "{}", answer.text);
        assert_eq!(exit(&mut world).await, Exit::Done, "what holds still holds");
        world.run_for(30 * DAY).await;
    }
    assert_eq!(exit(&mut world).await, Exit::Done);
}

/// Guard: `license-withdrawn-root`.
///
/// The attack: the stolen key withdraws the one that comes after it.
#[tokio::test(start_paused = true)]
async fn only_the_issuer_itself_withdraws_a_key() {
    let mut world = activated(&tree("forged", SERIAL, &CARDS), |_| {}).await;
    let forged = world.hub.lock().issuer.as_ref().unwrap().forged_withdrawal();
    let answer = ask(&mut world, "install", json!({ "documents": forged })).await;
    assert_eq!(answer.exit, Some(Exit::UnknownKey), "{}", answer.text);
    world.hub.lock().issuer.as_mut().unwrap().replace_key();
    world.run_for(60 * DAY).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
}

#[tokio::test(start_paused = true)]
async fn a_box_that_learns_of_it_by_file_asks_at_once_for_a_lease_that_holds() {
    let mut world = activated(&tree("told", SERIAL, &CARDS), |_| {}).await;
    world.hub.go_down();
    let word = world.hub.lock().issuer.as_ref().unwrap().withdrawal();
    let answer = ask(&mut world, "install", json!({ "documents": word })).await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    assert_eq!(exit(&mut world).await, Exit::UnknownKey);
    assert!(world.warnings().contains(&"license-invalid"));
    world.hub.lock().issuer.as_mut().unwrap().replace_key();
    world.hub.come_back();
    world.run_for(DAY).await;
    assert_eq!(exit(&mut world).await, Exit::Done);
    assert!(!world.warnings().contains(&"license-invalid"), "{:?}", world.warnings());
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies("license.renew").last().unwrap()["seq"], 1);
}
