//! What every store must do, written against the trait: an engine is added by one more `contract!` line.

use super::support::{TempDir, seal};
use core::time::Duration;
use qcloud_agent::card::Retention;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::store::keep::{Hold, Holding};
use qcloud_agent::hub::store::second::{Attempt, Browser, Browsers, Factor, Patience};
use qcloud_agent::hub::store::share::Visibility;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use qcloud_agent::hub::store::{
    Addresses, Admitted, Decided, Device, Enrolled, Hash, Opened, Pending, Scope, Staged, State,
    Store, StoreError, Visit,
};
use qcloud_agent::hub::sweep;
use qcloud_agent::wire::label::Label;
use qcloud_agent::wire::link::{Scheme, Service};
use qcloud_agent::wire::privacy::Restrictable;
use ring::digest::{SHA256, digest};
use std::sync::Arc;

pub fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let temp = TempDir::new();
    (Arc::new(SqliteStore::open(&temp.0.join("hub.db"), &seal()).unwrap()), temp)
}

pub fn at(seconds: u64) -> Wall {
    Wall::from_unix_seconds(1_800_000_000 + seconds)
}

pub fn request(number: u8, name: &str, key: u8) -> Pending {
    Pending {
        code_hash: [number; 32],
        user_code: format!("CODE{number:04}"),
        name: Label::parse(name).unwrap(),
        spki: vec![key; 44],
        challenge: vec![1; 16],
        state: State::Open,
        made_at: at(0),
    }
}

pub fn device(name: &str, key: u8) -> Device {
    let id = format!("id{key}");
    Device { id, name: Label::parse(name).unwrap(), spki: vec![key; 44], made_at: at(1) }
}

pub async fn enrolled(store: &dyn Store, number: u8, name: &str, key: u8) -> Device {
    let row = request(number, name, key);
    assert_eq!(store.open_code(row.clone(), 99).await.unwrap(), Opened::Yes);
    let decided = store.decide(row.user_code, true, at(0)).await.unwrap();
    assert_eq!(decided, Decided::Yes);
    match store.enrol(row.code_hash, device(name, key)).await.unwrap() {
        Enrolled::Yes { device, .. } => device,
        Enrolled::NameTaken | Enrolled::KeySpent | Enrolled::NotApproved => panic!("not enrolled"),
    }
}

pub fn visit(device: &Device, seconds: u64) -> Visit {
    Visit {
        device: device.id.clone(),
        made_at: at(seconds),
        masked: "203.0.113.0".parse().unwrap(),
        host: "box.link.example.test".into(),
        up: 1,
        down: u64::MAX,
        seconds: 3,
    }
}

#[tokio::test]
async fn a_code_goes_from_request_to_device() {
    let (store, _temp) = sqlite();
    let row = request(1, "box", 1);
    let hash = row.code_hash;
    assert_eq!(store.open_code(row.clone(), 2).await.unwrap(), Opened::Yes);
    assert_eq!(store.pending_by_code(hash).await.unwrap(), Some(row.clone()));
    let early = store.enrol(hash, device("box", 1)).await.unwrap();
    assert_eq!(early, Enrolled::NotApproved);
    let late = store.decide(row.user_code.clone(), true, at(1)).await.unwrap();
    assert_eq!(late, Decided::NoSuchCode, "the code was over");
    assert_eq!(store.decide(row.user_code.clone(), true, at(0)).await.unwrap(), Decided::Yes);
    let no = store.decide(row.user_code, false, at(0)).await.unwrap();
    assert_eq!(no, Decided::Already(State::Approved));
    let stolen = store.enrol(hash, device("box", 2)).await.unwrap();
    assert_eq!(stolen, Enrolled::NotApproved, "another key does not get this request");
    for _ in 0..2 {
        let yes = Enrolled::Yes { device: device("box", 1), before: None };
        assert_eq!(store.enrol(hash, device("box", 1)).await.unwrap(), yes);
    }
    assert_eq!(store.devices().await.unwrap(), [device("box", 1)]);
}

