//! [`Visit`]: who asks for a page.

use super::Pages;
use crate::hub::api::Peer;
use crate::hub::oidc::{FLOW_LIFE, Flow};
use crate::hub::people::known::KNOWN_LIFE;
use crate::hub::people::second::{Entered, HALF_LIFE, TRUST_LIFE};
use crate::hub::people::{PeopleError, Person, SESSION_LIFE, Ticket};
use crate::hub::speech;
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use std::sync::Arc;

/// `__Host-`: browsers take it only over HTTPS, for this host alone and the whole of it (RFC 6265bis
/// section 4.1.3.2; promise K1).
const SESSION: &str = "__Host-session";
/// Tells a browser that is trusted apart from others (promise K2).
const TRUSTED: &str = "__Host-trusted";
/// Holds a ticket for each account that this browser was used for.
const KNOWN: &str = "__Host-known";
/// What was begun at a provider of identities.
const FLOW: &str = "__Host-provider";
/// Accounts a browser is known to at once; a household shares one.
const MOST_KNOWN: usize = 4;
/// The longest value of a cookie that is looked at.
const MOST_COOKIE: usize = 1024;

/// A request of a person, signed in or not.
#[derive(Clone)]
pub(super) struct Visit {
    /// From where.
    pub(super) from: IpAddr,
    /// As whom.
    pub(super) person: Option<Person>,
    ticket: Option<String>,
    trusted: Option<String>,
    known: Vec<String>,
    flow: Option<String>,
}

impl Visit {
    /// The text of the session's cookie.
    pub(super) fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// The text of a trusted browser's cookie.
    pub(super) fn trusted(&self) -> Option<&str> {
        self.trusted.as_deref()
    }

    /// The tickets by which accounts know this browser.
    pub(super) fn known(&self) -> &[String] {
        &self.known
    }

    /// What this browser began at a provider.
    pub(super) fn flow(&self, pages: &Pages) -> Option<Flow> {
        pages.hub.people.kept_flow(self.flow.as_deref()?)
    }

    /// Whether a password was shown, and a second factor is owed.
    pub(super) async fn is_half(&self, pages: &Pages) -> Result<bool, PeopleError> {
        let Some(ticket) = self.ticket() else { return Ok(false) };
        Ok(pages.hub.people.half(ticket, pages.hub.clock.now().wall).await?.is_some())
    }

    /// Marks the forms of this session: another page can neither read nor guess it.
    pub(super) fn mark(&self, pages: &Pages) -> String {
        let ticket = self.ticket.as_deref().unwrap_or_default();
        BASE64URL_NOPAD.encode(&pages.hub.people.mark(ticket))
    }

    /// Whether a form carries this session's mark.
    pub(super) fn made(&self, pages: &Pages, mark: &str) -> bool {
        let mark = BASE64URL_NOPAD.decode(mark.as_bytes()).unwrap_or_default();
        let ticket = self.ticket.as_deref().unwrap_or_default();
        pages.hub.people.is_mark(ticket, &mark) || crate::sabotage::off("pages-mark")
    }
}

impl FromRequestParts<Arc<Pages>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        pages: &Arc<Pages>,
    ) -> Result<Self, Self::Rejection> {
        // Whoever judged the request before has asked already.
        if let Some(visit) = parts.extensions.get::<Self>() {
            return Ok(visit.clone());
        }
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map(Peer::address).ok_or_else(|| super::broken(&NoPeer))?;
        let (ticket, trusted) = (cookie_of(parts, SESSION), cookie_of(parts, TRUSTED));
        let person = match &ticket {
            Some(ticket) => {
                let now = pages.hub.clock.now().wall;
                let found = pages.hub.people.signed_in(ticket, now).await;
                found.map_err(|error| super::broken(&error))?
            }
            None => None,
        };
        if let Some(person) = &person {
            let profile = pages.hub.people.profile(person.account).await;
            let profile = profile.map_err(|error| super::broken(&error))?;
            if !crate::sabotage::off("profile-used") {
                speech::prefer(profile.language, profile.zone);
            }
        }
        let known = cookie_of(parts, KNOWN).unwrap_or_default();
        let known = known.split('.').filter(|ticket| !ticket.is_empty());
        let known = known.take(MOST_KNOWN).map(String::from).collect();
        let flow = cookie_of(parts, FLOW);
        Ok(Self { from, person, ticket, trusted, known, flow })
    }
}

