//! From an invitation to a device that was let in and put out again, as a person does it.

use crate::common::agent::Agent;
use crate::common::process::until;
use crate::person::Person;
use crate::stage::{self, EMAIL, ORIGIN, PASSWORD, Phone};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);

/// Switches the second factor on, and gives what makes its codes and the code that was used.
pub fn second_factor_on(person: &mut Person) -> Phone {
    person.follow("link", "Security");
    person.follow("link", "Switch it on");
    let phone = Phone::scan(person);
    person.fill("textbox", "Your password", PASSWORD);
    person.fill("textbox", "The code your app shows now", &phone.code(0));
    person.follow("button", "Switch it on");
    person.sees("Your recovery codes");
    phone
}

fn out_and_in_again(person: &mut Person, phone: &Phone) {
    person.follow("button", "Sign out");
    person.go(&format!("{ORIGIN}/log"));
    assert_eq!(person.path(), "/sign-in");
    stage::sign_in(person, PASSWORD);
    assert_eq!(person.path(), "/sign-in/second");
    person.fill("textbox", "Code", &phone.code(1));
    person.follow("button", "Sign in");
    assert_eq!(person.path(), "/log", "not where it was to go");
    person.sees("Second factor switched on");
}

/// Waits until the device knows that its hub does not know it.
fn is_refused(agent: &Agent) {
    until("the device's word", SOON, || {
        let status = agent.status();
        let warnings = status["warnings"].as_array()?.clone();
        warnings.iter().any(|warning| warning["code"] == "registration-unknown").then_some(())
    });
}

fn whole_life(with_scripts: bool, width: u32) {
    let world = stage::world();
    let mut agent = world.agent("[link]\nenabled = true");
    agent.start();
    let mut person = stage::person(&world);
    let person = &mut person;
    if !with_scripts {
        person.without_scripts();
    }
    person.sit_before(width, 800);
    stage::accept(person, &stage::invitation(&world));
    person.sees(EMAIL);
    person.sees("No device is yours yet");
    let phone = second_factor_on(person);
    out_and_in_again(person, &phone);

    let asking = agent.ask(&world.hub, "attic");
    person.follow("link", "Add a device");
    person.fill("textbox", "Code", &asking.code.to_lowercase());
    person.follow("button", "Go on");
    person.sees("Is this your device?");
    let texts = person.texts();
    let words: Vec<_> = asking.words.split_whitespace().collect();
    assert_eq!(words.len(), 4, "{words:?}");
    assert!(texts.windows(4).any(|four| four == words), "not {words:?} but {texts:?}");
    person.follow("button", "Let it in");
    assert!(world.hub.devices().is_empty(), "it came in though nobody compared");
    person.press("checkbox", "The device in front of me shows exactly these words");
    person.follow("button", "Let it in");
    assert_eq!(person.path(), "/");
    person.sees("The device was let in");
    asking.ended();
    person.follow("link", "Devices");
    person.sees("attic");
    person.reload_until("connected");

    person.follow("link", "attic");
    person.follow("link", "Revoke this device");
    person.follow("button", "Revoke it");
    person.sees("The device was revoked");
    assert!(world.hub.devices().is_empty(), "the hub has it still");
    person.follow("link", "Devices");
    person.sees_no("attic");
    is_refused(&agent);
    person.watch.assert_quiet(ORIGIN);
}

/// Guard: `pages-words`, the question whether the words were compared.
#[test]
fn a_person_lets_a_device_in_and_it_is_put_out_again() {
    whole_life(true, 1280);
}

#[test]
fn without_scripts_and_on_a_phone_the_same_works() {
    whole_life(false, 360);
}
