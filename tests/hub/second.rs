//! Second factors at their own layer, in a time the tests move.

use super::store_contract::{at, sqlite};
use super::support::{TempDir, seal};
use core::net::IpAddr;
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::people::email::Email;
use qcloud_agent::hub::people::second::{
    Checked, Entered, Finished, HALF_LIFE, PATIENCE, RECOVERY_CODES, TRUST_LIFE,
};
use qcloud_agent::hub::people::totp::Totp;
use qcloud_agent::hub::people::{People, Person, SESSION_LIFE};
use qcloud_agent::hub::store::Store;
use qcloud_agent::hub::store::people::{Happened, Wanted};
use qcloud_agent::hub::store::second::Browsers;
use qcloud_agent::hub::sweep::{self, RULES};
use std::sync::Arc;

const FROM: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 7));

/// Somebody with a second factor.
struct World {
    people: Arc<People>,
    store: Arc<dyn Store>,
    person: Person,
    totp: Totp,
    recovery: Vec<String>,
    session: String,
    _temp: TempDir,
}

impl World {
    async fn new() -> Self {
        let (store, temp) = sqlite();
        let seal = seal();
        let people = Arc::new(People::new(Arc::clone(&store), seal, false).unwrap());
        let email = Email::parse("anna@mail.example.org").unwrap();
        let ticket = people.invite(&email, at(0)).await.unwrap();
        let person = people.invited(ticket.text(), at(0)).await.unwrap().unwrap();
        let Entered::Whole(session) = people.enter(&person, None, FROM, at(0)).await.unwrap()
        else {
            panic!("no second factor is on")
        };
        let session = session.text().to_owned();
        let offer = people.offer(&person, at(0)).unwrap();
        let again = people.offered(&person, &offer.sealed, at(3600)).unwrap();
        assert!(people.offered(&person, &offer.sealed, at(3601)).is_none(), "it was over");
        let stranger = Person { account: person.account + 1, ..person.clone() };
        assert!(people.offered(&stranger, &offer.sealed, at(0)).is_none());
        let code = offer.totp.code_at(at(0));
        let recovery = people.second_on(&person, &again, &code, &session, at(0)).await.unwrap();
        let recovery = recovery.expect("it is on");
        assert_eq!(recovery.len(), RECOVERY_CODES);
        let twice = people.second_on(&person, &again, &code, &session, at(0)).await.unwrap();
        assert!(twice.is_none(), "it is on already");
        Self { people, store, person, totp: again.totp, recovery, session, _temp: temp }
    }

    async fn half(&self, now: Wall) -> String {
        match self.people.enter(&self.person, None, FROM, now).await.unwrap() {
            Entered::Half(ticket) => ticket.text().to_owned(),
            Entered::Whole(_) => panic!("the second step was skipped"),
        }
    }

    async fn check(&self, typed: &str, now: Wall) -> Checked {
        self.people.check(&self.person, typed, FROM, now).await.unwrap()
    }

    async fn lines(&self, what: Happened) -> usize {
        let wanted = Wanted { what: Some(what), ..Wanted::default() };
        self.people.log(self.person.account, wanted, 999).await.unwrap().len()
    }
}

/// Guard: `second-lock`, the look at whether the step is closed.
#[tokio::test]
async fn s8_guessing_codes_is_bounded_however_many_at_once() {
    let world = World::new().await;
    let right = world.totp.code_at(at(60));
    let guesses = (0..200_u32).map(|number| {
        let (people, person) = (Arc::clone(&world.people), world.person.clone());
        // Five digits are never right, and are tried as any other code.
        let guess = format!("{number:05}");
        tokio::spawn(async move { people.check(&person, &guess, FROM, at(60)).await.unwrap() })
    });
    let (mut wrong, mut closed) = (0, 0);
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.unwrap() {
            Checked::Wrong => wrong += 1,
            Checked::Closed => closed += 1,
            Checked::Right => panic!("a guess was right"),
        }
    }
    assert_eq!((wrong, closed), (5, 195));
    assert_eq!(world.lines(Happened::SecondFailed).await, 5);
    assert_eq!(world.lines(Happened::SecondLocked).await, 1);
    assert_eq!(world.check(&right, at(60)).await, Checked::Closed);
    assert_eq!(world.check(&world.recovery[0], at(60)).await, Checked::Closed);
    let opens = Wall(at(60).0 + PATIENCE.closed);
    let just = Wall(opens.0 - Duration::from_secs(1));
    assert_eq!(world.check(&world.totp.code_at(just), just).await, Checked::Closed);
    assert_eq!(world.check(&world.totp.code_at(opens), opens).await, Checked::Right);
    // A right one in between, and the count begins anew.
    for round in 1..4 {
        let now = Wall(opens.0 + Duration::from_secs(60) * round);
        for _ in 0..4 {
            assert_eq!(world.check("12345", now).await, Checked::Wrong);
        }
        assert_eq!(world.check(&world.totp.code_at(now), now).await, Checked::Right);
    }
}

#[tokio::test]
async fn a_code_that_is_asked_for_by_many_at_once_lets_one_in() {
    let world = World::new().await;
    let code = world.totp.code_at(at(60));
    let tries = (0..4).map(|_| {
        let (people, person, code) =
            (Arc::clone(&world.people), world.person.clone(), code.clone());
        tokio::spawn(async move { people.check(&person, &code, FROM, at(60)).await.unwrap() })
    });
    let mut right = 0;
    for one in tries.collect::<Vec<_>>() {
        right += usize::from(one.await.unwrap() == Checked::Right);
    }
    assert_eq!(right, 1);
}

