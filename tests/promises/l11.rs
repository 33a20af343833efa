//! L11: an account that is deleted takes its licenses along, and the boxes that have them learn it at the next contact.

use crate::common::World;
use crate::common::hub::Hub;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::until;
use crate::person::{PASSWORD, Person, WITH_PAGES};
use qcloud_agent::clock::system_wall;
use qcloud_agent::hub::license::root::Root;
use serde_json::Value;
use std::time::Duration;

const ANNA: &str = "anna@mail.example.org";
/// The exit codes of `license check`.
const VALID: i32 = 0;
/// See [`VALID`].
const REVOKED: i32 = 23;

fn json(hub: &Hub, args: &[&str]) -> Value {
    let text = hub.command(&[args, &["--json"]].concat()).ok();
    serde_json::from_str(&text).expect("JSON")
}

/// Has a hub sign in the name of an issuer, who stays elsewhere.
fn certified(world: &World) -> Root {
    let (hub, path) = (&world.hub, world.scratch.path("root.key"));
    let root = Root::make(&path).expect("a key");
    let signer = json(hub, &["license", "signer", "new"]);
    let key = signer["key"].as_str().expect("a key");
    let document = root.certify(key, 365, system_wall()).expect("a certificate");
    let file = world.scratch.path("signer.crt");
    std::fs::write(&file, document).expect("a file");
    let file = file.to_str().expect("a path");
    json(hub, &["license", "signer", "install", file, "--root", &root.public()]);
    json(hub, &["license", "product", "add", "app"]);
    json(hub, &["license", "policy", "add", "app", "year", "--days", "365"]);
    root
}

/// Guard: `license-void`.
///
/// The attack: the box keeps its lease, and the hub that knew it knows it no more.
#[test]
fn l11_an_account_that_is_deleted_ends_its_licenses_at_the_next_contact() {
    let world = World::with_hub(Line::Direct, &WITH_PAGES);
    let root = certified(&world);
    let agent = world.member("box", &format!("[license]\nissuers = [\"{}\"]\n", root.public()));
    let anna = Person::invited(&world, ANNA);
    anna.owns(&world.hub, "box");
    let issued = json(&world.hub, &["license", "issue", "app", "year", "--holder", ANNA]);
    let lid = issued["license"].as_str().expect("an id");
    agent.ok(&["license", "on"]);
    agent.ok(&["license", "install", lid]);
    let check = || agent.command(&["license", "check", "app"]).code;
    assert_eq!(check(), Some(VALID), "{}", agent.ok(&["license", "list"]));
    let seats = json(&world.hub, &["license", "show", lid]);
    assert_eq!(seats["taken"][0]["device"], agent.id().as_str());
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());

    let got = anna.submit("/account/delete", &[("password", PASSWORD), ("address", ANNA)]);
    assert_eq!(got.status, 200, "{}", got.body);
    assert!(got.body.contains("random numbers of your licenses"), "the receipt says what stays");
    until("the end of the license", Duration::from_secs(20), || {
        (check() == Some(REVOKED)).then_some(())
    });
    for table in ["license", "license_seat", "license_key", "license_log", "license_taken"] {
        assert_eq!(world.hub.rows(table), 0, "{table}");
    }
    assert_eq!(world.hub.rows("license_void"), 1, "a number that names nobody");
}
