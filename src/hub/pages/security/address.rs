//! Changing the mail address: asked for here, confirmed by a letter to the new one.

use super::super::second::refused;
use super::super::visit::Visit;
use super::super::{Pages, Shared, broken, layout, too_often};
use super::{HERE, done, knows, prove};
use crate::hub::people::email::Email;
use crate::hub::people::second::Checked;
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::Language;
use crate::hub::store::address::Moved;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Typed {
    email: String,
    password: String,
    code: Option<String>,
}

/// `GET /security/address`.
pub(in super::super) async fn show(State(pages): Shared, visit: Visit, person: Person) -> Response {
    form(&pages, &visit, &person, StatusCode::OK, None).await
}

async fn form(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    status: StatusCode,
    problem: Option<&str>,
) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let standing = async {
        let is_on = people.standing(person).await?.since.is_some();
        Ok::<_, PeopleError>((is_on, people.asked_address(person, now).await?))
    };
    let (is_on, asked) = match standing.await {
        Ok(standing) => standing,
        Err(error) => return broken(&error),
    };
    let body = html! {
        h1 { "Change the address" }
        (layout::problem(problem))
        p { "Now it is " strong { (person.email) } "." }
        @if let Some(asked) = &asked { (waiting(pages, visit, asked)) }
        @if people.mails() {
            form method="post" action="/security/address" {
                (layout::marked(pages, visit))
                label for="email" { "New mail address" }
                input id="email" name="email" type="email" autocomplete="email" required;
                p.hint { "A letter goes there, with a page to open. The old address is told as well." }
                (prove(is_on))
                div { button type="submit" { "Send the letter" } }
            }
        } @else {
            p { "This hub sends no mail, so that it cannot find out whether a new address is yours. Ask whoever runs it." }
        }
    };
    layout::framed(pages, visit, status, HERE, body)
}

fn waiting(pages: &Pages, visit: &Visit, asked: &Email) -> Markup {
    html! {
        section.card {
            p { "A letter to " strong { (asked) } " waits for its answer. If it does not come, the address may be wrong, or another account's." }
            form method="post" action="/security/address/off" {
                (layout::marked(pages, visit))
                button.quiet type="submit" { "Keep the address there is" }
            }
        }
    }
}

/// `POST /security/address`.
pub(in super::super) async fn ask(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(typed): Form<Typed>,
) -> Response {
    let again = |text: &'static str| {
        form(&pages, &visit, &person, StatusCode::UNPROCESSABLE_ENTITY, Some(text))
    };
    let Ok(to) = Email::parse(&typed.email) else {
        return again("A mail address looks like name@example.net.").await;
    };
    if !pages.hub.people.mails() {
        return again("This hub sends no mail.").await;
    }
    match knows(&pages, &visit, &person, typed.password).await {
        Ok(true) => {}
        Ok(false) => return again("Your password is not right.").await,
        Err(response) => return *response,
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let asked = async {
        let checked = match people.standing(&person).await?.since {
            Some(_) => {
                let code = typed.code.as_deref().unwrap_or_default();
                people.check(&person, code, visit.from, now).await?
            }
            None => Checked::Right,
        };
        if checked != Checked::Right {
            return Ok(Err(checked));
        }
        Ok::<_, PeopleError>(Ok(people.ask_address(&person, &to, visit.from, now).await?))
    };
    match asked.await {
        Ok(Ok(true)) => done("asked"),
        Ok(Ok(false)) => again("A letter was sent not long ago. Wait ten minutes.").await,
        Ok(Err(checked)) => {
            let (status, text) = refused(checked);
            form(&pages, &visit, &person, status, Some(text.to(Language::English))).await
        }
        Err(error) => broken(&error),
    }
}

/// `POST /security/address/off`.
pub(in super::super) async fn end(State(pages): Shared, _visit: Visit, person: Person) -> Response {
    match pages.hub.people.end_change(&person).await {
        Ok(_) => done("not-asked"),
        Err(error) => broken(&error),
    }
}

fn over() -> Response {
    let text = "This letter is not about your account, was answered, or is older than a day. Sign in to the account \
                that asked for it, or ask again there.";
    layout::message(StatusCode::NOT_FOUND, "Nothing to confirm", text)
}

/// `GET /address/TOKEN`.
pub(in super::super) async fn compare(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Path(token): Path<String>,
) -> Response {
    let path = format!("/address/{token}");
    let now = pages.hub.clock.now().wall;
    let to = match pages.hub.people.change_of(&person, &token, now).await {
        Ok(Some((_, to))) => to,
        Ok(None) => return over(),
        Err(error) => return broken(&error),
    };
    let body = html! {
        h1 { "Is this your address?" }
        p { "From now on you sign in as " strong { (to) } " instead of " strong { (person.email) } ", and letters go there." }
        form method="post" action=(path) {
            (layout::marked(&pages, &visit))
            div { button type="submit" { "Use this address" } }
        }
    };
    layout::framed(&pages, &visit, StatusCode::OK, HERE, body)
}

/// `POST /address/TOKEN`.
pub(in super::super) async fn confirm(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Path(token): Path<String>,
) -> Response {
    if let Err(wait) = pages.hub.tries.take(visit.from, pages.hub.clock.now().boot) {
        return too_often(wait);
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let (change, to) = match people.change_of(&person, &token, now).await {
        Ok(Some(found)) => found,
        Ok(None) => return over(),
        Err(error) => return broken(&error),
    };
    match people.change_address(&person, (change, &to), visit.from, now).await {
        Ok(Moved::Yes) => done("address"),
        Ok(Moved::Over | Moved::Taken) => over(),
        Err(error) => broken(&error),
    }
}
