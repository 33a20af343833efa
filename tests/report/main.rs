//! `qcloud-agent report`, as a program on file trees: what is in the archive, what is not, and what goes wrong.
#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a test starts programs and looks at the clock")]

mod crash;
mod faults;
mod plant;
mod planted;
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
    ("faults::no_other_name_of_a_secret_file_opens_it", "report-secret-files"),
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
