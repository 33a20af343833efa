//! What a store does for licenses: seats that are never given out twice, what is void, and what goes by itself.

use super::store_contract::{at, enrolled, sqlite};
use super::support::TempDir;
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::license::stats;
use qcloud_agent::hub::store::license::{
    Freed, LOG_KEPT, LicenseRow, Moved, Right, SEAT_KEPT, Take, Taken, Terms, VOID_KEPT, Whose,
};
use qcloud_agent::hub::store::{Scope, Store};
use qcloud_agent::hub::sweep;
use qcloud_agent::wire::license::{Binding, Facts, LicenseId, Model, Plan};
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY: u64 = 24 * 3600;

pub fn terms(model: Model, seats: u32) -> Terms {
    Terms {
        model,
        plan: Plan::Subscription,
        seats,
        days: Some(365),
        lease_days: 30,
        grace_days: 14,
        offline: true,
        transferable: true,
        features: BTreeMap::new(),
        firmware: None,
    }
}

fn lid(number: u8) -> String {
    LicenseId::of([number; 16]).to_string()
}

async fn issued(store: &dyn Store, number: u8, account: Option<u64>, terms: Terms) -> String {
    let row = LicenseRow {
        lid: lid(number),
        product: "app".into(),
        policy: "year".into(),
        account,
        terms,
        starts_at: at(0),
        ends_at: Some(at(365 * DAY)),
        made_at: at(0),
        void: None,
    };
    store.issue(row).await.unwrap();
    lid(number)
}

fn bind(key: u8) -> Binding {
    Facts { key: vec![key; 32], serial: None, macs: Vec::new() }.bound([7; 16])
}

fn take(lid: &str, key: u8, by: Right, offline: bool) -> Take {
    let device = format!("box{key}");
    let (lid, bind) = (lid.to_owned(), bind(key));
    Take { lid, device, bind, ip: None, seq: 0, owner: None, by, offline }
}

/// Has a device sit on a seat of a license of its own.
pub async fn seated(store: &dyn Store, device: &str, number: u8) {
    let lid = issued(store, number, None, terms(Model::Device, 1)).await;
    let take = Take { device: device.into(), ..take(&lid, number, Right::Key, false) };
    assert!(matches!(store.take_seat(take, at(2)).await.unwrap(), Taken::Yes(_)));
}

/// An account with this number in a fresh store.
async fn account(store: &dyn Store, number: u8) -> u64 {
    let ticket = [number; 32];
    store.invite([number; 32], vec![1], ticket, at(0)).await.unwrap();
    store.accept(ticket, at(0), b"hash".to_vec()).await.unwrap().unwrap().number
}

/// Guard: `license-seats`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_at_once_never_exceed_the_seats() {
    let (store, temp): (Arc<dyn Store>, TempDir) = sqlite();
    let lid = issued(store.as_ref(), 1, None, terms(Model::Floating, 10)).await;
    // A second process has the same file open: the command line beside the serving hub.
    let path = temp.0.join("hub.db");
    let beside =
        qcloud_agent::hub::store::sqlite::SqliteStore::open(&path, &super::support::seal());
    let beside: Arc<dyn Store> = Arc::new(beside.unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..50 {
        let store = if key % 2 == 0 { Arc::clone(&store) } else { Arc::clone(&beside) };
        let take = take(&lid, key, Right::Key, false);
        tasks.spawn(async move { store.take_seat(take, at(1)).await.unwrap() });
    }
    let all = tasks.join_all().await;
    let mut seats: Vec<u32> = all
        .iter()
        .filter_map(|taken| if let Taken::Yes(seat) = taken { Some(seat.seat) } else { None })
        .collect();
    seats.sort_unstable();
    assert_eq!(seats, (1..=10).collect::<Vec<_>>(), "each seat once");
    let until = Taken::Full { until: at(1 + 44 * DAY), offline: false };
    assert_eq!(all.iter().filter(|taken| **taken == until).count(), 40);
    assert_eq!(store.seats(lid, at(1)).await.unwrap().len(), 10);
}

