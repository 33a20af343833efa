//! `qcloud-agent try --once`, and that each of its steps can fail.

use crate::common::net::{Line, Net, Place};
use crate::common::process::{Process, Ran, run, until, until_equal};
use crate::common::scratch::Scratch;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const STEPS: [&str; 10] = [
    "registered",
    "name-answers",
    "page-through-relay",
    "device-page",
    "unpublished-refused",
    "address-followed",
    "license",
    "ledger-verified",
    "report",
    "switch-off-erases",
];

fn tried(place: &Place, words: &[&str]) -> Ran {
    let mut command = place.command(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.args(["try", "--once", "--json"]).args(words);
    run(command, Duration::from_secs(90))
}

fn steps(ran: &Ran) -> Vec<(String, bool)> {
    let json: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let of = |step: &Value| (step["name"].as_str().unwrap_or_default().into(), step["ok"] == true);
    json["steps"].as_array().expect("steps").iter().map(of).collect()
}

#[test]
fn trying_it_takes_less_than_half_a_minute_and_every_step_is_green() {
    let net = Net::new(Line::Direct);
    let begun = Instant::now();
    let ran = tried(&net.device, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    let json: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(json["ok"], true, "{json}");
    let steps = steps(&ran);
    assert!(steps.iter().all(|(_, ok)| *ok), "{steps:?}");
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [STEPS.as_slice(), &["unregistered"]].concat());
}

/// Everything of the stage is alone in this namespace, so whatever listens there is of it. It counts when it is
/// there twice in a row: to learn what the kernel can, quinn-udp opens a wildcard socket for some microseconds.
#[test]
fn while_it_is_tried_nothing_listens_outside_loopback() {
    let net = Net::new(Line::Direct);
    let over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut seen, mut before) = (BTreeSet::new(), BTreeSet::new());
            while !over.load(Ordering::Relaxed) {
                let text = net.device.tool("ss", &["-Htuln"]);
                let at = text.lines().filter_map(|l| l.split_whitespace().nth(4));
                let now: BTreeSet<String> = at.map(String::from).collect();
                seen.extend(now.intersection(&before).cloned());
                before = now;
            }
            seen
        });
        let ran = tried(&net.device, &[]);
        over.store(true, Ordering::Relaxed);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        looking.join().expect("what was seen")
    });
    assert!(seen.len() >= 3, "hub, DNS and page were not seen: {seen:?}");
    let outside = |at: &&String| !at.starts_with("127.") && !at.starts_with("[::1]");
    let outside: Vec<_> = seen.iter().filter(outside).collect();
    assert!(outside.is_empty(), "these are open to others: {outside:?}");
}

#[test]
fn each_part_that_is_broken_on_purpose_shows_in_its_steps_and_no_others() {
    let net = Net::new(Line::Direct);
    let dns = ["name-answers", "address-followed", "switch-off-erases"];
    let of_hub =
        ["page-through-relay", "device-page", "unpublished-refused", "license", "unregistered"];
    let hub = [&dns[..], &of_hub].concat();
    let expected: [(&str, Vec<&str>); 5] = [
        ("hub", hub),
        ("dns", dns.to_vec()),
        ("service", vec!["page-through-relay", "device-page"]),
        ("receipt", vec!["unregistered"]),
        ("report", vec!["report"]),
    ];
    for (part, red) in expected {
        let ran = tried(&net.device, &["--break", part]);
        assert_eq!(ran.code, Some(1), "--break {part}: {ran:?}");
        let steps = steps(&ran);
        let failed: BTreeSet<&str> =
            steps.iter().filter(|(_, ok)| !ok).map(|(name, _)| name.as_str()).collect();
        assert_eq!(failed, red.into_iter().collect(), "--break {part}: {}", ran.stdout);
    }
}

/// The processes whose command names this directory.
fn of(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let words = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    words.filter(|words| words.contains(&*dir.to_string_lossy())).collect()
}

#[test]
fn whatever_ends_it_nothing_it_started_stays() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    // While the stage is set, while it plays, and while it is left open.
    let moments = [("hub", ""), ("agent", "--once"), ("device.pem", "")];
    for (signal, (made, word)) in
        [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().zip(moments)
    {
        let dir = scratch.path(made);
        std::fs::create_dir(&dir).expect("a directory");
        let mut command = net.device.command(env!("CARGO_BIN_EXE_qcloud-agent"));
        command.arg("try").args((!word.is_empty()).then_some(word)).env("TMPDIR", &dir);
        let mut tried = Process::spawn("try", command, &scratch.path(&format!("{made}.log")));
        let place = dir.join(format!("qcloud-try-{}", tried.pid()));
        until(made, SOON, || place.join(made).exists().then_some(()));
        tried.signal(signal);
        let code = tried.ended(SOON).code();
        assert_eq!(code, Some(i32::from(made != "device.pem")), "at {made}");
        until_equal(&format!("an end of all at {made}"), SOON, &vec![], || of(&dir));
        let left = std::fs::read_dir(&dir).expect("a directory").count();
        assert_eq!(left, 0, "at {made}");
    }
    let mut command = net.device.command(env!("CARGO_BIN_EXE_qcloud-agent"));
    command.args(["try", "--agent", "/nowhere"]).env("TMPDIR", scratch.path("hub"));
    assert_eq!(run(command, SOON).code, Some(1));
    until_equal("an end of the hub", SOON, &vec![], || of(&scratch.path("hub")));
    assert_eq!(std::fs::read_dir(scratch.path("hub")).expect("a directory").count(), 0);
}
