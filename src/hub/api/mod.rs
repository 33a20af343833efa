//! The HTTPS API: one table of routes, read from the parcels the wire declares.
//!
//! What is not in the table does not exist: any other path or method gets the same 404.

mod ddns;
mod fleet;
pub(in crate::hub) mod forget;
mod license;
mod link;
mod privacy;
pub mod refusal;

pub(super) use self::registration::shown_code;
mod registration;
mod renewal;

use self::refusal::Refusal;
use super::hello::Prefixed;
use super::metrics::REGISTRATIONS;
use super::state::Hub;
use super::store::{Device, Hash};
use super::tls::{Faces, Judge, device_in, key_hash};
use crate::card::{Caller, Carriage, Parcel};
use crate::wire::{
    MAX_BODY, ddns as wire_ddns, license as wire_license, link as wire_link,
    privacy as wire_privacy, registration as wire_registration,
};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use core::net::IpAddr;
use core::pin::Pin;
use core::time::Duration;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::MutexGuard;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, the first one and each after it.
const HEAD: Duration = Duration::from_secs(15);
/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(15);

/// What a handler comes to.
type Reply = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;
type Handler = fn(Arc<Hub>, Call) -> Reply;

/// One parcel and what is done with it.
pub struct Route {
    /// Declares path and caller.
    pub parcel: &'static Parcel,
    handler: Handler,
}

/// Everything that is served.
pub static ROUTES: &[Route] = &[
    Route { parcel: &wire_registration::ABOUT, handler: registration::about },
    Route { parcel: &wire_registration::START, handler: registration::start },
    Route { parcel: &wire_registration::POLL, handler: registration::poll },
    Route { parcel: &wire_registration::RENEW, handler: renewal::renew },
    Route { parcel: &wire_registration::REKEY, handler: renewal::rekey },
    Route { parcel: &wire_registration::FORGET, handler: forget::registration },
    Route { parcel: &wire_ddns::UPDATE, handler: ddns::update },
    Route { parcel: &wire_ddns::FORGET, handler: forget::ddns },
    Route { parcel: &wire_link::FORGET, handler: forget::link },
    Route { parcel: &wire_link::SERVICES, handler: link::services },
    Route { parcel: &wire_license::ACTIVATE, handler: license::activate },
    Route { parcel: &wire_license::RENEW, handler: license::renew },
    Route { parcel: &wire_license::RELEASE, handler: license::release },
    Route { parcel: &wire_license::REVOKED, handler: license::revoked },
    Route { parcel: &wire_license::FORGET, handler: forget::license },
    Route { parcel: &wire_privacy::EXPORT, handler: privacy::export },
    Route { parcel: &wire_privacy::FIX, handler: privacy::fix },
    Route { parcel: &wire_privacy::RESTRICT, handler: privacy::restrict },
];

/// What takes back what the hub holds.
static FORGETS: &[&Parcel] =
    &[&wire_registration::FORGET, &wire_ddns::FORGET, &wire_link::FORGET, &wire_license::FORGET];

impl Route {
    /// Where it is served; `None` for a parcel that does not come by HTTPS.
    pub fn place(&self) -> Option<(&'static str, Caller)> {
        match self.parcel.how {
            Carriage::Https { path, caller } => Some((path, caller)),
            Carriage::Session | Carriage::Lookup | Carriage::Local => None,
        }
    }

    /// Whether it is served to a device whose certificate is over: what brings another certificate, and what takes
    /// back what the hub holds.
    fn outlasts_certificate(&self) -> bool {
        self.parcel == &wire_registration::RENEW || FORGETS.contains(&self.parcel)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    key: Option<Hash>,
    /// The device id in its certificate.
    device: Option<Arc<str>>,
    /// Whether its certificate is over.
    is_over: bool,
}

impl Peer {
    /// Somebody at this address, who has shown nothing yet.
    pub fn at(address: IpAddr) -> Self {
        Self { address, key: None, device: None, is_over: false }
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// A request as its handler gets it.
struct Call {
    peer: Peer,
    device: Option<Device>,
    body: Bytes,
}

impl Call {
    /// Reads the body as the one type this parcel has.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|e| Refusal::not_understood(&e))
    }

    /// The device that asks. Routes for devices only run with one.
    fn device(&self) -> Result<&Device, Refusal> {
        self.device.as_ref().ok_or_else(Refusal::not_registered)
    }

    /// Waits for this device's turn, and gives it as it is by then: its name may have been corrected meanwhile.
    async fn turn<'a>(&self, hub: &'a Hub) -> Result<(MutexGuard<'a, ()>, Device), Refusal> {
        let device = self.device()?;
        let turn = hub.locks.of(&device.id).await;
        let now = match self.peer.key {
            Some(key) => hub.device_of(key).await?,
            None => None,
        };
        // One whose key was given up meanwhile has had its turn.
        let device = match now {
            None if crate::sabotage::off("hub-device-auth") => device.clone(),
            now => now.ok_or_else(Refusal::not_registered)?,
        };
        Ok((turn, device))
    }
}

/// The API, ready to converse over connections.
#[derive(Clone)]
pub struct Api {
    router: Router,
    acceptor: TlsAcceptor,
    judge: Arc<Judge>,
}

impl Api {
    /// Builds the routes.
    pub fn new(hub: &Arc<Hub>, faces: &Faces) -> Self {
        let mut router = Router::new();
        for route in ROUTES {
            let Some((path, _)) = route.place() else { continue };
            let serve =
                move |State(hub): State<Arc<Hub>>, request: Request| serve(route, hub, request);
            router = router.route(path, axum::routing::post(serve).fallback(nothing_here));
        }
        let router = router.fallback(nothing_here).with_state(Arc::clone(hub));
        let acceptor = TlsAcceptor::from(Arc::clone(&faces.api));
        Self { router, acceptor, judge: Arc::clone(&faces.judge) }
    }

