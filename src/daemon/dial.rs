//! What a job may touch. Nothing else is in a feature's reach.

use crate::card::Exit;
use crate::daemon::feature::AnyNote;
use crate::egress::gate::{Gate, Refused};
use crate::egress::outside::{Flow, Outside, Reply, SendError, Session};
use crate::egress::permit::Target;
use crate::identity::Identity;
pub use crate::identity::mark::Mark;
use crate::platform::exec::Exec;
use crate::platform::root::Root;
use crate::wire::{Body, ParcelBody};
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The way out for one feature: every call passes the gate in that feature's name.
#[derive(Clone)]
pub struct Dial {
    feature: &'static str,
    gate: Gate,
    outside: Arc<dyn Outside>,
}

impl Dial {
    /// For one feature.
    pub fn new(feature: &'static str, gate: Gate, outside: Arc<dyn Outside>) -> Self {
        Self { feature, gate, outside }
    }

    /// Sends one message and waits for its answer.
    ///
    /// # Errors
    /// [`SendError::Refused`] by the gate, or what the carrier met.
    pub async fn send<T: ParcelBody>(&self, body: &T) -> Result<Reply, SendError> {
        let permit = self.gate.pass(self.feature, &Body::of(body))?;
        self.outside.carry(permit).await
    }

    /// Joins the session to the hub. `heartbeat` is the time between two signs of life while nothing flows.
    ///
    /// # Errors
    /// As [`Dial::send`].
    pub async fn session<T: ParcelBody>(
        &self,
        hello: &T,
        heartbeat: Duration,
    ) -> Result<Session, SendError> {
        let passage = self.gate.passage(self.feature, &Body::of(hello), None)?;
        self.outside.session(passage, heartbeat).await
    }

    /// Connects to a published service of this box or its network.
    ///
    /// # Errors
    /// As [`Dial::send`].
    pub async fn local<T: ParcelBody>(&self, body: &T, to: Target) -> Result<Flow, SendError> {
        let passage = self.gate.passage(self.feature, &Body::of(body), Some(to))?;
        self.outside.local(passage).await
    }
}

/// The hands of a job: the way out, the device's key, files below the root, programs, and a way to
/// tell its feature something before it is done.
pub struct Hands<N> {
    /// The way out.
    pub dial: Dial,
    /// The key and certificates of this device.
    pub identity: Arc<Identity>,
    /// Files of the system, below `--root`.
    pub root: Root,
    /// The only way to start a program.
    pub exec: Exec,
    notes: mpsc::Sender<AnyNote>,
    kind: PhantomData<fn(N)>,
}

impl<N: Send + 'static> Hands<N> {
    /// Puts the hands together.
    pub fn new(parts: HandParts, notes: mpsc::Sender<AnyNote>) -> Self {
        let HandParts { dial, identity, root, exec } = parts;
        Self { dial, identity, root, exec, notes, kind: PhantomData }
    }

    /// Tells the feature something before the job is done. Waits while the feature is behind.
    pub async fn note(&self, note: N) {
        // Without a receiver the job is about to be cancelled.
        let _ = self.notes.send(Box::new(note)).await;
    }
}

/// [`Hands`] before it is known whose they are.
#[derive(Clone)]
pub struct HandParts {
    /// See [`Hands::dial`].
    pub dial: Dial,
    /// See [`Hands::identity`].
    pub identity: Arc<Identity>,
    /// See [`Hands::root`].
    pub root: Root,
    /// See [`Hands::exec`].
    pub exec: Exec,
}

/// The exit code a failed sending ends a command with.
pub const fn exit_of(error: &SendError) -> Exit {
    match error {
        SendError::NoAddress { .. }
        | SendError::Unreachable { .. }
        | SendError::TimedOut { .. } => Exit::HubUnreachable,
        SendError::Refused(Refused::NoConsent(_) | Refused::Denied(_)) => Exit::Consent,
        SendError::Refused(_)
        | SendError::NotTrusted { .. }
        | SendError::Declined { .. }
        | SendError::CertificateExpired
        | SendError::Quarantined { .. }
        | SendError::NoIdentity(_)
        | SendError::NotUnderstood(_)
        | SendError::Revoked => Exit::Failed,
    }
}
