//! The task that runs a session from its first member to its end.

use super::control::{self, Control, PATIENCE, Welcomed};
use super::member::Member;
use super::pulse::{Beat, Pulse, Rate, Signs};
use super::visitor::{self, Flows, VisitorFlow};
use crate::egress::faults;
use crate::egress::outside::{SendError, SessionEvent};
use crate::egress::permit::Target;
use crate::egress::quic::Dialled;
use crate::egress::shown::Shown;
use crate::identity::TicketBook;
use crate::wire::label::printable;
use crate::wire::link::{Hello, ToDevice, Visitor};
use core::net::IpAddr;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use quinn::{ConnectionError, VarInt};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a hub whose tripwire broke may take for a heartbeat.
const URGENT: Duration = Duration::from_millis(500);
/// For the last words of a broken connection and for the packet that closes one.
const PARTING: Duration = Duration::from_millis(500);

/// What members ask of the session.
pub(super) enum Command {
    /// Take me in.
    Join(Box<Member>),
    /// I am gone.
    Leave(u64),
    /// Ask the hub whether it is there.
    Probe,
}

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// What this session showed itself with, and what the next one will.
type Dressed = (Arc<rustls::ClientConfig>, Shown<rustls::ClientConfig>);
type Arrival = Option<(Visitor, VisitorFlow)>;

pub(super) struct Running {
    link: Dialled,
    to: Target,
    hello: Hello,
    tickets: Arc<TicketBook>,
    shown: Dressed,
    commands: UnboundedReceiver<Command>,
    members: Vec<Member>,
    pulse: Pulse,
    control: Option<Control>,
    /// Epoch and observed address, once welcomed.
    up: Option<(u64, IpAddr)>,
    flows: Flows,
    /// Streams whose frame is being read.
    arrivals: JoinSet<Arrival>,
    tripwire: Option<Later<()>>,
}

/// Why the loop ends; without a reason all have left.
type End = Option<SendError>;

impl Running {
    pub(super) fn new(
        link: Dialled,
        to: Target,
        (hello, tickets): (Hello, Arc<TicketBook>),
        shown: Dressed,
        commands: UnboundedReceiver<Command>,
        rate: Rate,
    ) -> Self {
        Self {
            link,
            to,
            hello,
            tickets,
            shown,
            commands,
            members: Vec::new(),
            pulse: Pulse::new(rate, Instant::now()),
            control: None,
            up: None,
            flows: Flows::default(),
            arrivals: JoinSet::new(),
            tripwire: None,
        }
    }

    pub(super) async fn run(mut self) {
        let why = self.live().await;
        self.finish(why).await;
    }