#[tokio::test]
async fn a_name_belongs_to_one_key() {
    let (store, _temp) = sqlite();
    let (one, two) = (request(1, "box", 1), request(2, "box", 2));
    assert_eq!(store.open_code(one.clone(), 9).await.unwrap(), Opened::Yes);
    assert_eq!(store.open_code(two.clone(), 9).await.unwrap(), Opened::Yes);
    assert_eq!(store.decide(one.user_code, true, at(0)).await.unwrap(), Decided::Yes);
    let promised = store.decide(two.user_code, true, at(0)).await.unwrap();
    assert_eq!(promised, Decided::NameTaken);
    store.enrol(one.code_hash, device("box", 1)).await.unwrap();
    assert_eq!(store.open_code(request(3, "box", 2), 9).await.unwrap(), Opened::NameTaken);
    assert_eq!(store.open_code(request(4, "box", 1), 9).await.unwrap(), Opened::Yes);
}

#[tokio::test]
async fn a_key_that_comes_back_with_another_name_gives_up_the_first() {
    let (store, _temp) = sqlite();
    let first = enrolled(store.as_ref(), 1, "box", 1).await;
    let addresses = Addresses { a: Some("203.0.113.7".parse().unwrap()), aaaa: None };
    assert!(store.set_addresses(first.id.clone(), addresses, at(2)).await.unwrap());
    let row = request(2, "attic", 1);
    store.open_code(row.clone(), 9).await.unwrap();
    store.decide(row.user_code, true, at(0)).await.unwrap();
    let again = store.enrol(row.code_hash, device("attic", 1)).await.unwrap();
    assert_eq!(again, Enrolled::Yes { device: device("attic", 1), before: Some(first.name) });
    let zone = store.zone().await.unwrap();
    assert_eq!(zone.len(), 1);
    assert_eq!((zone[0].name.as_str(), zone[0].addresses), ("attic", Some(addresses)));
}

#[tokio::test]
async fn requests_are_bounded_and_codes_unique() {
    let (store, _temp) = sqlite();
    assert_eq!(store.open_code(request(1, "a", 1), 2).await.unwrap(), Opened::Yes);
    let same = Pending { user_code: "CODE0001".into(), ..request(2, "b", 2) };
    assert_eq!(store.open_code(same, 2).await.unwrap(), Opened::CodeTaken);
    assert_eq!(store.open_code(request(3, "c", 3), 2).await.unwrap(), Opened::Yes);
    assert_eq!(store.open_code(request(4, "d", 4), 2).await.unwrap(), Opened::Full);
}

