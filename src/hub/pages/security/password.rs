//! Changing the password.

use super::super::sign_in::busy_or_broken;
use super::super::visit::{Session, Visit, no_trust_cookie};
use super::super::{Pages, Shared, broken, layout};
use super::{HERE, done, knows, prove};
use crate::hub::people::PeopleError;
use crate::hub::people::password::{BadPassword, SHORTEST};
use crate::hub::store::people::Happened;
use crate::secret::Secret;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Typed {
    password: String,
    new: String,
    again: String,
}

/// `GET /security/password`.
pub(in super::super) async fn show(State(pages): Shared, visit: Visit) -> Response {
    form(&pages, &visit, None)
}

fn form(pages: &Pages, visit: &Visit, problem: Option<&str>) -> Response {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let email = visit.person.as_ref().map(|person| person.email.as_str());
    let body = html! {
        h1 { "Change the password" }
        p { "All other browsers are signed out by it, and none is trusted any more." }
        (layout::problem(problem))
        form method="post" action="/security/password" {
            (layout::marked(pages, visit))
            input type="hidden" value=[email] autocomplete="username";
            (prove(false))
            label for="new" { "New password" }
            input id="new" name="new" type="password" autocomplete="new-password" minlength=(SHORTEST) required aria-describedby="rule";
            p.hint id="rule" { "At least " (SHORTEST) " characters. A few words in a row are easier to keep than one with signs." }
            label for="again" { "The new one again" }
            input id="again" name="again" type="password" autocomplete="new-password" minlength=(SHORTEST) required;
            div { button type="submit" { "Change it" } }
        }
    };
    layout::framed(pages, visit, status, HERE, body)
}

/// `POST /security/password`.
pub(in super::super) async fn change(
    State(pages): Shared,
    visit: Visit,
    Session { person, ticket }: Session,
    Form(typed): Form<Typed>,
) -> Response {
    let (new, again) = (Secret::new(typed.new), Secret::new(typed.again));
    if new.expose() != again.expose() {
        return form(&pages, &visit, Some("The two new ones are not the same."));
    }
    match knows(&pages, &visit, &person, typed.password).await {
        Ok(true) => {}
        Ok(false) => return form(&pages, &visit, Some("Your password is not right.")),
        Err(response) => return *response,
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    match people.change_password(&person, new, &ticket).await {
        Ok(()) => {}
        Err(PeopleError::Password(error @ (BadPassword::Short | BadPassword::Long))) => {
            return form(&pages, &visit, Some(&format!("Not this one: {error}.")));
        }
        Err(error) => return busy_or_broken(&error),
    }
    let what = Happened::PasswordChanged;
    match people.tell(person.account, what, None, visit.from, now).await {
        Ok(()) => ([(header::SET_COOKIE, no_trust_cookie())], done("password")).into_response(),
        Err(error) => broken(&error),
    }
}
