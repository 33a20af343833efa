//! Q7: what is kept of a sign-in is its time and the network it came from.

use crate::common::World;
use crate::common::net::{Line, VISITOR};
use crate::common::watch::files_with;
use crate::person::{PASSWORD, Person, WITH_PAGES, columns};
use qcloud_agent::hub::people::SIGN_IN_RECORD;
use std::path::PathBuf;

/// Guard: `people-mask`, which clears the host part.
///
/// The attack: a browser that tells all about itself, right and wrong passwords, and somebody who takes the disk.
#[test]
fn q7_the_record_of_a_sign_in_holds_time_and_network_only() {
    let mut world = World::with_hub(Line::Direct, &WITH_PAGES);
    let anna = Person::invited(&world, "anna@mail.example.org");
    let canary = "Canary-Browser-91c4";
    let told = ["user-agent", "sec-ch-ua-platform", "referer", "x-forwarded-for", "accept"];
    let told = told.map(|name| format!("{name}: {canary}"));
    for password in [PASSWORD, "not the password"] {
        let visitor = Person::visitor(&world, password);
        let form = [("email", &*anna.email), ("password", password), ("to", "/")];
        let got = visitor.post("/sign-in", &form);
        assert_eq!(got.status == 303, password == PASSWORD);
        visitor.get_with("/security", &told);
    }
    for (table, declared) in SIGN_IN_RECORD {
        assert_eq!(columns(&world.hub, table), *declared, "{table}");
    }
    assert_eq!(world.hub.rows("browser"), 2);
    world.hub.kill();
    for trace in [VISITOR, canary, PASSWORD] {
        let found = files_with(world.hub.dir(), trace.as_bytes());
        assert_eq!(found, Vec::<PathBuf>::new(), "{trace} is kept");
        assert!(!world.hub.log_text().contains(trace), "{trace} is logged");
    }
    let network = VISITOR.replace(".177", ".0");
    assert!(
        !files_with(world.hub.dir(), network.as_bytes()).is_empty(),
        "the search finds nothing"
    );
}
