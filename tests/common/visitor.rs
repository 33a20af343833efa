//! Visitors from the internet: `dig`, `curl` and `openssl`, which know nothing of this project.

use super::net::{HUB, Place};
use super::process::{Ran, run};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What DNS said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN` … or why there was none.
    pub status: String,
    /// Whether the server speaks for the zone.
    pub authoritative: bool,
    /// The records' values.
    pub values: Vec<String>,
}

impl Answer {
    /// An authoritative answer with this one address.
    pub fn address(ip: &str) -> Self {
        Self { status: "NOERROR".into(), authoritative: true, values: vec![ip.into()] }
    }

    /// An authoritative "there is no such name".
    pub fn no_such_name() -> Self {
        Self { status: "NXDOMAIN".into(), authoritative: true, values: Vec::new() }
    }
}

/// Asks the hub's name server, over TCP if `over` is `+tcp`.
pub fn dig(from: &Place, name: &str, kind: &str, over: &str) -> Answer {
    let mut command = from.command("dig");
    command.args([&format!("@{HUB}"), name, kind, over]);
    command.args(["+norecurse", "+tries=1", "+time=2", "+noedns"]);
    let ran = run(command, Duration::from_secs(10));
    let text = &ran.stdout;
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest).unwrap_or_default();
    let status = after("status: ").split(',').next().unwrap_or_default();
    let flags = after(";; flags: ").split(';').next().unwrap_or_default();
    let section = after(";; ANSWER SECTION:\n").split("\n\n").next().unwrap_or_default();
    let values = section.lines().filter_map(|line| line.split_whitespace().last());
    Answer {
        status: if status.is_empty() { text.trim().into() } else { status.into() },
        authoritative: flags.split_whitespace().any(|flag| flag == "aa"),
        values: values.map(String::from).collect(),
    }
}

/// A `curl` for this URL that trusts only this certificate and finds the host by its name servers.
pub fn curl(from: &Place, trusted: &Path, url: &str) -> Command {
    let mut command = from.command("curl");
    command.args(["--silent", "--show-error", "--max-time", "10", "--noproxy", "*", "--cacert"]);
    command.arg(trusted).arg(url);
    command
}

/// Fetches a page by name.
pub fn fetch(from: &Place, trusted: &Path, url: &str) -> Ran {
    run(curl(from, trusted, url), Duration::from_secs(20))
}

/// Speaks TLS to the hub's port with `openssl s_client` and these words.
pub fn hello(from: &Place, words: &[&str]) -> Ran {
    let mut command = from.command("openssl");
    command.args(["s_client", "-connect", &format!("{HUB}:443")]).args(words);
    run(command, Duration::from_secs(20))
}

/// Whether the relay refuses this name in its one way, the TLS alert `unrecognized_name` (112), before
/// any certificate.
pub fn is_refused(from: &Place, name: &str) -> bool {
    let said = hello(from, &["-servername", name]);
    said.stderr.contains("alert number 112") && !said.stdout.contains("BEGIN CERTIFICATE")
}
