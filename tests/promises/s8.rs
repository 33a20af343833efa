//! S8: with a second factor on, the password alone opens nothing.

use crate::browser::{Browser, EMAIL, PASSWORD, hub, invitation};
use crate::phone::{BEN, NEW, assert_outside, codes, half, private, step, switched_on, to};

/// Guard: `second-step`, the question whether a second factor is on.
#[tokio::test]
async fn s8_the_password_alone_opens_nothing() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    assert_outside(&mut other).await;
    // A new password by an invitation is still only a password.
    let path = invitation(&hub, EMAIL);
    let mut invited = Browser::new(&hub);
    let page = invited.post(&path, &[("password", NEW), ("again", NEW)]).await;
    assert_eq!(to(&page), "/sign-in/second?to=/");
    assert_outside(&mut invited).await;
    let gone = other.get("/sign-in/second").await;
    assert_eq!(to(&gone), "/sign-in?to=/", "a new password ends what the old one began");
    let page = step(&mut invited, &kit.phone.code(1), false).await;
    assert_eq!((page.status, to(&page)), (303, "/log"));
    for path in private("GET") {
        let page = invited.get(&path).await;
        assert!(!to(&page).starts_with("/sign-in"), "{path}");
    }
}

/// Guard: `half-session`, the table a session is looked up in.
#[tokio::test]
async fn s8_half_a_session_opens_no_page_and_changes_nothing() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    let cookies = other.cookies.clone();
    assert_outside(&mut other).await;
    let mark = other.get("/sign-in/second").await.mark();
    let fields = [("mark", &*mark), ("which", "all"), ("password", PASSWORD)];
    let more =
        [("new", NEW), ("again", NEW), ("code", "123456"), ("offer", "AAAA"), ("email", BEN)];
    let device = [("decision", "approve"), ("words", "same")];
    let form = [fields.as_slice(), &more, &device].concat();
    let mut refused = 0;
    for path in private("POST") {
        let page = other.post(&path, &form).await;
        // A form that misses a field is refused before anybody asks whose it is.
        let unread = page.status == 422 && page.text.starts_with("Failed to deserialize");
        let sent = page.status == 303 && to(&page).starts_with("/sign-in");
        assert!(sent || unread, "{path}: {}", page.text);
        refused += usize::from(sent);
    }
    assert!(refused >= 12, "{refused}");
    other.cookies.clone_from(&cookies);
    assert_eq!(owner.get("/security").await.status, 200, "nobody was signed out");
    // Without its mark the second step is not made, and a first step is good for one session.
    let form = [("mark", "AAAA"), ("code", &*kit.phone.code(1))];
    assert_eq!(other.post("/sign-in/second", &form).await.status, 403);
    assert_eq!(step(&mut other, &kit.phone.code(1), false).await.status, 303);
    assert_eq!(other.get("/").await.status, 200);
    other.cookies = cookies;
    assert_outside(&mut other).await;
    assert_eq!(other.get("/sign-in/second").await.status, 303);
}

/// Guard: `second-code`, the comparison of a code.
#[tokio::test]
async fn s8_a_code_of_another_secret_is_refused() {
    let hub = hub();
    let (mut anna, mut ben) = (Browser::of(&hub, EMAIL).await, Browser::of(&hub, BEN).await);
    let kit = switched_on(&mut anna).await;
    let bens = switched_on(&mut ben).await;
    let mut other = half(&hub, EMAIL).await;
    for code in [bens.phone.code(1), bens.recovery[0].clone()] {
        let page = step(&mut other, &code, false).await;
        assert_eq!(page.status, 422, "{code}");
    }
    assert_outside(&mut other).await;
    assert_eq!(step(&mut other, &kit.phone.code(1), false).await.status, 303);
    // The secret of somebody else's offer cannot be made one's own.
    let theirs =
        Browser::of(&hub, "eve@mail.example.org").await.get("/security/second-factor").await;
    let page = anna.get("/security").await;
    let (mark, offer) = (page.mark(), theirs.field("offer"));
    let form = [("mark", &*mark), ("offer", &*offer), ("password", PASSWORD), ("code", "123456")];
    assert_eq!(anna.post("/security/second-factor", &form).await.status, 403);
}

/// Guard: `second-replay`, the comparison with the last step.
#[tokio::test]
async fn s8_a_code_is_good_once() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let (mut one, mut other) = (half(&hub, EMAIL).await, half(&hub, EMAIL).await);
    let page = step(&mut other, &kit.used, false).await;
    assert_eq!(page.status, 422, "it switched the second factor on");
    let code = kit.phone.code(1);
    assert_eq!(step(&mut one, &code, false).await.status, 303);
    for code in [&code, &kit.used] {
        let page = step(&mut other, code, false).await;
        assert!(page.status == 422 && page.text.contains("used before"), "{}", page.text);
    }
    assert_outside(&mut other).await;
}

#[tokio::test]
async fn s8_five_wrong_codes_close_the_second_step_and_not_the_first() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    for number in 0..5 {
        assert_eq!(step(&mut other, "12345", false).await.status, 422, "{number}");
    }
    let page = step(&mut other, &kit.phone.code(1), false).await;
    assert!(page.status == 429 && page.text.contains("15 minutes"), "{}", page.text);
    drop(half(&hub, EMAIL).await);
    let log = owner.get("/log?what=second_failed").await;
    assert_eq!(log.text.matches("<td>Right password, wrong code</td>").count(), 5);
    assert!(owner.get("/log").await.text.contains("<td>Second step closed for 15 minutes</td>"));
}

