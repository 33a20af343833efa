//! The second factor: switching it on and off, and recovery codes.

use super::super::second::refused;
use super::super::sign_in::stale;
use super::super::visit::{Session, Visit, no_trust_cookie};
use super::super::{Pages, Shared, broken, layout, qr};
use super::{HERE, done, knows, prove};
use crate::hub::people::second::{Checked, Offer};
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::Language;
use crate::hub::store::people::Happened;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct On {
    offer: String,
    password: String,
    code: String,
}

#[derive(Deserialize)]
pub(in super::super) struct Proof {
    pub(super) password: String,
    pub(super) code: String,
}

/// `GET /security/second-factor`.
pub(in super::super) async fn show(State(pages): Shared, visit: Visit, person: Person) -> Response {
    let people = &pages.hub.people;
    match people.standing(&person).await {
        Ok(standing) if standing.since.is_some() => off_form(&pages, &visit, StatusCode::OK, None),
        Ok(_) => match people.offer(&person, pages.hub.clock.now().wall) {
            Ok(offer) => on_form(&pages, &visit, &person, &offer, None),
            Err(error) => broken(&error),
        },
        Err(error) => broken(&error),
    }
}

fn on_form(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    offer: &Offer,
    problem: Option<&str>,
) -> Response {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let link = offer.totp.link(&pages.host, person.email.as_str());
    let secret = offer.totp.base32();
    let groups: Vec<_> = secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    let body = html! {
        h1 { "Switch the second factor on" }
        (layout::problem(problem))
        p { "Scan this with an app for codes (any of them will do), or type the letters below it. Nobody else may see them." }
        (qr::drawn(&link, "QR code with the secret for your app"))
        p { code.secret { (groups.join(" ")) } }
        p.hint { a href=(link) { "Open it in the app on this device" } }
        form method="post" action="/security/second-factor" {
            (layout::marked(pages, visit))
            input type="hidden" name="offer" value=(offer.sealed);
            (prove(false))
            label for="code" { "The code your app shows now" }
            input.code id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" placeholder="123456" maxlength="8" required;
            p.hint { "All other browsers are signed out by it." }
            div { button type="submit" { "Switch it on" } }
        }
    };
    layout::framed(pages, visit, status, HERE, body)
}

/// `POST /security/second-factor`.
pub(in super::super) async fn switch_on(
    State(pages): Shared,
    visit: Visit,
    Session { person, ticket }: Session,
    Form(typed): Form<On>,
) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    // An offer that is over, or was made to somebody else.
    let Some(offer) = people.offered(&person, &typed.offer, now) else { return stale() };
    match knows(&pages, &visit, &person, typed.password).await {
        Ok(true) => {}
        Ok(false) => {
            let problem = Some("Your password is not right.");
            return on_form(&pages, &visit, &person, &offer, problem);
        }
        Err(response) => return *response,
    }
    let codes = async {
        let codes = people.second_on(&person, &offer, &typed.code, &ticket, now).await?;
        if codes.is_some() {
            people.tell(person.account, Happened::SecondOn, None, visit.from, now).await?;
        }
        Ok::<_, PeopleError>(codes)
    };
    match codes.await {
        Ok(Some(codes)) => {
            let lead = "The second factor is on. All other browsers were signed out.";
            shown_once(&pages, &visit, lead, &codes)
        }
        Ok(None) => {
            let problem = "This code is not of this secret, or the second factor is on already.";
            on_form(&pages, &visit, &person, &offer, Some(problem))
        }
        Err(error) => broken(&error),
    }
}

fn shown_once(pages: &Pages, visit: &Visit, lead: &str, codes: &[String]) -> Response {
    let body = html! {
        h1 { "Your recovery codes" }
        p.done role="status" { (lead) }
        p { "Each of these is good once, in place of a code of the app. Keep them where the phone is not: "
            strong { "they are shown only now." } " Without the phone and without them nobody gets in, not even you." }
        ul.codes { @for code in codes { li { (code) } } }
        p { a.button href="/security" { "I have them" } }
    };
    layout::framed(pages, visit, StatusCode::OK, HERE, body)
}

