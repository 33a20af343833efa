//! The command tree, generated from the cards.

use crate::card::{ArgKind, Card, Switch};
use crate::daemon::feature::Row;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The whole tree.
pub fn command(rows: &'static [Row]) -> Command {
    let mut root = Command::new("qcloud-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Gives this box a cloud life that its owner can see through and switch off piece by piece")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(global())
        .subcommand(Command::new("run").about("Run the agent in the foreground"))
        .subcommand(root_helper())
        .subcommand(super::report::cores::taker())
        .subcommand(
            Command::new("reset")
                .about("Have the hub erase this device, then remove its key and state")
                .arg(
                    Arg::new("yes")
                        .long("yes")
                        .action(ArgAction::SetTrue)
                        .help("Do it: the device is a new one afterwards"),
                ),
        )
        .subcommand(Command::new("status").about("Show what is on, what it does and what is wrong"))
        .subcommand(Command::new("doctor").about("Say what works, what does not, and what to do"))
        .subcommand(Command::new("facts").about("Show what this box says of itself, and where"))
        .subcommand(super::report::noun())
        .subcommand(egress())
        .subcommand(super::consent::noun())
        .subcommand(super::privacy::noun());
    for row in rows {
        let (top, own): (Vec<_>, Vec<_>) = row.card.verbs.iter().partition(|verb| verb.top);
        root = root.subcommands(top.into_iter().map(verb));
        let own: Vec<_> = own.into_iter().map(verb).collect();
        if root.find_subcommand(row.card.name).is_some() {
            // A noun of the house itself takes the feature's verbs in.
            root = root.mut_subcommand(row.card.name, |noun| noun.subcommands(own));
        } else if row.card.switch == Switch::OnOff || !own.is_empty() {
            root = root.subcommand(noun(row.card).subcommands(own));
        }
    }
    with_try(root)
}

/// What the daemon starts beside itself; nobody types it.
fn root_helper() -> Command {
    Command::new(crate::platform::helper::VERB)
        .hide(true)
        .arg(Arg::new("user").required(true).help("UID:GID of the daemon"))
}

/// The noun of a feature; one that is always there has no `on` and `off`.
fn noun(card: &'static Card) -> Command {
    let mut noun = Command::new(card.name)
        .about(card.promise)
        .subcommand_required(true)
        .arg_required_else_help(true);
    if card.switch == Switch::OnOff {
        let off = "Switch it off, and have the hub erase its data";
        noun = noun
            .subcommand(Command::new("on").about("Switch it on"))
            .subcommand(Command::new("off").about(off));
    }
    noun.subcommand(Command::new("status").about("Show what it does"))
}

fn global() -> [Arg; 5] {
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(help)
            .global(true)
            .value_parser(value_parser!(PathBuf))
    };
    [
        path("state", "DIR", "State directory [/var/lib/qcloud-agent]"),
        path("config", "FILE", "Configuration [/etc/qcloud-agent/config.toml]"),
        path("root", "DIR", "Prefix of every system path [/]"),
        Arg::new("json")
            .long("json")
            .help("Answer in JSON")
            .global(true)
            .action(ArgAction::SetTrue),
        Arg::new("verbose")
            .short('v')
            .long("verbose")
            .help("Log more; twice for everything")
            .global(true)
            .action(ArgAction::Count),
    ]
}

