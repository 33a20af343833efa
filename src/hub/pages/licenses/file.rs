//! A file of a box without a network is brought, and the answer to it is a file.

use super::change::told;
use super::page;
use crate::hub::license::office::{Bringer, Brought, Denied, Office};
use crate::hub::pages::visit::Visit;
use crate::hub::pages::{Shared, broken, too_often};
use crate::hub::people::Person;
use crate::wire::license::jws::MAX_DOCUMENT;
use axum::extract::{Multipart, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

/// Parts of the form that are looked at.
const MOST_PARTS: usize = 4;

/// What the form holds.
#[derive(Default)]
struct Sent {
    license: String,
    file: String,
}

/// Reads the form; what is no text is nothing. How large it may be is bounded for all pages.
async fn read(mut form: Multipart) -> Sent {
    let mut sent = Sent::default();
    for _ in 0..MOST_PARTS {
        let Ok(Some(part)) = form.next_field().await else { break };
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.unwrap_or_default();
        let text = String::from_utf8(bytes.to_vec()).unwrap_or_default();
        match name.as_str() {
            "license" => sent.license = text,
            "file" if text.len() <= MAX_DOCUMENT => sent.file = text,
            _ => {}
        }
    }
    sent
}

/// `POST /licenses/file`.
pub(in crate::hub::pages) async fn take(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    form: Multipart,
) -> Response {
    let sent = read(form).await;
    let hub = &pages.hub;
    let now = hub.clock.now();
    if let Err(wait) = hub.lookups.take(visit.from, now.boot) {
        return too_often(wait);
    }
    let office = Office { store: hub.store.as_ref(), people: &hub.people, now: now.wall };
    let chosen = Some(sent.license.as_str()).filter(|lid| !lid.is_empty());
    let brought = office.bring(&sent.file, chosen, Bringer::Person(person.account)).await;
    let (lid, what) = match &brought {
        Ok(Brought::Answer { lid, .. }) => (lid, "a seat was taken by a file"),
        Ok(Brought::Freed { lid, was_taken: true }) => (lid, "a seat was freed by a file"),
        Ok(Brought::Freed { was_taken: false, .. }) => {
            return Redirect::to("/licenses?done=already").into_response();
        }
        Err(Denied::Broken(error)) => return broken(error),
        Err(denied) => {
            let (status, problem) = (status(denied), denied.to_string());
            return page(&pages, &visit, &person, status, None, Some(&problem)).await;
        }
    };
    if let Err(error) = told(&pages, &visit, &person, &format!("{lid}, {what}")).await {
        return broken(&error);
    }
    match brought {
        Ok(Brought::Answer { lid, text }) => answer(&lid, text),
        _ => Redirect::to("/licenses?done=freed").into_response(),
    }
}

fn status(denied: &Denied) -> StatusCode {
    match denied {
        Denied::NoSeat(_) | Denied::Offline(_) | Denied::Firmware(_) | Denied::OldReceipt => {
            StatusCode::CONFLICT
        }
        Denied::Unknown => StatusCode::NOT_FOUND,
        Denied::NoKey => StatusCode::SERVICE_UNAVAILABLE,
        Denied::Ended
        | Denied::Released
        | Denied::OnlineOnly
        | Denied::NoOwner
        | Denied::Bad(_)
        | Denied::Broken(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn answer(lid: &str, text: String) -> Response {
    let name = format!("attachment; filename=\"license-{lid}.qcl\"");
    let name = HeaderValue::from_str(&name);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        // An id is letters and digits.
        (
            header::CONTENT_DISPOSITION,
            name.unwrap_or_else(|_| HeaderValue::from_static("attachment")),
        ),
    ];
    (headers, text).into_response()
}
