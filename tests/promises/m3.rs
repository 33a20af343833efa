//! M3: the owner decides who may read where a device is; for everybody else there is no such device.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::net::{DEVICE, HUB, Line, Place};
use crate::common::page::Page;
use crate::common::process::{run, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const PAGES: &str = "cloud.example.org";
const SOON: Duration = Duration::from_secs(30);
const OWNER: &str = "anna@mail.example.org";
const GUEST: &str = "ben@mail.example.org";
const STRANGER: &str = "eve@mail.example.org";

/// What came back: status, headers without the clock, body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    status: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Said {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        // Of the cookies only the session's.
        let wanted = |(name, value): &(String, String)| match name.as_str() {
            "date" => false,
            "set-cookie" => value.starts_with("__Host-session="),
            _ => true,
        };
        let headers = headers.filter(wanted).collect();
        Self { status: status.into(), headers, body: body.into() }
    }

    fn after(&self, mark: &str) -> &str {
        let rest = self.body.split_once(mark).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{mark}: {self:?}"))
    }
}

/// A browser somewhere, made of `curl`.
struct Browser<'a> {
    place: &'a Place,
    world: &'a World,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn nobody(world: &'a World) -> Self {
        Self { place: &world.net.visitor, world, cookie: None }
    }

    fn ask(&self, path: &str, form: &[(&str, &str)]) -> Said {
        let mut curl = self.place.command("curl");
        curl.args(["--silent", "--show-error", "--include", "--http1.1", "--max-time", "10"]);
        curl.args(["--resolve", &format!("{PAGES}:443:{HUB}"), "--noproxy", "*", "--cacert"]);
        curl.arg(self.world.hub.dir().join("server-ca.crt"));
        if let Some(cookie) = &self.cookie {
            curl.args(["--cookie", &format!("__Host-session={cookie}")]);
        }
        if !form.is_empty() {
            curl.args(["--header", &format!("origin: https://{PAGES}")]);
        }
        for (name, value) in form {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        curl.arg(format!("https://{PAGES}{path}"));
        Said::read(&run(curl, SOON).ok())
    }

    /// Somebody who took an invitation to the hub.
    fn of(world: &'a World, email: &str) -> Self {
        let text = world.hub.command(&["user", "add", email]).ok();
        let path = text.split(PAGES).nth(1).expect("a link").trim().to_owned();
        let mut browser = Self::nobody(world);
        let password = "seven green kettles";
        let said = browser.ask(&path, &[("password", password), ("again", password)]);
        let cookie = said.headers.get("set-cookie").expect("a cookie");
        let value = cookie.split(['=', ';']).nth(1).expect("its value");
        browser.cookie = Some(value.to_owned());
        browser
    }

    /// Fills a form with the mark of this session.
    fn fill(&self, path: &str, form: &[(&str, &str)]) -> Said {
        let page = self.ask("/", &[]);
        let mark = page.after("name=\"mark\" value=\"");
        let said = self.ask(path, &[&[("mark", mark)], form].concat());
        assert_eq!(said.status, "303", "{path}: {said:?}");
        said
    }
}

/// A device that its owner lets in at the pages.
fn registered(world: &World, owner: &Browser<'_>) -> Agent {
    let mut agent = world.agent("");
    agent.start();
    let (url, pin) = (world.hub.url(), world.hub.pin.clone());
    std::thread::scope(|scope| {
        let register = ["register", "--name", "box", "--hub", &url, "--hub-pin", &pin];
        let agent = &agent;
        let asking = scope.spawn(move || agent.command(&register));
        let code = until("the request", SOON, || {
            let text = world.hub.command(&["pending", "--json"]).ok();
            let json: Value = serde_json::from_str(&text).ok()?;
            Some(json["pending"].as_array()?.first()?["code"].as_str()?.to_owned())
        });
        owner.fill("/approve", &[("code", &code), ("decision", "approve"), ("words", "same")]);
        asking.join().expect("its end").ok();
    });
    agent
}