fn off_form(pages: &Pages, visit: &Visit, status: StatusCode, problem: Option<&str>) -> Response {
    let path = "/security/second-factor/off";
    let lead =
        "After this the password alone opens your account. All other browsers are signed out.";
    let title = "Switch the second factor off";
    framed(pages, visit, status, problem, proof_form(pages, visit, path, title, lead, title))
}

fn recovery_form(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    problem: Option<&str>,
) -> Response {
    let lead = "Those you have now are void after this.";
    let title = "Make new recovery codes";
    let path = "/security/recovery";
    framed(pages, visit, status, problem, proof_form(pages, visit, path, title, lead, "Make them"))
}

fn framed(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    problem: Option<&str>,
    form: Markup,
) -> Response {
    let body = html! { (layout::problem(problem)) (form) };
    layout::framed(pages, visit, status, HERE, body)
}

fn proof_form(
    pages: &Pages,
    visit: &Visit,
    path: &str,
    title: &str,
    lead: &str,
    action: &str,
) -> Markup {
    html! {
        h1 { (title) }
        p { (lead) }
        form method="post" action=(path) {
            (layout::marked(pages, visit))
            (prove(true))
            div { button type="submit" { (action) } }
        }
    }
}

/// Whether password and code are both right: who holds only a signed-in browser changes nothing here.
async fn proven(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    proof: Proof,
    form: fn(&Pages, &Visit, StatusCode, Option<&str>) -> Response,
) -> Result<(), Box<Response>> {
    if !knows(pages, visit, person, proof.password).await? {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Box::new(form(pages, visit, status, Some("Your password is not right."))));
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    match people.check(person, &proof.code, visit.from, now).await {
        Ok(Checked::Right) => Ok(()),
        Ok(checked) => {
            let (status, text) = refused(checked);
            Err(Box::new(form(pages, visit, status, Some(text.to(Language::English)))))
        }
        Err(error) => Err(Box::new(broken(&error))),
    }
}

/// `POST /security/second-factor/off`.
pub(in super::super) async fn switch_off(
    State(pages): Shared,
    visit: Visit,
    Session { person, ticket }: Session,
    Form(proof): Form<Proof>,
) -> Response {
    if let Err(response) = proven(&pages, &visit, &person, proof, off_form).await {
        return *response;
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let off = async {
        people.second_off(&person, &ticket).await?;
        people.tell(person.account, Happened::SecondOff, None, visit.from, now).await
    };
    match off.await {
        Ok(()) => ([(header::SET_COOKIE, no_trust_cookie())], done("off")).into_response(),
        Err(error) => broken(&error),
    }
}

/// `GET /security/recovery`.
pub(in super::super) async fn ask_recovery(
    State(pages): Shared,
    visit: Visit,
    person: Person,
) -> Response {
    match pages.hub.people.standing(&person).await {
        Ok(standing) if standing.since.is_some() => {
            recovery_form(&pages, &visit, StatusCode::OK, None)
        }
        Ok(_) => axum::response::Redirect::to("/security").into_response(),
        Err(error) => broken(&error),
    }
}

/// `POST /security/recovery`.
pub(in super::super) async fn make_recovery(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(proof): Form<Proof>,
) -> Response {
    if let Err(response) = proven(&pages, &visit, &person, proof, recovery_form).await {
        return *response;
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let codes = async {
        let codes = people.new_recovery(&person, now).await?;
        people.tell(person.account, Happened::RecoveryMade, None, visit.from, now).await?;
        Ok::<_, PeopleError>(codes)
    };
    match codes.await {
        Ok(codes) => shown_once(&pages, &visit, "The codes you had before are void.", &codes),
        Err(error) => broken(&error),
    }
}