/// Guard: `license-own`. The attack: another box with the id alone, with an old receipt, and before its time.
#[tokio::test]
async fn a_seat_is_taken_until_its_device_gives_it_back_or_its_time_is_over() {
    let (store, _temp) = sqlite();
    let lid = issued(store.as_ref(), 1, None, terms(Model::Device, 1)).await;
    let ask = |key, by, offline, when| store.take_seat(take(&lid, key, by, offline), at(when));
    assert_eq!(ask(1, Right::Owner, true, 1).await.unwrap(), Taken::NotYours, "it is nobody's");
    assert_eq!(ask(1, Right::Seat, true, 1).await.unwrap(), Taken::NotYours, "it has no seat");
    let Taken::Yes(first) = ask(1, Right::Key, true, 1).await.unwrap() else { panic!("no seat") };
    assert_eq!((first.seat, first.seq, first.offline), (1, 1, true));
    let full = Taken::Full { until: at(1 + 44 * DAY), offline: true };
    assert_eq!(ask(2, Right::Key, true, 2).await.unwrap(), full, "by file");
    assert_eq!(ask(2, Right::Key, false, 2).await.unwrap(), full, "and by itself");
    let Taken::Yes(again) = ask(1, Right::Seat, false, 3).await.unwrap() else {
        panic!("own seat")
    };
    assert_eq!((again.seat, again.seq), (1, 2), "it renews its own");
    let free = |seq| store.free_seat(lid.clone(), "box1".into(), seq, at(4));
    assert_eq!(free(1).await.unwrap(), Freed::Later, "a receipt of an older lease");
    assert_eq!(free(2).await.unwrap(), Freed::Yes);
    assert_eq!(free(2).await.unwrap(), Freed::Already, "a receipt frees once");
    let Taken::Yes(second) = ask(2, Right::Key, true, 5).await.unwrap() else { panic!("free") };
    assert_eq!((second.seat, second.seq), (1, 3));
    assert_eq!(ask(1, Right::Seat, false, 5).await.unwrap(), Taken::NotYours, "it gave it back");
    let over = 5 + 44 * DAY;
    assert!(matches!(ask(1, Right::Key, false, over - 1).await.unwrap(), Taken::Full { .. }));
    assert!(matches!(ask(1, Right::Key, false, over).await.unwrap(), Taken::Yes(_)));
}

/// The attack: a box says that it has the last lease there can be, so that nobody gets another one.
#[tokio::test]
async fn no_box_uses_up_the_numbers_of_leases() {
    let (store, _temp) = sqlite();
    let lid = issued(store.as_ref(), 1, None, terms(Model::Device, 2)).await;
    let Taken::Yes(first) = store.take_seat(take(&lid, 1, Right::Key, false), at(1)).await.unwrap()
    else {
        panic!("a free seat")
    };
    let mut before = first.seq;
    for seq in [before, 50, u64::MAX, u64::MAX] {
        let renewal = Take { seq, ..take(&lid, 1, Right::Seat, false) };
        let Taken::Yes(seat) = store.take_seat(renewal, at(2)).await.unwrap() else {
            panic!("its own seat")
        };
        assert!(seat.seq > before && seat.seq < 5_000_000, "{}", seat.seq);
        before = seat.seq;
    }
    let other = store.take_seat(take(&lid, 2, Right::Key, false), at(3)).await.unwrap();
    assert!(matches!(other, Taken::Yes(_)));
}

#[tokio::test]
async fn terms_say_who_sits_where() {
    let (store, _temp) = sqlite();
    let (anna, ben) = (account(store.as_ref(), 1).await, account(store.as_ref(), 2).await);
    let lid = issued(store.as_ref(), 1, Some(anna), terms(Model::User, 1)).await;
    let ask = |key, by, owner| store.take_seat(Take { owner, ..take(&lid, key, by, false) }, at(1));
    let seat = |taken: Taken| {
        let Taken::Yes(seat) = &taken else { panic!("{taken:?}") };
        seat.seat
    };
    assert_eq!(ask(1, Right::Key, None).await.unwrap(), Taken::NoOwner);
    assert_eq!(seat(ask(1, Right::Owner, Some(anna)).await.unwrap()), 1);
    assert_eq!(seat(ask(2, Right::Owner, Some(anna)).await.unwrap()), 1, "her other box");
    assert_eq!(ask(3, Right::Owner, Some(ben)).await.unwrap(), Taken::NotYours);
    assert!(matches!(ask(3, Right::Key, Some(ben)).await.unwrap(), Taken::Full { .. }));
    let online = Terms { offline: false, ..terms(Model::Device, 1) };
    let other = issued(store.as_ref(), 2, None, online).await;
    let by_file = store.take_seat(take(&other, 1, Right::Key, true), at(1)).await.unwrap();
    assert_eq!(by_file, Taken::OnlineOnly);
    let late = store.take_seat(take(&other, 1, Right::Key, false), at(365 * DAY)).await.unwrap();
    assert_eq!(late, Taken::Ended);
}

