//! Every page there is, in light and dark, on a desk and on a phone.

use crate::axe::{self, Finding};
use crate::common::World;
use crate::common::agent::Agent;
use crate::life::second_factor_on;
use crate::person::Person;
use crate::stage::{self, ORIGIN, PASSWORD, Phone};
use axum::http::Method;
use data_encoding::BASE64;
use qcloud_agent::hub::pages::routes::ROUTES;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is served and is no page.
const NO_PAGES: &[&str] = &["/style.css", "/icon.svg", "/device/{id}/export"];
/// Ways whose right address comes by mail, or leads to a provider of identities, which this hub has none of: looked at
/// with a wrong one.
const REFUSED: &[(&str, &str)] = &[
    ("/address/{token}", "/address/AAAA"),
    ("/welcome/{ticket}/once", "/welcome/AAAA/once"),
    ("/welcome/{ticket}/with/{number}", "/welcome/AAAA/with/9"),
    ("/sign-in/with/{number}", "/sign-in/with/9"),
    ("/security/provider/{number}", "/security/provider/9"),
];
/// Wide, and as narrow as phones are: CSS pixels.
pub const SIZES: [(&str, u32, u32); 2] = [("wide", 1280, 800), ("phone", 360, 740)];
const SCHEMES: [&str; 2] = ["light", "dark"];
/// What a finger is to hit must be this high (Apple's guidelines, and WCAG 2.2 success criterion 2.5.5): CSS pixels.
/// Links inside a sentence are excepted there.
const SMALL: &str = "[...document.querySelectorAll('button, input:not([type=hidden]):not([type=checkbox]):not([type=radio]), \
    select, summary, label.check, nav a, a.button, a.brand')]
    .map(e => [e, e.getBoundingClientRect()]).filter(([e, box]) => box.height > 0 && box.height < 44)
    .map(([e, box]) => `${e.outerHTML.slice(0, 90)} is ${box.height} high`)";

/// What is too small for a finger on the page as it is shown now.
pub fn small(person: &mut Person) -> Vec<String> {
    let small = person.beside().compute(SMALL);
    let small = small.as_array().into_iter().flatten().filter_map(Value::as_str);
    small.map(String::from).collect()
}

/// Whether a path is of a route.
fn is_of(path: &str, route: &str) -> bool {
    let parts = |path: &str| path.split('/').map(String::from).collect::<Vec<_>>();
    let (own, wanted) = (parts(path), parts(route));
    own.len() == wanted.len()
        && own.iter().zip(&wanted).all(|(own, wanted)| own == wanted || wanted.starts_with('{'))
}

/// A walk through the pages.
pub struct Tour {
    person: Person,
    pictures: Option<PathBuf>,
    seen: BTreeMap<String, String>,
    links: BTreeSet<String>,
    faults: Vec<String>,
    lesser: BTreeSet<String>,
}

impl Tour {
    /// Looks at the page that is open, which is of this route, from all sides.
    fn look(&mut self, name: &str, route: &str) {
        let person = &mut self.person;
        let path = person.path();
        let parts = |path: &str| path.split('/').map(String::from).collect::<Vec<_>>();
        let (own, wanted) = (parts(&path), parts(route));
        let fits = own.len() == wanted.len()
            && own
                .iter()
                .zip(&wanted)
                .all(|(own, wanted)| own == wanted || wanted.starts_with('{'));
        assert!(fits, "{name} is at {path}, not {route}: {}", person.text());
        self.seen.insert(route.into(), path);
        self.links.extend(person.links(ORIGIN));
        for (size, width, height) in SIZES {
            person.sit_before(width, height);
            let over = person.overflow();
            if over > 0.0 {
                self.faults.push(format!("{name}: {over} px too wide on a {size}"));
            }
        }
        self.faults.extend(small(person).iter().map(|what| format!("{name}: {what}")));
        for finding in axe::judge(person, &SCHEMES) {
            let Finding { impact, text } = &finding;
            let said = format!("{name}: {impact}: {text}");
            if finding.is_bad() {
                self.faults.push(said);
            } else {
                self.lesser.insert(said);
            }
        }
        self.picture(name);
        self.person.sit_before(SIZES[0].1, SIZES[0].2);
    }

    fn picture(&mut self, name: &str) {
        let Some(dir) = &self.pictures else { return };
        for (size, width, height) in SIZES {
            self.person.sit_before(width, height);
            for scheme in SCHEMES {
                self.person.prefer(scheme);
                let how = json!({"format": "png", "captureBeyondViewport": true});
                let shot = self.person.pipe.call("Page.captureScreenshot", how);
                let data = shot["data"].as_str().expect("a picture");
                let png = BASE64.decode(data.as_bytes()).expect("base64");
                std::fs::write(dir.join(format!("{name}-{size}-{scheme}.png")), png)
                    .expect("a file");
            }
        }
    }

    fn go(&mut self, name: &str, route: &str) {
        self.person.go(&format!("{ORIGIN}{route}"));
        self.look(name, route);
    }

