//! The second step of a sign-in, trusted browsers and the page "Security", as browsers meet them.

use super::browser::{Browser, EMAIL, PAGES, PASSWORD, Page, hub, invitation};
use super::support::Hub;
use core::time::Duration;
use data_encoding::BASE32_NOPAD;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::people::totp::Totp;
use qcloud_agent::hub::store::people::{Entry, Happened, People};

const BEN: &str = "ben@mail.example.org";
const NEW: &str = "eight blue kettles";
/// Whose pages stand behind a sign-in.
const PRIVATE: [&str; 7] = [
    "/",
    "/log",
    "/approve",
    "/security",
    "/security/password",
    "/security/second-factor",
    "/security/recovery",
];

/// An app for codes.
struct Phone(Totp);

impl Phone {
    /// The code now, or so many steps of 30 s later. The hub takes those of the step before and after its own, so
    /// that a code of now or of the next step stands for the 30 s a request could at most take.
    fn code(&self, later: u32) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.0.code_at(Wall(now + Duration::from_secs(30) * later))
    }
}

/// What switching the second factor on gives its owner.
pub struct Kit {
    phone: Phone,
    /// The code that switched it on.
    used: String,
    recovery: Vec<String>,
}

pub async fn switched_on(browser: &mut Browser) -> Kit {
    let page = browser.get("/security/second-factor").await;
    let secret = page.text.split("<code class=\"secret\">").nth(1).unwrap();
    let phone = Phone(Totp::read(secret.split('<').next().unwrap()).unwrap());
    let (mark, offer, code) = (page.mark(), page.field("offer"), phone.code(0));
    let form = [("mark", &*mark), ("offer", &*offer), ("password", PASSWORD), ("code", &*code)];
    let page = browser.post("/security/second-factor", &form).await;
    assert_eq!(page.status, 200, "{}", page.text);
    Kit { phone, recovery: codes(&page), used: code }
}

fn codes(page: &Page) -> Vec<String> {
    let list = page.text.split("<ul class=\"codes\">").nth(1).expect("codes");
    let list = list.split("</ul>").next().unwrap();
    let codes = list.split("<li>").skip(1).map(|item| item.replace("</li>", ""));
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes.len(), 10);
    codes
}

/// The second step with what was typed.
async fn step(browser: &mut Browser, code: &str, trust: bool) -> Page {
    let page = browser.get("/sign-in/second?to=/log").await;
    assert_eq!(page.status, 200, "{:?}", page.to);
    let mark = page.mark();
    let mut form = vec![("mark", mark.as_str()), ("to", "/log"), ("code", code)];
    if trust {
        form.push(("trust", "yes"));
    }
    browser.post("/sign-in/second", &form).await
}

fn to(page: &Page) -> &str {
    page.to.as_deref().unwrap_or_default()
}

/// A browser whose first step is made.
async fn half(hub: &Hub, email: &str) -> Browser {
    let mut browser = Browser::new(hub);
    let page = browser.sign_in(email, PASSWORD).await;
    assert_eq!(to(&page), "/sign-in/second?to=/");
    browser
}