    async fn live(&mut self) -> End {
        let greeting = control::greet(self.link.connection.clone(), self.hello.clone());
        let mut greeting: Later<_> = Box::pin(tokio::time::timeout(PATIENCE, greeting));
        loop {
            let due = self.pulse.due();
            let is_up = self.up.is_some();
            let step = tokio::select! {
                command = self.commands.recv() => self.command(command),
                index = revoked(&mut self.members) => self.dismiss(index, Some(SendError::Revoked)),
                greeted = &mut greeting, if !is_up => self.greeted(greeted),
                frame = next_frame(&mut self.control) => self.frame(frame),
                () = tokio::time::sleep_until(due), if is_up => self.tick(),
                stream = self.link.connection.accept_bi(), if is_up => match stream {
                    Ok((send, recv)) => {
                        self.arrivals.spawn(visitor::arrive(send, recv, self.flows.clone()));
                        Ok(())
                    }
                    Err(e) => Err(Some(self.broken(&e).await)),
                },
                Some(arrival) = self.arrivals.join_next() => {
                    self.arrived(arrival.ok().flatten());
                    Ok(())
                }
                () = tripped(&mut self.tripwire) => {
                    self.demand();
                    Ok(())
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn command(&mut self, command: Option<Command>) -> Result<(), End> {
        match command {
            Some(Command::Join(member)) => {
                self.admit(*member);
                Ok(())
            }
            Some(Command::Leave(id)) => match self.members.iter().position(|m| m.id == id) {
                Some(index) => self.dismiss(index, None),
                None => Ok(()),
            },
            Some(Command::Probe) => {
                if let Some(control) = &self.control {
                    control.beat(self.pulse.probe(Instant::now(), signs(&self.link, &self.flows)));
                }
                Ok(())
            }
            None => Err(None),
        }
    }

    fn admit(&mut self, mut member: Member) {
        member.reached(self.link.connection.remote_address());
        if let Some((epoch, observed)) = self.up {
            member.tell(epoch, observed);
        }
        if self.members.is_empty() {
            self.link.payer.set(member.meter());
        }
        self.members.push(member);
    }

    /// Lets a member go. The last one ends the session, unless somebody comes just now.
    fn dismiss(&mut self, index: usize, why: End) -> Result<(), End> {
        while self.members.len() == 1 {
            match self.commands.try_recv() {
                Ok(Command::Join(member)) => self.admit(*member),
                Ok(Command::Leave(_) | Command::Probe) => {}
                Err(_) => return Err(why),
            }
        }
        let member = self.members.remove(index);
        if let Some(next) = self.members.first() {
            self.link.payer.set(next.meter());
        }
        member.dismiss(why);
        Ok(())
    }

    fn greeted(
        &mut self,
        greeted: Result<io::Result<Welcomed>, tokio::time::error::Elapsed>,
    ) -> Result<(), End> {
        match greeted {
            Err(_) => Err(Some(faults::timed_out(&self.to, PATIENCE))),
            Ok(Err(e)) => Err(Some(match self.link.connection.close_reason() {
                Some(closed) => self.said(&closed),
                None => faults::unreachable(&self.to, e),
            })),
            Ok(Ok((ToDevice::Welcome { epoch, observed, tripwire, ticket }, control))) => {
                // On the disk before the hub hears of it: of a lost word it makes no fork, of a lost ticket it would.
                control.ticket(self.tickets.keep(self.hello.ticket.as_deref(), &ticket));
                self.control = Some(control);
                let hub = self.link.connection.remote_address();
                let payer = self.link.payer.clone();
                self.tripwire = Some(Box::pin(control::tripwire(hub, tripwire, payer)));
                self.tell(epoch, observed);
                Ok(())
            }
            Ok(Ok((ToDevice::Goodbye { reason }, _))) => Err(Some(self.farewell(&reason))),
            Ok(Ok((ToDevice::Heartbeat { .. }, _))) => {
                Err(Some(SendError::NotUnderstood("its first frame is no welcome".into())))
            }
        }
    }

    fn frame(&mut self, frame: Option<io::Result<ToDevice>>) -> Result<(), End> {
        match frame {
            Some(Ok(ToDevice::Heartbeat { number, observed })) => {
                let signs = signs(&self.link, &self.flows);
                self.pulse.answered(number, Instant::now(), signs);
                if let Some((epoch, _)) = self.up {
                    self.tell(epoch, observed);
                }
                Ok(())
            }
            Some(Ok(ToDevice::Goodbye { reason })) => Err(Some(self.farewell(&reason))),
            Some(Ok(ToDevice::Welcome { .. })) => {
                Err(Some(SendError::NotUnderstood("it welcomed the device twice".into())))
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::InvalidData => {
                Err(Some(SendError::NotUnderstood(printable(&e.to_string(), 200))))
            }
            Some(Err(_)) | None => {
                // The stream ended: with the connection, which then says more, or alone.
                let closed = self.link.connection.close_reason();
                Err(Some(closed.map_or_else(
                    || faults::unreachable(&self.to, "it closed the control stream"),
                    |closed| self.said(&closed),
                )))
            }
        }
    }

    fn tell(&mut self, epoch: u64, observed: IpAddr) {
        let observed = observed.to_canonical();
        self.up = Some((epoch, observed));
        for member in &mut self.members {
            member.tell(epoch, observed);
        }
    }

    fn tick(&mut self) -> Result<(), End> {
        match self.pulse.tick(Instant::now(), signs(&self.link, &self.flows)) {
            Beat::Send(number) => {
                if let Some(control) = &self.control {
                    control.beat(number);
                }
                Ok(())
            }
            Beat::Dead(why) => Err(Some(faults::unreachable(&self.to, why))),
            Beat::Wait => Ok(()),
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        if let (Some((visitor, flow)), Some(member)) = (arrival, self.members.first()) {
            self.pulse.hurry(Instant::now());
            member.visit(SessionEvent::Visitor(visitor, Box::new(flow)));
        }
    }

    /// The tripwire broke: the hub must show at once that it lives.
    fn demand(&mut self) {
        self.tripwire = None;
        let wait = URGENT.max(self.link.connection.rtt().saturating_mul(2));
        let signs = signs(&self.link, &self.flows);
        if let Some(control) = &self.control {
            control.beat(self.pulse.demand(Instant::now(), signs, wait));
        }
    }

    /// Why a connection broke: the hub's own words if it said some.
    async fn broken(&mut self, error: &ConnectionError) -> SendError {
        if let Some(control) = &mut self.control
            && let Ok(Some(reason)) = tokio::time::timeout(PARTING, control.goodbye()).await
        {
            return self.farewell(&reason);
        }
        self.said(error)
    }

    fn said(&self, error: &ConnectionError) -> SendError {
        match faults::of_quinn(&self.to, error) {
            error if error.is_unknown_device() && self.shown.1.has_replaced(&self.shown.0) => {
                faults::key_changed(&self.to)
            }
            error => error,
        }
    }

    fn farewell(&self, reason: &str) -> SendError {
        faults::unreachable(&self.to, format_args!("the hub closed the session: {reason}"))
    }

    async fn finish(mut self, why: End) {
        self.link.connection.close(VarInt::from_u32(0), b"");
        self.tripwire = None;
        // Lets quinn's task write the closing packet, so that its bytes count.
        tokio::task::yield_now().await;
        self.link.payer.retire();
        self.commands.close();
        let late = why
            .clone()
            .unwrap_or_else(|| faults::unreachable(&self.to, "the session has just closed"));
        while let Some(command) = self.commands.recv().await {
            if let Command::Join(member) = command {
                member.dismiss(Some(late.clone()));
            }
        }
        for member in self.members.drain(..) {
            member.dismiss(why.clone());
        }
        let _ = tokio::time::timeout(PARTING, self.link.endpoint.wait_idle()).await;
    }
}

fn signs(link: &Dialled, flows: &Flows) -> Signs {
    Signs { flows: flows.open(), acks: link.connection.stats().frame_rx.acks }
}

/// The first member whose passage was taken back.
async fn revoked(members: &mut [Member]) -> usize {
    core::future::poll_fn(|cx| {
        match members.iter_mut().position(|m| m.poll_revoked(cx).is_ready()) {
            Some(index) => Poll::Ready(index),
            None => Poll::Pending,
        }
    })
    .await
}

async fn next_frame(control: &mut Option<Control>) -> Option<io::Result<ToDevice>> {
    match control {
        Some(control) => control.frames.recv().await,
        None => core::future::pending().await,
    }
}

async fn tripped(tripwire: &mut Option<Later<()>>) {
    match tripwire {
        Some(wire) => wire.await,
        None => core::future::pending().await,
    }
}
