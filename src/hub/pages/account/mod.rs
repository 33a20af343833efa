//! The page "Account": what a person said of themself, what is kept of them, and the way out.

pub(super) mod download;
pub(super) mod leave;

use super::second::refused;
use super::sign_in::busy_or_broken;
use super::visit::Visit;
use super::{Pages, Shared, broken, layout};
use crate::hub::people::Person;
use crate::hub::people::profile::{BadField, FIELDS, Field, Findable, Profile};
use crate::hub::people::second::Checked;
use crate::hub::speech::{Language, Said, Zone, said};
use crate::hub::store::people::Happened;
use crate::secret::Secret;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

const HERE: (Said, &str) = (said("Account", "Konto", "Konto"), "/account");

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Typed {
    name: String,
    phone: String,
    language: String,
    zone: String,
    findable: String,
}

/// `GET /account`.
pub(super) async fn show(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Query(back): Query<Back>,
) -> Response {
    match pages.hub.people.profile(person.account).await {
        Ok(profile) => {
            let is_done = back.done.is_some();
            page(&pages, &visit, StatusCode::OK, &|key| profile.text(key), is_done, None)
        }
        Err(error) => broken(&error),
    }
}

/// `POST /account`.
pub(super) async fn save(
    State(pages): Shared,
    visit: Visit,
    person: Person,
    Form(typed): Form<Typed>,
) -> Response {
    let people = &pages.hub.people;
    let before = match people.profile(person.account).await {
        Ok(profile) => profile,
        Err(error) => return broken(&error),
    };
    let profile = match read(&typed) {
        Ok(profile) => profile,
        Err(bad) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return page(&pages, &visit, status, &|key| typed.of(key), false, Some(bad));
        }
    };
    let is_other = |field: &&Field| before.text(field.key) != profile.text(field.key);
    let changed: Vec<&str> = FIELDS.iter().filter(is_other).map(|field| field.key).collect();
    if !changed.is_empty() {
        let now = pages.hub.clock.now().wall;
        let saved = async {
            people.set_profile(person.account, &profile, now).await?;
            // Which fields, and not what stood in them: the log must not keep what was wrong.
            let (what, about) = (Happened::ProfileChanged, changed.join(", "));
            people.tell(person.account, what, Some(&about), visit.from, now).await
        };
        if let Err(error) = saved.await {
            return broken(&error);
        }
    }
    Redirect::to("/account?done=saved").into_response()
}

impl Typed {
    fn of(&self, key: &str) -> Option<&str> {
        let all = [
            ("name", &self.name),
            ("phone", &self.phone),
            ("language", &self.language),
            ("zone", &self.zone),
            ("findable", &self.findable),
        ];
        all.iter().find(|(known, _)| *known == key).map(|(_, text)| text.as_str())
    }
}

fn read(typed: &Typed) -> Result<Profile, BadField> {
    let mut profile = Profile::default();
    for field in FIELDS {
        if let Some(text) = typed.of(field.key) {
            profile.set(field.key, text)?;
        }
    }
    Ok(profile)
}

/// The page, with these texts in its fields.
fn page<'a>(
    pages: &Pages,
    visit: &Visit,
    status: StatusCode,
    text: &dyn Fn(&str) -> Option<&'a str>,
    is_done: bool,
    bad: Option<BadField>,
) -> Response {
    let email = visit.person.as_ref().map(|person| person.email.to_string()).unwrap_or_default();
    let body = html! {
        h1 { (HERE.0) }
        @if is_done {
            p.done role="status" { (said("It is saved.", "Gespeichert.", "Sparat.")) }
        }
        @if bad.is_some() {
            p.problem role="alert" {
                (said("Not saved: look at the marked field.", "Nicht gespeichert: bitte das markierte Feld ansehen.", "Inte sparat: se det markerade fältet."))
            }
        }
        section.card {
            h2 { (said("Profile", "Profil", "Profil")) }
            p.state {
                (said("You may leave everything empty. Every field is kept sealed.",
                      "Sie dürfen alles leer lassen. Jedes Feld wird versiegelt aufbewahrt.",
                      "Du får lämna allt tomt. Varje fält sparas förseglat."))
            }
            form.profile method="post" action="/account" {
                (layout::marked(pages, visit))
                @for field in FIELDS {
                    @let is_bad = bad.is_some_and(|bad| bad.0 == field.key);
                    div.field.wrong[is_bad] {
                        label for=(field.key) { (field.label) }
                        (input(field, text(field.key), &email, is_bad))
                        p.hint id={ (field.key) "-why" } {
                            (field.why) ". "
                            (said("Seen by:", "Sichtbar für:", "Syns för:")) " " (field.seen_by) ". "
                            (said("Kept", "Aufbewahrt,", "Sparas")) " " (field.until) "."
                        }
                    }
                }
                div { button type="submit" { (said("Save", "Speichern", "Spara")) } }
            }
        }
        (others())
    };
    layout::framed_spoken(pages, visit, status, HERE, body)
}

