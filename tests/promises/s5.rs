//! S5, H5, Y1: what the hub keeps of anybody is sealed, and nobody is named in its log.

use crate::common::hub::Hub;
use crate::common::net::{DEVICE, VISITOR};
use crate::common::watch::{files_with, holds};
use crate::marked::{Life, MAIL, MARKERS, NAME, WAITING, forms};
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::seal::Seal;
use qcloud_agent::hub::seal_key;
use qcloud_agent::hub::store::classes::{CLASSES, Class};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;

/// Guard: `hub-seal`, the one place where values are sealed.
///
/// The attack: to carry away every file of a hub that serves, of one that was killed, and of one that was stopped.
#[test]
fn s5_no_file_of_the_hub_holds_anything_of_anybody() {
    let mut life = Life::lived(true);
    assert_eq!(life.left(), [], "while it serves");
    let export = life.agent.ok(&["privacy", "export"]).to_string();
    assert!(export.contains(NAME) && export.contains(DEVICE), "it is kept all the same: {export}");
    assert!(!export.contains("_mark"), "{export}");
    life.world.hub.kill();
    assert!(life.world.hub.dir().join("hub.db-wal").exists(), "killed, it tidies nothing up");
    assert_eq!(life.left(), [], "after it was killed");
    life.world.hub.serve();
    life.world.hub.stop();
    assert_eq!(life.left(), [], "after it was stopped");
    everything_opens(&life.world.hub);

    // The search finds each form of each, where there is one.
    for (what, bytes) in MARKERS.iter().flat_map(|marker| forms(marker)) {
        let file = life.world.hub.dir().join("carelessness");
        std::fs::write(&file, [b"before ", bytes.as_slice(), b" behind"].concat()).expect("a file");
        assert_eq!(files_with(life.world.hub.dir(), &bytes), [file], "{what}");
    }
    let shifted = BASE64URL_NOPAD.encode(format!("x{NAME}y").as_bytes());
    assert!(forms(NAME).iter().any(|(_, bytes)| holds(shifted.as_bytes(), bytes)), "{shifted}");
}

/// Every value of a column that is said to be sealed opens with the key, for that column, to what was put in.
fn everything_opens(hub: &Hub) {
    let config = Config::load(hub.dir()).expect("its configuration");
    let seal = seal_key::load(hub.dir(), &config).expect("its key");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(hub.dir().join("hub.db"), flags).expect("the store");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, columns) in CLASSES {
        for (column, _) in columns.iter().filter(|c| matches!(c.1, Class::Sealed | Class::Number)) {
            let name = format!("{table}.{column}");
            let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
            let mut all = database.prepare(&sql).expect("a column");
            let mut rows = all.query([]).expect("rows");
            while let Some(row) = rows.next().expect("a row") {
                let text = opened(&seal, &name, row.get_ref(0).expect("a value"));
                found.entry(name.clone()).or_default().push(text);
            }
        }
    }
    let all = |name: &str| found.get(name).cloned().unwrap_or_default().join(" ");
    let kept = [
        ("account.email", MAIL),
        ("account_log.about", WAITING),
        ("pending.name", WAITING),
        ("device.name", NAME),
        ("ddns.a", DEVICE),
        ("link_log.host", NAME),
        ("service.name", "marker-service"),
        ("service.host", NAME),
        ("service.port", "443"),
        ("auth_key.pattern", "marker-pattern"),
        ("access_log.line", VISITOR),
    ];
    for (column, wanted) in kept {
        assert!(all(column).contains(wanted), "{column} holds {:?}", all(column));
    }
}

fn opened(seal: &Seal, column: &str, value: ValueRef<'_>) -> String {
    let opened = match value {
        ValueRef::Text(text) => seal.open_text(column, &String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => seal.open(column, bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    };
    opened.unwrap_or_else(|| panic!("a value of {column} is not sealed: {value:?}"))
}

/// Guard: `hub-log-anonymous`, which every line passes on its way out.
///
/// The attack: a mail server that says the address of the account in its answer, which the hub logs as a reason. The
/// hub logs all it can.
#[test]
fn y1_no_line_of_the_log_names_anybody() {
    let life = Life::lived(false);
    let log = life.world.hub.log_text();
    for (what, bytes) in MARKERS.iter().flat_map(|marker| forms(marker)) {
        assert!(!holds(log.as_bytes(), &bytes), "{what} is logged: {log}");
    }
    assert!(log.contains("<(mail address)>: try again later"), "the reason is: {log}");
    assert!(log.contains(&life.agent.id()), "devices stand in it by their ids: {log}");
}
