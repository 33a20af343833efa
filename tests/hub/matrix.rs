//! Who is refused where: every page, every route of the API and every word of a session, with every credential that is
//! not enough. The tables of the hub are walked, so that what is added to them must be added here.

use super::browser::{Browser, EMAIL, Page, hub};
use super::link::{Session, all, visitor};
use super::phone::switched_on;
use super::sharing::{database, owned};
use super::support::{Device, Hub};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::card::Caller;
use qcloud_agent::clock::{Wall, system_wall};
use qcloud_agent::hub::api::ROUTES as API;
use qcloud_agent::hub::hello::REFUSAL;
use qcloud_agent::hub::keys::{DeviceKey, Keys};
use qcloud_agent::hub::pages::routes::{Needs, ROUTES};
use qcloud_agent::identity::id::device_id;
use qcloud_agent::wire::frame;
use qcloud_agent::wire::link::{CLOSED_CERTIFICATE_EXPIRED, Hello, ToHub, UNKNOWN_DEVICE};
use qcloud_agent::wire::registration::Membership;
use std::collections::BTreeSet;

const BEN: &str = "ben@mail.example.org";

/// What is fed to a page: its path and its form, with the ids of somebody else, or with ids of nothing.
struct Ids {
    device: String,
    browser: String,
    share: String,
    offer: String,
    license: String,
}

/// How a page is tried.
struct Tried {
    method: &'static str,
    path: &'static str,
    needs: Needs,
    /// Its form, with ids; the mark is added.
    form: fn(&Ids) -> Vec<(&'static str, String)>,
}

const fn page(method: &'static str, path: &'static str, needs: Needs) -> Tried {
    Tried { method, path, needs, form: |_| Vec::new() }
}

const fn form(path: &'static str, form: fn(&Ids) -> Vec<(&'static str, String)>) -> Tried {
    Tried { method: "POST", path, needs: Needs::Person, form }
}

