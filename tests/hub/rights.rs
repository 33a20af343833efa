//! What every store must do for those whom its rows are about: show, correct, set aside.

use super::store_contract::{
    at, device, enrolled, holds, holds_bytes, request, service, sqlite, visit,
};
use super::support::{TempDir, seal};
use qcloud_agent::hub::store::schema::STEPS;
use qcloud_agent::hub::store::share::Visibility;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use qcloud_agent::hub::store::{
    Addresses, Enrolled, Opened, Renamed, Scope, Store, StoreError, ZoneRow,
};
use qcloud_agent::hub::sweep::RULES;
use qcloud_agent::wire::label::Label;
use qcloud_agent::wire::privacy::Restrictable;

const SOME: Addresses = Addresses { a: Some(std::net::Ipv4Addr::new(203, 0, 113, 7)), aaaa: None };

fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

#[tokio::test]
async fn a_corrected_name_is_the_only_one_left_in_any_file() {
    let (store, temp) = sqlite();
    let wrong = "canary-of-a-wrong-name";
    let known = enrolled(store.as_ref(), 1, wrong, 1).await;
    store.set_addresses(known.id.clone(), SOME, at(2)).await.unwrap();
    let mark = seal().index("device.name", wrong);
    assert!(holds_bytes(&temp, &mark) && !holds(&temp, wrong), "it was there, sealed");
    let renamed = store.rename(known.id.clone(), label("attic"), at(0)).await.unwrap();
    let Renamed::Yes { device: now, before } = renamed else { panic!("{renamed:?}") };
    assert_eq!((now.name.as_str(), before.as_str()), ("attic", wrong));
    assert!(!holds_bytes(&temp, &mark) && !holds(&temp, wrong), "it is nowhere");
    let row = ZoneRow { name: label("attic"), addresses: Some(SOME) };
    assert_eq!(store.zone().await.unwrap(), [row], "the addresses moved along");
    // A poll that comes late does not bring the old name back.
    let code = store.pending().await.unwrap()[0].clone();
    assert_eq!(code.name.as_str(), "attic");
    let late = store.enrol(code.code_hash, device("attic", 1)).await.unwrap();
    assert_eq!(late, Enrolled::Yes { device: now.clone(), before: None });
    let again = store.rename(known.id, label("attic"), at(0)).await.unwrap();
    assert_eq!(again, Renamed::Yes { device: now, before: label("attic") });
}