/// Somebody who is signed in: a handler that asks for it runs for nobody else.
impl FromRequestParts<Arc<Pages>> for Person {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        pages: &Arc<Pages>,
    ) -> Result<Self, Self::Rejection> {
        Ok(Session::from_request_parts(parts, pages).await?.person)
    }
}

/// The same, with the ticket of the session that this is.
pub(super) struct Session {
    pub(super) person: Person,
    pub(super) ticket: String,
}

impl FromRequestParts<Arc<Pages>> for Session {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        pages: &Arc<Pages>,
    ) -> Result<Self, Self::Rejection> {
        let Visit { person, ticket, .. } = Visit::from_request_parts(parts, pages).await?;
        let session = person.zip(ticket).map(|(person, ticket)| Self { person, ticket });
        session.ok_or_else(|| to_sign_in("/"))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a request came without the address it came from")]
struct NoPeer;

fn cookie_of(parts: &Parts, wanted: &str) -> Option<String> {
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted && value.len() <= MOST_COOKIE).then(|| value.to_owned())
    })
}

/// The header that signs a browser in, or gives it the half of a session.
pub(super) fn cookie(entered: &Entered) -> Option<HeaderValue> {
    match entered {
        Entered::Whole(ticket) => set(SESSION, ticket.text(), SESSION_LIFE),
        Entered::Half(ticket) => set(SESSION, ticket.text(), HALF_LIFE),
    }
}

/// The header that makes a browser a trusted one.
pub(super) fn trust_cookie(ticket: &Ticket) -> Option<HeaderValue> {
    set(TRUSTED, ticket.text(), TRUST_LIFE)
}

/// The header by which a browser is known again, for longer or for the first time.
pub(super) fn known_cookie(visit: &Visit, fresh: Option<&Ticket>) -> Option<HeaderValue> {
    let fresh = fresh.map(Ticket::text);
    let all = fresh.into_iter().chain(visit.known.iter().map(String::as_str));
    let all: Vec<&str> = all.take(MOST_KNOWN).collect();
    set(KNOWN, &all.join("."), KNOWN_LIFE)
}

/// A cookie that no script reads and no other host gets (promise K1).
fn set(name: &str, value: &str, life: Duration) -> Option<HeaderValue> {
    let life = life.as_secs();
    let hidden = if crate::sabotage::off("cookie-hidden") { "" } else { " HttpOnly;" };
    let text = format!("{name}={value}; Path=/; Secure;{hidden} SameSite=Lax; Max-Age={life}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that keeps what was begun at a provider.
pub(super) fn flow_cookie(sealed: &str) -> Option<HeaderValue> {
    set(FLOW, sealed, FLOW_LIFE)
}

/// The header that ends it.
pub(super) fn no_flow_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-provider=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The header that signs it out.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The header that takes the trust from it.
pub(super) fn no_trust_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-trusted=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// To the sign-in, and from there back to a page of ours.
pub(super) fn to_sign_in(back: &str) -> Response {
    let back: String = form_urlencode(back);
    Redirect::to(&format!("/sign-in?to={back}")).into_response()
}

/// A text as the value of a query.
pub(super) fn form_urlencode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A way back that leads to a page of ours: a path, and nothing a browser could read as another host.
pub(super) fn way_back(to: Option<&str>) -> &str {
    let fits = |to: &&str| {
        to.starts_with('/')
            && !to.starts_with("//")
            && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'@')
    };
    to.filter(fits).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_never_leads_to_another_host() {
        assert_eq!(way_back(Some("/approve?code=BCDF-GHJK")), "/approve?code=BCDF-GHJK");
        for bad in
            ["//evil.test", "/\\evil.test", "https://evil.test", "evil", "", "/a\r\nb", "/@x"]
        {
            assert_eq!(way_back(Some(bad)), "/", "{bad}");
        }
        assert_eq!(way_back(None), "/");
    }

    #[test]
    fn the_cookie_is_for_this_host_over_https_and_no_script() {
        let ticket = Ticket::new().unwrap();
        let begin = format!("__Host-session={}; Path=/;", ticket.text());
        let cookie = cookie(&Entered::Half(ticket)).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with(&begin) && text.ends_with("Max-Age=600"), "{text}");
        for needed in ["Secure", "HttpOnly", "SameSite=Lax"] {
            for value in [&cookie, &no_cookie(), &no_trust_cookie()] {
                assert!(value.to_str().unwrap().contains(needed));
            }
        }
        assert!(!text.contains("Domain"));
        assert!(cookie.is_sensitive());
    }
}
