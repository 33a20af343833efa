//! Holds in virtual time, and the journal.

use super::store_contract::{at, device, enrolled, request};
use super::support::{TempDir, seal};
use core::time::Duration;
use qcloud_agent::clock::{Clock, Now, Wall};
use qcloud_agent::hub::keeping::hold::{self, Subject};
use qcloud_agent::hub::keeping::{Deletion, Keeping, backup, restore};
use qcloud_agent::hub::store::keep::{Holding, Keep};
use qcloud_agent::hub::store::people::People;
use qcloud_agent::hub::store::replay::Replayed;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use qcloud_agent::hub::store::{AuthKeyRow, Device, Enrolled, Scope, Store};
use qcloud_agent::hub::sweep;
use qcloud_agent::wire::privacy::Restrictable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct House {
    store: SqliteStore,
    keeping: Arc<Keeping>,
    now: Arc<AtomicU64>,
    _temp: TempDir,
}

fn day(text: &str) -> Wall {
    Wall::from_date(text).unwrap()
}

impl House {
    fn on(date: &str) -> Self {
        let temp = TempDir::new();
        let now = Arc::new(AtomicU64::new(day(date).unix_seconds()));
        let (of, system) = (Arc::clone(&now), Clock::system(Wall::default()).now());
        let clock = Clock::from_fn(move || Now {
            wall: Wall::from_unix_seconds(of.load(Ordering::SeqCst)),
            ..system
        });
        let keeping = Arc::new(Keeping::new(&temp.0, seal(), clock));
        let path = temp.0.join("hub.db");
        let store = SqliteStore::open(&path, &seal()).unwrap().with(Arc::clone(&keeping));
        Self { store, keeping, now, _temp: temp }
    }

    fn go_to(&self, moment: Wall) {
        self.now.store(moment.unix_seconds(), Ordering::SeqCst);
    }

    async fn hold(&self, device: &Device, until: &str) -> Holding {
        let subject = Subject::Device { id: device.id.clone(), name: device.name.to_string() };
        hold::add(&self.store, &self.keeping, &subject, "a reason", day(until)).await.unwrap()
    }

    async fn held(&self) -> usize {
        self.store.held(None, Wall::default()).await.unwrap().len()
    }
}

#[tokio::test]
async fn r4_a_hold_of_31_august_is_over_with_february() {
    for (begin, end) in [("2029-08-31", "2030-02-28"), ("2027-08-31", "2028-02-29")] {
        let house = House::on(begin);
        let device = enrolled(&house.store, 1, "box", 1).await;
        let march = &format!("{}-03-01", &end[..4]);
        assert_eq!(house.hold(&device, march).await, Holding::TooLong { most: day(end) });
        assert_eq!(house.hold(&device, end).await, Holding::Yes);
        // Another one, later, does not begin anew.
        house.go_to(day(&format!("{}-10-15", &begin[..4])));
        assert_eq!(house.hold(&device, march).await, Holding::TooLong { most: day(end) });
        let rows = house.store.erase(device.clone(), Scope::Registration).await.unwrap();
        assert!(rows.values().all(|rows| *rows == 0), "{rows:?}");
        assert!(house.store.devices().await.unwrap().is_empty());
        let last = Wall(day(end).0 - Duration::from_secs(1));
        for (moment, left) in [(last, 1), (day(end), 0)] {
            house.go_to(moment);
            let due = sweep::sweep(&house.store, moment).await.unwrap();
            assert_eq!(house.held().await, left, "{}", moment.rfc3339());
            assert_eq!(due.is_some_and(|due| due == day(end)), left == 1, "{due:?}");
        }
    }
}

#[tokio::test]
async fn the_hold_of_an_account_holds_its_devices_and_an_early_end_erases() {
    let house = House::on("2029-08-31");
    let store = &house.store;
    let free = enrolled(store, 1, "free", 1).await;
    store.invite([1; 32], vec![1], [2; 32], at(0)).await.unwrap();
    let number = store.accounts().await.unwrap()[0].number;
    let row = request(2, "owned", 2);
    store.open_code(row.clone(), 99).await.unwrap();
    store.decide_as(number, row.user_code, true, at(0)).await.unwrap();
    let Enrolled::Yes { device: owned, .. } =
        store.enrol(row.code_hash, device("owned", 2)).await.unwrap()
    else {
        panic!("not enrolled")
    };
    let subject = Subject::Account(number);
    let until = day("2029-12-01");
    hold::add(store, &house.keeping, &subject, "a reason", until).await.unwrap();
    let erased = store.erase(free, Scope::Registration).await.unwrap();
    assert_eq!((erased["device"], house.held().await), (1, 0), "what nobody holds is held");
    store.erase(owned.clone(), Scope::Ddns).await.unwrap();
    assert_eq!(house.held().await, 0, "there was nothing of it");
    let erased = store.erase(owned, Scope::Registration).await.unwrap();
    assert_eq!((erased["device"], house.held().await), (0, 1));
    let shown = hold::list(store, &house.keeping).await.unwrap();
    assert_eq!((shown[0].why.as_str(), shown[0].until), ("a reason", until));
    assert!(store.end_hold(subject.hash(&house.keeping)).await.unwrap());
    assert_eq!(house.held().await, 0);
    assert!(!store.end_hold(subject.hash(&house.keeping)).await.unwrap());
}

