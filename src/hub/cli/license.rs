//! `license …`: products, licenses and seats; and what is done with the issuer's key away from the hub ([`issuer`]).

mod issuer;

use super::table::{fields, lines, word};
use super::tree::{command as of_hub, flag, json};
use super::{Failure, desk, say};
use crate::card::Exit;
use crate::hub::operators::act::Act;
use crate::hub::operators::license::LicenseAct;
use crate::hub::store::license::Terms;
use crate::wire::license::{Model, Plan};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest file that is read: a document is at most 12 KiB, and the serving hub takes requests of 32.
const MAX_FILE: u64 = 16 * 1024;

/// The part of the command tree.
pub(super) fn command() -> Command {
    group("license", "Licenses: products, keys, seats")
        .subcommand(issuer::root())
        .subcommand(issuer::certify())
        .subcommand(issuer::withdraw())
        .subcommand(signer())
        .subcommand(product())
        .subcommand(policy())
        .subcommand(issue())
        .subcommand(
            of_hub("list", "List licenses")
                .arg(option("holder", "EMAIL", "Only those of an account"))
                .arg(json()),
        )
        .subcommand(
            of_hub("show", "Show a license, its seats and what happened with it")
                .arg(lid())
                .arg(option(
                    "reason",
                    "TEXT",
                    "Why it is shown unmasked; it stands in the audit log",
                ))
                .arg(json()),
        )
        .subcommand(
            of_hub("revoke", "Make a license void at the next contact").arg(lid()).arg(json()),
        )
        .subcommand(
            of_hub("transfer", "Give a license whose seats are free to another account")
                .arg(lid())
                .arg(needed("to", "EMAIL", "The account, by mail address or number"))
                .arg(json()),
        )
        .subcommand(
            of_hub("prolong", "Have a subscription last longer")
                .arg(lid())
                .arg(number("days", "By how many days").required(true))
                .arg(json()),
        )
        .subcommand(
            group("key", "Product keys").subcommand(
                of_hub("make", "Make a product key in the place of the one before")
                    .arg(lid())
                    .arg(json()),
            ),
        )
        .subcommand(
            group("seat", "Seats").subcommand(
                of_hub(
                    "free",
                    "Free a seat although no device gave it back: its lease may be in use",
                )
                .arg(lid())
                .arg(number("seat", "Its number").required(true))
                .arg(json()),
            ),
        )
        .subcommand(of_hub("stats", "Count licenses; small counts are not said").arg(json()))
        .subcommand(group("request", "Files of devices without a network").subcommand(answer()))
}

fn group(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).subcommand_required(true).arg_required_else_help(true)
}

fn needed(name: &'static str, value: &'static str, about: &'static str) -> Arg {
    Arg::new(name).value_name(value).required(true).help(about)
}

fn option(name: &'static str, value: &'static str, about: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(about)
}

fn number(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).value_name("N").value_parser(value_parser!(u32)).help(about)
}

fn file(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(about)
}

fn output(about: &'static str) -> Arg {
    file("output", about).short('o').long("output")
}

fn lid() -> Arg {
    needed("license", "LICENSE", "Its id, as in `license list`")
}

fn signer() -> Command {
    group("signer", "The keys this hub signs with")
        .subcommand(of_hub("new", "Make a key, for the issuer to certify").arg(json()))
        .subcommand(of_hub("list", "List the keys").arg(json()))
        .subcommand(
            of_hub("install", "Take the issuer's certificate of a key")
                .arg(file("file", "The certificate").required(true))
                .arg(issuer_key())
                .arg(json()),
        )
        .subcommand(
            of_hub("withdraw", "Take the issuer's word that keys are withdrawn, and tell devices")
                .arg(file("file", "The document that `license withdraw` made").required(true))
                .arg(issuer_key())
                .arg(json()),
        )
        .subcommand(
            of_hub("drop", "Drop a key")
                .arg(needed("kid", "KID", "Its id").allow_hyphen_values(true))
                .arg(json()),
        )
}

