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
mod forged;
mod grant;
mod hub;
mod issuer;
mod license;
mod life;
mod link;
mod offline;
mod panics;
mod power;
mod quiet;
mod registry;
mod renewal;
mod spread;
mod stolen;
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
    (
        "license::l8_without_a_license_there_is_no_timer_and_no_contact_in_sixty_days",
        "license-idle",
    ),
    ("license::l7_a_lease_is_renewed_by_the_moment_it_names", "license-next"),
    ("license::l6_a_box_says_what_it_is_at_activation_only_and_in_hashes", "license-facts"),
    ("license::l10_what_is_installed_is_shown_without_a_hub", "license-list-local"),
    (
        "license::a_hub_that_is_away_costs_nothing_for_thirty_days_and_little_for_fourteen_more",
        "license-grace",
    ),
    ("license::a_clock_set_back_gains_nothing_and_one_of_1970_is_flagged", "license-clock"),
    ("license::a_repaired_box_keeps_its_lease_and_a_copy_of_its_state_does_not", "license-binding"),
    (
        "license::a_revocation_is_seen_at_the_next_contact_and_by_a_box_its_hub_has_forgotten",
        "license-revoked",
    ),
    ("license::a_license_that_begins_later_and_one_that_was_given_back", "license-released"),
    ("forged::a_document_that_was_changed_is_refused", "license-signature"),
    ("forged::a_key_signs_nothing_that_it_may_not_and_nothing_when_it_may_not", "license-key-use"),
    ("forged::an_old_list_brings_no_revoked_license_back", "license-epoch"),
    ("forged::a_mark_that_nobody_sealed_says_nothing_of_the_time", "license-mark-seal"),
    ("forged::a_license_of_another_maker_is_signed_by_that_maker", "license-foreign"),
    (
        "stolen::a_stolen_key_opens_nothing_after_the_next_contact_and_never_again",
        "license-withdrawn",
    ),
    ("stolen::only_the_issuer_itself_withdraws_a_key", "license-withdrawn-root"),
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
