//! The promises, each with its attack, on the real programs as processes.
//!
//! A test's name begins with the row of the promise it holds the programs to. [`GUARDS`] names the one
//! function or check that keeps each: in a build with `--features sabotage`, with that guard switched off
//! by `QCLOUD_SABOTAGE`, the test must fail.
#![allow(clippy::disallowed_methods, reason = "stands for everybody but the agent")]

#[path = "../hub/browser.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the hub's own tests use the rest")]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[path = "../hub/phone.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the hub's own tests use the rest")]
mod phone;
#[path = "../hub/sink.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the hub's own tests use the rest")]
mod sink;
#[path = "../hub/support.rs"]
#[allow(dead_code, clippy::unwrap_used, missing_docs, reason = "the hub's own tests use the rest")]
mod support;

mod ask;
mod b2;
mod c2;
mod c3;
mod c5;
mod c6;
mod c7;
mod c8;
mod d2;
mod d5;
mod g1;
mod h1;
mod h2;
mod h3;
mod h4;
mod h6;
mod h7;
mod k1;
mod k2;
mod k3;
mod k5;
mod k6;
mod l11;
mod l5;
mod l8;
mod leave;
mod m1;
mod m2;
mod m3;
mod marked;
mod n1;
mod operators;
mod person;
mod provider;
mod q1;
mod q2;
mod q3;
mod q4;
mod q7;
mod q8;
mod r10;
mod r12;
mod r3;
mod r3_offline;
mod r4;
mod r5;
mod r7;
mod s1;
mod s10;
mod s11;
mod s12;
mod s13;
mod s14;
mod s15;
mod s18;
mod s2;
mod s20;
mod s3;
mod s4;
mod s5;
mod s6;
mod s7;
mod s8;
mod s9;
mod t2;
mod tls;
mod u4;
mod x13;
mod y2;
mod y3;

