//! `run`: the daemon in the foreground, as often as its state goes elsewhere; and the root helper beside it.

use super::print::{self, Printer};
use crate::card::Exit;
use crate::daemon::control::Listener;
use crate::daemon::feature::Row;
use crate::daemon::moving;
use crate::daemon::run::{Agent, Ended, Options, RunError};
use crate::daemon::start::{self, Standing, Started};
use crate::state::StateDir;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs the daemon until it is told to stop.
pub(super) async fn daemon(rows: &'static [Row], options: Options, printer: &Printer) -> Exit {
    match serve(rows, options).await {
        Ok(()) => Exit::Done,
        Err(Failure::Run(error)) => printer.fail(error.exit(), &print::chain(&error)),
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
    loop {
        let (ended, stood) = once(rows, &options, &state, config, standing).await?;
        standing = stood;
        match ended {
            Ended::Stopped => return Ok(()),
            Ended::Reset => moving::start_anew(&state)?,
            Ended::DiskAppeared => {
                state = moving::move_to(&options.state_dir, state, &mut standing);
            }
        }
        config = start::config(rows, &options)?;
    }
}

/// One life on one state.
async fn once(
    rows: &'static [Row],
    options: &Options,
    state: &Arc<StateDir>,
    config: crate::daemon::config::Config,
    standing: Standing,
) -> Result<(Ended, Standing), Failure> {
    let dir = state.path().map_or_else(|| start::run_dir(options), PathBuf::from);
    let mut agent = Agent::with_state(rows, options.clone(), Arc::clone(state), config)?;
    agent.set_standing(standing);
    let (asked, questions) = mpsc::channel(16);
    let listener = Listener::open(&dir).map_err(|error| Failure::Socket(dir, error))?;
    // The daemon outlives its socket: a clone keeps the channel open.
    let serving = tokio::spawn(listener.serve(asked.clone()));
    let ran = agent.run(questions).await;
    serving.abort();
    // The socket is gone before the next life makes its own.
    let _ = serving.await;
    Ok(ran?)
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
