//! The ledger of a real agent: what a crash, a forger and an owner who wants none of it on disk find.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "common/mod.rs"]
mod common;

use common::World;
use common::agent::Agent;
use common::net::Line;
use common::process::until;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A member with a line or two in its ledger, DDNS on.
fn with_lines(world: &World, sections: &str) -> Agent {
    let agent = world.member("box", sections);
    agent.ok(&["ddns", "on"]);
    until("an update", SOON, || {
        let lines = agent.ok(&["egress", "ledger"]);
        let sent = lines.as_array().unwrap().iter().any(|line| line["parcel"] == "ddns.update");
        sent.then_some(())
    });
    agent
}

fn file(agent: &Agent) -> PathBuf {
    agent.state_dir().join("ledger.jsonl")
}

fn verdict(agent: &Agent) -> (Option<i32>, String) {
    let ran = agent.command(&["egress", "verify"]);
    (ran.code, ran.stdout + &ran.stderr)
}

#[test]
fn a_crash_is_on_record_as_a_gap_and_the_chain_goes_on() {
    let world = World::new(Line::Direct);
    let mut agent = with_lines(&world, "");
    let before = agent.ledger_lines();
    agent.kill();
    agent.start();
    let lines = agent.ledger_since(before);
    assert_eq!(lines[0]["parcel"], "egress.gap", "{lines:?}");
    assert_eq!(verdict(&agent).0, Some(0));
    agent.stop(SOON);
    let stopped = agent.ledger_lines();
    agent.start();
    let gaps = agent.ledger_since(stopped);
    assert!(gaps.iter().all(|line| line["parcel"] != "egress.gap"), "{gaps:?}");
}

#[test]
fn what_was_altered_cut_off_or_written_anew_is_named() {
    let world = World::new(Line::Direct);
    let mut agent = with_lines(&world, "");
    agent.stop(SOON);
    let sound = std::fs::read_to_string(file(&agent)).unwrap();
    assert_eq!(verdict(&agent).0, Some(0));

    let altered = sound.replacen("\"feature\":\"registration\"", "\"feature\":\"forgotten\"", 1);
    assert_ne!(altered, sound);
    std::fs::write(file(&agent), altered).unwrap();
    let (code, said) = verdict(&agent);
    assert!(code == Some(1) && said.contains("(number 2)"), "the line behind it shows it: {said}");

    let mut cut: Vec<&str> = sound.lines().collect();
    let last = cut.len();
    cut.pop();
    std::fs::write(file(&agent), cut.join("\n") + "\n").unwrap();
    let (code, said) = verdict(&agent);
    assert!(
        code == Some(1) && said.contains(&format!("line {last}, which the device signed for")),
        "{said}"
    );

    // A forger without the key can make a chain, but not one that ends as the device signed.
    std::fs::write(file(&agent), sound.lines().next().unwrap().to_string() + "\n").unwrap();
    assert_eq!(verdict(&agent).0, Some(1));
    std::fs::write(file(&agent), sound).unwrap();
    assert_eq!(verdict(&agent).0, Some(0));
}

#[test]
fn a_line_is_shown_with_its_body_while_that_is_in_memory() {
    let world = World::new(Line::Direct);
    let mut agent = with_lines(&world, "");
    let lines = agent.ok(&["egress", "ledger"]);
    let update =
        lines.as_array().unwrap().iter().find(|line| line["parcel"] == "ddns.update").unwrap();
    let seq = update["seq"].to_string();
    let shown = agent.ok(&["egress", "show", &seq]);
    assert_eq!(&shown["line"], update);
    let body: serde_json::Value = serde_json::from_str(shown["body"].as_str().unwrap()).unwrap();
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(serde_json::json!(fields), update["fields"]);
    agent.stop(SOON);
    assert!(agent.ok(&["egress", "show", &seq])["body"].is_null(), "bodies are never on disk");
    assert_eq!(agent.command(&["egress", "show", "999999"]).code, Some(1));
}

#[test]
fn a_volatile_ledger_is_never_on_disk() {
    let world = World::new(Line::Direct);
    let mut agent = with_lines(&world, "volatile_ledger = true");
    assert!(agent.ledger_lines() > 0);
    assert_eq!(verdict(&agent).0, Some(0));
    agent.stop(SOON);
    assert!(!file(&agent).exists());
    assert_eq!(verdict(&agent).0, Some(0), "what is not kept is not missed");
}