fn issuer_key() -> Arg {
    option("root", "KEY|FILE", "The issuer's public key, or its .pub file")
        .allow_hyphen_values(true)
        .required(true)
}

fn product() -> Command {
    group("product", "What is licensed")
        .subcommand(
            of_hub("add", "Note a product, or another name for it")
                .arg(needed("product", "PRODUCT", "Its short name in documents"))
                .arg(option("name", "TEXT", "As people call it [default: the short name]"))
                .arg(json()),
        )
        .subcommand(of_hub("list", "List products").arg(json()))
}

fn policy() -> Command {
    let days = |name, default, about| number(name, about).long(name).default_value(default);
    let add = of_hub("add", "Note terms; licenses that were issued keep theirs")
        .arg(needed("product", "PRODUCT", "Of which product"))
        .arg(needed("policy", "POLICY", "The short name of the terms"))
        .arg(
            option("model", "MODEL", "Whose a seat is")
                .value_parser(["device", "floating", "user"])
                .default_value("device"),
        )
        .arg(number("seats", "How many seats").long("seats").default_value("1"))
        .arg(
            number("days", "Days of a subscription; with --perpetual, days of updates")
                .long("days")
                .required_unless_present("perpetual"),
        )
        .arg(flag("perpetual", "It does not end"))
        .arg(days("lease-days", "30", "Days that a device may go without contact"))
        .arg(days("grace-days", "14", "Days of grace after them"))
        .arg(flag("online-only", "No lease is given in a file"))
        .arg(flag("fixed", "Its holder cannot give it away"))
        .arg(option("firmware", "VERSION", "The oldest firmware it works with"))
        .arg(option("feature", "NAME=VALUE", "What it switches on").action(ArgAction::Append));
    group("policy", "Under which terms")
        .subcommand(add.arg(json()))
        .subcommand(of_hub("list", "List terms").arg(json()))
}

fn issue() -> Command {
    of_hub("issue", "Make a license")
        .arg(needed("product", "PRODUCT", "Of which product"))
        .arg(needed("policy", "POLICY", "Under which terms"))
        .arg(option("holder", "EMAIL", "Whose it is; else whoever shows its product key first"))
        .arg(number("seats", "Another number of seats").long("seats"))
        .arg(number("days", "Another number of days").long("days"))
        .arg(flag("key", "With a product key, shown once"))
        .arg(json())
}

fn answer() -> Command {
    of_hub("answer", "Answer the request file of a device, or take its release receipt")
        .arg(file("file", "The file").required(true))
        .arg(option("license", "LICENSE", "For which license, where the request names none"))
        .arg(output("Where the answer goes [default: stdout]"))
        .arg(json())
}

fn text(args: &ArgMatches, key: &str) -> String {
    args.try_get_one::<String>(key).ok().flatten().cloned().unwrap_or_default()
}

fn some(args: &ArgMatches, key: &str) -> Option<String> {
    Some(text(args, key)).filter(|text| !text.is_empty())
}

fn path(args: &ArgMatches, key: &str) -> Option<PathBuf> {
    args.try_get_one::<PathBuf>(key).ok().flatten().cloned()
}

fn count(args: &ArgMatches, key: &str) -> Option<u32> {
    args.try_get_one::<u32>(key).ok().flatten().copied()
}

