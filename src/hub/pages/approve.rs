//! Letting a device in: its code, its four words side by side, and a decision.

use super::visit::{Visit, to_sign_in};
use super::{Pages, Shared, broken, layout, too_often};
use crate::hub::api::shown_code;
use crate::hub::approval::{NotFound, since, typed_code};
use crate::hub::people::Person;
use crate::hub::store::people::Happened;
use crate::hub::store::{Decided, Pending, State as Standing, StoreError};
use crate::wire::registration::check_words;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Asked {
    code: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Decision {
    code: String,
    decision: String,
    words: Option<String>,
}

/// `GET /approve`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Response {
    let code = asked.code.as_deref().map(typed_code).filter(|code| !code.is_empty());
    if visit.person.is_none() {
        let code = code.map(|code| format!("?code={}", shown_code(&code)));
        return to_sign_in(&format!("/approve{}", code.unwrap_or_default()));
    }
    let Some(code) = code else { return ask(&pages, &visit, None) };
    match find(&pages, &visit, &code).await {
        Ok(row) => compare(&pages, &visit, &row, None),
        Err(response) => *response,
    }
}

/// The request with this code. Each look costs a try, also that of a right one: codes are short, and guessing them
/// must not pay.
async fn find(pages: &Pages, visit: &Visit, code: &str) -> Result<Pending, Box<Response>> {
    let (hub, now) = (&pages.hub, pages.hub.clock.now());
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return Err(Box::new(too_often(wait)));
    }
    let unknown = || ask(pages, visit, Some("No device waits with this code."));
    let found = hub.approvals.find(hub.store.as_ref(), visit.from, code, now).await;
    let row = found.map_err(|error| {
        Box::new(match &error {
            NotFound::NoSuchCode => unknown(),
            NotFound::TooMany { wait } => too_often(*wait),
            NotFound::Store(error) => broken(error),
        })
    })?;
    if row.state == Standing::Open { Ok(row) } else { Err(Box::new(unknown())) }
}

fn framed(pages: &Pages, visit: &Visit, status: StatusCode, body: Markup) -> Response {
    let top = layout::top(visit, &visit.mark(pages), "/approve");
    (status, layout::page("Add a device", top, body)).into_response()
}

fn ask(pages: &Pages, visit: &Visit, problem: Option<&str>) -> Response {
    let status = if problem.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let body = html! {
        h1 { "Add a device" }
        p { "Type " code { "qcloud-agent register" } " on the device. It shows a code." }
        (layout::problem(problem))
        form method="get" action="/approve" {
            label for="code" { "Code" }
            input.code id="code" name="code" type="text" placeholder="BCDF-GHJK" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required autofocus;
            div { button type="submit" { "Go on" } }
        }
    };
    framed(pages, visit, status, body)
}

fn compare(pages: &Pages, visit: &Visit, row: &Pending, problem: Option<&str>) -> Response {
    let words = check_words(&row.challenge, &row.spki);
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = html! {
        h1 { "Is this your device?" }
        p { "A device asks to be " strong { (row.name) } ". On its screen it shows these four words:" }
        (layout::problem(problem))
        ol.words { @for word in &words { li { (word) } } }
        p.hint { "Other words mean that somebody else's device is using the code. Then refuse." }
        form method="post" action="/approve" {
            input type="hidden" name="mark" value=(visit.mark(pages));
            input type="hidden" name="code" value=(shown_code(&row.user_code));
            label.check {
                input type="checkbox" name="words" value="same";
                span { "The device in front of me shows exactly these words" }
            }
            button type="submit" name="decision" value="approve" { "Let it in" }
            button.no type="submit" name="decision" value="deny" { "Refuse" }
        }
    };
    framed(pages, visit, status, body)
}

/// `POST /approve`.
pub(super) async fn decide(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(form): Form<Decision>,
) -> Response {
    let row = match find(&pages, &visit, &form.code).await {
        Ok(row) => row,
        Err(response) => return *response,
    };
    let approve = form.decision == "approve";
    let compared = form.words.as_deref() == Some("same") || crate::sabotage::off("pages-words");
    if approve && !compared {
        let problem = "Compare the words first, and say that they are the same.";
        return compare(&pages, &visit, &row, Some(problem));
    }
    match decided(&pages, &visit, &person, &row, approve).await {
        Ok(Decided::Yes) if approve => Redirect::to("/?done=added").into_response(),
        Ok(Decided::Yes) => {
            let text = "The device was refused. It is told so when it asks next.";
            layout::message(StatusCode::OK, "Refused", text)
        }
        Ok(Decided::NameTaken) => {
            let text = "The name belongs to another device. Refuse this one, and register it under another name.";
            compare(&pages, &visit, &row, Some(text))
        }
        Ok(Decided::NoSuchCode | Decided::Already(_)) => {
            ask(&pages, &visit, Some("Somebody has decided on this device already."))
        }
        Err(response) => *response,
    }
}

async fn decided(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    row: &Pending,
    approve: bool,
) -> Result<Decided, Box<Response>> {
    let (hub, now) = (&pages.hub, pages.hub.clock.now().wall);
    let store = |error: StoreError| Box::new(broken(&error));
    let code = row.user_code.clone();
    let decided = hub.store.decide_as(person.account, code, approve, since(now));
    let decided = decided.await.map_err(store)?;
    if decided == Decided::Yes {
        let what = if approve { Happened::Approved } else { Happened::Denied };
        let noted = hub.people.tell(person.account, what, Some(row.name.as_str()), visit.from, now);
        noted.await.map_err(|error| Box::new(broken(&error)))?;
    }
    Ok(decided)
}
