//! An agent as a process, and the commands its owner types.

use super::hub::{Hub, ZONE};
use super::net::{HUB, Place};
use super::process::{Process, Ran, run, until};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, chown};
use qcloud_agent::daemon::start;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The longest a command may take. Registering polls every 5 s.
const SOON: Duration = Duration::from_secs(40);

/// An agent on the device, whether it runs or not.
pub struct Agent {
    place: Place,
    dir: PathBuf,
    uid: Option<u32>,
    program: PathBuf,
    prefix: Vec<String>,
    root: Option<PathBuf>,
    process: Option<Process>,
}

impl Agent {
    /// An agent with these sections in its configuration; its name server is the hub. With a uid it runs
    /// as that user.
    pub fn new(place: &Place, dir: &Path, uid: Option<u32>, sections: &str) -> Self {
        std::fs::create_dir(dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_qcloud-agent"));
        if let Some(uid) = uid {
            // Where the programs were built may be closed to other users.
            let copy = dir.join("qcloud-agent");
            std::fs::copy(&program, &copy).expect("a copy of the program");
            program = copy;
            chown(dir, Some(Uid::from_raw(uid)), None).expect("a directory of that user");
        }
        let agent = Self {
            place: place.clone(),
            dir: dir.into(),
            uid,
            program,
            prefix: Vec::new(),
            root: None,
            process: None,
        };
        agent.configure(sections);
        agent
    }

    /// Writes the configuration anew.
    pub fn configure(&self, sections: &str) {
        let text = format!("[agent]\nresolvers = [\"{HUB}:53\"]\n\n{sections}\n");
        std::fs::write(self.dir.join("config.toml"), text).expect("a configuration");
    }

    /// Has the agent started through another program from here on, such as `unshare`.
    pub fn start_through(&mut self, words: &[&str]) {
        self.prefix = words.iter().map(ToString::to_string).collect();
    }

    /// Has the agent and its commands see the box below this directory from here on (`--root`).
    pub fn see(&mut self, root: &Path) {
        self.root = Some(root.into());
    }

    fn program(&self, prefix: &[String]) -> Command {
        let program = self.program.to_string_lossy().into_owned();
        let mut words = prefix.to_vec();
        if let Some(uid) = self.uid {
            words.push("setpriv".into());
            words.extend([format!("--reuid={uid}"), format!("--regid={uid}")]);
            words.push("--clear-groups".into());
        }
        words.push(program);
        let mut command = self.place.command(&words[0]);
        command.args(&words[1..]);
        command
    }

    fn with_paths(&self, command: &mut Command) {
        command.arg("--state").arg(self.state_dir());
        command.arg("--config").arg(self.dir.join("config.toml"));
        if let Some(root) = &self.root {
            command.arg("--root").arg(root);
        }
    }

    /// Starts it, and waits until it answers.
    pub fn start(&mut self) {
        self.launch();
        self.wait_until_it_answers();
    }

    /// Starts it and does not wait for anything.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the agent runs already");
        let mut command = self.program(&self.prefix);
        command.arg("run");
        self.with_paths(&mut command);
        self.process = Some(Process::spawn("the agent", command, &self.log_path()));
    }

    /// Waits until it takes questions.
    pub fn wait_until_it_answers(&mut self) {
        let log = self.log_path();
        let sockets = [self.state_dir(), self.run_dir()].map(|dir| dir.join("control.sock"));
        let process = self.process.as_mut().expect("it was started");
        until("the agent", SOON, || {
            assert!(process.runs(), "the agent ended; its log is {}", log.display());
            sockets.iter().find_map(|socket| UnixStream::connect(socket).ok())
        });
    }

    /// Runs one of its commands, answering in JSON.
    pub fn command(&self, args: &[&str]) -> Ran {
        let mut command = self.program(&[]);
        command.args(args).arg("--json");
        self.with_paths(&mut command);
        run(command, SOON)
    }

    /// Runs one of its commands, answering to a person.
    pub fn plain(&self, args: &[&str]) -> Ran {
        self.plain_within(args, SOON)
    }

    /// The same, with another deadline.
    pub fn plain_within(&self, args: &[&str], within: Duration) -> Ran {
        let mut command = self.program(&[]);
        command.args(args);
        self.with_paths(&mut command);
        run(command, within)
    }

