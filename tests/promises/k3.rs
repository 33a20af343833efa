//! K3: the pages speak the language the browser asks for; nothing of a visitor is kept for it.

use crate::common::World;
use crate::common::net::Line;
use crate::common::watch::files_with;
use crate::person::{Person, WITH_PAGES};
use std::path::PathBuf;

/// Guard: `pages-language`, which reads what the browser asks for.
///
/// The attack: a header that no browser sends, which is neither shown nor kept nor believed.
#[test]
fn k3_the_pages_speak_what_the_browser_asks_for_and_nothing_is_kept_of_it() {
    let mut world = World::with_hub(Line::Direct, &WITH_PAGES);
    let visitor = Person::visitor(&world, "jar");
    let canary = "x-canary-7f13";
    let cases = [
        ("", "en", "Sign in"),
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Anmelden"),
        ("fr, sv;q=0.7, en;q=0.2", "sv", "Logga in"),
        ("zh", "en", "Sign in"),
        ("de\"><script>alert(1)</script>, x-canary-7f13", "en", "Sign in"),
    ];
    for (wish, language, word) in cases {
        for path in ["/sign-in", "/privacy", "/nothing-here"] {
            let got = visitor.get_with(path, &[format!("accept-language: {wish}")]);
            assert_eq!(got.language(), language, "{wish} {path}");
            assert!(!got.head.contains("set-cookie"), "{}", got.head);
            assert!(!got.body.contains("<script") && !got.body.contains(canary), "{}", got.body);
            if path == "/sign-in" {
                assert!(got.body.contains(&format!("<h1>{word}</h1>")), "{}", got.body);
            }
        }
    }
    // One that is endless is refused or ignored, and the hub lives.
    let endless = format!("accept-language: {}de", "fr;q=0.9,".repeat(5000));
    assert!(visitor.get_with("/sign-in", &[endless]).status >= 200);
    assert_eq!(visitor.get("/sign-in").status, 200);
    world.hub.stop();
    assert_eq!(files_with(world.hub.dir(), canary.as_bytes()), Vec::<PathBuf>::new());
    assert!(!world.hub.log_text().contains(canary));
    // A page that nobody has translated says in which language it is.
    world.hub.serve();
    let anna = Person::invited(&world, "anna@mail.example.org");
    let got = anna.get_with("/security", &["accept-language: sv".into()]);
    assert!(got.language() == "sv" && got.body.contains("<main id=\"main\" lang=\"en\">"));
    let got = anna.get_with("/account", &["accept-language: sv".into()]);
    assert!(got.language() == "sv" && got.body.contains("<main id=\"main\">"), "{}", got.body);
}