#[tokio::test]
async fn the_journal_begins_with_the_first_backup_and_ends_six_months_after_the_last() {
    let house = House::on("2029-08-31");
    let journal = &house.keeping.journal;
    let gone = || house.keeping.note(Deletion::Account(7)).unwrap();
    assert_eq!(gone(), None, "nothing could come back");
    assert!(!house._temp.0.join("deletions.journal").exists());
    journal.note_backup("first", day("2029-08-31"), None).unwrap();
    assert_eq!((gone(), gone()), (Some(2), Some(3)));
    house.go_to(day("2029-09-01"));
    assert_eq!(gone(), Some(4));
    assert_eq!(journal.read(Some(4)).unwrap().len(), 5);
    assert!(journal.read(Some(5)).is_err(), "a cut is not seen");
    // Lines of the last day of August are over with February, and the one of September on the first of March.
    assert_eq!(journal.sweep(day("2030-02-27")).unwrap(), 0);
    assert_eq!(journal.sweep(day("2030-02-28")).unwrap(), 3);
    let left = journal.read(Some(4)).unwrap();
    assert_eq!(left.iter().map(|entry| entry.number).collect::<Vec<_>>(), [3, 4]);
    house.go_to(day("2030-02-28"));
    assert_eq!(gone(), None, "no backup is good any more");
    assert_eq!(journal.note_backup("second", day("2030-02-28"), Some(4)).unwrap(), 5);
    assert_eq!(gone(), Some(6));
    assert_eq!(journal.read(Some(6)).unwrap().len(), 4);
    // One that was lost goes on behind what the database knows of.
    let path = house._temp.0.join("deletions.journal");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(journal.note_backup("third", day("2030-02-28"), Some(6)).unwrap(), 7);
    assert_eq!(journal.read(Some(6)).unwrap().len(), 2);
    // A line that power was lost in was never acknowledged.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [whole.as_slice(), b"8 1900000000 acc"].concat()).unwrap();
    assert!(journal.read(None).is_err());
    assert_eq!(gone(), Some(8));
    assert_eq!(journal.read(Some(8)).unwrap().len(), 3);
}

fn key(id: &str) -> AuthKeyRow {
    AuthKeyRow {
        id: id.into(),
        hash: [id.as_bytes()[0]; 32],
        pattern: "*".into(),
        reusable: id != "once",
        uses: 0,
        expires_at: day("2029-11-01"),
        made_at: day("2029-08-31"),
    }
}

#[tokio::test]
async fn a_restore_carries_out_whatever_was_taken_back_since() {
    let mut house = House::on("2029-08-31");
    let store = &house.store;
    let objects = enrolled(store, 1, "objects", 1).await;
    let changes = enrolled(store, 2, "changes", 2).await;
    let stays = enrolled(store, 3, "stays", 3).await;
    assert_eq!(house.hold(&stays, "2029-12-01").await, Holding::Yes);
    let email = seal().seal("account.email", "anna@example.net").unwrap();
    store.invite([1; 32], email, [2; 32], at(0)).await.unwrap();
    let number = store.accounts().await.unwrap()[0].number;
    let here = "192.0.2.0".parse().unwrap();
    store.sign_in([7; 32], number, here, day("2029-08-31")).await.unwrap();
    let made_at = day("2029-08-31");
    for id in ["kept", "revoked", "once"] {
        store.add_auth_key(key(id)).await.unwrap();
    }
    let file = house._temp.0.join("copy.backup");
    let made = backup::make(store, &house.keeping, &file).await.unwrap();
    assert!(backup::make(store, &house.keeping, &file).await.is_err(), "it was overwritten");

    store.restrict(objects.id.clone(), Restrictable::Link, true, made_at).await.unwrap();
    store.restrict(objects.id.clone(), Restrictable::Ddns, true, made_at).await.unwrap();
    store.restrict(objects.id.clone(), Restrictable::Ddns, false, made_at).await.unwrap();
    let spki = vec![9; 44];
    store.stage_key(changes.id.clone(), spki.clone(), made_at).await.unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, &spki);
    store.settle_key(hash.as_ref().try_into().unwrap()).await.unwrap().unwrap();
    store.revoke_auth_key("revoked".into()).await.unwrap();
    let subject = Subject::Device { id: stays.id.clone(), name: String::new() };
    assert!(store.end_hold(subject.hash(&house.keeping)).await.unwrap());

    let dir = house._temp.0.clone();
    std::fs::write(dir.join("hub.toml"), "").unwrap();
    let done = restore::restore(&dir, &house.keeping, &file, false).unwrap();
    assert_eq!((done.rows, done.former_is_sealed), (made.rows, true));
    let Replayed { rekeyed, auth_keys, released, sessions, .. } = done.replayed;
    assert_eq!((rekeyed, auth_keys, released, sessions), (1, 2, 2, 2));
    let path = dir.join("hub.db");
    house.store = SqliteStore::open(&path, &seal()).unwrap().with(Arc::clone(&house.keeping));
    let store = &house.store;
    let names: Vec<_> = store.devices().await.unwrap().into_iter().map(|d| d.name).collect();
    assert_eq!(names, [objects.name, stays.name]);
    assert_eq!(store.restrictions().await.unwrap(), [(objects.id, Restrictable::Link)]);
    assert_eq!(store.auth_keys().await.unwrap(), [key("kept")]);
    assert!(store.holds().await.unwrap().is_empty());
    assert!(store.signed_in([7; 32], Wall::default()).await.unwrap().is_none());
    assert_eq!(store.accounts().await.unwrap().len(), 1);
    // The former one is a backup like any other, and holds what was done since then.
    let former = done.former.unwrap();
    let done = restore::restore(&dir, &house.keeping, &former, false).unwrap();
    assert_eq!((done.replayed.rekeyed, done.replayed.released), (0, 3));
}
