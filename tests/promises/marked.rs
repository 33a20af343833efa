//! A life at the hub in which every personal field holds a text that nothing else spells, and a search for those.

use crate::common::World;
use crate::common::agent::{Agent, link_host};
use crate::common::net::{DEVICE, HUB, Line, Place, VISITOR};
use crate::common::page::Page;
use crate::common::process::{run, until, until_equal};
use crate::common::visitor::fetch;
use crate::common::watch::{files_with, holds};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const PAGES: &str = "cloud.example.org";
/// The mail address of the account.
pub const MAIL: &str = "marker.mail-5d2e71@mail.example.org";
/// The name of the device.
pub const NAME: &str = "marker-name-81c0fe";
/// The name of a device that waits.
pub const WAITING: &str = "marker-waits-3b9a46";
const SERVICE: &str = "marker-service-c7e2";
const PATTERN: &str = "marker-pattern-6af0";
const BROWSER: &str = "marker-browser-92d4";
const PASSWORD: &str = "marker password 4e17";

/// Everything that may stand nowhere.
pub const MARKERS: &[&str] = &[
    MAIL,
    "marker.mail-5d2e71",
    NAME,
    WAITING,
    SERVICE,
    PATTERN,
    BROWSER,
    PASSWORD,
    DEVICE,
    VISITOR,
];

/// A world with an agent that lives through it.
pub struct Life {
    pub world: World,
    pub agent: Agent,
    _page: Page,
}

impl Life {
    /// Registers, publishes, is visited, has an account, a letter that waits and a device that does.
    pub fn lived(unmasked: bool) -> Self {
        let mut world = World::with_hub(Line::Direct, &["--pages", PAGES]);
        let mail = world.net.hub.inside(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let server = mail.local_addr().expect("a port");
        std::thread::spawn(move || mail.incoming().flatten().for_each(|s| drop(not_now(s))));
        world.hub.stop();
        let path = world.hub.dir().join("hub.toml");
        let more = format!(
            "[mail]\nserver = \"smtp://{server}\"\nfrom = \"hub@example.org\"\n[access_log]\nunmasked = {unmasked}\n"
        );
        let text = std::fs::read_to_string(&path).expect("its configuration");
        std::fs::write(&path, text + &more).expect("its configuration");
        world.hub.serve();
        let hub = &world.hub;
        hub.command(&["authkey", "new", "--name", &format!("{PATTERN}-*")]).ok();
        let agent = world.member(NAME, "");
        agent.ok(&["ddns", "on"]);
        let page = Page::open(&world.net.device, "a page");
        let certificate = agent.link_up(&page.url());
        agent.ok(&["link", "publish", SERVICE, &page.url()]);
        let url = format!("https://{}/", link_host(NAME));
        assert_eq!(fetch(&world.net.visitor, &certificate, &url).ok(), "a page");
        person(&world);
        let tables =
            [("ddns", 1), ("service", 2), ("link_log", 1), ("auth_key", 1), ("account", 1)];
        for (table, rows) in tables {
            until_equal(table, SOON, &rows, || hub.rows(table));
        }
        let waits = || (hub.rows("outbox") > 0 && hub.rows("pending") > 1).then_some(());
        until("a letter and a device that wait", SOON, waits);
        until("the word of the mail server", SOON, || {
            hub.log_text().contains("mail could not be sent").then_some(())
        });
        Self { world, agent, _page: page }
    }

    /// Every marker in every form, in every file of the hub and in its log.
    pub fn left(&self) -> Vec<(String, PathBuf)> {
        let (hub, log) = (&self.world.hub, self.world.hub.log_text());
        let mut left = Vec::new();
        for (what, bytes) in MARKERS.iter().flat_map(|marker| forms(marker)) {
            let files = files_with(hub.dir(), &bytes).into_iter();
            left.extend(files.map(|file| (what.clone(), file)));
            if holds(log.as_bytes(), &bytes) {
                left.push((what, hub.log_path().into()));
            }
        }
        left
    }
}

/// A text as it may stand somewhere: itself, hexadecimal, base64 wherever it begins, an address in its bytes.
pub fn forms(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms = vec![
        (text.to_owned(), text.into()),
        (format!("{text} in hex"), HEXLOWER.encode(text.as_bytes()).into()),
        (format!("{text} in HEX"), HEXUPPER.encode(text.as_bytes()).into()),
    ];
    for shift in 0..3 {
        let padded = [&b"xxx"[..shift], text.as_bytes()].concat();
        for (kind, base) in [("base64", BASE64_NOPAD), ("base64url", BASE64URL_NOPAD)] {
            let encoded = base.encode(&padded);
            // Without the letters that what stands before and behind it have a part in.
            let (first, last) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
            forms.push((format!("{text} in {kind}"), encoded[first..last].into()));
        }
    }
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        forms.push((format!("{text} in bytes"), v4.octets().into()));
        forms.push((format!("{text} in hex bytes"), HEXLOWER.encode(&v4.octets()).into()));
    }
    forms
}

