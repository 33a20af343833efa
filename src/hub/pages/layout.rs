//! What all pages share: the frame, the style, and short messages.

use super::visit::Visit;
use super::{Pages, Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// The one style of all pages. Browsers ask for it again after a day.
const STYLE: &str = include_str!("style.css");
/// What browsers show beside the title; they ask for one in any case.
const ICON: &str = include_str!("icon.svg");

/// A finished page.
pub(super) fn page(title: &str, top: Markup, body: Markup) -> Html<String> {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · qcloud-hub" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="/icon.svg" type="image/svg+xml";
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header { (top) }
                main id="main" { (body) }
                footer { p { "This hub sets a cookie for your sign-in, one by which your account knows this browser again, another one where you trust it, and counts no visits." } }
            }
        }
    };
    Html(whole.into_string())
}

/// The top of a page for somebody who is signed in.
pub(super) fn top(visit: &Visit, mark: &str, here: &str) -> Markup {
    let Some(person) = &visit.person else { return plain_top() };
    let places = [
        ("/", "Devices"),
        ("/approve", "Add a device"),
        ("/log", "Account log"),
        ("/security", "Security"),
    ];
    html! {
        a.brand href="/" { "qcloud-hub" }
        nav aria-label="Pages" {
            @for (path, name) in places {
                a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
            }
        }
        form.who method="post" action="/sign-out" {
            input type="hidden" name="mark" value=(mark);
            span { (person.email) }
            button.quiet type="submit" { "Sign out" }
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
    let exact = at.rfc3339();
    let shown = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    html! { time datetime=(exact) { (shown) " UTC" } }
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

/// A problem with what was typed, said above the form.
pub(super) fn problem(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.problem role="alert" { (text) } } }
}
