//! Chromium as a process, spoken to by its DevTools protocol over two pipes: no port, and nobody else can.

use crate::common::net::Place;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The longest an answer or an event is waited for.
pub const SOON: Duration = Duration::from_secs(30);
/// Chromium reads its orders at 3 and answers at 4; the standard library gives a child 0 and 1.
const ONTO_THE_PIPES: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#;
/// What is the same for every run: no window, and nothing of its own that would go to the network.
const ALWAYS: &[&str] = &[
    "chromium",
    "--headless=new",
    // Its sandbox refuses to run as root, which makes the network namespaces.
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--password-store=basic",
    "--lang=en-GB",
    "about:blank",
];

/// A Chromium with one page open. Ended on drop with all its processes; if the test failed its log is shown.
pub struct Pipe {
    child: Child,
    orders: ChildStdin,
    messages: Receiver<Value>,
    log: PathBuf,
    number: u64,
    session: Option<String>,
    news: VecDeque<Value>,
}

impl Pipe {
    /// Starts it with its profile below `dir`, and takes hold of its page.
    pub fn start(place: &Place, dir: &Path, flags: &[String]) -> Self {
        let there = |dir: &str| Path::new(dir).join("chromium").exists();
        let path = std::env::var("PATH").unwrap_or_default();
        assert!(
            path.split(':').any(there),
            "these tests need Chromium\nhint: apt-get install -y chromium fonts-dejavu-core"
        );
        let log = dir.join("chromium.log");
        let mut command = place.command("sh");
        command.args(["-c", ONTO_THE_PIPES, "sh"]).args(ALWAYS).args(flags);
        command.arg(format!("--user-data-dir={}", dir.join("profile").display()));
        command.env("HOME", dir).env("XDG_RUNTIME_DIR", dir).env("TZ", "UTC").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("cannot start sh");
        let orders = child.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            loop {
                let mut text = Vec::new();
                let read = answers.read_until(0, &mut text);
                if !matches!(read, Ok(1..)) {
                    return;
                }
                text.pop();
                let message = serde_json::from_slice(&text).expect("the protocol is JSON");
                // Nobody listens any more when the test is over.
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (news, session) = (VecDeque::new(), None);
        let mut pipe = Self { child, orders, messages, log, number: 0, session, news };
        pipe.attach();
        pipe
    }

    fn attach(&mut self) {
        let made = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let to = json!({"targetId": made["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", to);
        self.session = Some(attached["sessionId"].as_str().expect("a session").into());
    }

    /// Has the page do something that cannot fail.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Has the page do something. Fails with what Chromium says.
    pub fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.number += 1;
        let id = self.number;
        let mut order = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let sent = self.orders.write_all(format!("{order}\0").as_bytes());
        sent.unwrap_or_else(|error| panic!("{method}: Chromium takes no orders: {error}"));
        let deadline = Instant::now() + SOON;
        loop {
            let message = self.next(method, deadline);
            if message["id"].as_u64() == Some(id) {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].clone()),
                };
            }
            self.news.push_back(message);
        }
    }

    fn next(&self, what: &str, deadline: Instant) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = self.messages.recv_timeout(left);
        message.unwrap_or_else(|error| panic!("waited in vain for {what}: {error}"))
    }

    /// Waits for an event that nobody has taken yet; those before it stay.
    pub fn event(&mut self, wanted: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.news.iter().position(|event| event["method"] == wanted) {
                let event = self.news.remove(at).expect("it is there");
                return event["params"].clone();
            }
            let message = self.next(wanted, deadline);
            self.news.push_back(message);
        }
    }

    /// Waits for an event that may not come: the page of a failure has one, a stopped visit has none.
    pub fn event_within(&mut self, wanted: &str, wait: Duration) {
        let deadline = Instant::now() + wait;
        while self.news.iter().all(|event| event["method"] != wanted) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(message) = self.messages.recv_timeout(left) else { return };
            self.news.push_back(message);
        }
    }

    /// All events that nobody has taken yet, by their names.
    pub fn events(&mut self) -> Vec<(String, Value)> {
        self.news.extend(self.messages.try_iter());
        let events = self.news.drain(..).filter_map(|mut event| {
            let method = event["method"].as_str()?.to_owned();
            Some((method, event["params"].take()))
        });
        events.collect()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // Its own group, made with it: one that has ended needs no signal.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            show(&self.log);
        }
    }
}

#[allow(clippy::print_stderr, reason = "a test that fails shows what its processes said")]
fn show(log: &Path) {
    let text = std::fs::read(log).unwrap_or_default();
    eprintln!("---- log of Chromium ----\n{}\n", String::from_utf8_lossy(&text));
}
