//! A hub as a process, with the defaults of a real one: HTTPS and sessions on 443, DNS on 53.

use super::net::{HUB, Place};
use super::process::{Process, Ran, run, until};
use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The zone of every test; `.test` names nothing real (RFC 6761 section 6.2).
pub const ZONE: &str = "nas.example.test";
/// The tables that hold something of devices.
pub const TABLES: [&str; 13] = [
    "pending",
    "device",
    "ddns",
    "link_log",
    "restriction",
    "ticket",
    "quarantine",
    "device_key",
    "service",
    "visibility",
    "share",
    "share_invitation",
    "license_seat",
];

const SOON: Duration = Duration::from_secs(20);

/// A hub that serves.
pub struct Hub {
    place: Place,
    dir: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    /// What agents pin.
    pub pin: String,
}

impl Hub {
    /// Makes its directory with `qcloud-hub init` and starts it.
    pub fn start(place: &Place, dir: &Path, init: &[&str]) -> Self {
        let log = dir.with_extension("log");
        let mut hub =
            Self { place: place.clone(), dir: dir.into(), log, process: None, pin: String::new() };
        let (listen, dns) = (format!("{HUB}:443"), format!("{HUB}:53"));
        let mut args = vec!["init", "--zone", ZONE, "--address", HUB];
        if !init.contains(&"--seal-key") {
            args.push("--seal-key-beside-data");
        }
        if !init.contains(&"--listen") {
            args.extend(["--listen", &listen, "--dns", &dns]);
        }
        args.extend(init);
        hub.command(&args).ok();
        hub.serve();
        hub
    }

    /// Starts it again.
    pub fn serve(&mut self) {
        let said = self.log_text().len();
        let mut command = self.program();
        command.args(["serve", "--ready", "--debug", "--dir"]).arg(&self.dir);
        let mut process = Process::spawn("the hub", command, &self.log);
        let ready = until("the hub", SOON, || {
            assert!(process.runs(), "the hub ended: {}", self.log_text());
            let text = self.log_text();
            let line =
                text.get(said..)?.lines().find(|line| line.starts_with("{\"ready\""))?.to_owned();
            serde_json::from_str::<Value>(&line).ok()
        });
        self.pin = ready["pin"].as_str().expect("a pin").into();
        self.process = Some(process);
    }

    fn program(&self) -> Command {
        self.place.command(env!("CARGO_BIN_EXE_qcloud-hub"))
    }

    /// Runs one of its commands.
    pub fn command(&self, args: &[&str]) -> Ran {
        let mut command = self.program();
        command.args(args).arg("--dir").arg(&self.dir);
        run(command, SOON)
    }

    /// The URL agents are told.
    pub fn url(&self) -> String {
        format!("https://hub.{ZONE}")
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the hub serves")
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.take().expect("the hub serves").kill();
    }

    /// Ends it in order.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the hub serves");
        process.signal(Signal::SIGTERM);
        process.ended(SOON)
    }

    /// Stops it in its tracks: its sockets stay open, and nobody answers.
    pub fn freeze(&self) {
        self.process().signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// Its directory: configuration, keys, database.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it logged so far.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The file it logs to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The devices it knows, as `devices --json` says.
    pub fn devices(&self) -> Vec<Value> {
        let text = self.command(&["devices", "--json"]).ok();
        let json: Value = serde_json::from_str(&text).expect("JSON");
        json["devices"].as_array().expect("a list").clone()
    }

    /// How many rows a table of its database has.
    pub fn rows(&self, table: &str) -> u64 {
        let path = self.dir.join("hub.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(&path, flags).expect("the database");
        database.busy_timeout(SOON).expect("a timeout");
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = database.query_row(&sql, [], |row| row.get(0)).expect("a count");
        u64::try_from(count).expect("a count")
    }
}
