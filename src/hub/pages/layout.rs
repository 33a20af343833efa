//! What all pages share: the frame, the style, and short messages.

use super::visit::Visit;
use super::{Pages, Shared};
use crate::hub::speech::{self, Language, Said, said};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// The one style of all pages. Browsers ask for it again after a day.
const STYLE: &str = include_str!("style.css");
/// What browsers show beside the title; they ask for one in any case.
const ICON: &str = include_str!("icon.svg");

/// A finished page that speaks English in its main part, whatever its visitor reads.
pub(super) fn page(title: &str, top: Markup, body: Markup) -> Html<String> {
    whole(title, top, body, Language::English)
}

/// A finished page that speaks its visitor's language throughout.
pub(super) fn spoken(title: Said, top: Markup, body: Markup) -> Html<String> {
    whole(title.here(), top, body, speech::language())
}

fn whole(title: &str, top: Markup, body: Markup, main: Language) -> Html<String> {
    let frame = speech::language();
    let other = (frame != main).then(|| main.tag());
    let whole = html! {
        (DOCTYPE)
        html lang=(frame.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title lang=[other] { (title) " · qcloud-hub" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#main" { (said("Skip to content", "Zum Inhalt", "Till innehållet")) }
                header { (top) }
                main id="main" lang=[other] { (body) }
                footer {
                    p {
                        (said(
                            "This hub sets a cookie for your sign-in, one by which your account knows this browser again, another one where you trust it, and counts no visits.",
                            "Dieser Hub setzt ein Cookie für Ihre Anmeldung, eines, an dem Ihr Konto diesen Browser wiedererkennt, ein weiteres, wo Sie ihm vertrauen, und zählt keine Besuche.",
                            "Den här hubben sätter en kaka för din inloggning, en som ditt konto känner igen webbläsaren på, en till där du litar på den, och räknar inga besök.",
                        ))
                        " "
                        a href="/privacy" { (said("What is kept here", "Was hier aufbewahrt wird", "Vad som sparas här")) }
                    }
                }
            }
        }
    };
    Html(whole.into_string())
}

/// The top of a page for somebody who is signed in.
pub(super) fn top(visit: &Visit, mark: &str, here: &str) -> Markup {
    let Some(person) = &visit.person else { return plain_top() };
    let places = [
        ("/", said("Devices", "Geräte", "Enheter")),
        ("/approve", said("Add a device", "Gerät hinzufügen", "Lägg till enhet")),
        ("/log", said("Account log", "Kontoprotokoll", "Kontologg")),
        ("/security", said("Security", "Sicherheit", "Säkerhet")),
        ("/account", said("Account", "Konto", "Konto")),
    ];
    html! {
        a.brand href="/" { "qcloud-hub" }
        nav aria-label=(said("Pages", "Seiten", "Sidor")) {
            @for (path, name) in places {
                a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
            }
        }
        form.who method="post" action="/sign-out" {
            input type="hidden" name="mark" value=(mark);
            span { (person.email) }
            button.quiet type="submit" { (said("Sign out", "Abmelden", "Logga ut")) }
        }
    }
}

/// The top of a page for anybody.
pub(super) fn plain_top() -> Markup {
    html! { a.brand href="/" { "qcloud-hub" } }
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! {
        h1 { (title) }
        p { (text) }
        p { a href="/" { "To the first page" } }
    };
    (status, page(title, plain_top(), body)).into_response()
}

/// The same in the visitor's language.
pub(super) fn notice(status: StatusCode, title: Said, text: Said) -> Response {
    let body = html! {
        h1 { (title) }
        p { (text) }
        p { a href="/" { (said("To the first page", "Zur ersten Seite", "Till första sidan")) } }
    };
    (status, spoken(title, plain_top(), body)).into_response()
}

/// `/style.css`.
pub(super) async fn style(_: Shared) -> Response {
    kept_for_a_day("text/css; charset=utf-8", STYLE)
}

/// `/icon.svg`.
pub(super) async fn icon(_: Shared) -> Response {
    kept_for_a_day("image/svg+xml", ICON)
}

fn kept_for_a_day(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=86400")),
    ];
    (headers, text).into_response()
}

/// A moment as people read it; machines find the exact one beside it.
pub(super) fn moment(at: crate::clock::Wall) -> Markup {
    speech::moment(at)
}

/// The field every form of somebody who is signed in begins with.
pub(super) fn marked(pages: &Pages, visit: &Visit) -> Markup {
    html! { input type="hidden" name="mark" value=(visit.mark(pages)); }
}

/// A page for somebody who is signed in, or half so.
pub(super) fn framed(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    (title, here): (&str, &str),
    body: Markup,
) -> Response {
    let top = top(visit, &visit.mark(pages), here);
    (status, page(title, top, body)).into_response()
}

/// The same for a page that speaks its visitor's language.
pub(super) fn framed_spoken(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    (title, here): (Said, &str),
    body: Markup,
) -> Response {
    let top = top(visit, &visit.mark(pages), here);
    (status, spoken(title, top, body)).into_response()
}

/// A problem with what was typed, said above the form.
pub(super) fn problem(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.problem role="alert" { (text) } } }
}
