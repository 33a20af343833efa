//! Whether the hub is well, and where it can be asked (promise S18).
//!
//! `GET /healthz` and `GET /metrics` are on a listener of their own, for this machine only: `[metrics] listen` in
//! `hub.toml`. `qcloud-hub health` asks the operators' socket.

use super::config::MetricsAt;
use super::license::signing;
use super::metrics;
use super::state::Hub;
use crate::clock::{BUILT, Boot, Wall, system_wall};
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a letter may wait.
const OUTBOX: Duration = Duration::from_secs(3600);
/// A certificate that ends sooner was not renewed in time: the hub's own is renewed 30 days before.
const NEAR: Duration = Duration::from_secs(7 * 24 * 3600);
/// An issuer who is elsewhere needs this long to certify the next key that licenses are signed with.
const SIGNER_NEAR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the store may take for a write.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a finding stands: whoever asks often does not make the disk work.
const FRESH: Duration = Duration::from_secs(1);

/// All codes there are.
pub const CODES: [&str; 5] = ["store", "clock", "outbox", "certificate", "signer"];

/// Why the hub is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Out of [`CODES`].
    pub code: String,
    /// In words.
    pub text: String,
    /// What to do.
    pub hint: String,
}

/// The last finding, and when it was made.
#[derive(Default)]
pub struct Found(Mutex<Option<(Boot, Vec<Reason>)>>);

/// Why the hub is not well; nothing when it is.
pub async fn of(hub: &Hub) -> Vec<Reason> {
    // Who comes meanwhile waits for the same finding.
    let mut found = hub.health.0.lock().await;
    let now = hub.clock.now().boot;
    if let Some((at, reasons)) = &*found
        && now - *at < FRESH
    {
        return reasons.clone();
    }
    let reasons = if crate::sabotage::off("health") { Vec::new() } else { look(hub).await };
    *found = Some((hub.clock.now().boot, reasons.clone()));
    reasons
}

async fn look(hub: &Hub) -> Vec<Reason> {
    let now = hub.clock.now().wall;
    let mut reasons: Vec<Reason> = store(hub).await.into_iter().collect();
    if system_wall() < BUILT {
        reasons.push(reason("clock", "the machine's clock is not set".into(), "timedatectl"));
    }
    // A store that does not answer would only be waited for once more.
    if reasons.is_empty()
        && let Ok(Ok(Some(oldest))) = timeout(PATIENCE, hub.store.oldest("outbox")).await
        && now.0.saturating_sub(oldest.0) > OUTBOX
    {
        let text = format!("a letter has waited since {}", oldest.rfc3339());
        reasons.push(reason("outbox", text, "the mail server, and [mail] in hub.toml"));
    }
    for (face, over) in hub.certificates() {
        let Some(over) = over.filter(|over| over.0.saturating_sub(now.0) < NEAR) else { continue };
        let text = format!("the certificate of the {face} is over on {}", over.rfc3339());
        let hint = "renew it; the hub reads it anew every 12 hours";
        reasons.push(reason("certificate", text, hint));
    }
    if !reasons.iter().any(|reason| reason.code == "store") {
        reasons.extend(signer(hub, now).await);
    }
    reasons
}

/// Whether licenses are still signed in a month.
async fn signer(hub: &Hub, now: Wall) -> Option<Reason> {
    let text = match signing::until(hub.store.as_ref(), now).await.ok()? {
        Some(until) if until.0.saturating_sub(now.0) >= SIGNER_NEAR => return None,
        Some(until) => {
            format!("the certificate of the key for licenses is over on {}", until.rfc3339())
        }
        None if hub.store.has_licenses(now).await.ok()? => {
            "no license is renewed: no key for licenses has a certificate that holds".into()
        }
        None => return None,
    };
    let hint = "qcloud-hub license signer new, and what it says";
    Some(reason("signer", text, hint))
}

async fn store(hub: &Hub) -> Option<Reason> {
    let text = match timeout(PATIENCE, hub.store.probe()).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => format!("the store cannot be written: {error}"),
        Err(_) => "the store does not answer".into(),
    };
    Some(reason("store", text, "df, and the hub's log"))
}

fn reason(code: &str, text: String, hint: &str) -> Reason {
    Reason { code: code.into(), text, hint: hint.into() }
}

/// The listener of health and metrics.
pub enum Listener {
    /// On this machine's loopback.
    Tcp(TcpListener),
    /// In a file.
    Unix(UnixListener),
}

impl Listener {
    /// Opens it.
    ///
    /// # Errors
    /// The system's own.
    pub async fn open(at: &MetricsAt) -> io::Result<Self> {
        match at {
            MetricsAt::Tcp(at) => Ok(Self::Tcp(super::listen::local(*at).await?)),
            MetricsAt::Unix(path) => {
                // One that a crash left.
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                Ok(Self::Unix(UnixListener::bind(path)?))
            }
        }
    }

    /// Answers for ever.
    pub async fn serve(self, hub: Arc<Hub>) {
        let router = Router::new()
            .route("/healthz", get(health))
            .route("/metrics", get(scrape))
            .with_state(hub);
        let ended = match self {
            Self::Tcp(listener) => axum::serve(listener, router).await,
            Self::Unix(listener) => axum::serve(listener, router).await,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "health and metrics are not served any more");
        }
    }
}

async fn health(State(hub): State<Arc<Hub>>) -> Response {
    let reasons = of(&hub).await;
    let (status, word) = match reasons.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
    };
    (status, Json(serde_json::json!({ "status": word, "reasons": reasons }))).into_response()
}

async fn scrape(State(hub): State<Arc<Hub>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::render(&hub).await).into_response()
}
