//! `qcloud-hub` on the command line.

mod access;
mod admin;
mod desk;
mod fleet;
mod init;
mod keeping;
mod license;
mod table;
mod tree;

pub use self::tree::tree;

use super::config::Config;
use super::keeping::Keeping;
use super::keeping::restore::is_unfinished;
use super::log;
use super::seal::Seal;
use super::seal_key::{self, BadSealKey};
use super::serve::{ServeError, Serving, start};
use super::store::sqlite::SqliteStore;
use crate::card::Exit;
use crate::clock::{Clock, Wall};
use crate::wire::label::acts;
use clap::ArgMatches;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// What failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    /// A command that helps.
    pub hint: Option<String>,
    /// What the process exits with.
    pub exit: Exit,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, exit: Exit::Failed }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// One line of an error and all it was caused by.
    fn of(error: &dyn core::error::Error) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        Self::new(what.replace('\n', " "))
    }
}

/// Runs one command line, program name first, says an error once, and gives the exit code.
pub fn main(args: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let matches = match tree().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // A terminal that is gone takes no text.
            let text: String = error.render().to_string();
            // It shows what was typed as it was typed.
            let text: String =
                text.chars().map(|c| if c != '\n' && acts(c) { '?' } else { c }).collect();
            if error.use_stderr() {
                let _ = io::stderr().lock().write_all(text.as_bytes());
                return Exit::Usage;
            }
            print(&text);
            return Exit::Done;
        }
    };
    let serving = matches.subcommand_matches("serve");
    log::start(serving.is_some_and(|args| args.get_flag("debug")));
    run(&matches).unwrap_or_else(|failure| {
        let hint = failure.hint.as_ref().map(|hint| format!("hint: {hint}\n"));
        let text = format!("qcloud-hub: {failure}\n{}", hint.unwrap_or_default());
        let _ = io::stderr().lock().write_all(text.as_bytes());
        failure.exit
    })
}

/// Runs what the command line asks for.
///
/// # Errors
/// [`Failure`], to be said once.
pub fn run(matches: &ArgMatches) -> Result<Exit, Failure> {
    let runtime = runtime()?;
    let outcome = match matches.subcommand() {
        Some(("init", args)) => init::init(args),
        Some(("serve", args)) => runtime.block_on(serve(&dir(args), args.get_flag("ready"))),
        Some(("approve", args)) => runtime.block_on(admin::approve(args)),
        Some(("deny", args)) => runtime.block_on(admin::deny(args)),
        Some(("release", args)) => runtime.block_on(desk::release(args)),
        Some(("devices", args)) => runtime.block_on(desk::devices(args)),
        Some(("revoke", args)) => runtime.block_on(desk::revoke(args)),
        Some(("authkey", args)) => runtime.block_on(fleet::authkey(args)),
        Some(("pending", args)) => runtime.block_on(admin::pending(args)),
        Some(("user", args)) => runtime.block_on(desk::user(args)),
        Some(("device", args)) => runtime.block_on(desk::device(args)),
        Some(("audit", args)) => runtime.block_on(desk::audit(args)),
        Some(("health", args)) => runtime.block_on(desk::health(args)),
        Some(("access-log", args)) => runtime.block_on(access::access_log(args)),
        Some(("backup", args)) => runtime.block_on(keeping::backup(args)),
        Some(("restore", args)) => keeping::restore(args),
        Some(("license", args)) => runtime.block_on(license::license(args)),
        Some(("hold", args)) => runtime.block_on(keeping::hold(args)),
        Some(_) | None => Err(Failure::new("no such command")),
    };
    // Tasks that hang do not hold the process up.
    runtime.shutdown_background();
    outcome
}

/// Two workers: more bought nothing on the machines this was measured on (579 Mbit/s with two, 380 with one).
fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    built.map_err(|e| Failure::new(format!("the runtime could not be started: {e}")))
}

/// The store of a hub, and what seals it.
fn open_store(dir: &Path, config: &Config) -> Result<(SqliteStore, Arc<Seal>), Failure> {
    let bad = |e: BadSealKey| Failure::of(&e).hint(e.hint());
    let seal = Arc::new(seal_key::load(dir, config).map_err(bad)?);
    if is_unfinished(dir) {
        let hint = format!("qcloud-hub restore --dir {} FILE", dir.display());
        return Err(Failure::new("a restore was begun and not finished").hint(hint));
    }
    let keeping = Arc::new(Keeping::new(dir, Arc::clone(&seal), clock()));
    Ok((seal_key::open_store(dir, config, &seal).map_err(bad)?.with(keeping), seal))
}

fn dir(args: &ArgMatches) -> PathBuf {
    args.get_one::<PathBuf>("dir").cloned().unwrap_or_default()
}

fn clock() -> Clock {
    Clock::system(Wall::default())
}

/// Prints the answer. A reader that is gone (`| head`) is no failure.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says something beside the answer.
fn say(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

async fn serve(dir: &Path, announce: bool) -> Result<Exit, Failure> {
    let wait = |kind| signal(kind).map_err(|e| Failure::new(format!("no signal handler: {e}")));
    let (mut terminate, mut interrupt) =
        (wait(SignalKind::terminate())?, wait(SignalKind::interrupt())?);
    let mut serving: Serving = start(dir, clock()).await.map_err(|e| {
        let failure = Failure::of(&e);
        if !dir.join(super::config::FILE).exists() {
            return failure.hint(init_hint(dir));
        }
        if let ServeError::Seal(bad) = &e { failure.hint(bad.hint()) } else { failure }
    })?;
    if announce {
        let line = serde_json::to_string(&serving.ready).map_err(|e| Failure::of(&e))?;
        print(&format!("{line}\n"));
    }
    let broken = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = serving.broken() => true,
    };
    serving.stop().await;
    if broken {
        return Err(Failure::new("a part of the hub ended; its log says why"));
    }
    Ok(Exit::Done)
}

fn init_hint(dir: &Path) -> String {
    format!("qcloud-hub init --zone example.net --dir {}", dir.display())
}
