//! What is done with the issuer's key, away from the hub.

use super::super::tree::json;
use super::super::{Failure, clock, print, say};
use super::{count, file, group, needed, number, output, path, text, write};
use crate::card::Exit;
use crate::hub::license::root::{MOST_DAYS, Root, RootError};
use clap::{ArgMatches, Command};
use serde_json::json;

pub(super) fn root() -> Command {
    group("root", "The issuer's own key; on another machine than the hub")
        .subcommand(
            Command::new("new")
                .about("Make the issuer's key; FILE.pub beside it is what devices pin")
                .arg(output("The file to make").required(true))
                .arg(json()),
        )
        .subcommand(
            Command::new("show")
                .about("Show its public half")
                .arg(file("file", "The file").required(true))
                .arg(json()),
        )
}

pub(super) fn certify() -> Command {
    Command::new("certify")
        .about("Vouch for the key of a hub with the issuer's key; on another machine than the hub")
        .arg(
            needed("key", "KEY", "The key, as `license signer new` printed it")
                .allow_hyphen_values(true),
        )
        .arg(file("root", "The file of the issuer's key").long("root").required(true))
        .arg(
            number("days", "How long it may sign: at most 730 days")
                .long("days")
                .default_value("365"),
        )
        .arg(output("Where the certificate goes [default: stdout]"))
}

pub(super) fn withdraw() -> Command {
    Command::new("withdraw")
        .about("Withdraw keys of hubs that were stolen, with the issuer's key; on another machine than the hub")
        .arg(
            needed("kid", "KID,...", "Ids of the keys, as in `license signer list`")
                .value_delimiter(',')
                .allow_hyphen_values(true),
        )
        .arg(file("root", "The file of the issuer's key").long("root").required(true))
        .arg(output("Where the document goes [default: stdout]"))
}

fn failed(error: &RootError) -> Failure {
    Failure::of(error)
}

pub(super) fn rooted(verb: &str, args: &ArgMatches) -> Result<Exit, Failure> {
    let made = path(args, "output").unwrap_or_default();
    let root = match verb {
        "new" => Root::make(&made).map_err(|e| failed(&e))?,
        _ => Root::load(&path(args, "file").unwrap_or_default()).map_err(|e| failed(&e))?,
    };
    if args.get_flag("json") {
        print(&format!("{}\n", json!({ "key": root.public(), "kid": root.kid() })));
        return Ok(Exit::Done);
    }
    print(&format!("{}\n", root.public()));
    if verb == "new" {
        say(&format!(
            "Whoever has {} can make any license: keep it off the hub, and a copy of it elsewhere.\n\
             Devices pin {0}.pub.\n",
            made.display()
        ));
    }
    Ok(Exit::Done)
}

pub(super) fn certified(args: &ArgMatches) -> Result<Exit, Failure> {
    let root = Root::load(&path(args, "root").unwrap_or_default()).map_err(|e| failed(&e))?;
    let days = u64::from(count(args, "days").unwrap_or_default()).min(MOST_DAYS + 1);
    let now = clock().now().wall;
    let document = root.certify(&text(args, "key"), days, now).map_err(|e| failed(&e))?;
    put(args, &document)
}

pub(super) fn withdrawn(args: &ArgMatches) -> Result<Exit, Failure> {
    let root = Root::load(&path(args, "root").unwrap_or_default()).map_err(|e| failed(&e))?;
    let kids: Vec<_> = args.get_many::<String>("kid").into_iter().flatten().cloned().collect();
    let document = root.withdraw(&kids, clock().now().wall).map_err(|e| failed(&e))?;
    put(args, &document)
}

fn put(args: &ArgMatches, document: &str) -> Result<Exit, Failure> {
    let document = format!("{document}\n");
    match path(args, "output") {
        Some(to) => write(&to, &document)?,
        None => print(&document),
    }
    Ok(Exit::Done)
}
