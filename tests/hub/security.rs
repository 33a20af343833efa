//! The page "Security", as browsers meet it.

use super::browser::{Browser, EMAIL, PAGES, PASSWORD, hub};
use super::phone::{BEN, NEW, assert_outside, half, step, switched_on, to};
use data_encoding::BASE32_NOPAD;

#[tokio::test]
async fn browsers_are_listed_and_signed_out_one_by_one_and_all_at_once() {
    let hub = hub();
    let (mut anna, mut ben) = (Browser::of(&hub, EMAIL).await, Browser::of(&hub, BEN).await);
    let mut others = [Browser::new(&hub), Browser::new(&hub)];
    for other in &mut others {
        assert_eq!(other.sign_in(EMAIL, PASSWORD).await.status, 303);
    }
    let page = others[0].get("/security").await;
    let list = page.text.split("Known browsers").next().unwrap();
    let items: Vec<_> = list.split("<li>").skip(1).collect();
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
