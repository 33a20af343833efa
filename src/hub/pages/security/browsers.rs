//! The browsers an account let in, and putting them out again.

use super::super::visit::{Visit, no_cookie, no_trust_cookie};
use super::super::{Pages, Shared, broken, layout};
use super::{done, row};
use crate::hub::people::{PeopleError, Person, ticket_hash};
use crate::hub::store::Hash;
use crate::hub::store::people::Happened;
use crate::hub::store::second::{Browser, Browsers};
use axum::extract::{Form, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::BASE64URL_NOPAD;
use maud::{Markup, html};
use serde::Deserialize;

/// In place of a browser: all of them.
const ALL: &str = "all";

#[derive(Deserialize)]
pub(in super::super) struct Which {
    which: String,
}

impl Which {
    /// The one browser that is meant; nothing for all. Fails for what is neither.
    fn read(&self) -> Result<Option<Hash>, ()> {
        if self.which == ALL {
            return Ok(None);
        }
        let bytes = BASE64URL_NOPAD.decode(self.which.as_bytes()).map_err(|_| ())?;
        Hash::try_from(bytes.as_slice()).map(Some).map_err(|_| ())
    }
}

pub(super) fn signed_in(pages: &Pages, visit: &Visit, all: &[Browser]) -> Markup {
    let own = visit.ticket().and_then(ticket_hash);
    html! {
        section.card {
            h2 { "Signed-in browsers" }
            ul.browsers {
                @for browser in all {
                    (row(pages, visit, browser, Browsers::SignedIn, own == Some(browser.ticket)))
                }
            }
            (every(pages, visit, "/security/sign-out", "Sign out everywhere"))
        }
    }
}

pub(super) fn trusted(pages: &Pages, visit: &Visit, all: &[Browser]) -> Markup {
    let own = visit.trusted().and_then(ticket_hash);
    html! {
        section.card {
            h2 { "Trusted browsers" }
            p.state { "They are asked for the password only, for 30 days." }
            @if all.is_empty() {
                p { "No browser is trusted." }
            } @else {
                ul.browsers {
                    @for browser in all {
                        (row(pages, visit, browser, Browsers::Trusted, own == Some(browser.ticket)))
                    }
                }
                (every(pages, visit, "/security/trust", "Trust none of them"))
            }
        }
    }
}

pub(super) fn known(pages: &Pages, visit: &Visit, all: &[Browser]) -> Markup {
    let own: Vec<_> = visit.known().iter().filter_map(|ticket| ticket_hash(ticket)).collect();
    html! {
        @if !all.is_empty() {
            section.card {
                h2 { "Known browsers" }
                p.state { "You were signed in with them in the last 180 days. You get a letter when another one is." }
                ul.browsers {
                    @for browser in all {
                        (row(pages, visit, browser, Browsers::Known, own.contains(&browser.ticket)))
                    }
                }
                (every(pages, visit, "/security/known", "Forget all of them"))
            }
        }
    }
}

fn every(pages: &Pages, visit: &Visit, path: &str, action: &str) -> Markup {
    html! {
        form method="post" action=(path) {
            (layout::marked(pages, visit))
            input type="hidden" name="which" value=(ALL);
            button.no type="submit" { (action) }
        }
    }
}

/// Ends one browser's sign-in or trust, or all of that kind, and tells the owner if there was any.
async fn end(
    (pages, visit, person): (&Pages, &Visit, &Person),
    which: Browsers,
    one: Option<Hash>,
    what: Happened,
) -> Result<u64, PeopleError> {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let ended = people.end_browsers(which, person, one).await?;
    if ended > 0 {
        people.tell(person.account, what, None, visit.from, now).await?;
    }
    Ok(ended)
}

/// `POST /security/sign-out`.
pub(in super::super) async fn sign_out(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(form): Form<Which>,
) -> Response {
    let Ok(one) = form.read() else { return done("none") };
    let is_own = one == visit.ticket().and_then(ticket_hash);
    let what = if is_own { Happened::SignedOut } else { Happened::OthersSignedOut };
    match end((&pages, &visit, &person), Browsers::SignedIn, one, what).await {
        Ok(_) if one.is_none() || is_own => {
            ([(header::SET_COOKIE, no_cookie())], Redirect::to("/sign-in")).into_response()
        }
        Ok(0) => done("none"),
        Ok(_) => done("signed-out"),
        Err(error) => broken(&error),
    }
}

/// `POST /security/trust`.
pub(in super::super) async fn end_trust(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(form): Form<Which>,
) -> Response {
    let Ok(one) = form.read() else { return done("none") };
    let ended = end((&pages, &visit, &person), Browsers::Trusted, one, Happened::TrustEnded);
    let response = match ended.await {
        Ok(0) => done("none"),
        Ok(_) => done("trust"),
        Err(error) => return broken(&error),
    };
    if one.is_none() || one == visit.trusted().and_then(ticket_hash) {
        return ([(header::SET_COOKIE, no_trust_cookie())], response).into_response();
    }
    response
}

/// `POST /security/known`.
pub(in super::super) async fn forget(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(form): Form<Which>,
) -> Response {
    let Ok(one) = form.read() else { return done("none") };
    let ended = end((&pages, &visit, &person), Browsers::Known, one, Happened::BrowserForgotten);
    match ended.await {
        Ok(0) => done("none"),
        Ok(_) => done("known"),
        Err(error) => broken(&error),
    }
}
