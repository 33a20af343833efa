//! A hub with pages, a device's line, and a browser at the visitor's.

use crate::common::World;
use crate::common::net::{HUB, Line};
use crate::person::Person;
use data_encoding::{BASE64, HEXLOWER};
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::people::totp::Totp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of the pages.
pub const PAGES: &str = "cloud.example.org";
/// Their origin.
pub const ORIGIN: &str = "https://cloud.example.org";
/// Who is invited.
pub const EMAIL: &str = "anna.berg@mail.example.org";
/// What they choose.
pub const PASSWORD: &str = "seven green kettles";

/// A hub that serves pages.
pub fn world() -> World {
    World::with_hub(Line::Direct, &["--pages", PAGES])
}

/// A browser at the visitor's that finds the pages by name and takes the hub's own authority for them, and no other:
/// there is no public one in a test.
pub fn person(world: &World) -> Person {
    person_with(world, "browser", |_| {})
}

/// The same, with a profile that is prepared in its directory.
pub fn person_with(world: &World, name: &str, prepare: impl FnOnce(&std::path::Path)) -> Person {
    let dir = world.scratch.path(name);
    std::fs::create_dir(&dir).expect("a directory");
    prepare(&dir);
    let pin = world.hub.pin.strip_prefix("sha256:").expect("a pin");
    let pin = BASE64.encode(&HEXLOWER.decode(pin.as_bytes()).expect("a pin"));
    let flags = [
        format!("--host-resolver-rules=MAP {PAGES} {HUB}"),
        format!("--ignore-certificate-errors-spki-list={pin}"),
    ];
    Person::new(&world.net.visitor, &dir, &flags)
}

/// The link of a fresh invitation, as `user add` prints it.
pub fn invitation(world: &World) -> String {
    let text = world.hub.command(&["user", "add", EMAIL]).ok();
    let link = text.split_whitespace().find(|word| word.starts_with(ORIGIN));
    link.unwrap_or_else(|| panic!("no link in {text}")).into()
}

/// Takes an invitation, with the password of these tests.
pub fn accept(person: &mut Person, link: &str) {
    person.go(link);
    person.fill("textbox", "New password", PASSWORD);
    person.fill("textbox", "The same again", PASSWORD);
    person.follow("button", "Set it and sign in");
    assert_eq!(person.path(), "/", "{}", person.text());
}

/// Types address and password.
pub fn sign_in(person: &mut Person, password: &str) {
    person.fill("textbox", "Mail address", EMAIL);
    person.fill("textbox", "Password", password);
    person.follow("button", "Sign in");
}

/// An app for codes.
pub struct Phone(Totp);

impl Phone {
    /// Reads the secret off the page, where it stands in groups of four.
    pub fn scan(person: &mut Person) -> Self {
        let texts = person.texts();
        let is_secret = |text: &&String| {
            text.split(' ').count() == 8 && text.split(' ').all(|group| group.len() == 4)
        };
        let secret = texts.iter().find(is_secret).unwrap_or_else(|| panic!("none in {texts:?}"));
        Self(Totp::read(secret).unwrap_or_else(|| panic!("no secret: {secret}")))
    }

    /// The code now, or so many steps of 30 s later: the hub takes each once, and those beside the present one.
    pub fn code(&self, later: u32) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        self.0.code_at(Wall(now + Duration::from_secs(30) * later))
    }
}
