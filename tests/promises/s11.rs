//! S11: whatever happens in an account stands in its log.

use crate::browser::{Browser, EMAIL, PASSWORD, Page, invitation};
use crate::phone::{BEN, NEW, codes, half, step, switched_on, to};
use crate::provider::{Provider, known_to};
use crate::q2::{link as link_provider, unlink};
use crate::sink::{Sink, hub_with};
use crate::support::{Device, Hub};
use qcloud_agent::hub::config::STORE;
use qcloud_agent::hub::store::people::Happened;
use qcloud_agent::wire::registration::Polled;
use rusqlite::Connection;
use serde_json::json;

pub const MOVED: &str = "anna.moved@post.example.net";

/// A life in which everything happens that a log can speak of, and the letters of it so far.
pub async fn life(sink: &Sink) -> (Hub, Browser, Vec<String>) {
    let provider = Provider::start(false).await;
    let whole = known_to(hub_with(sink.at), &provider);
    let hub = &whole;
    let mut anna = Browser::of(hub, EMAIL).await;
    // What is tried is bounded for each network; this life goes on in several.
    anna.moved(hub, 11);
    devices(hub, &mut anna).await;
    anna.moved(hub, 10);
    shares(hub, &mut anna).await;
    anna.moved(hub, 12);
    assert_eq!(to(&link_provider(&mut anna, &provider, "sub").await), "/security?done=linked");
    assert_eq!(to(&unlink(&mut anna).await), "/security?done=unlinked");
    anna.moved(hub, 17);
    let mark = anna.get("/account").await.mark();
    let rest = ["phone", "language", "zone", "findable"].map(|key| (key, ""));
    let profile = [[("mark", &*mark), ("name", "Anna")].as_slice(), &rest].concat();
    assert_eq!(to(&anna.post("/account", &profile).await), "/account?done=saved");
    let download = [("mark", &*mark), ("password", PASSWORD)];
    assert_eq!(anna.post("/account/download", &download).await.status, 200);
    anna.moved(hub, 12);
    let kit = switched_on(&mut anna).await;
    let mut other = Browser::new(hub);
    other.moved(hub, 13);
    assert_eq!(other.sign_in(EMAIL, "another password").await.status, 401);
    other.sign_in(EMAIL, PASSWORD).await;
    assert_eq!(step(&mut other, &kit.recovery[0], true).await.status, 303);
    let mark = other.get("/").await.mark();
    assert_eq!(to(&other.post("/sign-out", &[("mark", &mark)]).await), "/sign-in");
    let mark = anna.get("/").await.mark();
    let proof = |code| [("mark", mark.clone()), ("password", PASSWORD.into()), ("code", code)];
    let form = proof(kit.phone.code(1));
    let fresh = codes(&posted(&mut anna, "/security/recovery", &form).await);
    for (path, done) in [
        ("/security/trust", "/security?done=trust"),
        ("/security/known", "/security?done=known"),
        ("/security/sign-out", "/sign-in"),
    ] {
        assert_eq!(to(&anna.post(path, &[("mark", &mark), ("which", "all")]).await), done);
    }
    anna.sign_in(EMAIL, PASSWORD).await;
    assert_eq!(step(&mut anna, &fresh[0], false).await.status, 303);
    let letters = moves(hub, &mut anna, sink, &fresh[1]).await;
    anna.moved(hub, 14);
    let mark = anna.get("/").await.mark();
    let form = [("mark", &*mark), ("password", PASSWORD), ("code", &*fresh[2])];
    let page = anna.post("/security/second-factor/off", &form).await;
    assert_eq!(to(&page), "/security?done=off", "{}", page.text);
    switched_on(&mut anna).await;
    let mut thief = half(hub, MOVED).await;
    for _ in 0..5 {
        assert_eq!(step(&mut thief, "12345", false).await.status, 422);
    }
    let form = [("mark", &*mark), ("password", PASSWORD), ("new", NEW), ("again", NEW)];
    let page = anna.post("/security/password", &form).await;
    assert_eq!(to(&page), "/security?done=password", "{}", page.text);
    (whole, anna, letters)
}

async fn posted(browser: &mut Browser, path: &str, form: &[(&str, String)]) -> Page {
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post(path, &form).await
}