fn egress() -> Command {
    let parcel =
        Arg::new("parcel").value_name("PARCEL").required(true).help("Its id in the catalog");
    Command::new("egress")
        .about("Show what can leave this device, and what has left it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("catalog").about("List everything that can ever leave, and why"))
        .subcommand(
            Command::new("preview")
                .about("Show what a parcel would be, without sending it")
                .arg(parcel),
        )
        .subcommand(Command::new("ledger").about("List what left and what was refused"))
        .subcommand(
            Command::new("show")
                .about("Show one line of the ledger, with its body while that is kept")
                .arg(Arg::new("seq").value_name("SEQ").required(true).help("Its number")),
        )
        .subcommand(
            Command::new("verify").about("Check that no line of the ledger was altered or removed"),
        )
        .subcommand(
            Command::new("reconcile")
                .about("Hold the ledger against what the kernel counted at the interfaces"),
        )
}

fn verb(verb: &'static crate::card::Verb) -> Command {
    let args = verb.args.iter().map(|arg| {
        let made = Arg::new(arg.name).help(arg.about);
        // What is written to has one short name everywhere.
        let made = if arg.name == "out" { made.short('o').value_name("FILE") } else { made };
        match arg.kind {
            ArgKind::Positional => made.required(true),
            ArgKind::Required => made.long(arg.name).required(true),
            ArgKind::Optional => made.long(arg.name),
            ArgKind::Flag => made.long(arg.name).action(ArgAction::SetTrue),
            // Taken with any value or none, so that the answer is the reason and does not repeat the value.
            ArgKind::Refused(_) => made.long(arg.name).hide(true).num_args(0..=1),
        }
    });
    Command::new(verb.name).about(verb.about).args(args)
}

#[cfg(feature = "hub")]
fn with_try(root: Command) -> Command {
    let once = Arg::new("once")
        .long("once")
        .action(ArgAction::SetTrue)
        .help("Check each step, print what was found, and end");
    let breaks = Arg::new("break")
        .long("break")
        .hide(true)
        .help("Break one part on purpose, to see its steps fail")
        .value_parser(super::r#try::BREAKS.to_vec());
    let agent = Arg::new("agent")
        .long("agent")
        .value_name("PROGRAM")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("The agent to run instead of this program, such as one for another processor under an emulator");
    root.subcommand(
        Command::new("try")
            .about(
                "Show a device's life on this machine: a hub, an agent and a web page on loopback",
            )
            .args([once, breaks, agent]),
    )
}

#[cfg(not(feature = "hub"))]
fn with_try(root: Command) -> Command {
    root
}

/// Why the command line is not taken, if it has an argument that never is.
pub fn refused(
    rows: &[Row],
    feature: &str,
    verb: &str,
    matches: &ArgMatches,
) -> Option<&'static str> {
    args_of(rows, feature, verb).iter().find_map(|arg| match arg.kind {
        ArgKind::Refused(why) => matches.contains_id(arg.name).then_some(why),
        ArgKind::Positional | ArgKind::Required | ArgKind::Optional | ArgKind::Flag => None,
    })
}

fn args_of(rows: &[Row], feature: &str, verb: &str) -> &'static [crate::card::Arg] {
    let card = rows.iter().map(|row| row.card).find(|card| card.name == feature);
    let verb = card.and_then(|card| card.verbs.iter().find(|v| v.name == verb));
    verb.map(|verb| verb.args).unwrap_or_default()
}

/// The arguments of a verb by name, as the control socket takes them.
pub fn arguments(rows: &[Row], feature: &str, verb: &str, matches: &ArgMatches) -> Value {
    let mut args = json!({});
    for arg in args_of(rows, feature, verb) {
        if arg.kind == ArgKind::Flag {
            if matches.get_flag(arg.name) {
                args[arg.name] = "yes".into();
            }
        } else if let Some(value) = matches.get_one::<String>(arg.name) {
            args[arg.name] = value.as_str().into();
        }
    }
    args
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_sound_and_every_warnings_hint_is_a_command_of_it() {
        let rows = crate::features::ALL;
        super::command(rows).debug_assert();
        for row in rows {
            let house = [&crate::daemon::rules::CONSENT_LAPSED];
            for warning in row.card.warnings.iter().copied().chain(house) {
                let words = warning.hint.split_whitespace();
                let parsed = super::command(rows).try_get_matches_from(words);
                assert!(parsed.is_ok(), "{}: {}", warning.code, warning.hint);
            }
        }
    }
}
