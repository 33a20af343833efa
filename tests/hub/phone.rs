//! An app for codes, and a sign-in in two steps.

use super::browser::{Browser, PASSWORD, Page};
use super::support::Hub;
use core::time::Duration;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::pages::routes::{Needs, Page as Route, ROUTES};
use qcloud_agent::hub::people::totp::Totp;

pub const BEN: &str = "ben@mail.example.org";
pub const NEW: &str = "eight blue kettles";

/// Pages, or forms, of those who are signed in, with nothing real where a path leaves room.
pub fn private(method: &str) -> Vec<String> {
    let is_meant = |route: &&Route| route.needs == Needs::Person && route.method == *method;
    let path = |route: &Route| {
        let parts =
            route.path.split('/').map(|part| if part.starts_with('{') { "AAAA" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    ROUTES.iter().filter(is_meant).map(path).collect()
}

/// An app for codes.
pub struct Phone(pub Totp);

impl Phone {
    /// The code now, or so many steps of 30 s later. The hub takes those of the step before and after its own, so
    /// that a code of now or of the next step stands for the 30 s a request could at most take.
    pub fn code(&self, later: u32) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.0.code_at(Wall(now + Duration::from_secs(30) * later))
    }
}

/// What switching the second factor on gives its owner.
pub struct Kit {
    pub phone: Phone,
    /// The code that switched it on.
    pub used: String,
    pub recovery: Vec<String>,
}

pub async fn switched_on(browser: &mut Browser) -> Kit {
    let page = browser.get("/security/second-factor").await;
    let secret = page.text.split("<code class=\"secret\">").nth(1).unwrap();
    let phone = Phone(Totp::read(secret.split('<').next().unwrap()).unwrap());
    let (mark, offer, code) = (page.mark(), page.field("offer"), phone.code(0));
    let form = [("mark", &*mark), ("offer", &*offer), ("password", PASSWORD), ("code", &*code)];
    let page = browser.post("/security/second-factor", &form).await;
    assert_eq!(page.status, 200, "{}", page.text);
    Kit { phone, recovery: codes(&page), used: code }
}

pub fn codes(page: &Page) -> Vec<String> {
    let list = page.text.split("<ul class=\"codes\">").nth(1).expect("codes");
    let list = list.split("</ul>").next().unwrap();
    let codes = list.split("<li>").skip(1).map(|item| item.replace("</li>", ""));
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes.len(), 10);
    codes
}

/// The second step with what was typed.
pub async fn step(browser: &mut Browser, code: &str, trust: bool) -> Page {
    let page = browser.get("/sign-in/second?to=/log").await;
    assert_eq!(page.status, 200, "{:?}", page.to);
    let mark = page.mark();
    let mut form = vec![("mark", mark.as_str()), ("to", "/log"), ("code", code)];
    if trust {
        form.push(("trust", "yes"));
    }
    browser.post("/sign-in/second", &form).await
}

pub fn to(page: &Page) -> &str {
    page.to.as_deref().unwrap_or_default()
}

/// A browser whose first step is made.
pub async fn half(hub: &Hub, email: &str) -> Browser {
    let mut browser = Browser::new(hub);
    let page = browser.sign_in(email, PASSWORD).await;
    assert_eq!(to(&page), "/sign-in/second?to=/");
    browser
}

pub async fn assert_outside(browser: &mut Browser) {
    for path in private("GET") {
        let page = browser.get(&path).await;
        assert!(page.status == 303 && to(&page).starts_with("/sign-in?to="), "{path}");
        assert_eq!(page.text, "", "{path}");
    }
}
