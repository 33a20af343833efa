//! The licenses of a person: what they hold, who sits where, and the way for boxes without a network.

pub(super) mod change;
pub(super) mod file;

use super::visit::Visit;
use super::{Pages, Shared, broken, layout};
use crate::hub::operators::license::state;
use crate::hub::people::{PeopleError, Person};
use crate::hub::speech::{Said, said};
use crate::hub::store::Device;
use crate::hub::store::license::{LicenseRow, Product, SeatRow, Whose};
use crate::wire::license::Model;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

/// The page, and where the navigation says one is.
const HERE: (Said, &str) = (said("Licenses", "Lizenzen", "Licenser"), "/");

/// What was done, for the page that is shown next: a code, and what is said.
const DONE: [(&str, Said); 3] = [
    (
        "freed",
        said("The seat is free again.", "Der Platz ist wieder frei.", "Platsen är ledig igen."),
    ),
    (
        "already",
        said("The seat was free already.", "Der Platz war schon frei.", "Platsen var redan ledig."),
    ),
    (
        "added",
        said("The license is yours now.", "Die Lizenz gehört nun Ihnen.", "Licensen är din nu."),
    ),
];

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

/// A license and who sits on it.
struct Held {
    row: LicenseRow,
    seats: Vec<SeatRow>,
    blocked: usize,
}

struct All {
    held: Vec<Held>,
    devices: Vec<Device>,
    products: Vec<Product>,
}

async fn all(pages: &Pages, person: &Person) -> Result<All, PeopleError> {
    let (store, now) = (&pages.hub.store, pages.hub.clock.now().wall);
    let mut held = Vec::new();
    for row in store.licenses(Whose::Account(person.account)).await? {
        let seats = store.seats(row.lid.clone(), now).await?;
        let blocked = store.blocked(row.lid.clone(), now).await?.len();
        held.push(Held { row, seats, blocked });
    }
    let devices = store.devices_of(person.account).await?;
    Ok(All { held, devices, products: store.products().await? })
}

/// `GET /licenses`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Query(back): Query<Back>,
) -> Response {
    let done = DONE.iter().find(|(code, _)| Some(*code) == back.done.as_deref());
    page(&pages, &visit, &person, StatusCode::OK, done.map(|(_, text)| *text), None).await
}

/// The page, with what was done or what was wrong said above.
async fn page(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    status: StatusCode,
    done: Option<Said>,
    problem: Option<&str>,
) -> Response {
    let all = match all(pages, person).await {
        Ok(all) => all,
        Err(error) => return broken(&error),
    };
    let body = html! {
        h1 { (HERE.0) }
        @if let Some(text) = done { p.done role="status" { (text) } }
        (layout::problem(problem))
        @if all.held.is_empty() {
            p { (said("You hold no license.", "Sie haben keine Lizenz.", "Du har ingen licens.")) }
        }
        @for held in &all.held { (card(pages, visit, &all, held)) }
        (upload(pages, visit, &all))
        (add(pages, visit))
    };
    layout::framed_spoken(pages, visit, status, HERE, body)
}

fn standing(word: &str) -> Said {
    match word {
        "good" => said("valid", "gültig", "giltig"),
        "ended" => said("ended", "abgelaufen", "har gått ut"),
        _ => said("revoked", "widerrufen", "återkallad"),
    }
}

fn model(model: Model) -> Said {
    match model {
        Model::Device => said("for devices", "für Geräte", "för enheter"),
        Model::Floating => said(
            "for any devices in turn",
            "für wechselnde Geräte",
            "för enheter i tur och ordning",
        ),
        Model::User => said("for people", "für Personen", "för personer"),
    }
}

fn name<'a>(all: &'a All, row: &'a LicenseRow) -> &'a str {
    let product = all.products.iter().find(|product| product.product == row.product);
    product.map_or(&row.product, |product| &product.name)
}

