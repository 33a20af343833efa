//! C6: no feature needs another one.

use crate::common::agent::Agent;
use crate::common::net::{Line, Net};
use crate::common::scratch::Scratch;
use std::time::Duration;

/// The features that have a switch.
const FEATURES: [&str; 2] = ["ddns", "link"];

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
        assert!(agent.stop(Duration::from_secs(5)).success(), "it did not stop in order");
    }
}

/// The attack: the section of one feature cannot be used. It alone does not start. Guard: `feature-switch`.
#[test]
fn c6_a_feature_that_cannot_start_takes_no_other_along() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    for (broken, others) in [(0, true), (0, false), (1, true), (1, false)] {
        let section = |(at, name)| {
            let (on, more) = if at == broken { (true, "no_such_key = 1") } else { (others, "") };
            format!("[{name}]\nenabled = {on}\n{more}\n")
        };
        let sections: String = FEATURES.iter().enumerate().map(section).collect();
        let dir = scratch.path(&format!("agent-{broken}-{others}"));
        let mut agent = Agent::new(&net.device, &dir, None, &sections);
        agent.start();
        for (at, name) in FEATURES.iter().enumerate() {
            let wanted = if at == broken { "broken" } else { ["off", "on"][usize::from(others)] };
            assert_eq!(agent.feature(name)["state"], wanted, "{name} of\n{sections}");
        }
        let warnings = agent.status()["warnings"].clone();
        let said = warnings[0]["details"].as_str().unwrap_or_default();
        assert!(said.contains("no_such_key") && said.contains(FEATURES[broken]), "{warnings}");
        assert!(agent.stop(Duration::from_secs(5)).success(), "it did not stop in order");
    }
}

/// Beside it: the list above is the list of the programs.
#[test]
fn c6_every_feature_with_a_switch_is_tried() {
    let rows = qcloud_agent::features::ALL;
    let switched = rows.iter().filter(|row| row.card.switch == qcloud_agent::card::Switch::OnOff);
    assert_eq!(switched.map(|row| row.card.name).collect::<Vec<_>>(), FEATURES);
}
