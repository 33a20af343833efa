//! Signing in and out, and the invitation that sets a password.

use super::visit::{Session, Visit, cookie, form_urlencode, known_cookie, no_cookie, way_back};
use super::{Pages, Shared, broken, host_of, layout, too_often};
use crate::hub::keys::KeyError;
use crate::hub::people::email::Email;
use crate::hub::people::password::{BadPassword, SHORTEST};
use crate::hub::people::second::Entered;
use crate::hub::people::{PeopleError, Person, Ticket};
use crate::hub::speech::{Said, filled, said};
use crate::hub::store::people::Happened;
use crate::secret::Secret;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

const NO_COOKIE: Said = said(
    "If the password was right just now, this browser kept no cookie of this hub, and a sign-in \
                         needs one. Allow cookies for this site, then sign in again.",
    "Falls das Passwort eben stimmte: Dieser Browser hat kein Cookie dieses Hubs behalten, und eine Anmeldung braucht eines. Erlauben Sie Cookies für diese Seite und melden Sie sich wieder an.",
    "Om lösenordet var rätt nyss: webbläsaren behöll ingen kaka från hubben, och en inloggning behöver en. Tillåt kakor för den här sidan och logga in igen.",
);

#[derive(Deserialize)]
pub(super) struct Back {
    to: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
    to: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: String,
    again: String,
}

/// `GET /sign-in`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    Query(back): Query<Back>,
    headers: HeaderMap,
) -> Response {
    let to = way_back(back.to.as_deref());
    if visit.person.is_some() {
        return Redirect::to(to).into_response();
    }
    let lost = visit.ticket().is_none() && comes_from_a_sign_in(&pages.host, &headers);
    form(&pages, StatusCode::OK, "", to, lost.then_some(NO_COOKIE))
}

/// Whether it is a page of a sign-in that led here. Somebody whose sign-in worked is elsewhere by then, unless the
/// browser did not bring the cookie back (promise K6).
fn comes_from_a_sign_in(host: &str, headers: &HeaderMap) -> bool {
    let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let path = from.and_then(|url| url.strip_prefix("https://")?.split_once('/'));
    path.is_some_and(|(authority, path)| {
        let here = host_of(authority) == host && !crate::sabotage::off("cookie-page");
        here && (path.starts_with("sign-in") || path.starts_with("welcome/"))
    })
}

fn form(
    pages: &Pages,
    status: StatusCode,
    email: &str,
    to: &str,
    problem: Option<Said>,
) -> Response {
    let title = said("Sign in", "Anmelden", "Logga in");
    let body = html! {
        h1 { (title) }
        (layout::problem(problem.map(Said::here)))
        form method="post" action="/sign-in" {
            input type="hidden" name="to" value=(to);
            label for="email" { (said("Mail address", "E-Mail-Adresse", "E-postadress")) }
            input id="email" name="email" type="email" value=(email) autocomplete="username" required autofocus[email.is_empty()];
            label for="password" { (said("Password", "Passwort", "Lösenord")) }
            input id="password" name="password" type="password" autocomplete="current-password" required autofocus[!email.is_empty()];
            div { button type="submit" { (title) } }
        }
        p.hint {
            (said("No account, or the password is lost? Whoever runs this hub can send you an invitation.",
                  "Kein Konto, oder das Passwort ist weg? Wer diesen Hub betreibt, kann Ihnen eine Einladung schicken.",
                  "Inget konto, eller är lösenordet borta? Den som driver hubben kan skicka dig en inbjudan."))
        }
        (super::oidc::ways(pages, "/sign-in", Some(to)))
    };
    (status, layout::spoken(title, layout::plain_top(), body)).into_response()
}

/// `POST /sign-in`.
pub(super) async fn sign_in(
    State(pages): Shared,
    visit: Visit,
    Form(typed): Form<Credentials>,
) -> Response {
    let Credentials { email: typed_email, password, to } = typed;
    let password = Secret::new(password);
    let hub = &pages.hub;
    let tries = &hub.tries;
    if let Err(wait) = tries.take(visit.from, hub.clock.now().boot) {
        return too_often(wait);
    }
    let to = way_back(to.as_deref());
    // One answer whether the address is unknown, the password wrong or never set.
    let wrong = || {
        let problem = said(
            "The address or the password is not right.",
            "Adresse oder Passwort stimmt nicht.",
            "Adressen eller lösenordet stämmer inte.",
        );
        form(&pages, StatusCode::UNAUTHORIZED, &typed_email, to, Some(problem))
    };
    let Ok(email) = Email::parse(&typed_email) else { return wrong() };
    let budget = match hub.people.budget(&email, visit.known(), hub.clock.now().wall).await {
        Ok(budget) => budget,
        Err(error) => return broken(&error),
    };
    if let Err(wait) = hub.wrong.take(budget, hub.clock.now().boot)
        && !crate::sabotage::off("account-budget")
    {
        return too_many_wrong(wait);
    }
    match hub.people.recognise(&email, password).await {
        Ok(Some(person)) => {
            hub.wrong.give(&budget);
            enter(&pages, &visit, (&person, visit.trusted()), to).await
        }
        Ok(None) => {
            let failed = hub.people.sign_in_failed(&email, visit.from, hub.clock.now().wall);
            if let Err(error) = failed.await {
                return broken(&error);
            }
            wrong()
        }
        Err(error) => busy_or_broken(&error),
    }
}

