//! C6: no feature needs another one.

use crate::common::agent::Agent;
use crate::common::net::{Line, Net};
use crate::common::process::until_equal;
use crate::common::scratch::Scratch;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);
/// The features that have a switch.
const FEATURES: [&str; 3] = ["ddns", "link", "license"];

/// Guard: `feature-switch`, what decides whether a feature is opened.
#[test]
fn c6_every_subset_of_features_starts() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    for subset in 0..1_u32 << FEATURES.len() {
        let is_on = |at: usize| subset >> at & 1 == 1;
        let section = |(at, name)| format!("[{name}]\nenabled = {}\n", is_on(at));
        let sections: String = FEATURES.iter().enumerate().map(section).collect();
        let dir = scratch.path(&format!("agent{subset}"));
        let mut agent = Agent::new(&net.device, &dir, None, &sections);
        agent.start();
        for (at, name) in FEATURES.iter().enumerate() {
            let state = agent.feature(name)["state"].clone();
            assert_eq!(state, if is_on(at) { "on" } else { "off" }, "{name} of\n{sections}");
        }
        assert_eq!(agent.feature("registration")["state"], "ready");
        let status = agent.status();
        assert_eq!(status["warnings"], serde_json::json!([]), "of\n{sections}");
        assert!(agent.stop(SOON).success(), "it did not stop in order");
    }
}

/// The attack: one feature cannot start. It alone does not. Guard: `feature-switch`.
///
/// What the parser finds wrong in a file, it refuses with its line before anything starts; this is about a section
/// that reads well and makes no sense, and in a build for it, about a feature that panics.
#[test]
fn c6_a_feature_that_cannot_start_takes_no_other_along() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    let mut ways = vec![(1, "heartbeat_seconds = 61", "heartbeat_seconds")];
    if cfg!(feature = "sabotage") {
        ways.extend([(0, "", ""), (1, "", ""), (2, "", "")]);
    }
    for (way, (broken, more, words)) in ways.into_iter().enumerate() {
        for others in [true, false] {
            let section = |(at, name)| {
                let (on, more) = if at == broken { (true, more) } else { (others, "") };
                format!("[{name}]\nenabled = {on}\n{more}\n")
            };
            let sections: String = FEATURES.iter().enumerate().map(section).collect();
            let dir = scratch.path(&format!("agent-{way}-{others}"));
            let mut agent = Agent::new(&net.device, &dir, None, &sections);
            if more.is_empty() {
                agent.start_through(&["env", &format!("QCLOUD_PANIC={}", FEATURES[broken])]);
            }
            agent.start();
            for (at, name) in FEATURES.iter().enumerate() {
                let other = ["off", "on"][usize::from(others)];
                let wanted = if at == broken { "broken" } else { other };
                let what = format!("{name} of\n{sections}");
                until_equal(&what, SOON, &wanted.into(), || agent.feature(name)["state"].clone());
            }
            let warnings = agent.status()["warnings"].clone();
            let said = warnings[0]["details"].as_str().unwrap_or_default();
            assert!(said.contains(words) && said.contains(FEATURES[broken]), "{warnings}");
            assert!(agent.stop(SOON).success(), "it did not stop in order");
        }
    }
}

/// Beside it: the list above is the list of the programs.
#[test]
fn c6_every_feature_with_a_switch_is_tried() {
    let rows = qcloud_agent::features::ALL;
    let switched = rows.iter().filter(|row| row.card.switch == qcloud_agent::card::Switch::OnOff);
    assert_eq!(switched.map(|row| row.card.name).collect::<Vec<_>>(), FEATURES);
}
