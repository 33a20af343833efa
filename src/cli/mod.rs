//! The command line: a tree made from the cards, and everything that is printed.
//!
//! stdout is the answer, stderr the rest, `--json` is stable. An error is one line of what failed on
//! what and why, then a hint.

pub mod acknowledge;
pub mod consent;
pub mod doctor;
pub mod egress;
pub mod facts;
mod license;
pub mod print;
pub mod privacy;
mod reconcile;
mod register;
pub mod report;
mod run;
pub mod status;
pub mod talk;
pub mod tree;
#[cfg(feature = "hub")]
pub mod r#try;

use crate::card::Exit;
use crate::daemon::control::Request;
use crate::daemon::feature::{Answer, Row};
use crate::daemon::run::Options;
use crate::platform::memory;
use crate::platform::privilege;
use crate::platform::{cores, helper};
use clap::ArgMatches;
use core::pin::Pin;
use print::Printer;
use serde_json::Value;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What the runtime (7), the state's directory and lock, the root helper, the control socket and one question take
/// at least.
const DESCRIPTORS: usize = 12;

/// Runs one command line, program name first, and gives the exit code.
pub fn main(rows: &'static [Row], args: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let args: Vec<_> = args.into_iter().collect();
    #[cfg(feature = "hub")]
    if args.get(1).is_some_and(|arg| arg == "hub") {
        // The hub of `try`: `cargo run` builds this program only.
        return crate::hub::cli::main(args.into_iter().skip(1));
    }
    let matches = match tree::command(rows).try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) => return print::usage(&error, &args),
    };
    if matches!(matches.subcommand_name(), Some("run" | helper::VERB)) {
        privilege::close_inherited();
    }
    start_logging(&matches);
    if let Err(error) = descriptors() {
        let text = format!(
            "fewer than {DESCRIPTORS} file descriptors are free: {error}\nhint: ulimit -n 64"
        );
        return Printer::new(matches.get_flag("json")).fail(Exit::Failed, &text);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let printer = Printer::new(matches.get_flag("json"));
    if let Err(error) = memory::close() {
        return printer.fail(Exit::Failed, &format!("cannot close this process's memory: {error}"));
    }
    match runtime {
        Ok(runtime) => {
            // Boxed without its type: the runtime's own code would hold all of it three times.
            let life: Pin<Box<dyn Future<Output = Exit>>> =
                Box::pin(dispatch(rows, &matches, &printer));
            let exit = runtime.block_on(life);
            // A blocked write must not hold up the end of the process.
            runtime.shutdown_background();
            exit
        }
        Err(error) => printer.fail(Exit::Failed, &format!("cannot start: {error}")),
    }
}

async fn dispatch(rows: &'static [Row], matches: &ArgMatches, printer: &Printer) -> Exit {
    let options = options(matches);
    match matches.subcommand() {
        Some(("run", _)) => run::daemon(rows, options, printer).await,
        Some((helper::VERB, sub)) => {
            let user = sub.get_one::<String>("user").map(String::as_str).unwrap_or_default();
            run::root_helper(rows, &options, user, printer).await
        }
        Some(("reset", sub)) => run::reset(rows, &options, sub.get_flag("yes"), printer).await,
        Some(("status", _)) => status::print(rows, &options, None, printer).await,
        Some(("doctor", _)) => doctor::run(rows, &options, printer).await,
        Some(("facts", _)) => facts::print(&options, printer),
        Some((cores::VERB, sub)) => report::cores::take(&options, sub),
        Some(("report", sub)) => report::dispatch(&options, sub, printer).await,
        Some(("egress", sub)) => egress::dispatch(rows, &options, sub, printer).await,
        Some(("consent", sub)) => consent::dispatch(rows, &options, sub, printer).await,
        Some(("privacy", sub)) => match privacy::own(rows, &options, sub, printer).await {
            Some(exit) => exit,
            None => feature(rows, &options, "privacy", sub, printer).await,
        },
        Some(("license", sub)) => match sub.subcommand() {
            Some((verb, matches)) if !["on", "off", "status"].contains(&verb) => {
                license::dispatch(rows, &options, verb, matches, printer).await
            }
            _ => feature(rows, &options, "license", sub, printer).await,
        },
        #[cfg(feature = "hub")]
        Some(("try", sub)) => {
            let agent = sub.get_one::<PathBuf>("agent");
            r#try::run(sub.get_flag("once"), sub.get_one("break"), agent.cloned(), printer).await
        }
        Some((noun, sub)) => feature(rows, &options, noun, sub, printer).await,
        None => Exit::Usage,
    }
}

/// Whether there are enough descriptors to begin: without some of its own the runtime panics.
fn descriptors() -> std::io::Result<()> {
    let one = || std::io::stderr().as_fd().try_clone_to_owned();
    core::iter::repeat_with(one).take(DESCRIPTORS).collect::<Result<Vec<_>, _>>().map(drop)
}

/// A verb of a feature's card, or `on`, `off` and `status`.
async fn feature(
    rows: &'static [Row],
    options: &Options,
    noun: &str,
    sub: &ArgMatches,
    printer: &Printer,
) -> Exit {
    let top = |row: &&Row| row.card.verbs.iter().any(|verb| verb.top && verb.name == noun);
    let (feature, verb, matches) = match rows.iter().find(top) {
        Some(row) => (row.card.name, noun, sub),
        None => match sub.subcommand() {
            Some(("status", _)) => return status::print(rows, options, Some(noun), printer).await,
            Some((verb, matches)) => (noun, verb, matches),
            None => return Exit::Usage,
        },
    };
    let mut args = tree::arguments(rows, feature, verb, matches);
    if let Some(why) = tree::refused(rows, feature, verb, matches) {
        return printer.fail(Exit::Usage, why);
    }
    if verb == "register" {
        if let Err(failed) = register::complete(options, &mut args) {
            return printer.fail(failed.exit, &failed.text);
        }
        let row = rows.iter().find(|row| row.card.name == feature);
        if let Some(row) = row.filter(|_| !crate::sabotage::off("register-announced")) {
            egress::announce(row.card);
        }
    }
    let request = Request { noun: feature.into(), verb: verb.into(), args };
    match talk::ask(rows, options, request, |progress| printer.progress(&progress)).await {
        Ok(answer) => printer.answer(&answer),
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}

fn options(matches: &ArgMatches) -> Options {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    Options {
        state_dir: path("state").unwrap_or_else(|| crate::daemon::run::DEFAULT_STATE.into()),
        config_path: path("config"),
        root: path("root").unwrap_or_else(|| "/".into()),
    }
}

/// Logs go to stderr; without journald a service manager or an init script decides where that leads.
fn start_logging(matches: &ArgMatches) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let ours = match (matches.subcommand_name(), matches.get_count("verbose")) {
        (_, 2..) => LevelFilter::TRACE,
        (_, 1) => LevelFilter::DEBUG,
        (Some("run"), _) => LevelFilter::INFO,
        _ => LevelFilter::ERROR,
    };
    let targets = Targets::new().with_target("qcloud_agent", ours).with_default(LevelFilter::ERROR);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    // A second call in one process keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
}

/// A command that could not be asked.
pub struct Failed {
    /// The exit code.
    pub exit: Exit,
    /// One line, perhaps with a hint.
    pub text: String,
}

impl From<Failed> for Answer {
    fn from(failed: Failed) -> Self {
        Self::failed(failed.exit, failed.text)
    }
}

/// A member of a JSON object as text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
