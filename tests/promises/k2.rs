//! K2: a trusted browser skips the second step of its account, until its owner ends that.

use crate::browser::{Browser, EMAIL, PASSWORD, hub};
use crate::phone::{BEN, NEW, assert_outside, half, step, switched_on, to};

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
