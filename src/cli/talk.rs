//! Asking the agent: the running one over its socket, or, when none runs, one that lives for this question.

use super::{Failed, print};
use crate::card::Exit;
use crate::daemon::control::{self, Asked, Request};
use crate::daemon::feature::{Answer, Row};
use crate::daemon::moving;
use crate::daemon::run::{Agent, Ended, Options, RunError};
use crate::daemon::start;
use crate::state::StateDir;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Asks, and shows progress on the way.
///
/// # Errors
/// [`Failed`] when there was no way to ask.
pub async fn ask(
    rows: &'static [Row],
    options: &Options,
    request: Request,
    mut show: impl FnMut(Answer),
) -> Result<Answer, Failed> {
    match control::ask(&places(options), &request, &mut show).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => host(rows, options, request, show).await,
        Err(error) => Err(unasked(options, &error)),
    }
}

/// Whether an agent runs on this state directory, and its answer if so.
///
/// # Errors
/// [`Failed`] when it runs and cannot be asked.
pub async fn ask_running(options: &Options, request: &Request) -> Result<Option<Answer>, Failed> {
    control::ask(&places(options), request, |_| {}).await.map_err(|error| unasked(options, &error))
}

fn unasked(options: &Options, error: &std::io::Error) -> Failed {
    let dir = options.state_dir.display();
    let text = format!(
        "cannot ask the agent in {dir}: {error}\nhint: run this as root or as the agent's own user"
    );
    Failed { exit: Exit::Failed, text }
}

/// Has a decision of the owner noted: by the running agent, or on disk for the next one. Nothing is sent for it.
///
/// # Errors
/// [`Failed`] when there was no way to note it.
pub async fn decide(
    rows: &'static [Row],
    options: &Options,
    request: Request,
) -> Result<Answer, Failed> {
    if let Some(answer) = ask_running(options, &request).await? {
        return Ok(answer);
    }
    let mut agent = open(rows, options)?;
    Ok(agent.decide_stopped(&request.verb, &request.args, control::own_uid()))
}

/// Where a running agent listens: in its state directory, or, when there is none to be had, beside it.
fn places(options: &Options) -> [PathBuf; 2] {
    [options.state_dir.clone(), start::run_dir(options)]
}

/// An agent for this command alone, as the owner of its state: no file of it ever belongs to anybody else.
///
/// # Errors
/// [`Failed`] when its state or configuration cannot be had.
pub fn open(rows: &'static [Row], options: &Options) -> Result<Agent, Failed> {
    open_with(rows, options).map(|(_, agent)| agent)
}

fn open_with(rows: &'static [Row], options: &Options) -> Result<(Arc<StateDir>, Agent), Failed> {
    let opened = || {
        let config = start::step_down(rows, options)?;
        let state = Arc::new(StateDir::open(&options.state_dir)?);
        let agent = Agent::with_state(rows, options.clone(), Arc::clone(&state), config)?;
        Ok((state, agent))
    };
    opened().map_err(|error| failed(&error, options))
}

/// Why there is no agent, as a command says it.
pub fn failed(error: &RunError, options: &Options) -> Failed {
    Failed { exit: error.exit(), text: print::explain(error, options) }
}

async fn host(
    rows: &'static [Row],
    options: &Options,
    request: Request,
    mut show: impl FnMut(Answer),
) -> Result<Answer, Failed> {
    let (state, agent) = open_with(rows, options)?;
    let (asked, mut questions) = mpsc::channel(1);
    let (answers, mut answered) = mpsc::channel(8);
    // The channel was just made and has room for one.
    let _ = asked.try_send(Asked { request, uid: control::own_uid(), answers });
    drop(asked);
    let mut last = None;
    let read = async {
        while let Some(answer) = answered.recv().await {
            if answer.exit.is_some() {
                last = Some(answer);
            } else {
                show(answer);
            }
        }
    };
    let (ran, ()) = tokio::join!(agent.run(&mut questions), read);
    let (ended, _) = ran.map_err(|error| failed(&error, options))?;
    if ended == Ended::Reset {
        moving::start_anew(&state).map_err(|error| failed(&error.into(), options))?;
    }
    last.ok_or_else(|| Failed {
        exit: Exit::Failed,
        text: "stopped before there was an answer".into(),
    })
}