    fn come_in(&mut self, world: &World) {
        let link = stage::invitation(world);
        self.person.go(&link);
        self.look("welcome", "/welcome/{ticket}");
        stage::accept(&mut self.person, &link);
        self.look("devices-none", "/");
        self.person.go(&link);
        self.look("welcome-over", "/welcome/{ticket}");
        self.person.go(&format!("{ORIGIN}/nothing-like-this"));
        self.look("nothing-here", "/nothing-like-this");
    }

    fn let_in(&mut self, agent: &Agent, world: &World) {
        self.go("approve-ask", "/approve");
        self.person.fill("textbox", "Code", "BCDF-GHJK");
        self.person.follow("button", "Go on");
        self.person.sees("No device waits");
        self.look("approve-unknown", "/approve");
        let asking = agent.ask(&world.hub, "attic");
        self.person.fill("textbox", "Code", &asking.code);
        self.person.follow("button", "Go on");
        self.look("approve-compare", "/approve");
        self.person.follow("button", "Let it in");
        self.person.sees("Compare the words first");
        self.look("approve-not-compared", "/approve");
        self.person.press("checkbox", "The device in front of me shows exactly these words");
        self.person.follow("button", "Let it in");
        self.look("devices-added", "/");
        asking.ended();
        self.person.go(ORIGIN);
        self.person.reload_until("connected");
        self.look("devices", "/");
    }

    fn secure(&mut self) -> Phone {
        self.go("security", "/security");
        self.go("security-password", "/security/password");
        self.go("second-factor-on", "/security/second-factor");
        let phone = second_factor_on(&mut self.person);
        self.look("recovery-codes", "/security/second-factor");
        self.go("security-on", "/security");
        self.go("second-factor-off", "/security/second-factor");
        self.go("recovery", "/security/recovery");
        self.go("log", "/log");
        phone
    }

    fn out_and_in(&mut self, phone: &Phone) {
        self.person.follow("button", "Sign out");
        self.look("sign-in", "/sign-in");
        stage::sign_in(&mut self.person, "not this one");
        self.person.sees("not right");
        self.look("sign-in-wrong", "/sign-in");
        stage::sign_in(&mut self.person, PASSWORD);
        self.look("second", "/sign-in/second");
        self.person.press("DisclosureTriangle", "The app is not at hand");
        self.look("second-recovery", "/sign-in/second");
        self.person.fill("textbox", "Code", &phone.code(1));
        self.person
            .press("checkbox", "Trust this browser for 30 days: it is asked for the password only");
        let button = self.person.all("button", "Sign in").swap_remove(0);
        self.person.follow_thing(&button);
        self.go("security-trusted", "/security");
    }

    fn unseen(&self) -> Vec<&'static str> {
        let pages = ROUTES.iter().filter(|page| page.method == Method::GET).map(|page| page.path);
        pages.filter(|path| !NO_PAGES.contains(path) && !self.seen.contains_key(*path)).collect()
    }

    /// Looks at the pages that need nothing but a link, their plain path, or that of the page they stand below.
    fn remaining(&mut self) {
        // A page that is looked at may show the way to another.
        for _ in 0..3 {
            for route in self.unseen() {
                let refused = REFUSED.iter().find(|(of, _)| *of == route).map(|(_, path)| *path);
                let link = self.links.iter().find(|path| is_of(path, route)).cloned();
                let plain = (!route.contains('{')).then_some(route).or(refused);
                let below = self.seen.iter().find_map(|(seen, path)| {
                    let rest = route.strip_prefix(seen.as_str())?;
                    (seen.contains('{') && rest.starts_with('/')).then(|| format!("{path}{rest}"))
                });
                if let Some(path) = link.or(plain.map(String::from)).or(below) {
                    self.person.go(&format!("{ORIGIN}{path}"));
                    self.look(&route.replace(['/', '{', '}'], " ").trim().replace(' ', "-"), route);
                }
            }
        }
    }

    fn end(self) {
        let unseen = self.unseen();
        assert!(unseen.is_empty(), "pages nobody looked at; add a visit: {unseen:?}");
        tell(&self.lesser);
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
        self.person.watch.assert_quiet(ORIGIN);
    }
}

#[allow(clippy::print_stdout, reason = "shown with --nocapture, and of a test that fails")]
fn tell(lesser: &BTreeSet<String>) {
    for finding in lesser {
        println!("{finding}");
    }
}

fn walk(pictures: Option<PathBuf>) {
    let world = stage::world();
    let mut agent = world.agent("[link]\nenabled = true");
    agent.start();
    let person = stage::person(&world);
    let mut tour = Tour {
        person,
        pictures,
        seen: BTreeMap::new(),
        links: BTreeSet::new(),
        faults: Vec::new(),
        lesser: BTreeSet::new(),
    };
    tour.come_in(&world);
    tour.let_in(&agent, &world);
    let phone = tour.secure();
    tour.out_and_in(&phone);
    tour.remaining();
    tour.end();
}

#[test]
fn every_page_can_be_read_by_everybody_on_every_screen_and_asks_nothing_of_others() {
    walk(None);
}

#[test]
#[ignore = "makes pictures of all pages for people of the house"]
fn pictures() {
    let dir = axe::target().join("screenshots");
    std::fs::create_dir_all(&dir).expect("a directory");
    walk(Some(dir));
}
