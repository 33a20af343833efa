//! `license …`: products, licenses and seats; and what is done with the issuer's key away from the hub.

use super::table::{fields, lines, word};
use super::tree::{command as of_hub, flag, json};
use super::{Failure, clock, desk, print, say};
use crate::card::Exit;
use crate::hub::license::root::{MOST_DAYS, Root, RootError};
use crate::hub::operators::act::Act;
use crate::hub::operators::license::LicenseAct;
use crate::hub::store::license::Terms;
use crate::wire::license::{Model, Plan};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The largest file that is read: a document is at most 12 KiB, and the serving hub takes requests of 32.
const MAX_FILE: u64 = 16 * 1024;

/// The part of the command tree.
pub(super) fn command() -> Command {
    group("license", "Licenses: products, keys, seats")
        .subcommand(root())
        .subcommand(certify())
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

fn root() -> Command {
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

fn certify() -> Command {
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

fn signer() -> Command {
    group("signer", "The keys this hub signs with")
        .subcommand(of_hub("new", "Make a key, for the issuer to certify").arg(json()))
        .subcommand(of_hub("list", "List the keys").arg(json()))
        .subcommand(
            of_hub("install", "Take the issuer's certificate of a key")
                .arg(file("file", "The certificate").required(true))
                .arg(
                    option("root", "KEY|FILE", "The issuer's public key, or its .pub file")
                        .allow_hyphen_values(true)
                        .required(true),
                )
                .arg(json()),
        )
        .subcommand(
            of_hub("drop", "Drop a key")
                .arg(needed("kid", "KID", "Its id").allow_hyphen_values(true))
                .arg(json()),
        )
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
    if noun == "certify" {
        return certified(args);
    }
    let (verb, args) = match args.subcommand() {
        Some((verb, args)) => (verb, args),
        None => ("", args),
    };
    if noun == "root" {
        return rooted(verb, args);
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

fn failed(error: &RootError) -> Failure {
    Failure::of(error)
}

fn rooted(verb: &str, args: &ArgMatches) -> Result<Exit, Failure> {
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

fn certified(args: &ArgMatches) -> Result<Exit, Failure> {
    let root = Root::load(&path(args, "root").unwrap_or_default()).map_err(|e| failed(&e))?;
    let days = u64::from(count(args, "days").unwrap_or_default()).min(MOST_DAYS + 1);
    let now = clock().now().wall;
    let document = root.certify(&text(args, "key"), days, now).map_err(|e| failed(&e))?;
    let document = format!("{document}\n");
    match path(args, "output") {
        Some(to) => write(&to, &document)?,
        None => print(&document),
    }
    Ok(Exit::Done)
}

fn act(noun: &str, verb: &str, args: &ArgMatches) -> Result<LicenseAct, Failure> {
    let (product, policy, lid) =
        (text(args, "product"), text(args, "policy"), text(args, "license"));
    let days = count(args, "days").map(u64::from);
    Ok(match (noun, verb) {
        ("signer", "new") => LicenseAct::SignerNew {},
        ("signer", "list") => LicenseAct::SignerList {},
        ("signer", "install") => {
            let certificate = read(&path(args, "file").unwrap_or_default())?;
            let root = text(args, "root");
            let at = Path::new(&root);
            let root = if at.exists() { read(at)?.trim().to_owned() } else { root };
            LicenseAct::SignerInstall { certificate, root }
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
            let state = if row["certified"] == true { "certified" } else { "waiting" };
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