/// Which guard each test stands behind.
const GUARDS: &[(&str, &str)] = &[
    ("l8::l8_with_no_license_installed_there_is_no_timer_and_no_packet", "license-idle"),
    (
        "g1::g1_where_the_hub_stands_is_shown_before_anything_of_the_device_is_sent",
        "operator-first",
    ),
    ("x13::x13_the_hub_has_no_place_for_a_report", "hub-body-most"),
    ("m3::m3_who_may_not_see_a_device_is_told_what_is_told_of_none", "hub-find"),
    ("s2::s2_the_api_is_tls_only", "hub-https"),
    ("s14::s14_only_what_is_published_is_reachable", "link-published"),
    ("r3::r3_unregistering_leaves_nothing_at_the_hub", "hub-erase"),
    ("r3::r3_a_receipt_that_the_hub_did_not_sign_settles_nothing", "receipt-signature"),
    (
        "r3_offline::r3_unregistering_offline_is_settled_within_a_minute_of_the_lines_return",
        "erasure-owed",
    ),
    ("r3_offline::r3_a_success_without_the_hubs_receipt_leaves_the_debt", "receipt-signature"),
    ("c2::c2_with_all_off_no_packet_leaves_whatever_happens_to_the_box", "feature-switch"),
    ("c3::c3_ddns_alone_uses_only_its_own_channels", "feature-switch"),
    ("c3::c3_link_alone_uses_only_its_own_channels", "feature-switch"),
    ("c5::c5_switching_off_erases_the_rows_of_that_feature", "hub-erase"),
    ("c5::c5_a_hub_that_was_down_erases_when_it_is_back", "erasure-owed"),
    ("c6::c6_every_subset_of_features_starts", "feature-switch"),
    ("c6::c6_a_feature_that_cannot_start_takes_no_other_along", "feature-switch"),
    ("c7::c7_a_box_that_tells_nothing_registers_and_works", "default-name"),
    ("c7::c7_a_box_that_lies_works_and_its_lies_are_not_shown", "fact-believable"),
    ("c8::c8_the_catalogue_and_every_preview_work_before_anything_is_on", "preview-example"),
    ("d2::d2_the_name_answers_with_the_address_of_the_line", "hub-observed"),
    ("d2::d2_a_private_address_is_never_published", "hub-publishable"),
    ("d5::d5_switched_off_the_name_is_gone_within_a_second", "hub-unname"),
    ("l11::l11_an_account_that_is_deleted_ends_its_licenses_at_the_next_contact", "license-void"),
    ("l5::l5_switched_off_the_session_ends_even_when_the_hub_hangs", "feature-close"),
    ("m1::m1_every_change_of_address_port_or_url_reaches_the_hub", "link-services"),
    ("m2::m2_a_visitor_needs_only_the_name", "hub-link-name"),
    ("b2::b2_the_relay_cannot_read_what_it_carries", "link-tls"),
    ("s1::s1_no_word_of_a_whole_life_passes_in_clear", "api-tls"),
    ("s10::s10_revoking_a_device_cuts_what_is_live", "hub-revoke-cut"),
    ("s10::s10_a_revoked_devices_credentials_are_refused", "hub-device-auth"),
    ("s15::s15_a_devices_key_opens_nothing_of_another", "hub-own-rows"),
    ("s15::s15_an_auth_key_gets_no_other_name_and_is_shown_to_nobody", "hub-authkey-names"),
    ("q1::q1_nothing_is_opened_before_the_device_is_registered", "registered-first"),
    ("s3::s3_another_authoritys_certificate_is_refused", "pin"),
    ("tls::s3_a_bad_certificate_gets_no_word_of_a_registration", "tls-verify"),
    ("tls::s3_a_bad_certificate_gets_no_session", "tls-verify"),
    ("tls::s3_a_certificate_of_the_future_is_a_clock_problem_and_heals_by_itself", "tls-verify"),
    ("s9::s9_no_password_and_no_private_key_is_where_it_should_not_be", "memory-closed"),
    ("s7::s7_every_route_tells_nobody_anything_without_a_registered_key", "hub-device-auth"),
    ("s20::s20_started_as_root_it_keeps_nothing_of_root", "privilege-drop"),
    ("s20::s20_started_by_anybody_it_stays_that_user_and_can_gain_nothing", "seccomp"),
    ("s20::s20_the_kernel_refuses_what_an_agent_never_needs", "seccomp"),
    ("s20::s20_it_keeps_no_file_open_that_its_starter_left_open", "inherited-descriptors"),
    ("s20::s20_a_command_of_root_leaves_no_file_of_roots_in_the_state", "state-owner"),
    (
        "s20::s20_root_helps_by_a_configuration_of_its_own_only_and_no_longer_than_its_daemon",
        "helper-config",
    ),
    ("u4::u4_an_applicant_shows_nothing_that_ties_its_connections", "tls-resumption"),
    ("h1::h1_what_is_older_than_its_rule_goes_by_itself", "hub-sweep"),
    ("h1::h1_what_says_when_it_goes_is_gone_by_then", "hub-sweep"),
    ("h2::h2_after_an_erasure_the_api_knows_the_device_no_more", "hub-device-auth"),
    ("h3::h3_a_restore_brings_nothing_erased_back", "hub-replay"),
    ("h3::h3_a_restore_brings_nothing_erased_back", "hub-journal"),
    ("h3::h3_a_backup_over_six_months_old_is_refused", "hub-backup-age"),
    ("h3::h3_a_directory_of_backups_keeps_none_over_six_months", "hub-backup-prune"),
    ("h3::h3_without_the_whole_journal_nothing_is_restored_unless_by_name", "hub-journal-mac"),
    ("h3::h3_without_the_whole_journal_nothing_is_restored_unless_by_name", "hub-journal-end"),
    ("h3::h3_a_backup_or_restore_that_is_killed_leaves_no_half", "hub-backup-whole"),
    ("h6::h6_a_deletion_that_is_stuck_is_noticed", "hub-stuck"),
    ("h7::h7_not_a_byte_of_an_erased_device_is_left_in_any_file", "hub-log-emptied"),
    ("n1::n1_no_file_holds_a_visitors_address_even_for_a_moment", "hub-mask"),
    ("r10::r10_who_runs_the_hub_is_shown_before_the_owner_decides_and_ever_after", "hub-operator"),
    (
        "r10::r10_a_hub_that_names_nobody_is_shown_as_that_and_none_writes_on_the_terminal",
        "operator-printable",
    ),
    ("r12::r12_what_the_receipt_does_not_name_is_not_kept", "hub-erase"),
    ("r12::r6_a_request_to_erase_is_carried_out_and_only_the_devices_own", "hub-erase"),
    ("r12::r12_what_stays_in_holds_and_backups_stands_in_the_receipt", "hub-kept-named"),
    ("r4::r4_what_is_held_is_out_of_use_and_gone_at_its_end", "hub-hold"),
    ("r4::r4_what_is_held_is_out_of_use_and_gone_at_its_end", "hub-sweep"),
    ("r4::r4_no_hold_lasts_longer_than_six_months_however_often_it_is_added", "hub-hold-most"),
    ("r5::r5_what_leaves_is_said_before_the_first_packet", "register-announced"),
    ("s5::s5_no_file_of_the_hub_holds_anything_of_anybody", "hub-seal"),
    ("s5::y1_no_line_of_the_log_names_anybody", "hub-log-anonymous"),
    (
        "s6::s6_a_key_on_the_filesystem_of_the_data_is_refused_unless_the_operator_says_so",
        "hub-seal-apart",
    ),
    ("h4::h4_whole_addresses_are_logged_only_where_the_operator_wants_it", "hub-access-off"),
    ("h4::h4_lines_go_by_themselves_before_six_months_are_over", "hub-sweep"),
    ("h4::h5_the_log_of_whole_addresses_is_sealed_line_by_line", "hub-seal"),
    ("s8::s8_the_password_alone_opens_nothing", "second-step"),
    ("s8::s8_half_a_session_opens_no_page_and_changes_nothing", "half-session"),
    ("s8::s8_a_code_of_another_secret_is_refused", "second-code"),
    ("s8::s8_a_code_is_good_once", "second-replay"),
    ("s8::s8_a_recovery_code_is_good_once_and_new_ones_void_the_old", "recovery-once"),
    ("s8::s8_guessing_from_many_networks_is_slow_and_locks_no_owner_out", "account-budget"),
    ("s8::s8_guessing_from_many_networks_is_slow_and_locks_no_owner_out", "known-budget"),
    ("k1::k1_every_cookie_is_for_this_host_over_https_and_no_script", "cookie-hidden"),
    ("k2::k2_trust_is_of_one_account", "trust-account"),
    ("k2::k2_trust_that_was_ended_is_no_trust", "trust-revoked"),
    ("k5::k5_no_page_asks_anything_of_anybody_else", "pages-policy"),
    ("k5::k4_reading_pages_leaves_no_trace", "pages-policy"),
    ("k6::k6_a_browser_that_keeps_no_cookie_is_told_so", "cookie-page"),
    ("q2::q2_a_linked_provider_opens_the_account_and_an_unlinked_one_does_not", "oidc-state"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-signature"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-issuer"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-token-issuer"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-audience"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-expiry"),
    ("q2::q2_a_provider_that_lies_is_refused_by_a_clear_page", "oidc-nonce"),
    ("q2::q2_a_second_factor_is_asked_for_whatever_a_provider_says", "second-step"),
    ("q2::q2_the_last_way_in_is_not_unlinked", "last-way-in"),
    ("s11::s11_everything_that_happens_in_an_account_is_in_its_log", "account-log"),
    ("s12::s12_the_page_of_the_log_is_filtered_and_turned_without_a_script", "log-own"),
    ("s13::s13_every_important_change_is_told_by_a_letter", "people-mail"),
    ("s13::s13_a_new_browser_is_told_once_and_a_known_one_never", "new-browser"),
    ("s13::s13_another_address_is_confirmed_there_and_told_to_the_old_one", "address-told"),
    ("s13::s13_a_letters_link_changes_no_other_account", "address-owner"),
    ("t2::t1_letters_about_safety_cannot_be_switched_off_and_sell_nothing", "people-mail"),
    ("t2::t2_letters_are_plain_text_that_tells_nobody_whether_it_was_read", "mail-plain"),
    ("q3::q3_a_profile_is_what_its_declaration_says_and_nothing_of_it_is_needed", "profile-seal"),
    ("q4::q4_language_and_zone_are_kept_used_and_changed", "profile-used"),
    ("q7::q7_the_record_of_a_sign_in_holds_time_and_network_only", "people-mask"),
    ("q8::q8_the_download_holds_every_row_there_is_opened", "account-export"),
    ("q8::q8_nobody_else_gets_it", "export-password"),
    ("r7::r7_a_wrong_datum_is_corrected_from_the_device", "hub-fix"),
    ("r7::r7_nobody_corrects_what_is_anothers_or_was_not_declared", "hub-own-rows"),
    (
        "k3::k3_the_pages_speak_what_the_browser_asks_for_and_nothing_is_kept_of_it",
        "pages-language",
    ),
    ("leave::h7_a_deleted_account_leaves_no_byte_and_its_devices_are_cut", "account-erase"),
    ("leave::r12_only_the_owner_deletes_an_account", "leave-password"),
    ("y2::y2_the_hub_keeps_visitors_addresses_masked_only", "hub-mask"),
    ("s4::s4_an_operator_may_what_their_role_allows_and_no_more", "operator-role"),
    ("s4::s4_addresses_are_masked_but_for_privacy_and_a_reason", "operator-mask"),
    ("s4::s4_every_look_is_noted_sealed_and_told_to_whom_it_is_about", "operator-noted"),
    ("s4::s4_a_line_that_was_altered_or_taken_out_is_found", "ledger-chain"),
    ("s4::s4_an_unusual_volume_raises_an_alert_and_slows_down", "operator-volume"),
    ("s18::s18_health_says_what_is_wrong_and_recovers", "health"),
    ("s18::s18_metrics_are_well_formed_count_what_happens_and_are_not_public", "metrics-count"),
    ("s18::s18_an_attack_on_an_account_is_raised_told_and_logged_without_a_name", "watch-raise"),
    ("y3::y3_visits_and_sign_ins_are_counted_and_nobody_can_be_read_from_it", "metrics-aggregate"),
];

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