/// A mail server that knows the address it will not take a letter for now.
fn not_now(mut stream: TcpStream) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 later\r\n")?;
    for line in lines {
        let line = line?;
        let answer = match line.strip_prefix("RCPT TO:") {
            Some(to) => format!("450 4.2.0 {to}: try again later\r\n"),
            None => "250 ok\r\n".into(),
        };
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Somebody takes an invitation, mistypes a password, and lets a device in that waits.
fn person(world: &World) {
    let said = world.hub.command(&["user", "add", MAIL]).ok();
    let path = said.split(PAGES).nth(1).expect("a link").trim().to_owned();
    let browser = Browser::new(&world.net.visitor, world.hub.dir(), &world.scratch.path("jar"));
    browser.ask(&path, &[("password", PASSWORD), ("again", PASSWORD)]);
    browser.ask("/sign-in", &[("email", MAIL), ("password", "another one"), ("to", "/")]);
    let start = format!("https://hub.{}/v1/register/start", crate::common::hub::ZONE);
    let prefix: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let spki = BASE64URL_NOPAD.encode(&[prefix, &[9; 32]].concat());
    let body = serde_json::json!({"spki": spki, "name": WAITING}).to_string();
    let mut command = browser.curl(&start);
    command.args(["-H", "content-type: application/json", "--data-raw", &body]);
    let answer: serde_json::Value =
        serde_json::from_str(&run(command, SOON).ok()).expect("an invitation");
    let code = answer["user_code"].as_str().expect("a code");
    let page = browser.ask(&format!("/approve?code={code}"), &[]);
    assert!(page.contains(WAITING), "{page}");
    let mark = page.split("name=\"mark\" value=\"").nth(1).and_then(|t| t.split('"').next());
    let form = [("mark", mark.expect("a mark")), ("code", code), ("words", "same")];
    browser.ask("/approve", &[form.as_slice(), &[("decision", "approve")]].concat());
}

/// `curl` at the hub's pages.
struct Browser {
    place: Place,
    trusted: PathBuf,
    jar: PathBuf,
}

impl Browser {
    fn new(place: &Place, hub: &Path, jar: &Path) -> Self {
        Self { place: place.clone(), trusted: hub.join("server-ca.crt"), jar: jar.into() }
    }

    fn curl(&self, url: &str) -> std::process::Command {
        let mut command = crate::common::visitor::curl(&self.place, &self.trusted, url);
        command.args(["--connect-to", &format!("::{HUB}:443"), "--user-agent", BROWSER]);
        command.arg("--cookie").arg(&self.jar).arg("--cookie-jar").arg(&self.jar);
        command
    }

    fn ask(&self, path: &str, form: &[(&str, &str)]) -> String {
        let mut command = self.curl(&format!("https://{PAGES}{path}"));
        command.args(["-H", &format!("origin: https://{PAGES}")]);
        for (name, value) in form {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        run(command, SOON).ok()
    }
}
