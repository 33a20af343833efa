//! The job of the link: keeps the session, ends the visitors' TLS, and pumps.

use super::services::{Service, Services};
use super::{Certificate, Job, Note, Visit};
use crate::daemon::dial::Hands;
use crate::egress::outside::{Duplex, Flow, SendError, SessionEvent};
use crate::egress::pump::pump;
use crate::wire::label::Label;
use crate::wire::link::{Origin, VISITOR_WAIT, Verdict, Visitor};
use core::net::IpAddr;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// What a visitor gets whose service does not answer.
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\ncontent-length: 59\r\nconnection: close\r\n\r\nThe device is there, but this service of it does not answer";

/// Serves visitors until the session is over, and tells why it is.
pub(super) async fn serve(job: Job, hands: &Hands<Note>) -> SendError {
    let web = match hands.identity.web(&job.host) {
        Ok(web) => web,
        Err(error) => {
            return SendError::NotUnderstood(format!("no certificate for visitors: {error}"));
        }
    };
    let certificate = Certificate { fingerprint: web.fingerprint(), pem: web.pem().into() };
    hands.note(Note::Certificate(certificate)).await;
    let mut session = match hands.dial.session(&hands.identity.hello(), job.heartbeat).await {
        Ok(session) => session,
        Err(error) => return error,
    };
    let acceptor = TlsAcceptor::from(web.server_config());
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            event = session.events.recv() => match event {
                Some(SessionEvent::Up { epoch, observed }) => hands.note(Note::Up { epoch, observed }).await,
                Some(SessionEvent::Observed(address)) => hands.note(Note::Observed(address)).await,
                Some(SessionEvent::Visitor(visitor, flow)) => {
                    let door = Door {
                        host: job.host.clone(),
                        published: job.published.clone(),
                        acceptor: acceptor.clone(),
                        dial: hands.dial.clone(),
                    };
                    visits.spawn(door.receive(visitor, flow));
                }
                Some(SessionEvent::Down(error)) => return error,
                None => return SendError::Revoked,
            },
            Some(visit) = visits.join_next() => {
                // A visit that panicked is over like any other; the panic itself was logged.
                if let Ok(Some(visit)) = visit {
                    hands.note(Note::Visited(visit)).await;
                }
            }
        }
    }
}

/// Everything needed to let one visitor in.
struct Door {
    host: String,
    published: watch::Receiver<Services>,
    acceptor: TlsAcceptor,
    dial: crate::daemon::dial::Dial,
}

impl Door {
    /// Takes a visitor in, or refuses in one byte that says nothing about why.
    async fn receive(mut self, visitor: Visitor, mut flow: Flow) -> Option<Visit> {
        let meant = self.published.borrow_and_update().meant_by(&visitor.host, &self.host);
        let Some((name, service)) = meant else {
            let _ = flow.write_all(&[Verdict::Refused.byte()]).await;
            let _ = flow.shutdown().await;
            return None;
        };
        let begun = Instant::now();
        flow.write_all(&[Verdict::Welcome.byte()]).await.ok()?;
        let mut published = self.published.clone();
        let (bytes, ended) = tokio::select! {
            done = self.carry(&name, &service, flow) => done,
            () = unpublished(&mut published, &name, &service) => ((0, 0), "unpublished".into()),
        };
        Some(visit(name, visitor.from, bytes, begun.elapsed().as_secs(), ended))
    }

    /// Ends the visitor's TLS and pumps its bytes to the service and back.
    async fn carry(&self, name: &Label, service: &Service, flow: Flow) -> ((u64, u64), String) {
        if crate::sabotage::off("link-tls") {
            return self.hand_over(name, service, flow).await;
        }
        match timeout(VISITOR_WAIT, self.acceptor.accept(flow)).await {
            Ok(Ok(visitor)) => self.hand_over(name, service, visitor).await,
            Ok(Err(error)) => ((0, 0), format!("TLS: {error}")),
            Err(_) => ((0, 0), "the TLS handshake took too long".into()),
        }
    }

    /// Pumps between a visitor and the service.
    async fn hand_over(
        &self,
        name: &Label,
        service: &Service,
        mut visitor: impl Duplex,
    ) -> ((u64, u64), String) {
        let origin = Origin { service: name.to_string() };
        match self.dial.local(&origin, service.target()).await {
            Ok(local) => {
                let (from_visitor, to_visitor, result) = pump(visitor, local).await;
                let ended = result.map_or_else(|e| e.to_string(), |()| "closed".into());
                ((from_visitor, to_visitor), ended)
            }
            Err(error) => {
                let _ = visitor.write_all(BAD_GATEWAY).await;
                let _ = visitor.shutdown().await;
                ((0, 0), error.to_string())
            }
        }
    }
}

/// Completes when the service is no longer published as it was.
async fn unpublished(published: &mut watch::Receiver<Services>, name: &Label, service: &Service) {
    // The sender lives as long as the feature; without it the job is being cancelled.
    let _ = published.wait_for(|services| services.get(name) != Some(service)).await;
}

fn visit(name: Label, from: IpAddr, bytes: (u64, u64), seconds: u64, ended: String) -> Visit {
    let (from_visitor, to_visitor) = bytes;
    tracing::info!(service = %name, from_visitor, to_visitor, seconds, ended, "a visit ended");
    Visit { service: name.to_string(), from, to_visitor, from_visitor, seconds, ended }
}
