//! The second step of a sign-in.

use super::sign_in::{busy_or_broken, let_in};
use super::visit::{Visit, to_sign_in, trust_cookie, way_back};
use super::{Pages, Shared, broken, layout, too_often};
use crate::hub::people::second::{Checked, Finished};
use crate::hub::speech::{Said, said};
use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Back {
    to: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Step {
    code: String,
    trust: Option<String>,
    to: Option<String>,
}

/// `GET /sign-in/second`.
pub(super) async fn show(State(pages): Shared, visit: Visit, Query(back): Query<Back>) -> Response {
    let to = way_back(back.to.as_deref());
    if visit.person.is_some() {
        return Redirect::to(to).into_response();
    }
    let now = pages.hub.clock.now().wall;
    let half = match visit.ticket() {
        Some(ticket) => pages.hub.people.half(ticket, now).await,
        None => Ok(None),
    };
    match half {
        Ok(Some(_)) => form(&pages, &visit, StatusCode::OK, to, None),
        Ok(None) => to_sign_in(to),
        Err(error) => broken(&error),
    }
}

fn form(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    to: &str,
    problem: Option<Said>,
) -> Response {
    let title = said("One step more", "Noch ein Schritt", "Ett steg till");
    let enter = said("Sign in", "Anmelden", "Logga in");
    let hidden = html! {
        (layout::marked(pages, visit))
        input type="hidden" name="to" value=(to);
    };
    let body = html! {
        h1 { (title) }
        p { (said("Your password was right. Now the code that your app shows.", "Ihr Passwort stimmte. Nun der Code, den Ihre App zeigt.", "Ditt lösenord var rätt. Nu koden som din app visar.")) }
        (layout::problem(problem.map(Said::here)))
        form method="post" action="/sign-in/second" {
            (hidden)
            label for="code" { (said("Code", "Code", "Kod")) }
            input.code id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" placeholder="123456" maxlength="8" required autofocus;
            (trust())
            div { button type="submit" { (enter) } }
        }
        details {
            summary { (said("The app is not at hand", "Die App ist nicht zur Hand", "Appen är inte till hands")) }
            form method="post" action="/sign-in/second" {
                (hidden)
                label for="recovery" { (said("Recovery code", "Wiederherstellungscode", "Återställningskod")) }
                input.code id="recovery" name="code" type="text" autocomplete="off" autocapitalize="characters" spellcheck="false" placeholder="BCDFG-HJKLM" maxlength="16" required;
                p.hint { (said("Each of them is good once.", "Jeder gilt einmal.", "Var och en gäller en gång.")) }
                div { button type="submit" { (enter) } }
            }
        }
        p.hint { a href="/sign-in" { (said("Begin again", "Von vorn beginnen", "Börja om")) } }
    };
    (status, layout::spoken(title, layout::plain_top(), body)).into_response()
}

fn trust() -> Markup {
    html! {
        label.check {
            input type="checkbox" name="trust" value="yes";
            span { (said("Trust this browser for 30 days: it is asked for the password only", "Diesem Browser 30 Tage vertrauen: er wird nur nach dem Passwort gefragt", "Lita på den här webbläsaren i 30 dagar: den frågas bara efter lösenordet")) }
        }
    }
}

/// `POST /sign-in/second`.
pub(super) async fn step(State(pages): Shared, visit: Visit, Form(typed): Form<Step>) -> Response {
    let hub = &pages.hub;
    let to = way_back(typed.to.as_deref());
    let Some(ticket) = visit.ticket() else { return to_sign_in(to) };
    let now = hub.clock.now();
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return too_often(wait);
    }
    let trust = typed.trust.as_deref() == Some("yes");
    match hub.people.finish(ticket, &typed.code, trust, visit.from, now.wall).await {
        Ok(Finished::Yes(session, trusted)) => {
            let mut response = let_in(&pages, &visit, session, to).await;
            if let Some(cookie) = trusted.as_ref().and_then(trust_cookie) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            response
        }
        Ok(Finished::Over) => to_sign_in(to),
        Ok(Finished::No(checked)) => {
            let (status, text) = refused(checked);
            form(&pages, &visit, status, to, Some(text))
        }
        Err(error) => busy_or_broken(&error),
    }
}

/// What is said to a code that was not taken.
pub(super) fn refused(checked: Checked) -> (StatusCode, Said) {
    match checked {
        Checked::Closed => (
            StatusCode::TOO_MANY_REQUESTS,
            said(
                "Too many codes were wrong. None is tried for 15 minutes, not even a right one.",
                "Zu viele Codes waren falsch. 15 Minuten lang wird keiner geprüft, auch kein richtiger.",
                "För många koder var fel. Ingen prövas på 15 minuter, inte ens en rätt.",
            ),
        ),
        Checked::Right | Checked::Wrong => (
            StatusCode::UNPROCESSABLE_ENTITY,
            said(
                "This code is not right, or was used before. The app shows another one soon.",
                "Dieser Code stimmt nicht oder wurde schon benutzt. Die App zeigt bald einen anderen.",
                "Koden stämmer inte, eller har redan använts. Appen visar snart en annan.",
            ),
        ),
    }
}
