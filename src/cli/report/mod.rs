//! `report`: makes the archive, lists it, shows it. It opens no connection but the agent's own socket.

mod agent;
mod ask;
pub mod cores;
mod look;
mod told;

use super::Failed;
use super::print::{Printer, err};
use crate::card::Exit;
use crate::clock::{Clock, Wall};
use crate::daemon::run::Options;
use crate::platform::facts::Facts;
use crate::platform::facts::live::rooms;
use crate::platform::priority;
use crate::platform::root::Root;
use crate::platform::seccomp::close_network;
use crate::report::{Order, make};
pub use ask::noun;
use clap::ArgMatches;
use core::time::Duration;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use told::Shown;

/// Where reports are kept on a data volume.
const FOLDER: &str = "qcloud-reports";

/// Runs it.
pub async fn dispatch(options: &Options, matches: &ArgMatches, printer: &Printer) -> Exit {
    if let Some(("view", sub)) = matches.subcommand() {
        let file = sub.get_one::<PathBuf>("file").cloned().unwrap_or_default();
        return match sub.get_one::<String>("entry") {
            Some(entry) => look::show(&file, entry, printer),
            None => look::list(&file, printer),
        };
    }
    if let Some(("cores", sub)) = matches.subcommand() {
        return cores::dispatch(options, sub, printer);
    }
    match made(options, matches, printer).await {
        Ok(exit) => exit,
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}

async fn made(options: &Options, matches: &ArgMatches, printer: &Printer) -> Result<Exit, Failed> {
    let asked = ask::options(matches, options)?;
    if matches.get_flag("list") {
        return Ok(look::preview(&asked, printer));
    }
    let root = Root::new(&options.root);
    // Nothing is sent while a report is made, by whatever it starts either: the box's own programs are not trusted
    // with that. Where the kernel has no filter, it is only that nothing here sends.
    close_network(asked.pcap.is_some());
    // A box in trouble must not get more of it.
    priority::stand_back();
    let facts = Facts::read(&root);
    let (dir, name) = match matches.get_one::<PathBuf>("out") {
        Some(out) => ask::place(out)?,
        None => default_place(&root, &facts),
    };
    let agent = agent::said(options, &root, asked.crash).await;
    let order = Order {
        root: &root,
        clock: &Clock::system(Wall::default()),
        agent: &agent,
        dir: &dir,
        name,
        facts: &facts,
        options: &asked,
    };
    let shown = Shown::of(printer);
    let _watched = watch(5 * asked.time());
    let made = make(&order, &mut |progress| shown.draw(&progress));
    shown.clear();
    Ok(match made {
        Ok(made) => told::answer(&made, printer),
        Err(error) => told::refuse(&error, printer),
    })
}

/// Ends this process when a report takes several times its time: then something in the kernel does not answer, and there is
/// nobody to wait for it. Nothing is left behind, as after any other end.
fn watch(time: Duration) -> Sender<()> {
    let (alive, ended) = channel();
    std::thread::spawn(move || {
        if ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
            err(
                "qcloud-agent: the report was given up: the system does not answer\nhint: dmesg | tail",
            );
            std::process::exit(Exit::Failed.code().into());
        }
    });
    alive
}

/// The report folder of the data volume with the most room, else the current directory.
fn default_place(root: &Root, facts: &Facts) -> (PathBuf, Option<OsString>) {
    let volumes = facts.volumes.value.as_deref().unwrap_or_default();
    let rooms = rooms(root, volumes);
    let largest = rooms.iter().max_by_key(|room| room.free_bytes);
    let made = largest.and_then(|room| {
        let dir = root.path(&room.path).join(FOLDER);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).ok()?;
        Some(dir)
    });
    (made.unwrap_or_else(|| PathBuf::from(".")), None)
}
