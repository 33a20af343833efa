//! The hub, from its store to the whole program.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "hub/account.rs"]
mod account;
#[path = "hub/api.rs"]
mod api;
#[path = "hub/browser.rs"]
#[allow(dead_code, reason = "the promises use the rest")]
mod browser;
#[path = "hub/dns.rs"]
mod dns;
#[path = "hub/fields.rs"]
mod fields;
#[path = "hub/fleet.rs"]
mod fleet;
#[path = "hub/grant.rs"]
mod grant;
#[path = "hub/issuer.rs"]
mod issuer;
#[path = "hub/keeping.rs"]
mod keeping;
#[path = "hub/keys.rs"]
mod keys;
#[path = "hub/license.rs"]
mod license;
#[path = "hub/licensing.rs"]
mod licensing;
#[path = "hub/link.rs"]
mod link;
#[path = "hub/mail.rs"]
mod mail;
#[path = "hub/matrix.rs"]
mod matrix;
#[path = "hub/operators.rs"]
mod operators;
#[path = "hub/pages.rs"]
mod pages;
#[path = "hub/phone.rs"]
#[allow(dead_code, reason = "the promises use the rest")]
mod phone;
#[path = "hub/privacy.rs"]
mod privacy;
#[path = "hub/revoke.rs"]
mod revoke;
#[path = "hub/rights.rs"]
mod rights;
#[path = "hub/sealing.rs"]
mod sealing;
#[path = "hub/second.rs"]
mod second;
#[path = "hub/security.rs"]
mod security;
#[path = "hub/services.rs"]
mod services;
#[path = "hub/shares.rs"]
mod shares;
#[path = "hub/sharing.rs"]
mod sharing;
#[path = "hub/sink.rs"]
#[allow(dead_code, reason = "the promises use the rest")]
mod sink;
#[path = "hub/store_contract.rs"]
mod store_contract;
#[path = "hub/support.rs"]
mod support;
#[path = "hub/ticket.rs"]
mod ticket;
#[path = "hub/ways_in.rs"]
mod ways_in;
#[path = "hub/withdrawal.rs"]
mod withdrawal;

/// Each test here that goes red when its guard is switched off, for the sabotage run.
const GUARDS: &[(&str, &str)] = &[
    ("license::fifty_at_once_never_exceed_the_seats", "license-seats"),
    ("license::a_seat_is_taken_until_its_device_gives_it_back_or_its_time_is_over", "license-own"),
    (
        "license::a_license_is_claimed_moved_and_given_away_only_while_nobody_sits_on_it",
        "license-move",
    ),
    ("withdrawal::a_stolen_key_is_withdrawn_and_every_device_is_told", "license-withdrawn-told"),
    ("license::p4_transactions_and_what_is_void_go_when_their_time_is_over", "hub-sweep"),
    ("license::l9_a_vendor_learns_counts_and_no_small_ones", "license-small-counts"),
    ("licensing::what_a_device_lies_about_is_refused", "license-bound-key"),
    ("licensing::l11_a_revoked_license_ends_at_the_next_contact", "license-void-told"),
    ("licensing::p3_an_account_that_is_deleted_leaves_its_licenses_void", "license-void"),
    ("licensing::p2_no_number_of_a_card_is_kept", "license-no-card"),
    ("account::q6_who_is_found_decided_it_and_nobody_learns_who_is_there", "people-findable"),
    ("fields::r1_a_parcel_carries_what_it_declares_and_needs_all_of_it", "gate-fields"),
    ("pages::a_wrong_password_is_refused_like_an_unknown_address_and_not_for_ever", "hub-password"),
    ("pages::a_form_without_the_mark_of_this_session_does_nothing", "pages-mark"),
    ("matrix::no_form_is_taken_without_the_mark_of_its_session", "pages-mark"),
    ("pages::a_form_from_another_origin_does_nothing", "pages-origin"),
    ("pages::a_person_signs_in_compares_the_words_and_has_a_device", "pages-words"),
    ("keys::s15_a_key_that_belongs_to_another_device_is_refused", "hub-rekey-proof"),
    ("keys::a_certificate_that_is_over_opens_its_renewal_and_the_way_out", "hub-certificate-end"),
    ("ticket::an_older_ticket_sets_both_copies_aside_until_one_is_released", "hub-ticket"),
    ("fleet::of_twenty_boxes_with_one_key_exactly_one_gets_in", "hub-authkey-once"),
    ("fleet::a_key_gives_no_other_names_than_its_own", "hub-authkey-names"),
    ("grant::who_polls_with_another_key_learns_nothing", "hub-poll-signature"),
    ("second::s8_guessing_codes_is_bounded_however_many_at_once", "second-lock"),
    ("sealing::s5_a_database_of_before_is_sealed_and_not_a_plain_byte_stays", "hub-seal-cleared"),
    ("matrix::s7_no_page_is_served_to_less_than_it_needs", "pages-needs"),
    ("matrix::s7_another_accounts_ids_are_answered_like_ids_of_nothing", "pages-own"),
    ("matrix::s7_no_route_of_the_api_is_served_to_less_than_it_needs", "hub-device-auth"),
    ("matrix::s7_no_word_of_a_session_is_heard_from_less_than_a_device", "hub-device-auth"),
    ("operators::a_locked_account_is_signed_out_and_nobody_signs_in", "account-lock"),
    ("operators::lines_go_when_their_time_is_over_and_the_rest_still_holds", "hub-sweep"),
];

#[test]
#[ignore = "a list for the sabotage run"]
#[allow(clippy::print_stdout, reason = "the list is the answer")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
