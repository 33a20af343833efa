//! Bad input everywhere: broken files, lying hubs and name servers, full disks, sudden ends. Each ends in a clear
//! error with a hint, and nothing that was there is lost.
#![allow(clippy::disallowed_methods, reason = "stands for everybody but the agent")]

#[path = "../common/mod.rs"]
mod common;

mod config;
mod doctor;
mod escapes;
mod hub;
mod kills;
mod limits;
mod resolver;
mod session;
mod space;
mod state;

use common::process::Ran;

/// Asserts that a command failed as people are told: one line of what failed, then a hint.
fn assert_told(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    let (line, rest) = ran.stderr.split_once('\n').unwrap_or_default();
    assert!(line.starts_with("qcloud-agent: ") && line.contains(words), "{words}: {ran:?}");
    assert!(rest.starts_with("hint: ") && rest.lines().count() == 1, "{ran:?}");
    assert!(!ran.stderr.contains("panicked") && ran.stdout.is_empty(), "{ran:?}");
}
