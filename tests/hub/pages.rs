//! The pages of a serving hub, as a browser asks for them.

use super::browser::{Browser, EMAIL, PAGES, PASSWORD, Page, hub, invitation};
use super::support::Device;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::people::{INVITATION_LIFE, LOG_KEPT, SESSION_LIFE};
use qcloud_agent::hub::sweep::RULES;
use qcloud_agent::wire::registration::{Polled, Started, check_words};

fn words(device: &Device, started: &Started) -> [String; 4] {
    let challenge = BASE64URL_NOPAD.decode(started.challenge.as_bytes()).unwrap();
    check_words(&challenge, &device.spki())
}

#[tokio::test]
async fn a_person_signs_in_compares_the_words_and_has_a_device() {
    let hub = hub();
    let path = invitation(&hub, EMAIL);
    let mut browser = Browser::new(&hub);
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains(EMAIL));
    let refused = browser.post(&path, &[("password", PASSWORD), ("again", "another one")]).await;
    assert_eq!(refused.status, 422);
    let refused = browser.post(&path, &[("password", "short"), ("again", "short")]).await;
    assert!(refused.status == 422 && refused.text.contains("at least 10 characters"));
    let page = browser.post(&path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!((page.status, page.to.as_deref()), (303, Some("/")));
    assert_eq!(browser.get(&path).await.status, 404, "an invitation is for one use");
    assert!(browser.get("/").await.text.contains("No device is yours yet"));

    let mut device = Device::new();
    let started = device.begin(&hub, "box").await;
    let link = started.verification_uri.strip_prefix("https://").unwrap();
    let path = link.strip_prefix(PAGES).unwrap();
    let page = browser.get(path).await;
    assert_eq!(page.status, 200);
    for word in words(&device, &started) {
        assert!(page.text.contains(&format!("<li>{word}</li>")), "{word}");
    }
    let (mark, code) = (page.mark(), started.user_code.as_str());
    let form = [("mark", mark.as_str()), ("code", code), ("decision", "approve")];
    let unseen = browser.post("/approve", &form).await;
    assert_eq!(unseen.status, 422, "nobody compared the words");
    assert_eq!(device.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);
    let form = [form.as_slice(), &[("words", "same")]].concat();
    let page = browser.post("/approve", &form).await;
    assert_eq!(page.status, 303, "{}", page.text);
    tokio::time::sleep(core::time::Duration::from_millis(1100)).await;
    let Polled::Approved(member) = device.poll(&hub, &started.device_code).await else {
        panic!("not approved")
    };
    device.member = Some(*member);
    let page = browser.get("/").await;
    assert!(page.text.contains(">box</a></h2>"), "{}", page.text);
    let log = browser.get("/log").await;
    for line in ["Password set", "Signed in", "Let in a device:"] {
        assert!(log.text.contains(line), "{line}");
    }
    let mark = page.mark();
    assert_eq!(browser.post("/sign-out", &[("mark", &mark)]).await.status, 303);
    assert_eq!(browser.get("/").await.status, 303);
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_a_sign_in() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let mut stranger = Browser::new(&hub);
    for path in ["/", "/log", "/security", "/approve", "/approve?code=BCDF-GHJK"] {
        let page = stranger.get(path).await;
        let to = page.to.unwrap_or_default();
        assert!(page.status == 303 && to.starts_with("/sign-in"), "{path}: {to}");
        assert_eq!(page.text, "", "{path}");
    }
    let form = [("mark", ""), ("code", "BCDF-GHJK"), ("decision", "approve"), ("words", "same")];
    assert_eq!(stranger.post("/approve", &form).await.status, 303);
    // A cookie that was never given, and one of a browser that was signed out.
    let first = owner.cookies.clone();
    let mark = owner.get("/").await.mark();
    owner.post("/sign-out", &[("mark", &mark)]).await;
    let made_up = ["AAAA", ""].map(|text| [("__Host-session".to_owned(), text.to_owned())].into());
    for cookies in made_up.into_iter().chain([first]) {
        stranger.cookies = cookies;
        assert_eq!(stranger.get("/").await.status, 303);
    }
}

/// Guard: `hub-password`, the comparison of a password.
#[tokio::test]
async fn a_wrong_password_is_refused_like_an_unknown_address_and_not_for_ever() {
    let hub = hub();
    drop(Browser::of(&hub, EMAIL).await);
    let mut browser = Browser::new(&hub);
    let wrong = browser.sign_in(EMAIL, "seven green kettlez").await;
    let unknown = browser.sign_in("nobody@mail.example.org", PASSWORD).await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    let same = |page: &Page, email: &str| page.text.replace(email, "X");
    assert_eq!(same(&wrong, EMAIL), same(&unknown, "nobody@mail.example.org"));
    assert_eq!(
        browser.sign_in(&EMAIL.to_uppercase(), PASSWORD).await.status,
        401,
        "the local part"
    );
    let mixed = EMAIL.replace("mail.example.org", "Mail.Example.ORG");
    assert_eq!(browser.sign_in(&mixed, PASSWORD).await.status, 303);
    let mut last = 0;
    for _ in 0..12 {
        last = browser.sign_in(EMAIL, "another password").await.status;
    }
    assert_eq!(last, 429, "guessing is slow");
}