#[tokio::test]
async fn addresses_are_written_only_on_change_and_only_for_a_device() {
    let (store, _temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    let some = Addresses { a: None, aaaa: Some("2001:db8::7".parse().unwrap()) };
    assert!(store.set_addresses(device.id.clone(), some, at(2)).await.unwrap());
    assert!(!store.set_addresses(device.id.clone(), some, at(3)).await.unwrap());
    assert_eq!(store.oldest("ddns").await.unwrap(), Some(at(2)), "no change, no write");
    let nobody = store.set_addresses("nobody".into(), some, at(2)).await;
    assert!(matches!(nobody, Err(StoreError::NoDevice)));
}

pub fn service(name: &str, port: u16) -> Service {
    let host = "box.link.example.test".into();
    Service { name: Label::parse(name).unwrap(), host, port, scheme: Scheme::Https }
}

#[tokio::test]
async fn services_are_replaced_as_a_whole_and_written_only_on_change() {
    let (store, temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    let set = |services: &[Service], second| {
        store.set_services(device.id.clone(), services.to_vec(), at(second))
    };
    let of = || store.services(device.id.clone());
    let (web, canary) = (service("web", 443), service("canary-of-a-service", 443));
    assert!(set(&[canary.clone(), web.clone()], 2).await.unwrap());
    assert_eq!(of().await.unwrap(), [canary, web.clone()]);
    let mark = seal().index("service.name", &format!("{} canary-of-a-service", device.id));
    assert!(
        holds_bytes(&temp, &mark) && !holds(&temp, "canary-of-a-service"),
        "it was there, sealed"
    );
    assert!(set(core::slice::from_ref(&web), 3).await.unwrap());
    assert!(!holds_bytes(&temp, &mark), "it is nowhere");
    assert!(!set(core::slice::from_ref(&web), 4).await.unwrap());
    assert_eq!(store.oldest("service").await.unwrap(), Some(at(2)), "no change, no write");
    assert!(set(&[service("web", 8443)], 5).await.unwrap());
    assert_eq!(of().await.unwrap()[0].port, 8443);
    store.rename(device.id.clone(), Label::parse("cellar").unwrap(), at(0)).await.unwrap();
    assert_eq!(of().await.unwrap(), [], "they were below the old name");
    let nobody = store.set_services("nobody".into(), vec![web], at(2)).await;
    assert!(matches!(nobody, Err(StoreError::NoDevice)));
}

#[tokio::test]
async fn one_failing_call_takes_no_other_with_it() {
    let (store, _temp) = sqlite();
    let known = enrolled(store.as_ref(), 1, "box", 1).await;
    let stranger = device("attic", 2);
    let calls = (0..200).map(|number| {
        let by = if number % 2 == 0 { &known } else { &stranger };
        let (store, visit) = (Arc::clone(&store), visit(by, number));
        tokio::spawn(async move { store.log_visit(visit).await })
    });
    let (mut good, mut bad) = (0, 0);
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(()) => good += 1,
            Err(StoreError::NoDevice) => bad += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((good, bad), (100, 100));
    assert_eq!(store.visits(known.id).await.unwrap().len(), 100);
}

#[tokio::test]
async fn an_erasure_counts_each_table_and_touches_no_other_device() {
    let (store, _temp) = sqlite();
    let gone = enrolled(store.as_ref(), 1, "box", 1).await;
    let stays = enrolled(store.as_ref(), 2, "attic", 2).await;
    for device in [&gone, &stays] {
        store.set_addresses(device.id.clone(), Addresses::default(), at(2)).await.unwrap();
        store.log_visit(visit(device, 3)).await.unwrap();
        store.set_services(device.id.clone(), vec![service("web", 443)], at(3)).await.unwrap();
        store.set_visibility(device.id.clone(), Visibility::Public, at(3)).await.unwrap();
        assert!(store.share(device.id.clone(), [5; 32], vec![1], 9, at(3)).await.unwrap());
    }
    for (device, key) in [(&gone, 8), (&stays, 9)] {
        let staged = store.stage_key(device.id.clone(), vec![key; 44], at(3)).await.unwrap();
        assert_eq!(staged, Staged::Yes);
    }
    for feature in Restrictable::ALL {
        store.restrict(gone.id.clone(), *feature, true, at(3)).await.unwrap();
        store.restrict(stays.id.clone(), *feature, true, at(3)).await.unwrap();
    }
    for device in [&gone, &stays] {
        let admit = |shown| store.admit(device.id.clone(), shown, [1; 32], at(3));
        assert_eq!(admit(None).await.unwrap(), Admitted::Yes);
        assert!(matches!(admit(Some([9; 32])).await.unwrap(), Admitted::Forked(_)));
    }
    let rows = store.erase(gone.clone(), Scope::Link).await.unwrap();
    let link = [("link_log", 1), ("restriction", 1), ("service", 1)];
    assert_eq!(rows, link.map(|(table, count)| (table.to_owned(), count)).into());
    let rows = store.erase(gone.clone(), Scope::Registration).await.unwrap();
    let all = [
        ("ddns", 1),
        ("device", 1),
        ("device_key", 1),
        ("license_seat", 0),
        ("link_log", 0),
        ("pending", 1),
        ("quarantine", 1),
        ("restriction", 1),
        ("service", 0),
        ("share", 0),
        ("share_invitation", 1),
        ("ticket", 1),
        ("visibility", 1),
    ];
    assert_eq!(rows, all.map(|(table, count)| (table.to_owned(), count)).into());
    assert_eq!(store.devices().await.unwrap(), core::slice::from_ref(&stays));
    for (key, there) in [(1, false), (8, false), (2, true), (9, true)] {
        assert_eq!(store.device_by_key(hash(key)).await.unwrap().is_some(), there, "key {key}");
    }
    assert_eq!(store.visits(stays.id.clone()).await.unwrap().len(), 1);
    assert_eq!(store.services(stays.id.clone()).await.unwrap(), [service("web", 443)]);
    let left =
        Restrictable::ALL.iter().map(|feature| (stays.id.clone(), *feature)).collect::<Vec<_>>();
    assert_eq!(store.restrictions().await.unwrap(), left);
    assert!(store.is_quarantined(stays.id.clone()).await.unwrap());
    assert!(!store.is_quarantined(gone.id.clone()).await.unwrap());
    assert_eq!(store.pending().await.unwrap().len(), 1);
}

/// SHA-256 of the key of this number.
fn hash(key: u8) -> Hash {
    digest(&SHA256, &[key; 44]).as_ref().try_into().unwrap()
}

#[tokio::test]
async fn a_device_has_two_keys_until_the_new_one_is_used() {
    let (store, temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    let other = enrolled(store.as_ref(), 2, "attic", 2).await;
    let stage = |id: &str, key: u8, when| store.stage_key(id.into(), vec![key; 44], at(when));
    assert!(matches!(stage("nobody", 3, 5).await, Err(StoreError::NoDevice)));
    assert_eq!(stage(&device.id, 2, 5).await.unwrap(), Staged::Taken, "another's key");
    assert_eq!(stage(&device.id, 1, 5).await.unwrap(), Staged::Yes, "its own changes nothing");
    assert_eq!(store.oldest("device_key").await.unwrap(), None);
    for key in [3, 4, 4] {
        assert_eq!(stage(&device.id, key, 5 + u64::from(key)).await.unwrap(), Staged::Yes);
    }
    assert_eq!(stage(&other.id, 4, 9).await.unwrap(), Staged::Taken, "promised to another");
    assert_eq!(store.oldest("device_key").await.unwrap(), Some(at(9)), "one waits");
    assert_eq!(store.device_by_key(hash(3)).await.unwrap(), None, "the one before is forgotten");
    for key in [1, 4] {
        assert_eq!(store.device_by_key(hash(key)).await.unwrap(), Some(device.clone()));
    }
    assert_eq!(store.settle_key(hash(1)).await.unwrap(), None, "it waits for nothing");
    assert!(holds_bytes(&temp, &[1; 44]), "it was there");
    let changed = Device { spki: vec![4; 44], ..device };
    assert_eq!(store.settle_key(hash(4)).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.settle_key(hash(4)).await.unwrap(), None);
    assert_eq!(store.device_by_key(hash(4)).await.unwrap(), Some(changed));
    assert_eq!(store.device_by_key(hash(1)).await.unwrap(), None);
    assert!(!holds_bytes(&temp, &[1; 44]), "the old key is nowhere");
    // Whoever holds the old key, and an owner who approves it, do not get the device back.
    for (number, name) in [(5, "box"), (6, "cellar")] {
        let row = request(number, name, 1);
        store.open_code(row.clone(), 99).await.unwrap();
        store.decide(row.user_code, true, at(0)).await.unwrap();
        let taken = store.enrol(row.code_hash, Device { made_at: at(7), ..self::device(name, 1) });
        assert!(!matches!(taken.await.unwrap(), Enrolled::Yes { .. }), "{name}");
    }
}

pub fn holds_bytes(temp: &TempDir, wanted: &[u8]) -> bool {
    let files = std::fs::read_dir(&temp.0).unwrap().map(|entry| entry.unwrap().path());
    let found = |bytes: Vec<u8>| bytes.windows(wanted.len()).any(|w| w == wanted);
    files.map(|path| std::fs::read(path).unwrap()).any(found)
}

#[tokio::test]
async fn no_byte_of_an_erased_device_stays_in_a_file() {
    let (store, temp) = sqlite();
    let name = "canary-of-the-attic";
    for number in 0..60 {
        enrolled(store.as_ref(), number + 100, &format!("other{number}"), number + 100).await;
    }
    let device = enrolled(store.as_ref(), 1, name, 1).await;
    for number in 0..50 {
        let host = format!("{name}.link.example.test");
        store.log_visit(Visit { host, ..visit(&device, number) }).await.unwrap();
    }
    let mark = seal().index("device.name", name);
    assert!(holds_bytes(&temp, &mark) && !holds(&temp, name), "it was there, sealed");
    store.erase(device, Scope::Registration).await.unwrap();
    assert!(!holds_bytes(&temp, &mark) && !holds(&temp, name), "it is nowhere");
}

pub fn holds(temp: &TempDir, name: &str) -> bool {
    let files = std::fs::read_dir(&temp.0).unwrap().map(|entry| entry.unwrap().path());
    let found = |bytes: Vec<u8>| bytes.windows(name.len()).any(|w| w == name.as_bytes());
    files.map(|path| std::fs::read(path).unwrap()).any(found)
}

#[tokio::test]
async fn the_sweep_keeps_what_was_promised_and_no_longer() {
    let (store, _temp) = sqlite();
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    store.log_visit(visit(&device, 100)).await.unwrap();
    let code_life = qcloud_agent::wire::registration::CODE_LIFE;
    let log_kept = qcloud_agent::wire::link::LOG_KEPT;
    let later = |at: Wall, by: Duration| Wall(at.0 + by);
    let just = Wall(later(at(0), code_life).0 - Duration::from_secs(1));
    assert_eq!(sweep::sweep(store.as_ref(), just).await.unwrap(), Some(later(at(0), code_life)));
    assert_eq!(store.pending().await.unwrap().len(), 1);
    let next = sweep::sweep(store.as_ref(), later(at(0), code_life)).await.unwrap();
    assert_eq!(next, Some(later(at(100), log_kept)));
    assert_eq!(store.pending().await.unwrap(), []);
    assert_eq!(sweep::sweep(store.as_ref(), later(at(100), log_kept)).await.unwrap(), None);
    assert_eq!(store.visits(device.id).await.unwrap(), []);
    assert_eq!(store.devices().await.unwrap().len(), 1, "a device stays until it is forgotten");
}

#[tokio::test]
async fn a_second_factor_counts_tries_and_ends_what_was_begun_without_it() {
    let (store, _temp) = sqlite();
    store.invite([1; 32], vec![1], [2; 32], at(0)).await.unwrap();
    let account = store.account([1; 32]).await.unwrap().unwrap().number;
    let patience = Patience { most: 2, closed: Duration::from_secs(10) };
    assert_eq!(store.attempt(account, patience, at(0)).await.unwrap(), Attempt::Off);
    let here = "203.0.113.0".parse().unwrap();
    for ticket in [3, 4] {
        store.sign_in([ticket; 32], account, here, at(0)).await.unwrap();
    }
    let factor = Factor { secret: vec![9], made_at: at(1) };
    let on = || store.second_on(account, factor.clone(), 7, vec![[5; 32], [6; 32]], [4; 32]);
    assert!(on().await.unwrap() && !on().await.unwrap(), "there is one at most");
    assert!(store.signed_in([4; 32], at(0)).await.unwrap().is_some());
    for ended in [store.signed_in([3; 32], at(0)).await, store.invited([2; 32], at(0)).await] {
        assert_eq!(ended.unwrap(), None);
    }
    let open = |last| Attempt::Open { factor: factor.clone(), last };
    for (second, wanted) in
        [(2, open(false)), (3, open(true)), (12, Attempt::Closed), (13, open(false))]
    {
        let attempt = store.attempt(account, patience, at(second)).await.unwrap();
        assert_eq!(attempt, wanted, "{second}");
    }
    for (step, taken) in [(7, false), (9, true), (9, false), (8, false), (10, true)] {
        assert_eq!(store.take_step(account, step).await.unwrap(), taken, "{step}");
    }
    assert!(!store.take_recovery(account + 1, [5; 32]).await.unwrap(), "another account's");
    assert!(store.take_recovery(account, [5; 32]).await.unwrap());
    assert!(!store.take_recovery(account, [5; 32]).await.unwrap());
    assert_eq!(store.recovery_left(account).await.unwrap(), 1);
    store.half([8; 32], account, at(2)).await.unwrap();
    assert!(store.end_half([8; 32]).await.unwrap() && !store.end_half([8; 32]).await.unwrap());
    store.trust([9; 32], account, here, at(2)).await.unwrap();
    assert!(store.trusts([9; 32], account, at(2)).await.unwrap());
    assert!(!store.trusts([9; 32], account, at(3)).await.unwrap(), "it was over");
    store.set_password(account, vec![1], [4; 32]).await.unwrap();
    assert!(!store.trusts([9; 32], account, at(2)).await.unwrap());
    let left = store.browsers(Browsers::SignedIn, account, at(0)).await.unwrap();
    assert_eq!(left, [Browser { ticket: [4; 32], masked: Some(here), made_at: at(0) }]);
}

#[tokio::test]
async fn a_hold_stands_for_six_months_at_most_and_can_be_ended() {
    let (store, _temp) = sqlite();
    let until = |days: u64| at(days * 86_400);
    let hold = |days| Hold {
        subject: [1; 32],
        label: vec![1],
        why: vec![2],
        expires_at: until(days),
        made_at: at(0),
    };
    let most = at(0).months_later(6);
    assert_eq!(store.hold(hold(190)).await.unwrap(), Holding::TooLong { most });
    assert_eq!(store.hold(hold(100)).await.unwrap(), Holding::Yes);
    assert_eq!(store.hold(hold(20)).await.unwrap(), Holding::Yes, "it may end earlier");
    assert_eq!(store.holds().await.unwrap(), [hold(20)]);
    assert_eq!(store.oldest_expiry("hold").await.unwrap(), Some(until(20)));
    assert_eq!((store.orphans().await.unwrap(), store.journaled().await.unwrap()), (0, None));
    assert!(store.end_hold([1; 32]).await.unwrap() && !store.end_hold([1; 32]).await.unwrap());
    assert!(store.held(None, at(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_table_has_a_rule_of_retention() {
    let (store, _temp) = sqlite();
    let mut ruled: Vec<_> = sweep::RULES.iter().map(|rule| rule.table.to_owned()).collect();
    ruled.extend(sweep::EXPIRING.iter().map(|table| (*table).to_owned()));
    ruled.push("meta".into());
    ruled.sort();
    assert_eq!(store.tables().await.unwrap(), ruled);
    let of_devices: Vec<_> = sweep::RULES.iter().filter(|rule| rule.parcel().is_some()).collect();
    let forgotten = |rule: &&&sweep::Rule| Scope::Registration.tables().contains(&rule.table);
    assert!(of_devices.iter().all(|rule| forgotten(&rule)), "unregistering erases it all");
    let parcels = of_devices.iter().filter_map(|rule| rule.parcel());
    assert!(parcels.into_iter().all(|parcel| parcel.retention != Retention::Nothing));
}