fn pair(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

/// Every page there is.
const PAGES: &[Tried] = &[
    page("GET", "/", Needs::Person),
    page("GET", "/approve", Needs::Person),
    form("/approve", |_| vec![pair("code", "BCDFGHJK"), pair("decision", "deny")]),
    page("GET", "/device/{id}", Needs::Person),
    form("/device/{id}/visibility", |_| vec![pair("level", "public")]),
    form("/device/{id}/invite", |_| vec![pair("email", "eve@mail.example.org")]),
    form("/device/{id}/withdraw", |ids| {
        vec![pair("list", "guest"), pair("number", ids.share.as_str())]
    }),
    page("GET", "/device/{id}/revoke", Needs::Person),
    form("/device/{id}/revoke", |_| vec![]),
    page("GET", "/device/{id}/release", Needs::Person),
    form("/device/{id}/release", |_| vec![]),
    page("GET", "/device/{id}/export", Needs::Person),
    form("/offer", |ids| vec![pair("offer", ids.offer.as_str()), pair("decision", "accept")]),
    form("/shared/leave", |ids| vec![pair("device", ids.device.as_str())]),
    // What it says depends on who asks: the promise M3 is about it.
    page("GET", "/find", Needs::Nothing),
    page("GET", "/log", Needs::Person),
    page("GET", "/security", Needs::Person),
    page("GET", "/security/password", Needs::Person),
    form("/security/password", |_| {
        vec![pair("password", "x"), pair("new", "x"), pair("again", "y")]
    }),
    page("GET", "/security/second-factor", Needs::Person),
    form("/security/second-factor", |_| {
        vec![pair("offer", "x"), pair("password", "x"), pair("code", "1")]
    }),
    form("/security/second-factor/off", |_| vec![pair("password", "x"), pair("code", "1")]),
    page("GET", "/security/recovery", Needs::Person),
    form("/security/recovery", |_| vec![pair("password", "x"), pair("code", "1")]),
    form("/security/sign-out", |ids| vec![pair("which", ids.browser.as_str())]),
    form("/security/trust", |ids| vec![pair("which", ids.browser.as_str())]),
    // The way in, and what it looks like.
    page("GET", "/sign-in", Needs::Nothing),
    page("POST", "/sign-in", Needs::Nothing),
    page("GET", "/sign-in/second", Needs::Half),
    Tried {
        method: "POST",
        path: "/sign-in/second",
        needs: Needs::Half,
        form: |_| vec![pair("code", "1")],
    },
    form("/sign-out", |_| vec![]),
    page("GET", "/welcome/{ticket}", Needs::Nothing),
    page("POST", "/welcome/{ticket}", Needs::Nothing),
    page("GET", "/welcome/{ticket}/once", Needs::Nothing),
    page("GET", "/style.css", Needs::Nothing),
    form("/security/known", |ids| vec![pair("which", ids.browser.as_str())]),
    page("GET", "/security/address", Needs::Person),
    form("/security/address", |_| vec![pair("email", "x"), pair("password", "x")]),
    form("/security/address/off", |_| vec![]),
    page("GET", "/address/{token}", Needs::Person),
    form("/address/{token}", |_| vec![]),
    page("GET", "/icon.svg", Needs::Nothing),
    page("GET", "/privacy", Needs::Nothing),
    page("GET", "/account", Needs::Person),
    form("/account", |_| vec![pair("name", "Eve"), pair("zone", "UTC")]),
    page("GET", "/account/download", Needs::Person),
    form("/account/download", |_| vec![pair("password", "x")]),
    page("GET", "/account/delete", Needs::Person),
    form("/account/delete", |_| vec![pair("password", "x"), pair("address", "x")]),
    page("GET", "/sign-in/with/{number}", Needs::Nothing),
    page("GET", "/welcome/{ticket}/with/{number}", Needs::Nothing),
    page("GET", "/sign-in/oidc", Needs::Nothing),
    page("GET", "/security/provider/{number}", Needs::Person),
    form("/security/provider/{number}", |_| vec![pair("password", "x")]),
    form("/security/provider/{number}/off", |ids| vec![pair("which", ids.browser.as_str())]),
    page("GET", "/licenses", Needs::Person),
    form("/licenses/file", |_| vec![pair("file", "x")]),
    form("/licenses/add", |_| vec![pair("key", "x")]),
    form("/licenses/give", |ids| vec![pair("license", ids.license.as_str())]),
];

impl Tried {
    fn path(&self, ids: &Ids) -> String {
        self.path.replace("{id}", &ids.device)
    }

    async fn by(&self, browser: &mut Browser, ids: &Ids, mark: &str) -> Page {
        let path = self.path(ids);
        if self.method == "GET" {
            return browser.get(&path).await;
        }
        let mut form = (self.form)(ids);
        form.push(pair("mark", mark));
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post(&path, &form).await
    }
}

#[test]
fn every_page_is_tried_and_needs_what_is_said_here() {
    let needs = |needs: Needs| format!("{needs:?}");
    let served: BTreeSet<_> =
        ROUTES.iter().map(|page| (page.method.as_str(), page.path, needs(page.needs))).collect();
    let tried: BTreeSet<_> =
        PAGES.iter().map(|page| (page.method, page.path, needs(page.needs))).collect();
    assert_eq!(served, tried, "a page without a line here, or a line without its page");
    assert_eq!(ROUTES.len(), PAGES.len());
}

fn with(hub: &Hub, cookie: Option<&str>) -> Browser {
    let mut browser = Browser::new(hub);
    browser.cookies =
        cookie.map(|text| ("__Host-session".into(), text.into())).into_iter().collect();
    browser
}

/// Signed out, signed in for too long, half signed in, and made up.
async fn not_enough(hub: &Hub) -> Vec<(&'static str, Option<String>)> {
    let cookie = |browser: &Browser| Some(browser.cookies["__Host-session"].clone());
    let mut out = Browser::of(hub, "out@mail.example.org").await;
    let revoked = cookie(&out);
    let mark = out.get("/").await.mark();
    assert_eq!(out.post("/sign-out", &[("mark", &mark)]).await.status, 303);

    let mut second = Browser::of(hub, "half@mail.example.org").await;
    switched_on(&mut second).await;
    let mut half = Browser::new(hub);
    let page = half.sign_in("half@mail.example.org", super::browser::PASSWORD).await;
    assert!(page.to.unwrap().starts_with("/sign-in/second"));

    let late = Browser::of(hub, "late@mail.example.org").await;
    let sql = "UPDATE browser SET made_at = made_at - 2592001 WHERE account =
        (SELECT max(number) FROM account)";
    assert_eq!(database(hub).execute(sql, []).unwrap(), 1);
    vec![
        ("nobody", None),
        ("garbage", Some("../../etc".into())),
        ("a made-up ticket", Some(BASE64URL_NOPAD.encode(&[7; 32]))),
        ("signed out", revoked),
        ("signed in for too long", cookie(&late)),
        ("half signed in", cookie(&half)),
    ]
}

/// Guard: `pages-needs`, the one look before any handler.
#[tokio::test]
async fn s7_no_page_is_served_to_less_than_it_needs() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let device = owned(&hub, &mut anna, "box").await;
    let ids = ids_of(&hub, &device, &anna);
    for (who, cookie) in not_enough(&hub).await {
        for tried in PAGES.iter().filter(|tried| tried.needs != Needs::Nothing) {
            if tried.needs == Needs::Half && who == "half signed in" {
                continue;
            }
            let mut browser = with(&hub, cookie.as_deref());
            let page = tried.by(&mut browser, &ids, "AAAA").await;
            let (what, to) = (format!("{who}: {} {}", tried.method, tried.path), page.to.clone());
            assert_eq!((page.status, page.text.as_str()), (303, ""), "{what}");
            assert!(to.unwrap_or_default().starts_with("/sign-in?to=/"), "{what}");
            assert!(page.headers.get("set-cookie").is_none(), "{what}");
        }
    }
    assert!(anna.get("/").await.text.contains("box"), "nothing was done");
}

