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
use core::time::Duration;
use finding::{Finding, Level};
use serde_json::{Value, json};

/// The daemon answers in milliseconds; one that hangs is a finding, not a reason to hang too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks, prints, and exits with 0 when all is well, 3 when something is not, 1 when it could not look.
pub async fn run(rows: &'static [Row], options: &Options, printer: &Printer) -> Exit {
    let daemon = examine(options).await;
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

/// The daemon's own facts; nothing when none runs.
async fn examine(options: &Options) -> Result<Option<Value>, Failed> {
    let request = Request { noun: DAEMON.into(), verb: "examine".into(), args: json!({}) };
    match tokio::time::timeout(PATIENCE, talk::ask_running(options, &request)).await {
        Ok(answer) => answer.map(|answer| answer.map(|answer| answer.json)),
        Err(_) => Err(Failed {
            exit: Exit::Failed,
            text: format!(
                "it runs on {} and does not answer in {} s\nhint: start it anew: systemctl restart qcloud-agent",
                options.state_dir.display(),
                PATIENCE.as_secs()
            ),
        }),
    }
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
