//! The hub, from its store to the whole program.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "hub/api.rs"]
mod api;
#[path = "hub/dns.rs"]
mod dns;
#[path = "hub/fields.rs"]
mod fields;
#[path = "hub/fleet.rs"]
mod fleet;
#[path = "hub/grant.rs"]
mod grant;
#[path = "hub/link.rs"]
mod link;
#[path = "hub/privacy.rs"]
mod privacy;
#[path = "hub/revoke.rs"]
mod revoke;
#[path = "hub/rights.rs"]
mod rights;
#[path = "hub/store_contract.rs"]
mod store_contract;
#[path = "hub/support.rs"]
mod support;

/// Each test here that goes red when its guard is switched off, for the sabotage run.
const GUARDS: &[(&str, &str)] = &[
    ("fields::r1_a_parcel_carries_what_it_declares_and_needs_all_of_it", "gate-fields"),
    ("fleet::of_twenty_boxes_with_one_key_exactly_one_gets_in", "hub-authkey-once"),
    ("fleet::a_key_gives_no_other_names_than_its_own", "hub-authkey-names"),
    ("grant::who_polls_with_another_key_learns_nothing", "hub-poll-signature"),
];

#[test]
#[ignore = "a list for the sabotage run"]
#[allow(clippy::print_stdout, reason = "the list is the answer")]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
