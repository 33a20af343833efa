//! A device as its owner sees it: how it is reached, by whom, what is kept of it, and how that ends.

pub(super) mod end;
pub(super) mod find;
pub(super) mod kept;
pub(super) mod offers;
pub(super) mod reach;
pub(super) mod share;

use super::visit::Visit;
use super::{Pages, Shared, broken, layout, nothing_here};
use crate::hub::people::sharing::Guests;
use crate::hub::people::{PeopleError, Person};
use crate::hub::store::license::SeatRow;
use crate::hub::store::share::Visibility;
use crate::hub::store::{self, Device, Quarantined, StoreError};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use reach::Reach;
use serde::Deserialize;
use std::sync::Arc;

/// Visits shown, newest first.
const VISITS: usize = 20;

/// What was done, for the page that is shown next: a code, and what is said.
const DONE: [(&str, &str); 6] = [
    ("visibility", "Who may find this device is as you chose."),
    ("invited", "The invitation waits for whoever signs in with this address, for seven days."),
    ("withdrawn", "They cannot find this device any more."),
    ("nobody", "They were not on the list any more."),
    ("released", "The device is released: the box that comes first is it."),
    ("calm", "The device is not in quarantine."),
];

/// A device of the person who asks. Another one's, and one that is not there, are the same page that is not there.
pub(super) struct Own {
    visit: Visit,
    person: Person,
    device: Device,
}

impl FromRequestParts<Arc<Pages>> for Own {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        pages: &Arc<Pages>,
    ) -> Result<Self, Self::Rejection> {
        let visit = Visit::from_request_parts(parts, pages).await?;
        let person = Person::from_request_parts(parts, pages).await?;
        let id = Path::<String>::from_request_parts(parts, pages).await;
        let id = id.map_or_else(|_| String::new(), |Path(id)| id);
        match own(pages, &person, &id).await {
            Ok(Some(device)) => Ok(Self { visit, person, device }),
            Ok(None) => Err(nothing_here().await),
            Err(error) => Err(broken(&error)),
        }
    }
}

/// Guard: `pages-own`, the look among the person's own devices and no others.
async fn own(pages: &Pages, person: &Person, id: &str) -> Result<Option<Device>, StoreError> {
    let store = &pages.hub.store;
    let all = if crate::sabotage::off("pages-own") {
        store.devices().await?
    } else {
        store.devices_of(person.account).await?
    };
    Ok(all.into_iter().find(|device| device.id == id))
}

impl Own {
    /// Back to the device's page, which says what was done.
    fn done(&self, code: &str) -> Response {
        Redirect::to(&format!("/device/{}?done={code}", self.device.id)).into_response()
    }
}

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

/// Everything a device's page shows.
struct Seen {
    reach: Reach,
    level: Visibility,
    guests: Guests,
    visits: Vec<store::Visit>,
    aside: Option<Quarantined>,
    kept: Vec<kept::Counted>,
    seats: Vec<SeatRow>,
}

async fn seen(pages: &Pages, device: &Device) -> Result<Seen, PeopleError> {
    let hub = &pages.hub;
    let mut visits = hub.store.visits(device.id.clone()).await?;
    visits.reverse();
    visits.truncate(VISITS);
    let aside = hub.store.quarantined().await?.into_iter().find(|q| q.device == device.id);
    Ok(Seen {
        reach: reach::of(hub, device).await?,
        level: hub.store.visibility(device.id.clone()).await?,
        guests: hub.people.guests(device, hub.clock.now().wall).await?,
        visits,
        aside,
        kept: kept::counted(hub, device).await?,
        seats: hub.store.seats_of(device.id.clone(), hub.clock.now().wall).await?,
    })
}

/// `GET /device/{id}`.
pub(super) async fn show(State(pages): Shared, own: Own, Query(back): Query<Back>) -> Response {
    let done = DONE.iter().find(|(code, _)| Some(*code) == back.done.as_deref());
    page(&pages, &own, StatusCode::OK, done.map(|(_, text)| *text), None).await
}