/// What a made-up name and a made-up id bring, to the byte.
fn hidden(who: &str, browser: &Browser<'_>, home: &str, id: &str) {
    let (real, none) = (browser.ask("/find?name=box", &[]), browser.ask("/find?name=nox", &[]));
    assert_eq!(none.status, "404", "{who}");
    assert_eq!(real, none, "{who} can tell the device from none");
    let of_it = browser.ask(home, &[]);
    let made_up = home.replace(&id[..6], "aaaaaa");
    let mut of_none = browser.ask(&made_up, &[]);
    if let Some(to) = of_none.headers.get_mut("location") {
        *to = to.replace(&made_up, home);
    }
    assert_eq!(of_it, of_none, "{who} can tell the device's page from none");
}

/// Guard: `hub-find`, the conditions on who asks.
///
/// The attack: nobody, a stranger with an account, somebody who was invited and has not accepted, and somebody from
/// whom it was taken back look for the device and compare every byte with what a made-up name brings.
#[test]
fn m3_who_may_not_see_a_device_is_told_what_is_told_of_none() {
    let world = World::with_hub(Line::Direct, &["--pages", PAGES]);
    let owner = Browser::of(&world, OWNER);
    let agent = registered(&world, &owner);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    agent.link_up(&page.url());
    until("the address", SOON, || (world.hub.rows("ddns") == 1).then_some(()));
    let home = format!("/device/{}", agent.id());
    let (nobody, stranger) = (Browser::nobody(&world), Browser::of(&world, STRANGER));
    let guest = Browser::of(&world, GUEST);

    // Its address, port and URL, as its owner sees them.
    let shown = |said: &Said| {
        ["https://box.link", "port 443", DEVICE].iter().all(|part| said.body.contains(part))
    };
    let hidden = |who: &str, browser: &Browser<'_>| hidden(who, browser, &home, &agent.id());
    assert!(shown(&owner.ask("/find?name=box", &[])), "its owner does not see it");
    for (who, browser) in [("nobody", &nobody), ("a stranger", &stranger), ("a guest", &guest)] {
        hidden(who, browser);
    }

    owner.fill(&format!("{home}/visibility"), &[("level", "people")]);
    owner.fill(&format!("{home}/invite"), &[("email", GUEST)]);
    hidden("who was invited and did not accept", &guest);
    let offer = guest.ask("/", &[]);
    let offer = offer.after("name=\"offer\" value=\"");
    let taken = stranger.fill("/offer", &[("offer", offer), ("decision", "accept")]);
    assert_eq!(taken.headers["location"], "/?done=over", "a stranger took the invitation");
    guest.fill("/offer", &[("offer", offer), ("decision", "accept")]);
    let said = guest.ask("/find?name=box", &[]);
    assert!(shown(&said), "{said:?}");
    hidden("nobody", &nobody);
    hidden("a stranger", &stranger);

    // Taken back at once.
    let number = owner.ask(&home, &[]);
    let number = number.after("name=\"number\" value=\"");
    owner.fill(&format!("{home}/withdraw"), &[("list", "guest"), ("number", number)]);
    hidden("from whom it was taken back", &guest);

    owner.fill(&format!("{home}/visibility"), &[("level", "public")]);
    for browser in [&nobody, &stranger, &guest] {
        assert!(shown(&browser.ask("/find?name=box", &[])), "it is not public");
    }
    // The device has the last word: what it restricts is shown to nobody.
    agent.ok(&["privacy", "restrict", "ddns", "on"]);
    agent.ok(&["privacy", "restrict", "link", "on"]);
    let said = nobody.ask("/find?name=box", &[]);
    assert!(!said.body.contains(DEVICE) && !said.body.contains("port 443"), "{said:?}");
    owner.fill(&format!("{home}/visibility"), &[("level", "private")]);
    hidden("nobody", &nobody);
    hidden("a stranger", &stranger);
}

/// What signs in without a password at a hub that is tried on one machine is not there at any other.
#[test]
fn m3_no_link_signs_in_without_a_password() {
    let world = World::with_hub(Line::Direct, &["--pages", PAGES]);
    let nobody = Browser::nobody(&world);
    let text = world.hub.command(&["user", "add", OWNER]).ok();
    let path = text.split(PAGES).nth(1).expect("a link").trim().to_owned();
    assert_eq!(nobody.ask(&format!("{path}/once"), &[]), nobody.ask("/nothing/there", &[]));
    assert_eq!(nobody.ask(&path, &[]).status, "200", "the invitation was taken by it");
}
