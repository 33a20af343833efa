//! `qcloud-hub user …`: the people who may sign in.

use super::{Failure, clock, dir, print};
use crate::card::Exit;
use crate::hub::config::Config;
use crate::hub::people::People;
use crate::hub::people::email::Email;
use crate::hub::store::people::Happened;
use crate::wire::label::Label;
use clap::ArgMatches;
use core::net::Ipv4Addr;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn user(args: &ArgMatches) -> Result<Exit, Failure> {
    match args.subcommand() {
        Some(("add", args)) => add(args).await,
        Some(("list", args)) => list(args).await,
        _ => Err(Failure::new("no such command")),
    }
}

fn open(args: &ArgMatches) -> Result<(Config, People), Failure> {
    let dir = dir(args);
    let config = Config::load(&dir).map_err(|e| Failure::of(&e))?;
    let (store, seal) = super::open_store(&dir, &config)?;
    let mails = config.mail.is_some();
    let people = People::new(Arc::new(store), seal, mails).map_err(|e| Failure::of(&e))?;
    Ok((config, people))
}

/// Notes in the log of a device's owner what was done to it here; a letter goes with the next ones.
pub(super) async fn tell_owner(
    args: &ArgMatches,
    owner: Option<u64>,
    name: &Label,
    what: Happened,
) -> Result<(), Failure> {
    let Some(owner) = owner else { return Ok(()) };
    let (_, people) = open(args)?;
    let (nobody, now) = (Ipv4Addr::UNSPECIFIED.into(), clock().now().wall);
    let told = people.tell(owner, what, Some(name.as_str()), nobody, now);
    told.await.map_err(|e| Failure::of(&e))
}

async fn add(args: &ArgMatches) -> Result<Exit, Failure> {
    let (config, people) = open(args)?;
    let Some(pages) = config.pages else {
        let hint = "add [pages] with host = \"cloud.example.org\" to hub.toml, and restart the hub";
        return Err(Failure::new("this hub has no pages to sign in at").hint(hint));
    };
    let typed = args.get_one::<String>("email").map(String::as_str).unwrap_or_default();
    let email = Email::parse(typed).map_err(|e| Failure::of(&e))?;
    let ticket = people.invite(&email, clock().now().wall).await.map_err(|e| Failure::of(&e))?;
    print(&format!(
        "An invitation for {email}, good for 7 days and for one use:\n\n    https://{}/welcome/{}\n",
        pages.host,
        ticket.text()
    ));
    Ok(Exit::Done)
}

async fn list(args: &ArgMatches) -> Result<Exit, Failure> {
    let (_, people) = open(args)?;
    let all = people.all().await.map_err(|e| Failure::of(&e))?;
    if args.get_flag("json") {
        let rows = all.iter().map(|(person, account)| {
            json!({
                "account": person.account,
                "email": person.email.as_str(),
                "password": account.password.is_some(),
                "made": account.made_at.rfc3339(),
            })
        });
        print(&format!("{}\n", json!({ "accounts": rows.collect::<Vec<_>>() })));
        return Ok(Exit::Done);
    }
    for (person, account) in &all {
        let state = if account.password.is_some() { "active " } else { "invited" };
        print(&format!("{state}  {}  {}\n", account.made_at.rfc3339(), person.email));
    }
    Ok(Exit::Done)
}
