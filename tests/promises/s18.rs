//! S18: how the hub stands can be asked at any time, and what is unusual is raised by itself.

use crate::common::agent::{ddns_host, link_host};
use crate::common::net::HUB;
use crate::common::page::Page;
use crate::common::process::{run, until};
use crate::common::visitor::{Answer, dig, fetch};
use crate::operators::{ANNA, Browser, SETTINGS, Sink, ask, json, world};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

/// Checks a text by the rules of the Prometheus exposition format, version 0.0.4, and gives its series.
pub fn checked(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line must end");
    let (mut kinds, mut helped, mut closed) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let (mut current, mut series) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name) = (words.next().expect("a word"), words.next().expect("a name"));
            assert!(is_name(name), "{line}");
            if name != current {
                assert!(closed.insert(core::mem::replace(&mut current, name.into())), "{line}");
                assert!(!closed.contains(name), "the family {name} stands in two places");
            }
            let rest = words.next().expect("a text");
            match what {
                "HELP" => assert!(helped.insert(name.to_owned()), "two helps: {line}"),
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    assert!(kinds.insert(name.to_owned(), rest.to_owned()).is_none(), "{line}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let name = key.split('{').next().expect("a name");
        let parts = ["_bucket", "_sum", "_count"];
        let part = parts.iter().find_map(|part| name.strip_suffix(part));
        let family = part.filter(|family| kinds.get(*family).is_some_and(|k| k == "histogram"));
        let family = family.unwrap_or(name);
        assert_eq!(family, current, "a sample outside of its family: {line}");
        if kinds[family] == "counter" {
            assert!(family.ends_with("_total"), "{line}");
        }
        labels(key.strip_prefix(name).expect("labels"));
        assert!(is_name(name), "{line}");
        assert!(series.insert(key.to_owned(), value).is_none(), "twice: {line}");
    }
    assert_eq!(helped, kinds.keys().cloned().collect(), "each family has help and type");
    histograms(&series);
    series
}

fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn labels(text: &str) {
    if text.is_empty() {
        return;
    }
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("braces");
    for label in inside.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{text}"));
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).expect("quotes");
        assert!(is_name(name) && !value.contains(['"', '\\', '\n']), "{text}");
        assert!(value.len() <= 32, "a label that may be anything: {text}");
    }
}

fn histograms(series: &BTreeMap<String, f64>) {
    for (key, count) in series.iter().filter(|(key, _)| key.contains("_count{")) {
        let name = key.split("_count{").next().expect("a name");
        let label = key.split(['{', '}']).nth(1).expect("a label");
        let prefix = format!("{name}_bucket{{{label},le=\"");
        let bound = |key: &str| {
            let text = key.strip_prefix(&prefix)?.strip_suffix("\"}")?;
            Some(if text == "+Inf" { f64::INFINITY } else { text.parse().expect("a bound") })
        };
        let buckets = series.iter().filter_map(|(key, value)| Some((bound(key)?, *value)));
        let mut buckets: Vec<_> = buckets.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.windows(2).all(|two| two[0].1 <= two[1].1), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{key}");
        assert!(series.contains_key(&key.replace("_count{", "_sum{")), "{key}");
    }
}

fn counted(world: &crate::common::World, series: &str) -> f64 {
    let (status, text) = ask(world, "/metrics");
    assert_eq!(status, 200);
    let all = checked(&text);
    *all.get(series).unwrap_or_else(|| panic!("{series} is not in\n{text}"))
}

/// Guard: `health`, the look at what the hub lives on.
///
/// The attack: a disk on which nothing can be written, as far as the hub can tell.
#[test]
fn s18_health_says_what_is_wrong_and_recovers() {
    let mut world = world(SETTINGS);
    let health = |world: &crate::common::World| world.hub.command(&["health"]);
    assert_eq!(ask(&world, "/healthz").0, 200);
    assert_eq!(health(&world).code, Some(0));
    let database = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    database.busy_timeout(SOON).expect("a timeout");
    database.execute_batch("BEGIN IMMEDIATE").expect("nobody else may write");
    let said = until("the bad news", SOON, || {
        let (status, text) = ask(&world, "/healthz");
        (status == 503).then_some(text)
    });
    assert!(said.contains("\"degraded\"") && said.contains("\"store\""), "{said}");
    let ran = health(&world);
    assert!(ran.code == Some(3) && ran.stdout.contains("store"), "{ran:?}");
    database.execute_batch("ROLLBACK").expect("the end of it");
    until("the good news", SOON, || (ask(&world, "/healthz").0 == 200).then_some(()));
    assert_eq!(health(&world).code, Some(0));
    world.hub.stop();
    assert_eq!(health(&world).code, Some(8));
}

