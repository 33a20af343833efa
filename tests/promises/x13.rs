//! X13: the hub has no store for reports.

use crate::ask::{Line as Connection, Papers};
use crate::common::World;
use crate::common::net::Line;
use crate::common::watch::files_with;
use data_encoding::BASE64;
use qcloud_agent::card::Caller;
use qcloud_agent::hub::api::ROUTES;
use qcloud_agent::hub::store::classes::CLASSES;
use serde_json::{Value, json};

/// Where somebody would look for such a place.
const GUESSES: [&str; 5] =
    ["/v1/report", "/v1/report/upload", "/v1/crash", "/v1/support/bundle", "/report"];

/// Guard: `hub-body-most`, the one bound on what a device may send in a request: no report fits into it.
///
/// The attacks: a registered device that puts a report, and a piece of one, into every request that the hub takes, and
/// to every path it could be taken at.
#[test]
fn x13_the_hub_has_no_place_for_a_report() {
    let world = World::new(Line::Direct);
    let (from, hub) = (&world.net.visitor, &world.hub);
    let agent = world.member("box-13", "");
    let papers = Papers::of(&agent);
    let canary = BASE64.encode(b"canary of a report: PK report.txt manifest.json");
    let whole = canary.repeat(600);
    assert!(whole.len() > 32 * 1024, "a report is larger than any of them");
    let ask =
        |path: &str, body: &Value| Connection::open(from, hub, Some(&papers)).ask(path, body).0;
    for route in ROUTES {
        let (path, caller) = route.place().expect("a path");
        if caller != Caller::Device {
            continue;
        }
        let mut body = (route.parcel.example)();
        body["report"] = whole.as_str().into();
        assert_eq!(ask(path, &body), 413, "{path}");
        // A piece of one, beside nothing that the request is for: what it says must not be kept either.
        let status = ask(path, &json!({ "report": canary.repeat(20) }));
        assert!(status >= 400, "{path}: {status}");
    }
    for path in GUESSES {
        let status = ask(path, &json!({ "report": canary }));
        assert!(status == 404 || status == 405, "{path}: {status}");
    }
    let kept = files_with(hub.dir(), &canary.as_bytes()[..40]);
    assert!(kept.is_empty(), "{kept:?}");
    let columns = CLASSES.iter().flat_map(|(table, columns)| {
        columns.iter().map(move |(column, _)| format!("{table}.{column}"))
    });
    for column in columns {
        for word in ["report", "bundle", "crash", "minidump", "upload", "attachment"] {
            assert!(!column.contains(word), "{column}");
        }
    }
}
