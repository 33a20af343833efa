//! `backup`, `restore` and `hold add|list|end|show`.

use super::{Failure, clock, dir, print};
use crate::card::Exit;
use crate::clock::Wall;
use crate::hub::admin::{self, Answer, Request};
use crate::hub::config::{Config, FILE};
use crate::hub::keeping::backup::{self, Made};
use crate::hub::keeping::hold::{self, HoldError, Subject};
use crate::hub::keeping::restore::{self as restoring, RestoreError, Restored};
use crate::hub::keeping::{Keeping, end_of};
use crate::hub::seal_key;
use crate::hub::store::Store;
use crate::hub::store::keep::{Holding, Keep};
use crate::hub::store::sqlite::SqliteStore;
use crate::wire::label::{Label, printable};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest reason that is shown.
const LONGEST_WHY: usize = 200;

pub(super) fn commands() -> [Command; 3] {
    let file = Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The backup");
    let to = Arg::new("to")
        .long("to")
        .value_name("FILE|DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The file to make; or a directory, where those over six months old are deleted");
    let about = "Copy the database, also while the hub serves, into an encrypted file";
    let backup = super::tree::command("backup", about)
        .long_about(
            "Copy the database, also while the hub serves, into an encrypted file.\n\n\
             It opens only with this hub's keys, and they are never in it: keep a copy of hub.toml and of every \
             *.key and *.crt in the hub's directory, and the key that seals the data, somewhere else than the backups. Keep deletions.journal too, \
             each time anew: without it, what was erased since the backup would come back. A backup is good for six \
             months.",
        )
        .arg(to)
        .arg(super::tree::json());
    let restore = super::tree::command(
        "restore",
        "Put a backup in the place of the database, of a stopped hub",
    )
    .arg(file)
    .arg(super::tree::flag(
        "without-journal",
        "Go on although what was deleted since the backup is not known, and comes back by this",
    ))
    .arg(super::tree::json());
    [backup, restore, holds()]
}

fn holds() -> Command {
    use super::tree::{command, json};
    let device = Arg::new("device").long("device").value_name("NAME").help("A device");
    let account = Arg::new("account")
        .long("account")
        .value_name("NUMBER")
        .value_parser(value_parser!(u64))
        .conflicts_with("device")
        .required_unless_present("device")
        .help("An account and its devices, as `user list --json` numbers them");
    let why = Arg::new("why")
        .long("why")
        .value_name("TEXT")
        .required(true)
        .help("The reason; whoever asks to be erased is told it");
    let until = Arg::new("until")
        .long("until")
        .value_name("YYYY-MM-DD")
        .help("The day it ends [default: six calendar months from now, which is the most]");
    let id = Arg::new("id")
        .long("id")
        .value_name("ID")
        .help("A device that is erased, by its id")
        .conflicts_with_all(["device", "account"]);
    Command::new("hold")
        .about("Keep rows from erasure for a legal reason, out of use, for six months at most")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("add", "Hold what is kept of a device or an account")
                .arg(device.clone())
                .arg(account.clone())
                .arg(why)
                .arg(until),
        )
        .subcommand(command("list", "List the holds").arg(json()))
        .subcommand(
            command("end", "End a hold before its time; what it held is erased")
                .arg(device)
                .arg(account.required_unless_present_any(["device", "id"]))
                .arg(id),
        )
        .subcommand(command("show", "Print the rows that are held, as JSON"))
}

fn failed(error: &dyn core::error::Error) -> Failure {
    Failure::of(error)
}

/// The store of a hub's directory, and what keeps its deletions.
fn open(dir: &Path) -> Result<(SqliteStore, Keeping), Failure> {
    let config = Config::load(dir).map_err(|e| failed(&e))?;
    let (store, seal) = super::open_store(dir, &config)?;
    Ok((store, Keeping::new(dir, seal, clock())))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|e| failed(&e))
}

fn path(args: &ArgMatches, name: &str) -> Result<PathBuf, Failure> {
    absolute(&args.get_one::<PathBuf>(name).cloned().unwrap_or_default())
}

