//! `try`: a device's life on this machine, for whoever has five minutes.
//!
//! A real hub and a real agent run as processes of their own on loopback, with a small web page that
//! stands for the NAS's own interface and a gateway that stands for the home router: the agent
//! reaches the hub through it, and its outside address can change as a provider changes one.

mod browser;
mod gateway;
mod license;
mod page;
mod stage;
mod steps;
mod visitor;

use super::print::{self, Printer};
use super::text;
use crate::card::Exit;
use crate::daemon::watch::Signals;
use core::pin::pin;
use core::time::Duration;
use serde_json::json;
use stage::Stage;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use steps::{Break, Step};
use tokio::time::{Instant, sleep};

/// What `--break` can break.
pub const BREAKS: [&str; 5] = ["hub", "dns", "service", "receipt", "report"];

/// How often the status line follows.
const FOLLOW: Duration = Duration::from_secs(1);

/// Runs the stage: once through all steps, or up and open until Ctrl-C. The agent is this program, or another one
/// that the path names.
pub async fn run(
    once: bool,
    broken: Option<&String>,
    agent: Option<PathBuf>,
    printer: &Printer,
) -> Exit {
    let mut told = pin!(told_to_end());
    let started = tokio::select! {
        started = Stage::start(agent) => started,
        why = &mut told => Err(why),
    };
    let mut stage = match started {
        Ok(stage) => stage,
        Err(why) => return printer.fail(Exit::Failed, &format!("cannot set the stage: {why}")),
    };
    let broken = broken.and_then(|name| Break::parse(name));
    let play = async {
        if !once {
            return show(&mut stage).await;
        }
        let steps = steps::all(&mut stage, broken, |step| {
            if !printer.is_json() {
                tell(step);
            }
        })
        .await;
        conclude(&steps, printer)
    };
    let exit = tokio::select! {
        exit = play => exit,
        why = &mut told => {
            print::err(&format!("\nqcloud-agent: {why}"));
            // To be ended is how it ends, unless it was to come to a result.
            if once { Exit::Failed } else { Exit::Done }
        }
    };
    stage.strike().await;
    exit
}

/// Completes, with the reason, when this program shall end: what it started would stay otherwise.
async fn told_to_end() -> String {
    match Signals::open() {
        Ok(mut signals) => {
            signals.next().await;
            "ended by a signal".into()
        }
        Err(error) => format!("no signal is heard: {error}"),
    }
}

fn tell(step: &Step) {
    let mark = if step.ok { "ok    " } else { "FAILED" };
    print::out(&format!("{mark} {:<20} {:>6} ms  {}", step.name, step.ms, step.detail));
}

fn conclude(steps: &[Step], printer: &Printer) -> Exit {
    let ok = steps.iter().all(|step| step.ok);
    if printer.is_json() {
        print::out(&json!({ "ok": ok, "steps": steps }).to_string());
    } else {
        let failed = steps.iter().filter(|step| !step.ok).count();
        print::out(&format!("{} steps, {failed} failed", steps.len()));
    }
    if ok { Exit::Done } else { Exit::Failed }
}

/// Brings everything up and says what can be tried next.
async fn show(stage: &mut Stage) -> Exit {
    for step in [steps::register(stage).await, steps::switch_on(stage).await] {
        tell(&step);
        if !step.ok {
            return Exit::Failed;
        }
    }
    let device = stage.status().await.map(|status| text(&status, "device").to_owned());
    let path = format!("/device/{}", device.unwrap_or_default());
    match browser::link(stage, &path).await {
        Ok(link) => print::out(&invitation(stage, &browser::url(stage, &link))),
        Err(why) => {
            print::err(&format!("qcloud-agent: {why}"));
            return Exit::Failed;
        }
    }
    follow(stage).await
}

fn invitation(stage: &Stage, page: &str) -> String {
    let (dns, hub, state_dir) = (stage.dns(), stage.hub(), stage.state_dir());
    let state = state_dir.display();
    let agent = stage.program().display();
    format!(
        "\nA hub, an agent and a web page run on loopback, in {dir}.\n\
         The device registered itself, and this program approved it at the hub's pages after comparing the check words;\n\
         at home you do that by hand. DDNS and link are on, and one service is published.\n\n\
         Ask its name:      dig @{ip} -p {port} {name} A +short\n\
         Fetch its page through the relay; TLS ends on the device:\n\
         {pad}curl --cacert {cert} --connect-to {link}:443:{hub} https://{link}/\n\
         See what left:     {agent} --state {state} egress ledger\n\
         See how it is:     {agent} --state {state} status\n\
         Switch it off:     {agent} --state {state} ddns off\n\
         Be forgotten:      {agent} --state {state} unregister\n\n\
         Ctrl-C ends it and removes everything.\n\n\
         See your device in a browser. The link signs you in and is good once; the certificate is the hub's own,\n\
         so that the browser warns:\n\
         {page}",
        dir = stage.dir().display(),
        ip = dns.ip(),
        port = dns.port(),
        name = stage.ddns_host(),
        link = stage.link_host(),
        cert = stage.certificate_path().display(),
        pad = "                   ",
    )
}

/// A status line that follows, until one of the processes ends.
async fn follow(stage: &mut Stage) -> Exit {
    let terminal = std::io::stdout().is_terminal();
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        let status = stage.status().await.unwrap_or_default();
        let line =
            status["features"].as_array().into_iter().flatten().fold(String::new(), |line, f| {
                format!("{line}{}: {}   ", text(f, "name"), text(f, "summary"))
            });
        if terminal {
            let seconds = begun.elapsed().as_secs();
            let shown: String = line.chars().take(150).collect();
            let _ = write!(std::io::stdout().lock(), "\r\x1b[K{seconds:>4} s  {shown}");
            let _ = std::io::stdout().lock().flush();
        } else if line != last {
            print::out(&line);
            last = line;
        }
        tokio::select! {
            who = stage.somebody_died() => {
                print::err(&format!("\nqcloud-agent: the {who} ended"));
                return Exit::Failed;
            }
            () = sleep(FOLLOW) => {}
        }
    }
}
