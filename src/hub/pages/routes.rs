//! The one table of the pages: what is not in it does not exist, and who gets a page is decided here, before its
//! handler runs.

use super::sign_in::stale;
use super::visit::{Visit, to_sign_in};
use super::{
    Pages, Routes, account, approve, broken, device, devices, layout, licenses, log, oidc, privacy,
    second, security, sign_in,
};
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, FromRequestParts, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde::Deserialize;
use std::sync::Arc;

/// Who gets a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody who knows the address.
    Nothing,
    /// Somebody who has shown a password, and owes the second factor.
    Half,
    /// Somebody who is signed in.
    Person,
}

/// A page, or what a form of one does.
pub struct Page {
    /// How it is asked for.
    pub method: Method,
    /// Where it is; `{…}` stands for one part of the path.
    pub path: &'static str,
    /// Who gets it: everybody else is sent to the sign-in, or told nothing.
    pub needs: Needs,
    handler: fn() -> MethodRouter<Arc<Pages>>,
}

type Handler = fn() -> MethodRouter<Arc<Pages>>;

const fn shows(path: &'static str, needs: Needs, handler: Handler) -> Page {
    Page { method: Method::GET, path, needs, handler }
}

const fn takes(path: &'static str, needs: Needs, handler: Handler) -> Page {
    Page { method: Method::POST, path, needs, handler }
}

/// Everything that is served.
pub static ROUTES: &[Page] = &[
    shows("/", Needs::Person, || get(devices::show)),
    shows("/approve", Needs::Person, || get(approve::show)),
    takes("/approve", Needs::Person, || post(approve::decide)),
    shows("/device/{id}", Needs::Person, || get(device::show)),
    takes("/device/{id}/visibility", Needs::Person, || post(device::share::set)),
    takes("/device/{id}/invite", Needs::Person, || post(device::share::invite)),
    takes("/device/{id}/withdraw", Needs::Person, || post(device::share::withdraw)),
    shows("/device/{id}/revoke", Needs::Person, || get(device::end::ask_revoke)),
    takes("/device/{id}/revoke", Needs::Person, || post(device::end::revoke)),
    shows("/device/{id}/release", Needs::Person, || get(device::end::ask_release)),
    takes("/device/{id}/release", Needs::Person, || post(device::end::release)),
    shows("/device/{id}/export", Needs::Person, || get(device::kept::export)),
    takes("/offer", Needs::Person, || post(device::offers::answer)),
    takes("/shared/leave", Needs::Person, || post(device::offers::leave)),
    shows("/find", Needs::Nothing, || get(device::find::show)),
    shows("/log", Needs::Person, || get(log::show)),
    shows("/security", Needs::Person, || get(security::show)),
    shows("/security/password", Needs::Person, || get(security::password::show)),
    takes("/security/password", Needs::Person, || post(security::password::change)),
    shows("/security/second-factor", Needs::Person, || get(security::factor::show)),
    takes("/security/second-factor", Needs::Person, || post(security::factor::switch_on)),
    takes("/security/second-factor/off", Needs::Person, || post(security::factor::switch_off)),
    shows("/security/recovery", Needs::Person, || get(security::factor::ask_recovery)),
    takes("/security/recovery", Needs::Person, || post(security::factor::make_recovery)),
    takes("/security/sign-out", Needs::Person, || post(security::browsers::sign_out)),
    takes("/security/trust", Needs::Person, || post(security::browsers::end_trust)),
    shows("/sign-in", Needs::Nothing, || get(sign_in::show)),
    takes("/sign-in", Needs::Nothing, || post(sign_in::sign_in)),
    shows("/sign-in/second", Needs::Half, || get(second::show)),
    takes("/sign-in/second", Needs::Half, || post(second::step)),
    takes("/sign-out", Needs::Person, || post(sign_in::sign_out)),
    shows("/welcome/{ticket}", Needs::Nothing, || get(sign_in::welcome)),
    takes("/welcome/{ticket}", Needs::Nothing, || post(sign_in::accept)),
    // Of a hub that is tried on one machine; elsewhere it is not there.
    shows("/welcome/{ticket}/once", Needs::Nothing, || get(sign_in::once)),
    shows("/account", Needs::Person, || get(account::show)),
    takes("/account", Needs::Person, || post(account::save)),
    shows("/account/download", Needs::Person, || get(account::download::show)),
    takes("/account/download", Needs::Person, || post(account::download::take)),
    shows("/account/delete", Needs::Person, || get(account::leave::show)),
    takes("/account/delete", Needs::Person, || post(account::leave::leave)),
    shows("/privacy", Needs::Nothing, || get(privacy::show)),
    shows("/style.css", Needs::Nothing, || get(layout::style)),
    shows("/icon.svg", Needs::Nothing, || get(layout::icon)),
    takes("/security/known", Needs::Person, || post(security::browsers::forget)),
    shows("/security/address", Needs::Person, || get(security::address::show)),
    takes("/security/address", Needs::Person, || post(security::address::ask)),
    takes("/security/address/off", Needs::Person, || post(security::address::end)),
    shows("/address/{token}", Needs::Person, || get(security::address::compare)),
    takes("/address/{token}", Needs::Person, || post(security::address::confirm)),
    shows("/sign-in/with/{number}", Needs::Nothing, || get(oidc::sign_in)),
    shows("/welcome/{ticket}/with/{number}", Needs::Nothing, || get(oidc::welcome)),
    shows("/sign-in/oidc", Needs::Nothing, || get(oidc::back)),
    shows("/security/provider/{number}", Needs::Person, || get(security::provider::show)),
    takes("/security/provider/{number}", Needs::Person, || post(security::provider::link)),
    takes("/security/provider/{number}/off", Needs::Person, || post(security::provider::unlink)),
    shows("/licenses", Needs::Person, || get(licenses::show)),
    takes("/licenses/file", Needs::Person, || post(licenses::file::take)),
    takes("/licenses/add", Needs::Person, || post(licenses::change::add)),
    takes("/licenses/give", Needs::Person, || post(licenses::change::give)),
];

