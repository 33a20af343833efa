//! What others share with a person: invitations, and what became of them.

use crate::hub::pages::visit::Visit;
use crate::hub::pages::{Pages, Shared, broken, layout};
use crate::hub::people::sharing::Invitation;
use crate::hub::people::{PeopleError, Person};
use crate::hub::store::Device;
use crate::hub::store::people::Happened;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Reply {
    offer: String,
    decision: String,
}

#[derive(Deserialize)]
pub(in super::super) struct Left {
    device: String,
}

/// What the page of devices shows of it; nothing when there is nothing.
pub(in super::super) fn section(
    pages: &Pages,
    visit: &Visit,
    offers: &[Invitation],
    shared: &[Device],
) -> Markup {
    html! {
        @if !offers.is_empty() || !shared.is_empty() { h2 { "Shared with you" } }
        @for offer in offers {
            section.card {
                p { strong { (offer.owner) } " lets you see where the device " strong { (offer.device.name) } " is." }
                form.row method="post" action="/offer" {
                    (layout::marked(pages, visit))
                    input type="hidden" name="offer" value=(offer.number);
                    button type="submit" name="decision" value="accept" { "Accept" }
                    button.no type="submit" name="decision" value="decline" { "Decline" }
                }
                p.hint { "When you accept, its owner sees that you did." }
            }
        }
        @if !shared.is_empty() {
            section.card {
                ul.browsers {
                    @for device in shared {
                        li {
                            a href={ "/find?name=" (device.name) } { (device.name) }
                            form method="post" action="/shared/leave" {
                                (layout::marked(pages, visit))
                                input type="hidden" name="device" value=(device.id);
                                button.quiet type="submit" aria-label={ "Give back " (device.name) } { "Give it back" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /offer`.
pub(in super::super) async fn answer(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(reply): Form<Reply>,
) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let accept = reply.decision == "accept";
    let number = reply.offer.parse().unwrap_or_default();
    let what = if accept { Happened::OfferAccepted } else { Happened::OfferEnded };
    let done = async {
        let device = people.answer_offer(&person, number, accept, now).await?;
        noted(&pages, &visit, &person, what, device).await
    };
    ended(done.await, if accept { "/?done=accepted" } else { "/?done=declined" })
}

/// `POST /shared/leave`.
pub(in super::super) async fn leave(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(left): Form<Left>,
) -> Response {
    let done = async {
        let device = pages.hub.store.leave(person.account, left.device).await?;
        noted(&pages, &visit, &person, Happened::OfferEnded, device).await
    };
    ended(done.await, "/?done=left")
}

async fn noted(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    what: Happened,
    device: Option<Device>,
) -> Result<bool, PeopleError> {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let Some(device) = device else { return Ok(false) };
    people.tell(person.account, what, Some(device.name.as_str()), visit.from, now).await?;
    Ok(true)
}

fn ended(done: Result<bool, PeopleError>, to: &str) -> Response {
    match done {
        Ok(true) => Redirect::to(to).into_response(),
        Ok(false) => Redirect::to("/?done=over").into_response(),
        Err(error) => broken(&error),
    }
}