#[tokio::test]
async fn the_second_step_and_the_trust_have_an_end() {
    let world = World::new().await;
    let half = world.half(at(100)).await;
    let end = Wall(at(100).0 + HALF_LIFE);
    let over = Wall(end.0 + Duration::from_secs(1));
    assert!(world.people.half(&half, end).await.unwrap().is_some());
    assert!(world.people.half(&half, over).await.unwrap().is_none());
    assert!(world.people.signed_in(&half, at(100)).await.unwrap().is_none());
    let late = world.people.finish(&half, &world.totp.code_at(over), true, FROM, over).await;
    assert!(matches!(late.unwrap(), Finished::Over));
    let code = world.totp.code_at(end);
    let done = world.people.finish(&half, &code, true, FROM, end).await.unwrap();
    let Finished::Yes(_, Some(trusted)) = done else { panic!("not trusted") };
    let last = Wall(end.0 + TRUST_LIFE);
    let enter = |now| world.people.enter(&world.person, Some(trusted.text()), FROM, now);
    assert!(matches!(enter(last).await.unwrap(), Entered::Whole(_)));
    let after = Wall(last.0 + Duration::from_secs(1));
    assert!(matches!(enter(after).await.unwrap(), Entered::Half(_)));
    let made_up = world.people.enter(&world.person, Some("AAAA"), FROM, end).await.unwrap();
    assert!(matches!(made_up, Entered::Half(_)));
}

#[tokio::test]
async fn what_ended_is_swept_and_the_second_factor_stays() {
    let world = World::new().await;
    drop(world.half(at(0)).await);
    let half = world.half(at(0)).await;
    let code = &world.recovery[0];
    let done = world.people.finish(&half, code, true, FROM, at(0)).await.unwrap();
    assert!(matches!(done, Finished::Yes(_, Some(_))));
    let rest = |table: &'static str| world.store.oldest(table);
    sweep::sweep(world.store.as_ref(), Wall(at(0).0 + HALF_LIFE)).await.unwrap();
    assert_eq!(rest("half_session").await.unwrap(), None);
    assert_eq!(rest("trusted_browser").await.unwrap(), Some(at(0)));
    sweep::sweep(world.store.as_ref(), Wall(at(0).0 + TRUST_LIFE)).await.unwrap();
    assert_eq!(rest("trusted_browser").await.unwrap(), None);
    assert_eq!(world.people.standing(&world.person).await.unwrap().since, Some(at(0)));
    let keeps = |table: &str| RULES.iter().find(|rule| rule.table == table).unwrap().keeps();
    assert_eq!(keeps("half_session"), Some(HALF_LIFE));
    assert_eq!(keeps("trusted_browser"), Some(TRUST_LIFE));
    assert_eq!((keeps("second_factor"), keeps("recovery_code")), (None, None));
}

#[tokio::test]
async fn switching_it_off_leaves_one_session_and_nothing_else() {
    let world = World::new().await;
    let half = world.half(at(0)).await;
    let done = world.people.finish(&half, &world.recovery[0], true, FROM, at(0)).await.unwrap();
    let Finished::Yes(other, Some(_)) = done else { panic!("not signed in") };
    drop(world.half(at(0)).await);
    let listed = |list| world.people.browsers(list, &world.person, at(0));
    assert_eq!(listed(Browsers::SignedIn).await.unwrap().len(), 2);
    let masked: IpAddr = "203.0.113.0".parse().unwrap();
    assert_eq!(listed(Browsers::Trusted).await.unwrap()[0].masked, Some(masked));
    world.people.second_off(&world.person, &world.session).await.unwrap();
    assert_eq!(listed(Browsers::SignedIn).await.unwrap().len(), 1);
    assert_eq!(listed(Browsers::Trusted).await.unwrap(), []);
    assert!(world.people.signed_in(&world.session, at(1)).await.unwrap().is_some());
    assert!(world.people.signed_in(other.text(), at(1)).await.unwrap().is_none());
    for table in ["second_factor", "recovery_code", "half_session", "trusted_browser"] {
        assert_eq!(world.store.oldest(table).await.unwrap(), None, "{table}");
    }
    let old = Wall(at(0).0 + SESSION_LIFE + Duration::from_secs(1));
    assert_eq!(world.people.browsers(Browsers::SignedIn, &world.person, old).await.unwrap(), []);
}

#[tokio::test]
async fn s12_a_log_is_read_by_kind_by_time_and_page_by_page() {
    let world = World::new().await;
    let account = world.person.account;
    for number in 0..250 {
        let what = if number % 5 == 0 { Happened::SignInFailed } else { Happened::SignedOut };
        world.people.tell(account, what, None, FROM, at(1000 + number)).await.unwrap();
    }
    let read = |wanted: Wanted| world.people.log(account, wanted, 100);
    let all = Wanted { since: at(1000), ..Wanted::default() };
    let (mut seen, mut wanted) = (Vec::new(), all);
    loop {
        let lines = read(wanted).await.unwrap();
        let Some(last) = lines.last() else { break };
        wanted.before = Some(last.number);
        seen.extend(lines.into_iter().map(|line| line.entry.made_at));
    }
    let expected: Vec<_> = (0..250).rev().map(|number| at(1000 + number)).collect();
    assert_eq!(seen, expected, "each line once, newest first");
    let failed = Wanted { what: Some(Happened::SignInFailed), ..all };
    assert_eq!(read(failed).await.unwrap().len(), 50);
    let late = Wanted { since: at(1240), ..failed };
    assert_eq!(read(late).await.unwrap().len(), 2);
    assert_eq!(world.people.log(account + 1, Wanted::default(), 9).await.unwrap(), []);
}
