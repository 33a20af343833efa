//! S13: whoever changes something that matters about an account, its owner gets a letter.

use crate::browser::{Browser, EMAIL, PASSWORD, hub};
use crate::phone::{BEN, switched_on, to};
use crate::s11::{MOVED, life, link};
use crate::sink::{Sink, hub_with};
use std::collections::BTreeSet;
use std::time::Duration;

const TO_BEN: &str = "RCPT TO:<ben@mail.example.org>";

/// The subject, in one line again (RFC 5322 section 2.2.3).
fn subject(letter: &str) -> String {
    let head = letter.split("Subject: ").nth(1).expect("a subject");
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    lines.take_while(|line| line.starts_with(' ')).fold(first, |all, line| all + line)
}

fn letters(sink: &Sink, mut seen: Vec<String>, last: &str) -> Vec<String> {
    while seen.last().is_none_or(|letter| subject(letter) != last) {
        seen.push(sink.next());
    }
    seen
}

/// Guard: `people-mail`, the letter that goes with a line of the log.
#[tokio::test]
async fn s13_every_important_change_is_told_by_a_letter() {
    let sink = Sink::at("127.0.0.1:0");
    let (_hub, _, seen) = life(&sink).await;
    let seen = letters(&sink, seen, "Your password was changed");
    let seen: Vec<String> = seen.into_iter().filter(|letter| !letter.contains(TO_BEN)).collect();
    let subjects: BTreeSet<String> = seen.iter().map(|letter| subject(letter)).collect();
    let told = [
        "Your password was set",
        "Your account was signed in to with a new browser",
        "The device box-left was added to your account",
        "The device box-left left your account",
        "The device box-aside was added to your account",
        "The device box-aside was taken out of your account",
        "The device box-own was added to your account",
        "Who may find your device was changed: box-own",
        "Somebody was invited to your device: box-own",
        "Your device was taken back from somebody: box-own",
        "The device box-own was released from quarantine",
        "The device box-own was revoked",
        "A second factor protects your account now",
        "A recovery code of your account was used",
        "A browser is trusted to sign in without a code",
        "New recovery codes were made for your account",
        "Your account can be signed in to by http://127.0.0.1",
        "Your account cannot be signed in to by http://127.0.0.1",
        "Another address was asked for: anna.moved@post.example.net",
        "Is this your address?",
        "Your account has another address now: anna.moved@post.example.net",
        "The second factor of your account was switched off",
        "Too many wrong codes for your account",
        "Your password was changed",
        "Everything kept of you was downloaded",
    ];
    for wanted in told {
        assert!(subjects.iter().any(|subject| subject.starts_with(wanted)), "no letter: {wanted}");
    }
    // This life goes on in more networks than a person's, which may be told as well.
    let usual = |subject: &&String| !subject.starts_with("Something unusual");
    for subject in subjects.iter().filter(usual) {
        assert!(told.iter().any(|wanted| subject.starts_with(wanted)), "one too many: {subject}");
    }
    // They go to the address of the account; that of the change still to the old one.
    let mut now = EMAIL;
    for letter in &seen {
        let to = if subject(letter) == "Is this your address?" { MOVED } else { now };
        assert!(letter.contains(&format!("RCPT TO:<{to}>")), "{letter}");
        if subject(letter).starts_with("Your account has another address") {
            now = MOVED;
        }
    }
}

/// The next letter that is not about the many networks these people come from.
fn usual(sink: &Sink) -> String {
    loop {
        let letter = sink.next();
        if !subject(&letter).starts_with("Something unusual") {
            return letter;
        }
    }
}

/// Guard: `new-browser`, the question whether the account knows the browser.
#[tokio::test]
async fn s13_a_new_browser_is_told_once_and_a_known_one_never() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let mut browser = Browser::of(&hub, EMAIL).await;
    let news = "Your account was signed in to with a new browser";
    assert_eq!(subject(&usual(&sink)), "Your password was set");
    assert_eq!(subject(&usual(&sink)), news);
    browser.moved(&hub, 21);
    for number in 0..3 {
        let mark = browser.get("/").await.mark();
        browser.post("/sign-out", &[("mark", &mark)]).await;
        browser.moved(&hub, 22 + number);
        assert_eq!(to(&browser.sign_in(EMAIL, PASSWORD).await), "/");
    }
    // The attack: a browser with a ticket that was made up, one that was another account's, and none.
    let mut ben = Browser::of(&hub, BEN).await;
    assert!(
        usual(&sink).contains("Your password was set"),
        "no letter was sent for a known browser"
    );
    assert!(usual(&sink).contains(&format!("RCPT TO:<{BEN}>")));
    let bens = ben.cookies["__Host-known"].clone();
    for ticket in [bens, "A".repeat(43), String::new()] {
        let mut thief = Browser::new(&hub);
        thief.moved(&hub, 26);
        thief.cookies = [("__Host-known".to_owned(), ticket)].into();
        assert_eq!(to(&thief.sign_in(EMAIL, PASSWORD).await), "/");
        let letter = usual(&sink);
        assert!(subject(&letter) == news && letter.contains(EMAIL), "{letter}");
        assert!(letter.contains("the network 127.0.26.0"), "{letter}");
    }
    // Two people at one browser: each is known there from then on.
    assert_eq!(to(&ben.sign_in(EMAIL, PASSWORD).await), "/");
    assert_eq!(subject(&usual(&sink)), news);
    for email in [BEN, EMAIL, BEN] {
        assert_eq!(to(&ben.sign_in(email, PASSWORD).await), "/");
    }
    // Its owner sees the list, and takes it off.
    let page = browser.get("/security").await;
    let list = page.text.split("Known browsers").nth(1).expect("a list");
    assert_eq!(list.matches("Last signed in").count(), 5, "{list}");
    assert_eq!(list.matches(">this browser<").count(), 1);
    let mark = page.mark();
    browser.post("/security/known", &[("mark", &mark), ("which", "all")]).await;
    assert!(!browser.get("/security").await.text.contains("Known browsers"));
    browser.moved(&hub, 27);
    browser.sign_in(EMAIL, PASSWORD).await;
    assert_eq!(subject(&usual(&sink)), news);
    assert!(sink.letters.recv_timeout(Duration::from_millis(300)).is_err(), "one letter too many");
}

