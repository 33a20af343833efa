//! Y3: that somebody came is counted, who it was is not.

use crate::common::agent::link_host;
use crate::common::net::{DEVICE, VISITOR};
use crate::common::page::Page;
use crate::common::process::until;
use crate::common::visitor::{curl, dig};
use crate::common::watch::files_with;
use crate::operators::{ANNA, Browser, PASSWORD, SETTINGS, ask, world};
use crate::s18::checked;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);
const BROWSER: &str = "Kestrel-Browser/7.31";

/// Guard: `metrics-aggregate`, which sums up what is known of whom before it is shown.
///
/// Which series there are is the same before anybody came and after: who came can only have changed numbers.
#[test]
fn y3_visits_and_sign_ins_are_counted_and_nobody_can_be_read_from_it() {
    let world = world(SETTINGS);
    let series = || checked(&ask(&world, "/metrics").1);
    let before = series();
    let agent = world.member("heronbox", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("heronbox"));
    let mut visit = curl(&world.net.visitor, &certificate, &url);
    visit.args(["--user-agent", BROWSER]);
    crate::common::process::run(visit, SOON).ok();
    dig(&world.net.visitor, &link_host("heronbox"), "A", "+notcp");
    let mut anna = Browser::of(&world, &world.net.visitor, ANNA);
    anna.agent = BROWSER;
    anna.get("/log");
    // What the detectors remember of her is the most that is known in one place.
    let mut attacker = Browser::new(&world, &world.net.device, "attacker");
    attacker.agent = BROWSER;
    for _ in 0..8 {
        assert_eq!(attacker.sign_in(ANNA, "a guess"), 401);
    }
    let raised = "qcloud_hub_anomalies{kind=\"failed-for-account\"}";
    until("an anomaly of hers", SOON, || {
        let text = ask(&world, "/metrics").1;
        text.contains("failed-for-account\"")
            .then(|| {
                text.lines().any(|l| {
                    l.starts_with("qcloud_hub_anomalies{kind=\"failed-for-account\"")
                        && l.ends_with(" 1")
                })
            })?
            .then_some(())
    });

    let (_, text) = ask(&world, "/metrics");
    let after = checked(&text);
    let names =
        |all: &std::collections::BTreeMap<String, f64>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before), "a series tells who came");
    let grew = |key: &str| after[key] - before[key];
    assert_eq!(grew("qcloud_hub_sign_ins_total{result=\"ok\"}"), 1.0);
    assert_eq!(grew("qcloud_hub_sign_ins_total{result=\"failed\"}"), 8.0);
    assert_eq!(grew("qcloud_hub_visits_total{result=\"carried\"}"), 1.0);
    assert_eq!(after[raised], 1.0);

    let log = world.hub.log_text();
    for secret in [ANNA, "anna", VISITOR, "192.0.2.", DEVICE, "heronbox", BROWSER, PASSWORD] {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "{secret}: {text}");
    }
    // And of what a browser says of itself, and where its person is, nothing is kept at all.
    for secret in [ANNA, VISITOR, DEVICE, BROWSER, PASSWORD] {
        let found = files_with(world.hub.dir(), secret.as_bytes());
        assert!(found.is_empty(), "{secret} stands in {found:?}");
        assert!(!log.contains(secret), "{secret} stands in the hub's log");
    }
}
