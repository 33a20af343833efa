//! A thousand agents that start together, or lose their hub together, do not come back together.

use core::time::Duration;
use qcloud_agent::clock::{Boot, Now, Wall};
use qcloud_agent::daemon::feature::{AnyFeature, Event, HubAddress, Input, Opening};
use qcloud_agent::egress::backoff::Backoff;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::label::Label;
use qcloud_agent::wire::registration::Membership;
use serde_json::{Value, json};
use std::sync::Arc;

const AGENTS: u64 = 1000;
/// No tenth of a second may see more than this share of them: even spread over a second it is a tenth.
const CROWD: usize = 200;

fn at(dice: u64) -> Now {
    // SplitMix64's finaliser: every agent's own die.
    let mut mixed = dice.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Now { boot: Boot(Duration::from_secs(60)), wall: Wall::default(), dice: mixed ^ (mixed >> 31) }
}

fn crowd(mut moments: Vec<Duration>) -> usize {
    moments.sort();
    let within = |from: &Duration| {
        moments.iter().filter(|at| *at >= from && **at - *from < Duration::from_millis(100)).count()
    };
    moments.iter().map(within).max().unwrap_or_default()
}

fn link_of_a_member(now: Now) -> Box<dyn AnyFeature> {
    let row = ALL.iter().find(|row| row.card.name == "link").unwrap();
    let mut link = (row.open)(&json!({}), &Value::Null, 1, now).unwrap();
    let membership = Membership {
        name: Label::parse("box").unwrap(),
        zone: "example.test".into(),
        certificate: String::new(),
        receipt_key: String::new(),
        certificate_until: Wall::from_unix_seconds(4_000_000_000),
        device: String::new(),
        operator: None,
    };
    let hub = HubAddress { host: "hub.example.test".into(), port: 443, pin: None };
    let _ = link.handle(Input::Opened(Opening::Started), now);
    let _ = link.handle(Input::Event(&Event::Registered(Arc::new(membership), hub)), now);
    link
}

#[test]
fn a_thousand_agents_started_at_once_do_not_dial_at_once() {
    let moments: Vec<Duration> = (0..AGENTS)
        .map(|agent| {
            let now = at(agent);
            // Whoever drew the very beginning has dialled already.
            link_of_a_member(now).next_wake().map_or(Duration::ZERO, |(wake, _)| wake - now.boot)
        })
        .collect();
    assert!(moments.iter().all(|wait| *wait <= Duration::from_secs(1)));
    assert!(crowd(moments) <= CROWD);
}

#[test]
fn a_thousand_agents_whose_hub_was_away_do_not_come_back_at_once() {
    // Half a minute away: the quick waits of the link have reached their longest.
    let moments: Vec<Duration> = (0..AGENTS)
        .map(|agent| {
            let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_millis(1500));
            let mut spent = Duration::ZERO;
            let mut tries = 0;
            while spent < Duration::from_secs(30) {
                tries += 1;
                spent += backoff.fail(at(agent * 1000 + tries), None);
            }
            spent
        })
        .collect();
    assert!(crowd(moments) <= CROWD);
}
