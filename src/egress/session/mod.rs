//! The one session to the hub, shared by all who need it: the first to join dials, the last to leave closes.
//!
//! For now visitors are the only thing that comes through it, and they go to whoever joined first.

mod control;
mod member;
mod pulse;
mod running;
#[cfg(test)]
mod tests;
mod visitor;

use super::datagrams::Payer;
use super::faults;
use super::ledger::Outcome;
use super::outside::{self, SendError};
use super::permit::{Passage, Target};
use super::quic::{self, Begun, Memory};
use super::resolver::Resolver;
use super::shown::Shown;
use crate::card::Carriage;
use crate::identity::TicketBook;
use crate::wire::link::Hello;
use core::time::Duration;
use member::Member;
use pulse::Rate;
use running::{Command, Running};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{self, UnboundedSender};

/// Events that wait for a member; beyond it visitors are turned away. A browser opens at most 6 connections to
/// one host with HTTP/1.1.
const EVENTS: usize = 256;
/// How fast a dead hub shows while a visitor waits.
const BUSY: Duration = Duration::from_secs(1);

/// What a session is run with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How large its windows may be.
    pub memory: Memory,
    busy: Duration,
}

impl Settings {
    /// With heartbeats every second while a visitor is there.
    pub const fn new(memory: Memory) -> Self {
        Self { memory, busy: BUSY }
    }
}

/// The session, whether it stands or not.
pub struct Sessions {
    resolver: Arc<Resolver>,
    settings: Settings,
    tls: Shown<rustls::ClientConfig>,
    /// Held while dialling, so that all who come meanwhile share the result.
    current: Mutex<Option<Shared>>,
    members: AtomicU64,
    tickets: Arc<TicketBook>,
}

struct Shared {
    to: Target,
    commands: UnboundedSender<Command>,
}

/// A member's place; dropped, the member leaves.
struct Hold {
    member: u64,
    commands: UnboundedSender<Command>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A session that is over has no members.
        let _ = self.commands.send(Command::Leave(self.member));
    }
}

impl Sessions {
    /// No session yet, and no certificate for one. What the hub gives to be shown next is kept in `tickets`.
    pub fn new(resolver: Arc<Resolver>, settings: Settings, tickets: Arc<TicketBook>) -> Self {
        let (tls, current) = (Shown::default(), Mutex::default());
        Self { resolver, settings, tls, current, members: AtomicU64::new(0), tickets }
    }

    /// Sets what the next session shows itself with: TLS 1.3 only, ALPN `qcloud/1`, client certificate.
    pub fn set_tls(&self, tls: Option<Arc<rustls::ClientConfig>>) {
        self.tls.set(tls);
    }

    /// Asks the hub at once whether it is there: the network changed, or the box woke up. Does nothing
    /// without a session.
    pub fn probe(&self) {
        // Locked means that somebody dials, which is the same question.
        if let Ok(current) = self.current.try_lock()
            && let Some(shared) = &*current
        {
            let _ = shared.commands.send(Command::Probe);
        }
    }

    /// Completes when there is no session, or when the one there is has told the hub that it ends.
    pub async fn over(&self) {
        let commands = self.current.lock().await.as_ref().map(|shared| shared.commands.clone());
        if let Some(commands) = commands {
            commands.closed().await;
        }
    }

    /// Joins the session, dialling it with heartbeats every `heartbeat` when there is none to that hub. [`outside::SessionEvent::Up`] follows once the
    /// hub has welcomed the device.
    ///
    /// The bytes of the connection's UDP datagrams count for the passage that joined first, and for the next
    /// one when that leaves. Cancel-safe: dropped half-way, its line says `given up`.
    ///
    /// # Errors
    /// [`SendError`] when nobody answers within 5 s of the look-up, the peer is not the hub, this device has
    /// no certificate, or the passage was taken back meanwhile.
    pub async fn join(
        &self,
        mut passage: Passage,
        heartbeat: Duration,
    ) -> Result<outside::Session, SendError> {
        passage.ended("given up");
        let joined = tokio::select! {
            () = passage.revoked() => Err(SendError::Revoked),
            joined = self.shared_or_dialled(&passage, heartbeat) => joined,
        };
        let commands = match joined {
            Ok(commands) => commands,
            Err(error) => {
                passage.ended(error.to_string());
                return Err(error);
            }
        };
        let id = self.members.fetch_add(1, Ordering::Relaxed);
        let to = passage.permit().to().clone();
        let (sender, events) = mpsc::channel(EVENTS);
        let join = Command::Join(Box::new(Member::new(id, passage, sender)));
        if let Err(mpsc::error::SendError(Command::Join(member))) = commands.send(join) {
            member.dismiss(Some(faults::unreachable(&to, "the session has just closed")));
        }
        Ok(outside::Session { events, hold: Box::new(Hold { member: id, commands }) })
    }

    /// Where to join: a session that stands, or a new one.
    async fn shared_or_dialled(
        &self,
        passage: &Passage,
        heartbeat: Duration,
    ) -> Result<UnboundedSender<Command>, SendError> {
        let to = passage.permit().to().clone();
        if !matches!(passage.permit().parcel().how, Carriage::Session) {
            return Err(faults::unreachable(&to, "this parcel does not go through the session"));
        }
        let mut current = self.current.lock().await;
        if let Some(shared) = current.as_ref().filter(|shared| shared.to == to)
            && !shared.commands.is_closed()
        {
            return Ok(shared.commands.clone());
        }
        let tls = self.tls.get().ok_or_else(|| {
            faults::unreachable(&to, "this device has no certificate of the hub yet")
        })?;
        let hello = self.hello(passage)?;
        let addresses = self.resolver.resolve(passage.permit()).await?;
        let late = passage.permit().gate().late();
        let payer = Payer::new(passage.meter(), late);
        let begun = Begun::default();
        let memory = self.settings.memory;
        let dialled = quic::dial(&to, Arc::clone(&tls), &addresses, memory, &payer, &begun).await;
        let served = dialled.as_ref().ok().map(|link| link.connection.remote_address());
        let mut others = begun.but(served);
        if dialled.is_err()
            && let Some(last) = others.pop()
        {
            passage.reached(last.ip(), last.port());
        }
        for peer in others {
            // Their bytes stand on the passage's own line.
            let peer = Some((peer.ip(), peer.port()));
            let result = "tried: it did not serve".into();
            passage.permit().tried(Outcome { peer, result, ..Outcome::default() });
        }
        let dialled = dialled?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let rate = Rate { idle: heartbeat, busy: self.settings.busy };
        let hello = (hello, Arc::clone(&self.tickets));
        let shown = (tls, self.tls.clone());
        tokio::spawn(Running::new(dialled, to.clone(), hello, shown, receiver, rate).run());
        *current = Some(Shared { to, commands: commands.clone() });
        Ok(commands)
    }

    /// The hello as it was declared. While it waited for its turn another session may have brought a newer ticket:
    /// this one would look like that of a copy.
    fn hello(&self, passage: &Passage) -> Result<Hello, SendError> {
        let permit = passage.permit();
        let hello: Hello = serde_json::from_slice(permit.body())
            .map_err(|e| faults::unreachable(permit.to(), format_args!("no hello: {e}")))?;
        if hello.ticket != self.tickets.held() {
            return Err(faults::unreachable(permit.to(), "another session has just been there"));
        }
        Ok(hello)
    }
}
