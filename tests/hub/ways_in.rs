//! What the store keeps of known browsers, changes of addresses and links to providers, and for how long.

use super::store_contract::{at, sqlite};
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::people::address::CHANGE_LIFE;
use qcloud_agent::hub::people::known::KNOWN_LIFE;
use qcloud_agent::hub::store::address::{AddressChange, Moved, SealedAddress};
use qcloud_agent::hub::store::identity::{Identity, Unlinked};
use qcloud_agent::hub::store::people::{Entry, Happened};
use qcloud_agent::hub::store::second::Browsers;
use qcloud_agent::hub::store::{Hash, Store};
use qcloud_agent::hub::sweep;

/// The accounts 1 and 2, the first with a password.
async fn accounts(store: &dyn Store) {
    for number in [1, 2] {
        store.invite([number; 32], vec![number], [number; 32], at(0)).await.unwrap();
    }
    assert_eq!(store.accept([1; 32], at(0), vec![9]).await.unwrap().unwrap().number, 1);
}

fn later(life: Duration, seconds: u64) -> Wall {
    Wall(at(seconds).0 + life)
}

#[tokio::test]
async fn a_known_browser_is_of_one_account_and_forgotten_after_its_time() {
    let (store, _temp) = sqlite();
    accounts(store.as_ref()).await;
    let (one, other): (Hash, Hash) = ([7; 32], [8; 32]);
    store.remember(one, 1, at(0)).await.unwrap();
    let known = |account, since| store.known(vec![other, one], account, since);
    assert_eq!(known(1, at(0)).await.unwrap(), Some(one));
    assert_eq!(known(2, at(0)).await.unwrap(), None);
    assert_eq!(known(1, at(1)).await.unwrap(), None);
    store.remember(one, 1, at(5)).await.unwrap();
    assert_eq!(known(1, at(5)).await.unwrap(), Some(one), "used again, it is known for longer");
    sweep::sweep(store.as_ref(), later(KNOWN_LIFE, 4)).await.unwrap();
    assert_eq!(store.browsers(Browsers::Known, 1, at(0)).await.unwrap().len(), 1);
    sweep::sweep(store.as_ref(), later(KNOWN_LIFE, 5)).await.unwrap();
    assert_eq!(store.browsers(Browsers::Known, 1, at(0)).await.unwrap(), []);
    // What an old password let in is not known to a new one.
    store.remember(one, 1, at(9)).await.unwrap();
    store.set_password(1, vec![8], [0; 32]).await.unwrap();
    assert_eq!(known(1, at(0)).await.unwrap(), None);
}

fn change(account: u64, seconds: u64) -> AddressChange {
    AddressChange { account, email: vec![50], made_at: at(seconds) }
}

fn entry() -> Entry {
    let masked = "203.0.113.0".parse().unwrap();
    Entry { what: Happened::AddressChanged, about: None, masked, made_at: at(9) }
}

#[tokio::test]
async fn an_address_is_changed_once_by_the_change_that_waits() {
    let (store, _temp) = sqlite();
    accounts(store.as_ref()).await;
    assert!(store.ask_address(change(1, 0), [50; 32], at(0)).await.unwrap());
    assert!(!store.ask_address(change(1, 5), [50; 32], Wall::default()).await.unwrap(), "too soon");
    assert_eq!(store.unsent_changes(9).await.unwrap(), [change(1, 0)]);
    store.change_sent(1, at(5)).await.unwrap();
    assert_eq!(store.unsent_changes(9).await.unwrap().len(), 1, "that was another one");
    store.change_sent(1, at(0)).await.unwrap();
    assert_eq!(store.unsent_changes(9).await.unwrap(), []);
    let to = || SealedAddress { index: [50; 32], email: vec![51], before: vec![1] };
    let moves = |change| store.move_account(change, to(), entry(), true);
    assert_eq!(moves(change(1, 5)).await.unwrap(), Moved::Over);
    assert_eq!(moves(change(2, 0)).await.unwrap(), Moved::Over);
    assert_eq!(moves(change(1, 0)).await.unwrap(), Moved::Yes);
    assert_eq!(moves(change(1, 0)).await.unwrap(), Moved::Over);
    assert_eq!(store.account([50; 32]).await.unwrap().unwrap().email, [51]);
    assert!(store.account([1; 32]).await.unwrap().is_none());
    let letters = store.outbox(9).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.email.clone()).collect::<Vec<_>>(), [[1]]);
    // An address that somebody has: nobody is written to, and nothing is moved.
    assert!(store.ask_address(change(2, 0), [50; 32], at(0)).await.unwrap());
    assert_eq!(store.unsent_changes(9).await.unwrap(), []);
    assert_eq!(moves(change(2, 0)).await.unwrap(), Moved::Taken);
    sweep::sweep(store.as_ref(), later(CHANGE_LIFE, 0)).await.unwrap();
    assert_eq!(store.address_change(2).await.unwrap(), None);
    assert!(!store.end_change(2).await.unwrap());
}

#[tokio::test]
async fn a_subject_is_linked_to_one_account_and_the_last_way_in_stays() {
    let (store, _temp) = sqlite();
    accounts(store.as_ref()).await;
    let identity = |byte| Identity { subject: [byte; 32], issuer: vec![byte], made_at: at(0) };
    assert!(store.link(1, identity(1)).await.unwrap());
    assert!(!store.link(2, identity(1)).await.unwrap());
    assert_eq!(store.linked([1; 32]).await.unwrap().unwrap().number, 1);
    // An invitation taken by a subject of somebody else is not used up by it.
    assert!(store.accept_linked([2; 32], at(0), identity(1)).await.unwrap().is_none());
    assert!(store.accept_linked([2; 32], at(1), identity(2)).await.unwrap().is_none(), "over");
    let taken = store.accept_linked([2; 32], at(0), identity(2)).await.unwrap();
    assert_eq!(taken.unwrap().number, 2);
    assert!(store.accept_linked([2; 32], at(0), identity(3)).await.unwrap().is_none());
    assert_eq!(store.unlink(2, [1; 32]).await.unwrap(), Unlinked::None);
    assert_eq!(store.unlink(2, [2; 32]).await.unwrap(), Unlinked::Last);
    assert!(store.link(2, identity(3)).await.unwrap());
    assert_eq!(store.unlink(2, [2; 32]).await.unwrap(), Unlinked::Yes);
    assert_eq!(store.unlink(2, [3; 32]).await.unwrap(), Unlinked::Last);
    assert_eq!(store.unlink(1, [1; 32]).await.unwrap(), Unlinked::Yes, "it has a password");
    assert_eq!(store.identities(2).await.unwrap(), [identity(3)]);
}