/// Guard: `license-move`.
#[tokio::test]
async fn a_license_is_claimed_moved_and_given_away_only_while_nobody_sits_on_it() {
    let (store, _temp) = sqlite();
    let (anna, ben) = (account(store.as_ref(), 1).await, account(store.as_ref(), 2).await);
    let lid = issued(store.as_ref(), 1, None, terms(Model::Device, 1)).await;
    assert!(store.set_license_key(lid.clone(), [5; 32], false, at(1)).await.unwrap());
    assert_eq!(store.claim([6; 32], anna, at(1)).await.unwrap(), None);
    assert_eq!(store.claim([5; 32], anna, at(1)).await.unwrap(), Some(lid.clone()));
    assert_eq!(store.claim([5; 32], ben, at(1)).await.unwrap(), None, "it is hers");
    store.take_seat(take(&lid, 1, Right::Key, false), at(2)).await.unwrap();
    let moved = |of, to| store.move_license(lid.clone(), of, to, at(3));
    assert_eq!(moved(Some(ben), Some(anna)).await.unwrap(), Moved::NotYours);
    assert_eq!(moved(Some(anna), Some(ben)).await.unwrap(), Moved::InUse);
    assert!(store.set_license_key(lid.clone(), [8; 32], true, at(3)).await.unwrap());
    assert_eq!(store.claim([8; 32], ben, at(3)).await.unwrap(), None, "somebody sits on it");
    assert!(store.clear_seat(lid.clone(), 1, at(4)).await.unwrap());
    assert_eq!(store.claim([8; 32], ben, at(5)).await.unwrap(), Some(lid.clone()));
    assert_eq!(store.claim([8; 32], anna, at(5)).await.unwrap(), None, "it was used up");
    assert_eq!(moved(Some(ben), Some(anna)).await.unwrap(), Moved::Yes);
    assert_eq!(store.licenses(Whose::Account(anna)).await.unwrap().len(), 1);
    let what: Vec<_> = store.transactions(lid).await.unwrap().into_iter().map(|t| t.what).collect();
    let all = ["issued", "key", "claimed", "activated", "key", "cleared", "claimed", "transferred"];
    assert_eq!(what, all);
}

#[tokio::test]
async fn epochs_only_rise_and_what_is_void_stays_so() {
    let (store, _temp) = sqlite();
    for number in 1..=3 {
        issued(store.as_ref(), number, None, terms(Model::Device, 1)).await;
    }
    assert_eq!(store.revoke_license("nothing".into(), at(1)).await.unwrap(), None);
    let first = store.revoke_license(lid(1), at(1)).await.unwrap().unwrap();
    assert_eq!(store.revoke_license(lid(1), at(9)).await.unwrap(), Some(first), "once");
    let second = store.revoke_license(lid(2), at(1)).await.unwrap().unwrap();
    let earlier = store.revoke_license(lid(3), at(0)).await.unwrap().unwrap();
    assert!(first < second && second < earlier, "also when the clock goes back");
    let (epoch, void) = store.void().await.unwrap();
    assert_eq!((epoch, void), (earlier, vec![lid(1), lid(2), lid(3)]));
    let taken = store.take_seat(take(&lid(1), 1, Right::Key, false), at(2)).await.unwrap();
    assert_eq!(taken, Taken::Void);
    assert!(!store.prolong(lid(1), at(999 * DAY), at(2)).await.unwrap());
    assert!(!store.set_license_key(lid(1), [1; 32], false, at(2)).await.unwrap());
}