async fn assert_outside(browser: &mut Browser) {
    for path in PRIVATE {
        let page = browser.get(path).await;
        assert!(page.status == 303 && to(&page).starts_with("/sign-in?to="), "{path}");
        assert_eq!(page.text, "", "{path}");
    }
}

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
    for path in PRIVATE {
        assert_eq!(invited.get(path).await.status, 200, "{path}");
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
    let more = [("new", NEW), ("again", NEW), ("code", "123456"), ("offer", "AAAA")];
    let device = [("decision", "approve"), ("words", "same")];
    let form = [fields.as_slice(), &more, &device].concat();
    for path in [
        "/approve",
        "/security/password",
        "/security/second-factor",
        "/security/second-factor/off",
        "/security/recovery",
        "/security/sign-out",
        "/security/trust",
    ] {
        let page = other.post(path, &form).await;
        assert!(page.status == 303 && to(&page).starts_with("/sign-in?"), "{path}: {}", page.text);
    }
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

/// Guard: `trust-account`, the account a trusted browser is of.
#[tokio::test]
async fn k2_trust_is_of_one_account() {
    let hub = hub();
    let (mut anna, mut ben) = (Browser::of(&hub, EMAIL).await, Browser::of(&hub, BEN).await);
    let kit = switched_on(&mut anna).await;
    switched_on(&mut ben).await;
    let mut trusted = half(&hub, EMAIL).await;
    assert_eq!(step(&mut trusted, &kit.phone.code(1), true).await.status, 303);
    let cookie = trusted.cookies["__Host-trusted"].clone();
    // It skips the second step, and never the first.
    trusted.cookies.remove("__Host-session");
    assert_outside(&mut trusted).await;
    assert_eq!(trusted.sign_in(EMAIL, "another password").await.status, 401);
    assert_eq!(to(&trusted.sign_in(EMAIL, PASSWORD).await), "/");
    assert_eq!(trusted.get("/").await.status, 200);
    trusted.cookies = [("__Host-trusted".to_owned(), cookie)].into();
    let page = trusted.sign_in(BEN, PASSWORD).await;
    assert_eq!(to(&page), "/sign-in/second?to=/");
    assert_outside(&mut trusted).await;
}

/// Guard: `trust-revoked`, the removal of a trusted browser.
#[tokio::test]
async fn k2_trust_that_was_ended_is_no_trust() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    assert_eq!(step(&mut other, &kit.phone.code(1), true).await.status, 303);
    let cookies = other.cookies.clone();
    let page = owner.get("/security").await;
    let list = page.text.split("Trusted browsers").nth(1).expect("a list");
    assert!(list.contains("from <code>127.0.0.0</code>"), "{list}");
    let which = list.split("name=\"which\" value=\"").nth(1).unwrap();
    let (mark, which) = (page.mark(), which.split('"').next().unwrap());
    let form = [("mark", &*mark), ("which", which)];
    assert_eq!(to(&owner.post("/security/trust", &form).await), "/security?done=trust");
    assert_eq!(to(&owner.post("/security/trust", &form).await), "/security?done=none");
    assert_eq!(to(&other.sign_in(EMAIL, PASSWORD).await), "/sign-in/second?to=/");
    // So does another password.
    assert_eq!(step(&mut other, &kit.recovery[0], true).await.status, 303);
    assert_ne!(other.cookies["__Host-trusted"], cookies["__Host-trusted"]);
    let form = [("mark", &*mark), ("password", PASSWORD), ("new", NEW), ("again", NEW)];
    assert_eq!(to(&owner.post("/security/password", &form).await), "/security?done=password");
    assert_eq!(to(&other.sign_in(EMAIL, NEW).await), "/sign-in/second?to=/");
    assert!(owner.get("/security").await.text.contains("No browser is trusted"));
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

#[tokio::test]
async fn browsers_are_listed_and_signed_out_one_by_one_and_all_at_once() {
    let hub = hub();
    let (mut anna, mut ben) = (Browser::of(&hub, EMAIL).await, Browser::of(&hub, BEN).await);
    let mut others = [Browser::new(&hub), Browser::new(&hub)];
    for other in &mut others {
        assert_eq!(other.sign_in(EMAIL, PASSWORD).await.status, 303);
    }
    let page = others[0].get("/security").await;
    let items: Vec<_> = page.text.split("<li>").skip(1).collect();
    assert_eq!(items.len(), 3, "{}", page.text);
    assert_eq!(items.iter().filter(|item| item.contains("this browser")).count(), 1);
    let own = items.iter().find(|item| item.contains("this browser")).unwrap();
    let which = own.split("name=\"which\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    // Another account signs nobody of this one out.
    let (mark, bens) = (anna.get("/").await.mark(), ben.get("/").await.mark());
    let page = ben.post("/security/sign-out", &[("mark", &bens), ("which", which)]).await;
    assert_eq!(to(&page), "/security?done=none");
    assert_eq!(others[0].get("/").await.status, 200);
    let page = anna.post("/security/sign-out", &[("mark", &mark), ("which", which)]).await;
    assert_eq!(to(&page), "/security?done=signed-out");
    assert_outside(&mut others[0]).await;
    assert_eq!(others[1].get("/").await.status, 200);
    let page = anna.post("/security/sign-out", &[("mark", &mark), ("which", "all")]).await;
    assert_eq!(to(&page), "/sign-in");
    assert_outside(&mut others[1]).await;
    assert_outside(&mut anna).await;
    assert_eq!(ben.get("/").await.status, 200);
}

#[tokio::test]
async fn another_password_takes_the_old_one_and_signs_all_others_out() {
    let hub = hub();
    let (mut owner, mut other) = (Browser::of(&hub, EMAIL).await, Browser::new(&hub));
    assert_eq!(other.sign_in(EMAIL, PASSWORD).await.status, 303);
    let mark = owner.get("/security/password").await.mark();
    for (password, new, again) in
        [("another password", NEW, NEW), (PASSWORD, NEW, PASSWORD), (PASSWORD, "short", "short")]
    {
        let form = [("mark", &*mark), ("password", password), ("new", new), ("again", again)];
        assert_eq!(owner.post("/security/password", &form).await.status, 422);
    }
    assert_eq!(other.get("/").await.status, 200);
    let form = [("mark", &*mark), ("password", PASSWORD), ("new", NEW), ("again", NEW)];
    assert_eq!(to(&owner.post("/security/password", &form).await), "/security?done=password");
    assert_outside(&mut other).await;
    assert_eq!(owner.get("/").await.status, 200);
    assert_eq!(other.sign_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(other.sign_in(EMAIL, NEW).await.status, 303);
    let log = owner.get("/log").await.text;
    assert!(log.contains("<td>Password changed</td>") && log.contains("<td>A sign-in failed</td>"));
}

/// The attack: somebody reads the database and its log, and all other files but the keys.
#[tokio::test]
async fn s5_nothing_of_a_second_factor_is_in_a_file_in_the_clear() {
    let mut hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    let first_step = other.cookies["__Host-session"].clone();
    assert_eq!(step(&mut other, &kit.phone.code(1), true).await.status, 303);
    hub.stop();
    let secret = kit.phone.0.base32();
    let mut secrets: Vec<Vec<u8>> = vec![BASE32_NOPAD.decode(secret.as_bytes()).unwrap()];
    let plain = kit.recovery.iter().map(|code| code.replace('-', ""));
    let tickets = other.cookies.values().cloned().chain([first_step, secret]);
    let texts = kit.recovery.iter().cloned().chain(plain).chain(tickets);
    secrets.extend(texts.map(String::into_bytes));
    for entry in std::fs::read_dir(&hub.dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_slice());
            assert!(!found, "{} is in {}", String::from_utf8_lossy(secret), path.display());
        }
    }
}

#[tokio::test]
async fn the_secret_is_drawn_into_a_page_that_nobody_keeps() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let page = owner.get("/security/second-factor").await;
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.text.contains("<svg class=\"qr\"") && page.text.contains("otpauth://totp/"));
    assert!(page.text.contains(&format!("issuer={PAGES}")), "{}", page.text);
    for banned in ["style=", "<style", "<script", "<img", "data:"] {
        assert!(!page.text.contains(banned), "{banned}");
    }
    let again = owner.get("/security/second-factor").await;
    assert_ne!(page.field("offer"), again.field("offer"));
    assert!(owner.get("/security").await.text.contains("○ off"), "an offer is not in force");
}

