//! Runs jobs and messages beside the event loop, and brings back what they say, in order.

use super::dial::HandParts;
use super::feature::{AnyNote, Event, JobEnd, Launch, Ticket};
use super::supervisor::Origin;
use crate::egress::outside::{Outside, Reply, SendError};
use crate::egress::permit::Permit;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// What comes back to the event loop.
pub enum Happening {
    /// An answer to a message.
    Replied(Origin, Result<Reply, SendError>),
    /// A job says something and goes on.
    Noted(&'static str, Ticket, AnyNote),
    /// A job is done.
    Done(&'static str, Ticket, Result<AnyNote, JobEnd>),
    /// Something happened to the box.
    Event(Event),
}

/// Everything that runs beside the loop. Dropping it ends it all.
pub struct Jobs {
    tasks: JoinSet<()>,
    running: HashMap<Id, (&'static str, Ticket, AbortHandle)>,
    happenings: mpsc::Sender<Happening>,
}

impl Jobs {
    /// With the way back to the loop.
    pub fn new(happenings: mpsc::Sender<Happening>) -> Self {
        Self { tasks: JoinSet::new(), running: HashMap::new(), happenings }
    }

    /// Carries a message.
    pub fn carry(&mut self, origin: Origin, permit: Permit, outside: &Arc<dyn Outside>) {
        let reply = outside.carry(permit);
        let happenings = self.happenings.clone();
        self.tasks.spawn(async move {
            // A closed channel means that the agent is stopping.
            let _ = happenings.send(Happening::Replied(origin, reply.await)).await;
        });
    }

    /// Runs a job.
    pub fn run(&mut self, feature: &'static str, ticket: Ticket, launch: Launch, parts: HandParts) {
        let happenings = self.happenings.clone();
        let task = self.tasks.spawn(drive(feature, ticket, launch, parts, happenings));
        self.running.insert(task.id(), (feature, ticket, task));
    }

    /// Ends a job.
    pub fn cancel(&mut self, feature: &'static str, ticket: Ticket) {
        self.running
            .values()
            .filter(|(name, of, _)| *name == feature && *of == ticket)
            .for_each(|(_, _, task)| task.abort());
    }

    /// Ends all jobs of a feature.
    pub fn cancel_all(&mut self, feature: &'static str) {
        self.running
            .values()
            .filter(|(name, ..)| *name == feature)
            .for_each(|(_, _, task)| task.abort());
    }

    /// Waits for a job that ended without a word, and tells how. Cancel-safe.
    pub async fn ended(&mut self) -> Option<(&'static str, Ticket, JobEnd)> {
        loop {
            let (id, end) = match self.tasks.join_next_with_id().await {
                Some(Ok((id, ()))) => (id, None),
                Some(Err(error)) => (error.id(), Some(end_of(&error))),
                // Nothing runs: there is nothing to wait for until something does.
                None => core::future::pending().await,
            };
            let known = self.running.remove(&id);
            if let (Some((feature, ticket, _)), Some(end)) = (known, end) {
                return Some((feature, ticket, end));
            }
        }
    }
}

fn end_of(error: &JoinError) -> JobEnd {
    if error.is_panic() { JobEnd::Panicked } else { JobEnd::Cancelled }
}

/// Runs a job to its end; its notes and its end go through one channel, so that they stay in order.
async fn drive(
    feature: &'static str,
    ticket: Ticket,
    launch: Launch,
    parts: HandParts,
    happenings: mpsc::Sender<Happening>,
) {
    let (notes, mut noted) = mpsc::channel(8);
    let mut job = launch(parts, notes);
    let last = loop {
        tokio::select! {
            biased;
            Some(note) = noted.recv() => {
                let _ = happenings.send(Happening::Noted(feature, ticket, note)).await;
            }
            last = &mut job => break last,
        }
    };
    while let Ok(note) = noted.try_recv() {
        let _ = happenings.send(Happening::Noted(feature, ticket, note)).await;
    }
    let _ = happenings.send(Happening::Done(feature, ticket, Ok(last))).await;
}