/// Four devices: one is refused, one goes by itself, one is set aside, let back in and taken out.
async fn devices(hub: &Hub, anna: &mut Browser) {
    assert!(asks(hub, anna, "box-refused", "deny").await.member.is_none());
    let left = asks(hub, anna, "box-left", "approve").await;
    let (status, answer) = left.post(hub, "/v1/registration/forget", &json!({"nonce": "n"})).await;
    assert_eq!(status, 200, "{answer}");
    let aside = asks(hub, anna, "box-aside", "approve").await;
    assert!(aside.member.is_some());
    set_aside(hub);
    for args in [&["release", "box-aside"][..], &["revoke", "box-aside", "--yes"]] {
        let output = hub.command(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A device that is shared with Ben, given back by him, offered again and withdrawn, set aside, released and revoked.
async fn shares(hub: &Hub, anna: &mut Browser) {
    assert!(asks(hub, anna, "box-own", "approve").await.member.is_some());
    let devices = hub.json(&["devices"]);
    let id = devices["devices"][0]["id"].as_str().expect("an id").to_owned();
    let at = |what: &str| format!("/device/{id}/{what}");
    let mark = anna.get("/").await.mark();
    let marked =
        |pair: (&'static str, &'static str)| [("mark", mark.clone()), (pair.0, pair.1.into())];
    posted(anna, &at("visibility"), &marked(("level", "people"))).await;
    posted(anna, &at("invite"), &marked(("email", BEN))).await;
    let path = invitation(hub, BEN);
    let mut ben = Browser::new(hub);
    ben.moved(hub, 15);
    ben.post(&path, &[("password", NEW), ("again", NEW)]).await;
    let page = ben.get("/").await;
    let (bens, offer) = (page.mark(), page.text.split("name=\"offer\" value=\"").nth(1));
    let offer = offer.and_then(|rest| rest.split('"').next()).expect("an offer");
    ben.post("/offer", &[("mark", &bens), ("offer", offer), ("decision", "accept")]).await;
    ben.post("/shared/leave", &[("mark", &bens), ("device", &id)]).await;
    for what in ["offer_accepted", "offer_ended"] {
        let page = ben.get(&format!("/log?what={what}")).await;
        assert_eq!(page.text.matches("<td><time").count(), 1, "{what}");
    }
    posted(anna, &at("invite"), &marked(("email", BEN))).await;
    let page = anna.get(&format!("/device/{id}")).await;
    let number = page.text.split("name=\"number\" value=\"").nth(1).expect("a guest");
    let number = number.split('"').next().expect("a number");
    let form = [("mark", &*mark), ("list", "waiting"), ("number", number)];
    anna.post(&at("withdraw"), &form).await;
    set_aside(hub);
    for what in ["release", "revoke"] {
        assert_eq!(anna.post(&at(what), &[("mark", &mark)]).await.status, 303, "{what}");
    }
}

fn set_aside(hub: &Hub) {
    let database = Connection::open(hub.dir.join(STORE)).expect("the database");
    let sql = "INSERT INTO quarantine (device, why, made_at)
        SELECT id, 'two of them', unixepoch() FROM device";
    database.execute(sql, []).expect("a quarantine");
}

async fn asks(hub: &Hub, anna: &mut Browser, name: &str, decision: &str) -> Device {
    let mut device = Device::new();
    let started = device.begin(hub, name).await;
    let mark = anna.get("/").await.mark();
    let code = started.user_code.as_str();
    let form = [("mark", &*mark), ("code", code), ("decision", decision), ("words", "same")];
    assert!([200, 303].contains(&anna.post("/approve", &form).await.status));
    if let Polled::Approved(member) = device.poll(hub, &started.device_code).await {
        device.member = Some(*member);
    }
    device
}

/// The address is another one from here on; the letters up to the one that confirms it.
async fn moves(hub: &Hub, anna: &mut Browser, sink: &Sink, code: &str) -> Vec<String> {
    let mark = anna.get("/security/address").await.mark();
    let form = [("mark", &*mark), ("email", MOVED), ("password", PASSWORD), ("code", code)];
    let page = anna.post("/security/address", &form).await;
    assert_eq!(to(&page), "/security?done=asked", "{}", page.text);
    let mut letters = vec![sink.next()];
    while link(&letters[letters.len() - 1]).is_none() {
        letters.push(sink.next());
    }
    let path = letters.last().and_then(|letter| link(letter)).expect("a link");
    assert_eq!(to(&anna.post(&path, &[("mark", &mark)]).await), "/security?done=address");
    assert!(hub.json(&["user", "list", "--reason", "the move"]).to_string().contains(MOVED));
    letters
}

/// Whoever runs the hub looks at the account, locks it, and takes its second factor away; somebody guesses.
async fn operated(hub: &Hub, anna: &mut Browser) {
    for verb in ["show", "lock", "unlock", "reset-second"] {
        let output = hub.command(&["user", verb, MOVED]);
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }
    hub.json(&["license", "product", "add", "app"]);
    hub.json(&["license", "policy", "add", "app", "week", "--days", "7"]);
    hub.json(&["license", "issue", "app", "week", "--holder", MOVED]);
    let mut thief = Browser::new(hub);
    thief.moved(hub, 17);
    for _ in 0..4 {
        assert!([401, 429].contains(&thief.sign_in(MOVED, "a guess of somebody").await.status));
    }
    anna.moved(hub, 18);
    assert_eq!(to(&anna.sign_in(MOVED, NEW).await), "/");
    for _ in 0..100 {
        if anna.get("/log?what=unusual").await.text.contains("<td><time") {
            return;
        }
        tokio::time::sleep(core::time::Duration::from_millis(100)).await;
    }
}

/// The page that a letter asks to open.
pub fn link(letter: &str) -> Option<String> {
    let path = letter.split("https://cloud.example.org").nth(1)?;
    path.split_whitespace().next().map(String::from)
}

/// What of the life brought a line: each kind is named here, so that a new one does not go unseen.
const fn cause(what: Happened) -> &'static str {
    match what {
        Happened::PasswordSet => "the invitation",
        Happened::SignedIn | Happened::NewBrowser => "the first sign-in",
        Happened::SignInFailed => "a wrong password",
        Happened::SignedOut => "signing out",
        Happened::Approved | Happened::Denied => "the decision on a device",
        Happened::Revoked | Happened::Released => "the operator",
        Happened::Left => "a device that unregistered",
        Happened::PasswordChanged => "another password",
        Happened::SecondOn | Happened::SecondOff => "the second factor",
        Happened::SecondFailed | Happened::SecondLocked => "wrong codes",
        Happened::RecoveryMade | Happened::RecoveryUsed => "recovery codes",
        Happened::BrowserTrusted | Happened::TrustEnded => "trust",
        Happened::OthersSignedOut => "signing out everywhere",
        Happened::BrowserForgotten => "forgetting browsers",
        Happened::AddressAsked | Happened::AddressChanged => "the move",
        Happened::Linked | Happened::Unlinked => "a provider",
        Happened::DeviceRevoked | Happened::DeviceReleased => "the pages of a device",
        Happened::VisibilitySet | Happened::GuestInvited | Happened::GuestRemoved => "sharing",
        Happened::OfferAccepted | Happened::OfferEnded => "what was shared",
        Happened::OperatorLooked | Happened::OperatorActed => "who runs the hub",
        Happened::SecondReset => "who runs the hub",
        Happened::Unusual => "many wrong passwords",
        Happened::ProfileChanged => "another profile",
        Happened::Exported => "a download",
        Happened::LicenseEnds | Happened::LicenseChanged => "a license that was given for days",
    }
}

/// Guard: `account-log`, the line that goes with what happened.
#[tokio::test]
async fn s11_everything_that_happens_in_an_account_is_in_its_log() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hub/store/happened.rs");
    let source = std::fs::read_to_string(source).expect("the source");
    let kinds =
        source.split("pub enum Happened {").nth(1).and_then(|rest| rest.split("\n}").next());
    let kinds = kinds.expect("the kinds").lines().filter(|line| line.ends_with(','));
    assert_eq!(kinds.count(), Happened::ALL.len(), "a kind has no code");

    let sink = Sink::at("127.0.0.1:0");
    let (hub, mut anna, _) = life(&sink).await;
    operated(&hub, &mut anna).await;
    for (code, what) in Happened::ALL {
        let page = anna.get(&format!("/log?what={code}")).await;
        let rows = page.text.matches("<td><time").count();
        let is_guests = matches!(what, Happened::OfferAccepted | Happened::OfferEnded);
        assert!(rows > 0 || is_guests, "{} left no line of {code}", cause(what));
    }
    for about in ["box-refused", "box-left", "box-aside", MOVED] {
        assert!(
            anna.get("/log").await.text.contains(&format!("<strong>{about}</strong>")),
            "{about}"
        );
    }
    // Whoever comes new to the hub has a log of their own, with nothing of this.
    let path = invitation(&hub, "eve@mail.example.org");
    let mut eve = Browser::new(&hub);
    eve.moved(&hub, 16);
    eve.post(&path, &[("password", NEW), ("again", NEW)]).await;
    assert_eq!(eve.get("/log").await.text.matches("<td><time").count(), 3);
}
