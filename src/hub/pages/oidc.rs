//! The way to a provider of identities and back (promise Q2).

use super::sign_in::enter;
use super::visit::{Visit, flow_cookie, form_urlencode, no_flow_cookie, way_back};
use super::{Pages, Shared, broken, layout, too_often};
use crate::hub::keys::KeyError;
use crate::hub::oidc::{Flow, OidcError, Provider, Purpose, Returned};
use crate::hub::people::PeopleError;
use crate::wire::label::printable;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

/// A longer way back than any page of ours has is not kept.
const LONGEST_WAY: usize = 200;

#[derive(Deserialize)]
pub(super) struct Back {
    to: Option<String>,
}

/// The providers to choose from, below a form.
pub(super) fn ways(pages: &Pages, base: &str, to: Option<&str>) -> Markup {
    let query = to.map(|to| format!("?to={}", form_urlencode(to))).unwrap_or_default();
    html! {
        @if !pages.providers.all().is_empty() {
            ul.providers {
                @for (number, provider) in pages.providers.all().iter().enumerate() {
                    li { a.button rel="nofollow" href={ (base) "/with/" (number) (query) } { "Go on with " (provider.name) } }
                }
            }
        }
    }
}

/// `GET /sign-in/with/NUMBER`.
pub(super) async fn sign_in(
    State(pages): Shared,
    visit: Visit,
    Path(number): Path<String>,
    Query(back): Query<Back>,
) -> Response {
    let to = Some(way_back(back.to.as_deref())).filter(|to| to.len() <= LONGEST_WAY);
    let purpose = Purpose::SignIn(to.unwrap_or("/").to_owned());
    away(&pages, &visit, &number, purpose).await
}

/// `GET /welcome/TICKET/with/NUMBER`.
pub(super) async fn welcome(
    State(pages): Shared,
    visit: Visit,
    Path((ticket, number)): Path<(String, String)>,
) -> Response {
    match pages.hub.people.invited(&ticket, pages.hub.clock.now().wall).await {
        Ok(Some(_)) => away(&pages, &visit, &number, Purpose::Welcome(ticket)).await,
        Ok(None) => super::sign_in::over(),
        Err(error) => broken(&error),
    }
}

async fn away(pages: &Pages, visit: &Visit, number: &str, purpose: Purpose) -> Response {
    match begin(pages, visit, number, purpose).await {
        Ok((cookie, to)) => ([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response(),
        Err(response) => *response,
    }
}

/// Begins at a provider: the cookie to set, and where to send the browser.
pub(super) async fn begin(
    pages: &Pages,
    visit: &Visit,
    number: &str,
    purpose: Purpose,
) -> Result<(HeaderValue, String), Box<Response>> {
    let (hub, now) = (&pages.hub, pages.hub.clock.now());
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return Err(Box::new(too_often(wait)));
    }
    let Some(provider) = pages.providers.numbered(number) else {
        let text = "This hub knows no such provider.";
        return Err(Box::new(layout::message(StatusCode::NOT_FOUND, "No such provider", text)));
    };
    let begun = provider.begin(&pages.host, purpose, now.wall).await;
    let (flow, to) = begun.map_err(|error| Box::new(not_believed(provider, &error)))?;
    let sealed = hub.people.keep_flow(&flow).map_err(|error| Box::new(broken(&error)))?;
    let cookie = flow_cookie(&sealed).ok_or_else(|| Box::new(broken(&KeyError::Random)))?;
    Ok((cookie, to))
}

/// `GET /sign-in/oidc`: back from a provider.
pub(super) async fn back(
    State(pages): Shared,
    visit: Visit,
    Query(returned): Query<Returned>,
) -> Response {
    let mut response = answered(&pages, &visit, &returned).await;
    // It is good once, whatever came of it.
    if visit.flow(&pages).is_some() {
        response.headers_mut().append(header::SET_COOKIE, no_flow_cookie());
    }
    response
}

async fn answered(pages: &Pages, visit: &Visit, returned: &Returned) -> Response {
    let (hub, now) = (&pages.hub, pages.hub.clock.now());
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return too_often(wait);
    }
    let flow = visit.flow(pages).filter(|flow| flow.is_answered_by(returned, now.wall));
    let provider = flow.as_ref().and_then(|flow| pages.providers.of(&flow.issuer));
    let (Some(flow), Some(provider)) = (flow, provider) else {
        let text = "This is no answer to anything that this browser began in the last ten minutes, or it kept no cookie of that. Begin again.";
        return layout::message(StatusCode::FORBIDDEN, "Not begun here", text);
    };
    let Some(code) = returned.code.as_deref() else {
        let why = printable(returned.error.as_deref().unwrap_or("no reason"), 60);
        let text = format!("{} did not say who you are: {why}.", provider.name);
        return layout::message(StatusCode::FORBIDDEN, "Not signed in", &text);
    };
    match provider.finish(&pages.host, &flow, code, now.wall).await {
        Ok(sub) => match came(pages, visit, provider, (flow, &sub)).await {
            Ok(response) => response,
            Err(error) => broken(&error),
        },
        Err(error) => not_believed(provider, &error),
    }
}

/// What was begun goes on, now that it is known for whom.
async fn came(
    pages: &Pages,
    visit: &Visit,
    provider: &Provider,
    (flow, sub): (Flow, &str),
) -> Result<Response, PeopleError> {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let who = (provider.issuer.as_str(), sub);
    let taken = || {
        let text = format!("An account is linked to you at {} already.", provider.name);
        layout::message(StatusCode::CONFLICT, "Linked already", &text)
    };
    match flow.purpose {
        Purpose::SignIn(to) => match people.linked(who.0, who.1).await? {
            // The second factor is asked for, whatever the browser or the provider is trusted with.
            Some(person) => Ok(enter(pages, visit, (&person, None), &to).await),
            None => {
                let text = format!(
                    "No account is linked to you at {}. Sign in with your password, and link it under Security.",
                    provider.name
                );
                Ok(layout::message(StatusCode::FORBIDDEN, "Not linked", &text))
            }
        },
        Purpose::Link(account) => {
            let person = visit.person.as_ref().filter(|person| person.account == account);
            let Some(person) = person else { return Ok(super::visit::to_sign_in("/security")) };
            let linked = people.link(person, who, visit.from, now).await?;
            let done = || Redirect::to("/security?done=linked").into_response();
            Ok(if linked { done() } else { taken() })
        }
        Purpose::Welcome(ticket) => {
            match people.accept_linked(&ticket, who, visit.from, now).await? {
                Some(person) => Ok(enter(pages, visit, (&person, None), "/").await),
                None => Ok(taken()),
            }
        }
    }
}

/// A provider that could not be asked, or is not believed.
fn not_believed(provider: &Provider, error: &OidcError) -> Response {
    let reason = core::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(provider = %provider.name, %error, reason, "a provider's word was not taken");
    let text = match error {
        OidcError::Fetch(_) => {
            format!("{} cannot be asked just now. Try again later.", provider.name)
        }
        OidcError::Random(_) => return broken(error),
        OidcError::Document { .. } | OidcError::Token(_) => {
            format!("What {} says of you is not to be trusted: {error}.", provider.name)
        }
    };
    layout::message(StatusCode::BAD_GATEWAY, "Not signed in", &text)
}
