//! `user`, `device`, `audit` and `health`: asked of the hub while it serves, done on the store when it does not.

use super::{Failure, clock, dir, print, say};
use crate::card::Exit;
use crate::hub::admin::{self, Answer, Request};
use crate::hub::config::{Config, FILE};
use crate::hub::operators::act::{Act, Refused};
use crate::hub::operators::desk::{Desk, note, perform};
use crate::hub::operators::{Operator, Role};
use crate::hub::people::People;
use crate::hub::store::sqlite::SqliteStore;
use crate::wire::label::Label;
use clap::ArgMatches;
use nix::unistd::getuid;
use serde_json::{Value, json};
use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self { hint: refused.hint, ..Self::new(refused.why) }
    }
}

fn text(args: &ArgMatches, key: &str) -> String {
    args.try_get_one::<String>(key).ok().flatten().cloned().unwrap_or_default()
}

fn label(args: &ArgMatches) -> Result<Label, Failure> {
    Label::parse(&text(args, "name")).map_err(|e| Failure::of(&e))
}

fn flag(args: &ArgMatches, key: &str) -> bool {
    args.try_get_one::<bool>(key).ok().flatten().copied().unwrap_or_default()
}

pub(super) async fn user(args: &ArgMatches) -> Result<Exit, Failure> {
    let Some((verb, args)) = args.subcommand() else {
        return Err(Failure::new("no such command"));
    };
    let who = text(args, "email");
    let act = match verb {
        "list" => Act::UserList {},
        "show" => Act::UserShow { who },
        "add" | "invite" => Act::UserInvite { email: who },
        "lock" => Act::UserLock { who },
        "unlock" => Act::UserUnlock { who },
        "reset-second" => Act::UserResetSecond { who },
        "sign-out" => Act::UserSignOut { who },
        _ => return Err(Failure::new("no such command")),
    };
    shown(args, ask(args, &act).await?, &act)
}

pub(super) async fn device(args: &ArgMatches) -> Result<Exit, Failure> {
    match args.subcommand() {
        Some(("list", args)) => devices(args).await,
        Some(("show", args)) => {
            let act = Act::DeviceShow { name: label(args)? };
            shown(args, ask(args, &act).await?, &act)
        }
        Some(("revoke", args)) => revoke(args).await,
        Some(("release", args)) => release(args).await,
        _ => Err(Failure::new("no such command")),
    }
}

pub(super) async fn audit(args: &ArgMatches) -> Result<Exit, Failure> {
    let (act, args) = match args.subcommand() {
        Some(("list", args)) => (Act::AuditList {}, args),
        Some(("verify", args)) => (Act::AuditVerify {}, args),
        _ => return Err(Failure::new("no such command")),
    };
    shown(args, ask(args, &act).await?, &act)
}

pub(super) async fn devices(args: &ArgMatches) -> Result<Exit, Failure> {
    let act = Act::DeviceList {};
    shown(args, ask(args, &act).await?, &act)
}

pub(super) async fn release(args: &ArgMatches) -> Result<Exit, Failure> {
    let name = if flag(args, "all") { None } else { Some(label(args)?) };
    let act = Act::DeviceRelease { name };
    shown(args, ask(args, &act).await?, &act)
}

/// Asks the hub that serves here, or does it where none does.
pub(super) async fn ask(args: &ArgMatches, act: &Act) -> Result<Value, Failure> {
    asked(args, act).await.map(|(value, _)| value)
}

/// The same; with why a serving hub could not be asked when it was done without it.
async fn asked(args: &ArgMatches, act: &Act) -> Result<(Value, Option<String>), Failure> {
    let reason = Some(text(args, "reason")).filter(|text| !text.is_empty());
    let request = Request::Desk { act: act.clone(), reason: reason.clone() };
    let why = match admin::ask(&dir(args), &request).await {
        Ok(Some(Answer::Done { value })) => return Ok((value, None)),
        Ok(Some(Answer::Refused { refused })) => return Err(refused.into()),
        Ok(Some(Answer::Failed { why })) => return Err(Failure::new(why)),
        Ok(Some(_)) => "it answered something else".to_owned(),
        Ok(None) => return Ok((directly(args, act, reason.as_deref()).await?, None)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let what = format!("{} is closed to you", dir(args).display());
            return Err(
                Failure::new(what).hint("ask whoever runs the hub for a role in [operators]")
            );
        }
        Err(error) => error.to_string(),
    };
    // The row of a device is the authority over it, whatever the serving process does.
    let is_device =
        matches!(act, Act::DeviceList {} | Act::DeviceRevoke { .. } | Act::DeviceRelease { .. });
    if !is_device {
        let what = format!("the serving hub could not be asked: {why}");
        return Err(Failure::new(what).hint("restart `qcloud-hub serve`"));
    }
    tracing::warn!(why, "the serving hub could not be asked; this was done without it");
    Ok((directly(args, act, reason.as_deref()).await?, Some(why)))
}

struct Direct {
    config: Config,
    store: Arc<SqliteStore>,
    people: People,
}

