//! Three hundred sudden ends in the middle of writing.

use crate::common::agent::Agent;
use crate::common::net::{Line, Net};
use crate::common::scratch::Scratch;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const KILLS: u64 = 300;
/// All of them together.
const WITHIN: Duration = Duration::from_secs(120);
/// A kill comes at most this long after the agent's first answer.
const LATEST_MICROS: u64 = 60_000;

/// xorshift64: the seed is printed, so that a run can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// One question over the control socket; `None` when the agent ended meanwhile.
fn ask(socket: &PathBuf, noun: &str, verb: &str, args: Value) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = json!({ "noun": noun, "verb": verb, "args": args });
    stream.write_all(format!("{request}\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// What was asked for last and answered, and what was asked for and perhaps done.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    ddns: bool,
    denied: BTreeSet<String>,
}

impl Wanted {
    fn of(status: &Value) -> Self {
        let features = status["features"].as_array().expect("features");
        let ddns = features.iter().any(|f| f["name"] == "ddns" && f["state"] == "on");
        let denied = status["denied"].as_array().expect("denials").iter();
        Self { ddns, denied: denied.filter_map(|d| d.as_str().map(String::from)).collect() }
    }

    fn next(&self, dice: &mut Dice) -> (Self, &'static str, &'static str, Value) {
        let mut next = self.clone();
        let part = ["ddns.update", "ddns.update.a", "ddns.update.aaaa"]
            [usize::try_from(dice.roll(3)).expect("small")];
        if dice.roll(2) == 0 {
            next.ddns = !self.ddns;
            return (next, "ddns", if self.ddns { "off" } else { "on" }, json!({}));
        }
        let verb = if next.denied.remove(part) {
            "allow"
        } else {
            next.denied.insert(part.into());
            "deny"
        };
        (next, "agent", verb, json!({ "part": part }))
    }
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "a seed and a measurement, shown with --nocapture and on failure"
)]
fn killed_three_hundred_times_while_it_writes_it_loses_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed =
        seed.unwrap_or(u64::from_ne_bytes(qcloud_agent::hub::keys::random().expect("a seed"))) | 1;
    println!("SEED={seed}");
    let mut dice = Dice(seed);
    let net = Net::new(Line::Direct);
    let scratch = Scratch::new();
    let mut agent = Agent::new(&net.device, &scratch.path("agent"), None, "");
    agent.start();
    let (id, socket) = (agent.id(), agent.state_dir().join("control.sock"));
    let key = std::fs::read(agent.state_dir().join("device.key")).expect("a key");
    let begun = Instant::now();
    let mut certain = Wanted::of(&agent.status());
    let mut writes = 0_u32;
    for kill in 0..KILLS {
        let wait = Duration::from_micros(dice.roll(LATEST_MICROS));
        let (possible, done) = storm(&mut agent, &socket, &certain, wait, &mut dice);
        writes += done;
        agent.launch();
        let status = answered(&mut agent, &socket);
        assert_eq!(status["device"], json!(id), "kill {kill} of SEED={seed}: another device");
        certain = Wanted::of(&status);
        assert!(
            possible.contains(&certain),
            "kill {kill} of SEED={seed}: {certain:?} was never asked for after what was answered: {possible:?}"
        );
        assert_eq!(std::fs::read(agent.state_dir().join("device.key")).expect("a key"), key);
        if kill % 50 == 49 {
            agent.command(&["egress", "verify"]).ok();
        }
    }
    let taken = begun.elapsed();
    println!("{KILLS} kills among {writes} answered writes took {taken:?}");
    assert!(u64::from(writes) > KILLS, "only {writes} writes were answered");
    assert!(taken < WITHIN, "it took {taken:?}");
    agent.command(&["egress", "verify"]).ok();
    assert!(!agent.log_text().contains("panicked"));
}

fn answered(agent: &mut Agent, socket: &PathBuf) -> Value {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Some(answer) = ask(socket, "agent", "status", json!({})) {
            return answer["json"].clone();
        }
        sleep(Duration::from_millis(1));
    }
    agent.wait_until_it_answers();
    panic!("it takes questions and does not answer")
}

/// Asks for one change after another until the kill; gives what may be on disk after it, and how many were answered.
fn storm(
    agent: &mut Agent,
    socket: &PathBuf,
    certain: &Wanted,
    wait: Duration,
    dice: &mut Dice,
) -> (Vec<Wanted>, u32) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let (mut now, mut answered) = (certain.clone(), 0);
            loop {
                let (next, noun, verb, args) = now.next(dice);
                match ask(socket, noun, verb, args) {
                    Some(answer) => assert_eq!(answer["exit"], 0, "{verb}: {answer}"),
                    // Asked and not answered: it is done, or it is not.
                    None => return (vec![now, next], answered),
                }
                answered += 1;
                now = next;
                if over.load(Ordering::Relaxed) {
                    return (vec![now], answered);
                }
            }
        });
        sleep(wait);
        agent.kill();
        over.store(true, Ordering::Relaxed);
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
