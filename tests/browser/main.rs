//! The hub's pages in a real browser, Chromium, on the real programs as processes: what a person does there works,
//! with scripts and without, for eyes, keyboards and screen readers, and nothing is asked of anybody else.
//!
//! Things are found as assistive technology has them, by role and name. `cargo test --test browser -- --ignored
//! pictures` puts every page into `target/screenshots`.
#![allow(clippy::disallowed_methods, reason = "stands for everybody but the agent")]

#[path = "../common/mod.rs"]
mod common;

mod axe;
mod cookies;
mod faults;
mod keyboard;
mod life;
mod person;
mod pipe;
mod report;
mod stage;
mod tour;
mod watch;

/// Which guard each test stands behind.
const GUARDS: &[(&str, &str)] =
    &[("life::a_person_lets_a_device_in_and_it_is_put_out_again", "pages-words")];

/// Tells the runner of the sabotage which test shall fail of which guard.
#[test]
#[ignore = "prints the table for the runner of the sabotage"]
#[allow(clippy::print_stdout, reason = "its output is read by another program")]
fn print_guards() {
    // The test runner leaves its own line open.
    println!();
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