pub(super) async fn backup(args: &ArgMatches) -> Result<Exit, Failure> {
    let dir = dir(args);
    let to = path(args, "to")?;
    let no_hub = || Failure::new(format!("{} holds no hub", dir.display()));
    if !dir.join(FILE).exists() {
        return Err(no_hub().hint(super::init_hint(&dir)));
    }
    let asked = admin::ask(&dir, &Request::Backup { to: to.clone() }).await;
    let made = match asked.map_err(|e| failed(&e))? {
        Some(Answer::BackedUp { made }) => made,
        Some(Answer::Failed { why }) => return Err(Failure::new(why)),
        Some(_) => return Err(Failure::new("the serving hub answered something else")),
        None => {
            let (store, keeping) = open(&dir)?;
            backup::make(&store, &keeping, &to).await.map_err(|e| failed(&e))?
        }
    };
    if args.get_flag("json") {
        print(&format!(
            "{}\n",
            json!({"backup": made, "good_until": end_of(made.made_at).rfc3339()})
        ));
        return Ok(Exit::Done);
    }
    let Made { path, made_at, rows, pruned } = made;
    print(&format!(
        "{} holds {rows} rows and can be restored until {}.\n\
         The keys are not in it: keep hub.toml, *.key, *.crt and deletions.journal of {} and the sealing key elsewhere.\n",
        path.display(),
        end_of(made_at).rfc3339(),
        dir.display(),
    ));
    for path in pruned {
        print(&format!("{} was over six months old and is deleted\n", path.display()));
    }
    Ok(Exit::Done)
}

pub(super) fn restore(args: &ArgMatches) -> Result<Exit, Failure> {
    let dir = dir(args);
    let config = Config::load(&dir).map_err(|e| failed(&e))?;
    let seal = seal_key::load(&dir, &config);
    let seal = seal.map_err(|e| failed(&e).hint(e.hint()))?;
    let keeping = Keeping::new(&dir, Arc::new(seal), clock());
    let file = path(args, "file")?;
    let done = restoring::restore(&dir, &keeping, &file, args.get_flag("without-journal"));
    let done = done.map_err(|error| {
        let failure = failed(&error);
        let hint = match error {
            RestoreError::Serving => "stop `qcloud-hub serve` first",
            RestoreError::Journal(_) | RestoreError::NotNoted => {
                "put the last copy of deletions.journal into the directory; or, knowing that erased data comes back, \
                 add --without-journal"
            }
            RestoreError::TooOld { .. } => "a younger backup",
            RestoreError::File { .. }
            | RestoreError::Archive { .. }
            | RestoreError::Rows(_)
            | RestoreError::Key(_) => return failure,
        };
        failure.hint(hint)
    })?;
    if args.get_flag("json") {
        print(&format!(
            "{}\n",
            json!({"restored": done.made_at, "rows": done.rows, "replayed": done.replayed,
                "former": done.former, "former_is_sealed": done.former_is_sealed,
                "without_journal": done.without_journal})
        ));
        return Ok(Exit::Done);
    }
    print(&said(&done));
    Ok(Exit::Done)
}

fn said(done: &Restored) -> String {
    let again = done.replayed;
    let mut text = format!(
        "The database is that of {}: {} rows.\n\
         Deleted again: {} erasures of devices or features, {} accounts, {} auth keys (those for one device all).\n\
         {} devices have another key since then, and register again.\n\
         {} sign-ins, invitations and letters were taken back; {} devices are taken as they come.\n\
         Passwords and second factors are those of then.\n",
        done.made_at.rfc3339(),
        done.rows,
        again.erased,
        again.accounts,
        again.auth_keys,
        again.rekeyed,
        again.sessions,
        again.released,
    );
    if let Some(why) = &done.without_journal {
        text += &format!("What was erased since the backup is NOT known ({why}) and is back.\n");
    }
    match &done.former {
        Some(path) if done.former_is_sealed => {
            text += &format!("The database before is the backup {}.\n", path.display());
        }
        Some(path) => {
            text += &format!(
                "The database before could not be read and is {}: delete it when you need it no more.\n",
                path.display()
            );
        }
        None => {}
    }
    text
}

