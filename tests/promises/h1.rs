//! H1: every table has a rule of retention, and what is older than its rule says goes by itself.

use crate::common::World;
use crate::common::net::Line;
use crate::common::process::until_equal;
use qcloud_agent::hub::sweep::{EXPIRING, RULES};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Guard: `hub-sweep`, the sweep of one table.
#[test]
fn h1_what_is_older_than_its_rule_goes_by_itself() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", "");
    agent.ok(&["ddns", "on"]);
    until_equal("the update", Duration::from_secs(10), &1, || world.hub.rows("ddns"));
    let database = world.hub.dir().join("hub.db");
    assert_eq!(without_rule(&tables(&database)), BTreeSet::new());
    world.hub.stop();
    {
        let connection = Connection::open(&database).expect("the database");
        let visit = "INSERT INTO link_log (device, masked, host, up, down, seconds, made_at)
            SELECT id, '192.0.2.0', 'box', 1, 1, 1, unixepoch() - ?1 FROM device";
        let pending = "UPDATE pending SET made_at = unixepoch() - ?1";
        for (table, sql) in [("link_log", visit), ("pending", pending)] {
            let rule = RULES.iter().find(|rule| rule.table == table).expect("a rule");
            let keeps = rule.keeps().expect("a bound").as_secs();
            let keeps = i64::try_from(keeps).expect("a bound of this world");
            connection.execute(sql, [keeps + 1]).expect("an old row");
            if table == "link_log" {
                // One that still has its time, which must stay.
                connection.execute(sql, [keeps - 600]).expect("a young row");
            }
        }
    }
    assert_eq!((world.hub.rows("link_log"), world.hub.rows("pending")), (2, 1));
    world.hub.serve();
    for (table, left) in [("link_log", 1), ("pending", 0), ("device", 1), ("ddns", 1)] {
        until_equal(table, Duration::from_secs(10), &left, || world.hub.rows(table));
    }
}

/// Guard: `hub-sweep`, the sweep of a table whose rows say themselves when they go.
#[test]
fn h1_what_says_when_it_goes_is_gone_by_then() {
    let mut world = World::new(Line::Direct);
    let database = world.hub.dir().join("hub.db");
    world.hub.stop();
    // A row of each such table that is over, and one that still has its time, which must stay.
    for table in EXPIRING {
        let connection = Connection::open(&database).expect("the database");
        let sql = match *table {
            "auth_key" => {
                "INSERT INTO auth_key (id, hash, pattern, reusable, uses, expires_at, made_at)
                 VALUES (?1, zeroblob(32), 'box-*', 1, 0, unixepoch() + ?2, unixepoch() - 600)"
            }
            "hold" => {
                "INSERT INTO hold (subject, label, why, expires_at, made_at)
                 VALUES (CAST(?1 AS BLOB), x'00', x'00', unixepoch() + ?2, unixepoch() - 600)"
            }
            "held" => {
                "INSERT INTO held (number, subject, about, rows, expires_at, made_at)
                 VALUES (unicode(?1), CAST(?1 AS BLOB), x'00', x'00', unixepoch() + ?2, unixepoch() - 600)"
            }
            "license_issuer" => {
                "INSERT INTO license_issuer (kid, key, expires_at, made_at)
                 VALUES (?1, 'x', unixepoch() + ?2, unixepoch() - 600)"
            }
            "license_withdrawn" => {
                "INSERT INTO license_withdrawn (kid, document, expires_at, made_at)
                 VALUES (?1, x'00', unixepoch() + ?2, unixepoch() - 600)"
            }
            "license" => {
                "INSERT INTO license
                 (lid, product, policy, terms, seq, noticed, starts_at, expires_at, made_at)
                 VALUES (?1, 'app', 'year', '{}', 0, 0, 0, unixepoch() + ?2, unixepoch() - 600)"
            }
            "license_taken" => {
                "INSERT INTO license_taken (lid, seat, expires_at, made_at)
                 VALUES ('good', unicode(?1), unixepoch() + ?2, unixepoch() - 600)"
            }
            "license_void" => {
                "INSERT INTO license_void (lid, epoch, expires_at, made_at)
                 VALUES (?1, 1, unixepoch() + ?2, unixepoch() - 600)"
            }
            other => panic!("the rows of {other} are not tried here"),
        };
        for (id, left) in [("over", -1), ("good", 600)] {
            connection.execute(sql, (id, left)).expect("a row");
        }
        assert_eq!(world.hub.rows(table), 2);
    }
    world.hub.serve();
    for table in EXPIRING {
        until_equal(table, Duration::from_secs(10), &1, || world.hub.rows(table));
    }
    let connection = Connection::open(&database).expect("the database");
    let left: String =
        connection.query_row("SELECT id FROM auth_key", [], |row| row.get(0)).expect("a key");
    assert_eq!(left, "good");
}

/// The attack: somebody adds a table and forgets its rule.
#[test]
fn h1_a_table_without_a_rule_is_found() {
    let world = World::new(Line::Direct);
    let database = world.hub.dir().join("hub.db");
    assert_eq!(without_rule(&tables(&database)), BTreeSet::new());
    let connection = Connection::open(&database).expect("the database");
    connection.execute("CREATE TABLE added (device TEXT) STRICT", []).expect("a table");
    assert_eq!(without_rule(&tables(&database)), BTreeSet::from(["added".to_owned()]));
    // Nor has a rule a table that is not there.
    for table in RULES.iter().map(|rule| &rule.table).chain(EXPIRING) {
        assert!(tables(&database).contains(*table), "there is no {table}");
    }
}

fn tables(database: &PathBuf) -> BTreeSet<String> {
    let connection = Connection::open(database).expect("the database");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql).expect("a question");
    let names = statement.query_map([], |row| row.get(0)).expect("an answer");
    names.collect::<Result<_, _>>().expect("names")
}

/// `meta` holds the number of the schema, and nothing of anybody.
fn without_rule(tables: &BTreeSet<String>) -> BTreeSet<String> {
    let ruled = |table: &&String| {
        RULES
            .iter()
            .map(|rule| rule.table)
            .chain(EXPIRING.iter().copied())
            .any(|it| it == table.as_str())
    };
    tables.iter().filter(|table| *table != "meta" && !ruled(table)).cloned().collect()
}