/// Guard: `recovery-once`, the removal of a code that was used.
#[tokio::test]
async fn s8_a_recovery_code_is_good_once_and_new_ones_void_the_old() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let typed = kit.recovery[0].to_lowercase().replace('-', " ");
    let mut other = half(&hub, EMAIL).await;
    assert_eq!(step(&mut other, &typed, false).await.status, 303);
    let mut other = half(&hub, EMAIL).await;
    assert_eq!(step(&mut other, &kit.recovery[0], false).await.status, 422);
    assert!(owner.get("/security").await.text.contains("9 of 10 recovery codes"));
    let page = owner.get("/security/recovery").await;
    let (mark, code) = (page.mark(), kit.phone.code(1));
    let form = [("mark", &*mark), ("password", PASSWORD), ("code", &*code)];
    let fresh = codes(&owner.post("/security/recovery", &form).await);
    assert_eq!(step(&mut other, &kit.recovery[1], false).await.status, 422);
    assert_eq!(step(&mut other, &fresh[1], false).await.status, 303);
    let log = other.get("/log").await.text;
    for line in ["New recovery codes made", "A recovery code was used", "factor switched on"] {
        assert!(log.contains(line), "{line}");
    }
}

#[tokio::test]
async fn s8_switching_it_off_takes_password_and_code_and_ends_what_was_begun() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let mut before = Browser::new(&hub);
    assert_eq!(to(&before.sign_in(EMAIL, PASSWORD).await), "/");
    let kit = switched_on(&mut owner).await;
    assert_outside(&mut before).await;
    let mut other = half(&hub, EMAIL).await;
    let (mark, code) = (owner.get("/security").await.mark(), kit.phone.code(1));
    let path = "/security/second-factor/off";
    let tries = [(PASSWORD, "12345"), ("another password", &*code), (PASSWORD, &*code)];
    for (password, code) in tries {
        let form = [("mark", &*mark), ("password", password), ("code", code)];
        let page = owner.post(path, &form).await;
        let right = password == PASSWORD && code.len() == 6;
        assert_eq!(page.status, if right { 303 } else { 422 }, "{}", page.text);
    }
    assert_outside(&mut other).await;
    assert_eq!(other.get("/sign-in/second").await.status, 303);
    assert_eq!(to(&other.sign_in(EMAIL, PASSWORD).await), "/");
    assert!(owner.get("/log").await.text.contains("<td>Second factor switched off</td>"));
}

/// Guards: `account-budget`, the bound on wrong passwords of one account; `known-budget`, the one of its own that a
/// browser has which the account knows.
#[tokio::test]
async fn s8_guessing_from_many_networks_is_slow_and_locks_no_owner_out() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let mark = owner.get("/").await.mark();
    owner.post("/sign-out", &[("mark", &mark)]).await;
    let mut thief = Browser::new(&hub);
    for email in [EMAIL, "nobody@mail.example.org"] {
        for number in 0..10 {
            thief.moved(&hub, 100 + number);
            assert_eq!(thief.sign_in(email, "another password").await.status, 401, "{number}");
        }
        thief.moved(&hub, 110);
        let page = thief.sign_in(email, PASSWORD).await;
        let wait = page.headers.get("retry-after").expect("a time").to_str().expect("text");
        assert!((1..=60).contains(&wait.parse::<u64>().expect("seconds")), "{wait}");
        assert!(
            page.status == 429 && page.text.contains("Too many wrong passwords"),
            "{}",
            page.text
        );
    }
    // The owner's browser is known; a ticket that was made up helps nobody.
    owner.moved(&hub, 111);
    assert_eq!(to(&owner.sign_in(EMAIL, PASSWORD).await), "/");
    thief.cookies = [("__Host-known".to_owned(), "A".repeat(43))].into();
    assert_eq!(thief.sign_in(EMAIL, PASSWORD).await.status, 429);
    // Who guesses at a browser that is signed in is bounded there.
    let mark = owner.get("/security/password").await.mark();
    let mut last = 0;
    for number in 0..11 {
        owner.moved(&hub, 120 + number);
        let form = [("mark", &*mark), ("password", "another one"), ("new", NEW), ("again", NEW)];
        last = owner.post("/security/password", &form).await.status;
    }
    assert_eq!(last, 429);
}

/// Everywhere something is tried, too much of it is answered with the time to wait.
#[tokio::test]
async fn s8_whatever_is_tried_too_often_says_when_to_come_back() {
    let hub = hub();
    let mut browser = Browser::of(&hub, EMAIL).await;
    let mark = browser.get("/").await.mark();
    browser.moved(&hub, 140);
    let mark = [("mark", &*mark), ("password", "another one"), ("code", "12345"), ("again", NEW)];
    let all = [("email", BEN), ("new", NEW), ("offer", "AAAA"), ("decision", "deny")];
    let form = [mark.as_slice(), &all].concat();
    while browser.sign_in(BEN, "another password").await.status != 429 {}
    for path in ["/welcome/AAAA", "/sign-in", "/security/password", "/approve", "/address/AAAA"] {
        let page = browser.post(path, &form).await;
        let waits = page.headers.contains_key("retry-after");
        assert!(page.status == 429 && waits, "{path}: {}", page.status);
    }
    for path in ["/welcome/AAAA", "/sign-in/with/0", "/sign-in/oidc", "/approve?code=BCDF-GHJK"] {
        let page = browser.get(path).await;
        let waits = page.headers.contains_key("retry-after");
        assert!(page.status == 429 && waits, "{path}: {}", page.status);
    }
}