fn input(field: &Field, text: Option<&str>, email: &str, is_bad: bool) -> Markup {
    let (id, why, text) = (field.key, format!("{}-why", field.key), text.unwrap_or_default());
    let invalid = is_bad.then_some("true");
    let kind = if id == "phone" { "tel" } else { "text" };
    let fills = if id == "phone" { "tel" } else { "name" };
    html! {
        @match id {
            "email" => input id=(id) type="email" autocomplete="email" value=(email) readonly aria-describedby=(why);,
            "language" => select id=(id) name=(id) autocomplete="language" aria-describedby=(why) aria-invalid=[invalid] {
                option value="" { (said("As my browser asks", "Wie mein Browser bittet", "Som min webbläsare ber om")) }
                @for (tag, name, _) in Language::ALL {
                    option value=(tag) lang=(tag) selected[tag == text] { (name) }
                }
            },
            "zone" => select id=(id) name=(id) aria-describedby=(why) aria-invalid=[invalid] {
                option value="" { "UTC" }
                @for (area, zones) in Zone::all() {
                    optgroup label=(area) {
                        @for zone in zones {
                            option value=(zone.name()) selected[zone.name() == text] { (zone.name().replace('_', " ")) }
                        }
                    }
                }
            },
            "findable" => select id=(id) name=(id) aria-describedby=(why) aria-invalid=[invalid] {
                @for (word, who) in Findable::ALL {
                    option value=(word) selected[word == text] {
                        @match who {
                            Findable::Nobody => (said("Nobody", "Niemand", "Ingen")),
                            Findable::Shared => (said("People I share devices with", "Menschen, mit denen ich Geräte teile", "De jag delar enheter med")),
                        }
                    }
                }
            },
            _ => input id=(id) name=(id) type=(kind) value=(text) maxlength=(field.most) autocomplete=(fills) aria-describedby=(why) aria-invalid=[invalid];,
        }
    }
}

fn others() -> Markup {
    html! {
        section.card {
            h2 { (said("Everything kept of you", "Alles, was über Sie aufbewahrt wird", "Allt som sparas om dig")) }
            p {
                (said("One file with every row of your account and of your devices, opened from its seals.",
                      "Eine Datei mit jeder Zeile Ihres Kontos und Ihrer Geräte, aus den Siegeln geöffnet.",
                      "En fil med varje rad om ditt konto och dina enheter, öppnad ur sina sigill."))
            }
            div.actions {
                a.button href="/account/download" { (said("Download everything kept", "Alles herunterladen", "Ladda ner allt")) }
                a.button href="/privacy" { (said("What is kept, and until when", "Was bis wann aufbewahrt wird", "Vad som sparas, och hur länge")) }
            }
        }
        section.card {
            h2 { (said("Delete the account", "Konto löschen", "Radera kontot")) }
            p {
                (said("Your devices lose their names and their way through this hub, and everything kept of you is erased. You get a signed receipt.",
                      "Ihre Geräte verlieren ihre Namen und ihren Weg über diesen Hub, und alles, was über Sie aufbewahrt wird, wird gelöscht. Sie bekommen eine signierte Quittung.",
                      "Dina enheter förlorar sina namn och sin väg genom den här hubben, och allt som sparas om dig raderas. Du får ett signerat kvitto."))
            }
            a.button.no href="/account/delete" { (said("Delete the account …", "Konto löschen …", "Radera kontot …")) }
        }
    }
}

/// What is typed again before something that only the owner of the account may have.
fn prove(with_code: bool) -> Markup {
    html! {
        label for="password" { (said("Your password", "Ihr Passwort", "Ditt lösenord")) }
        input id="password" name="password" type="password" autocomplete="current-password" required;
        @if with_code {
            label for="code" { (said("Code from the app, or a recovery code", "Code aus der App, oder ein Wiederherstellungscode", "Kod från appen, eller en återställningskod")) }
            input.code id="code" name="code" type="text" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" maxlength="16" required;
        }
    }
}

/// Whether the password is right, counted and noted as at a sign-in; what is said when it is not.
async fn knows_password(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    password: String,
) -> Result<Option<Said>, Box<Response>> {
    let (hub, now) = (&pages.hub, pages.hub.clock.now());
    if let Err(wait) = hub.tries.take(visit.from, now.boot) {
        return Err(Box::new(super::too_often(wait)));
    }
    let known = hub.people.confirm(person, Secret::new(password)).await;
    if known.map_err(|error| Box::new(busy_or_broken(&error)))? {
        return Ok(None);
    }
    let noted = hub.people.sign_in_failed(&person.email, visit.from, now.wall).await;
    noted.map_err(|error| Box::new(broken(&error)))?;
    Ok(Some(said(
        "Your password is not right.",
        "Ihr Passwort stimmt nicht.",
        "Ditt lösenord stämmer inte.",
    )))
}

/// Whether a code of the second factor is right; what is said when it is not.
async fn knows_code(
    pages: &Pages,
    visit: &Visit,
    person: &Person,
    code: &str,
) -> Result<Option<Said>, Box<Response>> {
    let now = pages.hub.clock.now().wall;
    match pages.hub.people.check(person, code, visit.from, now).await {
        Ok(Checked::Right) => Ok(None),
        Ok(checked) => Ok(Some(refused(checked).1)),
        Err(error) => Err(Box::new(broken(&error))),
    }
}