/// Guard: `pages-mark`, the one look before any form.
///
/// The attack: another site has a browser that is signed in send each form there is.
#[tokio::test]
async fn no_form_is_taken_without_the_mark_of_its_session() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut ben = Browser::of(&hub, BEN).await;
    let device = owned(&hub, &mut anna, "box").await;
    let ids = ids_of(&hub, &device, &anna);
    let theirs = ben.get("/").await.mark();
    let before = everything(&hub);
    for mark in ["", "AAAA", theirs.as_str()] {
        let is_form = |tried: &&Tried| tried.method == "POST" && tried.needs != Needs::Nothing;
        for tried in PAGES.iter().filter(is_form) {
            let page = tried.by(&mut anna, &ids, mark).await;
            assert_eq!(page.status, 403, "`{mark}`: {}", tried.path);
        }
    }
    assert_eq!(everything(&hub), before, "nothing was done");
}

/// The ids of what is a person's.
fn ids_of(hub: &Hub, device: &str, browser: &Browser) -> Ids {
    let ticket =
        ring::digest::digest(&ring::digest::SHA256, browser.cookies["__Host-session"].as_bytes());
    let one = |sql: &str| -> String {
        let number = database(hub).query_row(sql, [], |row| row.get::<_, i64>(0));
        number.map_or_else(|_| "1".into(), |number| number.to_string())
    };
    Ids {
        device: device.into(),
        browser: BASE64URL_NOPAD.encode(ticket.as_ref()),
        share: one("SELECT number FROM share"),
        offer: one("SELECT number FROM share_invitation"),
        license: database(hub)
            .query_row("SELECT lid FROM license", [], |row| row.get(0))
            .unwrap_or_else(|_| "aaaaaaaaaaaaaaaaaaaaaaaaaa".into()),
    }
}

fn nothings() -> Ids {
    Ids {
        device: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".into(),
        browser: BASE64URL_NOPAD.encode(&[9; 32]),
        share: "999999".into(),
        offer: "999999".into(),
        license: "aaaaaaaaaaaaaaaaaaaaaaaaaa".into(),
    }
}

/// What a browser is told: all of it but the clock.
fn told(page: &Page) -> (u16, Option<String>, String, Vec<(String, String)>) {
    let headers = page.headers.iter().filter(|(name, _)| name.as_str() != "date");
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (page.status, page.to.clone(), page.text.clone(), headers.collect())
}

