//! What a store does for operators, and whether the audit log holds when many write it at once and when time passes.

use super::store_contract::{at, enrolled, sqlite};
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::operators::Role;
use qcloud_agent::hub::people::People;
use qcloud_agent::hub::people::audit::{Details, KEPT};
use qcloud_agent::hub::people::email::Email;
use qcloud_agent::hub::people::second::Entered;
use qcloud_agent::hub::seal::Seal;
use qcloud_agent::hub::store::Store;
use qcloud_agent::hub::store::operator::{AuditHead, AuditRow};
use qcloud_agent::hub::sweep;
use qcloud_agent::secret::Secret;
use std::sync::Arc;

fn people(store: &Arc<dyn Store>) -> People {
    let seal = Arc::new(Seal::new(&Secret::new([7; 64])).unwrap());
    People::new(Arc::clone(store), seal, false).unwrap()
}

fn details(act: &str) -> Details {
    Details {
        operator: "alice".into(),
        uid: 1000,
        role: Role::Support,
        act: act.into(),
        accounts: vec![1],
        device: None,
        unmasked: false,
        reason: None,
        refused: None,
    }
}

#[tokio::test]
async fn a_line_is_added_only_after_the_one_that_was_read() {
    let (store, _temp) = sqlite();
    let row = |seq| AuditRow { seq, line: format!("line {seq}"), made_at: at(seq) };
    let head = |text: &str| AuditHead { head: text.into(), mac: vec![1; 32] };
    assert_eq!(store.audit_head().await.unwrap(), None);
    assert!(store.add_audit(None, row(1), head("one")).await.unwrap());
    assert!(!store.add_audit(None, row(2), head("two")).await.unwrap(), "another came before");
    assert!(!store.add_audit(Some(head("one")), row(1), head("two")).await.unwrap(), "a number");
    assert!(store.add_audit(Some(head("one")), row(2), head("two")).await.unwrap());
    assert_eq!(store.audit_head().await.unwrap(), Some(head("two")));
    assert_eq!(store.audit(at(0), 0, 9).await.unwrap(), [row(1), row(2)]);
    assert_eq!(store.audit(at(2), 0, 9).await.unwrap(), [row(2)]);
    assert_eq!(store.audit(at(0), 1, 9).await.unwrap(), [row(2)]);
    assert_eq!(store.audit(at(0), 0, 1).await.unwrap(), [row(1)]);
}

#[tokio::test]
async fn a_locked_account_is_signed_out_and_nobody_signs_in() {
    let (store, _temp) = sqlite();
    let (people, now) = (people(&store), at(0));
    let email = Email::parse("anna@example.net").unwrap();
    let password = || Secret::new("seven green kettles".to_owned());
    let ticket = people.invite(&email, now).await.unwrap();
    let anna = people.accept(ticket.text(), password(), now).await.unwrap().unwrap();
    let from = "192.0.2.7".parse().unwrap();
    let Entered::Whole(browser) = people.enter(&anna, None, from, now).await.unwrap() else {
        panic!("there is no second factor")
    };
    let second = people.invite(&email, now).await.unwrap();
    assert!(store.lock(anna.account, now).await.unwrap());
    assert!(!store.lock(anna.account, now).await.unwrap(), "it was locked");
    assert_eq!(store.locked().await.unwrap(), [(anna.account, now)]);
    assert!(people.signed_in(browser.text(), now).await.unwrap().is_none());
    assert!(people.invited(second.text(), now).await.unwrap().is_none());
    assert!(people.recognise(&email, password()).await.unwrap().is_none());
    // An invitation from now on opens nothing either.
    let third = people.invite(&email, now).await.unwrap();
    assert!(people.accept(third.text(), password(), now).await.unwrap().is_none());
    assert!(
        store.unlock(anna.account).await.unwrap() && !store.unlock(anna.account).await.unwrap()
    );
    assert!(people.recognise(&email, password()).await.unwrap().is_some());
    assert!(people.signed_in(browser.text(), now).await.unwrap().is_none(), "that one is over");
    let device = enrolled(store.as_ref(), 1, "box", 1).await;
    assert_eq!(store.owner_of(device.id).await.unwrap(), None, "a command let it in");
    store.probe().await.unwrap();
    assert_eq!(store.letters_waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn many_who_write_the_audit_log_at_once_make_one_chain() {
    let (store, _temp) = sqlite();
    let people = Arc::new(people(&store));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let people = Arc::clone(&people);
        tasks.spawn(async move { people.note_act(&details("user show"), at(5)).await.unwrap() });
    }
    let mut numbers = tasks.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let (lines, head) = people.verify_acts(at(5)).await.unwrap().unwrap();
    assert_eq!((lines, head.seq), (20, 20));
    let noted = people.acts(at(0), at(9)).await.unwrap();
    assert!(noted.iter().all(|line| line.details == Some(details("user show"))));
}

/// Guard: `hub-sweep`.
#[tokio::test]
async fn lines_go_when_their_time_is_over_and_the_rest_still_holds() {
    let (store, _temp) = sqlite();
    let people = people(&store);
    let day = |number: u64| at(number * 24 * 3600);
    for number in [0, 100, 200] {
        people.note_act(&details("user list"), day(number)).await.unwrap();
    }
    let later = Wall(day(50).0 + KEPT);
    sweep::sweep(store.as_ref(), later).await.unwrap();
    let (lines, head) = people.verify_acts(later).await.unwrap().unwrap();
    assert_eq!((lines, head.seq), (2, 3), "one line's time is over");
    people.note_act(&details("user list"), later).await.unwrap();
    assert!(people.verify_acts(later).await.unwrap().is_ok());
    // One more is taken out before its time.
    let before = Wall(day(100).0 + Duration::from_secs(1));
    store.sweep("audit", before).await.unwrap();
    assert!(people.verify_acts(later).await.unwrap().is_err(), "it went too early");
    let end = Wall(later.0 + KEPT + Duration::from_secs(60));
    sweep::sweep(store.as_ref(), end).await.unwrap();
    assert_eq!(people.verify_acts(end).await.unwrap().unwrap().0, 0);
    people.note_act(&details("user list"), end).await.unwrap();
    assert!(people.verify_acts(end).await.unwrap().is_ok(), "and it begins anew");
}
