//! A browser at the hub's pages.

use super::support::{Device, Hub};
use std::collections::BTreeMap;

pub const PAGES: &str = "cloud.example.org";
pub const EMAIL: &str = "anna.berg@mail.example.org";
pub const PASSWORD: &str = "seven green kettles";

/// A browser: cookies, no script, and redirects that are looked at.
pub struct Browser {
    pub client: reqwest::Client,
    pub url: String,
    pub cookies: BTreeMap<String, String>,
    pub origin: Option<String>,
}

pub struct Page {
    pub status: u16,
    pub to: Option<String>,
    pub text: String,
    pub headers: reqwest::header::HeaderMap,
}

impl Page {
    /// The mark of the first form.
    pub fn mark(&self) -> String {
        self.field("mark")
    }

    /// What a hidden field of the first form holds.
    pub fn field(&self, name: &str) -> String {
        let after = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        after.expect("a field").split('"').next().expect("a value").to_owned()
    }
}

impl Browser {
    pub fn new(hub: &Hub) -> Self {
        let client = client(hub, "127.0.0.1");
        let url = format!("https://{PAGES}:{}", hub.listen.port());
        Self { client, cookies: BTreeMap::new(), origin: Some(url.clone()), url }
    }

    /// The same one in another network: `number` is its third byte.
    pub fn moved(&mut self, hub: &Hub, number: u8) {
        self.client = client(hub, &format!("127.0.{number}.1"));
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let mut request = self.client.post(format!("{}{path}", self.url));
        if let Some(origin) = &self.origin {
            request = request.header("origin", origin);
        }
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let form = "application/x-www-form-urlencoded";
        self.send(request.header("content-type", form).body(body.join("&"))).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        let pairs = self.cookies.iter().map(|(name, value)| format!("; {name}={value}"));
        request = request.header("cookie", format!("other=1{}", pairs.collect::<String>()));
        let response = request.send().await.unwrap();
        for set in response.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            for needed in ["__Host-", "; Path=/", "; Secure", "; HttpOnly", "; SameSite="] {
                assert!(set.contains(needed), "{set}");
            }
            let pair = set.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.remove(name);
            if !value.is_empty() {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let headers = response.headers().clone();
        let to = headers.get("location").map(|to| to.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        Page { status, to, headers, text: response.text().await.unwrap() }
    }

    pub async fn sign_in(&mut self, email: &str, password: &str) -> Page {
        self.post("/sign-in", &[("email", email), ("password", password), ("to", "/")]).await
    }

    /// A browser of somebody who took an invitation.
    pub async fn of(hub: &Hub, email: &str) -> Self {
        let mut browser = Self::new(hub);
        let page = browser
            .post(&invitation(hub, email), &[("password", PASSWORD), ("again", PASSWORD)])
            .await;
        assert_eq!((page.status, page.to.as_deref()), (303, Some("/")), "{}", page.text);
        browser
    }
}

fn client(hub: &Hub, from: &str) -> reqwest::Client {
    let from: std::net::IpAddr = from.parse().unwrap();
    reqwest::Client::builder()
        .tls_backend_preconfigured(Device::new().tls(hub))
        .resolve(PAGES, hub.listen)
        .local_address(from)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

pub fn hub() -> Hub {
    Hub::start_with(&["--sandbox", "--pages", PAGES])
}

/// The path of a fresh invitation.
pub fn invitation(hub: &Hub, email: &str) -> String {
    let output = hub.command(&["user", "add", email]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let path = text.split(PAGES).nth(1).expect("a link");
    path.trim().to_owned()
}
