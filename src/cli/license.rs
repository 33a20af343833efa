//! What `license` takes and gives beside its words: files, which are read and written by whoever asks.

use super::print::Printer;
use super::{Failed, talk, tree};
use crate::card::Exit;
use crate::daemon::control::Request;
use crate::daemon::feature::{Answer, Row};
use crate::daemon::run::Options;
use crate::features::license::opener;
use crate::platform::root::Root;
use crate::wire::label::printable;
use crate::wire::license::{LicenseId, MAX_BUNDLE, ProductKey};
use clap::ArgMatches;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NOUN: &str = "license";
/// The longest file of a Keygen license key and fingerprint.
const MAX_KEY_FILE: u64 = 1024;

/// Runs one of its verbs.
pub async fn dispatch(
    rows: &'static [Row],
    options: &Options,
    verb: &str,
    matches: &ArgMatches,
    printer: &Printer,
) -> Exit {
    let asked = ask(rows, options, verb, matches).await;
    match asked {
        Ok(answer) => printer.answer(&answer),
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}

async fn ask(
    rows: &'static [Row],
    options: &Options,
    verb: &str,
    matches: &ArgMatches,
) -> Result<Answer, Failed> {
    let mut args = tree::arguments(rows, NOUN, verb, matches);
    if verb == "install" {
        complete(&mut args)?;
    }
    // Opened before anybody is asked: a seat is not given up for a receipt that cannot be written, and this process
    // may be another user afterwards.
    let out = args.get("out").and_then(Value::as_str).map(String::from);
    let mut file = out.as_deref().map(create).transpose()?;
    let request = Request { noun: NOUN.into(), verb: verb.into(), args };
    let answer = talk::ask(rows, options, request, |_| {}).await;
    let (Some(path), Some(file)) = (out, &mut file) else { return answer };
    match answer {
        Ok(answer) if answer.exit == Some(Exit::Done) => written(file, &path, answer),
        other => {
            // An empty file would look like an answer.
            let _ = std::fs::remove_file(&path);
            other
        }
    }
}

fn written(file: &mut File, path: &str, mut answer: Answer) -> Result<Answer, Failed> {
    let text = answer.json.get("file").and_then(Value::as_str).unwrap_or_default();
    let kept = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    kept.map_err(|error| unwritten(path, &error))?;
    answer.json["file"] = path.into();
    answer.text = format!("{}\nwritten: {}", answer.text, printable(path, 200));
    Ok(answer)
}

fn create(path: &str) -> Result<File, Failed> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &str, error: &io::Error) -> Failed {
    let shown = printable(path, 200);
    let text = format!(
        "cannot write {shown}: {error}\nhint: choose another FILE, which does not exist yet"
    );
    Failed { exit: Exit::Failed, text }
}

/// What `install` was given: the documents of a file, or a key.
fn complete(args: &mut Value) -> Result<(), Failed> {
    let arg = |name: &str| args.get(name).and_then(Value::as_str).map(String::from);
    let (what, key_file) = (arg("what").unwrap_or_default(), arg("key-file"));
    let is_key = LicenseId::parse(&what).is_ok() || ProductKey::parse(&what).is_ok();
    let text = if what == "-" {
        from_stdin().map_err(|error| unread("standard input", &error))?
    } else if is_key && !Path::new(&what).exists() {
        what.clone()
    } else {
        let most = u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX);
        from_file(&what, most).map_err(|error| unread(&what, &error))?
    };
    // Documents have dots in them, and files of other makers begin with dashes; keys have neither.
    let is_document = text.contains('.') || text.trim_start().starts_with("-----");
    args[if is_document { "documents" } else { "key" }] = text.into();
    if let Some(file) = key_file {
        let text = from_file(&file, MAX_KEY_FILE).map_err(|error| unread(&file, &error))?;
        let mut lines = text.lines().map(str::trim);
        let (key, print) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        args["opener"] = opener(key, print).into();
    }
    Ok(())
}

fn unread(what: &str, error: &io::Error) -> Failed {
    let shown = printable(what, 200);
    let text = format!(
        "cannot read a license from {shown}: {error}\nhint: give a file, `-`, a product key of 5 groups of 5, or an id"
    );
    Failed { exit: Exit::Failed, text }
}

fn from_file(path: &str, most: u64) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let path = path.to_str().ok_or_else(|| io::Error::other("its path is no UTF-8"))?;
    // What a person names is on the box they sit at, whatever `--root` says.
    Root::system().read_text(path, most)
}

fn from_stdin() -> io::Result<String> {
    let mut text = String::new();
    let most = u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX);
    io::stdin().lock().take(most).read_to_string(&mut text)?;
    Ok(text)
}
