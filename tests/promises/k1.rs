//! K1: what the hub's cookies say on the wire.

use crate::browser::{Browser, EMAIL, PASSWORD, hub};
use crate::phone::{half, step, switched_on, to};
use reqwest::header::HeaderMap;
use std::collections::BTreeSet;

fn cookies(headers: &HeaderMap, seen: &mut BTreeSet<String>) {
    for set in headers.get_all("set-cookie") {
        let set = set.to_str().expect("text");
        let mut parts = set.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a pair");
        assert!(name.starts_with("__Host-"), "{set}");
        let told: Vec<&str> = parts.collect();
        assert_eq!(told[..4], ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"], "{set}");
        // A browser keeps none for longer than 400 days (RFC 6265bis section 5.5); ours last at most 180.
        let life: u64 =
            told[4].strip_prefix("Max-Age=").expect("a life").parse().expect("a number");
        assert!(told.len() == 5 && life <= 180 * 24 * 3600, "{set}");
        let random = |text: &str| text.is_empty() || text.len() == 43;
        assert!(value.split('.').all(random), "it holds nothing but tickets: {set}");
        seen.insert(name.to_owned());
    }
}

/// Guard: `cookie-hidden`, the attribute that keeps scripts from it. The browser of these tests, too, takes no cookie
/// without the attributes.
#[tokio::test]
async fn k1_every_cookie_is_for_this_host_over_https_and_no_script() {
    let (hub, mut seen) = (hub(), BTreeSet::new());
    let mut owner = Browser::of(&hub, EMAIL).await;
    let kit = switched_on(&mut owner).await;
    let mut other = half(&hub, EMAIL).await;
    cookies(&step(&mut other, &kit.phone.code(1), true).await.headers, &mut seen);
    let mark = other.get("/").await.mark();
    for path in ["/security/trust", "/sign-out"] {
        let page = other.post(path, &[("mark", &mark), ("which", "all")]).await;
        cookies(&page.headers, &mut seen);
    }
    let page = other.sign_in(EMAIL, PASSWORD).await;
    assert_eq!(to(&page), "/sign-in/second?to=/", "the trust is gone with its cookie");
    cookies(&page.headers, &mut seen);
    let known: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(known, ["__Host-known", "__Host-session", "__Host-trusted"]);
    // None is set by looking at a page, and none before the sign-in.
    let mut stranger = Browser::new(&hub);
    for path in ["/", "/sign-in", "/style.css", "/welcome/AAAA", "/nothing"] {
        assert!(stranger.get(path).await.headers.get("set-cookie").is_none(), "{path}");
        assert!(owner.get(path).await.headers.get("set-cookie").is_none(), "{path}");
    }
}