#[tokio::test]
async fn s12_the_page_of_the_log_is_filtered_and_turned_without_a_script() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let store = hub.store();
    let masked = "203.0.113.0".parse().unwrap();
    for number in 0..150 {
        let made_at = Wall::from_unix_seconds(1_800_000_000 + number * 3600);
        let entry = Entry { what: Happened::SignInFailed, about: None, masked, made_at };
        store.note(1, entry, false).await.unwrap();
    }
    let rows = |page: &Page| page.text.matches("<td><time").count();
    let page = owner.get("/log").await;
    assert_eq!(rows(&page), 100);
    let older = page.text.split("href=\"/log?what=").nth(1).expect("a link to older lines");
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    let page = owner.get(&format!("/log?what={older}")).await;
    assert_eq!(rows(&page), 52, "the rest, and two from setting the password");
    assert!(page.text.contains("Newest lines") && !page.text.contains("Older lines"));
    assert_eq!(rows(&owner.get("/log?what=password_set&since=").await), 1);
    // 2027-01-15 08:00 was the first hour: 16 lines of that day, and 134 later ones.
    let page = owner.get("/log?what=sign_in_failed&since=2027-01-16").await;
    assert!(rows(&page) == 100 && page.text.contains("what=sign_in_failed&amp;since=2027-01-16"));
    assert_eq!(rows(&owner.get("/log?since=2027-01-21").await), 14);
    assert!(owner.get("/log?since=yesterday").await.text.contains("A day looks like"));
    assert!(owner.get("/log?since=2030-01-01").await.text.contains("Nothing of this"));
    let mut ben = Browser::of(&hub, BEN).await;
    assert_eq!(rows(&ben.get("/log").await), 2, "only what is one's own");
}
