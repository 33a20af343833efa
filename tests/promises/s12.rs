//! S12: a person reads and filters their own log, and nobody else's.

use crate::browser::{Browser, EMAIL, Page, hub};
use crate::phone::BEN;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::store::people::{Entry, Happened, People};

/// Guard: `log-own`, the account whose lines are read.
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
    assert_eq!(rows(&page), 53, "the rest, and three from setting the password");
    assert!(page.text.contains("Newest lines") && !page.text.contains("Older lines"));
    assert_eq!(rows(&owner.get("/log?what=password_set&since=").await), 1);
    // 2027-01-15 08:00 was the first hour: 16 lines of that day, and 134 later ones.
    let page = owner.get("/log?what=sign_in_failed&since=2027-01-16").await;
    assert!(rows(&page) == 100 && page.text.contains("what=sign_in_failed&amp;since=2027-01-16"));
    assert_eq!(rows(&owner.get("/log?since=2027-01-21").await), 14);
    assert!(owner.get("/log?since=yesterday").await.text.contains("A day looks like"));
    assert!(owner.get("/log?since=2030-01-01").await.text.contains("Nothing of this"));
    let mut ben = Browser::of(&hub, BEN).await;
    assert_eq!(rows(&ben.get("/log").await), 3, "only what is one's own");
    // No number of an account, of a line or of anything else in the address shows him another's.
    for path in [
        "/log?account=1",
        "/log?what=sign_in_failed",
        "/log?before=999999",
        "/log?since=2026-01-01",
    ] {
        let page = ben.get(path).await;
        assert!(!page.text.contains("203.0.113.0") && page.status == 200, "{path}");
    }
}
