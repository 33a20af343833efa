//! The account's log: all of it, or what was asked for (promises S11, S12).

use super::visit::{Visit, form_urlencode};
use super::{Shared, broken, layout};
use crate::clock::Wall;
use crate::hub::people::Person;
use crate::hub::store::people::{Happened, Line, Wanted};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

/// Lines on one page.
const LINES: u64 = 100;

#[derive(Deserialize)]
pub(super) struct Asked {
    what: Option<String>,
    since: Option<String>,
    before: Option<u64>,
}

/// `GET /log`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Query(asked): Query<Asked>,
) -> Response {
    let what = asked.what.as_deref().and_then(Happened::of);
    let typed = asked.since.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let since = typed.and_then(Wall::from_date);
    let problem = (typed.is_some() && since.is_none()).then_some("A day looks like 2026-11-22.");
    let wanted = Wanted { what, since: since.unwrap_or_default(), before: asked.before };
    // One more than is shown tells whether there is another page.
    let lines = match pages.hub.people.log(person.account, wanted, LINES + 1).await {
        Ok(lines) => lines,
        Err(error) => return broken(&error),
    };
    let is_more = lines.len() > usize::try_from(LINES).unwrap_or(usize::MAX);
    let shown = lines.iter().take(usize::try_from(LINES).unwrap_or(usize::MAX));
    let last = shown.clone().next_back().map(|line| line.number).filter(|_| is_more);
    let body = html! {
        h1 { "Account log" }
        p { "What happened in your account. Addresses are kept without their last part, lines for 180 days." }
        (filter(what, typed.unwrap_or_default(), problem))
        @if lines.is_empty() {
            p { "Nothing of this is in the log." }
        } @else {
            table {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "From" } } }
                tbody { @for line in shown { (row(line, pages.hub.people.about(&line.entry).as_deref())) } }
            }
        }
        (further(wanted, since, last))
    };
    layout::framed(&pages, &visit, StatusCode::OK, ("Account log", "/log"), body)
}

fn filter(what: Option<Happened>, since: &str, problem: Option<&str>) -> Markup {
    html! {
        form.filter method="get" action="/log" {
            div {
                label for="what" { "What" }
                select id="what" name="what" {
                    option value="" { "Everything" }
                    @for (code, kind) in Happened::ALL {
                        option value=(code) selected[what == Some(kind)] { (words(kind).trim_end_matches(':')) }
                    }
                }
            }
            div {
                label for="since" { "Since" }
                input id="since" name="since" type="date" value=(since) placeholder="2026-11-22";
            }
            div { button type="submit" { "Show" } }
        }
        (layout::problem(problem))
    }
}

fn row(line: &Line, about: Option<&str>) -> Markup {
    let entry = &line.entry;
    html! {
        tr {
            td { (layout::moment(entry.made_at)) }
            td { (words(entry.what)) @if let Some(about) = about { " " strong { (about) } } }
            td { @if entry.masked.is_unspecified() { "this hub" } @else { code { (entry.masked) } } }
        }
    }
}

/// The ways to older lines, and back to the newest.
fn further(wanted: Wanted, since: Option<Wall>, last: Option<u64>) -> Markup {
    let what = wanted.what.map_or("", Happened::code);
    let exact = since.map(Wall::rfc3339).unwrap_or_default();
    let day = exact.get(..10).unwrap_or_default();
    let path = format!("/log?what={}&since={}", form_urlencode(what), form_urlencode(day));
    html! {
        @if wanted.before.is_some() || last.is_some() {
            p.further {
                @if wanted.before.is_some() { a href=(path) { "Newest lines" } " " }
                @if let Some(last) = last { a href={ (path) "&before=" (last) } { "Older lines" } }
            }
        }
    }
}

fn words(what: Happened) -> &'static str {
    match what {
        Happened::PasswordSet => "Password set",
        Happened::SignedIn => "Signed in",
        Happened::SignInFailed => "A sign-in failed",
        Happened::SignedOut => "Signed out",
        Happened::Approved => "Let in a device:",
        Happened::Denied => "Refused a device:",
        Happened::PasswordChanged => "Password changed",
        Happened::SecondOn => "Second factor switched on",
        Happened::SecondOff => "Second factor switched off",
        Happened::SecondFailed => "Right password, wrong code",
        Happened::SecondLocked => "Second step closed for 15 minutes",
        Happened::RecoveryMade => "New recovery codes made",
        Happened::RecoveryUsed => "A recovery code was used",
        Happened::BrowserTrusted => "A browser is trusted for 30 days",
        Happened::TrustEnded => "A browser is trusted no more",
        Happened::OthersSignedOut => "A browser was signed out from another",
        Happened::DeviceRevoked => "Revoked a device:",
        Happened::DeviceReleased => "Released a device from quarantine:",
        Happened::VisibilitySet => "Set who may find a device:",
        Happened::GuestInvited => "Invited somebody to a device:",
        Happened::GuestRemoved => "Took a device back from somebody:",
        Happened::OfferAccepted => "Accepted an invitation to a device:",
        Happened::OfferEnded => "Declined or gave back a device:",
        Happened::NewBrowser => "Signed in with a new browser",
        Happened::BrowserForgotten => "A browser is known no more",
        Happened::AddressAsked => "Another address was asked for:",
        Happened::AddressChanged => "The address is now:",
        Happened::Linked => "May be signed in to by",
        Happened::Unlinked => "May be signed in to no more by",
        Happened::Revoked => "Taken out by who runs this hub:",
        Happened::Left => "A device left:",
        Happened::Released => "Let back in by who runs this hub:",
        Happened::OperatorLooked => "An operator looked at your account:",
        Happened::OperatorActed => "An operator changed your account:",
        Happened::SecondReset => "An operator removed your second factor:",
        Happened::Unusual => "Something unusual:",
        Happened::ProfileChanged => "Profile changed:",
        Happened::Exported => "Everything kept was downloaded",
        Happened::LicenseEnds => "A license ends:",
        Happened::LicenseChanged => "A license changed:",
    }
}
