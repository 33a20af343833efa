//! One of those who share the session.

use crate::egress::outside::{SendError, SessionEvent};
use crate::egress::permit::{Meter, Passage};
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;
use tokio::sync::mpsc::{OwnedPermit, Sender};

/// A share of the session: a passage, and where its events go.
pub(super) struct Member {
    pub(super) id: u64,
    passage: Passage,
    revoked: Pin<Box<dyn Future<Output = ()> + Send>>,
    events: Sender<SessionEvent>,
    /// The place kept for the last event, so that a full channel cannot lose it.
    last: Option<OwnedPermit<SessionEvent>>,
    /// The address it was last told of; nothing until it was told that the session is up.
    told: Option<IpAddr>,
}

impl Member {
    pub(super) fn new(id: u64, passage: Passage, events: Sender<SessionEvent>) -> Self {
        let revoked = Box::pin(passage.revoked());
        let last = events.clone().try_reserve_owned().ok();
        Self { id, passage, revoked, events, last, told: None }
    }

    pub(super) fn reached(&mut self, peer: SocketAddr) {
        self.passage.reached(peer.ip().to_canonical(), peer.port());
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        self.passage.meter()
    }

    /// Completes when the gate takes its passage back; must not be polled again after that.
    pub(super) fn poll_revoked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.revoked.as_mut().poll(cx)
    }

    /// Tells it that the session is up, or of another address. What a full channel does not take is told the
    /// next time.
    pub(super) fn tell(&mut self, epoch: u64, observed: IpAddr) {
        if self.told == Some(observed) {
            return;
        }
        let event = match self.told {
            None => SessionEvent::Up { epoch, observed },
            Some(_) => SessionEvent::Observed(observed),
        };
        if self.events.try_send(event).is_ok() {
            self.told = Some(observed);
        }
    }

    /// Hands it a visitor, who is turned away when the channel is full.
    pub(super) fn visit(&self, visitor: SessionEvent) {
        if self.events.try_send(visitor).is_err() {
            tracing::debug!("a visitor was turned away: too many wait");
        }
    }

    /// Writes its ledger line, then tells it why the session is over; nothing when it left by itself.
    pub(super) fn dismiss(self, why: Option<SendError>) {
        let Self { mut passage, last, .. } = self;
        passage.ended(why.as_ref().map_or_else(|| "ok".to_owned(), ToString::to_string));
        drop(passage);
        if let Some((last, why)) = last.zip(why) {
            last.send(SessionEvent::Down(why));
        }
    }
}
