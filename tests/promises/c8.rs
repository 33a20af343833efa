//! C8: what a feature would send can be seen before it is switched on.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::Line;
use crate::common::watch::Counter;
use qcloud_agent::egress::gate::fields_of;
use serde_json::Value;
use std::collections::BTreeSet;

/// A user that nothing else runs as.
const UID: u32 = 61_081;

/// Guard: `preview-example`, which shows example values where there are no real ones.
#[test]
fn c8_the_catalogue_and_every_preview_work_before_anything_is_on() {
    let world = World::new(Line::Direct);
    let counter = Counter::new(&world.net.device, UID);
    let dir = world.scratch.path("agent");
    let mut agent = Agent::new(&world.net.device, &dir, Some(UID), "");
    // Without a running agent, then with one.
    look_at_everything(&agent);
    assert!(!agent.state_dir().exists(), "looking made a state directory");
    agent.start();
    look_at_everything(&agent);
    assert_eq!(counter.packets(), 0, "looking sent packets");

    // The counter does count: this is what it sees of one real message.
    let ran = agent.command(&["register", "--hub", "https://203.0.113.254:9", "--name", "box"]);
    assert_eq!(ran.code, Some(8), "nobody is there: {ran:?}");
    assert!(counter.packets() > 0, "the counter does not count");
}

fn look_at_everything(agent: &Agent) {
    let catalog = agent.ok(&["egress", "catalog"]);
    let ids = catalog.as_array().expect("parcels").iter().map(|p| p["id"].as_str().expect("an id"));
    let ids: Vec<&str> = ids.collect();
    for needed in qcloud_agent::wire::TO_HUB {
        assert!(ids.contains(&needed.id), "the catalogue lacks {}", needed.id);
    }
    for (id, parcel) in ids.iter().zip(catalog.as_array().expect("parcels")) {
        assert!(parcel["what"].as_str().is_some_and(|what| !what.is_empty()), "{parcel}");
        let preview = agent.ok(&["egress", "preview", id]);
        assert_eq!(preview["parcel"], *id);
        assert!(preview["body"].is_object(), "no body: {preview}");
        let declared: Vec<Value> = parcel["fields"].as_array().expect("fields").clone();
        let declared: BTreeSet<_> = declared.iter().filter_map(|f| f["path"].as_str()).collect();
        let shown = fields_of(&preview["body"]);
        let shown: BTreeSet<_> = shown.iter().map(String::as_str).collect();
        assert_eq!(shown, declared, "{id} shows other fields: {preview}");
    }
}