/// Opens what a serving hub would have open.
fn open(args: &ArgMatches) -> Result<Direct, Failure> {
    let dir = dir(args);
    if matches!(dir.join(FILE).try_exists(), Ok(false)) {
        let what = format!("{} holds no hub", dir.display());
        return Err(Failure::new(what).hint(super::init_hint(&dir)));
    }
    let config = Config::load(&dir).map_err(|e| Failure::of(&e))?;
    let (store, seal) = super::open_store(&dir, &config)?;
    let store = Arc::new(store);
    let mails = config.mail.is_some();
    // Letters wait until the hub serves again.
    let kept: Arc<dyn crate::hub::store::Store> = Arc::<SqliteStore>::clone(&store);
    let people = People::new(kept, seal, mails).map_err(|e| Failure::of(&e))?;
    Ok(Direct { config, store, people })
}

/// Whoever runs this command. One that can read the hub's directory and has no role could do what it likes.
fn myself(config: &Config) -> Operator {
    let uid = getuid();
    let found = Operator::of(&config.operators, uid, uid);
    found.unwrap_or(Operator { name: uid.to_string(), uid: uid.as_raw(), role: Role::Admin })
}

/// Opens the store for an act that is done on it, once it was noted.
pub(super) async fn noted(args: &ArgMatches, act: &str) -> Result<Arc<SqliteStore>, Failure> {
    let Direct { config, store, people } = open(args)?;
    let now = clock().now().wall;
    let desk = Desk { config: &config, people: &people, store: store.as_ref(), hub: None, now };
    note(desk, &myself(&config), act).await?;
    Ok(store)
}

async fn directly(args: &ArgMatches, act: &Act, reason: Option<&str>) -> Result<Value, Failure> {
    let Direct { config, store, people } = open(args)?;
    let now = clock().now().wall;
    let desk = Desk { config: &config, people: &people, store: store.as_ref(), hub: None, now };
    Ok(perform(desk, &myself(&config), act, reason).await?)
}

pub(super) async fn revoke(args: &ArgMatches) -> Result<Exit, Failure> {
    let name = label(args)?;
    if !flag(args, "yes") {
        confirm(args, &name).await?;
    }
    let (mut value, failed) = asked(args, &Act::DeviceRevoke { name: name.clone() }).await?;
    if failed.is_some() {
        value["serving"] = Value::Null;
    }
    if flag(args, "json") {
        print(&format!("{value}\n"));
    } else {
        let rows = value["rows"].as_object();
        let total: u64 =
            rows.into_iter().flat_map(|rows| rows.values()).filter_map(Value::as_u64).sum();
        print(&format!("{name} was revoked; {total} rows were erased and nothing is kept\n"));
    }
    let Some(why) = failed else { return Ok(Exit::Done) };
    let what = format!("a session of {name} may still stand: the serving hub failed: {why}");
    let failure = Failure::new(what).hint("restart `qcloud-hub serve`");
    Err(Failure { exit: Exit::Partial, ..failure })
}

async fn confirm(args: &ArgMatches, name: &Label) -> Result<(), Failure> {
    let device = ask(args, &Act::DeviceShow { name: name.clone() }).await?;
    if !io::stdin().is_terminal() {
        let hint = format!("qcloud-hub revoke {name} --yes");
        return Err(Failure::new("a revocation must be confirmed by a person").hint(hint));
    }
    say(&format!(
        "device: {name} ({}, registered {})\n\
         Close its sessions, erase everything kept of it and refuse its key? [y/N] ",
        word(&device["id"]),
        word(&device["registered"])
    ));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|e| Failure::of(&e))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new("not revoked")),
    }
}

/// `health`: 0 when the hub is well, 3 when it is degraded, 8 when none serves.
pub(super) async fn health(args: &ArgMatches) -> Result<Exit, Failure> {
    let unreachable = |what: String| Failure { exit: Exit::HubUnreachable, ..Failure::new(what) };
    let reasons = match admin::ask(&dir(args), &Request::Health {}).await {
        Ok(Some(Answer::Health { reasons })) => reasons,
        Ok(Some(Answer::Failed { why })) => return Err(Failure::new(why)),
        Ok(Some(_)) => return Err(Failure::new("the hub answered something else")),
        Ok(None) => {
            let hint = format!("qcloud-hub serve --dir {}", dir(args).display());
            return Err(unreachable("no hub serves here".into()).hint(hint));
        }
        Err(error) => return Err(unreachable(format!("the hub does not say how it is: {error}"))),
    };
    let exit = if reasons.is_empty() { Exit::Done } else { Exit::Partial };
    let status = if reasons.is_empty() { "ok" } else { "degraded" };
    if flag(args, "json") {
        print(&format!("{}\n", json!({ "status": status, "reasons": reasons })));
        return Ok(exit);
    }
    print(&format!("{status}\n"));
    for reason in reasons {
        print(&format!("  {}: {}\n  hint: {}\n", reason.code, reason.text, reason.hint));
    }
    Ok(exit)
}

pub(super) fn shown(args: &ArgMatches, value: Value, act: &Act) -> Result<Exit, Failure> {
    if flag(args, "json") {
        print(&format!("{value}\n"));
    } else {
        print(&super::table::of(act, &value));
    }
    Ok(Exit::Done)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
