//! The hub's pages: where people sign in, let devices in, and see what is theirs.
//!
//! Rendered here, whole, without a script: they work in every browser and with everything switched off. They
//! stand on a domain of their own, because devices serve pages too. Nothing in them comes from elsewhere
//! (promise K5), nothing counts visits (K4), and the cookies are the session's (K1) and a trusted browser's (K2). A form is believed
//! when its `Origin` is these pages' own and it carries the session's mark.

mod account;
mod approve;
mod device;
mod devices;
mod layout;
mod licenses;
mod log;
mod oidc;
mod privacy;
mod qr;
pub mod routes;
mod second;
mod security;
mod sign_in;
mod visit;

use super::api::{self, Peer};
use super::hello::Prefixed;
use super::oidc::Providers;
use super::speech::{self, said};
use super::state::Hub;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, http};
use core::net::IpAddr;
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// The largest form: an address, a password and a mark are far below.
const MAX_FORM: usize = 8 * 1024;

/// Sent with every answer. The policy lets a page show its own style and send forms to itself, and nothing else.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    // `no-referrer` would make browsers send `Origin: null` with forms.
    ("referrer-policy", "same-origin"),
    ("strict-transport-security", "max-age=31536000"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The pages, ready to be served.
pub struct Site {
    host: String,
    acceptor: TlsAcceptor,
    router: Router,
}

/// What every page needs.
struct Pages {
    hub: Arc<Hub>,
    host: String,
    providers: Providers,
}

type Shared = State<Arc<Pages>>;
type Routes = Router<Arc<Pages>>;

impl Site {
    /// Pages of a hub, under this name.
    pub fn new(hub: &Arc<Hub>, host: &str, face: Arc<ServerConfig>, providers: Providers) -> Self {
        let pages = Arc::new(Pages { hub: Arc::clone(hub), host: host.to_owned(), providers });
        let guard = middleware::from_fn_with_state(Arc::clone(&pages), guarded);
        let router = routes::all(&pages)
            .fallback(nothing_here)
            .method_not_allowed_fallback(nothing_here)
            .layer(guard)
            .layer(DefaultBodyLimit::max(MAX_FORM))
            .with_state(pages);
        Self { host: host.to_owned(), acceptor: TlsAcceptor::from(face), router }
    }

    /// Whether these pages are meant by a name.
    pub fn is(&self, name: &str) -> bool {
        name.strip_suffix('.').unwrap_or(name) == self.host
    }

    /// Speaks TLS and HTTP over one connection until it ends.
    pub async fn converse(&self, stream: Prefixed<TcpStream>, from: IpAddr) {
        api::converse(&self.acceptor, &self.router, stream, |_| Peer::at(from)).await;
    }
}

async fn nothing_here() -> Response {
    let title = said("Nothing here", "Hier ist nichts", "Här finns inget");
    let text = said(
        "There is no such page here.",
        "Diese Seite gibt es hier nicht.",
        "Den sidan finns inte här.",
    );
    layout::notice(StatusCode::NOT_FOUND, title, text)
}

/// Lets a request through that means these pages, and a form only from these pages.
async fn guarded(State(pages): Shared, request: Request, next: Next) -> Response {
    let wish = request.headers().get(header::ACCEPT_LANGUAGE);
    let wish = wish.and_then(|wish| wish.to_str().ok()).unwrap_or_default().to_owned();
    let answer = async {
        match refused(&pages.host, request.method(), request.headers()) {
            Some(refusal) => refusal,
            None => next.run(request).await,
        }
    };
    let mut response = speech::answering(&wish, answer).await;
    let is_full = response.status() == StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if *name == "content-security-policy" && crate::sabotage::off("pages-policy") {
            continue;
        }
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if is_full {
        // A second step that was closed says when it opens; everything else knows better when.
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("900"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refused(host: &str, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let is_ours = |text: Option<&str>| text.is_some_and(|text| host_of(text) == host);
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if !is_ours(text(&header::HOST)) {
        return Some(StatusCode::MISDIRECTED_REQUEST.into_response());
    }
    let changes = method != Method::GET && method != Method::HEAD;
    let origin = text(&header::ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    let forged = changes && !is_ours(origin) && !crate::sabotage::off("pages-origin");
    let title = said("Not from here", "Nicht von hier", "Inte härifrån");
    let what = said(
        "This form was sent from somewhere else.",
        "Dieses Formular wurde von woanders gesendet.",
        "Det här formuläret skickades från ett annat ställe.",
    );
    forged.then(|| layout::notice(StatusCode::FORBIDDEN, title, what))
}

/// A host without its port.
fn host_of(authority: &str) -> &str {
    authority
        .parse::<http::uri::Authority>()
        .map_or("", |_| authority.rsplit_once(':').map_or(authority, |(host, _)| host))
}

/// Something that went wrong here, not at the visitor's side; the log says what.
fn broken(error: &dyn core::error::Error) -> Response {
    let reason = error.source().map(ToString::to_string);
    crate::hub::metrics::ERRORS.count("pages");
    tracing::error!(%error, reason, "a page could not be made");
    let title = said("Not just now", "Gerade nicht", "Inte just nu");
    let text = said(
        "The hub could not do this just now. Try again in a minute.",
        "Der Hub konnte das gerade nicht tun. Versuchen Sie es in einer Minute noch einmal.",
        "Hubben kunde inte göra det just nu. Försök igen om en minut.",
    );
    layout::notice(StatusCode::INTERNAL_SERVER_ERROR, title, text)
}

/// An answer to somebody who tries too often.
fn too_often(wait: core::time::Duration) -> Response {
    let title = said("Too many tries", "Zu viele Versuche", "För många försök");
    let text = said(
        "Too many tries from your network. Wait a minute, then try again.",
        "Zu viele Versuche aus Ihrem Netz. Warten Sie eine Minute und versuchen Sie es dann wieder.",
        "För många försök från ditt nät. Vänta en minut och försök sedan igen.",
    );
    let mut response = layout::notice(StatusCode::TOO_MANY_REQUESTS, title, text);
    let seconds = HeaderValue::from(wait.as_secs().max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_host_is_found_with_and_without_a_port() {
        assert_eq!(host_of("cloud.example.org"), "cloud.example.org");
        assert_eq!(host_of("cloud.example.org:8443"), "cloud.example.org");
        assert_ne!(host_of("cloud.example.org.evil.test"), "cloud.example.org");
        assert_ne!(host_of("evil.test@cloud.example.org"), "cloud.example.org");
        assert_eq!(host_of(""), "");
    }
}
