//! `qcloud-hub serve`: all parts in one process.

use super::api::Api;
use super::config::{BadConfig, Config, STORE};
use super::dns::zone::Zone;
use super::dns::{self, SharedZone};
use super::keys::{KeyError, Keys, LEAF_LIFE};
use super::listen::{self, ListenError};
use super::session::{self, SessionError};
use super::state::Hub;
use super::store::sqlite::SqliteStore;
use super::store::{Store, StoreError};
use super::tls::{Faces, LiveLeaf, TlsError};
use super::{front, sweep};
use crate::clock::Clock;
use core::net::SocketAddr;
use core::time::Duration;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How long sessions get to hear the goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the closing of their connections may take to leave.
const CLOSING: Duration = Duration::from_secs(2);

/// Why a hub does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its configuration.
    #[error("the configuration is not usable")]
    Config(#[from] BadConfig),
    /// Its keys.
    #[error("the keys are not usable")]
    Keys(#[from] KeyError),
    /// What it keeps.
    #[error("the store is not usable")]
    Store(#[from] StoreError),
    /// Its sockets.
    #[error("a listener could not be opened")]
    Listen(#[from] ListenError),
    /// Its TLS.
    #[error("TLS could not be set up")]
    Tls(#[from] TlsError),
    /// Its QUIC endpoint.
    #[error("the sessions could not be set up")]
    Session(#[from] SessionError),
}

/// Where a hub serves, as `serve --ready` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// Always true: the line is printed when everything listens.
    pub ready: bool,
    /// HTTPS on TCP, sessions on UDP.
    pub listen: SocketAddr,
    /// DNS, on UDP and TCP.
    pub dns: SocketAddr,
    /// The name of the hub.
    pub host: String,
    /// What agents pin.
    pub pin: String,
}

/// A hub that serves until it is dropped or stopped.
pub struct Serving {
    /// Where.
    pub ready: Ready,
    hub: Arc<Hub>,
    endpoint: quinn::Endpoint,
    tasks: JoinSet<()>,
}

/// Opens everything and serves.
///
/// # Errors
/// [`ServeError`], before anything was answered.
pub async fn start(dir: &Path, clock: Clock) -> Result<Serving, ServeError> {
    let config = Config::load(dir)?;
    if config.contact.is_none() {
        tracing::warn!(
            "owners are not told whom to write to: add contact = \"…\" to {}",
            dir.join(super::config::FILE).display()
        );
    }
    let keys = Keys::load(dir)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.join(STORE))?);
    let main = listen::pair(config.listen).await?;
    let name_server = listen::pair(config.dns).await?;
    let zone = load_zone(&config, store.as_ref(), &clock).await?;
    let restrictions = store.restrictions().await?;
    let leaf = LiveLeaf::new(&keys, &config, clock.now().wall)?;
    let faces = Faces::new(&keys, &leaf, &clock)?;
    let hub = Arc::new(Hub::new(config, keys, store, zone, clock));
    hub.restrictions.load(restrictions);
    let endpoint = session::endpoint(main.udp, &hub, &faces)?;
    let ready = Ready {
        ready: true,
        listen: main.at,
        dns: name_server.at,
        host: hub.config.host.clone(),
        pin: hub.keys.pin(),
    };
    let api = Api::new(&hub, &faces);
    let mut tasks = JoinSet::new();
    tasks.spawn(dns::serve_udp(name_server.udp, hub.zone.clone()));
    tasks.spawn(dns::serve_tcp(name_server.tcp, hub.zone.clone()));
    tasks.spawn(session::serve(endpoint.clone(), Arc::clone(&hub)));
    tasks.spawn(front::serve(main.tcp, Arc::clone(&hub), api));
    tasks.spawn(sweep::serve(Arc::clone(&hub)));
    tasks.spawn(renew(Arc::clone(&hub), leaf));
    tracing::info!(listen = %ready.listen, dns = %ready.dns, "the hub serves");
    Ok(Serving { ready, hub, endpoint, tasks })
}

impl Serving {
    /// Waits until a part of the hub ends, which none does by itself: its panic is the reason to stop.
    pub async fn broken(&mut self) {
        self.tasks.join_next().await;
    }

    /// Says goodbye to all devices and stops, within 3 s.
    pub async fn stop(mut self) {
        self.hub.presence.end_all("the hub stops");
        let quiet = async {
            while self.endpoint.open_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Devices that do not hear it notice by their heartbeats.
        let _ = tokio::time::timeout(GOODBYE, quiet).await;
        self.endpoint.close(session::CLOSED_GOODBYE, b"the hub stops");
        let _ = tokio::time::timeout(CLOSING, self.endpoint.wait_idle()).await;
        self.tasks.abort_all();
        tracing::info!("the hub stopped");
    }
}

async fn load_zone(
    config: &Config,
    store: &dyn Store,
    clock: &Clock,
) -> Result<SharedZone, ServeError> {
    // Serials begin with the time, so that they grow over restarts; RFC 1982 lets them wrap in 2106.
    let seconds = clock.now().wall.unix_seconds() & u64::from(u32::MAX);
    let serial = u32::try_from(seconds).unwrap_or_default();
    let mut zone = Zone::new(&config.zone, &config.host, config.addresses.clone(), serial);
    zone.load(store.zone().await?);
    Ok(SharedZone::new(zone))
}

/// Makes the server's certificate anew in the last third of its life.
async fn renew(hub: Arc<Hub>, leaf: Arc<LiveLeaf>) {
    loop {
        tokio::time::sleep(LEAF_LIFE * 2 / 3).await;
        if let Err(error) = leaf.renew(&hub.keys, &hub.config, hub.clock.now().wall) {
            tracing::error!(%error, "the server's certificate could not be made anew");
        }
    }
}
