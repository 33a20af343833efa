//! `qcloud-agent report`, as a program on file trees: what is in the archive, what is not, and what goes wrong.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and looks at the clock")]

mod consent;
mod crash;
mod equal;
mod faults;
mod forms;
mod hardship;
mod holds;
mod layers;
mod narrow;
mod plant;
mod planted;
mod recipient;
mod refused;
mod rotated;
mod sick;
mod silent;
mod trees;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A new empty directory of this test process.
fn scratch(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("qcloud-report-test-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The agent with these arguments.
fn agent(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.args(args);
    command
}

/// Makes a report of a tree.
fn report(root: &Path, out: &Path) -> Output {
    let (root, out) = (root.to_str().unwrap(), out.to_str().unwrap());
    agent(&["report", "--root", root, "--out", out, "--json"]).output().unwrap()
}

/// What it said, and the archive it made.
fn made(output: &Output) -> (Value, PathBuf) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(text.trim())
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let path = said["path"].as_str().unwrap_or_else(|| panic!("no archive: {said}")).into();
    (said, path)
}

/// The entries of an archive: names and bytes.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut all = Vec::new();
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        all.push((name, bytes));
    }
    all
}

/// Each check that keeps a promise, and the test that fails without it.
const GUARDS: &[(&str, &str)] = &[
    (
        "planted::x4_what_settings_keep_secret_is_found_where_nothing_gives_it_away",
        "report-dictionary",
    ),
    ("layers::x4_a_word_behind_a_secrets_name_is_hidden_however_plain_it_is", "report-context"),
    ("layers::x4_a_providers_token_is_hidden_by_its_prefix_alone", "report-shapes"),
    ("layers::x4_what_is_too_random_for_a_word_is_hidden_wherever_it_stands", "report-entropy"),
    ("layers::x4_of_a_known_format_an_unknown_key_is_shown_without_its_value", "report-typed"),
    (
        "layers::x4_the_second_look_removes_what_holds_a_secret_and_leaves_the_rest",
        "report-second-look",
    ),
    ("faults::nothing_that_lies_in_a_log_directory_leads_out_of_it", "report-links"),
    (
        "crash::x5_a_crash_report_has_all_of_a_server_report_and_what_crashed_and_no_secret",
        "report-crash-part",
    ),
    (
        "crash::x6_a_crash_report_needs_a_typed_word_and_says_which_of_its_parts_tell_of_people",
        "report-acknowledged",
    ),
    (
        "crash::an_agent_that_a_signal_ends_leaves_a_minidump_without_arguments_environment_or_any_text",
        "dump-defaced",
    ),
    (
        "crash::of_another_programs_image_stacks_are_kept_that_can_be_walked_and_not_read",
        "core-defaced",
    ),
    ("crash::the_kernels_line_for_images_is_taken_and_given_back", "cores-taken"),
    ("crash::of_packets_the_heads_are_kept_and_nothing_that_was_said", "pcap-heads"),
    ("holds::x1_the_system_who_signed_in_and_what_happened_are_in_it", "report-section"),
    ("holds::x2_the_lists_of_parameters_and_the_network_are_in_it", "report-recipe"),
    (
        "holds::x3_what_the_display_shows_is_in_it_or_why_it_is_not_and_how_the_box_is",
        "report-picture",
    ),
    ("faults::no_other_name_of_a_secret_file_opens_it", "report-secret-files"),
    (
        "silent::x7_no_packet_leaves_while_a_report_is_made_not_even_by_a_program_of_the_box",
        "report-network",
    ),
    ("silent::b1_no_report_listens_that_was_not_told_to", "report-network"),
    (
        "consent::x8_without_a_yes_nothing_is_made_nothing_stays_and_nobody_asks_again",
        "report-acknowledged",
    ),
    ("forms::x9_every_entry_is_listed_and_shown_and_an_altered_one_is_told", "report-view"),
    (
        "forms::x10_it_is_saved_where_it_is_asked_for_for_its_owner_alone_and_over_nothing",
        "report-private",
    ),
    ("recipient::x11_only_the_recipients_open_it_with_the_program_age", "report-recipient"),
    ("recipient::x11_nothing_readable_is_ever_written_before_it_is_encrypted", "report-sealed"),
    ("consent::g3_a_report_is_made_by_a_command_of_somebody_and_says_so", "report-consent-note"),
    ("consent::x12_the_manifest_says_who_agreed_to_what_and_for_whom", "report-consent-note"),
];

/// Tells the runner of the sabotage which test shall fail of which guard.
#[test]
#[ignore = "a list for the sabotage run"]
#[allow(clippy::print_stdout)]
fn print_guards() {
    for (test, guard) in GUARDS {
        println!("GUARD {test} {guard}");
    }
}
