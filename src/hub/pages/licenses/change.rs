//! A license is added by its key, or given away by one.

use super::{HERE, page};
use crate::hub::keys::random;
use crate::hub::license::office::key_hash;
use crate::hub::pages::visit::Visit;
use crate::hub::pages::{Pages, Shared, broken, layout, nothing_here, too_often};
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::said;
use crate::hub::store::people::Happened;
use crate::wire::license::ProductKey;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;

#[derive(Deserialize)]
pub(in crate::hub::pages) struct Typed {
    key: String,
}

#[derive(Deserialize)]
pub(in crate::hub::pages) struct Given {
    license: String,
}

/// `POST /licenses/add`.
pub(in crate::hub::pages) async fn add(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(typed): Form<Typed>,
) -> Response {
    let now = pages.hub.clock.now();
    if let Err(wait) = pages.hub.tries.take(visit.from, now.boot) {
        return too_often(wait);
    }
    let key = ProductKey::parse(&typed.key).ok().and_then(|key| key_hash(&key.hash()));
    let claimed = async {
        let Some(hash) = key else { return Ok(None) };
        let lid = pages.hub.store.claim(hash, person.account, now.wall).await?;
        if let Some(lid) = &lid {
            told(&pages, &visit, &person, &format!("{lid}, added by its key")).await?;
        }
        Ok::<_, PeopleError>(lid)
    };
    match claimed.await {
        Ok(Some(_)) => Redirect::to("/licenses?done=added").into_response(),
        Ok(None) => {
            let problem = said(
                "No free license has this key. A typo shows: look at it once more.",
                "Keine freie Lizenz hat diesen Schlüssel. Prüfen Sie ihn noch einmal auf Tippfehler.",
                "Ingen ledig licens har den nyckeln. Kontrollera den en gång till.",
            );
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            page(&pages, &visit, &person, status, None, Some(problem.here())).await
        }
        Err(error) => broken(&error),
    }
}

/// What became of the wish to give a license away.
enum Giving {
    Key(ProductKey),
    NotYours,
    Over,
    InUse,
}

async fn key_for(pages: &Pages, person: &Person, lid: &str) -> Result<Giving, PeopleError> {
    let (store, now) = (&pages.hub.store, pages.hub.clock.now().wall);
    let row = store.license(lid.to_owned()).await?;
    let own =
        |account: Option<u64>| account == Some(person.account) || crate::sabotage::off("pages-own");
    let Some(row) = row.filter(|row| own(row.account)) else { return Ok(Giving::NotYours) };
    if !row.terms.transferable || !row.is_good(now) {
        return Ok(Giving::Over);
    }
    let free = store.seats(row.lid.clone(), now).await?.is_empty()
        && store.blocked(row.lid.clone(), now).await?.is_empty();
    if !free {
        return Ok(Giving::InUse);
    }
    let key = ProductKey::of(random()?);
    let hash = key_hash(&key.hash());
    let set = match hash {
        Some(hash) => store.set_license_key(row.lid, hash, true, now).await?,
        None => false,
    };
    Ok(if set { Giving::Key(key) } else { Giving::Over })
}

/// `POST /licenses/give`.
pub(in crate::hub::pages) async fn give(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(given): Form<Given>,
) -> Response {
    let problem = match key_for(&pages, &person, &given.license).await {
        Err(error) => return broken(&error),
        Ok(Giving::NotYours) => return nothing_here().await,
        Ok(Giving::Key(key)) => {
            let about = format!("{}, a key to give it away was made", given.license);
            if let Err(error) = told(&pages, &visit, &person, &about).await {
                return broken(&error);
            }
            return shown_once(&pages, &visit, &key);
        }
        Ok(Giving::Over) => said(
            "This license cannot be given away.",
            "Diese Lizenz kann nicht weitergegeben werden.",
            "Den här licensen kan inte ges bort.",
        ),
        Ok(Giving::InUse) => said(
            "Its seats are taken. Release it on its devices first.",
            "Ihre Plätze sind belegt. Geben Sie sie zuerst auf den Geräten frei.",
            "Dess platser är upptagna. Släpp den först på enheterna.",
        ),
    };
    page(&pages, &visit, &person, StatusCode::CONFLICT, None, Some(problem.here())).await
}

fn shown_once(pages: &Pages, visit: &Visit, key: &ProductKey) -> Response {
    let body = html! {
        h1 { (HERE.0) }
        p { (said("Whoever enters this key has the license. It is shown only now, and works once:",
                  "Wer diesen Schlüssel eingibt, hat die Lizenz. Er wird nur jetzt gezeigt und gilt einmal:",
                  "Den som skriver in den här nyckeln har licensen. Den visas bara nu, och gäller en gång:")) }
        pre { code { (key.expose()) } }
        p { a href="/licenses" { (said("Back to the licenses", "Zurück zu den Lizenzen", "Tillbaka till licenserna")) } }
    };
    layout::framed_spoken(pages, visit, StatusCode::OK, HERE, body)
}

/// Adds a line to the person's log.
pub(super) async fn told(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    about: &str,
) -> Result<(), PeopleError> {
    let (people, now) = (&pages.hub.people, pages.hub.clock.now().wall);
    people.tell(person.account, Happened::LicenseChanged, Some(about), visit.from, now).await
}
