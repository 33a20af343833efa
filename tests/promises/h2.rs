//! H2: what is erased is out of reach at once, through every interface.

use crate::ask::{Line as Api, Papers, ask};
use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::visitor::{Answer, dig, is_refused};
use qcloud_agent::card::Caller;
use qcloud_agent::hub::api::ROUTES;
use serde_json::json;

/// Guard: `hub-device-auth`, the look for the device's row at each request.
///
/// The attack: a connection of the device that was open, and let in, before the erasure.
#[test]
fn h2_after_an_erasure_the_api_knows_the_device_no_more() {
    let world = World::new(Line::Direct);
    let (from, hub, visitor) = (&world.net.device, &world.hub, &world.net.visitor);
    let agent = world.member("box", "");
    let papers = Papers::of(&agent);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(from, "a page");
    agent.link_up(&page.url());
    let update = json!({"a": "observed", "aaaa": "none"});
    let mut open = Api::open(from, hub, Some(&papers));
    let nonce = json!({"nonce": "fresh"});
    assert_eq!(open.ask("/v1/ddns/forget", &nonce).0, 200, "the device itself is refused");

    agent.ok(&["unregister"]);
    let answers = routes().into_iter().map(|path| {
        let body = if path.ends_with("forget") { &nonce } else { &update };
        let (held, _) = open.ask(path, body);
        let (fresh, said) = ask(from, hub, Some(&papers), path, body);
        (path, held, fresh, said)
    });
    for (path, held, fresh, said) in answers {
        if path == "/v1/registration/forget" {
            // The one thing it may ask is its receipt again, which says that there is nothing.
            assert_eq!((held, fresh), (200, 200), "{said}");
        } else {
            assert_eq!((held, fresh), (401, 401), "{path}: {said}");
        }
    }
    for name in [ddns_host("box"), link_host("box")] {
        let answer = dig(visitor, &name, "A", "+notcp");
        assert_eq!(answer, Answer::no_such_name(), "{name}");
    }
    assert!(is_refused(visitor, &link_host("box")), "visitors are still let in");
    assert!(hub.devices().is_empty(), "the operator still sees it");
}

/// Everything that only devices may ask.
fn routes() -> Vec<&'static str> {
    let places = ROUTES.iter().filter_map(|route| route.place());
    let paths: Vec<_> =
        places.filter(|(_, caller)| *caller == Caller::Device).map(|(path, _)| path).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    paths
}
