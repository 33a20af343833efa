//! The world outside as it really is: HTTPS, the QUIC session, and TCP to services of this box.

pub use super::session::Settings;

use super::faults;
use super::https::Https;
use super::local;
use super::outside::{Flow, Outside, Pending, Reply, SendError, Session, UNKNOWN};
use super::permit::{Passage, Permit};
use super::resolver::Resolver;
use super::session::Sessions;
use super::shown::Shown;
use super::underway::Underway;
use crate::card::Carriage;
use crate::clock::Clock;
use crate::identity::{HubTls, TicketBook};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

/// Says whether an address is one of this machine's own.
pub type IsOwn = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// All carriers. Opens nothing before it is given a permit.
pub struct Carriers {
    resolver: Arc<Resolver>,
    sessions: Arc<Sessions>,
    https: Shown<Https>,
    is_own: IsOwn,
    clock: Clock,
    clock_trouble: Arc<ClockTrouble>,
}

/// What the last meeting with the hub said against this device's clock.
#[derive(Default)]
struct ClockTrouble(Mutex<Option<String>>);

impl ClockTrouble {
    /// A meeting that succeeded clears the clock; one that failed otherwise says nothing about it.
    fn learn<T>(&self, result: &Result<T, SendError>) {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => *trouble = None,
            Err(error) if error.is_clock() => *trouble = Some(error.to_string()),
            Err(_) => {}
        }
    }
}

impl Carriers {
    /// Carriers without a hub.
    pub fn new(
        resolver: Resolver,
        settings: Settings,
        tickets: Arc<TicketBook>,
        is_own: IsOwn,
        clock: Clock,
    ) -> Self {
        let resolver = Arc::new(resolver);
        let sessions = Arc::new(Sessions::new(Arc::clone(&resolver), settings, tickets));
        Self {
            resolver,
            sessions,
            https: Shown::default(),
            is_own,
            clock,
            clock_trouble: Arc::default(),
        }
    }

    /// Sets how the hub is recognised and what it is shown, for everything that begins from now on. The gate
    /// says where it is, and takes back what still goes to another.
    pub fn set_hub(&self, tls: Option<HubTls>) {
        self.sessions.set_tls(tls.as_ref().and_then(|tls| tls.session.clone()));
        let https = tls
            .map(|tls| Arc::new(Https::new(tls, Arc::clone(&self.resolver), self.clock.clone())));
        self.https.set(https);
    }

    /// Replaces the name servers.
    pub fn set_servers(&self, servers: Vec<SocketAddr>) {
        self.resolver.set_servers(servers);
    }

    /// Replaces the names that need no name server.
    pub fn set_hosts(&self, hosts: Vec<(String, IpAddr)>) {
        self.resolver.set_hosts(hosts);
    }

    /// Asks the hub at once whether the session stands: the network changed, or the box woke up.
    pub fn probe(&self) {
        self.sessions.probe();
    }

    /// Why the hub is not met as long as this device's clock says what it says.
    pub fn clock_trouble(&self) -> Option<String> {
        self.clock_trouble.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Completes when the session, if there is one, has ended in order.
    pub async fn goodbye(&self) {
        self.sessions.over().await;
    }
}

impl Outside for Carriers {
    fn carry(&self, permit: Permit) -> Pending<Result<Reply, SendError>> {
        let shown = self.https.clone();
        let trouble = Arc::clone(&self.clock_trouble);
        Box::pin(async move {
            let why = match (permit.parcel().how, shown.get()) {
                (Carriage::Https { .. }, Some(https)) => {
                    let to = permit.to().clone();
                    let reply = https.carry(permit).await;
                    trouble.learn(&reply);
                    let is_of_before =
                        |reply: &Reply| reply.status == UNKNOWN && shown.has_replaced(&https);
                    return match reply {
                        Ok(reply) if is_of_before(&reply) => Err(faults::key_changed(&to)),
                        reply => reply,
                    };
                }
                (Carriage::Https { .. }, None) => "there is no TLS configuration for a hub",
                (Carriage::Session | Carriage::Lookup | Carriage::Local, _) => {
                    "this parcel is not carried as one message"
                }
            };
            let error = faults::unreachable(permit.to(), why);
            Underway::new(permit).finish(error.to_string());
            Err(error)
        })
    }

