//! The pure core in a world of its own: a clock that jumps, a hub that answers as it is told to, and a disk
//! that is a variable. Whole lives of a device run in a moment, without a socket and without a sleep.
#![allow(clippy::unwrap_used)]

mod clones;
mod consent;
mod cuts;
mod ddns;
mod driver;
mod erasure;
mod fleet;
mod grant;
mod hub;
mod life;
mod link;
mod offline;
mod panics;
mod power;
mod quiet;
mod registry;
mod renewal;
mod spread;
mod tiny;

/// Each test here that goes red when its guard is switched off, for the sabotage run.
const GUARDS: &[(&str, &str)] = &[
    ("quiet::c2_with_everything_off_nothing_leaves_in_thirty_days", "gate-feature-off"),
    ("consent::an_undeclared_field_is_refused_at_any_depth", "gate-fields"),
    ("consent::r8_a_consent_taken_back_stops_the_very_next_message", "gate-consent"),
    ("consent::x14_a_consent_to_an_older_privacy_text_is_asked_for_again", "privacy-text"),
    ("cuts::the_power_may_go_at_any_step_and_one_key_is_left", "rekey-saved-first"),
    ("clones::a_key_on_another_board_is_noticed_and_a_repair_is_not", "board-facts"),
    ("fleet::a_key_file_that_others_can_read_is_not_used", "private-file"),
    ("fleet::no_ledger_and_no_body_kept_shows_the_key", "gate-secret"),
    ("erasure::only_an_honest_receipt_settles_an_erasure", "receipt-signature"),
];

#[test]
#[ignore = "a list for the sabotage run"]
#[allow(clippy::print_stdout, reason = "the list is the answer")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