/// Guard: `pages-own`.
///
/// The attack: somebody who is signed in asks with the ids of another account, in each path and in each form.
#[tokio::test]
async fn s7_another_accounts_ids_are_answered_like_ids_of_nothing() {
    let hub = hub();
    let mut anna = Browser::of(&hub, EMAIL).await;
    let mut ben = Browser::of(&hub, BEN).await;
    let device = owned(&hub, &mut anna, "box").await;
    let own = owned(&hub, &mut ben, "attic").await;
    super::sharing::shared(&hub, &mut anna, &device, "guest@mail.example.org").await;
    let mark = anna.get("/").await.mark();
    hub.json(&["license", "product", "add", "app"]);
    hub.json(&["license", "policy", "add", "app", "year", "--days", "365"]);
    hub.json(&["license", "issue", "app", "year", "--holder", EMAIL]);
    let invite = [("mark", mark.as_str()), ("email", "later@mail.example.org")];
    anna.post(&format!("/device/{device}/invite"), &invite).await;
    let (theirs, nothing) = (ids_of(&hub, &device, &anna), nothings());
    let before = everything(&hub);
    let mark = ben.get("/").await.mark();
    let mut compared = 0;
    for tried in PAGES.iter().filter(|tried| tried.needs == Needs::Person) {
        let has_ids = tried.path.contains('{') || (tried.form)(&theirs) != (tried.form)(&nothing);
        if !has_ids {
            continue;
        }
        let what = format!("{} {}", tried.method, tried.path);
        let real = tried.by(&mut ben, &theirs, &mark).await;
        let made_up = tried.by(&mut ben, &nothing, &mark).await;
        assert_eq!(told(&real), told(&made_up), "{what}");
        assert!(!real.text.contains("box") && !real.text.contains(EMAIL), "{what}");
        if tried.path.contains("{id}") {
            assert_eq!(real.status, 404, "{what}");
        }
        compared += 1;
    }
    assert!(compared >= 12, "{compared}");
    // His own device, and a share of hers.
    let (number, path) = (theirs.share.as_str(), format!("/device/{own}/withdraw"));
    for list in ["guest", "waiting"] {
        let form = |number| [("mark", mark.as_str()), ("list", list), ("number", number)];
        let real = ben.post(&path, &form(number)).await;
        assert_eq!(told(&real), told(&ben.post(&path, &form("999999")).await));
    }
    assert_eq!(everything(&hub), before, "something of hers changed");
    assert_eq!(anna.get(&format!("/device/{device}")).await.status, 200);
}

/// All rows that a form could change.
fn everything(hub: &Hub) -> Vec<String> {
    let database = database(hub);
    let tables = [
        "device",
        "visibility",
        "share",
        "share_invitation",
        "browser",
        "quarantine",
        "license",
        "license_key",
    ];
    let mut all = Vec::new();
    for table in tables {
        let mut statement = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<rusqlite::types::Value> =
                (0..columns).map(|at| row.get(at).unwrap()).collect();
            all.push(format!("{table} {cells:?}"));
        }
    }
    all
}

/// Names that mean nobody here, whatever the reason.
#[tokio::test]
async fn every_name_that_means_nobody_is_refused_in_the_same_bytes() {
    let hub = hub();
    drop(Device::registered(&hub, "box").await);
    for name in [
        "box.link.example.test",
        "web.box.link.example.test",
        "nobody.link.example.test",
        "box.example.test",
        "example.test",
        "cloud.example.org.example.test",
        "example.org",
        "hub.example.org",
    ] {
        let (mut tcp, _) = visitor(&hub, name).await;
        assert_eq!(all(&mut tcp).await, REFUSAL, "{name}");
    }
    let mut said = BTreeSet::new();
    let browser = Browser::new(&hub);
    for host in ["example.org", "box.link.example.test", "hub.example.test", "x"] {
        for path in ["/", "/sign-in", "/nothing"] {
            let asked = browser.client.get(format!("{}{path}", browser.url)).header("host", host);
            let answer = asked.send().await.unwrap();
            let mut headers = answer.headers().clone();
            headers.remove("date");
            let status = answer.status().as_u16();
            said.insert((status, format!("{headers:?}"), answer.text().await.unwrap()));
        }
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said.first().unwrap().0, 421);
}

/// The parcels that a device whose certificate is over may still send, and the one that a forgotten device may.
const OUTLASTS: [&str; 5] =
    ["registration.renew", "registration.forget", "ddns.forget", "link.forget", "license.forget"];