fn card(pages: &Pages, visit: &Visit, all: &All, held: &Held) -> Markup {
    let Held { row, seats, blocked } = held;
    let now = pages.hub.clock.now().wall;
    let mut numbers: Vec<u32> = seats.iter().map(|seat| seat.seat).collect();
    numbers.dedup();
    let taken = numbers.len() + blocked;
    html! {
        section.card {
            h2 { (name(all, row)) }
            dl {
                dt { (said("State", "Zustand", "Läge")) }
                dd { (standing(state(row, now))) ", " (model(row.terms.model)) }
                dt { (said("Seats", "Plätze", "Platser")) }
                dd { (taken) " / " (row.terms.seats) }
                @if let Some(end) = row.ends_at {
                    dt { (said("Ends", "Endet", "Slutar")) }
                    dd { (layout::moment(end)) }
                }
                dt { (said("Id", "Kennung", "Id")) }
                dd { code { (row.lid) } }
            }
            @if !seats.is_empty() { (table(all, seats)) }
            @if row.terms.transferable && row.is_good(now) {
                form method="post" action="/licenses/give" {
                    (layout::marked(pages, visit))
                    input type="hidden" name="license" value=(row.lid);
                    button.quiet type="submit" { (said("Give it away", "Weitergeben", "Ge bort den")) }
                }
                p.hint {
                    (said("All its devices must have released it first. You get a product key; whoever enters it has the license.",
                          "Vorher müssen alle Geräte sie freigegeben haben. Sie bekommen einen Produktschlüssel; wer ihn eingibt, hat die Lizenz.",
                          "Alla enheter måste först ha släppt den. Du får en produktnyckel; den som skriver in den har licensen."))
                }
            }
        }
    }
}

fn table(all: &All, seats: &[SeatRow]) -> Markup {
    html! {
        table.stack {
            thead { tr {
                th scope="col" { (said("Seat", "Platz", "Plats")) }
                th scope="col" { (said("Device", "Gerät", "Enhet")) }
                th scope="col" { (said("Taken until", "Belegt bis", "Upptagen till")) }
            } }
            tbody {
                @for seat in seats {
                    tr {
                        td { (seat.seat) }
                        td {
                            @match all.devices.iter().find(|device| device.id == seat.device) {
                                Some(device) => a href={ "/device/" (device.id) } { (device.name) },
                                None => code { (seat.device) },
                            }
                            @if let Some(ip) = seat.ip { " " code { (ip) } }
                            @if seat.offline { " (" (said("by file", "per Datei", "med fil")) ")" }
                        }
                        td { (layout::moment(seat.ends_at)) }
                    }
                }
            }
        }
    }
}

fn upload(pages: &Pages, visit: &Visit, all: &All) -> Markup {
    html! {
        section.card {
            h2 { (said("A box without a network", "Ein Gerät ohne Netz", "En enhet utan nät")) }
            p {
                (said("On it, write a request or a release receipt into a file, and bring it here. The answer to a request is a file for it.",
                      "Schreiben Sie dort eine Anfrage oder eine Freigabe in eine Datei und bringen Sie sie hierher. Die Antwort auf eine Anfrage ist eine Datei für das Gerät.",
                      "Skriv där en begäran eller ett kvitto i en fil och ta den hit. Svaret på en begäran är en fil till enheten."))
            }
            pre { code { "qcloud-agent license request -o x.qclreq" } }
            form method="post" action="/licenses/file" enctype="multipart/form-data" {
                (layout::marked(pages, visit))
                label for="which" { (said("License", "Lizenz", "Licens")) }
                select id="which" name="license" {
                    option value="" { (said("the one the file names", "die in der Datei genannte", "den som filen nämner")) }
                    @for Held { row, .. } in &all.held {
                        option value=(row.lid) { (name(all, row)) " " (row.lid.get(..6).unwrap_or_default()) }
                    }
                }
                label for="file" { (said("File", "Datei", "Fil")) }
                input id="file" name="file" type="file" required;
                div.actions { button type="submit" { (said("Send it", "Absenden", "Skicka")) } }
            }
        }
    }
}

fn add(pages: &Pages, visit: &Visit) -> Markup {
    html! {
        section.card {
            h2 { (said("Add a license", "Lizenz hinzufügen", "Lägg till en licens")) }
            form method="post" action="/licenses/add" {
                (layout::marked(pages, visit))
                label for="key" { (said("Product key", "Produktschlüssel", "Produktnyckel")) }
                input id="key" name="key" type="text" autocomplete="off" spellcheck="false" maxlength="40" required;
                div.actions { button type="submit" { (said("Add it", "Hinzufügen", "Lägg till")) } }
            }
        }
    }
}
