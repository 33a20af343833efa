//! The end of an account, and its receipt.

use super::super::sign_in::busy_or_broken;
use super::super::visit::{Visit, no_cookie, no_trust_cookie};
use super::super::{Pages, Shared, broken, layout};
use super::{HERE, knows_code, knows_password, prove};
use crate::hub::account::{self, Erased};
use crate::hub::kept;
use crate::hub::people::email::Email;
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::{self, Said, said};
use crate::hub::store::{Device, StoreError};
use crate::wire::receipt::Kept;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use data_encoding::BASE64;
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
pub(in super::super) struct Typed {
    password: String,
    code: Option<String>,
    address: String,
}

/// `GET /account/delete`.
pub(in super::super) async fn show(State(pages): Shared, visit: Visit, person: Person) -> Response {
    form(&pages, &visit, &person, None).await
}

async fn form(pages: &Pages, visit: &Visit, person: &Person, problem: Option<Said>) -> Response {
    let all = async {
        let devices = pages.hub.store.devices_of(person.account).await?;
        let now = pages.hub.clock.now().wall;
        let kept = account::kept(&pages.hub, person.account, &devices, now).await?;
        Ok::<_, PeopleError>((devices, kept, pages.hub.people.standing(person).await?))
    };
    let (devices, kept, standing) = match all.await {
        Ok(all) => all,
        Err(error) => return busy_or_broken(&error),
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = html! {
        h1 { (said("Delete the account", "Konto löschen", "Radera kontot")) }
        (layout::problem(problem.map(Said::here)))
        (consequences(&devices))
        h2 { (said("What is kept afterwards", "Was danach aufbewahrt wird", "Vad som sparas efteråt")) }
        (what_stays(&kept))
        h2 { (said("Delete it now", "Jetzt löschen", "Radera nu")) }
        form.card.final method="post" action="/account/delete" {
            (layout::marked(pages, visit))
            p { (said("This cannot be undone.", "Das lässt sich nicht rückgängig machen.", "Det går inte att ångra.")) }
            (prove(standing.since.is_some()))
            label for="address" {
                (said("Type your mail address to confirm:", "Geben Sie zur Bestätigung Ihre E-Mail-Adresse ein:", "Skriv din e-postadress för att bekräfta:"))
                " " span.typed { (person.email) }
            }
            input id="address" name="address" type="email" autocomplete="off" spellcheck="false" required;
            div.actions {
                button.no type="submit" { (said("Delete the account for good", "Konto endgültig löschen", "Radera kontot för gott")) }
                a.button href="/account" { (said("Keep it", "Behalten", "Behåll det")) }
            }
        }
    };
    layout::framed_spoken(pages, visit, status, HERE, body)
}

/// Tables that hold nothing of a person.
const NOT_YOURS: [&str; 7] = [
    "auth_key",
    "access_log",
    "license_issuer",
    "license_withdrawn",
    "license_product",
    "license_policy",
    "license_void",
];

fn consequences(devices: &[Device]) -> Markup {
    html! {
        p {
            (said("At once, and in one step:", "Sofort und in einem Schritt:", "Genast, och i ett steg:"))
        }
        ul {
            @if !devices.is_empty() {
                li {
                    (said("these devices are removed; their sessions end, their names in DNS are gone, their keys open nothing any more:",
                          "diese Geräte werden entfernt; ihre Sitzungen enden, ihre Namen im DNS verschwinden, ihre Schlüssel öffnen nichts mehr:",
                          "de här enheterna tas bort; deras sessioner avslutas, deras namn i DNS försvinner, deras nycklar öppnar inget mer:"))
                    @for device in devices { " " strong { (device.name) } }
                }
            }
            li {
                (said("you are signed out everywhere, and nobody can sign in to this account again;",
                      "Sie werden überall abgemeldet, und niemand kann sich an diesem Konto wieder anmelden;",
                      "du loggas ut överallt, och ingen kan logga in på det här kontot igen;"))
            }
            li {
                (said("your licenses become void: on a device that reaches this hub at its next contact, on one that does not within 44 days;",
                      "Ihre Lizenzen werden ungültig: auf einem Gerät, das diesen Hub erreicht, beim nächsten Kontakt, auf einem anderen binnen 44 Tagen;",
                      "dina licenser blir ogiltiga: på en enhet som når den här hubben vid nästa kontakt, på en annan inom 44 dagar;"))
            }
            li {
                (said("everything kept of you is erased:", "alles, was über Sie aufbewahrt wird, wird gelöscht:", "allt som sparas om dig raderas:"))
                details {
                    summary { (said("the whole list", "die ganze Liste", "hela listan")) }
                    ul { @for about in kept::TABLES.iter().filter(|about| !NOT_YOURS.contains(&about.table)) { li { (about.what) } } }
                }
            }
        }
        p { a href="/account/download" { (said("Download everything first", "Vorher alles herunterladen", "Ladda ner allt först")) } }
    }
}

fn what_stays(kept: &[Kept]) -> Markup {
    html! {
        @if kept.is_empty() {
            p { (said("Nothing.", "Nichts.", "Ingenting.")) }
        } @else {
            table.stack {
                thead { tr {
                    th scope="col" { (said("What", "Was", "Vad")) }
                    th scope="col" { (said("Why", "Warum", "Varför")) }
                    th scope="col" { (said("Until", "Bis", "Till")) }
                } }
                tbody {
                    @for one in kept {
                        tr {
                            td lang="en" { (one.what) }
                            td lang="en" { (one.why) }
                            td { (layout::moment(one.until)) }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /account/delete`.
pub(in super::super) async fn leave(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(typed): Form<Typed>,
) -> Response {
    match refused(&pages, &visit, &person, typed).await {
        Ok(None) => {}
        Ok(problem) => return form(&pages, &visit, &person, problem).await,
        Err(response) => return *response,
    }
    let (hub, person, language) = (Arc::clone(&pages.hub), person.clone(), speech::language());
    // A task of its own: a browser that hangs up leaves no half of it.
    let task = tokio::spawn(async move { account::erase(&hub, &person, language).await });
    match task.await {
        Ok(Ok(erased)) => receipt(erased.as_ref()),
        Ok(Err(error)) => broken(&error),
        Err(_) => broken(&StoreError::Closed),
    }
}

/// Why the account is not deleted: first what costs no try, then the password, then the code.
async fn refused(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    typed: Typed,
) -> Result<Option<Said>, Box<Response>> {
    if !Email::parse(&typed.address).is_ok_and(|address| address == person.email) {
        let what = said(
            "The address is not that of this account.",
            "Die Adresse ist nicht die dieses Kontos.",
            "Adressen är inte det här kontots.",
        );
        return Ok(Some(what));
    }
    let problem = knows_password(pages, visit, person, typed.password).await?;
    if problem.is_some() {
        return Ok(problem.filter(|_| !crate::sabotage::off("leave-password")));
    }
    let standing = pages.hub.people.standing(person).await;
    let standing = standing.map_err(|error| Box::new(broken(&error)))?;
    if standing.since.is_none() {
        return Ok(None);
    }
    knows_code(pages, visit, person, typed.code.as_deref().unwrap_or_default()).await
}

/// The account is gone; what is shown of it.
fn receipt(erased: Option<&Erased>) -> Response {
    let title = said("The account is deleted", "Das Konto ist gelöscht", "Kontot är raderat");
    let body = html! {
        h1 { (title) }
        @if let Some(erased) = erased { (details(erased)) }
        @else {
            p { (said("It was deleted already.", "Es war schon gelöscht.", "Det var redan raderat.")) }
        }
    };
    let cookies =
        AppendHeaders([(header::SET_COOKIE, no_cookie()), (header::SET_COOKIE, no_trust_cookie())]);
    (cookies, layout::spoken(title, layout::plain_top(), body)).into_response()
}

fn details(Erased { receipt, document }: &Erased) -> Markup {
    let rows: u64 = receipt.rows.values().sum();
    let file = format!("data:application/jose;base64,{}", BASE64.encode(document.as_bytes()));
    html! {
        p {
            (said("Everything kept of you and your devices was erased.", "Alles, was über Sie und Ihre Geräte aufbewahrt wurde, ist gelöscht.", "Allt som sparats om dig och dina enheter har raderats."))
            " " (said("You are signed out.", "Sie sind abgemeldet.", "Du är utloggad."))
        }
        section.card {
            h2 { (said("Receipt", "Quittung", "Kvitto")) }
            dl {
                dt { (said("Account", "Konto", "Konto")) } dd { (receipt.account) }
                dt { (said("Erased", "Gelöscht", "Raderat")) } dd { (layout::moment(receipt.erased_at)) }
                @if !receipt.devices.is_empty() {
                    dt { (said("Devices", "Geräte", "Enheter")) } dd { (receipt.devices.join(", ")) }
                }
                dt { (said("Rows", "Zeilen", "Rader")) } dd { (rows) }
            }
            details {
                summary { (said("Rows by table", "Zeilen je Tabelle", "Rader per tabell")) }
                table { tbody { @for (table, rows) in &receipt.rows { tr { td { code { (table) } } td { (rows) } } } } }
            }
            h3 { (said("Kept all the same", "Dennoch aufbewahrt", "Ändå sparat")) }
            (what_stays(&receipt.kept))
            p { a.button download="qcloud-account-receipt.jws" href=(file) { (said("Save the signed receipt", "Signierte Quittung speichern", "Spara det signerade kvittot")) } }
            details {
                summary { (said("The receipt as the hub signed it", "Die Quittung, wie der Hub sie signiert hat", "Kvittot som hubben signerade det")) }
                p { code { (document) } }
            }
        }
    }
}
