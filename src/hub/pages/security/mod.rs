//! The page "Security": what an account is kept by, and which browsers it let in.

pub(super) mod address;
pub(super) mod browsers;
pub(super) mod factor;
pub(super) mod password;
pub(super) mod provider;

use super::visit::Visit;
use super::{Pages, Shared, broken, layout};
use crate::hub::people::second::{RECOVERY_CODES, Standing};
use crate::hub::people::{PeopleError, Person, ticket_hash};
use crate::hub::store::second::{Browser, Browsers};
use crate::secret::Secret;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

const HERE: (&str, &str) = ("Security", "/security");

/// What was done, for the page that is shown next: a code, and what is said.
const DONE: [(&str, &str); 11] = [
    (
        "password",
        "The password was changed. All other browsers were signed out, and none is trusted.",
    ),
    ("off", "The second factor is off. All other browsers were signed out, and none is trusted."),
    ("signed-out", "The browser was signed out."),
    ("trust", "The browser is trusted no more."),
    ("none", "The browser was not on the list any more."),
    ("known", "The browser is known no more: its next sign-in is told to you."),
    ("asked", "A letter is on its way to the new address. Without what it says nothing changes."),
    ("not-asked", "The address stays as it is."),
    ("address", "The address was changed. Whoever reads mail at the old one was told."),
    ("linked", "You can sign in by that provider from now on."),
    ("unlinked", "You cannot sign in by that provider any more."),
];

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

/// `GET /security`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Query(back): Query<Back>,
) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let all = async {
        let standing = people.standing(&person).await?;
        let signed_in = people.browsers(Browsers::SignedIn, &person, now).await?;
        let trusted = people.browsers(Browsers::Trusted, &person, now).await?;
        let known = people.browsers(Browsers::Known, &person, now).await?;
        let links = people.links(&person).await?;
        Ok::<_, PeopleError>((standing, signed_in, trusted, known, links))
    };
    let (standing, signed_in, trusted, known, links) = match all.await {
        Ok(all) => all,
        Err(error) => return broken(&error),
    };
    let done = DONE.iter().find(|(code, _)| Some(*code) == back.done.as_deref());
    let body = html! {
        h1 { "Security" }
        @if let Some((_, text)) = done { p.done role="status" { (text) } }
        (second_factor(&standing))
        section.card {
            h2 { "Password" }
            p.state { "Whoever changes it signs all other browsers out." }
            a.button href="/security/password" { "Change the password" }
        }
        section.card {
            h2 { "Mail address" }
            p.state { "You sign in with it, and letters about your account go there." }
            a.button href="/security/address" { "Change the address" }
        }
        (provider::section(&pages, &visit, &links))
        (browsers::signed_in(&pages, &visit, &signed_in))
        @if standing.since.is_some() || !trusted.is_empty() {
            (browsers::trusted(&pages, &visit, &trusted))
        }
        (browsers::known(&pages, &visit, &known))
    };
    layout::framed(&pages, &visit, StatusCode::OK, HERE, body)
}

fn second_factor(standing: &Standing) -> Markup {
    html! {
        section.card {
            h2 { "Second factor" }
            @match standing.since {
                Some(since) => {
                    p.state.on { "● on since " (layout::moment(since)) }
                    p { "A sign-in asks for the password and for a code of your app." }
                    p { (standing.recovery_left) " of " (RECOVERY_CODES) " recovery codes are left." }
                    div.actions {
                        a.button href="/security/recovery" { "Make new recovery codes" }
                        a.button.no href="/security/second-factor" { "Switch it off" }
                    }
                }
                None => {
                    p.state { "○ off" }
                    p { "Whoever learns your password can sign in. With a second factor they need your phone as well." }
                    a.button href="/security/second-factor" { "Switch it on" }
                }
            }
        }
    }
}

/// What is asked before something changes that keeps others out.
fn prove(is_on: bool) -> Markup {
    html! {
        label for="password" { "Your password" }
        input id="password" name="password" type="password" autocomplete="current-password" required;
        @if is_on {
            label for="code" { "Code from the app, or a recovery code" }
            input.code id="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" maxlength="16" required;
        }
    }
}

/// Whether a password is right; counts as a try of the visitor's network, and stands in the log when it is not.
async fn knows(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    password: String,
) -> Result<bool, Box<Response>> {
    let (hub, now) = (&pages.hub, pages.hub.clock.now());
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return Err(Box::new(super::too_often(wait)));
    }
    let session = visit.ticket().and_then(ticket_hash).unwrap_or_default();
    if let Err(wait) = hub.wrong.take(session, now.boot) {
        return Err(Box::new(super::too_often(wait)));
    }
    let known = hub.people.confirm(person, Secret::new(password)).await;
    let known = known.map_err(|error| Box::new(super::sign_in::busy_or_broken(&error)))?;
    if known {
        hub.wrong.give(&session);
    } else {
        let noted = hub.people.sign_in_failed(&person.email, visit.from, now.wall);
        noted.await.map_err(|error| Box::new(broken(&error)))?;
    }
    Ok(known)
}

fn done(code: &str) -> Response {
    axum::response::Redirect::to(&format!("/security?done={code}")).into_response()
}

/// A browser's row in a list, with what ends it.
fn row(pages: &Pages, visit: &Visit, browser: &Browser, list: Browsers, own: bool) -> Markup {
    let (path, action) = match list {
        Browsers::SignedIn => ("/security/sign-out", "Sign out"),
        Browsers::Trusted => ("/security/trust", "End the trust"),
        Browsers::Known => ("/security/known", "Forget it"),
    };
    let which = data_encoding::BASE64URL_NOPAD.encode(&browser.ticket);
    html! {
        li {
            div {
                @match list { Browsers::Known => "Last signed in ", _ => "Since " }
                (layout::moment(browser.made_at))
                @if let Some(masked) = browser.masked { ", from " code { (masked) } }
                @if own { " " strong.own { "this browser" } }
            }
            form method="post" action=(path) {
                (layout::marked(pages, visit))
                input type="hidden" name="which" value=(which);
                button.quiet type="submit" { (action) }
            }
        }
    }
}