fn read(path: &Path) -> Result<String, Failure> {
    let cannot = |why: String| Failure::new(format!("{} cannot be read: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|e| cannot(e.to_string()))?.len();
    if length > MAX_FILE {
        return Err(cannot(format!("it is larger than {MAX_FILE} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| cannot(e.to_string()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| Failure::new(format!("{} cannot be made: {e}", path.display())))
}

/// Runs `license …`.
pub(super) async fn license(args: &ArgMatches) -> Result<Exit, Failure> {
    let Some((noun, args)) = args.subcommand() else {
        return Err(Failure::new("no such command"));
    };
    match noun {
        "certify" => return issuer::certified(args),
        "withdraw" => return issuer::withdrawn(args),
        _ => {}
    }
    let (verb, args) = match args.subcommand() {
        Some((verb, args)) => (verb, args),
        None => ("", args),
    };
    if noun == "root" {
        return issuer::rooted(verb, args);
    }
    let what = act(noun, verb, args)?;
    let act = Act::License { what };
    let value = desk::ask(args, &act).await?;
    if let (Some(to), Some(answer)) = (path(args, "output"), value["answer"].as_str()) {
        write(&to, answer)?;
        say(&format!("Carry {} to the device: qcloud-agent license install FILE\n", to.display()));
        return Ok(Exit::Done);
    }
    desk::shown(args, value, &act)
}

/// A document of the issuer's, and the public key to check it with.
fn of_issuer(args: &ArgMatches) -> Result<(String, String), Failure> {
    let document = read(&path(args, "file").unwrap_or_default())?;
    let root = text(args, "root");
    let at = Path::new(&root);
    let root = if at.exists() { read(at)?.trim().to_owned() } else { root };
    Ok((document, root))
}

fn act(noun: &str, verb: &str, args: &ArgMatches) -> Result<LicenseAct, Failure> {
    let (product, policy, lid) =
        (text(args, "product"), text(args, "policy"), text(args, "license"));
    let days = count(args, "days").map(u64::from);
    Ok(match (noun, verb) {
        ("signer", "new") => LicenseAct::SignerNew {},
        ("signer", "list") => LicenseAct::SignerList {},
        ("signer", "install") => {
            let (certificate, root) = of_issuer(args)?;
            LicenseAct::SignerInstall { certificate, root }
        }
        ("signer", "withdraw") => {
            let (document, root) = of_issuer(args)?;
            LicenseAct::SignerWithdraw { document, root }
        }
        ("signer", "drop") => LicenseAct::SignerDrop { kid: text(args, "kid") },
        ("product", "add") => {
            let name = some(args, "name").unwrap_or_else(|| product.clone());
            LicenseAct::ProductAdd { product, name }
        }
        ("product", "list") => LicenseAct::ProductList {},
        ("policy", "add") => {
            LicenseAct::PolicyAdd { product, policy, terms: Box::new(terms(args)?) }
        }
        ("policy", "list") => LicenseAct::PolicyList {},
        ("issue", _) => LicenseAct::Issue {
            product,
            policy,
            holder: some(args, "holder"),
            seats: count(args, "seats"),
            days,
            key: args.get_flag("key"),
        },
        ("list", _) => LicenseAct::List { holder: some(args, "holder") },
        ("show", _) => LicenseAct::Show { lid },
        ("revoke", _) => LicenseAct::Revoke { lid },
        ("transfer", _) => LicenseAct::Transfer { lid, to: text(args, "to") },
        ("prolong", _) => LicenseAct::Prolong { lid, days: days.unwrap_or_default() },
        ("key", "make") => LicenseAct::KeyMake { lid },
        ("seat", "free") => {
            LicenseAct::SeatFree { lid, seat: count(args, "seat").unwrap_or_default() }
        }
        ("stats", _) => LicenseAct::Stats {},
        ("request", "answer") => {
            let text = read(&path(args, "file").unwrap_or_default())?;
            LicenseAct::Answer { text, lid: some(args, "license") }
        }
        _ => return Err(Failure::new("no such command")),
    })
}

fn terms(args: &ArgMatches) -> Result<Terms, Failure> {
    let features = args.get_many::<String>("feature").into_iter().flatten().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "on"));
        (name.to_owned(), value.to_owned())
    });
    let model = match text(args, "model").as_str() {
        "floating" => Model::Floating,
        "user" => Model::User,
        _ => Model::Device,
    };
    let perpetual = args.get_flag("perpetual");
    Ok(Terms {
        model,
        plan: if perpetual { Plan::Perpetual } else { Plan::Subscription },
        seats: count(args, "seats").unwrap_or(1),
        days: count(args, "days").map(u64::from),
        lease_days: count(args, "lease-days").map_or(30, u64::from),
        grace_days: count(args, "grace-days").map_or(14, u64::from),
        offline: !args.get_flag("online-only"),
        transferable: !args.get_flag("fixed"),
        features: features.collect(),
        firmware: some(args, "firmware"),
    })
}

/// The answer to an act as text.
pub(super) fn table(act: &LicenseAct, value: &Value) -> String {
    let told = |count: &Value| count.as_u64().map_or_else(|| "few".into(), |n| n.to_string());
    match act {
        LicenseAct::SignerList {} => lines(&value["signers"], |row| {
            let state = match (&row["withdrawn"], &row["certified"]) {
                (Value::Bool(true), _) => "withdrawn",
                (_, Value::Bool(true)) => "certified",
                _ => "waiting",
            };
            format!("{}  {state:<9}  until {}", word(&row["kid"]), word(&row["until"]))
        }),
        LicenseAct::ProductList {} => lines(&value["products"], |row| {
            format!("{:<20}  {}", word(&row["product"]), word(&row["name"]))
        }),
        LicenseAct::PolicyList {} => lines(&value["policies"], |row| {
            let (terms, policy) = (&row["terms"], word(&row["policy"]));
            let (model, plan) = (word(&terms["model"]), word(&terms["plan"]));
            let seats = &terms["seats"];
            format!("{:<20}  {policy:<20}  {model}, {plan}, seats: {seats}", word(&row["product"]))
        }),
        LicenseAct::List { .. } => lines(&value["licenses"], |row| {
            let ends = row["ends"].as_str().unwrap_or("does not end");
            let (product, policy) = (word(&row["product"]), word(&row["policy"]));
            let state = word(&row["state"]);
            format!("{}  {state:<7}  {ends:<20}  {product} {policy}", word(&row["license"]))
        }),
        LicenseAct::Stats {} => lines(&value["counts"], |row| {
            format!(
                "{:<20}  {:<20}  good: {}  ended: {}  seats taken: {}",
                word(&row["product"]),
                word(&row["policy"]),
                told(&row["good"]),
                told(&row["ended"]),
                told(&row["seats_taken"])
            )
        }),
        LicenseAct::Answer { .. } if value["answer"].is_string() => word(&value["answer"]).into(),
        LicenseAct::SignerNew {} => format!(
            "{}\n\nOn the machine that has the issuer's key:\n  qcloud-hub license certify {0} --root FILE -o CERTIFICATE\n",
            word(&value["key"])
        ),
        LicenseAct::SignerWithdraw { .. } => withdrawn(value),
        LicenseAct::SignerInstall { .. }
        | LicenseAct::SignerDrop { .. }
        | LicenseAct::ProductAdd { .. }
        | LicenseAct::PolicyAdd { .. }
        | LicenseAct::Issue { .. }
        | LicenseAct::Show { .. }
        | LicenseAct::Revoke { .. }
        | LicenseAct::Transfer { .. }
        | LicenseAct::Prolong { .. }
        | LicenseAct::KeyMake { .. }
        | LicenseAct::SeatFree { .. }
        | LicenseAct::Answer { .. } => fields(value),
    }
}

fn withdrawn(value: &Value) -> String {
    let next = match value["signs_until"].as_str() {
        Some(until) => format!("This hub signs with another key, until {until}.\n"),
        None => "This hub has no key to sign with now: qcloud-hub license signer new\n".to_owned(),
    };
    let kids = lines(&value["withdrawn"], |kid| format!("{} is withdrawn", word(kid)));
    format!(
        "{kids}Each device learns it at its next contact, and refuses the key for good.\n{next}"
    )
}
