//! Taking a device back, and letting one back in: each behind a page that says what will happen.

use super::Own;
use crate::hub::admin::take_back;
use crate::hub::pages::{Pages, Shared, broken, layout};
use crate::hub::people::PeopleError;
use crate::hub::store::people::Happened;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;

/// What a session of a revoked device is told.
const REVOKED: &str = "this device was revoked by its owner";

/// A question, with what answers it.
fn ask(pages: &Pages, own: &Own, verb: &str, title: &str, text: &Markup, action: &str) -> Response {
    let page = format!("/device/{}", own.device.id);
    let body = html! {
        p.crumb { a href=(page) { (own.device.name) } }
        h1 { (title) }
        (text)
        form method="post" action={ (page) "/" (verb) } {
            (layout::marked(pages, &own.visit))
            button.bad[verb == "revoke"] type="submit" { (action) }
            " " a.button href=(page) { "Leave it as it is" }
        }
    };
    layout::framed(pages, &own.visit, StatusCode::OK, (title, "/"), body)
}

/// `GET /device/{id}/revoke`.
pub(in super::super) async fn ask_revoke(State(pages): Shared, own: Own) -> Response {
    let text = html! {
        ul {
            li { "Its session ends at once, with the visits that go through it." }
            li { "Its names answer nobody any more." }
            li { "Its key and certificate open nothing here." }
            li { "Everything kept of it at this hub is erased, and cannot be brought back." }
        }
        p { "Nothing is changed on the device itself. If you have it at hand, "
            code { "qcloud-agent unregister" } " does the same and gives you a signed receipt." }
    };
    let title = format!("Revoke {}?", own.device.name);
    ask(&pages, &own, "revoke", &title, &text, "Revoke it")
}

/// `POST /device/{id}/revoke`.
pub(in super::super) async fn revoke(State(pages): Shared, own: Own) -> Response {
    // A task of its own: what was begun is done, whether the browser waits or not.
    let done = tokio::spawn(async move { revoked(&pages, &own).await });
    match done.await {
        Ok(Ok(true)) => Redirect::to("/?done=revoked").into_response(),
        Ok(Ok(false)) => Redirect::to("/?done=over").into_response(),
        Ok(Err(error)) => broken(&error),
        Err(error) => broken(&error),
    }
}

async fn revoked(pages: &Arc<Pages>, own: &Own) -> Result<bool, PeopleError> {
    let (hub, account) = (&pages.hub, own.person.account);
    if take_back(hub, &own.device.id, Some(account), REVOKED).await?.is_none() {
        return Ok(false);
    }
    let (what, about) = (Happened::DeviceRevoked, Some(own.device.name.as_str()));
    hub.people.tell(account, what, about, own.visit.from, hub.clock.now().wall).await?;
    Ok(true)
}

/// `GET /device/{id}/release`.
pub(in super::super) async fn ask_release(State(pages): Shared, own: Own) -> Response {
    let text = html! {
        p { "Two boxes have shown the key of this device. That happens when a disk or a virtual machine was copied, when an old backup was put back, or when somebody has stolen a copy." }
        ol {
            li { "If you made the copy, switch one of the two off, or have it register anew: "
                code { "qcloud-agent register" } " makes it a device of its own." }
            li { "If you do not know where the other one comes from, revoke the device instead, and register yours anew with a new key." }
        }
        p { "After the release the box that comes " strong { "first" } " is the device; the other one is set aside again when it comes." }
    };
    let title = format!("Release {}?", own.device.name);
    ask(&pages, &own, "release", &title, &text, "Release it")
}

/// `POST /device/{id}/release`.
pub(in super::super) async fn release(State(pages): Shared, own: Own) -> Response {
    let (hub, now) = (&pages.hub, pages.hub.clock.now().wall);
    let done = async {
        let _turn = hub.locks.of(&own.device.id).await;
        let lifted = hub.store.release(own.device.id.clone(), false, now).await?;
        if lifted {
            let (what, about) = (Happened::DeviceReleased, Some(own.device.name.as_str()));
            hub.people.tell(own.person.account, what, about, own.visit.from, now).await?;
        }
        Ok::<_, PeopleError>(lifted)
    };
    match done.await {
        Ok(true) => own.done("released"),
        Ok(false) => own.done("calm"),
        Err(error) => broken(&error),
    }
}