#[tokio::test]
async fn a_device_that_goes_leaves_its_seat_taken_where_a_file_may_still_be_used() {
    let (store, _temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    let (by_file, by_itself) = (
        issued(store.as_ref(), 1, None, terms(Model::Device, 1)).await,
        issued(store.as_ref(), 2, None, terms(Model::Device, 1)).await,
    );
    for (lid, offline) in [(&by_file, true), (&by_itself, false)] {
        let take = Take { device: device.id.clone(), ..take(lid, 1, Right::Key, offline) };
        assert!(matches!(store.take_seat(take, at(1)).await.unwrap(), Taken::Yes(_)));
    }
    assert_eq!(store.free_seats_of(device.id.clone(), at(2)).await.unwrap(), 1);
    let rows = store.erase(device.clone(), Scope::License).await.unwrap();
    assert_eq!(rows, BTreeMap::from([("license_seat".to_owned(), 1)]));
    assert_eq!(store.seats_of(device.id, at(2)).await.unwrap(), []);
    assert_eq!(store.blocked(by_file.clone(), at(2)).await.unwrap(), [(1, at(1 + 44 * DAY))]);
    let ask = |lid: &str| store.take_seat(take(lid, 2, Right::Key, false), at(3));
    assert!(matches!(ask(&by_file).await.unwrap(), Taken::Full { .. }), "the loop is closed");
    assert!(matches!(ask(&by_itself).await.unwrap(), Taken::Yes(_)));
    assert!(store.clear_seat(by_file.clone(), 1, at(4)).await.unwrap());
    assert!(matches!(ask(&by_file).await.unwrap(), Taken::Yes(_)), "an operator may");
}

#[tokio::test]
async fn holders_are_told_once_for_each_of_the_three_times() {
    let (store, _temp) = sqlite();
    let anna = account(store.as_ref(), 1).await;
    let lid = issued(store.as_ref(), 1, Some(anna), terms(Model::Device, 1)).await;
    issued(store.as_ref(), 2, None, terms(Model::Device, 1)).await;
    let due = |days, when| {
        let store = Arc::clone(&store);
        async move { store.ending(days, at(when)).await.unwrap().len() }
    };
    assert_eq!(due(30, 334 * DAY).await, 0);
    for (days, when) in [(30, 335 * DAY), (7, 358 * DAY), (1, 364 * DAY)] {
        assert_eq!(due(days, when).await, 1, "{days}");
        store.noticed(lid.clone(), days).await.unwrap();
        assert_eq!(due(days, when).await, 0, "{days}");
    }
    for days in [1, 7, 30] {
        assert_eq!(due(days, 364 * DAY).await, 0, "who heard of the last day hears of no other");
    }
    assert!(store.prolong(lid.clone(), at(800 * DAY), at(364 * DAY)).await.unwrap());
    assert_eq!(due(30, 780 * DAY).await, 1, "and of the next end");
}

/// Guard: `license-small-counts`.
///
/// The attack: what is known of one person, by a product that few have.
#[tokio::test]
async fn l9_a_vendor_learns_counts_and_no_small_ones() {
    let (store, _temp) = sqlite();
    let anna = account(store.as_ref(), 1).await;
    for number in 0..25 {
        let lid = issued(store.as_ref(), number, Some(anna), terms(Model::Device, 1)).await;
        store.take_seat(take(&lid, number, Right::Key, false), at(1)).await.unwrap();
    }
    for number in 100..103 {
        let row =
            LicenseRow { policy: "rare".into(), lid: lid(number), ..row_of(store.as_ref()).await };
        store.issue(row).await.unwrap();
    }
    let said = stats::counts(store.as_ref(), at(2)).await.unwrap();
    let counts = said["counts"].as_array().unwrap();
    let of = |policy: &str| counts.iter().find(|row| row["policy"] == policy).unwrap().clone();
    assert_eq!(
        (of("year")["good"].as_u64(), of("year")["seats_taken"].as_u64()),
        (Some(25), Some(25))
    );
    assert!(of("rare")["good"].is_null() && of("year")["ended"].is_null(), "{said}");
    // Nothing of it is about anybody: no id of a license, a device or an account, and no sum.
    for row in counts {
        let keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["ended", "good", "policy", "product", "seats_taken"]);
    }
    let text = said.to_string();
    assert!(!text.contains(&lid(1)) && !text.contains("box1") && !text.contains("28"), "{text}");
}

async fn row_of(store: &dyn Store) -> LicenseRow {
    store.license(lid(1)).await.unwrap().unwrap()
}

/// Guard: `hub-sweep`.
#[tokio::test]
async fn p4_transactions_and_what_is_void_go_when_their_time_is_over() {
    let (store, _temp) = sqlite();
    let lid = issued(store.as_ref(), 1, None, terms(Model::Device, 1)).await;
    store.take_seat(take(&lid, 1, Right::Key, false), at(0)).await.unwrap();
    let void = issued(store.as_ref(), 2, None, terms(Model::Device, 1)).await;
    store.revoke_license(void.clone(), at(0)).await.unwrap();
    let after = |kept: Duration| Wall(at(1).0 + kept);
    sweep::sweep(store.as_ref(), after(SEAT_KEPT)).await.unwrap();
    assert_eq!(store.oldest("license_seat").await.unwrap(), None, "no seat outlives its lease");
    assert!(store.license(void.clone()).await.unwrap().is_some());
    sweep::sweep(store.as_ref(), after(VOID_KEPT)).await.unwrap();
    assert_eq!(store.oldest("license_void").await.unwrap(), None);
    assert!(store.license(void).await.unwrap().is_none(), "and its row with it");
    assert_eq!(store.transactions(lid.clone()).await.unwrap().len(), 2);
    sweep::sweep(store.as_ref(), after(LOG_KEPT)).await.unwrap();
    assert_eq!(store.transactions(lid.clone()).await.unwrap(), []);
    assert!(store.license(lid.clone()).await.unwrap().is_some(), "it runs");
    sweep::sweep(store.as_ref(), at(365 * DAY + 181 * DAY)).await.unwrap();
    assert!(store.license(lid).await.unwrap().is_none(), "half a year after its end");
}
