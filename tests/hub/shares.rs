//! What every store must do for those who may find a device.

use super::store_contract::{at, device, request, sqlite};
use qcloud_agent::hub::store::share::Visibility;
use qcloud_agent::hub::store::{Device, Store};

/// An account that lets a device in, and one that it is shared with.
async fn guest_of(store: &dyn Store, number: u8, name: &str) -> (Device, u64) {
    let (device, who) = (device(name, number), [number; 32]);
    for (index, ticket) in [(who, [number; 32]), ([99; 32], [number + 100; 32])] {
        store.invite(index, vec![index[0]], ticket, at(0)).await.unwrap();
    }
    let owner = store.account(who).await.unwrap().unwrap().number;
    let guest = store.account([99; 32]).await.unwrap().unwrap().number;
    let row = request(number, name, number);
    store.open_code(row.clone(), 99).await.unwrap();
    store.decide_as(owner, row.user_code, true, at(0)).await.unwrap();
    store.enrol(row.code_hash, device.clone()).await.unwrap();
    assert!(store.share(device.id.clone(), [99; 32], vec![9], 9, at(1)).await.unwrap());
    let offers = store.offers([99; 32], at(1)).await.unwrap();
    let offer = offers.iter().find(|offer| offer.device == device).unwrap();
    let answer = |who, since| store.answer_offer(offer.number, who, guest, true, since, at(2));
    assert_eq!(answer([98; 32], at(0)).await.unwrap(), None, "it was for somebody else");
    assert_eq!(answer([99; 32], at(2)).await.unwrap(), None, "it was over");
    assert_eq!(answer([99; 32], at(1)).await.unwrap(), Some(device.clone()));
    assert_eq!(answer([99; 32], at(1)).await.unwrap(), None, "it was answered");
    (device, guest)
}

#[tokio::test]
async fn a_device_is_found_by_those_its_owner_chose() {
    let (store, _temp) = sqlite();
    let (device, guest) = guest_of(store.as_ref(), 1, "box").await;
    let (other, _) = guest_of(store.as_ref(), 2, "attic").await;
    let found = async |level: Visibility, account: Option<u64>| {
        store.set_visibility(device.id.clone(), level, at(3)).await.unwrap();
        store.find("box".into(), account).await.unwrap().is_some()
    };
    for (level, by_guest, by_anybody) in [
        (Visibility::Private, false, false),
        (Visibility::People, true, false),
        (Visibility::Public, true, true),
    ] {
        assert!(found(level, Some(1)).await, "its owner, {level:?}");
        assert_eq!(found(level, Some(guest)).await, by_guest, "{level:?}");
        for nobody in [None, Some(77), store.account([2; 32]).await.unwrap().map(|a| a.number)] {
            assert_eq!(found(level, nobody).await, by_anybody, "{level:?}");
        }
    }
    assert!(store.find("nothing".into(), Some(guest)).await.unwrap().is_none());
    let shared = store.shared_with(guest).await.unwrap();
    assert_eq!(shared, std::slice::from_ref(&device), "the other one is private");
    assert!(!store.set_visibility(device.id.clone(), Visibility::Public, at(4)).await.unwrap());
    let again = store.share(device.id.clone(), [99; 32], vec![9], 9, at(4)).await.unwrap();
    assert!(again && store.offers([99; 32], at(0)).await.unwrap().is_empty(), "they have it");
    assert!(!store.share(device.id.clone(), [5; 32], vec![5], 1, at(4)).await.unwrap(), "no room");
    let number = store.guests(device.id.clone()).await.unwrap()[0].number;
    assert_eq!(store.unshare(other.id.clone(), number).await.unwrap(), None, "another device's");
    assert_eq!(store.unshare(device.id.clone(), number).await.unwrap(), Some(vec![99]));
    assert_eq!(store.leave(guest, device.id.clone()).await.unwrap(), None);
    assert!(!found(Visibility::People, Some(guest)).await);
}