    /// Runs one of its commands that must succeed.
    pub fn ok(&self, args: &[&str]) -> Value {
        let text = self.command(args).ok();
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|e| panic!("{args:?} said `{text}`: {e}"))
    }

    /// What `status` says.
    pub fn status(&self) -> Value {
        self.ok(&["status"])
    }

    /// What `status` says of one feature.
    pub fn feature(&self, name: &str) -> Value {
        let status = self.status();
        let found = status["features"].as_array().into_iter().flatten().find(|f| f["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {status}")).clone()
    }

    /// Its device id.
    pub fn id(&self) -> String {
        self.status()["device"].as_str().expect("an id").into()
    }

    /// Registers it, approved at the hub by the words it showed. Gives the last answer.
    pub fn register(&self, hub: &Hub, name: &str) -> Value {
        self.register_with(hub, &["--name", name, "--hub", &hub.url(), "--hub-pin", &hub.pin])
    }

    /// The same, with these arguments.
    pub fn register_with(&self, hub: &Hub, args: &[&str]) -> Value {
        let asking = self.ask_with(args);
        hub.command(&["approve", &asking.code, "--words", &asking.words]).ok();
        asking.ended()
    }

    /// Asks the hub to be let in under this name, and leaves the decision to somebody else.
    pub fn ask(&self, hub: &Hub, name: &str) -> Asking {
        self.ask_with(&["--name", name, "--hub", &hub.url(), "--hub-pin", &hub.pin])
    }

    fn ask_with(&self, args: &[&str]) -> Asking {
        let mut command = self.program(&[]);
        command.args(["register", "--json"]).args(args);
        self.with_paths(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a command");
        let mut answers = BufReader::new(child.stdout.take().expect("its answers"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line");
        if line.starts_with("{\"progress\":{\"operator\":{") && !line.contains("user_code") {
            line.clear();
            answers.read_line(&mut line).expect("another line");
        }
        let invitation: Value = serde_json::from_str(&line).unwrap_or_default();
        let invitation = &invitation["progress"];
        let Some(code) = invitation["user_code"].as_str() else {
            let said = child.wait_with_output().expect("its end");
            panic!("no invitation: {line} {}", String::from_utf8_lossy(&said.stderr));
        };
        let words = invitation["check_words"].as_str().expect("words").into();
        Asking { code: code.into(), words, child, answers }
    }

    /// Switches the link on, publishes `web`, and waits for the session. Gives the certificate's file.
    pub fn link_up(&self, url: &str) -> PathBuf {
        self.ok(&["link", "on"]);
        self.ok(&["link", "publish", "web", url]);
        self.wait_for_link();
        let path = self.dir.join("device.pem");
        let certificate = self.ok(&["link", "certificate"]);
        std::fs::write(&path, certificate["pem"].as_str().expect("PEM")).expect("a file");
        path
    }

    /// Waits until the session to the hub stands.
    pub fn wait_for_link(&self) {
        until("the session to the hub", SOON, || {
            (self.feature("link")["facts"]["up"] == true).then_some(())
        });
    }

    /// The lines of its ledger behind this number.
    pub fn ledger_since(&self, seq: u64) -> Vec<Value> {
        let lines = self.ok(&["egress", "ledger"]);
        let is_new = |line: &&Value| line["seq"].as_u64().is_some_and(|n| n > seq);
        lines.as_array().expect("lines").iter().filter(is_new).cloned().collect()
    }

    /// How many lines its ledger has.
    pub fn ledger_lines(&self) -> u64 {
        self.status()["ledger_lines"].as_u64().expect("a number")
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the agent runs")
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.take().expect("the agent runs").kill();
    }

    /// Ends it by a signal that a defect would raise.
    pub fn crash(&mut self, signal: Signal) -> ExitStatus {
        let mut process = self.process.take().expect("the agent runs");
        process.signal(signal);
        process.ended(SOON)
    }

    /// Waits for an end that somebody else brought about.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        self.process.take().expect("the agent runs").ended(within)
    }

    /// Ends it in order, within this time.
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("the agent runs");
        process.signal(Signal::SIGTERM);
        process.ended(within)
    }

    /// Where its state is.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where it listens while there is no place for its state.
    pub fn run_dir(&self) -> PathBuf {
        let (state_dir, root) = (self.state_dir(), "/".into());
        start::run_dir(&start::Options { state_dir, config_path: None, root })
    }

    /// What it logged so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("agent.log")
    }
}

/// A device that waits to be let in. Its question ends on drop.
pub struct Asking {
    /// The code it shows.
    pub code: String,
    /// The four words it shows.
    pub words: String,
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Asking {
    /// Waits until it was let in, and gives its last answer.
    pub fn ended(mut self) -> Value {
        let status = until("the registration", SOON, || self.child.try_wait().expect("its state"));
        let mut rest = String::new();
        self.answers.read_to_string(&mut rest).expect("its answer");
        assert!(status.success(), "register: {status} {rest}");
        serde_json::from_str(rest.trim()).expect("JSON")
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // One that has ended needs no signal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name that answers with a device's address.
pub fn ddns_host(name: &str) -> String {
    format!("{name}.{ZONE}")
}

/// The name browsers reach a device by.
pub fn link_host(name: &str) -> String {
    format!("{name}.link.{ZONE}")
}
