//! Q4: language and time zone are kept, used, and can be changed.

use crate::common::World;
use crate::common::net::Line;
use crate::person::{Person, WITH_PAGES};

/// Guard: `profile-used`, by which a page asks the profile.
///
/// The attack: a zone that is a path, a language that is none, another browser of the same person.
#[test]
fn q4_language_and_zone_are_kept_used_and_changed() {
    let mut world = World::with_hub(Line::Direct, &WITH_PAGES);
    let anna = Person::invited(&world, "anna@mail.example.org");
    let log = anna.get("/log").body;
    assert!(log.contains(" UTC</time>"), "{log}");
    assert_eq!(anna.profile(&[("language", "sv"), ("zone", "Asia/Kathmandu")]).status, 303);
    world.hub.kill();
    world.hub.serve();
    let wish = ["accept-language: de".to_owned()];
    let page = anna.get_with("/account", &wish);
    assert_eq!(page.language(), "sv", "the profile goes before the browser");
    assert!(page.body.contains("<h1>Konto</h1>") && page.body.contains("Spara</button>"));
    let log = anna.get("/log").body;
    assert!(log.contains(" +0545</time>") && !log.contains(" UTC</time>"), "{log}");
    assert!(log.contains("Z\">"), "the exact time stands beside it");

    for (key, bad) in [("zone", "../../etc/passwd"), ("zone", "Europe/Nowhere"), ("language", "xx")]
    {
        let got = anna.profile(&[(key, bad)]);
        assert_eq!(got.status, 422, "{bad}");
        assert!(!got.body.contains("passwd"), "{}", got.body);
    }
    assert_eq!(anna.get("/account").language(), "sv", "nothing of it was taken");

    assert_eq!(anna.profile(&[("language", "de"), ("zone", "America/New_York")]).status, 303);
    let log = anna.get("/log");
    assert!(log.language() == "de" && log.body.contains(" E"), "EST or EDT: {}", log.body);
    assert_eq!(anna.profile(&[]).status, 303);
    let page = anna.get_with("/account", &wish);
    assert_eq!(page.language(), "de", "without a choice the browser is asked again");
    assert!(anna.get("/log").body.contains(" UTC</time>"));
}
