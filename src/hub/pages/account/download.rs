//! Everything kept of a person, as a file (promise Q8).

use super::super::visit::Visit;
use super::super::{Pages, Shared, broken, layout};
use super::{HERE, knows_password, prove};
use crate::hub::export;
use crate::hub::people::Person;
use crate::hub::speech::{Said, said};
use crate::hub::store::people::Happened;
use axum::extract::{Form, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Typed {
    password: String,
}

/// `GET /account/download`.
pub(in super::super) async fn show(State(pages): Shared, visit: Visit) -> Response {
    form(&pages, &visit, None)
}

fn form(pages: &Pages, visit: &Visit, problem: Option<Said>) -> Response {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = html! {
        h1 { (said("Download everything kept", "Alles herunterladen", "Ladda ner allt")) }
        p {
            (said("You get one JSON file: every row of every table that is about you or your devices, with the seals opened. Of passwords and keys it says only what they are. Keep it as you would keep a letter.",
                  "Sie bekommen eine JSON-Datei: jede Zeile jeder Tabelle, die Sie oder Ihre Geräte betrifft, mit geöffneten Siegeln. Von Passwörtern und Schlüsseln steht darin nur, was sie sind. Bewahren Sie sie auf wie einen Brief.",
                  "Du får en JSON-fil: varje rad i varje tabell som rör dig eller dina enheter, med sigillen öppnade. Om lösenord och nycklar står där bara vad de är. Förvara den som du skulle förvara ett brev."))
        }
        (layout::problem(problem.map(Said::here)))
        form method="post" action="/account/download" {
            (layout::marked(pages, visit))
            (prove(false))
            div { button type="submit" { (said("Download", "Herunterladen", "Ladda ner")) } }
        }
        p.hint {
            (said("The download stands in your account log, and you are told of it by mail.",
                  "Der Abruf steht in Ihrem Kontoprotokoll, und Sie erfahren davon per E-Mail.",
                  "Nedladdningen står i din kontologg, och du får veta det med e-post."))
        }
        p { a href="/account" { (said("Back to the account", "Zurück zum Konto", "Tillbaka till kontot")) } }
    };
    layout::framed_spoken(pages, visit, status, HERE, body)
}

/// `POST /account/download`.
pub(in super::super) async fn take(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(typed): Form<Typed>,
) -> Response {
    match knows_password(&pages, &visit, &person, typed.password).await {
        Ok(None) => {}
        Ok(Some(_)) if crate::sabotage::off("export-password") => {}
        Ok(problem) => return form(&pages, &visit, problem),
        Err(response) => return *response,
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    // Noted first, so that the file shows it too.
    let made = async {
        people.tell(person.account, Happened::Exported, None, visit.from, now).await?;
        export::everything(&pages.hub, &person).await
    };
    match made.await {
        Ok(all) => file(&all),
        Err(error) => broken(&error),
    }
}

fn file(all: &serde_json::Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"qcloud-account.json\""),
        ),
    ];
    (headers, format!("{all:#}\n")).into_response()
}
