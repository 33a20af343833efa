//! Who may find a device, as its owner decides it (promise M3).

use super::Own;
use crate::hub::pages::sign_in::stale;
use crate::hub::pages::visit::Visit;
use crate::hub::pages::{Pages, Shared, broken, layout};
use crate::hub::people::PeopleError;
use crate::hub::people::email::Email;
use crate::hub::people::sharing::{Guests, MOST_GUESTS, Named};
use crate::hub::store::Device;
use crate::hub::store::people::Happened;
use crate::hub::store::share::Visibility;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
pub(in super::super) struct Level {
    level: String,
}

#[derive(Deserialize)]
pub(in super::super) struct Guest {
    email: String,
}

#[derive(Deserialize)]
pub(in super::super) struct Which {
    /// `guest` or `waiting`.
    list: String,
    number: String,
}

fn label(level: Visibility) -> (&'static str, &'static str) {
    match level {
        Visibility::Private => {
            ("Only me", "For everybody else there is no device of this name here.")
        }
        Visibility::People => {
            ("Me and the people I name", "They find it by its name once they have accepted.")
        }
        Visibility::Public => {
            ("Everybody who knows its name", "Also without an account at this hub.")
        }
    }
}

/// In a few words, for a list.
pub(in super::super) fn summary(level: Visibility) -> &'static str {
    label(level).0
}

/// The part of a device's page.
pub(super) fn section(
    pages: &Pages,
    visit: &Visit,
    device: &Device,
    now: Visibility,
    guests: &Guests,
) -> Markup {
    let at = |what: &str| format!("/device/{}/{what}", device.id);
    html! {
        section.card id="who" {
            h2 { "Who may see address, ports and URLs" }
            form method="post" action=(at("visibility")) {
                (layout::marked(pages, visit))
                fieldset {
                    legend.skip { "Who may see them" }
                    @for (word, level) in Visibility::ALL {
                        @let (name, hint) = label(level);
                        label.check {
                            input type="radio" name="level" value=(word) checked[level == now];
                            span { strong { (name) } br; span.hint { (hint) } }
                        }
                    }
                }
                div { button type="submit" { "Save" } }
            }
            p.hint { "This is about what the hub's own pages tell. DNS is public by its nature: while DDNS is on, whoever asks for the device's name in DNS gets its address. And whoever knows the name can knock at what you publish; the device itself decides whom it lets in. To end these, switch "
                code { "ddns" } " or " code { "link" } " off on the device." }
            h3 { "People" }
            (list(pages, visit, &at("withdraw"), guests))
            @if now == Visibility::Private && !(guests.accepted.is_empty() && guests.waiting.is_empty()) {
                p.hint { "Nobody on this list can find the device while “Only me” is chosen." }
            }
            form method="post" action=(at("invite")) {
                (layout::marked(pages, visit))
                label for="email" { "Invite by mail address" }
                input id="email" name="email" type="email" autocomplete="off" maxlength="254" required;
                p.hint { "Whoever signs in here with this address is asked on their page of devices, and shown your own address and the device's name. Whether anybody has the address here you learn when they accept. No mail is sent to them." }
                div { button type="submit" { "Invite" } }
            }
        }
    }
}

fn list(pages: &Pages, visit: &Visit, path: &str, guests: &Guests) -> Markup {
    let row = |guest: &Named, waits: bool| {
        html! {
            li {
                div {
                    (guest.email)
                    @if waits { " " span.hint { "invited " (layout::moment(guest.made_at)) } }
                    @else { " " span.hint { "since " (layout::moment(guest.made_at)) } }
                }
                form method="post" action=(path) {
                    (layout::marked(pages, visit))
                    input type="hidden" name="list" value=(if waits { "waiting" } else { "guest" });
                    input type="hidden" name="number" value=(guest.number);
                    button.quiet type="submit" aria-label={ "Remove " (guest.email) } { "Remove" }
                }
            }
        }
    };
    html! {
        @if guests.accepted.is_empty() && guests.waiting.is_empty() {
            p { "Nobody but you." }
        } @else {
            ul.browsers {
                @for guest in &guests.accepted { (row(guest, false)) }
                @for guest in &guests.waiting { (row(guest, true)) }
            }
        }
    }
}

/// Notes what was done in the account's log, which mails it.
async fn noted(pages: &Pages, own: &Own, what: Happened, about: &str) -> Result<(), PeopleError> {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let about = format!("{} ({about})", own.device.name);
    people.tell(own.person.account, what, Some(&about), own.visit.from, now).await
}

/// `POST /device/{id}/visibility`.
pub(in super::super) async fn set(
    State(pages): Shared,
    own: Own,
    Form(form): Form<Level>,
) -> Response {
    let Some(level) = Visibility::of(&form.level) else { return stale() };
    let now = pages.hub.clock.now().wall;
    let done = async {
        if pages.hub.store.set_visibility(own.device.id.clone(), level, now).await? {
            noted(&pages, &own, Happened::VisibilitySet, level.word()).await?;
        }
        Ok::<_, PeopleError>(())
    };
    match done.await {
        Ok(()) => own.done("visibility"),
        Err(error) => broken(&error),
    }
}

/// `POST /device/{id}/invite`.
pub(in super::super) async fn invite(
    State(pages): Shared,
    own: Own,
    Form(form): Form<Guest>,
) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let Ok(email) = Email::parse(form.email.trim()) else {
        let problem = Some("This is not a mail address.");
        return super::page(&pages, &own, status, None, problem).await;
    };
    if email.as_str() == own.person.email.as_str() {
        let problem = Some("This is your own address.");
        return super::page(&pages, &own, status, None, problem).await;
    }
    let done = async {
        let room = people.share(&own.device, &email, now).await?;
        if room {
            noted(&pages, &own, Happened::GuestInvited, email.as_str()).await?;
        }
        Ok::<_, PeopleError>(room)
    };
    match done.await {
        Ok(true) => own.done("invited"),
        Ok(false) => {
            let problem = format!("{MOST_GUESTS} people have or wait for this device already.");
            super::page(&pages, &own, status, None, Some(&problem)).await
        }
        Err(error) => broken(&error),
    }
}

/// `POST /device/{id}/withdraw`.
pub(in super::super) async fn withdraw(
    State(pages): Shared,
    own: Own,
    Form(form): Form<Which>,
) -> Response {
    let number = form.number.parse().unwrap_or_default();
    let done = async {
        let waits = form.list == "waiting";
        let whose = pages.hub.people.unshare(&own.device, number, waits).await?;
        if let Some(email) = &whose {
            noted(&pages, &own, Happened::GuestRemoved, email).await?;
        }
        Ok::<_, PeopleError>(whose.is_some())
    };
    match done.await {
        Ok(true) => own.done("withdrawn"),
        Ok(false) => own.done("nobody"),
        Err(error) => broken(&error),
    }
}
