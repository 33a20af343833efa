//! `qcloud-hub serve`: all parts in one process.

use super::api::Api;
use super::config::{BadConfig, Config, Pages};
use super::dns::zone::Zone;
use super::dns::{self, SharedZone};
use super::health::Listener;
use super::keeping::Keeping;
use super::keeping::restore::is_unfinished;
use super::keys::{KeyError, Keys};
use super::listen::{self, ListenError};
use super::mail::{self, BadMail, Post};
use super::oidc::Providers;
use super::pages::Site;
use super::people::People;
use super::seal::Seal;
use super::seal_key::{self, BadSealKey};
use super::session::{self, SessionError};
use super::state::Hub;
use super::store::{Store, StoreError};
use super::tls::{Faces, LiveLeaf, Source, TlsError, pages as pages_face};
use super::{admin, front, sweep, watch};
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
    /// The key that seals what it keeps, or what that opens.
    #[error(transparent)]
    Seal(#[from] BadSealKey),
    /// What it keeps.
    #[error("the store is not usable")]
    Store(#[from] StoreError),
    /// Its sockets.
    #[error("a listener could not be opened")]
    Listen(#[from] ListenError),
    /// Its TLS.
    #[error("TLS could not be set up")]
    Tls(#[from] TlsError),
    /// Its way to the mail server.
    #[error("mail cannot be sent")]
    Mail(#[from] BadMail),
    /// Its QUIC endpoint.
    #[error("the sessions could not be set up")]
    Session(#[from] SessionError),
    /// The operator's socket: without it a revocation would not reach live sessions.
    #[error("the operator's socket could not be opened")]
    Admin(#[source] std::io::Error),
    /// The listener of health and metrics.
    #[error("[metrics] listen could not be opened")]
    Metrics(#[source] std::io::Error),
    /// A restore was cut short.
    #[error("a restore was begun and not finished: run `qcloud-hub restore` again")]
    Unfinished,
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
    complain(&config, dir);
    let keys = Keys::load(dir)?;
    let seal = Arc::new(seal_key::load_apart(dir, &config)?);
    let (store, keeping) = open_store(dir, &config, &seal, &clock)?;
    // Before anything is served: one hub serves a directory.
    let operator = socket(dir, &config).await?;
    let metrics = metrics(&config).await?;
    let main = listen::pair(config.listen).await?;
    let name_server = listen::pair(config.dns).await?;
    let zone = load_zone(&config, store.as_ref(), &clock).await?;
    let restrictions = store.restrictions().await?;
    let wall = clock.now().wall;
    let own = Source::Own { host: config.host.clone(), addresses: config.addresses.clone() };
    let leaf = LiveLeaf::new(&keys, own, wall)?;
    let faces = Faces::new(&keys, &leaf, &clock)?;
    let people = People::new(Arc::clone(&store), seal, config.mail.is_some())?;
    let post = config.mail.as_ref().map(|mail| Post::new(mail, &config)).transpose()?;
    let providers = Providers::load(&config.oidc, config.sandbox)?;
    let page_leaf = config.pages.as_ref().map(|pages| LiveLeaf::new(&keys, source(pages), wall));
    let page_leaf = page_leaf.transpose()?;
    let hub = Hub::new(config, keys, store, zone, clock, people).keeping(dir, keeping);
    let hub = Arc::new(hub);
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
    tasks.spawn(session::serve(endpoint.clone(), Arc::clone(&hub), Arc::clone(&faces.judge)));
    let pages = page_leaf.as_ref().and_then(|leaf| Some((leaf, hub.config.pages.as_ref()?)));
    let pages = pages
        .map(|(leaf, config)| {
            let face = pages_face(leaf, &hub.clock)?;
            Ok::<_, TlsError>(Site::new(&hub, &config.host, face, providers))
        })
        .transpose()?;
    tasks.spawn(front::serve(main.tcp, Arc::clone(&hub), api, pages));
    tasks.spawn(sweep::serve(Arc::clone(&hub)));
    tasks.spawn(operator.serve(Arc::clone(&hub)));
    if let Some(post) = post {
        tasks.spawn(mail::serve(post, Arc::clone(&hub)));
    }
    if let Some(metrics) = metrics {
        tasks.spawn(metrics.serve(Arc::clone(&hub)));
    }
    tasks.spawn(watch::serve(Arc::clone(&hub)));
    renew_all(&hub, &mut tasks, [("api", Some(leaf)), ("pages", page_leaf)]);
    tracing::info!(listen = %ready.listen, dns = %ready.dns, "the hub serves");
    Ok(Serving { ready, hub, endpoint, tasks })
}

async fn metrics(config: &Config) -> Result<Option<Listener>, ServeError> {
    let Some(metrics) = &config.metrics else { return Ok(None) };
    let opened = Listener::open(&metrics.at()?).await;
    opened.map(Some).map_err(ServeError::Metrics)
}

async fn socket(dir: &Path, config: &Config) -> Result<admin::Socket, ServeError> {
    let is_open = !config.operators.is_empty();
    let socket = admin::Socket::open(dir, is_open).await.map_err(ServeError::Admin)?;
    // Again: a restore begins only where no socket is.
    finished(dir)?;
    Ok(socket)
}

/// The store, and what keeps its deletions.
fn open_store(
    dir: &Path,
    config: &Config,
    seal: &Arc<Seal>,
    clock: &Clock,
) -> Result<(Arc<dyn Store>, Arc<Keeping>), ServeError> {
    finished(dir)?;
    let keeping = Arc::new(Keeping::new(dir, Arc::clone(seal), clock.clone()));
    let store = seal_key::open_store(dir, config, seal)?.with(Arc::clone(&keeping));
    Ok((Arc::new(store), keeping))
}

/// Whether no restore was cut short here.
fn finished(dir: &Path) -> Result<(), ServeError> {
    if is_unfinished(dir) { Err(ServeError::Unfinished) } else { Ok(()) }
}

/// Says what people will miss with this configuration.
fn complain(config: &Config, dir: &Path) {
    let file = dir.join(super::config::FILE);
    let file = file.display();
    if config.contact.is_none() {
        tracing::warn!("owners are not told whom to write to: add contact = \"…\" to {file}");
    }
    if config.pages.is_some() && config.mail.is_none() {
        tracing::warn!("nobody is told of sign-ins: add [mail] to {file}");
    }
}

impl Serving {
    /// Waits until a part of the hub ends, which none does by itself: its panic is the reason to stop.
    pub async fn broken(&mut self) {
        self.tasks.join_next().await;
    }

    /// Says goodbye to all devices and stops, within 4 s.
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
        // Waited for, so that the operator's socket is gone with the hub.
        let _ = tokio::time::timeout(GOODBYE, self.tasks.shutdown()).await;
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

/// Where the certificate of the pages comes from.
fn source(pages: &Pages) -> Source {
    match (&pages.certificate, &pages.key) {
        (Some(chain), Some(key)) => Source::Files { chain: chain.clone(), key: key.clone() },
        _ => Source::Own { host: pages.host.clone(), addresses: Vec::new() },
    }
}

/// Has each certificate renewed, and shown by how long it holds.
fn renew_all(
    hub: &Arc<Hub>,
    tasks: &mut JoinSet<()>,
    leaves: [(&'static str, Option<Arc<LiveLeaf>>); 2],
) {
    let leaves = leaves.into_iter().filter_map(|(face, leaf)| Some((face, leaf?)));
    for (_, leaf) in hub.leaves.get_or_init(|| leaves.collect()) {
        tasks.spawn(renew(Arc::clone(hub), Arc::clone(leaf)));
    }
}

/// Gets a certificate anew before the old one expires.
async fn renew(hub: Arc<Hub>, leaf: Arc<LiveLeaf>) {
    loop {
        tokio::time::sleep(leaf.good_for()).await;
        if let Err(error) = leaf.renew(&hub.keys, hub.clock.now().wall) {
            tracing::error!(%error, "a certificate of the hub could not be made or read anew");
        }
    }
}