    fn session(
        &self,
        passage: Passage,
        heartbeat: Duration,
    ) -> Pending<Result<Session, SendError>> {
        let (sessions, trouble) = (Arc::clone(&self.sessions), Arc::clone(&self.clock_trouble));
        Box::pin(async move {
            let joined = sessions.join(passage, heartbeat).await;
            trouble.learn(&joined);
            joined
        })
    }

    fn local(&self, passage: Passage) -> Pending<Result<Flow, SendError>> {
        let is_own = Arc::clone(&self.is_own);
        Box::pin(async move { local::connect(passage, |ip| is_own(ip)).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::quic::Memory;
    use crate::egress::testing::{
        clock, device_permit, gate, lines, permit, pki, service_passage, session_passage, target,
        tickets,
    };
    use crate::wire::API_ALPN;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HEARTBEAT: Duration = Duration::from_secs(25);

    fn carriers() -> Carriers {
        let resolver = Resolver::new(vec![], vec![], clock());
        let settings = Settings::new(Memory::Ample);
        Carriers::new(resolver, settings, tickets(), Arc::new(|_| false), clock())
    }

    #[tokio::test]
    async fn without_a_hub_everything_fails_in_words_and_on_record() {
        let carriers = carriers();
        let gate = gate(target("hub.example.test", 443));
        let error = carriers.carry(permit(&gate)).await.unwrap_err().to_string();
        assert!(error.ends_with("there is no TLS configuration for a hub"), "{error}");
        let error =
            carriers.session(session_passage(&gate), HEARTBEAT).await.err().unwrap().to_string();
        assert!(error.ends_with("no certificate of the hub yet"), "{error}");
        assert!(lines(&gate).iter().all(|line| line.result != "ok" && line.up == 0));
        let tls = pki(b"http/1.1").trusting;
        carriers.set_hub(Some(HubTls { anonymous: tls, device: None, session: None }));
        let error = carriers.carry(permit(&gate)).await.unwrap_err().to_string();
        assert!(error.ends_with("this device has no name server"), "{error}");
    }

    #[tokio::test]
    async fn what_the_hub_says_to_the_key_of_before_is_not_said_to_the_new_one() {
        let (pki, carriers) = (pki(API_ALPN), carriers());
        let show = || {
            let (anonymous, device) = (Arc::clone(&pki.trusting), Some(Arc::clone(&pki.trusting)));
            carriers.set_hub(Some(HubTls { anonymous, device, session: None }));
        };
        carriers.set_hosts(vec![("hub.example.test".into(), IpAddr::from([127, 0, 0, 1]))]);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&pki.server));
        for is_changed in [false, true] {
            show();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let gate = gate(target("hub.example.test", port));
            let hub = async {
                let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                while tls.read_u8().await.unwrap() != b'}' {}
                if is_changed {
                    show();
                }
                tls.write_all(b"HTTP/1.1 401 Who\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            };
            let (reply, ()) = tokio::join!(carriers.carry(device_permit(&gate)), hub);
            match reply {
                Ok(reply) => assert_eq!((reply.status, is_changed), (UNKNOWN, false)),
                Err(error) => {
                    assert!(is_changed && !error.is_unknown_device(), "{error}");
                    assert!(!error.is_final(), "{error}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_parcel_does_not_go_another_way_than_its_own() {
        let carriers = carriers();
        let gate = gate(target("hub.example.test", 443));
        assert!(carriers.local(session_passage(&gate)).await.is_err());
        let (_, passage) = service_passage(target("127.0.0.1", 1));
        assert!(carriers.session(passage, HEARTBEAT).await.is_err());
    }
}
