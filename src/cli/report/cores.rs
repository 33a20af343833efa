//! `report cores`: whether this program takes the memory images of others that crash; and the taking itself.

use super::super::print::{Printer, chain};
use crate::card::Exit;
use crate::daemon::run::Options;
use crate::platform::cores::{self, CoresError, Stands};
use crate::platform::root::Root;
use crate::report::crash::elf;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The noun.
pub fn noun() -> Command {
    let only = Arg::new("only")
        .long("only")
        .value_name("NAME")
        .action(ArgAction::Append)
        .help("Keep crashes of this program alone; may be given several times");
    Command::new("cores")
        .about("Keep what is needed of other programs' crashes for a crash report, until the next boot")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("on").about("Take the kernel's memory images").arg(only))
        .subcommand(Command::new("off").about("Give them back to whoever took them before"))
        .subcommand(Command::new("status").about("Show who takes them, and how many are kept"))
}

/// What the kernel starts; nobody types it.
pub fn taker() -> Command {
    let one = |name: &'static str| Arg::new(name).required(true);
    Command::new(cores::VERB)
        .hide(true)
        .args([one("pid"), one("signal"), one("at")])
        .arg(Arg::new("name").num_args(0..).allow_hyphen_values(true).last(true))
}

/// Runs it.
pub fn dispatch(options: &Options, matches: &ArgMatches, printer: &Printer) -> Exit {
    let root = Root::new(&options.root);
    let done = match matches.subcommand() {
        Some(("on", sub)) => {
            let only: Vec<String> = sub.get_many("only").into_iter().flatten().cloned().collect();
            let program = std::env::current_exe();
            let program =
                program.map_err(|source| CoresError::System { what: "find this program", source });
            program.and_then(|program| cores::on(&root, &program, &only))
        }
        Some(("off", _)) => cores::off(&root),
        Some(_) | None => cores::stands(&root),
    };
    match done {
        Ok(stands) => {
            let json = serde_json::to_value(&stands).unwrap_or_default();
            printer.show(&text(&stands), &json)
        }
        Err(error) => {
            let hint = match &error {
                CoresError::Taken(_) => {
                    "leave it to that one; a crash report lists what it kept: qcloud-agent report --crash"
                }
                CoresError::TooLong(_) => "install the program at a shorter path",
                CoresError::System { .. } => "run it as root",
            };
            printer.fail(Exit::Failed, &format!("{}\nhint: {hint}", chain(&error)))
        }
    }
}

fn text(stands: &Stands) -> String {
    let Stands { on, pattern, only, kept } = stands;
    let what = if only.is_empty() { "every program".to_owned() } else { only.join(", ") };
    let state = if *on {
        format!(
            "on: crashes of {what} are kept, until the next boot\nundo: qcloud-agent report cores off"
        )
    } else {
        "off".to_owned()
    };
    format!(
        "{state}\ncore_pattern is {}\n{kept} crashes are kept in {}",
        pattern.escape_debug(),
        cores::DIR
    )
}

/// Takes one memory image from stdin. Whatever happens the kernel hears nothing of it: there is nobody to tell.
pub fn take(options: &Options, matches: &ArgMatches) -> Exit {
    let root = Root::new(&options.root);
    let word = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let words: Vec<String> = matches.get_many("name").into_iter().flatten().cloned().collect();
    let (name, pid) = (words.join(" "), word("pid").parse().unwrap_or_default());
    let at: u64 = word("at").parse().unwrap_or_default();
    if !cores::is_wanted(&root, &name) {
        return Exit::Done;
    }
    let seconds = u32::try_from(at).unwrap_or_default();
    let kept = elf::read(&mut std::io::stdin().lock(), pid, seconds).and_then(|mut crash| {
        crash.signal = word("signal").parse().unwrap_or(crash.signal);
        cores::keep(&root, (at, pid, &name), &crash.write())
    });
    match kept {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Busy,
        Err(error) => {
            tracing::error!(%error, pid, "a memory image was not kept");
            Exit::Failed
        }
    }
}
