//! `report`: makes the archive, lists it, shows it. It opens no connection but the agent's own socket.

use super::print::{Printer, chain, err};
use super::talk;
use crate::card::Exit;
use crate::clock::{Clock, Wall};
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::run::Options;
use crate::platform::facts::Facts;
use crate::platform::facts::live::Running;
use crate::platform::root::Root;
use crate::report::output::OutputError;
use crate::report::recipe::SERVER;
use crate::report::{Made, Order, Progress, ReportError, make, view};
use crate::wire::label::printable;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where reports are kept on a data volume.
const FOLDER: &str = "qcloud-reports";

/// The noun.
pub fn noun() -> Command {
    let file =
        || Arg::new("file").value_name("FILE").required(true).value_parser(value_parser!(PathBuf));
    Command::new("report")
        .about(
            "Make a report of this box for a support engineer; it never leaves the box by itself",
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where it is written [the largest data volume, else here]"),
        )
        .arg(
            Arg::new("exclude")
                .long("exclude")
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .help("Leave sections out, such as 'logs/*'"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .action(ArgAction::SetTrue)
                .help("Show what would be in it, and make none"),
        )
        .args_conflicts_with_subcommands(true)
        .subcommand(
            Command::new("view")
                .about("List what is in a report and check it, or show one part of it")
                .arg(file().help("The report"))
                .arg(
                    Arg::new("entry")
                        .value_name("ENTRY")
                        .help("The part to show, such as report.txt"),
                ),
        )
}

/// Runs it.
pub async fn dispatch(options: &Options, matches: &ArgMatches, printer: &Printer) -> Exit {
    if let Some(("view", sub)) = matches.subcommand() {
        let file = sub.get_one::<PathBuf>("file").cloned().unwrap_or_default();
        return match sub.get_one::<String>("entry") {
            Some(entry) => show(&file, entry, printer),
            None => list(&file, printer),
        };
    }
    if matches.get_flag("list") {
        return preview(printer);
    }
    let root = Root::new(&options.root);
    let dir = match matches.get_one::<PathBuf>("out") {
        Some(dir) => dir.clone(),
        None => default_dir(&root),
    };
    let agent = if root.is_live() { agent(options).await } else { Value::Null };
    let exclude: Vec<String> = matches.get_many("exclude").into_iter().flatten().cloned().collect();
    let order = Order {
        root: &root,
        clock: &Clock::system(Wall::default()),
        agent: &agent,
        dir: &dir,
        exclude: &exclude,
        argv: std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect(),
    };
    let bar = std::io::stderr().is_terminal() && !printer.is_json();
    let made = make(&order, &mut |progress| {
        if bar {
            draw(&progress)
        }
    });
    if bar {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    match made {
        Ok(made) => answer(&made, printer),
        Err(error) => refuse(&error, printer),
    }
}

/// What the running agent says; nothing of a stopped one is touched.
async fn agent(options: &Options) -> Value {
    let ask = async |verb: &str| {
        let request = Request { noun: DAEMON.into(), verb: verb.into(), args: json!({}) };
        match talk::ask_running(options, &request).await {
            Ok(Some(answer)) => answer.json,
            Ok(None) | Err(_) => Value::Null,
        }
    };
    json!({ "status": ask("status").await })
}

/// The report folder of the data volume with the most room, else the current directory.
fn default_dir(root: &Root) -> PathBuf {
    let volumes = Facts::read(root).volumes.value.unwrap_or_default();
    let running = Running::read(root, &volumes);
    let rooms = running.map(|running| running.volumes).unwrap_or_default();
    let largest = rooms.iter().max_by_key(|room| room.free_bytes);
    let made = largest.and_then(|room| {
        let dir = root.path(&room.path).join(FOLDER);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).ok()?;
        Some(dir)
    });
    made.unwrap_or_else(|| PathBuf::from("."))
}

fn draw(progress: &Progress) {
    const WIDTH: usize = 30;
    let done = progress.done * WIDTH / progress.all.max(1);
    let bar = "#".repeat(done);
    let _ = write!(std::io::stderr(), "\r\x1b[K[{bar:<WIDTH$}] {}", progress.section);
}

fn answer(made: &Made, printer: &Printer) -> Exit {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "{}", made.path.display());
    let _ = writeln!(
        text,
        "{} KiB, {} of {} sections whole, manifest {}",
        made.bytes / 1024,
        made.whole,
        made.sections,
        made.manifest_sha256
    );
    for finding in &made.findings {
        let place = finding.evidence.first().map(|one| one.place.as_str()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:?}: {} ({} times, {place})",
            finding.severity, finding.text, finding.count
        );
    }
    if made.open_to_others {
        let _ = writeln!(
            text,
            "this file system knows no permissions: whoever has it can read the report"
        );
    }
    if made.denied > 0 {
        let _ = writeln!(
            text,
            "{} sections miss what only root can read\nhint: run it as root",
            made.denied
        );
    }
    let _ =
        writeln!(text, "nothing was sent. hint: qcloud-agent report view {}", made.path.display());
    let json = serde_json::to_value(made).unwrap_or_default();
    printer.show(&text, &json);
    if made.removed.is_empty() && made.denied == 0 { Exit::Done } else { Exit::Partial }
}

