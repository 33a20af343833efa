//! What older versions kept in plain text is sealed when their database is opened, and the key is looked at first.

use super::store_contract::holds;
use super::support::{TempDir, seal};
use qcloud_agent::hub::seal::Seal;
use qcloud_agent::hub::store::access::Access;
use qcloud_agent::hub::store::schema::STEPS;
use qcloud_agent::hub::store::sealing::STEP;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use qcloud_agent::hub::store::{Store, StoreError, ZoneRow};
use qcloud_agent::secret::Secret;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

const MARKERS: [&str; 9] = [
    "canary-box",
    "canary-asks",
    "canary-only-*",
    "canary-key-*",
    "canary-web",
    "203.0.113.77",
    "2001:db8::77",
    "canary.link",
    "canary-gone",
];

/// A database as the version before the sealing left it: plain, with free pages and a log that was never emptied.
fn old(path: &Path) {
    let database = Connection::open(path).unwrap();
    let before = STEPS.iter().position(|step| *step == STEP).expect("the step");
    let batch = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;";
    database.execute_batch(batch).unwrap();
    STEPS[..before].iter().for_each(|step| database.execute_batch(step).unwrap());
    let version = "INSERT INTO meta (key, value) VALUES ('schema', ?1)";
    database.execute(version, [i64::try_from(before).unwrap()]).unwrap();
    let sealed = seal().seal("account.email", "anna@example.net").unwrap();
    let account = "INSERT INTO account (email_index, email, made_at) VALUES (x'01', ?1, 1)";
    database.execute(account, [sealed]).unwrap();
    database
        .execute_batch(
            "INSERT INTO device (id, key_hash, name, spki, made_at, names)
                VALUES ('one', x'01', 'canary-box', x'02', 1, 'canary-only-*');
            INSERT INTO pending (code_hash, user_code, name, spki, challenge, state, made_at)
                VALUES (zeroblob(32), 'CODE', 'canary-asks', x'03', x'04', 0, 1);
            INSERT INTO ddns VALUES ('one', '203.0.113.77', '2001:db8::77', 1);
            INSERT INTO link_log (device, masked, host, up, down, seconds, made_at)
                VALUES ('one', '192.0.2.0', 'canary.link', 1, 2, 3, 1);
            INSERT INTO auth_key VALUES ('key', zeroblob(32), 'canary-key-*', 0, 0, 9, 1);
            INSERT INTO service VALUES ('one', 'canary-web', 'canary.link', 8443, 'https', 1);
            CREATE TABLE gone (text TEXT);",
        )
        .unwrap();
    for _ in 0..500 {
        database
            .execute("INSERT INTO gone VALUES (?1)", [format!("canary-gone{:0900}", 1)])
            .unwrap();
    }
    database.execute_batch("DROP TABLE gone; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let again = "UPDATE link_log SET host = host || ''; DELETE FROM pending WHERE 0";
    database.execute_batch(again).unwrap();
    // Ended as a crash would: nothing is tidied up.
    std::mem::forget(database);
}

fn meta(path: &Path, key: &str) -> Option<i64> {
    let database = Connection::open(path).unwrap();
    let sql = "SELECT value FROM meta WHERE key = ?1";
    database.query_row(sql, [key], |row| row.get(0)).ok()
}

/// Guard: `hub-seal-cleared`, by which the plain bytes leave the free pages and the log.
#[tokio::test]
async fn s5_a_database_of_before_is_sealed_and_not_a_plain_byte_stays() {
    let temp = TempDir::new();
    let path = temp.0.join("hub.db");
    old(&path);
    assert!(MARKERS.iter().all(|marker| holds(&temp, marker)), "they were there");
    let store = SqliteStore::open(&path, &seal()).unwrap();
    for marker in MARKERS {
        assert!(!holds(&temp, marker), "{marker} is left");
    }
    assert_eq!(meta(&path, "uncleared"), None);

    let devices = store.devices().await.unwrap();
    assert_eq!(devices[0].name.as_str(), "canary-box");
    assert_eq!(store.pending().await.unwrap()[0].name.as_str(), "canary-asks");
    let row: &ZoneRow = &store.zone().await.unwrap()[0];
    assert_eq!(row.addresses.unwrap().a.unwrap().to_string(), "203.0.113.77");
    assert_eq!(row.addresses.unwrap().aaaa.unwrap().to_string(), "2001:db8::77");
    assert_eq!(store.visits("one".into()).await.unwrap()[0].host, "canary.link");
    assert_eq!(store.auth_keys().await.unwrap()[0].pattern, "canary-key-*");
    let service = &store.services("one".into()).await.unwrap()[0];
    assert_eq!((service.name.as_str(), service.port), ("canary-web", 8443));
    for table in ["device", "ddns", "link_log", "service"] {
        let rows = store.rows(devices[0].clone(), table, 0, 9).await.unwrap();
        let text = serde_json::to_string(&rows[0].data).unwrap();
        let shown = MARKERS.iter().any(|marker| text.contains(marker));
        assert!(shown && !text.contains("_mark"), "{table} is shown as {text}");
    }
    assert_eq!(store.access_log().await.unwrap(), []);
}

/// The attack: a power cut between the sealing and the clearing.
#[tokio::test]
async fn s5_what_was_not_cleared_is_cleared_the_next_time() {
    let temp = TempDir::new();
    let path = temp.0.join("hub.db");
    drop(SqliteStore::open(&path, &seal()).unwrap());
    assert_eq!(meta(&path, "uncleared"), None, "a new one has nothing to clear");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "PRAGMA secure_delete = OFF; CREATE TABLE gone (text TEXT);
            INSERT INTO gone VALUES ('canary-gone'); DROP TABLE gone;
            INSERT INTO meta VALUES ('uncleared', 1)",
        )
        .unwrap();
    drop(database);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.windows(11).any(|w| w == b"canary-gone"), "it was there");
    let _store = SqliteStore::open(&path, &seal()).unwrap();
    assert!(!holds(&temp, "canary-gone"));
    assert_eq!(meta(&path, "uncleared"), None);
}

/// The attack: another key in the place of the right one, also for a database that never noted its own.
#[tokio::test]
async fn s6_another_key_opens_nothing_and_changes_nothing() {
    let other = Arc::new(Seal::new(&Secret::new([8; 64])).unwrap());
    let (temp, plain) = (TempDir::new(), TempDir::new());
    let (path, before) = (temp.0.join("hub.db"), plain.0.join("hub.db"));
    drop(SqliteStore::open(&path, &seal()).unwrap());
    old(&before);
    for path in [&path, &before] {
        let version = meta(path, "schema");
        let refused = SqliteStore::open(path, &other);
        assert!(matches!(refused, Err(StoreError::OtherKey)));
        assert_eq!(meta(path, "schema"), version, "it was changed all the same");
        assert!(SqliteStore::open(path, &seal()).is_ok(), "the right one opens it");
    }
}
