//! Looking for a device by its name (promise M3): for whom its owner named, and for anybody where it is public.
//!
//! What may not be found is answered like what does not exist: the same question to the store, the same page.

use super::reach::{self, Reach};
use crate::hub::pages::visit::Visit;
use crate::hub::pages::{Pages, Shared, broken, layout, too_often};
use crate::hub::store::StoreError;
use crate::wire::label::Label;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Asked {
    name: Option<String>,
}

/// `GET /find`.
pub(in super::super) async fn show(
    State(pages): Shared,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Response {
    let typed = asked.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let Some(typed) = typed else {
        return framed(&pages, &visit, StatusCode::OK, &form(&visit, None));
    };
    let hub = &pages.hub;
    if let Err(wait) = hub.lookups.take(visit.from, hub.clock.now().boot) {
        return too_often(wait);
    }
    let account = visit.person.as_ref().map(|person| person.account);
    let found = async {
        // A text that cannot be a name is the name of nothing.
        let Ok(name) = Label::parse(&typed.to_ascii_lowercase()) else { return Ok(None) };
        match hub.store.find(name.to_string(), account).await? {
            Some(device) => Ok(Some(reach::of(hub, &device).await?)),
            None => Ok::<_, StoreError>(None),
        }
    };
    match found.await {
        Ok(Some(reach)) => framed(&pages, &visit, StatusCode::OK, &card(&reach)),
        Ok(None) => {
            let none = "There is no device of this name that you may see.";
            framed(&pages, &visit, StatusCode::NOT_FOUND, &form(&visit, Some(none)))
        }
        Err(error) => broken(&error),
    }
}

fn framed(pages: &Pages, visit: &Visit, status: StatusCode, body: &Markup) -> Response {
    layout::framed(pages, visit, status, ("Find a device", "/find"), html! { (body) })
}

fn form(visit: &Visit, problem: Option<&str>) -> Markup {
    html! {
        h1 { "Find a device" }
        p { "A device is found by its name, by those whom its owner lets see it." }
        (layout::problem(problem))
        form method="get" action="/find" {
            label for="name" { "Name" }
            input id="name" name="name" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="63" placeholder="attic" required autofocus;
            div { button type="submit" { "Find it" } }
        }
        @if visit.person.is_none() {
            p.hint { a href="/sign-in?to=/find" { "Sign in" } " to find what was shared with you." }
        }
    }
}

fn card(reach: &Reach) -> Markup {
    html! {
        h1 { (reach.name) }
        section.card {
            @if reach.online() { p.state.on { "● connected" } } @else { p.state { "○ not connected" } }
            dl { (reach::names(reach)) }
            @if !reach.services.is_empty() { (reach::list(reach)) }
        }
        p { a href="/find" { "Find another one" } }
    }
}