/// An answer to somebody at whose address too many passwords were wrong.
fn too_many_wrong(wait: core::time::Duration) -> Response {
    let text = "Too many wrong passwords were typed for this address. Wait a minute, then try again, or use a \
                browser that you signed in with before: it has tries of its own.";
    let mut response = layout::message(StatusCode::TOO_MANY_REQUESTS, "Too many tries", text);
    let seconds = HeaderValue::from(wait.as_secs().max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

pub(super) fn busy_or_broken(error: &PeopleError) -> Response {
    if matches!(error, PeopleError::Password(BadPassword::Busy)) {
        return too_often(core::time::Duration::from_secs(5));
    }
    broken(error)
}

/// Lets somebody in whose password was right: to where they wanted to go, or to the second step.
pub(super) async fn enter(
    pages: &Pages,
    visit: &Visit,
    (person, trusted): (&Person, Option<&str>),
    to: &str,
) -> Response {
    let now = pages.hub.clock.now().wall;
    let entered = match pages.hub.people.enter(person, trusted, visit.from, now).await {
        Ok(entered) => entered,
        Err(error) => return broken(&error),
    };
    let half = match entered {
        Entered::Whole(session) => return let_in(pages, visit, session, to).await,
        Entered::Half(_) => entered,
    };
    let Some(cookie) = cookie(&half) else { return broken(&KeyError::Random) };
    let second = format!("/sign-in/second?to={}", form_urlencode(to));
    ([(header::SET_COOKIE, cookie)], Redirect::to(&second)).into_response()
}

/// Gives a browser its session, and notes whether the account knows it. Without the cookie nobody has the session.
pub(super) async fn let_in(pages: &Pages, visit: &Visit, session: Ticket, to: &str) -> Response {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let greeted = async {
        match people.signed_in(session.text(), now).await? {
            Some(person) => people.greet(&person, visit.known(), visit.from, now).await,
            None => Ok(None),
        }
    };
    let fresh = match greeted.await {
        Ok(fresh) => fresh,
        Err(error) => return broken(&error),
    };
    let cookies = (cookie(&Entered::Whole(session)), known_cookie(visit, fresh.as_ref()));
    let (Some(session), Some(known)) = cookies else { return broken(&KeyError::Random) };
    let mut response = ([(header::SET_COOKIE, session)], Redirect::to(to)).into_response();
    response.headers_mut().append(header::SET_COOKIE, known);
    response
}

/// `POST /sign-out`.
pub(super) async fn sign_out(
    State(pages): Shared,
    visit: Visit,
    Session { person, ticket }: Session,
) -> Response {
    let out = ([(header::SET_COOKIE, no_cookie())], Redirect::to("/sign-in"));
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let done = async {
        people.sign_out(&ticket).await?;
        people.tell(person.account, Happened::SignedOut, None, visit.from, now).await
    };
    match done.await {
        Ok(()) => out.into_response(),
        Err(error) => broken(&error),
    }
}

/// A form that was made for another session.
pub(super) fn stale() -> Response {
    let title = said("An old form", "Ein altes Formular", "Ett gammalt formulär");
    let text = said(
        "This form is from an older visit. Go back, load the page again, and repeat it.",
        "Dieses Formular stammt von einem früheren Besuch. Gehen Sie zurück, laden Sie die Seite neu und wiederholen Sie es.",
        "Formuläret är från ett tidigare besök. Gå tillbaka, ladda om sidan och gör om det.",
    );
    layout::notice(StatusCode::FORBIDDEN, title, text)
}

/// `GET /welcome/TICKET`.
pub(super) async fn welcome(
    State(pages): Shared,
    visit: Visit,
    Path(ticket): Path<String>,
) -> Response {
    let hub = &pages.hub;
    if let Err(wait) = hub.tries.take(visit.from, hub.clock.now().boot) {
        return too_often(wait);
    }
    match hub.people.invited(&ticket, hub.clock.now().wall).await {
        Ok(Some(person)) => invitation(&pages, StatusCode::OK, &ticket, &person, None),
        Ok(None) => over(),
        Err(error) => broken(&error),
    }
}

/// `GET /welcome/TICKET/once`: takes an invitation without a form and signs in, at a hub that serves nobody but this
/// machine. The password that is set nobody knows.
pub(super) async fn once(
    State(pages): Shared,
    visit: Visit,
    Path(ticket): Path<String>,
    Query(back): Query<Back>,
) -> Response {
    if !pages.hub.config.sandbox {
        return super::nothing_here().await;
    }
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    let accepted = async {
        let password = Secret::new(Ticket::new()?.text().to_owned());
        people.accept(&ticket, password, now).await
    };
    match accepted.await {
        Ok(Some(person)) => {
            enter(&pages, &visit, (&person, None), way_back(back.to.as_deref())).await
        }
        Ok(None) => over(),
        Err(error) => busy_or_broken(&error),
    }
}

pub(super) fn over() -> Response {
    let title = said("No such invitation", "Keine solche Einladung", "Ingen sådan inbjudan");
    let text = said(
        "This invitation was used, has expired, or was never made. Ask for another one.",
        "Diese Einladung wurde benutzt, ist abgelaufen oder wurde nie ausgestellt. Bitten Sie um eine neue.",
        "Inbjudan har använts, gått ut eller aldrig gjorts. Be om en ny.",
    );
    layout::notice(StatusCode::NOT_FOUND, title, text)
}

fn invitation(
    pages: &Pages,
    status: StatusCode,
    ticket: &str,
    person: &Person,
    problem: Option<&str>,
) -> Response {
    let title = said("Choose a password", "Passwort wählen", "Välj ett lösenord");
    let whom = said(
        "For {}. It stays between you and this hub; no device ever sees it.",
        "Für {}. Es bleibt zwischen Ihnen und diesem Hub; kein Gerät sieht es je.",
        "För {}. Det stannar mellan dig och hubben; ingen enhet ser det någonsin.",
    );
    let body = html! {
        h1 { (title) }
        p { (filled(whom, &html! { strong { (person.email) } })) }
        (layout::problem(problem))
        form method="post" action={ "/welcome/" (ticket) } {
            input type="hidden" name="email" value=(person.email) autocomplete="username";
            label for="password" { (said("New password", "Neues Passwort", "Nytt lösenord")) }
            input id="password" name="password" type="password" autocomplete="new-password" minlength=(SHORTEST) required autofocus aria-describedby="rule";
            p.hint id="rule" { (rule()) }
            label for="again" { (said("The same again", "Noch einmal dasselbe", "Samma igen")) }
            input id="again" name="again" type="password" autocomplete="new-password" minlength=(SHORTEST) required;
            div { button type="submit" { (said("Set it and sign in", "Festlegen und anmelden", "Spara och logga in")) } }
        }
        (super::oidc::ways(pages, &format!("/welcome/{ticket}"), None))
    };
    (status, layout::spoken(title, layout::plain_top(), body)).into_response()
}

fn rule() -> Markup {
    let text = said(
        "At least {} characters. A few words in a row are easier to keep than one with signs.",
        "Mindestens {} Zeichen. Ein paar Wörter hintereinander merkt man sich leichter als eines mit Sonderzeichen.",
        "Minst {} tecken. Några ord i rad är lättare att minnas än ett med specialtecken.",
    );
    html! { (text.with(SHORTEST)) }
}

/// `POST /welcome/TICKET`.
pub(super) async fn accept(
    State(pages): Shared,
    visit: Visit,
    Path(ticket): Path<String>,
    Form(typed): Form<NewPassword>,
) -> Response {
    let (password, again) = (Secret::new(typed.password), Secret::new(typed.again));
    let (hub, now) = (&pages.hub, pages.hub.clock.now().wall);
    if let Err(wait) = hub.tries.take(visit.from, hub.clock.now().boot) {
        return too_often(wait);
    }
    let person = match hub.people.invited(&ticket, now).await {
        Ok(Some(person)) => person,
        Ok(None) => return over(),
        Err(error) => return broken(&error),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let again_please = |text: &str| invitation(&pages, status, &ticket, &person, Some(text));
    if password.expose() != again.expose() {
        return again_please(
            said(
                "The two are not the same.",
                "Die beiden sind nicht gleich.",
                "De två är inte likadana.",
            )
            .here(),
        );
    }
    match hub.people.accept(&ticket, password, now).await {
        Ok(Some(person)) => {
            let told =
                hub.people.tell(person.account, Happened::PasswordSet, None, visit.from, now).await;
            match told {
                Ok(()) => enter(&pages, &visit, (&person, visit.trusted()), "/").await,
                Err(error) => broken(&error),
            }
        }
        Ok(None) => over(),
        Err(PeopleError::Password(error @ (BadPassword::Short | BadPassword::Long))) => {
            let text = said("Not this one: {}.", "Dieses nicht: {}.", "Inte det här: {}.");
            again_please(&text.with(error))
        }
        Err(error) => busy_or_broken(&error),
    }
}
