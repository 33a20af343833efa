//! What `register` takes beside its words: the box's own name, and an auth key from a file.

use super::Failed;
use crate::card::Exit;
use crate::daemon::run::Options;
use crate::platform::facts;
use crate::platform::root::Root;
use crate::secret::Secret;
use crate::wire::authkey::{AuthKey, MAX_KEY};
use crate::wire::label::printable;
use serde_json::Value;
use std::io::{self, Read};

/// Completes the arguments as they are typed to those the daemon takes.
///
/// # Errors
/// [`Failed`] when the key cannot be had: it is read here, by the user who asks, and from no argument.
pub fn complete(options: &Options, args: &mut Value) -> Result<(), Failed> {
    // A copy that becomes a device of its own gets a name that tells it from the other one.
    if args.get("name").is_none() && args.get("fork").is_none() {
        // A box that tells nothing of itself has a name all the same (promise C7).
        let root = Root::new(&options.root);
        args["name"] = if crate::sabotage::off("default-name") {
            facts::hostname(&root).value.unwrap_or_default().into()
        } else {
            facts::default_name(&root).as_str().into()
        };
    }
    let Some(file) = args.get("auth-key-file").and_then(Value::as_str).map(String::from) else {
        return Ok(());
    };
    let wrong = |why: String| {
        let file = printable(&file, 200);
        let text = format!(
            "cannot use the auth key in {file}: {why}\nhint: chmod 600 FILE; qcloud-hub authkey new"
        );
        Failed { exit: Exit::Usage, text }
    };
    let text = if file == "-" { from_stdin() } else { from_file(&file) };
    let key = AuthKey::new(text.map_err(|e| wrong(e.to_string()))?.expose().trim().into());
    if key.parts().is_none() {
        return Err(wrong("it does not hold a key (qk1_…)".into()));
    }
    args["auth-key"] = key.expose().into();
    Ok(())
}

fn most() -> u64 {
    u64::try_from(MAX_KEY).unwrap_or(u64::MAX)
}

fn from_file(path: &str) -> io::Result<Secret<String>> {
    let path = std::path::absolute(path)?;
    let path = path.to_str().ok_or_else(|| io::Error::other("its path is no UTF-8"))?;
    // What a person names is on the box they sit at, whatever `--root` says.
    Root::system().read_private(path, most())
}

fn from_stdin() -> io::Result<Secret<String>> {
    let mut text = String::new();
    io::stdin().lock().take(most()).read_to_string(&mut text)?;
    Ok(Secret::new(text))
}