async fn ask(browser: &mut Browser, email: &str, password: &str) -> (u16, String) {
    let mark = browser.get("/security/address").await.mark();
    let form = [("mark", &*mark), ("email", email), ("password", password)];
    let page = browser.post("/security/address", &form).await;
    (page.status, page.text)
}

/// Guard: `address-told`, the letter to the address an account had.
#[tokio::test]
async fn s13_another_address_is_confirmed_there_and_told_to_the_old_one() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let mut anna = Browser::of(&hub, EMAIL).await;
    anna.moved(&hub, 31);
    assert_eq!(ask(&mut anna, MOVED, "another password").await.0, 422);
    assert_eq!(ask(&mut anna, "nowhere", PASSWORD).await.0, 422);
    assert_eq!(ask(&mut anna, MOVED, PASSWORD).await.0, 303);
    let (status, text) = ask(&mut anna, "third@post.example.net", PASSWORD).await;
    assert!(status == 422 && text.contains("Wait ten minutes"), "a stranger is not flooded");
    let path = loop {
        let letter = sink.next();
        if let Some(path) = link(&letter) {
            assert!(letter.contains(&format!("RCPT TO:<{MOVED}>")) && !letter.contains(EMAIL));
            break path;
        }
    };
    // Nothing has changed before the answer, and looking is no answer.
    let page = anna.get(&path).await;
    assert!(page.status == 200 && page.text.contains(MOVED) && page.text.contains(EMAIL));
    let mut other = Browser::new(&hub);
    other.moved(&hub, 32);
    assert_eq!(other.sign_in(MOVED, PASSWORD).await.status, 401);
    assert_eq!(other.get(&path).await.status, 303, "only who asked may answer");
    assert_eq!(to(&anna.post(&path, &[("mark", &page.mark())]).await), "/security?done=address");
    assert_eq!(other.sign_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(to(&other.sign_in(MOVED, PASSWORD).await), "/");
    assert_eq!(anna.post(&path, &[("mark", &page.mark())]).await.status, 404, "it is good once");
    let told = format!("Your account has another address now: {MOVED}");
    let letter = letters(&sink, Vec::new(), &told).pop().expect("a letter");
    assert!(letter.contains(&format!("RCPT TO:<{EMAIL}>")), "{letter}");
}

/// Guard: `address-owner`, the account a letter's link is for.
#[tokio::test]
async fn s13_a_letters_link_changes_no_other_account() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let (mut anna, mut ben) = (Browser::of(&hub, EMAIL).await, Browser::of(&hub, BEN).await);
    // An address that another account has: the same answer, and no letter to it.
    assert_eq!(ask(&mut ben, EMAIL, PASSWORD).await.0, 303);
    assert_eq!(ask(&mut anna, MOVED, PASSWORD).await.0, 303);
    let path = loop {
        let letter = sink.next();
        if let Some(path) = link(&letter) {
            assert!(letter.contains(&format!("RCPT TO:<{MOVED}>")), "{letter}");
            break path;
        }
    };
    let mark = ben.get("/").await.mark();
    assert_eq!(ben.get(&path).await.status, 404);
    assert_eq!(ben.post(&path, &[("mark", &mark)]).await.status, 404);
    // Another letter in its midst: the last one holds bits that mean nothing.
    let (head, rest) = path.split_at(path.len() - 9);
    let forged = format!("{head}{}{}", if rest.starts_with('A') { 'B' } else { 'A' }, &rest[1..]);
    assert_eq!(anna.get(&forged).await.status, 404);
    // Taken back, it opens nothing.
    let mark = anna.get("/").await.mark();
    let page = anna.post("/security/address/off", &[("mark", &mark)]).await;
    assert_eq!(to(&page), "/security?done=not-asked");
    assert_eq!(anna.get(&path).await.status, 404);
    switched_on(&mut anna).await;
    let (status, text) = ask(&mut anna, MOVED, PASSWORD).await;
    assert!(
        status == 422 && text.contains("code"),
        "with a second factor the password is not enough"
    );
}

#[tokio::test]
async fn s13_a_hub_without_mail_says_so_and_changes_no_address() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    assert!(anna.get("/security/address").await.text.contains("sends no mail"));
    let mark = anna.get("/").await.mark();
    let form = [("mark", &*mark), ("email", MOVED), ("password", PASSWORD)];
    assert_eq!(anna.post("/security/address", &form).await.status, 422);
}
