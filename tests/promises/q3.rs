//! Q3: what a profile holds is declared, and nothing of it is needed.

use crate::common::World;
use crate::common::net::Line;
use crate::common::watch::files_with;
use crate::person::{Person, WITH_PAGES, columns};
use qcloud_agent::hub::people::profile::FIELDS;
use qcloud_agent::hub::speech::Language;
use std::path::PathBuf;

const NAME: &str = "Canary Öberg 5d21";
const PHONE: &str = "+46 8 765 43 21 09";

/// Guard: `profile-seal`, by which a field is not in the clear.
///
/// The attacks: fields that are not declared, another's page, a form of another session.
#[test]
fn q3_a_profile_is_what_its_declaration_says_and_nothing_of_it_is_needed() {
    let world = World::with_hub(Line::Direct, &WITH_PAGES);
    let ben = Person::invited(&world, "ben@mail.example.org");
    let anna = Person::invited(&world, "anna@mail.example.org");
    for path in ["/", "/log", "/security", "/account", "/approve", "/privacy"] {
        assert_eq!(anna.get(path).status, 200, "{path} with an empty profile");
    }
    assert_eq!(world.hub.rows("profile"), 0);
    let kept = columns(&world.hub, "profile");
    let declared: Vec<_> = FIELDS.iter().filter(|field| !field.required).collect();
    for field in &declared {
        assert!(kept.contains(&field.key.to_owned()), "{} has no column", field.key);
    }
    assert_eq!(kept.len(), declared.len() + 2, "a column that nobody declared: {kept:?}");

    let got = anna.profile(&[("name", NAME), ("phone", PHONE)]);
    assert_eq!(got.status, 303, "{}", got.body);
    for secret in [NAME, PHONE] {
        let found = files_with(world.hub.dir(), secret.as_bytes());
        assert_eq!(found, Vec::<PathBuf>::new(), "{secret} in the clear");
    }
    let page = anna.get("/account").body;
    assert!(page.contains(NAME) && page.contains(PHONE));
    for field in FIELDS {
        for said in [field.label, field.why, field.seen_by, field.until] {
            assert!(page.contains(said.to(Language::English)), "{} is not all said", field.key);
        }
    }

    let mark = ben.get("/account").field("mark");
    let forged = [("mark", &*mark), ("name", "Mallory"), ("phone", ""), ("language", "")];
    let forged = [forged.as_slice(), &[("zone", ""), ("findable", "")]].concat();
    assert_eq!(anna.post("/account", &forged).status, 403, "the mark of another session");
    let more = [("name", NAME), ("phone", ""), ("language", ""), ("zone", ""), ("findable", "")];
    let more =
        [more.as_slice(), &[("email", "x@y.z"), ("account", "1"), ("made_at", "0")]].concat();
    anna.submit("/account", &more);
    let page = anna.get("/account").body;
    assert!(page.contains("anna@mail.example.org") && page.contains(NAME) && !page.contains(PHONE));
    assert!(!ben.get("/account").body.contains(NAME));

    assert_eq!(anna.profile(&[]).status, 303);
    assert_eq!(world.hub.rows("profile"), 0, "what was emptied is gone");
}
