//! The front door on TCP: the hub's own API, devices' tripwires, and visitors of devices, told apart by
//! their first bytes.

use super::access;
use super::api::{self, Api};
use super::dns::zone::LINK;
use super::hello::{self, Opening, Prefixed};
use super::metrics::{CONNECTIONS, VISITS};
use super::pages::Site;
use super::presence::Token;
use super::relay::{self, Caller};
use super::state::Hub;
use crate::wire::privacy::Restrictable;
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a connection may take to say who is meant: two lost packets on a slow line, and a busy phone.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// Connections to the API, or not yet known to be what, at once.
const MAX_OWN: usize = 1024;
/// Visitors at once.
const MAX_VISITORS: usize = 8192;
/// How long to wait after an error of the listener (no file descriptors), so that it does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
pub async fn serve(listener: TcpListener, hub: Arc<Hub>, api: Api, site: Option<Site>) {
    let own = Arc::new(Semaphore::new(MAX_OWN));
    let door = Arc::new(Door { hub, api, site, visitors: Arc::new(Semaphore::new(MAX_VISITORS)) });
    loop {
        // The semaphore is never closed; waiting here leaves new connections in the kernel's queue.
        let Ok(place) = Arc::clone(&own).acquire_owned().await else { return };
        let Ok((tcp, from)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        super::listen::tune(&tcp);
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.open(tcp, from.ip().to_canonical(), place).await });
    }
}

struct Door {
    hub: Arc<Hub>,
    api: Api,
    site: Option<Site>,
    visitors: Arc<Semaphore>,
}

/// Whom a name means.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Hub,
    Pages,
    Device(String),
    Nobody,
}

impl Meant {
    /// As it is counted: whom it means, and never by which name (promise Y3).
    const fn word(&self) -> &'static str {
        match self {
            Self::Hub => "api",
            Self::Pages => "pages",
            Self::Device(_) => "device",
            Self::Nobody => "nobody",
        }
    }
}

impl Door {
    async fn open(&self, mut tcp: TcpStream, from: IpAddr, place: OwnedSemaphorePermit) {
        let opening = timeout(HELLO_WAIT, hello::read(&mut tcp)).await;
        let Ok(Ok(opening)) = opening else { return relay::refuse(tcp).await };
        match opening {
            Opening::Tripwire(token) => {
                CONNECTIONS.count("tripwire");
                drop(place);
                self.hold(tcp, &token).await;
            }
            Opening::Tls { name, kept } => {
                let meant = match (&self.site, name.as_deref()) {
                    (Some(site), Some(name)) if site.is(name) => Meant::Pages,
                    (_, name) => meant(name, &self.hub.config.host, &self.hub.config.zone),
                };
                CONNECTIONS.count(meant.word());
                match meant {
                    Meant::Pages => {
                        access::note(&self.hub, from, access::Door::Pages).await;
                        if let Some(site) = &self.site {
                            site.converse(Prefixed::new(kept, tcp), from).await;
                        }
                        drop(place);
                    }
                    Meant::Hub => {
                        access::note(&self.hub, from, access::Door::Api).await;
                        self.api.converse(Prefixed::new(kept, tcp), api::Peer::at(from)).await;
                        drop(place);
                    }
                    Meant::Device(device) => {
                        drop(place);
                        let host = name.unwrap_or_default();
                        self.visit(tcp, from, kept, (host, device)).await;
                    }
                    Meant::Nobody => relay::refuse(tcp).await,
                }
            }
        }
    }

    /// Holds a device's tripwire for as long as its session stands. That it breaks is all it says.
    async fn hold(&self, mut tcp: TcpStream, token: &Token) {
        let Some(session) = self.hub.presence.by_token(token) else { return };
        let mut nothing = [0; 1];
        tokio::select! {
            _ = session.connection.closed() => {}
            _ = session.ended() => {}
            _ = tcp.read(&mut nothing) => {}
        }
    }

    async fn visit(&self, tcp: TcpStream, from: IpAddr, kept: Bytes, to: (String, String)) {
        let (host, device) = to;
        let session = self.hub.presence.find(&device);
        let restrictions = &self.hub.restrictions;
        let session = session.filter(|s| !restrictions.has(&s.device.id, Restrictable::Link));
        let place = self.visitors.try_acquire();
        let (Some(session), Ok(_place)) = (session, place) else {
            VISITS.count("refused");
            return relay::refuse(tcp).await;
        };
        let caller = Caller { tcp, from, host, kept };
        match relay::carry(&self.hub, &session, caller).await {
            Ok(()) => VISITS.count("carried"),
            Err(tcp) => {
                VISITS.count("refused");
                relay::refuse(tcp).await;
            }
        }
    }
}

/// Finds whom a name means. No name at all (an address was asked for) means the hub.
fn meant(name: Option<&str>, host: &str, zone: &str) -> Meant {
    let Some(name) = name else { return Meant::Hub };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name == host {
        return Meant::Hub;
    }
    let below = name.strip_suffix(zone).and_then(|rest| rest.strip_suffix('.'));
    let labels: Vec<&str> = below.unwrap_or_default().split('.').collect();
    match labels.as_slice() {
        [device, LINK] | [_, device, LINK] => Meant::Device((*device).to_owned()),
        _ => Meant::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_hub_a_device_or_nobody() {
        let of = |name| meant(name, "hub.example.test", "example.test");
        let device = Meant::Device("box".into());
        assert_eq!(of(None), Meant::Hub);
        assert_eq!(of(Some("hub.example.test")), Meant::Hub);
        assert_eq!(of(Some("box.link.example.test")), device);
        assert_eq!(of(Some("web.box.link.example.test")), device);
        let others = [
            "example.test",
            "box.example.test",
            "link.example.test",
            "a.b.box.link.example.test",
            "box.link.badexample.test",
            "box.link.example.org",
            "",
        ];
        for other in others {
            assert_eq!(of(Some(other)), Meant::Nobody, "{other}");
        }
    }
}
