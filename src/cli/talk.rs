//! Asking the agent: the running one over its socket, or, when none runs, one that lives for this question.

use super::{Failed, print};
use crate::card::Exit;
use crate::daemon::control::{self, Asked, Request};
use crate::daemon::feature::{Answer, Row};
use crate::daemon::run::{Agent, Options};
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
    match control::ask(&options.state_dir, &request, &mut show).await {
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
    control::ask(&options.state_dir, request, |_| {})
        .await
        .map_err(|error| unasked(options, &error))
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
    let mut agent = Agent::open(rows, options.clone())
        .map_err(|error| Failed { exit: error.exit(), text: print::explain(&error, options) })?;
    Ok(agent.decide_stopped(&request.verb, &request.args, control::own_uid()))
}

async fn host(
    rows: &'static [Row],
    options: &Options,
    request: Request,
    mut show: impl FnMut(Answer),
) -> Result<Answer, Failed> {
    let agent = Agent::open(rows, options.clone())
        .map_err(|error| Failed { exit: error.exit(), text: print::explain(&error, options) })?;
    let (asked, questions) = mpsc::channel(1);
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
    let (ran, ()) = tokio::join!(agent.run(questions), read);
    ran.map_err(|error| Failed { exit: error.exit(), text: print::explain(&error, options) })?;
    last.ok_or_else(|| Failed {
        exit: Exit::Failed,
        text: "stopped before there was an answer".into(),
    })
}