fn refuse(error: &ReportError, printer: &Printer) -> Exit {
    let (exit, hint) = match error {
        ReportError::Output(OutputError::NoSpace { .. }) => {
            (Exit::NoSpace, "qcloud-agent report --out DIR, with more room")
        }
        ReportError::Output(OutputError::Busy { .. }) => {
            (Exit::Busy, "wait for it to end, or give another --out DIR")
        }
        ReportError::Write(source) if source.raw_os_error() == Some(nix::libc::ENOSPC) => {
            (Exit::NoSpace, "qcloud-agent report --out DIR, with more room")
        }
        ReportError::Output(_) | ReportError::Write(_) | ReportError::Random => {
            (Exit::Failed, "qcloud-agent report --out DIR")
        }
    };
    printer.fail(exit, &format!("{}\nhint: {hint}", chain(error)))
}

/// What would be in a report.
fn preview(printer: &Printer) -> Exit {
    let mut text = String::new();
    let mut all = Vec::new();
    for section in SERVER {
        let _ = writeln!(text, "{:<34} {}", section.path, section.title);
        all.push(json!({ "path": section.path, "title": section.title, "sensitivity": section.sensitivity }));
    }
    printer.show(&text, &json!(all))
}

fn list(file: &Path, printer: &Printer) -> Exit {
    let entries = match view::list(file) {
        Ok(entries) => entries,
        Err(error) => return unreadable(file, &error, printer),
    };
    let mut text = String::new();
    for entry in &entries {
        let mark = match entry.verified {
            Some(true) => "ok",
            Some(false) => "ALTERED",
            None => "-",
        };
        let status = super::text(&entry.says, "status");
        let path = printable(&entry.path, 200);
        let _ = writeln!(text, "{mark:<8} {status:<8} {:>9}  {path}", entry.bytes);
    }
    let is_whole = entries.iter().all(|entry| entry.verified != Some(false));
    let json = serde_json::to_value(&entries).unwrap_or_default();
    if !is_whole {
        err(&text);
        let what = format!("{} is not what its manifest says\nhint: make it again", file.display());
        return printer.fail(Exit::Failed, &what);
    }
    printer.show(&text, &json)
}

fn show(file: &Path, entry: &str, printer: &Printer) -> Exit {
    let mut bytes = Vec::new();
    match view::show(file, entry, &mut bytes) {
        Ok(()) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            printer.show(&text, &json!({ "path": entry, "text": text }))
        }
        Err(error) => unreadable(file, &error, printer),
    }
}

fn unreadable(file: &Path, error: &std::io::Error, printer: &Printer) -> Exit {
    let text = format!(
        "cannot look into {}: {error}\nhint: qcloud-agent report view FILE",
        file.display()
    );
    printer.fail(Exit::Failed, &text)
}
