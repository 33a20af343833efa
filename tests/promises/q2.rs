//! Q2: signing in by a provider of identities, linking it and unlinking it.

use crate::browser::{Browser, EMAIL, PASSWORD, Page, invitation};
use crate::phone::{BEN, NEW, assert_outside, half, step, switched_on, to};
use crate::provider::{Lie, NAME, Provider, hub_of};
use crate::support::Hub;
use std::time::{Duration, Instant};

/// Where a page's first link to the provider leads.
fn away(page: &Page, provider: &Provider) -> String {
    let after = page.text.split(&format!("href=\"{}", provider.issuer())).nth(1).expect("a link");
    let rest = after.split('"').next().expect("its end").replace("&amp;", "&");
    format!("{}{rest}", provider.issuer())
}

/// Links an account as its owner does.
pub async fn link(browser: &mut Browser, provider: &Provider, sub: &str) -> Page {
    let mark = browser.get("/security/provider/0").await.mark();
    let form = [("mark", &*mark), ("password", PASSWORD)];
    let page = browser.post("/security/provider/0", &form).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let back = provider.consents(&away(&page, provider), sub);
    browser.get(&back).await
}

/// Unlinks what is linked.
pub async fn unlink(browser: &mut Browser) -> Page {
    let page = browser.get("/security").await;
    let (mark, list) = (page.mark(), page.text.split("/security/provider/0/off").nth(1));
    let which = list.expect("a link").split("name=\"which\" value=\"").nth(1).expect("a field");
    let which = which.split('"').next().expect("its end");
    browser.post("/security/provider/0/off", &[("mark", &mark), ("which", which)]).await
}

/// A sign-in by the provider, as far as it gets.
async fn sign_in(browser: &mut Browser, provider: &Provider, sub: &str) -> Page {
    let page = browser.get("/sign-in/with/0?to=/log").await;
    assert_eq!(page.status, 303, "{}", page.text);
    let back = provider.consents(to(&page), sub);
    browser.get(&back).await
}

/// Guard: `oidc-state`, the mark of what this browser began.
#[tokio::test]
async fn q2_a_linked_provider_opens_the_account_and_an_unlinked_one_does_not() {
    for rsa in [false, true] {
        let provider = Provider::start(rsa).await;
        let hub = hub_of(&provider);
        let (mut anna, mut other) = (Browser::of(&hub, EMAIL).await, Browser::new(&hub));
        other.moved(&hub, 51);
        assert!(other.get("/sign-in").await.text.contains(NAME));
        // The provider says her address; that links nothing.
        let page = sign_in(&mut other, &provider, "sub-anna").await;
        assert!(page.status == 403 && page.text.contains("No account is linked"), "{}", page.text);
        assert_outside(&mut other).await;
        assert_eq!(to(&link(&mut anna, &provider, "sub-anna").await), "/security?done=linked");
        let page = sign_in(&mut other, &provider, "sub-anna").await;
        assert_eq!((page.status, to(&page)), (303, "/log"), "{}", page.text);
        assert!(other.get("/log").await.text.contains("May be signed in to by"));
        // Another subject, and an answer that another browser began, open nothing.
        let mut thief = Browser::new(&hub);
        thief.moved(&hub, 52);
        assert_eq!(sign_in(&mut thief, &provider, "sub-eve").await.status, 403);
        let begun = other.get("/sign-in/with/0").await;
        let back = provider.consents(to(&begun), "sub-anna");
        assert_eq!(thief.get(&back).await.status, 403, "it was begun elsewhere");
        thief.get("/sign-in/with/0").await;
        assert_eq!(thief.get(&back).await.status, 403, "it was begun elsewhere");
        assert_outside(&mut thief).await;
        assert_eq!(other.get(&back).await.status, 303);
        assert_eq!(other.get(&back).await.status, 403, "it is good once");
        assert_eq!(to(&unlink(&mut anna).await), "/security?done=unlinked");
        thief.moved(&hub, 53);
        assert_eq!(sign_in(&mut thief, &provider, "sub-anna").await.status, 403);
    }
}

async fn refused(hub: &Hub, provider: &Provider, lie: Lie, network: u8) {
    let mut browser = Browser::new(hub);
    browser.moved(hub, network);
    let begun = browser.get("/sign-in/with/0").await;
    assert_eq!(begun.status, 303, "{lie:?}: {}", begun.text);
    let back = provider.consents(to(&begun), "sub-anna");
    provider.lies(lie);
    let begin = Instant::now();
    let page = browser.get(&back).await;
    provider.lies(Lie::Nothing);
    assert_eq!(page.status, 502, "{lie:?}: {:?} {}", page.to, page.text);
    let clear = page.text.contains("is not to be trusted") || page.text.contains("cannot be asked");
    assert!(
        clear && page.text.contains(NAME) && page.text.contains("<h1>"),
        "{lie:?}: {}",
        page.text
    );
    assert!(begin.elapsed() < Duration::from_secs(20), "{lie:?} took {:?}", begin.elapsed());
    assert_outside(&mut browser).await;
}