/// The table as axum takes it, each page behind what it needs.
pub(super) fn all(pages: &Arc<Pages>) -> Routes {
    ROUTES.iter().fold(Routes::new(), |routes, page| {
        let keeper = Arc::clone(pages);
        let guard = middleware::from_fn(move |request: Request, next: Next| {
            let pages = Arc::clone(&keeper);
            async move { admitted(&pages, page, request, next).await }
        });
        routes.route(page.path, (page.handler)().route_layer(guard))
    })
}

/// Lets those through who get this page; everybody else is sent to the sign-in, whatever they asked it for.
async fn admitted(pages: &Arc<Pages>, page: &Page, request: Request, next: Next) -> Response {
    if page.needs == Needs::Nothing {
        return next.run(request).await;
    }
    let (mut parts, mut body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut parts, pages).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let enough = match page.needs {
        Needs::Nothing => true,
        Needs::Person => visit.person.is_some(),
        Needs::Half => match visit.is_half(pages).await {
            Ok(is_half) => is_half || visit.person.is_some(),
            Err(error) => return broken(&error),
        },
    };
    if !enough && !crate::sabotage::off("pages-needs") {
        return to_sign_in(&back(page, &parts.uri));
    }
    if page.method == Method::POST {
        match marked(&visit, pages, &parts, body).await {
            Ok(form) => body = Body::from(form),
            Err(response) => return response,
        }
    }
    parts.extensions.insert(visit);
    next.run(Request::from_parts(parts, body)).await
}

/// Every form carries the mark of its session.
#[derive(Deserialize)]
struct Marked {
    #[serde(default)]
    mark: String,
}

/// Takes the body of a form in, if a page of this session made it: no other site can send one in somebody's name.
async fn marked(
    visit: &Visit,
    pages: &Arc<Pages>,
    parts: &Parts,
    body: Body,
) -> Result<Bytes, Response> {
    let request = Request::from_parts(parts.clone(), body);
    let form = Bytes::from_request(request, pages).await.map_err(IntoResponse::into_response)?;
    let again = Request::from_parts(parts.clone(), Body::from(form.clone()));
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let mark = if kind.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
        mark_beside_file(again, pages).await?
    } else {
        let read = Form::<Marked>::from_request(again, pages).await;
        read.map_err(IntoResponse::into_response)?.0.mark
    };
    if visit.made(pages, &mark) { Ok(form) } else { Err(stale()) }
}

/// Where the sign-in leads back to: the page, or the one its form stands on.
fn back(page: &Page, uri: &Uri) -> String {
    if page.needs == Needs::Half {
        return "/".into();
    }
    let is_shown = |at: &&Page| at.path == page.path && at.method == Method::GET;
    match (page.method == Method::GET, ROUTES.iter().find(is_shown)) {
        (true, _) => uri.path_and_query().map_or("/", |all| all.as_str()).into(),
        (false, Some(_)) => uri.path().into(),
        (false, None) => "/".into(),
    }
}

/// The mark of a form that brings a file.
async fn mark_beside_file(request: Request, pages: &Arc<Pages>) -> Result<String, Response> {
    let form = Multipart::from_request(request, pages).await;
    let mut form = form.map_err(IntoResponse::into_response)?;
    while let Ok(Some(part)) = form.next_field().await {
        if part.name() == Some("mark") {
            return Ok(part.text().await.unwrap_or_default());
        }
    }
    Ok(String::new())
}