#[tokio::test]
async fn a_name_of_another_device_is_not_taken() {
    let (store, _temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    enrolled(store.as_ref(), 2, "attic", 2).await;
    let promised = request(3, "cellar", 3);
    assert_eq!(store.open_code(promised.clone(), 99).await.unwrap(), Opened::Yes);
    store.decide(promised.user_code, true, at(0)).await.unwrap();
    for taken in ["attic", "cellar"] {
        let renamed = store.rename(device.id.clone(), label(taken), at(0)).await.unwrap();
        assert_eq!(renamed, Renamed::NameTaken, "{taken}");
    }
    let lapsed = store.rename(device.id, label("cellar"), at(1)).await.unwrap();
    assert!(matches!(lapsed, Renamed::Yes { .. }), "the promise was over");
    let nobody = store.rename("nobody".into(), label("loft"), at(0)).await;
    assert!(matches!(nobody, Err(StoreError::NoDevice)));
}

#[tokio::test]
async fn a_restricted_name_is_kept_and_not_in_the_zone() {
    let (store, temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    store.set_addresses(device.id.clone(), SOME, at(2)).await.unwrap();
    let id = || device.id.clone();
    let ddns = Restrictable::Ddns;
    assert_eq!(store.restrict(id(), ddns, true, at(3)).await.unwrap(), [ddns]);
    assert_eq!(store.restrict(id(), ddns, true, at(4)).await.unwrap(), [ddns]);
    assert_eq!(store.zone().await.unwrap()[0].addresses, None);
    assert_eq!(store.addresses(id()).await.unwrap(), Some(SOME));
    // Another process, and one after a restart, see it too.
    let other = SqliteStore::open(&temp.0.join("hub.db"), &seal()).unwrap();
    assert_eq!(other.restrictions().await.unwrap(), [(id(), ddns)]);
    assert_eq!(other.zone().await.unwrap()[0].addresses, None);
    assert_eq!(store.restrict(id(), ddns, false, at(5)).await.unwrap(), []);
    assert_eq!(store.zone().await.unwrap()[0].addresses, Some(SOME));
    store.restrict(id(), ddns, true, at(6)).await.unwrap();
    store.erase(device.clone(), Scope::Ddns).await.unwrap();
    assert_eq!(store.restrictions().await.unwrap(), [], "it goes with the data it was about");
    let nobody = store.restrict("nobody".into(), ddns, true, at(6)).await;
    assert!(matches!(nobody, Err(StoreError::NoDevice)));
}

/// Shares a device with the one account there is.
fn shared(temp: &TempDir, device: &str) {
    let database = rusqlite::Connection::open(temp.0.join("hub.db")).unwrap();
    let account = "INSERT OR IGNORE INTO account (number, email_index, email, made_at)
        VALUES (1, x'01', x'02', 1)";
    database.execute(account, []).unwrap();
    let share = "INSERT INTO share (device, account, made_at) VALUES (?1, 1, 1)";
    database.execute(share, [device]).unwrap();
}

#[tokio::test]
async fn a_device_sees_every_row_of_its_own_and_no_other() {
    let (store, temp) = sqlite();
    let mine = enrolled(store.as_ref(), 1, "box", 1).await;
    let other = enrolled(store.as_ref(), 2, "attic", 2).await;
    for (device, key) in [(&mine, 8), (&other, 9)] {
        store.stage_key(device.id.clone(), vec![key; 44], at(2)).await.unwrap();
        store.set_addresses(device.id.clone(), SOME, at(2)).await.unwrap();
        store.restrict(device.id.clone(), Restrictable::Ddns, true, at(2)).await.unwrap();
        // A session, and another box that does not know of it.
        for shown in [None, Some([8; 32])] {
            store.admit(device.id.clone(), shown, [7; 32], at(2)).await.unwrap();
        }
        for second in 0..3 {
            store.log_visit(visit(device, second)).await.unwrap();
        }
        store.set_services(device.id.clone(), vec![service("web", 443)], at(2)).await.unwrap();
        store.set_visibility(device.id.clone(), Visibility::People, at(2)).await.unwrap();
        shared(&temp, &device.id);
        super::license::seated(store.as_ref(), &device.id, key).await;
    }
    for rule in RULES.iter().filter(|rule| rule.parcel().is_some()) {
        let rows = store.rows(mine.clone(), rule.table, 0, 99).await.unwrap();
        let wanted = if rule.table == "link_log" { 3 } else { 1 };
        assert_eq!(rows.len(), wanted, "{}", rule.table);
        let text =
            serde_json::to_string(&rows.iter().map(|r| &r.data).collect::<Vec<_>>()).unwrap();
        assert!(!text.contains("attic") && !text.contains(&other.id), "{text}");
        assert!(rows.iter().all(|row| row.data.contains_key("made_at")), "{}", rule.table);
    }
    let first = store.rows(mine.clone(), "link_log", 0, 2).await.unwrap();
    let rest = store.rows(mine, "link_log", first[1].number, 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
}

#[tokio::test]
async fn a_store_of_version_1_is_taken_over() {
    let temp = TempDir::new();
    let path = temp.0.join("hub.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(STEPS[0]).unwrap();
    old.execute_batch("INSERT INTO meta (key, value) VALUES ('schema', 1)").unwrap();
    let row = "INSERT INTO device (id, key_hash, name, spki, made_at) VALUES ('one', x'01', 'box', x'02', 1)";
    old.execute_batch(row).unwrap();
    drop(old);
    let store = SqliteStore::open(&path, &seal()).unwrap();
    let devices = store.devices().await.unwrap();
    assert_eq!((devices.len(), devices[0].name.as_str()), (1, "box"));
    let on = store.restrict("one".into(), Restrictable::Link, true, at(1)).await.unwrap();
    assert_eq!(on, [Restrictable::Link]);
    drop(store);
    let again = SqliteStore::open(&path, &seal()).unwrap();
    assert_eq!(again.devices().await.unwrap(), devices, "taken over once");
}
