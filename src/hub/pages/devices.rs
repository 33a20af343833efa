//! What is a person's own: devices, and what others share with them.

use super::device::reach::{self, Reach};
use super::device::{kept, offers, share};
use super::visit::Visit;
use super::{Pages, Shared, broken, layout};
use crate::hub::people::sharing::Invitation;
use crate::hub::people::{PeopleError, Person};
use crate::hub::store::Device;
use crate::hub::store::share::Visibility;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

/// What was done, for the page that is shown next: a code, and what is said.
const DONE: [(&str, &str); 6] = [
    (
        "added",
        "The device was let in. It is on this page as soon as it has heard so, in a few seconds.",
    ),
    (
        "revoked",
        "The device was revoked. Its session is over, and everything kept of it is erased.",
    ),
    ("accepted", "You find the device by its name from now on."),
    ("declined", "The invitation was declined."),
    ("left", "You gave the device back."),
    ("over", "This is over, or was never there."),
];

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

/// All a person's page of devices shows.
struct All {
    own: Vec<(Device, Reach, Visibility)>,
    offers: Vec<Invitation>,
    shared: Vec<Device>,
}

async fn all(pages: &Pages, person: &Person) -> Result<All, PeopleError> {
    let hub = &pages.hub;
    let mut own = Vec::new();
    for device in hub.store.devices_of(person.account).await? {
        let reach = reach::of(hub, &device).await?;
        let level = hub.store.visibility(device.id.clone()).await?;
        own.push((device, reach, level));
    }
    let offers = hub.people.offers(person, hub.clock.now().wall).await?;
    Ok(All { own, offers, shared: hub.store.shared_with(person.account).await? })
}

/// `GET /`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Query(back): Query<Back>,
) -> Response {
    let all = match all(&pages, &person).await {
        Ok(all) => all,
        Err(error) => return broken(&error),
    };
    let done = DONE.iter().find(|(code, _)| Some(*code) == back.done.as_deref());
    let body = html! {
        h1 { "Devices" }
        @if let Some((_, text)) = done {
            p.done role="status" { (text) }
        } @else if all.own.is_empty() {
            section.card {
                h2 { "No device is yours yet" }
                p { "Type this on one:" }
                pre { code { "qcloud-agent register --hub https://" (pages.hub.config.host) } }
                p { "It shows a code, and four words that only it and this hub know." }
                div.actions { a.button.main href="/approve" { "It showed a code" } }
            }
        }
        @for (device, reach, level) in &all.own { (card(device, reach, *level)) }
        (offers::section(&pages, &visit, &all.offers, &all.shared))
        p { a href="/find" { "Find a device by its name" } }
        p { a href="/licenses" { "Licenses" } }
        (kept::rules_in_words())
    };
    layout::framed(&pages, &visit, StatusCode::OK, ("Devices", "/"), body)
}

fn card(device: &Device, reach: &Reach, level: Visibility) -> Markup {
    let page = format!("/device/{}", device.id);
    html! {
        section.card {
            h2 { a href=(page) { (device.name) } }
            (reach::state(reach))
            dl {
                dt { "On" }
                dd { (reach.features()) }
                (reach::names(reach))
                dt { "May see them" }
                dd { a href={ (page) "#who" } { (share::summary(level)) } }
            }
            (reach::list(reach))
        }
    }
}
