//! What the agent says of itself, for its pages of a report: by the running one, else by its files.

use super::super::talk;
use crate::daemon::config::{DEFAULT_PATH, VENDOR_PATH};
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::records::{LEDGER, tail};
use crate::daemon::run::Options;
use crate::platform::root::Root;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The largest file of settings that is read.
const MOST: u64 = 256 * 1024;
/// The part of the ledger that is read: its end.
const MOST_LEDGER: u64 = 512 * 1024;

/// Status, ledger and settings, and for the crash part the tape. Nothing of a stopped agent is touched.
pub async fn said(options: &Options, root: &Root, crash: bool) -> Value {
    let configured = configured(options, root);
    if !root.is_live() {
        return json!({ "configured": configured });
    }
    let ask = async |verb: &str| {
        let request = Request { noun: DAEMON.into(), verb: verb.into(), args: json!({}) };
        match talk::ask_running(options, &request).await {
            Ok(Some(answer)) => answer.json,
            Ok(None) | Err(_) => Value::Null,
        }
    };
    let (status, kept) = (ask("status").await, ask("checkpoint").await);
    let mut lines = end_of(&options.state_dir.join(LEDGER));
    let told = kept["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let known: BTreeSet<String> = lines.iter().cloned().collect();
    lines.extend(told.filter(|line| !known.contains(*line)).map(String::from));
    let ledger = if lines.is_empty() && status.is_null() { Value::Null } else { json!(lines) };
    let tape = if crash { ask("tape").await } else { Value::Null };
    json!({ "status": status, "ledger": ledger, "configured": configured, "tape": tape })
}

/// The last lines of a file; none where there is none.
fn end_of(path: &Path) -> Vec<String> {
    let Ok((bytes, length)) = tail(path, MOST_LEDGER) else { return Vec::new() };
    let is_cut = length > MOST_LEDGER;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().skip(usize::from(is_cut)).map(String::from).collect()
}

/// The settings, section by section: switches and numbers as they are, of texts how long they are.
fn configured(options: &Options, root: &Root) -> Value {
    let named = options.config_path.as_ref().and_then(|path| std::path::absolute(path).ok());
    let here = Root::new("/");
    let named = named.and_then(|path| here.read_text(path.to_str()?, MOST).ok());
    let owners = named.or_else(|| root.read_text(DEFAULT_PATH, MOST).ok());
    let vendors = root.read_text(VENDOR_PATH, MOST).ok();
    let mut all = Map::new();
    for text in [vendors, owners].into_iter().flatten() {
        let mut section = String::from("agent");
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                section = name.trim_matches('[').to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let shown = shown(value.trim());
                all.insert(format!("{section}.{}", key.trim()), shown.into());
            }
        }
    }
    if all.is_empty() { Value::Null } else { Value::Object(all) }
}

fn shown(value: &str) -> String {
    let value = value.split(" #").next().unwrap_or_default().trim();
    let is_plain = matches!(value, "true" | "false") || value.parse::<i64>().is_ok();
    if is_plain { value.into() } else { format!("<{} characters>", value.chars().count()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_shown_and_texts_are_not() {
        assert_eq!(shown("true # yes"), "true");
        assert_eq!(shown("300"), "300");
        assert_eq!(shown("\"hunter2\""), "<9 characters>");
    }

    #[test]
    fn settings_of_a_tree_are_read_section_by_section() {
        let dir = crate::platform::root::tests::scratch("report-settings");
        std::fs::create_dir_all(dir.join("etc/qcloud-agent")).unwrap();
        let text = "# one\n[ddns]\nenabled = true\nname = \"anna\"\n";
        std::fs::write(dir.join("etc/qcloud-agent/config.toml"), text).unwrap();
        let options =
            Options { state_dir: dir.join("state"), config_path: None, root: dir.clone() };
        let found = configured(&options, &Root::new(&dir));
        assert_eq!(found, json!({ "ddns.enabled": "true", "ddns.name": "<6 characters>" }));
        assert_eq!(configured(&options, &Root::new(dir.join("none"))), Value::Null);
    }
}
