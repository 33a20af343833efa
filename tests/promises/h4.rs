//! H4, H5: a log of whole addresses is kept only where the operator wants one: sealed, and not for long.

use crate::common::World;
use crate::common::net::{Line, VISITOR};
use crate::common::process::{run, until, until_equal};
use crate::common::visitor::curl;
use crate::common::watch::files_with;
use qcloud_agent::hub::access::KEPT;
use rusqlite::Connection;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Somebody looks at the hub.
fn look(world: &World) {
    let trusted = world.hub.dir().join("server-ca.crt");
    let mut command = curl(&world.net.visitor, &trusted, &format!("{}/", world.hub.url()));
    command.args(["--connect-to", &format!("::{}:443", crate::common::net::HUB)]);
    run(command, SOON).ok();
}

fn lines(world: &World) -> String {
    world.hub.command(&["access-log"]).ok()
}

/// Guard: `hub-access-off`, the check before a line is written.
#[test]
fn h4_whole_addresses_are_logged_only_where_the_operator_wants_it() {
    let mut world = World::new(Line::Direct);
    look(&world);
    let agent = world.member("box", "");
    agent.ok(&["link", "on"]);
    agent.wait_for_link();
    assert_eq!(world.hub.rows("access_log"), 0, "it is off unless it is switched on");
    assert!(lines(&world).contains("nothing is kept"));

    switch_on(&mut world);
    look(&world);
    until("a line", SOON, || lines(&world).contains(&format!("{VISITOR}  api")).then_some(()));
}

/// Guard: `hub-seal`, the one place where values are sealed.
#[test]
fn h5_the_log_of_whole_addresses_is_sealed_line_by_line() {
    let mut world = World::new(Line::Direct);
    switch_on(&mut world);
    look(&world);
    look(&world);
    until_equal("the log", SOON, &2, || world.hub.rows("access_log"));
    let octets = VISITOR.parse::<std::net::Ipv4Addr>().expect("an address").octets();
    for trace in [VISITOR.as_bytes(), &octets] {
        assert_eq!(files_with(world.hub.dir(), trace), Vec::<std::path::PathBuf>::new());
    }
    assert!(!world.hub.log_text().contains(VISITOR), "it stands in the hub's own log");
    // The same line twice, and nobody sees that it is the same; each says by which key it opens.
    let database = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    let sql = "SELECT count(DISTINCT line), count(DISTINCT key), min(key) FROM access_log";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?));
    let (different, keys, key): (i64, i64, _) = database.query_row(sql, [], read).expect("rows");
    assert_eq!((different, keys), (2, 1));
    assert!(key > 0);
    assert_eq!(lines(&world).matches(VISITOR).count(), 2);
    // The attack: one line in the place of another column's.
    let moved = "UPDATE access_log SET line = (SELECT value FROM meta WHERE key = 'schema') WHERE number = 1";
    database.execute(moved, []).expect("a change");
    let refused = world.hub.command(&["access-log"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("was changed"), "{refused:?}");
}

/// Guard: `hub-sweep`, the sweep of one table.
#[test]
fn h4_lines_go_by_themselves_before_six_months_are_over() {
    let mut world = World::new(Line::Direct);
    switch_on(&mut world);
    for _ in 0..2 {
        look(&world);
    }
    until_equal("the log", SOON, &2, || world.hub.rows("access_log"));
    world.hub.stop();
    let kept = KEPT.as_secs();
    assert!(kept <= 181 * 24 * 3600, "the shortest six months there are");
    let database = Connection::open(world.hub.dir().join("hub.db")).expect("the database");
    for (number, age) in [(1, kept), (2, kept - 600)] {
        let age = i64::try_from(age).expect("an age");
        let sql = "UPDATE access_log SET made_at = unixepoch() - ?2 WHERE number = ?1";
        assert_eq!(database.execute(sql, [number, age]).expect("an old line"), 1);
    }
    world.hub.serve();
    until_equal("the log", SOON, &1, || world.hub.rows("access_log"));
}

fn switch_on(world: &mut World) {
    world.hub.stop();
    let path = world.hub.dir().join("hub.toml");
    let text = std::fs::read_to_string(&path).expect("its configuration");
    std::fs::write(&path, text + "[access_log]\nunmasked = true\n").expect("its configuration");
    world.hub.serve();
}
