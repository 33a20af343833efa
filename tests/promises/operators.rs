//! A hub with pages, people at them, local users who run it, and a mail server.

use crate::common::World;
use crate::common::net::{HUB, Line, Place};
use crate::common::process::{Ran, run};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const PAGES: &str = "cloud.example.org";
pub const ANNA: &str = "anna.berg@mail.example.org";
pub const PASSWORD: &str = "seven green kettles";
/// Local users without a name on any machine.
pub const SUPPORT: u32 = 54_321;
pub const PRIVACY: u32 = 54_322;
pub const NOBODY: u32 = 54_323;
const SOON: Duration = Duration::from_secs(20);

/// Operators of every role, and metrics.
pub const SETTINGS: &str = "
[operators]
54321 = \"support\"
54322 = \"privacy\"
[metrics]
listen = \"127.0.0.1:9464\"
";

/// A hub with pages and these sections more in its configuration.
pub fn world(settings: &str) -> World {
    let mut world = World::with_hub(Line::Direct, &["--pages", PAGES]);
    world.hub.stop();
    let path = world.hub.dir().join("hub.toml");
    let text = std::fs::read_to_string(&path).expect("a configuration");
    std::fs::write(&path, format!("{text}{settings}")).expect("a configuration");
    world.hub.serve();
    world
}

/// Runs a command of the hub as a local user.
pub fn as_user(world: &World, uid: u32, args: &[&str]) -> Ran {
    let mut command = world.net.hub.command("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    command.args(["--clear-groups", env!("CARGO_BIN_EXE_qcloud-hub")]);
    command.args(args).arg("--dir").arg(world.hub.dir());
    run(command, SOON)
}

/// The same as root; its JSON.
pub fn json(world: &World, args: &[&str]) -> Value {
    let text = world.hub.command(&[args, &["--json"]].concat()).ok();
    serde_json::from_str(&text).expect("JSON")
}

/// The path of a fresh invitation.
pub fn invite(world: &World, email: &str) -> String {
    let said = json(world, &["user", "add", email]);
    let link = said["invitation"].as_str().expect("a link").to_owned();
    link.strip_prefix(&format!("https://{PAGES}")).expect("a path").to_owned()
}

/// Somebody's browser somewhere.
pub struct Browser<'a> {
    world: &'a World,
    place: &'a Place,
    jar: PathBuf,
    pub agent: &'static str,
}

impl<'a> Browser<'a> {
    pub fn new(world: &'a World, place: &'a Place, name: &str) -> Self {
        Self { world, place, jar: world.scratch.path(name), agent: "Mozilla/5.0 (Kestrel 7)" }
    }

    /// Somebody who has just set a password.
    pub fn of(world: &'a World, place: &'a Place, email: &str) -> Self {
        let browser = Self::new(world, place, email);
        let form = [("password", PASSWORD), ("again", PASSWORD)];
        assert_eq!(browser.post(&invite(world, email), &form).0, 303, "the password is not set");
        browser
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.fetch(path, &[])
    }

    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        self.fetch(path, form)
    }

    pub fn sign_in(&self, email: &str, password: &str) -> u16 {
        self.post("/sign-in", &[("email", email), ("password", password)]).0
    }

    fn fetch(&self, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let mut command = self.place.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "15", "--noproxy", "*"]);
        command.args(["--user-agent", self.agent, "--write-out", "\n%{http_code}"]);
        command.args(["--resolve", &format!("{PAGES}:443:{HUB}")]);
        command.arg("--cacert").arg(self.world.hub.dir().join("server-ca.crt"));
        command.arg("--cookie-jar").arg(&self.jar).arg("--cookie").arg(&self.jar);
        command.args(["--header", &format!("Origin: https://{PAGES}")]);
        for (name, value) in form {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        command.arg(format!("https://{PAGES}{path}"));
        let said = run(command, SOON).ok();
        let (text, code) = said.rsplit_once('\n').expect("a status");
        (code.parse().expect("a number"), text.to_owned())
    }
}

/// Asks the listener of health and metrics.
pub fn ask(world: &World, path: &str) -> (u16, String) {
    let mut command = world.net.hub.command("curl");
    command.args([
        "--silent",
        "--max-time",
        "10",
        "--noproxy",
        "*",
        "--write-out",
        "\n%{http_code}",
    ]);
    command.arg(format!("http://127.0.0.1:9464{path}"));
    let said = run(command, SOON).stdout;
    let (text, code) = said.rsplit_once('\n').unwrap_or_default();
    (code.parse().unwrap_or_default(), text.to_owned())
}

/// The value of a sample, such as `name{label="value"}`.
pub fn sample(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// A mail server on the hub's loopback that takes everything.
pub struct Sink {
    letters: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub fn open(place: &Place, port: u16) -> Self {
        let listener = place.inside(|| TcpListener::bind(("127.0.0.1", port)).expect("a port"));
        let letters = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&letters);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(stream, &kept));
            }
        });
        Self { letters }
    }

    /// The letters that came, each with its envelope.
    pub fn letters(&self) -> Vec<String> {
        self.letters.lock().expect("nobody panics here").clone()
    }
}

fn take(mut stream: TcpStream, letters: &Mutex<Vec<String>>) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines();
    let (mut letter, mut in_data) = (String::new(), false);
    stream.write_all(b"220 sink\r\n").ok()?;
    for line in lines {
        let line = line.ok()?;
        let answer = match (in_data, line.as_str()) {
            (true, ".") => {
                in_data = false;
                letters.lock().ok()?.push(core::mem::take(&mut letter));
                "250 ok\r\n"
            }
            (true, _) => "",
            (false, "DATA") => {
                in_data = true;
                "354 go on\r\n"
            }
            (false, "QUIT") => "221 bye\r\n",
            (false, _) => "250 ok\r\n",
        };
        let _ = writeln!(letter, "{line}");
        stream.write_all(answer.as_bytes()).ok()?;
    }
    Some(())
}
