//! Linking providers of identities, and unlinking them.

use super::super::second::refused;
use super::super::visit::Visit;
use super::super::{Pages, Shared, broken, layout, oidc};
use super::{HERE, done, knows, prove};
use crate::hub::oidc::{Provider, Purpose};
use crate::hub::people::identity::Link;
use crate::hub::people::second::Checked;
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::Language;
use crate::hub::store::Hash;
use crate::hub::store::identity::Unlinked;
use axum::extract::{Form, Path, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Typed {
    password: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
pub(in super::super) struct Which {
    which: String,
}

/// What is linked and what could be, on the page "Security".
pub(super) fn section(pages: &Pages, visit: &Visit, links: &[Link]) -> Markup {
    let all = pages.providers.all();
    let is_linked = |provider: &Provider| links.iter().any(|link| link.issuer == provider.issuer);
    html! {
        @if !all.is_empty() || !links.is_empty() {
            section.card {
                h2 { "Sign in with" }
                p.state { "A provider says that it is you. A second factor is asked for all the same." }
                ul.browsers {
                    @for link in links { (linked(pages, visit, link)) }
                    @for (number, provider) in all.iter().enumerate().filter(|(_, one)| !is_linked(one)) {
                        li {
                            div { (provider.name) }
                            a.button href={ "/security/provider/" (number) } { "Link it" }
                        }
                    }
                }
            }
        }
    }
}

fn linked(pages: &Pages, visit: &Visit, link: &Link) -> Markup {
    let number = pages.providers.all().iter().position(|one| one.issuer == link.issuer);
    let name = pages.providers.of(&link.issuer).map_or(link.issuer.as_str(), |one| &one.name);
    // One that the operator took out of the configuration is unlinked all the same.
    let number = number.unwrap_or_default();
    html! {
        li {
            div { (name) ", since " (layout::moment(link.made_at)) }
            form method="post" action={ "/security/provider/" (number) "/off" } {
                (layout::marked(pages, visit))
                input type="hidden" name="which" value=(BASE64URL_NOPAD.encode(&link.subject));
                button.quiet type="submit" { "Unlink it" }
            }
        }
    }
}

fn nobody() -> Response {
    let text = "This hub knows no such provider.";
    layout::message(StatusCode::NOT_FOUND, "No such provider", text)
}

/// `GET /security/provider/NUMBER`.
pub(in super::super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Path(number): Path<String>,
) -> Response {
    form(&pages, &visit, &person, &number, (StatusCode::OK, None)).await
}

async fn form(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    number: &str,
    (status, problem): (StatusCode, Option<&str>),
) -> Response {
    let Some(provider) = pages.providers.numbered(number) else { return nobody() };
    let people = &pages.hub.people;
    let standing = async {
        let is_on = people.standing(person).await?.since.is_some();
        Ok::<_, PeopleError>((is_on, people.has_password(person).await?))
    };
    let (is_on, has_password) = match standing.await {
        Ok(standing) => standing,
        Err(error) => return broken(&error),
    };
    let body = html! {
        h1 { "Link " (provider.name) }
        (layout::problem(problem))
        p { "After this whoever is you there can sign in here. " (provider.name) " learns that you use this hub, and when you sign in by it." }
        form method="post" action={ "/security/provider/" (number) } {
            (layout::marked(pages, visit))
            @if has_password { (prove(is_on)) }
            div { button type="submit" { "Go on" } }
        }
    };
    layout::framed(pages, visit, status, HERE, body)
}

/// `POST /security/provider/NUMBER`.
pub(in super::super) async fn link(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Path(number): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let Some(provider) = pages.providers.numbered(&number) else { return nobody() };
    if let Err(refusal) = proven(&pages, &visit, &person, (&number, typed)).await {
        return *refusal;
    }
    let begun = oidc::begin(&pages, &visit, &number, Purpose::Link(person.account)).await;
    let (cookie, to) = match begun {
        Ok(begun) => begun,
        Err(response) => return *response,
    };
    // A link and no redirect: the policy of these pages lets no form lead elsewhere.
    let body = html! {
        h1 { "Link " (provider.name) }
        p { a.button rel="noreferrer" href=(to) { "Go on to " (provider.name) } }
    };
    let mut response = layout::framed(&pages, &visit, StatusCode::OK, HERE, body);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Whether somebody may link: by password, and by code where there is a second factor.
async fn proven(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    (number, typed): (&str, Typed),
) -> Result<(), Box<Response>> {
    let people = &pages.hub.people;
    let error = |error: PeopleError| Box::new(broken(&error));
    if people.has_password(person).await.map_err(error)? {
        let password = typed.password.unwrap_or_default();
        if !knows(pages, visit, person, password).await? {
            let said = (StatusCode::UNPROCESSABLE_ENTITY, Some("Your password is not right."));
            return Err(Box::new(form(pages, visit, person, number, said).await));
        }
    }
    if people.standing(person).await.map_err(error)?.since.is_none() {
        return Ok(());
    }
    let (code, now) = (typed.code.unwrap_or_default(), pages.hub.clock.now().wall);
    match people.check(person, &code, visit.from, now).await.map_err(error)? {
        Checked::Right => Ok(()),
        checked @ (Checked::Wrong | Checked::Closed) => {
            let (status, text) = refused(checked);
            Err(Box::new(
                form(pages, visit, person, number, (status, Some(text.to(Language::English))))
                    .await,
            ))
        }
    }
}

/// `POST /security/provider/NUMBER/off`.
pub(in super::super) async fn unlink(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(form): Form<Which>,
) -> Response {
    let bytes = BASE64URL_NOPAD.decode(form.which.as_bytes()).unwrap_or_default();
    let Ok(subject) = Hash::try_from(bytes.as_slice()) else { return done("unlinked") };
    let now = pages.hub.clock.now().wall;
    match pages.hub.people.unlink(&person, subject, visit.from, now).await {
        Ok(Unlinked::Yes | Unlinked::None) => done("unlinked"),
        Ok(Unlinked::Last) => {
            let text = "This is the only way into your account. Ask whoever runs this hub for an invitation, \
                        choose a password, and unlink it then.";
            layout::message(StatusCode::CONFLICT, "The last way in", text)
        }
        Err(error) => broken(&error),
    }
}