/// Guards: `oidc-signature`, `oidc-issuer`, `oidc-token-issuer`, `oidc-audience`, `oidc-expiry`, `oidc-nonce`: one
/// check of a token or a document each.
#[tokio::test]
async fn q2_a_provider_that_lies_is_refused_by_a_clear_page() {
    let provider = Provider::start(false).await;
    let hub = hub_of(&provider);
    let mut anna = Browser::of(&hub, EMAIL).await;
    assert_eq!(to(&link(&mut anna, &provider, "sub-anna").await), "/security?done=linked");
    let lies = [
        Lie::OtherDocument,
        Lie::TokenIssuer,
        Lie::AlgNone,
        Lie::Hs256,
        Lie::OtherKey,
        Lie::OtherKind,
        Lie::Expired,
        Lie::Future,
        Lie::Nonce,
        Lie::Audience,
        Lie::OtherParty,
        Lie::NobodyNamed,
        Lie::HugeKeys,
        Lie::MovedKeys,
        Lie::NoToken,
        Lie::Inside,
        Lie::SlowKeys,
    ];
    for (number, lie) in (60..).zip(lies) {
        refused(&hub, &provider, lie, number).await;
    }
    let mut browser = Browser::new(&hub);
    browser.moved(&hub, 99);
    assert_eq!(to(&sign_in(&mut browser, &provider, "sub-anna").await), "/log");
}

/// Guard: `second-step`, the question whether a second factor is on.
#[tokio::test]
async fn q2_a_second_factor_is_asked_for_whatever_a_provider_says() {
    let provider = Provider::start(false).await;
    let hub = hub_of(&provider);
    let mut anna = Browser::of(&hub, EMAIL).await;
    link(&mut anna, &provider, "sub-anna").await;
    let kit = switched_on(&mut anna).await;
    let mut other = half(&hub, EMAIL).await;
    // Not even a browser that is trusted after a password skips it.
    assert_eq!(step(&mut other, &kit.phone.code(1), true).await.status, 303);
    other.cookies.remove("__Host-session");
    other.moved(&hub, 55);
    let page = sign_in(&mut other, &provider, "sub-anna").await;
    assert_eq!(to(&page), "/sign-in/second?to=/log");
    assert_outside(&mut other).await;
    assert_eq!(step(&mut other, &kit.recovery[0], false).await.status, 303);
    // And to link another one takes the code as well.
    let mark = other.get("/security").await.mark();
    let form = [("mark", &*mark), ("password", PASSWORD), ("code", "12345")];
    assert_eq!(other.post("/security/provider/0", &form).await.status, 422);
}

/// Guard: `last-way-in`, the look at what would be left.
#[tokio::test]
async fn q2_the_last_way_in_is_not_unlinked() {
    let provider = Provider::start(false).await;
    let hub = hub_of(&provider);
    let mut anna = Browser::of(&hub, EMAIL).await;
    link(&mut anna, &provider, "sub-anna").await;
    // Somebody who never had a password.
    let path = invitation(&hub, BEN);
    let mut ben = Browser::new(&hub);
    ben.moved(&hub, 56);
    let page = ben.get(&format!("{path}/with/0")).await;
    let taken = provider.consents(to(&page), "sub-anna");
    assert_eq!(ben.get(&taken).await.status, 409, "one subject is one account's");
    let page = ben.get(&format!("{path}/with/0")).await;
    let back = provider.consents(to(&page), "sub-ben");
    assert_eq!(to(&ben.get(&back).await), "/");
    assert!(ben.get("/").await.text.contains(BEN));
    assert_eq!(ben.get(&path).await.status, 404, "the invitation is used");
    let page = unlink(&mut ben).await;
    assert!(page.status == 409 && page.text.contains("only way"), "{}", page.text);
    // Another one's link is nobody else's to end.
    ben.moved(&hub, 57);
    let page = invitation(&hub, BEN);
    ben.post(&page, &[("password", NEW), ("again", NEW)]).await;
    assert_eq!(to(&unlink(&mut ben).await), "/security?done=unlinked");
    ben.moved(&hub, 58);
    ben.cookies.clear();
    assert_eq!(sign_in(&mut ben, &provider, "sub-ben").await.status, 403);
    assert_eq!(to(&ben.sign_in(BEN, NEW).await), "/");
}

/// The attack: somebody reads every file of the hub but its keys.
#[tokio::test]
async fn q2_of_a_provider_nothing_is_kept_in_the_clear() {
    let provider = Provider::start(false).await;
    let mut hub = hub_of(&provider);
    let mut anna = Browser::of(&hub, EMAIL).await;
    link(&mut anna, &provider, "sub-of-anna-7c").await;
    hub.stop();
    for entry in std::fs::read_dir(&hub.dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let is_config = path.extension().is_some_and(|extension| extension == "toml");
        let bytes = std::fs::read(&path).unwrap_or_default();
        for secret in ["sub-of-anna-7c".to_owned(), provider.issuer()] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found || is_config, "{secret} is in {}", path.display());
        }
    }
}
