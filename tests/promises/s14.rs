//! S14: each service is made reachable, or not, by itself.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::{Process, until};
use crate::common::visitor::{curl, fetch, is_refused};
use std::time::Duration;

/// Guard: `link-published`, in the look-up of what is published.
#[test]
fn s14_only_what_is_published_is_reachable() {
    let world = World::new(Line::Nat);
    let agent = world.member("box", "");
    let web = Page::open(&world.net.device, "the web page");
    let files = Page::open(&world.net.device, "the files page");
    // It listens too, and nobody published it.
    let admin = Page::open(&world.net.device, "the admin page");
    let certificate = agent.link_up(&web.url());
    agent.ok(&["link", "publish", "files", &files.url()]);

    let (visitor, host) = (&world.net.visitor, link_host("box"));
    let page =
        |name: &str, path: &str| fetch(visitor, &certificate, &format!("https://{name}{path}"));
    assert_eq!(page(&host, "/").ok(), "the web page");
    assert_eq!(page(&format!("files.{host}"), "/").ok(), "the files page");
    // Names have no case (RFC 4343); that opens nothing else.
    assert!(!is_refused(visitor, &format!("FILES.{}", host.to_uppercase())));

    let port = admin.address.port().to_string();
    for guess in
        ["admin", "ADMIN", "ssh", "www", "a.web", "a.files", "127", &port, "*", "web.files"]
    {
        let name = format!("{guess}.{host}");
        assert!(is_refused(visitor, &name), "{name} was let in");
    }
    for other in ["box.nas.example.test", "other.link.nas.example.test", "localhost"] {
        assert!(is_refused(visitor, other), "{other} was let in");
    }
    assert_eq!(admin.asked(), b"", "a guess reached a service that is not published");

    unpublish_ends_a_running_visit(&world, &agent, &certificate);
}

fn unpublish_ends_a_running_visit(
    world: &World,
    agent: &crate::common::agent::Agent,
    certificate: &std::path::Path,
) {
    let (visitor, name) = (&world.net.visitor, format!("files.{}", link_host("box")));
    let log = world.scratch.path("visit.log");
    let mut command = curl(visitor, certificate, &format!("https://{name}/slow"));
    command.arg("--no-buffer");
    let mut visit = Process::spawn("the visit", command, &log);
    until("the running visit", Duration::from_secs(10), || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("files")).then_some(())
    });
    assert!(visit.runs(), "the visit ended by itself");
    agent.ok(&["link", "unpublish", "files"]);
    visit.ended(Duration::from_secs(2));
    assert!(is_refused(visitor, &name), "{name} is still let in");
    assert!(!is_refused(visitor, &link_host("box")), "the other service went with it");
}
