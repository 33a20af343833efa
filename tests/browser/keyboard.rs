//! The pages by keyboard alone: all is reached, in the order it stands, and one sees where one is.

use crate::person::{Person, Thing};
use crate::stage::{self, EMAIL, ORIGIN, PASSWORD};

/// Whether what has the focus is in the window and has a ring that is seen.
const IS_SEEN: &str = "(() => {
    const it = document.activeElement, box = it.getBoundingClientRect(), style = getComputedStyle(it);
    return it.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
        && box.width > 0 && box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
})()";

/// What is wrong with the page for a keyboard.
pub fn faults(person: &mut Person) -> Vec<String> {
    let (mut faults, mut reached) = (Vec::new(), Vec::<Thing>::new());
    let wanted = person.focusable();
    // Behind the last one the focus may be with the browser's own controls for a while.
    for _ in 0..2 * wanted.len() + 10 {
        person.key("Tab", &[]);
        let Some(thing) = person.focused() else { continue };
        if reached.first() == Some(&thing) {
            break;
        }
        if person.beside().compute(IS_SEEN) != true {
            faults.push(format!("nobody sees that {} `{}` has the focus", thing.role, thing.name));
        }
        reached.push(thing);
    }
    // It begins behind what had the focus when the page came.
    if let Some(first) = wanted.first().and_then(|first| reached.iter().position(|t| t == first)) {
        reached.rotate_left(first);
    }
    if wanted.is_empty() || reached != wanted {
        faults.push(format!("a keyboard reaches {reached:?}, not {wanted:?}"));
    }
    faults
}

/// Goes on with Tab until this has the focus.
fn tab_to(person: &mut Person, role: &str, name: &str) {
    let wanted = person.find(role, name);
    for _ in 0..30 {
        if person.focused().as_ref() == Some(&wanted) {
            return;
        }
        person.key("Tab", &[]);
    }
    panic!("{role} `{name}` is not reached at {}", person.url());
}

fn type_into(person: &mut Person, name: &str, text: &str) {
    tab_to(person, "textbox", name);
    person.insert(text);
}

fn choose(person: &mut Person, role: &str, name: &str) {
    tab_to(person, role, name);
    person.enter();
}

fn assert_reachable(person: &mut Person) {
    let faults = faults(person);
    assert!(faults.is_empty(), "{}: {}", person.url(), faults.join("\n"));
}

#[test]
fn somebody_without_a_mouse_signs_in_and_lets_a_device_in() {
    let world = stage::world();
    let mut agent = world.agent("");
    agent.start();
    let mut person = stage::person(&world);
    let person = &mut person;
    person.go(&stage::invitation(&world));
    assert_reachable(person);
    type_into(person, "New password", PASSWORD);
    type_into(person, "The same again", PASSWORD);
    choose(person, "button", "Set it and sign in");
    choose(person, "button", "Sign out");
    person.go(&format!("{ORIGIN}/sign-in"));
    assert_reachable(person);
    type_into(person, "Mail address", EMAIL);
    type_into(person, "Password", PASSWORD);
    person.enter();
    assert_eq!(person.path(), "/", "{}", person.text());

    let asking = agent.ask(&world.hub, "attic");
    choose(person, "link", "Add a device");
    assert_reachable(person);
    type_into(person, "Code", &asking.code);
    person.enter();
    assert_reachable(person);
    tab_to(person, "checkbox", "The device in front of me shows exactly these words");
    person.key(" ", &[]);
    choose(person, "button", "Let it in");
    person.sees("The device was let in");
    asking.ended();
}
