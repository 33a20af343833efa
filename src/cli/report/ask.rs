//! What may be asked of a report on the command line.

use super::super::Failed;
use super::super::acknowledge::acknowledge;
use crate::card::Exit;
use crate::daemon::run;
use crate::platform::capture::Wanted;
use crate::platform::root::Root;
use crate::report::age::{Recipient, RecipientError};
use crate::report::options::{Acknowledged, Form, Options};
use crate::report::pseudonym::Kind;
use crate::wire::label::printable;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a crash report says before it asks for its word.
const CRASH: &str = "\
A crash report holds parts of the memory of programs, what they do, and, where asked for, what the network carried:
passwords, pictures and letters of people can be among it, and not all of that can be found and taken out.
Give it only to whom you would give these, best with --recipient, which lets nobody else read it.";
/// The word.
const WORD: &str = "crash";

/// The noun.
pub fn noun() -> Command {
    let path = || value_parser!(PathBuf);
    let file = || Arg::new("file").value_name("FILE").required(true).value_parser(path());
    let entry = Arg::new("entry").value_name("ENTRY");
    Command::new("report")
        .about(
            "Make a report of this box for a support engineer; it never leaves the box by itself",
        )
        .args(arguments())
        .args_conflicts_with_subcommands(true)
        .subcommand(super::cores::noun())
        .subcommand(
            Command::new("view")
                .about("List what is in a report and check it, or show one part of it")
                .arg(file().help("The report"))
                .arg(entry.help("The part to show, such as report.txt")),
        )
}

fn arguments() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    vec![
        flag("crash", "Add what crashed: memory of programs, what they do; asks for a typed word"),
        value("format", "FORM", "In which form it is given [zip-image]")
            .value_parser(Form::ALL.map(|(name, _)| name)),
        value("out", "PATH", "Where it is written [the largest data volume, else here]")
            .value_parser(value_parser!(PathBuf)),
        flag("list", "Show what would be in it, and make none"),
        value("exclude", "PATTERN", "Leave sections out, such as 'logs/*'")
            .action(ArgAction::Append),
        value(
            "pseudonymize",
            "KINDS",
            "Give users, hosts, ips, macs other names, such as [user:1]",
        )
        .value_delimiter(',')
        .action(ArgAction::Append)
        .value_parser(Kind::ALL.map(|(name, _)| name)),
        value("recipient", "KEY", "Encrypt it for this age key, or those in this file")
            .action(ArgAction::Append),
        flag("no-image", "Leave the picture of the screen out"),
        value("pcap", "IF:SECS:BYTES", "With --crash, look at the heads of an interface's packets")
            .value_parser(Wanted::from_str)
            .requires("crash"),
        flag("yes", "Agree to what a word would be asked for, in scripts"),
    ]
}

/// What is asked for.
///
/// # Errors
/// [`Exit::Consent`] when nobody agreed to what needs it.
pub fn options(matches: &ArgMatches, run: &run::Options) -> Result<Options, Failed> {
    let form = matches.get_one::<String>("format").and_then(|name| Form::parse(name));
    let form = form.unwrap_or_default();
    let recipients = recipients(matches)?;
    let crash = matches.get_flag("crash");
    let acknowledged = if crash && !matches.get_flag("list") {
        acknowledge(CRASH, WORD, matches.get_flag("yes"))?
    } else {
        Acknowledged::NotNeeded
    };
    let pseudonymize: Vec<Kind> = kinds(matches);
    Ok(Options {
        form,
        crash,
        // What a picture shows has no other names.
        image: form.has_image() && !matches.get_flag("no-image") && pseudonymize.is_empty(),
        pseudonymize,
        recipients,
        exclude: matches.get_many("exclude").into_iter().flatten().cloned().collect(),
        acknowledged,
        pcap: matches.get_one::<Wanted>("pcap").cloned(),
        state_dir: state_dir(run),
        argv: std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect(),
    })
}

/// Where the agent of this box keeps its state: one that is named is meant as it is named.
fn state_dir(run: &run::Options) -> PathBuf {
    let is_default = run.state_dir == Path::new(run::DEFAULT_STATE);
    if is_default { Root::new(&run.root).path(run::DEFAULT_STATE) } else { run.state_dir.clone() }
}

fn kinds(matches: &ArgMatches) -> Vec<Kind> {
    let asked: Vec<&String> = matches.get_many("pseudonymize").into_iter().flatten().collect();
    let is_asked = |name: &str| asked.iter().any(|asked| *asked == name);
    Kind::ALL.into_iter().filter(|(name, _)| is_asked(name)).map(|(_, kind)| kind).collect()
}

/// The recipients: keys, or files of keys as `age -R` takes them.
fn recipients(matches: &ArgMatches) -> Result<Vec<Recipient>, Failed> {
    let failed = |what: &str, why: &dyn core::fmt::Display| Failed {
        exit: Exit::Usage,
        text: format!(
            "--recipient {}: {why}\nhint: age-keygen makes a pair, of which the line with `public key` is the one",
            printable(what, 100)
        ),
    };
    let mut all = Vec::new();
    for asked in matches.get_many::<String>("recipient").into_iter().flatten() {
        match (Recipient::parse(asked), std::fs::read_to_string(asked)) {
            (Ok(recipient), _) => all.push(recipient),
            (Err(_), Ok(text)) => {
                for line in text.lines().map(str::trim) {
                    if !line.is_empty() && !line.starts_with('#') {
                        all.push(Recipient::parse(line).map_err(|why| failed(asked, &why))?);
                    }
                }
                if all.is_empty() {
                    return Err(failed(asked, &"there is no key in this file"));
                }
            }
            // What was meant as a key must not be shown if it is a secret one.
            (Err(RecipientError::Secret), Err(_)) => {
                return Err(failed("KEY", &RecipientError::Secret));
            }
            (Err(why), Err(_)) => return Err(failed(asked, &why)),
        }
    }
    Ok(all)
}

/// Where it is written: a directory, and the file's own name where one was given.
///
/// # Errors
/// [`Exit::Usage`] for a path that is neither a directory nor a name in one.
pub fn place(out: &Path) -> Result<(PathBuf, Option<OsString>), Failed> {
    if out.is_dir() {
        return Ok((out.into(), None));
    }
    let dir = match out.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => out,
    };
    let ends_open = out.as_os_str().as_encoded_bytes().ends_with(b"/");
    match out.file_name() {
        Some(name) if dir.is_dir() && !ends_open => Ok((dir.into(), Some(name.to_owned()))),
        Some(_) | None => Err(Failed {
            exit: Exit::Usage,
            text: format!(
                "cannot write to {}: there is no such directory\nhint: mkdir -p {0}",
                out.display()
            ),
        }),
    }
}
