//! A person at the hub's pages: `curl` with a jar of cookies, on the internet.

use crate::common::World;
use crate::common::hub::Hub;
use crate::common::net::{HUB, Place};
use crate::common::process::run;
use crate::common::visitor::curl;
use rusqlite::Connection;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Where the pages are.
pub const PAGES: &str = "cloud.example.org";
/// What everybody here signs in with.
pub const PASSWORD: &str = "seven green kettles";

/// The arguments of a hub that has pages.
pub const WITH_PAGES: [&str; 2] = ["--pages", PAGES];

/// A browser of somebody.
pub struct Person {
    place: Place,
    jar: PathBuf,
    certificate: PathBuf,
    /// Who they are; empty for a visitor.
    pub email: String,
}

/// A page as it came.
pub struct Got {
    /// The status.
    pub status: u16,
    /// The headers, in lower case.
    pub head: String,
    /// The rest.
    pub body: String,
}

impl Got {
    /// What a hidden field holds.
    pub fn field(&self, name: &str) -> String {
        let after = self.body.split(&format!("name=\"{name}\" value=\"")).nth(1);
        let after = after.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        after.split('"').next().expect("a value").to_owned()
    }

    /// The language of the page.
    pub fn language(&self) -> &str {
        let after = self.body.split("<html lang=\"").nth(1).expect("a page");
        after.split('"').next().expect("a language")
    }
}

impl Person {
    /// A visitor who never was here.
    pub fn visitor(world: &World, jar: &str) -> Self {
        let certificate = world.hub.dir().join("server-ca.crt");
        let jar = world.scratch.path(jar);
        Self { place: world.net.visitor.clone(), jar, certificate, email: String::new() }
    }

    /// Somebody who took an invitation, and is signed in.
    pub fn invited(world: &World, email: &str) -> Self {
        let person = Self { email: email.into(), ..Self::visitor(world, email) };
        let said = world.hub.command(&["user", "add", email]).ok();
        let path = said.split_whitespace().find_map(|word| {
            let at = word.find("/welcome/")?;
            Some(word[at..].trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '/').into())
        });
        let path: String = path.unwrap_or_else(|| panic!("no link in {said}"));
        let got = person.post(&path, &[("password", PASSWORD), ("again", PASSWORD)]);
        assert_eq!(got.status, 303, "{}", got.body);
        person
    }

    fn curl(&self, path: &str) -> Command {
        let mut command = curl(&self.place, &self.certificate, &format!("https://{PAGES}{path}"));
        command.args(["--include", "--resolve", &format!("{PAGES}:443:{HUB}"), "--cookie"]);
        command.arg(&self.jar).arg("--cookie-jar").arg(&self.jar);
        command
    }

    fn send(command: Command) -> Got {
        let said = run(command, Duration::from_secs(20)).ok();
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said}"));
        let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{head}"));
        Got { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    /// Asks for a page.
    pub fn get(&self, path: &str) -> Got {
        Self::send(self.curl(path))
    }

    /// Asks for a page with these headers.
    pub fn get_with(&self, path: &str, headers: &[String]) -> Got {
        let mut command = self.curl(path);
        for header in headers {
            command.args(["--header", header]);
        }
        Self::send(command)
    }

    fn form(&self, path: &str, form: &[(&str, &str)]) -> Command {
        let mut command = self.curl(path);
        command.args(["--header", &format!("origin: https://{PAGES}")]);
        for (name, value) in form {
            command.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        command
    }

    /// Sends a form.
    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Got {
        Self::send(self.form(path, form))
    }

    /// Sends the form of a page, with its mark.
    pub fn submit(&self, path: &str, form: &[(&str, &str)]) -> Got {
        let mark = self.get(path).field("mark");
        self.post(path, &[form, &[("mark", &mark)]].concat())
    }

    /// The command that sends the form of a page, not run yet.
    pub fn submission(&self, path: &str, form: &[(&str, &str)]) -> Command {
        let mark = self.get(path).field("mark");
        self.form(path, &[form, &[("mark", &mark)]].concat())
    }

    /// Sends the profile with these fields filled in.
    pub fn profile(&self, some: &[(&str, &str)]) -> Got {
        let fields = ["name", "phone", "language", "zone", "findable"];
        let text = |key| some.iter().find(|(known, _)| *known == key).map_or("", |(_, text)| *text);
        let form: Vec<_> = fields.into_iter().map(|key| (key, text(key))).collect();
        self.submit("/account", &form)
    }

    /// Makes a device theirs that was registered by the operator's word.
    pub fn owns(&self, hub: &Hub, device: &str) {
        let database = Connection::open(hub.dir().join("hub.db")).expect("the database");
        database.busy_timeout(Duration::from_secs(20)).expect("a timeout");
        // Accounts count up, and everybody is known to the test in that order.
        let sql = "UPDATE device SET account = (SELECT max(number) FROM account) WHERE ?1 <> ''";
        assert_eq!(database.execute(sql, [device]).expect("an owner"), 1);
    }
}

/// The columns of a table of the hub's database.
pub fn columns(hub: &Hub, table: &str) -> Vec<String> {
    let database = Connection::open(hub.dir().join("hub.db")).expect("the database");
    let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
    let mut statement = database.prepare(sql).expect("a question");
    let names = statement.query_map([table], |row| row.get(0)).expect("an answer");
    names.collect::<Result<_, _>>().expect("names")
}
