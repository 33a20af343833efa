//! S10: what a device was given is taken back at once.

use crate::ask::{Line as Api, Papers, ask};
use crate::common::World;
use crate::common::agent::{Agent, ddns_host, link_host};
use crate::common::hub::TABLES;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{Process, until};
use crate::common::visitor::{Answer, curl, dig, is_refused};
use qcloud_agent::card::Caller;
use qcloud_agent::hub::api::ROUTES;
use serde_json::json;
use std::time::{Duration, Instant};

/// What is promised, from the command's answer on.
const SOON: Duration = Duration::from_secs(5);

/// Waits until the device says that its hub does not know it, and what to do.
fn says_so(agent: &Agent) {
    let status = until("the device's word", SOON, || {
        let status = agent.status();
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        let found = warnings.into_iter().find(|w| w["code"] == "registration-unknown")?;
        Some((status, found))
    });
    let (status, warning) = status;
    assert_eq!(warning["hint"], "qcloud-agent register", "{warning}");
    assert!(status.to_string().contains("does not know this device"), "{status}");
}

/// Guard: `hub-revoke-cut`, the end of the session with the erasure.
///
/// The attack: a visit that is going on, through a tunnel that stood before.
#[test]
fn s10_revoking_a_device_cuts_what_is_live() {
    let world = World::new(Line::Direct);
    let (hub, visitor, host) = (&world.hub, &world.net.visitor, link_host("box"));
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page of the owner ");
    let certificate = agent.link_up(&page.url());
    until("the update", SOON, || (hub.rows("ddns") == 1).then_some(()));
    let mut slow = curl(visitor, &certificate, &format!("https://{host}/slow"));
    slow.arg("--no-buffer");
    let log = world.scratch.path("visit");
    let mut visit = Process::spawn("the visit", slow, &log);
    let seen = || std::fs::read_to_string(&log).unwrap_or_default().contains("a page of the owner");
    until("the visit", SOON, || seen().then_some(()));
    assert_eq!(hub.devices()[0]["online"], true);

    hub.command(&["revoke", "box", "--yes"]).ok();
    let begun = Instant::now();
    // By itself it would go on for longer than this.
    visit.ended(SOON);
    assert!(is_refused(visitor, &host), "visitors are still let in");
    for name in [ddns_host("box"), host] {
        assert_eq!(dig(visitor, &name, "A", "+notcp"), Answer::no_such_name(), "{name}");
    }
    assert_eq!(TABLES.map(|table| hub.rows(table)), [0; TABLES.len()], "something is kept of it");
    assert!(hub.devices().is_empty());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    says_so(&agent);
    // And it does not knock all the time.
    let before = agent.ledger_lines();
    std::thread::sleep(Duration::from_secs(3));
    let knocks = agent.ledger_lines() - before;
    assert!(knocks <= 2, "{knocks} lines in three seconds");
}

/// Guard: `hub-device-auth`, the look for the device's row at each request and session.
///
/// The attack: a certificate that is good for weeks, on a connection that was let in before, on a new one, and
/// for a session.
#[test]
fn s10_a_revoked_devices_credentials_are_refused() {
    let world = World::new(Line::Direct);
    let (from, hub) = (&world.net.device, &world.hub);
    let mut agent = world.member("box", "[link]\nenabled = true");
    agent.wait_for_link();
    let papers = Papers::of(&agent);
    let mut open = Api::open(from, hub, Some(&papers));
    let update = json!({"a": "observed", "aaaa": "none"});
    assert_eq!(open.ask("/v1/ddns/update", &update).0, 200, "the device itself is refused");

    hub.command(&["revoke", "box", "--yes"]).ok();
    let places = ROUTES.iter().filter_map(|route| Some((route.parcel, route.place()?)));
    let own = places.filter(|(_, (_, caller))| *caller == Caller::Device);
    for (parcel, (path, _)) in own {
        let body = (parcel.example)();
        let (held, _) = open.ask(path, &body);
        let (fresh, said) = ask(from, hub, Some(&papers), path, &body);
        // Whoever was forgotten may ask for the receipt of it, which says that there is nothing.
        let wanted = if parcel.id == "registration.forget" { 200 } else { 401 };
        assert_eq!((held, fresh), (wanted, wanted), "{path}: {said}");
    }
    // A device that was off meanwhile, and knows nothing of it.
    assert!(agent.stop(SOON).success());
    agent.start();
    says_so(&agent);
    assert_eq!(agent.feature("link")["facts"]["up"], false);
    assert!(hub.devices().is_empty());
}