/// A device whose certificate ended.
fn over(hub: &Hub, device: &Device) -> Device {
    let keys = Keys::load(&hub.dir).unwrap();
    let key = DeviceKey::from_spki(&device.spki()).unwrap();
    let long_ago = Wall(system_wall().0 - Duration::from_secs(400 * 86_400));
    let pem = keys.device_leaf(&key, &device_id(&device.spki()), long_ago).unwrap();
    let mut device = device.clone();
    let member = device.member.take().unwrap();
    device.member = Some(Membership { certificate: pem, ..member });
    device
}

/// Guard: `hub-device-auth`.
#[tokio::test]
async fn s7_no_route_of_the_api_is_served_to_less_than_it_needs() {
    let hub = Hub::start();
    let keeps = Device::registered(&hub, "box").await;
    let gone = Device::registered(&hub, "gone").await;
    hub.json(&["revoke", "gone", "--yes"]);
    let mut unknown = Device::new();
    let keys = Keys::load(&hub.dir).unwrap();
    let (spki, member) = (unknown.spki(), keeps.member.clone().unwrap());
    let key = DeviceKey::from_spki(&spki).unwrap();
    let certificate = keys.device_leaf(&key, &device_id(&spki), system_wall()).unwrap();
    unknown.member = Some(Membership { certificate, ..member });
    let over = over(&hub, &keeps);
    let nobody = Device::new();
    let all = [
        ("nobody", &nobody),
        ("an unknown key", &unknown),
        ("revoked", &gone),
        ("a certificate that is over", &over),
    ];
    for route in API {
        let (path, caller) = route.place().expect("a path");
        if caller != Caller::Device {
            continue;
        }
        for (who, device) in all {
            let lasts = who.contains("over") && OUTLASTS.contains(&route.parcel.id);
            let receipt = matches!(who, "revoked" | "an unknown key")
                && route.parcel.id == "registration.forget";
            if lasts || receipt {
                continue;
            }
            let (status, answer) = device.post(&hub, path, &(route.parcel.example)()).await;
            assert_eq!(status, 401, "{who} at {path}: {answer}");
        }
    }
    assert_eq!(hub.json(&["devices"])["devices"].as_array().unwrap().len(), 1);
}

/// Every word a device can say in a session.
fn words() -> Vec<ToHub> {
    let all = vec![
        ToHub::Hello(Hello::new(None)),
        ToHub::Ticket { stored: true },
        ToHub::Heartbeat { number: 1 },
    ];
    for word in &all {
        // One more there is said above as well.
        match word {
            ToHub::Hello(_) | ToHub::Ticket { .. } | ToHub::Heartbeat { .. } => {}
        }
    }
    all
}

/// Guard: `hub-device-auth`.
#[tokio::test]
async fn s7_no_word_of_a_session_is_heard_from_less_than_a_device() {
    let hub = Hub::start();
    let keeps = Device::registered(&hub, "box").await;
    let gone = Device::registered(&hub, "gone").await;
    hub.json(&["revoke", "gone", "--yes"]);
    let over = over(&hub, &keeps);
    let nobody = Device::new();
    let all = [
        ("nobody", &nobody, None),
        ("revoked", &gone, Some(UNKNOWN_DEVICE)),
        ("a certificate that is over", &over, Some(CLOSED_CERTIFICATE_EXPIRED)),
    ];
    for word in words() {
        for (who, device, code) in all {
            let Ok((connection, _endpoint)) = Session::dial(&hub, device).await else { continue };
            // It may be closed before it takes a word.
            if let Ok((mut send, mut receive)) = connection.open_bi().await {
                let _ = frame::write(&mut send, &word).await;
                let heard = frame::read::<serde_json::Value>(&mut receive).await;
                assert!(heard.is_err(), "{who} said {word:?} and heard {heard:?}");
            }
            let ended = connection.closed().await;
            if let (Some(code), quinn::ConnectionError::ApplicationClosed(close)) = (code, &ended) {
                assert_eq!(close.error_code, quinn::VarInt::from_u32(code), "{who}: {ended}");
            }
        }
    }
    assert_eq!(hub.json(&["devices"])["devices"][0]["online"], false);
}
