//! What documents say together, and what is not taken.

use super::book::{Book, NotTaken, Saved, State};
use crate::card::Exit;
use crate::clock::Wall;
use crate::wire::license::jws::{self, Claims, fingerprint};
use crate::wire::license::{
    BadLicense, Entitlement, Facts, GRACE, LEASE, Lease, LicenseId, Model, Plan, Product,
    Revocations, SignedTime,
};
use core::time::Duration;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::BTreeMap;

const DAY: Duration = Duration::from_secs(86_400);
const T: Wall = Wall(Duration::from_secs(1_800_000_000));

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().unwrap()
}

fn signed<C: Claims>(claims: &C) -> String {
    jws::sign(claims, &pair(1), &public(1))
}

fn own() -> Facts {
    Facts { key: vec![1; 32], serial: Some("S1".into()), macs: vec!["24:5E:BE:00:00:01".into()] }
}

fn lid() -> LicenseId {
    LicenseId::of([3; 16])
}

fn entitlement() -> Entitlement {
    Entitlement {
        v: 1,
        lid: lid(),
        holder: String::new(),
        product: Product::parse("surveillance").unwrap(),
        plan: Plan::Subscription,
        model: Model::Device,
        seats: 1,
        features: BTreeMap::new(),
        iat: T,
        nbf: T,
        exp: Some(Wall(T.0 + 40 * DAY)),
        maintained_until: None,
        transferable: false,
        offline: true,
    }
}

fn lease(seq: u64, epoch: u64) -> Lease {
    let later = |by: Duration| Wall(T.0 + by);
    Lease {
        v: 1,
        lid: lid(),
        entitlement: fingerprint(&signed(&entitlement())),
        bind: own().bound([5; 16]),
        seat: 1,
        seq,
        offline: true,
        iat: T,
        next: later(7 * DAY),
        exp: later(LEASE),
        grace_until: later(LEASE + GRACE),
        epoch,
    }
}

fn list(epoch: u64, lids: Vec<LicenseId>) -> String {
    signed(&Revocations { v: 1, epoch, iat: T, lids, kids: Vec::new() })
}

fn empty() -> Book {
    Book::open(Saved::default(), vec![public(1)])
}

fn full() -> Book {
    let mut book = empty();
    let documents = [signed(&entitlement()), signed(&lease(2, 0))];
    book.take(&documents.each_ref().map(String::as_str), &own()).unwrap();
    book
}

fn state(book: &Book, days: u32) -> State {
    let product = Product::parse("surveillance").unwrap();
    book.best(&product, &own(), Wall(T.0 + DAY * days)).unwrap().1.state
}

#[test]
fn every_state_is_reached_and_has_its_exit_code() {
    let book = full();
    let changed = |change: &dyn Fn(&mut Saved), issuers: Vec<[u8; 32]>| {
        let mut saved = book.saved.clone();
        change(&mut saved);
        state(&Book::open(saved, issuers), 1)
    };
    let held = |saved: &mut Saved, change: &dyn Fn(&mut super::book::Held)| {
        saved.held.values_mut().for_each(change);
    };
    let before = {
        let product = Product::parse("surveillance").unwrap();
        book.best(&product, &own(), Wall(T.0 - DAY)).unwrap().1.state
    };
    let other = {
        let product = Product::parse("surveillance").unwrap();
        let facts = Facts { key: vec![1; 32], ..Facts::default() };
        book.best(&product, &facts, T).unwrap().1.state
    };
    let flipped = |text: &str| {
        // The last character but two of a signature: its bits all count.
        let (head, tail) = text.split_at(text.len() - 3);
        let next = if tail.starts_with('A') { 'B' } else { 'A' };
        format!("{head}{next}{}", &tail[1..])
    };
    let reached = [
        (state(&book, 1), State::Valid, 0),
        (state(&book, 31), State::Grace, 10),
        (state(&book, 41), State::Expired, 20),
        (before, State::NotYet, 21),
        (other, State::HwMismatch, 22),
        (changed(&|s| held(s, &|h| h.revoked = true), vec![public(1)]), State::Revoked, 23),
        (
            changed(&|s| held(s, &|h| h.entitlement = flipped(&h.entitlement)), vec![public(1)]),
            State::BadSignature,
            24,
        ),
        (changed(&|_| {}, vec![public(2)]), State::UnknownKey, 25),
        (
            changed(&|s| held(s, &|h| h.entitlement = "rubbish".into()), vec![public(1)]),
            State::Malformed,
            26,
        ),
        (changed(&|s| held(s, &|h| h.lease = None), vec![public(1)]), State::LeaseStale, 27),
    ];
    for (is, wanted, code) in reached {
        assert_eq!((is, is.exit().code()), (wanted, code));
    }
    assert!(Exit::ALL.is_sorted_by_key(|exit| exit.code()));
}

#[test]
fn documents_are_taken_together_or_not_at_all() {
    let mut book = empty();
    let (license, seat) = (signed(&entitlement()), signed(&lease(2, 0)));
    let unfit = |result| matches!(result, Err(NotTaken::Unfit(_)));
    assert!(unfit(book.take(&[&seat], &own())), "a lease without its license");
    let forged = jws::sign(&lease(3, 0), &pair(9), &public(9));
    let refused = book.take(&[&license, &forged], &own());
    assert!(matches!(refused, Err(NotTaken::Bad(BadLicense::UnknownKey(_)))));
    assert!(book.is_empty(), "half of it was taken");
    let stranger = Facts { key: vec![1; 32], ..Facts::default() };
    assert_eq!(book.take(&[&license, &seat], &stranger), Err(NotTaken::OtherBox));
    book.take(&[&seat, &license], &own()).unwrap();
    assert!(unfit(book.take(&[&signed(&lease(1, 0))], &own())), "an older lease");
    assert!(book.take(&[&seat], &own()).is_ok(), "the same once more");
    let of_another = signed(&Lease { entitlement: "x".repeat(43), ..lease(3, 0) });
    assert!(unfit(book.take(&[&of_another], &own())));
}

#[test]
fn an_epoch_only_rises_and_a_revocation_stays() {
    let mut book = full();
    assert!(
        matches!(book.take(&[&signed(&lease(3, 5))], &own()), Err(NotTaken::Unfit(_))),
        "a lease without the list it was made with"
    );
    book.take(&[&list(5, vec![]), &signed(&lease(3, 5))], &own()).unwrap();
    assert_eq!(state(&book, 1), State::Valid);
    book.take(&[&list(4, vec![lid()])], &own()).unwrap();
    assert_eq!(state(&book, 1), State::Valid, "an old list says nothing");
    book.take(&[&list(6, vec![lid()])], &own()).unwrap();
    assert_eq!(state(&book, 1), State::Revoked);
    book.take(&[&list(7, vec![])], &own()).unwrap();
    assert_eq!(state(&book, 1), State::Revoked, "a later list that does not name it");
    assert_eq!(book.take(&[&signed(&lease(9, 0))], &own()), Err(NotTaken::Revoked));
}

#[test]
fn what_is_for_a_hub_or_runs_for_too_long_is_not_installed() {
    let mut book = full();
    let long = Lease { exp: Wall(T.0 + 31 * DAY), ..lease(3, 0) };
    assert!(matches!(book.take(&[&signed(&long)], &own()), Err(NotTaken::Bad(_))));
    let time = SignedTime { v: 1, nonce: "A".repeat(22), iat: T };
    assert_eq!(book.take(&[&signed(&time)], &own()).unwrap().time, Some(time));
}
