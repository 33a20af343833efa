//! The hub, from its store to the whole program.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "hub/api.rs"]
mod api;
#[path = "hub/browser.rs"]
mod browser;
#[path = "hub/dns.rs"]
mod dns;
#[path = "hub/fields.rs"]
mod fields;
#[path = "hub/link.rs"]
mod link;
#[path = "hub/pages.rs"]
mod pages;
#[path = "hub/privacy.rs"]
mod privacy;
#[path = "hub/rights.rs"]
mod rights;
#[path = "hub/second.rs"]
mod second;
#[path = "hub/security.rs"]
mod security;
#[path = "hub/store_contract.rs"]
mod store_contract;
#[path = "hub/support.rs"]
mod support;

/// Each test here that goes red when its guard is switched off, for the sabotage run.
const GUARDS: &[(&str, &str)] = &[
    ("fields::r1_a_parcel_carries_what_it_declares_and_needs_all_of_it", "gate-fields"),
    ("pages::a_wrong_password_is_refused_like_an_unknown_address_and_not_for_ever", "hub-password"),
    ("pages::a_form_without_the_mark_of_this_session_does_nothing", "pages-mark"),
    ("pages::a_form_from_another_origin_does_nothing", "pages-origin"),
    ("pages::a_person_signs_in_compares_the_words_and_has_a_device", "pages-words"),
    ("security::s8_the_password_alone_opens_nothing", "second-step"),
    ("security::s8_half_a_session_opens_no_page_and_changes_nothing", "half-session"),
    ("security::s8_a_code_of_another_secret_is_refused", "second-code"),
    ("security::s8_a_code_is_good_once", "second-replay"),
    ("second::s8_guessing_codes_is_bounded_however_many_at_once", "second-lock"),
    ("security::s8_a_recovery_code_is_good_once_and_new_ones_void_the_old", "recovery-once"),
    ("security::k2_trust_is_of_one_account", "trust-account"),
    ("security::k2_trust_that_was_ended_is_no_trust", "trust-revoked"),
];

#[test]
#[ignore = "a list for the sabotage run"]
#[allow(clippy::print_stdout, reason = "the list is the answer")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
