//! R7: what is wrong is corrected, from the device it is about.

use crate::ask::{Papers, ask};
use crate::common::World;
use crate::common::agent::{Agent, ddns_host};
use crate::common::net::{DEVICE, Line};
use crate::common::process::until_equal;
use crate::common::visitor::{Answer, dig};
use crate::common::watch::files_with;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const WRONG: &str = "wrong-name-b2c7";
const SOON: Duration = Duration::from_secs(10);

/// Guard: `hub-fix`, the correction of the row. Afterwards the wrong one is nowhere.
#[test]
fn r7_a_wrong_datum_is_corrected_from_the_device() {
    let world = World::new(Line::Direct);
    let agent = world.member(WRONG, "");
    agent.ok(&["ddns", "on"]);
    let answers = |name: &str| dig(&world.net.visitor, &ddns_host(name), "A", "+notcp");
    until_equal("the name", SOON, &Answer::address(DEVICE), || answers(WRONG));
    let fixed = agent.ok(&["privacy", "fix", "name", "right-name"]);
    assert_eq!(fixed["ddns_host"], ddns_host("right-name").as_str(), "{fixed}");
    until_equal("the right name", SOON, &Answer::address(DEVICE), || answers("right-name"));
    assert_eq!(answers(WRONG), Answer::no_such_name());
    let said = agent.ok(&["privacy", "export"]).to_string();
    assert!(said.contains("right-name") && !said.contains(WRONG), "{said}");
    let left = files_with(world.hub.dir(), WRONG.as_bytes());
    assert_eq!(left, Vec::<PathBuf>::new(), "the wrong name is kept");
}

/// Guard: `hub-own-rows`. The attacks: another device's datum, a field that is not declared fixable, a name that is
/// another's, and somebody without a key.
#[test]
fn r7_nobody_corrects_what_is_anothers_or_was_not_declared() {
    let world = World::new(Line::Direct);
    let mut first = world.member("first", "");
    let papers = Papers::of(&first);
    first.kill();
    let mut second = Agent::new(&world.net.device, &world.scratch.path("second"), None, "");
    second.start();
    second.register(&world.hub, "second");
    let names = || {
        let devices = world.hub.devices();
        let mut names: Vec<String> = devices
            .iter()
            .map(|device| device["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    let fix = |papers: Option<&Papers>, body: serde_json::Value| {
        ask(&world.net.visitor, &world.hub, papers, "/v1/privacy/fix", &body)
    };
    let id = second.id();
    for more in ["device", "id", "account", "serial", "made_at", "spki"] {
        let (status, answer) = fix(Some(&papers), json!({ "name": "taken-over", more: id }));
        assert_eq!(status, 400, "{more}: {answer}");
    }
    for (name, expected) in [("second", 409), ("ns1", 409), ("no name", 400)] {
        let (status, answer) = fix(Some(&papers), json!({ "name": name }));
        assert_eq!(status, expected, "{name}: {answer}");
    }
    assert_eq!(fix(None, json!({ "name": "stolen" })).0, 401);
    let refused = second.command(&["privacy", "fix", "serial", "x"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert_eq!(names(), ["first", "second"]);
    let (status, answer) = fix(Some(&papers), json!({ "name": "third" }));
    assert_eq!((status, names()), (200, vec!["second".to_owned(), "third".to_owned()]), "{answer}");
}