/// Guard: `pages-mark`, the mark a form must carry.
#[tokio::test]
async fn a_form_without_the_mark_of_this_session_does_nothing() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut ben = Browser::of(&hub, "ben@mail.example.org").await;
    let device = Device::new();
    let started = device.begin(&hub, "box").await;
    let theirs = ben.get("/").await.mark();
    for mark in ["", "AAAA", theirs.as_str()] {
        let code = started.user_code.as_str();
        let form = [("mark", mark), ("code", code), ("decision", "approve"), ("words", "same")];
        assert_eq!(anna.post("/approve", &form).await.status, 403, "`{mark}`");
        assert_eq!(anna.post("/sign-out", &[("mark", mark)]).await.status, 403);
    }
    assert_eq!(device.poll(&hub, &started.device_code).await, Polled::AuthorizationPending);
}

/// Guard: `pages-origin`, the origin a form must come from.
#[tokio::test]
async fn a_form_from_another_origin_does_nothing() {
    let hub = hub();
    let mut browser = Browser::of(&hub, EMAIL).await;
    let mark = browser.get("/").await.mark();
    let others = [
        None,
        Some("null".to_owned()),
        Some("https://box.link.example.test".to_owned()),
        Some(format!("http://{PAGES}")),
        Some(format!("https://{PAGES}.evil.test")),
    ];
    for origin in others {
        browser.origin.clone_from(&origin);
        let page = browser.post("/sign-out", &[("mark", &mark)]).await;
        assert_eq!(page.status, 403, "{origin:?}");
    }
    assert_eq!(browser.get("/").await.status, 200, "still signed in");
}

#[tokio::test]
async fn a_person_sees_only_devices_that_are_theirs() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut ben = Browser::of(&hub, "ben@mail.example.org").await;
    let mut device = Device::new();
    let started = device.begin(&hub, "annas-box").await;
    let page = anna.get(&format!("/approve?code={}", started.user_code)).await;
    let mark = page.mark();
    let code = started.user_code.as_str();
    let form =
        [("mark", mark.as_str()), ("code", code), ("decision", "approve"), ("words", "same")];
    assert_eq!(anna.post("/approve", &form).await.status, 303);
    let Polled::Approved(member) = device.poll(&hub, &started.device_code).await else {
        panic!("not approved")
    };
    device.member = Some(*member);
    assert!(anna.get("/").await.text.contains("annas-box"));
    for path in ["/", "/log"] {
        assert!(!ben.get(path).await.text.contains("annas-box"), "{path}");
    }
    let decided = ben.get(&format!("/approve?code={}", started.user_code)).await;
    assert!(decided.status == 404 && !decided.text.contains("annas-box"));
}

/// The attack: somebody reads the database, its log and all other files but the keys.
#[tokio::test]
async fn what_is_personal_is_in_no_file_in_the_clear() {
    let mut hub = hub();
    let path = invitation(&hub, EMAIL);
    let mut browser = Browser::new(&hub);
    browser.post(&path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
    browser.sign_in(EMAIL, "a wrong password").await;
    let cookie = browser.cookies["__Host-session"].clone();
    let ticket = path.rsplit('/').next().unwrap().to_owned();
    hub.stop();
    let secrets = [EMAIL, "anna.berg", PASSWORD, &ticket, &cookie];
    for entry in std::fs::read_dir(&hub.dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

#[tokio::test]
async fn every_answer_keeps_the_browser_here() {
    let hub = hub();
    let mut browser = Browser::of(&hub, EMAIL).await;
    for path in [
        "/",
        "/log",
        "/approve",
        "/security",
        "/sign-in",
        "/style.css",
        "/nothing",
        "/welcome/AAAA",
    ] {
        let page = browser.get(path).await;
        let header = |name: &str| page.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        let is_style = path == "/style.css";
        let cached = header("cache-control").unwrap_or_default();
        assert_eq!(cached.contains("no-store"), !is_style, "{path}: {cached}");
        for outside in ["http://", "https://", "//"] {
            let foreign = page.text.match_indices(outside).any(|(at, _)| {
                let before = page.text.get(at.saturating_sub(6)..at).unwrap_or_default();
                before.ends_with("src=\"") || (before.ends_with("href=\"") && !path.is_empty())
            });
            assert!(!foreign, "{path} asks for something elsewhere");
        }
        assert!(!page.text.contains("<script"), "{path}");
    }
    let other = browser.client.get(format!("{}/", browser.url)).header("host", "evil.test");
    assert_eq!(other.send().await.unwrap().status().as_u16(), 421);
}

#[test]
fn what_is_kept_of_people_has_an_end() {
    let keeps = |table: &str| RULES.iter().find(|rule| rule.table == table).unwrap().keeps();
    assert_eq!(keeps("invitation"), Some(INVITATION_LIFE));
    assert_eq!(keeps("browser"), Some(SESSION_LIFE));
    assert_eq!(keeps("account_log"), Some(LOG_KEPT));
    assert_eq!(keeps("account"), None);
}
