//! The page "What is kept here": every table, what for, and until when, from the rules the sweep obeys.

use super::visit::Visit;
use super::{Shared, layout};
use crate::card::Retention;
use crate::hub::config::Config;
use crate::hub::kept;
use crate::hub::people::profile::FIELDS;
use crate::hub::speech::{Said, said};
use crate::hub::sweep::{EXPIRING, Kept, RULES, Rule};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use core::time::Duration;
use maud::{Markup, html};

const HERE: (Said, &str) =
    (said("What is kept here", "Was hier aufbewahrt wird", "Vad som sparas här"), "/privacy");
const DAY: u64 = 24 * 3600;

/// `GET /privacy`.
pub(super) async fn show(State(pages): Shared, visit: Visit) -> Response {
    let body = html! {
        h1 { (HERE.0) }
        p {
            (said("This page is made from the very rules by which this hub erases. What is not on it is not kept.",
                  "Diese Seite entsteht aus genau den Regeln, nach denen dieser Hub löscht. Was nicht darauf steht, wird nicht aufbewahrt.",
                  "Den här sidan görs av just de regler som hubben raderar efter. Det som inte står här sparas inte."))
        }
        (operator(&pages.hub.config))
        (tables())
        (profile())
        h2 { (said("What you can do", "Was Sie tun können", "Vad du kan göra")) }
        ul {
            li { a href="/account" { (said("See and correct your profile", "Ihr Profil ansehen und berichtigen", "Se och rätta din profil")) } }
            li { a href="/account/download" { (said("Download everything kept of you", "Alles herunterladen, was über Sie aufbewahrt wird", "Ladda ner allt som sparas om dig")) } }
            li { a href="/account/delete" { (said("Delete the account, with a signed receipt", "Das Konto löschen, mit signierter Quittung", "Radera kontot, med signerat kvitto")) } }
            li {
                (said("On a device:", "Auf einem Gerät:", "På en enhet:")) " "
                code { "qcloud-agent privacy status" } ", " code { "privacy export" } ", " code { "privacy fix" } ", "
                code { "privacy restrict" } ", " code { "privacy erase" }
            }
        }
        (cookies())
    };
    layout::framed_spoken(&pages, &visit, StatusCode::OK, HERE, body)
}

fn operator(config: &Config) -> Markup {
    let unsaid = said("does not say", "sagt es nicht", "säger det inte");
    html! {
        section.card {
            h2 { (said("Who runs this hub", "Wer diesen Hub betreibt", "Vem som driver den här hubben")) }
            dl {
                dt { (said("Hub", "Hub", "Hubb")) } dd { code { (config.host) } }
                dt { (said("Contact", "Kontakt", "Kontakt")) }
                dd { @match &config.contact { Some(contact) => (contact), None => (unsaid) } }
                dt { (said("Region", "Region", "Region")) }
                dd { @match &config.region { Some(region) => (region), None => (unsaid) } }
            }
            p.hint {
                (said("Write to them with any question, and complain to the authority for data protection if you like.",
                      "Wenden Sie sich mit jeder Frage dorthin, und beschweren Sie sich gern bei der Datenschutzbehörde.",
                      "Skriv dit med varje fråga, och klaga gärna hos dataskyddsmyndigheten."))
            }
        }
    }
}

fn tables() -> Markup {
    html! {
        h2 { (said("What, why, and until when", "Was, warum und bis wann", "Vad, varför och hur länge")) }
        table.stack.tables {
            thead { tr {
                th scope="col" { (said("What", "Was", "Vad")) }
                th scope="col" { (said("Why", "Warum", "Varför")) }
                th scope="col" { (said("Until", "Bis", "Till")) }
            } }
            tbody {
                @for rule in RULES { (row(rule.table, &until(rule))) }
                @for table in EXPIRING {
                    (row(table, said("the day its row says", "zu dem Tag, den die Zeile nennt", "den dag som raden säger").here()))
                }
            }
        }
    }
}

fn row(table: &str, until: &str) -> Markup {
    let about = kept::of(table);
    html! {
        tr id=(table) {
            td { @if let Some(about) = about { (about.what) " " } code.table { (table) } }
            td { @if let Some(about) = about { (about.why) } }
            td { (until) }
        }
    }
}

/// When rows of a rule go, in words.
fn until(rule: &Rule) -> String {
    if let Some(keeps) = rule.keeps() {
        return length(keeps);
    }
    let words = match &rule.kept {
        Kept::As(parcel) if parcel.retention == Retention::UntilDisabled => said(
            "until the device switches the feature off",
            "bis das Gerät die Funktion abschaltet",
            "tills enheten stänger av funktionen",
        ),
        Kept::As(_) => said(
            "until the device is removed",
            "bis das Gerät entfernt wird",
            "tills enheten tas bort",
        ),
        Kept::UntilWithdrawn => said(
            "until whoever runs the hub takes it back",
            "bis der Betreiber es zurücknimmt",
            "tills den som driver hubben tar tillbaka det",
        ),
        Kept::For(_) | Kept::Within(..) | Kept::WithAccount => said(
            "until the account is deleted",
            "bis das Konto gelöscht wird",
            "tills kontot raderas",
        ),
    };
    words.here().to_owned()
}

fn length(keeps: Duration) -> String {
    let seconds = keeps.as_secs();
    if seconds >= DAY {
        said("{} days", "{} Tage", "{} dagar").with(seconds / DAY)
    } else if seconds >= 2 * 3600 {
        said("{} hours", "{} Stunden", "{} timmar").with(seconds / 3600)
    } else {
        said("{} minutes", "{} Minuten", "{} minuter").with(seconds / 60)
    }
}

fn profile() -> Markup {
    html! {
        h2 { (said("The fields of a profile", "Die Felder eines Profils", "Profilens fält")) }
        dl {
            @for field in FIELDS {
                dt {
                    (field.label) " "
                    @if !field.required { span.optional { (said("optional", "freiwillig", "frivilligt")) } }
                }
                dd { (field.why) ". " (said("Seen by:", "Sichtbar für:", "Syns för:")) " " (field.seen_by) ". " }
            }
        }
    }
}

fn cookies() -> Markup {
    html! {
        h2 { (said("Cookies", "Cookies", "Kakor")) }
        ul {
            li {
                code { "__Host-session" } " – "
                (said("your sign-in, 30 days", "Ihre Anmeldung, 30 Tage", "din inloggning, 30 dagar"))
            }
            li {
                code { "__Host-trusted" } " – "
                (said("a browser you trust to skip the code, 30 days", "ein Browser, dem Sie ohne Code vertrauen, 30 Tage", "en webbläsare du litar på utan kod, 30 dagar"))
            }
            li {
                code { "__Host-known" } " – "
                (said("a browser you signed in with before, so that a new one is noticed", "ein Browser, mit dem Sie sich schon angemeldet haben, damit ein neuer auffällt", "en webbläsare du loggat in med förut, så att en ny märks"))
            }
        }
        p {
            (said("There are no others, none before you sign in, no script, and nothing from elsewhere. The language follows what your browser asks for, and is written down only if you choose one yourself.",
                  "Es gibt keine anderen, keines vor der Anmeldung, kein Skript und nichts von anderswo. Die Sprache folgt Ihrem Browser und wird nur notiert, wenn Sie selbst eine wählen.",
                  "Det finns inga andra, ingen innan du loggar in, inget skript och inget från annat håll. Språket följer din webbläsare och skrivs ner bara om du själv väljer ett."))
        }
    }
}
