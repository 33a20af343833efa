//! The only process starter: fixed argv, closed environment, a timeout, an output cap, no shell.

use core::time::Duration;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// All that a started process sees of an environment.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")];

/// The stack of a thread that waits for one process.
const STACK: usize = 256 * 1024;

/// What a process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its life; then it is killed with its whole process group.
    pub timeout: Duration,
    /// The most bytes of stdout, and of stderr; the first byte beyond kills it too.
    pub output_bytes: u64,
}

/// What a process said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended; `None` when it was stopped at the output cap.
    pub status: Option<ExitStatus>,
    /// Its stdout, up to the cap.
    pub stdout: Vec<u8>,
    /// Its stderr, up to the cap.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether it ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Why a process gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is nothing to start.
    #[error("an empty argv was to be started")]
    Empty,
    /// It could not be started.
    #[error("`{program}` could not be started")]
    Start {
        /// The first word of the argv.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its output or its end could not be read.
    #[error("`{program}` could not be read")]
    Read {
        /// The first word of the argv.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("`{program}` did not end within {} s", timeout.as_secs())]
    Timeout {
        /// The first word of the argv.
        program: String,
        /// What it had.
        timeout: Duration,
    },
}

/// Starts processes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exec;

impl Exec {
    /// Runs `argv` to its end, with empty stdin and `/` as its directory.
    ///
    /// Dropping the future kills the process group.
    ///
    /// # Errors
    /// See [`ExecError`]. An exit code other than 0 is not one.
    pub async fn run(&self, argv: &[&str], limits: Limits) -> Result<Output, ExecError> {
        self.run_on(argv, Stdio::null(), limits).await
    }

    async fn run_on(
        &self,
        argv: &[&str],
        stdin: Stdio,
        limits: Limits,
    ) -> Result<Output, ExecError> {
        let program = argv.first().copied().ok_or(ExecError::Empty)?;
        let mut child = start(argv, stdin)
            .map_err(|source| ExecError::Start { program: program.into(), source })?;
        // Declared after the child: dropped before it, while the child's id is still its own.
        let group = Group::of(&child);
        match tokio::time::timeout(limits.timeout, collect(&mut child, limits.output_bytes)).await {
            Ok(Ok(output)) => {
                if output.status.is_some() {
                    group.reaped();
                }
                Ok(output)
            }
            Ok(Err(source)) => Err(ExecError::Read { program: program.into(), source }),
            Err(_) => Err(ExecError::Timeout { program: program.into(), timeout: limits.timeout }),
        }
    }

    /// As [`Exec::run`], for code that has no runtime to wait in: it blocks this thread, until the process ended or
    /// was killed with its group. Longer than its timeout it never takes, whatever the process does.
    ///
    /// # Errors
    /// As [`Exec::run`].
    pub fn run_blocking(&self, argv: &[&str], limits: Limits) -> Result<Output, ExecError> {
        self.run_blocking_on(argv, Stdio::null(), limits)
    }

    /// As [`Exec::run_blocking`], with a file that was opened here as its stdin.
    ///
    /// # Errors
    /// As [`Exec::run`].
    pub fn run_blocking_on(
        &self,
        argv: &[&str],
        stdin: Stdio,
        limits: Limits,
    ) -> Result<Output, ExecError> {
        let program = argv.first().copied().ok_or(ExecError::Empty)?;
        let failed = |source| ExecError::Start { program: program.into(), source };
        std::thread::scope(|threads| {
            // A thread of its own: a runtime is not entered twice.
            let run = move || {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                let runtime = builder.enable_all().build().map_err(failed)?;
                runtime.block_on(self.run_on(argv, stdin, limits))
            };
            let thread = std::thread::Builder::new().stack_size(STACK);
            let thread = thread.spawn_scoped(threads, run).map_err(failed)?;
            thread.join().unwrap_or_else(|_| Err(failed(io::Error::other("its thread failed"))))
        })
    }

    /// Starts `argv` and lets it run, its stderr appended to a file. Dropping the child kills it.
    ///
    /// # Errors
    /// The system's own, of the file or of the start.
    pub fn spawn(&self, argv: &[&str], log_path: &Path) -> io::Result<Child> {
        let log = std::fs::File::options().create(true).append(true).open(log_path)?;
        command(argv).stderr(log).spawn()
    }

    /// Starts this very program with other arguments, a socket as its stdin, and its stderr where ours is. It is
    /// not killed with us: it ends when the socket does.
    ///
    /// # Errors
    /// The system's own.
    pub fn attach(&self, arguments: &[&OsStr], stdin: OwnedFd) -> io::Result<Child> {
        let mut command = program(std::env::current_exe()?.as_os_str());
        command
            .args(arguments)
            .envs(crate::sabotage::passed_on())
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(false)
            .spawn()
    }
}

fn start(argv: &[&str], stdin: Stdio) -> io::Result<Child> {
    command(argv).stdin(stdin).stderr(Stdio::piped()).spawn()
}

fn command(argv: &[&str]) -> Command {
    let mut command = program(argv.first().copied().unwrap_or_default().as_ref());
    command.args(argv.iter().skip(1));
    command
}

fn program(program: &OsStr) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts a process")]
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

async fn collect(child: &mut Child, cap: u64) -> io::Result<Output> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let both = tokio::try_join!(
        fill(child.stdout.take(), &mut stdout, cap),
        fill(child.stderr.take(), &mut stderr, cap)
    );
    let status = match both {
        // Reaped only now, after both pipes ended: until then the id of the group cannot be another's.
        Ok(_) => Some(child.wait().await?),
        Err(Stop::Full) => None,
        Err(Stop::Io(error)) => return Err(error),
    };
    Ok(Output { status, stdout, stderr })
}

