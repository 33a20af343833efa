//! H6: a deletion that is stuck is noticed by the hub itself.

use crate::common::World;
use crate::common::net::Line;
use crate::common::process::until;
use core::time::Duration;
use rusqlite::Connection;

const SOON: Duration = Duration::from_secs(20);

/// Guard: `hub-stuck`, the word of it.
///
/// The attack: rows that no sweep gets away, a letter whose account is gone, an erasure that was noted and had no
/// effect, and then a journal that somebody took away.
#[test]
fn h6_a_deletion_that_is_stuck_is_noticed() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let file = world.scratch.path("copy.backup");
    world.hub.command(&["backup", "--to", file.to_str().expect("a path")]).ok();
    let database = world.hub.dir().join("hub.db");
    let open = || {
        let connection = Connection::open(&database).expect("the database");
        connection.busy_timeout(SOON).expect("a timeout");
        connection
    };
    open()
        .execute_batch("CREATE TABLE before AS SELECT * FROM device")
        .expect("what is to come back");
    agent.ok(&["unregister"]);
    world.hub.stop();
    assert!(!world.hub.log_text().contains("stuck"), "{}", world.hub.log_text());
    open()
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO device SELECT * FROM before;
             UPDATE device SET made_at = made_at - 100;
             DROP TABLE before;
             INSERT INTO outbox (entry, made_at) VALUES (4711, unixepoch());
             INSERT INTO link_log (device, masked, host, up, down, seconds, made_at)
             SELECT id, '192.0.2.0', 'box', 1, 1, 1, 1 FROM device;
             CREATE TRIGGER stuck BEFORE DELETE ON link_log BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .expect("what is stuck");
    world.hub.serve();
    let said = until("its word", SOON, || {
        let log = world.hub.log_text();
        log.lines().find(|line| line.contains("deletions were stuck")).map(str::to_owned)
    });
    assert!(said.contains("ERROR"), "{said}");
    for what in ["overdue=1", "orphans=1", "without_effect=1", "journal=0"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(world.hub.log_text().contains("qcloud-hub revoke NAME"), "no help");

    world.hub.stop();
    open()
        .execute_batch(
            "DROP TRIGGER stuck; DELETE FROM outbox; DELETE FROM link_log; DELETE FROM device",
        )
        .expect("nothing that is stuck");
    std::fs::remove_file(world.hub.dir().join("deletions.journal")).expect("the journal");
    world.hub.serve();
    until("its word", SOON, || {
        let log = world.hub.log_text();
        let wanted = "overdue=0 orphans=0 without_effect=0 journal=1";
        log.lines().any(|line| line.contains(wanted)).then_some(())
    });
}