/// The page of a device, with what was done or what was wrong said above.
async fn page(
    pages: &Pages,
    own: &Own,
    status: StatusCode,
    done: Option<&str>,
    problem: Option<&str>,
) -> Response {
    let seen = match seen(pages, &own.device).await {
        Ok(seen) => seen,
        Err(error) => return broken(&error),
    };
    let Own { device, visit, .. } = own;
    let body = html! {
        p.crumb { a href="/" { "Devices" } }
        h1 { (device.name) }
        @if let Some(text) = done { p.done role="status" { (text) } }
        (layout::problem(problem))
        @if let Some(aside) = &seen.aside { (quarantined(device, aside)) }
        (standing(&seen.reach))
        (services(&seen.reach))
        (share::section(pages, visit, device, seen.level, &seen.guests))
        (visits(&seen.visits))
        @if !seen.seats.is_empty() { (licenses(&seen.seats)) }
        (kept::section(pages, device, &seen.kept))
        (ways_out(device))
    };
    layout::framed(pages, visit, status, (device.name.as_str(), "/"), body)
}

fn quarantined(device: &Device, aside: &Quarantined) -> Markup {
    html! {
        section.card.alarm {
            h2 { "Set aside" }
            p { "Two boxes have used the identity of this device since " (layout::moment(aside.made_at)) ": "
                (aside.why) ". Nobody here can know which of them is yours, so neither is let in, and the name does not answer." }
            a.button href={ "/device/" (device.id) "/release" } { "Release it" }
        }
    }
}

fn standing(reach: &Reach) -> Markup {
    html! {
        section.card {
            h2 { "Connection" }
            (reach::state(reach))
            dl {
                @if let Some(live) = &reach.live {
                    dt { "From" }
                    dd { code { (live.from) } }
                    dt { "Round trip" }
                    dd { (live.round_trip.as_millis()) " ms" }
                }
                (reach::names(reach))
            }
            @if reach.live.is_none() {
                p.hint { "That a device is connected is known only while it is. When it was here last is written nowhere." }
            }
        }
    }
}

fn services(reach: &Reach) -> Markup {
    html! {
        section.card {
            h2 { "Published" }
            @if reach.services.is_empty() {
                p { "Nothing is published through the relay. On the device:" }
                p { code { "qcloud-agent link publish NAME URL" } }
            } @else {
                (reach::list(reach))
                p.hint { "Visitors speak to the device in TLS of its own; this hub carries the bytes and cannot read them." }
            }
        }
    }
}

fn visits(visits: &[store::Visit]) -> Markup {
    html! {
        section.card {
            h2 { "Recent visits" }
            @if visits.is_empty() {
                p { "No visitor came through the relay in the last 30 days." }
            } @else {
                div.wide {
                    table {
                        thead { tr { th scope="col" { "When" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Bytes" } } }
                        tbody {
                            @for visit in visits {
                                tr {
                                    td { (layout::moment(visit.made_at)) ", for\u{a0}" (visit.seconds) "\u{a0}s" }
                                    td { code { (visit.masked) } }
                                    td { (visit.host) }
                                    td { (size(visit.up)) " in, " (size(visit.down)) " out" }
                                }
                            }
                        }
                    }
                }
                p.hint { "Addresses are kept without their last part." }
            }
        }
    }
}

fn licenses(seats: &[SeatRow]) -> Markup {
    html! {
        section.card {
            h2 { "Licenses" }
            ul {
                @for seat in seats {
                    li {
                        code { (seat.lid) } ", seat " (seat.seat) ", taken until " (layout::moment(seat.ends_at))
                        @if seat.offline { ", by a file" }
                    }
                }
            }
            p { a href="/licenses" { "All licenses" } }
        }
    }
}

/// Bytes as people read them; 1 kB is 1000 of them.
fn size(bytes: u64) -> String {
    let (number, unit) = match bytes {
        0..1_000 => return format!("{bytes}\u{a0}B"),
        1_000..1_000_000 => (bytes / 100, "kB"),
        1_000_000..1_000_000_000 => (bytes / 100_000, "MB"),
        _ => (bytes / 100_000_000, "GB"),
    };
    format!("{}.{}\u{a0}{unit}", number / 10, number % 10)
}

fn ways_out(device: &Device) -> Markup {
    html! {
        section.card {
            h2 { "Change or end" }
            p { "The name is the device's own: " code { "qcloud-agent privacy fix name NEW-NAME" } " on it changes it here as well." }
            p { "A device that was sold, lost or stolen is revoked: its session ends at once, its key opens nothing any more, and everything kept of it here is erased." }
            a.button.no href={ "/device/" (device.id) "/revoke" } { "Revoke this device" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn bytes_are_said_in_units_that_fit() {
        for (bytes, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (96_940, "96.9 kB"),
            (999_999, "999.9 kB"),
            (1_500_000, "1.5 MB"),
            (u64::MAX, "18446744073.7 GB"),
        ] {
            assert_eq!(size(bytes).replace('\u{a0}', " "), said);
        }
    }
}
