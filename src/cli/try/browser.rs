//! The owner's browser: signs in at the hub's pages by an invitation, lets the device in, and reads its page.
#![allow(clippy::disallowed_methods, reason = "stands for a browser, outside the agent")]

use super::stage::{NAME, Stage};
use super::visitor;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The name of the pages. `localhost` and all below it are this machine (RFC 6761 section 6.3).
pub(super) const PAGES: &str = "pages.localhost";
/// Whose device it is.
const OWNER: &str = "you@try.test";

/// A browser that is signed in.
pub(super) struct Browser {
    cookie: String,
}

/// What came back: status, the header that sets or leads, and the page.
struct Said {
    head: String,
    body: String,
}

impl Said {
    fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn is(&self, status: &str) -> bool {
        self.head.split(' ').nth(1) == Some(status)
    }

    /// What a hidden field holds.
    fn field(&self, name: &str) -> Option<&str> {
        let after = self.body.split_once(&format!("name=\"{name}\" value=\""))?.1;
        after.split('"').next()
    }
}

/// A link that signs whoever opens it in, once, and leads to a page. The hub makes it for its own machine only.
pub(super) async fn link(stage: &Stage, to: &str) -> Result<String, String> {
    let made = stage.hub_command(&["user", "add", OWNER]).await?;
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let ticket = said.split("/welcome/").nth(1).and_then(|rest| rest.split_whitespace().next());
    let ticket = ticket.ok_or_else(|| format!("the hub gave no invitation: {said}"))?;
    Ok(format!("/welcome/{ticket}/once?to={to}"))
}

/// A path of the pages as a browser on this machine opens it.
pub(super) fn url(stage: &Stage, path: &str) -> String {
    format!("https://{PAGES}:{}{path}", stage.hub().port())
}

impl Browser {
    /// Opens such a link.
    pub(super) async fn open(stage: &Stage, link: &str) -> Result<(Self, String), String> {
        let said = ask(stage, link, None, None).await?;
        let cookie = said.header("set-cookie").and_then(|set| set.split(';').next());
        let cookie = cookie.ok_or_else(|| format!("the link does not sign in: {}", said.head))?;
        let to = said.header("location").unwrap_or("/").to_owned();
        Ok((Self { cookie: cookie.to_owned() }, to))
    }

    /// Lets the device with this code in, after its page has shown the same words.
    pub(super) async fn approve(
        &self,
        stage: &Stage,
        code: &str,
        words: &str,
    ) -> Result<(), String> {
        let page = ask(stage, &format!("/approve?code={code}"), Some(&self.cookie), None).await?;
        let shows = |word: &str| page.body.contains(&format!("<li>{word}</li>"));
        if !words.split_whitespace().all(shows) {
            return Err("the hub's page does not show the words of the device".into());
        }
        let mark = page.field("mark").ok_or("the page of the device's code has no form")?;
        let form = format!("mark={mark}&code={code}&decision=approve&words=same");
        let said = ask(stage, "/approve", Some(&self.cookie), Some(&form)).await?;
        if said.is("303") { Ok(()) } else { Err(format!("the hub did not approve: {}", said.head)) }
    }

    /// Reads a page.
    pub(super) async fn read(&self, stage: &Stage, path: &str) -> Result<String, String> {
        let said = ask(stage, path, Some(&self.cookie), None).await?;
        if said.is("200") { Ok(said.body) } else { Err(format!("{path}: {}", said.head)) }
    }
}

/// Signs in by a fresh link that leads to the device's page, and checks that the page shows what is.
pub(super) async fn device_page(stage: &Stage, device: &str) -> Result<String, String> {
    let path = format!("/device/{device}");
    let link = link(stage, &path).await?;
    let (browser, to) = Browser::open(stage, &link).await?;
    if to != path {
        return Err(format!("the link leads to {to}"));
    }
    let page = browser.read(stage, &to).await?;
    let service = format!("https://{}/", stage.link_host());
    for shown in [NAME, "connected over QUIC since", &stage.ddns_host(), &service] {
        if !page.contains(shown) {
            return Err(format!("the page does not show {shown}"));
        }
    }
    if Browser::open(stage, &link).await.is_ok() {
        return Err("the link signs in twice".into());
    }
    Ok(format!("{} shows the device connected, its name and its service", url(stage, &path)))
}

async fn ask(
    stage: &Stage,
    path: &str,
    cookie: Option<&str>,
    form: Option<&str>,
) -> Result<Said, String> {
    let authority = format!("{PAGES}:{}", stage.hub().port());
    let (method, body) = form.map_or(("GET", ""), |form| ("POST", form));
    let cookie = cookie.map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\norigin: https://{authority}\r\n{cookie}\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let authority_path = stage.hub_authority();
    let certificate = CertificateDer::from_pem_file(&authority_path)
        .map_err(|e| format!("{}: {e}", authority_path.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|e| e.to_string())?;
    let (head, body) = visitor::exchange(stage.hub(), PAGES, roots, &request).await?;
    Ok(Said { head, body: String::from_utf8_lossy(&body).into_owned() })
}