enum Stop {
    Full,
    Io(io::Error),
}

async fn fill(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    cap: u64,
) -> Result<(), Stop> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(cap.saturating_add(1)).read_to_end(into).await.map_err(Stop::Io)?;
    let cap = usize::try_from(cap).unwrap_or(usize::MAX);
    if into.len() <= cap {
        return Ok(());
    }
    into.truncate(cap);
    Err(Stop::Full)
}

/// The process group of a child that is not reaped yet; killed on drop.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.filter(|id| *id > 1).map(Pid::from_raw))
    }

    fn reaped(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // It may have ended by itself meanwhile: then there is nothing left to kill.
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(20), output_bytes: 1000 };

    #[tokio::test]
    async fn a_process_sees_the_closed_environment_and_nothing_on_stdin() {
        let output = Exec.run(&["env"], LIMITS).await.unwrap();
        assert!(output.succeeded());
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        assert_eq!(Exec.run(&["cat"], LIMITS).await.unwrap().stdout, b"");
        assert_eq!(Exec.run(&["pwd"], LIMITS).await.unwrap().stdout, b"/\n");
        assert!(!Exec.run(&["false"], LIMITS).await.unwrap().succeeded());
    }

    #[tokio::test]
    async fn what_cannot_be_started_is_told_by_name() {
        let error = Exec.run(&["no-such-program"], LIMITS).await.unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` could not be started");
        assert!(matches!(Exec.run(&[], LIMITS).await, Err(ExecError::Empty)));
    }

    #[tokio::test]
    async fn output_beyond_the_cap_ends_the_process() {
        let output = Exec.run(&["yes"], LIMITS).await.unwrap();
        assert_eq!((output.status, output.stdout.len()), (None, 1000));
    }

    #[tokio::test]
    async fn code_without_a_runtime_waits_for_a_process_that_will_not_end_no_longer_than_for_others()
     {
        let begun = tokio::time::Instant::now();
        let short = Limits { timeout: Duration::from_millis(300), ..LIMITS };
        let hang = ["sh", "-c", "trap '' TERM; sh -c 'trap \"\" TERM; sleep 4343' & sleep 4343"];
        let error = Exec.run_blocking(&hang, short).unwrap_err();
        assert!(matches!(error, ExecError::Timeout { .. }));
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        for _ in 0..100 {
            let list = Exec
                .run_blocking(&["ps", "-eo", "args"], Limits { output_bytes: 1 << 20, ..LIMITS });
            let list = list.unwrap().stdout;
            if !String::from_utf8_lossy(&list).lines().any(|line| line == "sleep 4343") {
                return;
            }
        }
        panic!("the grandchild lives");
    }

    #[tokio::test]
    async fn the_whole_group_dies_at_the_timeout() {
        let short = Limits { timeout: Duration::from_millis(200), ..LIMITS };
        // The grandchild would hold the pipe open, and sleep on.
        let error = Exec.run(&["sh", "-c", "sleep 4242 & wait"], short).await.unwrap_err();
        assert!(matches!(error, ExecError::Timeout { .. }));
        for _ in 0..100 {
            let list = Exec.run(&["ps", "-eo", "args"], Limits { output_bytes: 1 << 20, ..LIMITS });
            let list = list.await.unwrap().stdout;
            if !String::from_utf8_lossy(&list).lines().any(|line| line == "sleep 4242") {
                return;
            }
        }
        panic!("the grandchild lives");
    }
}
