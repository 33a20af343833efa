//! `run`: the daemon in the foreground, as often as its state goes elsewhere; and the root helper beside it.

use super::print::{self, Printer};
use crate::card::Exit;
use crate::daemon::control::Listener;
use crate::daemon::feature::Row;
use crate::daemon::moving;
use crate::daemon::run::{Agent, Ended, Options, RunError};
use crate::daemon::start::{self, Started};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs the daemon until it is told to stop.
pub(super) async fn daemon(rows: &'static [Row], options: Options, printer: &Printer) -> Exit {
    let told = options.clone();
    match serve(rows, options).await {
        Ok(()) => Exit::Done,
        Err(Failure::Run(error)) => printer.fail(error.exit(), &print::explain(&error, &told)),
        Err(Failure::Socket(dir, error)) => {
            let text = format!("cannot open the control socket in {}: {error}", dir.display());
            printer.fail(Exit::Failed, &text)
        }
    }
}

enum Failure {
    Run(RunError),
    Socket(PathBuf, std::io::Error),
}

impl<E: Into<RunError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}

async fn serve(rows: &'static [Row], options: Options) -> Result<(), Failure> {
    let Started { mut config, mut standing } = start::start(rows, &options).await?;
    let mut state = Arc::new(moving::open(&options.state_dir, standing.place)?);
    // Who asks between two lives is answered in the second one.
    let (asked, mut questions) = mpsc::channel(16);
    let mut listens_in = None;
    loop {
        let mut agent =
            Agent::with_state(rows, options.clone(), Arc::clone(&state), config.clone())?;
        agent.keep_identity()?;
        agent.set_standing(standing);
        let dir = state.path().map_or_else(|| start::run_dir(&options), PathBuf::from);
        // Before anybody can ask for anything.
        agent.keep_journal(&dir);
        if listens_in.as_ref() != Some(&dir) {
            let listener = Listener::open(&dir);
            let listener = listener.map_err(|error| Failure::Socket(dir.clone(), error))?;
            // The daemon outlives its socket: a clone keeps the channel open.
            tokio::spawn(listener.serve(asked.clone()));
            listens_in = Some(dir);
        }
        let (ended, stood) = agent.run(&mut questions).await?;
        standing = stood;
        match ended {
            Ended::Stopped => return Ok(()),
            Ended::Reset => moving::start_anew(&state)?,
            Ended::DiskAppeared => {
                state = moving::move_to(&options.state_dir, state, &mut standing);
            }
        }
        match start::config(rows, &options) {
            Ok(read) => config = read,
            Err(error) => tracing::error!(%error, "the configuration of the last life serves on"),
        }
    }
}

/// The root helper, until its daemon is gone.
pub(super) async fn root_helper(
    rows: &'static [Row],
    options: &Options,
    user: &str,
    printer: &Printer,
) -> Exit {
    match start::serve_root(rows, options, user).await {
        Ok(()) => Exit::Done,
        Err(error) => printer.fail(Exit::Failed, &print::chain(&error)),
    }
}

/// `reset`: has key and state erased, here and at the hub.
pub(super) async fn reset(
    rows: &'static [Row],
    options: &Options,
    yes: bool,
    printer: &Printer,
) -> Exit {
    use crate::daemon::control::{DAEMON, Request};
    let args = serde_json::json!({ "yes": yes });
    let request = Request { noun: DAEMON.into(), verb: "reset".into(), args };
    match super::talk::ask(rows, options, request, |progress| printer.progress(&progress)).await {
        Ok(answer) => printer.answer(&answer),
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}
