//! `approve`, `deny`, `pending`: work on the store, also while the hub serves.

use super::desk::noted;
use super::{Failure, clock, dir, print};
use crate::card::Exit;
use crate::clock::Wall;
use crate::hub::api::shown_code;
use crate::hub::approval;
use crate::hub::config::{Config, FILE};
use crate::hub::store::sqlite::SqliteStore;
use crate::hub::store::{Decided, Pending, State, Store};
use crate::wire::registration::check_words;
use clap::ArgMatches;
use serde_json::json;
use std::io::{self, BufRead, IsTerminal, Write};

pub(super) fn open(args: &ArgMatches) -> Result<SqliteStore, Failure> {
    let dir = dir(args);
    if !dir.join(FILE).exists() {
        let what = format!("{} holds no hub", dir.display());
        return Err(Failure::new(what).hint(super::init_hint(&dir)));
    }
    let config = Config::load(&dir).map_err(|e| Failure::of(&e))?;
    Ok(super::open_store(&dir, &config)?.0)
}

fn since() -> Wall {
    approval::since(clock().now().wall)
}

fn typed_code(args: &ArgMatches) -> String {
    let typed = args.get_one::<String>("code").map(String::as_str).unwrap_or_default();
    approval::typed_code(typed)
}

pub(super) async fn approve(args: &ArgMatches) -> Result<Exit, Failure> {
    let store = noted(args, "approve").await?;
    let code = typed_code(args);
    let row = find(store.as_ref(), &code).await?;
    let words = check_words(&row.challenge, &row.spki).join(" ");
    let typed = args.get_one::<String>("words");
    if !args.get_flag("yes") && !confirmed(&row, &words, typed.map(String::as_str))? {
        return Err(Failure::new("not approved"));
    }
    decided(&row, store.decide(code, true, since()).await.map_err(|e| Failure::of(&e))?)?;
    print(&format!("{} was approved; it is registered with its next poll\n", row.name));
    Ok(Exit::Done)
}

pub(super) async fn deny(args: &ArgMatches) -> Result<Exit, Failure> {
    let store = noted(args, "deny").await?;
    let code = typed_code(args);
    let row = find(store.as_ref(), &code).await?;
    decided(&row, store.decide(code, false, since()).await.map_err(|e| Failure::of(&e))?)?;
    print(&format!("{} was refused\n", row.name));
    Ok(Exit::Done)
}

fn no_such_code(code: &str) -> Failure {
    let what = format!("no device waits with the code {}", shown_code(code));
    Failure::new(what).hint("qcloud-agent register, on the device, shows a fresh code")
}

async fn find(store: &dyn Store, code: &str) -> Result<Pending, Failure> {
    let found = approval::find(store, code, clock().now().wall).await;
    found.map_err(|e| Failure::of(&e))?.ok_or_else(|| no_such_code(code))
}

fn decided(row: &Pending, decided: Decided) -> Result<(), Failure> {
    match decided {
        Decided::Yes => Ok(()),
        Decided::NoSuchCode => Err(no_such_code(&row.user_code)),
        Decided::NameTaken => {
            let what = format!("the name {} belongs to another device", row.name);
            Err(Failure::new(what).hint("qcloud-agent register --name ANOTHER-NAME"))
        }
        Decided::Already(State::Approved) => Err(Failure::new("it was approved already")),
        Decided::Already(_) => Err(Failure::new("it was refused already")),
    }
}

/// Shows name and words, and has them compared.
fn confirmed(row: &Pending, words: &str, typed: Option<&str>) -> Result<bool, Failure> {
    if let Some(typed) = typed {
        let typed: Vec<&str> = typed.split_whitespace().collect();
        if typed.join(" ") == words {
            return Ok(true);
        }
        let what = "the words are not those of this device; somebody else may be using its code";
        return Err(Failure::new(what));
    }
    let mut terminal = io::stderr().lock();
    let question = format!(
        "device: {}\nwords:  {words}\nDoes the device show the same words? [y/N] ",
        row.name
    );
    if !io::stdin().is_terminal() {
        let hint = format!("qcloud-hub approve {} --words \"...\"", shown_code(&row.user_code));
        return Err(Failure::new("the words must be compared by a person").hint(hint));
    }
    let _ = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|e| Failure::of(&e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub(super) async fn pending(args: &ArgMatches) -> Result<Exit, Failure> {
    let since = since();
    let mut rows = noted(args, "pending").await?.pending().await.map_err(|e| Failure::of(&e))?;
    rows.retain(|row| row.state == State::Open && row.made_at >= since);
    if args.get_flag("json") {
        let row = |p: &Pending| json!({"code": shown_code(&p.user_code), "name": p.name, "words": check_words(&p.challenge, &p.spki), "asked": p.made_at.rfc3339()});
        print(&format!("{}\n", json!({"pending": rows.iter().map(row).collect::<Vec<_>>()})));
        return Ok(Exit::Done);
    }
    for row in &rows {
        let words = check_words(&row.challenge, &row.spki).join(" ");
        print(&format!("{}  {words}  {}\n", shown_code(&row.user_code), row.name));
    }
    Ok(Exit::Done)
}
