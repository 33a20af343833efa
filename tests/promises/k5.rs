//! K4 and K5: no page counts its visitors, and none asks anything of anybody but the hub.

use crate::browser::{Browser, EMAIL, Page, hub, invitation};
use crate::phone::{BEN, half, switched_on};
use crate::support::Hub;
use qcloud_agent::hub::config::STORE;
use qcloud_agent::hub::pages::routes::ROUTES;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Attributes that make a browser ask for something, without a click or with one.
const ASKING: [&str; 14] = [
    "src",
    "srcset",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "data",
    "poster",
    "ping",
    "background",
    "manifest",
    "cite",
    "content",
    "style",
];

/// Tags of a page, with their attributes.
fn tags(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let inner = text.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    let read = |tag: &str| {
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while let Some((before, after)) = rest.split_once("=\"") {
            let key = before.rsplit(' ').next().unwrap_or(before);
            let (value, next) = after.split_once('"').expect("an end");
            attributes.push((key.to_owned(), value.to_owned()));
            rest = next;
        }
        (name.to_owned(), attributes)
    };
    inner.map(read).collect()
}

fn stays_here(path: &str, page: &Page) {
    let policy = page.headers.get("content-security-policy").map(|v| v.to_str().expect("text"));
    let policy = policy.unwrap_or_else(|| panic!("{path} has no policy"));
    assert!(policy.starts_with("default-src 'none';"), "{path}: {policy}");
    for loose in ["unsafe", "http", "*", "data:", "script-src", "connect-src", "report"] {
        assert!(!policy.contains(loose), "{path}: {policy}");
    }
    for name in ["report-to", "reporting-endpoints", "nel", "link", "refresh", "server-timing"] {
        assert!(page.headers.get(name).is_none(), "{path} sends {name}");
    }
    for (tag, attributes) in tags(&page.text) {
        let banned = ["script", "iframe", "img", "object", "embed", "video", "audio", "base"];
        assert!(!banned.contains(&tag.as_str()), "<{tag}> in {path}");
        for (key, value) in attributes {
            assert!(!key.starts_with("on"), "{key} in {path}");
            let asks = ASKING.contains(&key.as_str()) && tag != "meta";
            let own =
                (value.starts_with('/') && !value.starts_with("//")) || value.starts_with('#');
            // What a person clicks: the app for codes, and a device's own pages.
            let clicked = tag == "a" && key == "href";
            let leads = clicked && (value.starts_with("otpauth://") || value.contains(".link."));
            assert!(!asks || own || leads, "<{tag} {key}=\"{value}\"> in {path}");
        }
        assert!(tag != "meta" || !page.text.contains("http-equiv"), "{path}");
    }
}

/// Everything that is shown to this browser.
async fn all(browser: &mut Browser, room: &str) -> Vec<(String, Page)> {
    let mut pages = Vec::new();
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let parts = route.path.split('/');
        let parts = parts.map(|part| if part.starts_with('{') { room } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        let page = browser.get(&path).await;
        pages.push((path, page));
    }
    pages
}

/// Guard: `pages-policy`, the policy that would stop what a page should not have.
#[tokio::test]
async fn k5_no_page_asks_anything_of_anybody_else() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let invited = invitation(&hub, BEN);
    let ticket = invited.rsplit('/').next().expect("a ticket");
    let mut seen = 0;
    let mut stranger = Browser::new(&hub);
    let mut pages = all(&mut owner, "AAAA").await;
    switched_on(&mut owner).await;
    let mut partly = half(&hub, EMAIL).await;
    for browser in [&mut owner, &mut partly] {
        pages.extend(all(browser, "AAAA").await);
    }
    stranger.moved(&hub, 5);
    pages.extend(all(&mut stranger, ticket).await);
    for (path, page) in &pages {
        stays_here(path, page);
        seen += usize::from(page.status == 200);
        if path == "/style.css" {
            for asks in ["url(", "@import", "http", "expression", "image-set"] {
                assert!(!page.text.contains(asks), "{asks} in {path}");
            }
        }
    }
    assert!(seen > 20, "{seen} pages were looked at");
}

/// How many rows each table has, and of what.
fn rows(hub: &Hub) -> BTreeMap<String, i64> {
    let database = Connection::open(hub.dir.join(STORE)).expect("the database");
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = database.prepare(sql).expect("a statement");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("tables");
    let count = |name: String| {
        let sql = format!("SELECT count(*) FROM {name}");
        let count = database.query_row(&sql, [], |row| row.get(0)).expect("a count");
        (name, count)
    };
    names.map(|name| count(name.expect("a name"))).collect()
}

/// Guard: `pages-policy`, which leaves a page nothing to count with.
#[tokio::test]
async fn k4_reading_pages_leaves_no_trace() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    owner.get("/").await;
    let (before, cookies) = (rows(&hub), owner.cookies.clone());
    for number in [6, 7] {
        owner.moved(&hub, number);
        for (path, page) in all(&mut owner, "AAAA").await {
            assert!(page.headers.get("set-cookie").is_none(), "{path}");
            assert!(page.headers.get("etag").is_none(), "{path}: an ETag is a cookie as well");
            assert!(page.headers.get("content-security-policy").is_some(), "{path}");
        }
    }
    assert_eq!(rows(&hub), before, "something was noted");
    assert_eq!(owner.cookies, cookies);
}