/// Guard: `metrics-count`, where something that happened is counted.
#[test]
fn s18_metrics_are_well_formed_count_what_happens_and_are_not_public() {
    let world = world(SETTINGS);
    let visitor = &world.net.visitor;
    let before = counted(&world, "qcloud_hub_dns_answers_total{rcode=\"nxdomain\"}");
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    assert_eq!(fetch(visitor, &certificate, &url).ok(), "a page");
    let other = ddns_host("nobody");
    assert_eq!(dig(visitor, &other, "A", "+notcp"), Answer::no_such_name());
    assert!(counted(&world, "qcloud_hub_dns_answers_total{rcode=\"nxdomain\"}") > before);
    assert_eq!(counted(&world, "qcloud_hub_sessions"), 1.0);
    let visits = "qcloud_hub_visits_total{result=\"carried\"}";
    until("the visit", SOON, || (counted(&world, visits) >= 1.0).then_some(()));
    for series in [
        "qcloud_hub_handshakes_total{result=\"ok\"}",
        "qcloud_hub_registrations_total{result=\"begun\"}",
        "qcloud_hub_store_seconds_count{kind=\"write\"}",
        "qcloud_hub_certificate_seconds{face=\"api\"}",
        "qcloud_hub_certificate_seconds{face=\"pages\"}",
        "qcloud_hub_healthy",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(counted(&world, series) >= 1.0, "{series}");
    }
    for series in ["qcloud_hub_stuck_deletions", "qcloud_hub_outbox_letters"] {
        assert_eq!(counted(&world, series), 0.0, "{series}");
    }
    // The attack: somebody on the internet asks, at the hub's address, its names and its metrics' port.
    let browser = Browser::new(&world, visitor, "curious");
    for path in ["/metrics", "/healthz"] {
        let (_, text) = browser.get(path);
        assert!(!text.contains("qcloud_hub_") && !text.contains("\"status\""), "{path}: {text}");
        for url in [format!("https://{HUB}{path}"), format!("http://{HUB}:9464{path}")] {
            let mut curl = visitor.command("curl");
            curl.args(["--silent", "--insecure", "--max-time", "5", "--noproxy", "*", &url]);
            let said = run(curl, SOON).stdout;
            assert!(!said.contains("qcloud_hub_") && !said.contains("\"status\""), "{url}: {said}");
        }
    }
}

/// Guard: `watch-raise`, where what was seen is held against what is usual.
///
/// The attack: somebody tries passwords on an account.
#[test]
fn s18_an_attack_on_an_account_is_raised_told_and_logged_without_a_name() {
    let mail = "[alerts]\nmail = \"ops@example.net\"\n\
        [mail]\nserver = \"smtp://127.0.0.1:2525\"\nfrom = \"hub@example.org\"\n";
    let world = world(&format!("{SETTINGS}{mail}"));
    let sink = Sink::open(&world.net.hub, 2525);
    let anna = Browser::of(&world, &world.net.visitor, ANNA);
    let raised = "qcloud_hub_anomalies{kind=\"failed-for-account\"}";
    let attacker = Browser::new(&world, &world.net.device, "attacker");
    for guess in 0..7 {
        assert_eq!(attacker.sign_in(ANNA, &format!("a guess {guess}")), 401);
    }
    assert_eq!(counted(&world, raised), 0.0, "an owner may forget a password");
    attacker.sign_in(ANNA, "the last guess");
    until("the metric", SOON, || (counted(&world, raised) >= 1.0).then_some(()));
    let count = "qcloud_hub_anomalies_total{kind=\"failed-for-account\"}";
    assert_eq!(counted(&world, count), 1.0);
    let words = "many sign-ins fail for one account";
    until("the owner's log", SOON, || anna.get("/log").1.contains(words).then_some(()));
    for to in [ANNA, "ops@example.net"] {
        until(to, SOON, || {
            let to = format!("RCPT TO:<{to}>");
            let letters = sink.letters();
            letters.iter().any(|l| l.contains(&to) && l.contains("sign-ins fail")).then_some(())
        });
    }
    let log = world.hub.log_text();
    let line = log.lines().find(|line| line.contains("an anomaly was raised")).expect("a line");
    for secret in ["anna", "203.0.113", "account=1"] {
        assert!(!line.contains(secret), "{line}");
    }
    attacker.sign_in(ANNA, "one more");
    assert_eq!(counted(&world, count), 1.0, "it is raised once");
    assert!(json(&world, &["health"])["status"] == "ok", "an attack on somebody is no fault");
}