pub(super) async fn hold(args: &ArgMatches) -> Result<Exit, Failure> {
    match args.subcommand() {
        Some(("add", args)) => add(args).await,
        Some(("list", args)) => list(args).await,
        Some(("end", args)) => end(args).await,
        Some(("show", args)) => show(args).await,
        _ => Err(Failure::new("no such command")),
    }
}

async fn subject(args: &ArgMatches, store: &dyn Store) -> Result<Subject, Failure> {
    if let Some(number) = args.get_one::<u64>("account") {
        let all = store.accounts().await.map_err(|e| failed(&e))?;
        let known = all.iter().any(|account| account.number == *number);
        let nobody = || Failure::new(format!("there is no account {number}"));
        return if known { Ok(Subject::Account(*number)) } else { Err(nobody()) };
    }
    let typed = args.get_one::<String>("device").cloned().unwrap_or_default();
    let name = Label::parse(&typed).map_err(|e| failed(&e))?;
    let device = admin::named(store, &name).await.map_err(|e| failed(&e))?;
    let nobody = || Failure::new(format!("no device is named {name}")).hint("qcloud-hub devices");
    let device = device.ok_or_else(nobody)?;
    Ok(Subject::Device { id: device.id, name: device.name.to_string() })
}

async fn add(args: &ArgMatches) -> Result<Exit, Failure> {
    let (store, keeping) = open(&dir(args))?;
    let subject = subject(args, &store).await?;
    let why =
        args.get_one::<String>("why").map_or_else(String::new, |why| printable(why, LONGEST_WHY));
    if why.trim().is_empty() {
        return Err(Failure::new("a hold needs a reason"));
    }
    let now = keeping.clock.now().wall;
    let until = match args.get_one::<String>("until") {
        None => end_of(now),
        Some(text) => Wall::from_date(text)
            .filter(|until| *until > now)
            .ok_or_else(|| Failure::new("--until is no day in the future, such as 2027-02-28"))?,
    };
    match hold::add(&store, &keeping, &subject, &why, until).await.map_err(|e| failed(&e))? {
        Holding::Yes => {
            print(&format!("held until {}\n", until.rfc3339()));
            Ok(Exit::Done)
        }
        Holding::TooLong { most } => {
            let what = format!(
                "a hold lasts six calendar months from when the first one began: until {} at most",
                most.rfc3339()
            );
            Err(Failure::new(what))
        }
    }
}

async fn list(args: &ArgMatches) -> Result<Exit, Failure> {
    let (store, keeping) = open(&dir(args))?;
    let all = hold::list(&store, &keeping).await.map_err(|e| failed(&e))?;
    if args.get_flag("json") {
        let rows = all.iter().map(|hold| {
            json!({"what": hold.what, "why": hold.why, "begun": hold.begun_at.rfc3339(), "until": hold.until.rfc3339()})
        });
        print(&format!("{}\n", json!({ "holds": rows.collect::<Vec<_>>() })));
        return Ok(Exit::Done);
    }
    for hold in &all {
        print(&format!("{}  {}  {}\n", hold.until.rfc3339(), hold.what, hold.why));
    }
    Ok(Exit::Done)
}

async fn end(args: &ArgMatches) -> Result<Exit, Failure> {
    let (store, keeping) = open(&dir(args))?;
    let subject = match args.get_one::<String>("id") {
        Some(id) => Subject::Device { id: id.clone(), name: String::new() },
        None => subject(args, &store).await?,
    };
    if !store.end_hold(subject.hash(&keeping)).await.map_err(|e| failed(&e))? {
        return Err(Failure::new("nothing is held there").hint("qcloud-hub hold list"));
    }
    print("the hold is over; what it held is erased\n");
    Ok(Exit::Done)
}

async fn show(args: &ArgMatches) -> Result<Exit, Failure> {
    let (store, keeping) = open(&dir(args))?;
    let wrong = |e: HoldError| failed(&e);
    for (held, aside) in hold::held(&store, &keeping, None).await.map_err(wrong)? {
        print(&format!(
            "{}\n",
            json!({"number": held.number, "erased": held.made_at.rfc3339(), "until": held.expires_at.rfc3339(),
                "why": aside.why, "rows": aside.rows})
        ));
    }
    tracing::warn!("rows that are held were read by the operator");
    Ok(Exit::Done)
}
