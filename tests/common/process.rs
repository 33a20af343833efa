//! Child processes with a log, a deadline and a sure end.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How often something awaited is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of a log that are shown when a test fails.
const SHOWN: usize = 60;

/// A program that runs until it is told to end. Killed on drop; if the test failed its log is shown.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says is added to the log.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let also = file.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(file).stderr(also);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        Self { name: name.into(), child, log: log.into() }
    }

    /// Its process id. `ip netns exec` and `setpriv` become the program they start.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).unwrap_or_else(|e| panic!("{}: {signal}: {e}", self.name));
    }

    /// Ends it as a crash would, and the processes it started itself: `unshare` waits for the program it
    /// starts, whose change of user cleared the signal that would have told it.
    pub fn kill(&mut self) {
        let begun = self.begun();
        // One that has ended already needs no signal.
        let _ = self.child.kill();
        for pid in begun {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }

    /// The processes it started that run. Nobody else may have their ids while it has not been waited for.
    fn begun(&mut self) -> Vec<i32> {
        if !self.runs() {
            return Vec::new();
        }
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(&what, within, || self.child.try_wait().expect("its state"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            show(&self.name, &self.log);
        }
    }
}

#[allow(clippy::print_stderr, reason = "a test that fails shows what its processes said")]
fn show(name: &str, log: &Path) {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(SHOWN)..];
    eprintln!("---- log of {name} ({} lines) ----\n{}\n", lines.len(), tail.join("\n"));
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Its answer.
    pub stdout: String,
    /// The rest.
    pub stderr: String,
}

impl Ran {
    /// Asserts that it succeeded, and gives its answer.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "it failed: {self:?}");
        self.stdout
    }
}

fn read(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has given all it had.
        let _ = from.map(|mut from| from.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a command to its end, at most `within`.
pub fn run(mut command: Command, within: Duration) -> Ran {
    let shown = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {shown}: {e}"));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let stdout = read(stdout);
    let stderr = read(stderr);
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().expect("its state") {
            Some(status) => break Some(status),
            None if begun.elapsed() > within => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => sleep(Duration::from_millis(5)),
        }
    };
    let (stdout, stderr) = (stdout.join().expect("text"), stderr.join().expect("text"));
    let status =
        status.unwrap_or_else(|| panic!("{shown} took longer than {within:?}\n{stdout}\n{stderr}"));
    Ran { code: status.code(), stdout, stderr }
}

/// Runs a tool of the machine that must succeed, and gives its answer.
pub fn tool<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let shown = format!("{command:?}");
    let ran = run(command, Duration::from_secs(20));
    assert_eq!(ran.code, Some(0), "{shown}: {}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Looks until there is something, at most `within`.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < within, "waited {within:?} in vain for {what}");
        sleep(LOOK);
    }
}

/// Looks until two things are equal, at most `within`; the last difference is shown.
pub fn until_equal<T: PartialEq + core::fmt::Debug>(
    what: &str,
    within: Duration,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    let begun = Instant::now();
    loop {
        let found = look();
        if found == *wanted {
            return;
        }
        assert!(begun.elapsed() < within, "{what}: {found:?} after {within:?}, not {wanted:?}");
        sleep(LOOK);
    }
}
