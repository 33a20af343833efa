//! `doctor`: one page that says what works, what does not, and what to do.
//!
//! It looks at files, at the running daemon's own word and at the kernel, and sends nothing: a look-up would be
//! egress, so what is known of the hub is what the daemon knows of its last contact.

mod agent;
mod files;
mod finding;
mod machine;

use super::print::Printer;
use super::{Failed, status, talk};
use crate::card::Exit;
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::run::Options;
use crate::identity::key::KEY_FILE;
use finding::{Finding, Level};
use serde_json::{Value, json};

/// Looks, prints, and exits with 0 when all is well, 3 when something is not, 1 when it could not look.
pub async fn run(rows: &'static [Row], options: &Options, printer: &Printer) -> Exit {
    let request = Request { noun: DAEMON.into(), verb: "examine".into(), args: json!({}) };
    let daemon = talk::ask_running(options, &request).await.map(|answer| answer.map(|a| a.json));
    let mut findings = vec![agent::runs(options, &daemon)];
    let could_look = daemon.is_ok();
    let daemon = daemon.ok().flatten();
    findings.push(files::configuration(rows, options));
    findings.extend(files::state(options, daemon.as_ref()));
    if could_look {
        match gather(rows, options, daemon.is_some()).await {
            Ok(Some(status)) => findings.extend(agent::all(&status, daemon.as_ref(), options)),
            Ok(None) => {
                findings.push(Finding::ok("identity", "no key yet: it is made at the first start"))
            }
            Err(failed) => findings.push(Finding::failed("state", &failed.text)),
        }
    }
    findings.extend(machine::all(options, daemon.as_ref()));
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let exit = match worst {
        _ if !could_look => Exit::Failed,
        Level::Ok => Exit::Done,
        Level::Warn | Level::Bad => Exit::Partial,
    };
    let json = json!({ "ok": exit == Exit::Done, "exit": exit, "findings": findings });
    printer.show(&finding::page(&findings), &json);
    exit
}

/// What `status` says; nothing where a look would make a key.
async fn gather(
    rows: &'static [Row],
    options: &Options,
    runs: bool,
) -> Result<Option<Value>, Failed> {
    if !runs && !options.state_dir.join(KEY_FILE).exists() {
        return Ok(None);
    }
    status::gather(rows, options).await.map(Some)
}
