//! What an operator asked for, for people to read.

use crate::hub::operators::act::Act;
use core::fmt::Write as _;
use serde_json::Value;

/// The answer to an act as text.
pub(super) fn of(act: &Act, value: &Value) -> String {
    match act {
        Act::UserList {} => lines(&value["accounts"], account),
        Act::UserInvite { .. } => format!(
            "An invitation for {}, good for 7 days and for one use:\n\n    {}\n",
            word(&value["email"]),
            word(&value["invitation"])
        ),
        Act::UserLock { .. } => changed(value, "is locked, and signed out everywhere"),
        Act::UserUnlock { .. } => changed(value, "is not locked any more"),
        Act::UserResetSecond { .. } => changed(value, "has no second factor, and is signed out"),
        Act::UserSignOut { .. } => changed(value, "is signed out everywhere"),
        Act::DeviceList {} => lines(&value["devices"], device),
        Act::DeviceRelease { .. } => lines(&value["released"], |name| {
            format!("{} is released: the box that comes first is it", word(name))
        }),
        Act::AuditList {} => lines(&value["audit"], noted),
        Act::AuditVerify {} => format!(
            "the audit log holds: {} lines, the last one is number {}\nhash: {}\n",
            value["lines"],
            value["number"],
            word(&value["hash"])
        ),
        Act::License { what } => super::license::table(what, value),
        Act::UserShow { .. } | Act::DeviceShow { .. } | Act::DeviceRevoke { .. } => fields(value),
    }
}

pub(super) fn lines(list: &Value, line: impl Fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().flat_map(|row| [line(row), "\n".into()]).collect()
}

pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn account(row: &Value) -> String {
    let state = match (row["locked"] == true, row["password"] == true) {
        (true, _) => "locked ",
        (false, true) => "active ",
        (false, false) => "invited",
    };
    format!("{state}  {}  {:>5}  {}", word(&row["made"]), row["account"], word(&row["email"]))
}

fn changed(value: &Value, what: &str) -> String {
    let note = if value["changed"] == false { " (nothing was to be changed)" } else { "" };
    format!("{} {what}{note}\n", word(&value["email"]))
}

fn device(row: &Value) -> String {
    let name = word(&row["name"]);
    let online = match row["online"].as_bool() {
        Some(true) => "online",
        Some(false) => "offline",
        None => "unknown",
    };
    let aside = row["quarantined"].as_str().map(|since| {
        let why = word(&row["why"]);
        format!("  quarantined since {since}: {why}; qcloud-hub release {name}")
    });
    let (id, registered) = (word(&row["id"]), word(&row["registered"]));
    format!("{id}  {registered}  {online:<7}  {name}{}", aside.unwrap_or_default())
}

fn noted(row: &Value) -> String {
    let accounts = row["accounts"].as_array();
    let accounts = accounts.map_or(String::new(), |all| match all.as_slice() {
        [] => String::new(),
        [one] => format!("  account {one}"),
        many => format!("  {} accounts", many.len()),
    });
    let more = [("reason", "reason"), ("refused", "refused"), ("device", "device")];
    let more =
        more.iter().filter_map(|(key, name)| Some(format!("  {name}: {}", row[key].as_str()?)));
    format!(
        "{:>6}  {}  {} ({}, {})  {}{}{accounts}{}",
        row["number"],
        word(&row["at"]),
        word(&row["operator"]),
        row["uid"],
        word(&row["role"]),
        word(&row["act"]),
        if row["unmasked"] == true { "  unmasked" } else { "" },
        more.collect::<String>(),
    )
}

pub(super) fn fields(value: &Value) -> String {
    let mut text = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let all = value.as_array().filter(|all| all.iter().all(Value::is_string));
        let shown = match (value.as_str(), all) {
            (Some(text), _) => text.to_owned(),
            (None, Some(all)) => all.iter().map(word).collect::<Vec<_>>().join(", "),
            (None, None) if value.is_null() => "-".to_owned(),
            (None, None) => value.to_string(),
        };
        let _ = writeln!(text, "{key:<12} {shown}");
    }
    text
}