    /// Speaks TLS and HTTP over one connection until it ends.
    pub async fn converse(&self, stream: Prefixed<TcpStream>, peer: Peer) {
        let who = |chain: &[CertificateDer<'_>]| {
            let (key, device) = (key_hash(chain), device_in(chain).map(Arc::from));
            Peer { key, device, is_over: self.judge.is_over(chain), ..peer }
        };
        converse(&self.acceptor, &self.router, stream, who).await;
    }
}

/// Speaks TLS and HTTP over one connection until it ends.
pub(super) async fn converse(
    acceptor: &TlsAcceptor,
    router: &Router,
    stream: Prefixed<TcpStream>,
    who: impl FnOnce(&[CertificateDer<'_>]) -> Peer,
) {
    let handshake = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let Ok(Ok(tls)) = handshake else {
        tracing::debug!("a TLS handshake failed");
        return;
    };
    let peer = who(tls.get_ref().1.peer_certificates().unwrap_or_default());
    let router = TowerToHyperService::new(router.clone());
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let outcome = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(tls), service)
        .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn nothing_here() -> Response {
    Refusal::nothing_here().into_response()
}

async fn serve(route: &'static Route, hub: Arc<Hub>, request: Request) -> Response {
    match answer(route, hub, request).await {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(route: &Route, hub: Arc<Hub>, request: Request) -> Result<Value, Refusal> {
    let peer = request.extensions().get::<Peer>().cloned().ok_or_else(Refusal::nothing_here)?;
    let (_, caller) = route.place().ok_or_else(Refusal::nothing_here)?;
    let device = match caller {
        Caller::Device => match (known_device(&hub, &peer).await, &peer.device) {
            (Ok(_), _) if peer.is_over && !route.outlasts_certificate() => {
                return Err(Refusal::certificate_over());
            }
            (Ok(device), _) => Some(in_use(&hub, route, device).await?),
            (Err(_), Some(id)) if route.parcel == &wire_registration::FORGET => {
                return forget::again(&hub, id, &read_body(request.into_body()).await?).await;
            }
            (Err(refusal), _) => return Err(refusal),
        },
        Caller::Anonymous | Caller::Applicant => {
            bounded(&hub, route, &peer)?;
            None
        }
    };
    let body = read_body(request.into_body()).await?;
    (route.handler)(hub, Call { peer, device, body }).await
}

async fn known_device(hub: &Hub, peer: &Peer) -> Result<Device, Refusal> {
    let key = peer.key.ok_or_else(Refusal::not_registered)?;
    hub.device_of(key).await?.ok_or_else(Refusal::not_registered)
}

/// A device that is set aside may only have itself erased.
async fn in_use(hub: &Hub, route: &Route, device: Device) -> Result<Device, Refusal> {
    if !FORGETS.contains(&route.parcel) && hub.store.is_quarantined(device.id.clone()).await? {
        return Err(Refusal::quarantined());
    }
    Ok(device)
}

/// Bounds those without a certificate. A sandbox has only one address, and no strangers.
fn bounded(hub: &Hub, route: &Route, peer: &Peer) -> Result<(), Refusal> {
    let start = route.parcel == &wire_registration::START;
    if start {
        REGISTRATIONS.count("begun");
    }
    if hub.config.sandbox {
        return Ok(());
    }
    let limit = if start { &hub.starts } else { &hub.polls };
    limit.take(peer.address, hub.clock.now().boot).map_err(|wait| {
        if start {
            REGISTRATIONS.count("bounded");
        }
        Refusal::too_many(wait)
    })
}

async fn read_body(body: Body) -> Result<Bytes, Refusal> {
    let most = if crate::sabotage::off("hub-body-most") { 1 << 20 } else { MAX_BODY };
    match timeout(BODY, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Refusal::too_large()),
        Err(_) => Err(Refusal::too_slow()),
    }
}
