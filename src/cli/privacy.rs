//! `privacy status|erase|deny|allow`: over all features, and without a running agent. The verbs that ask
//! the hub are the feature's.

use super::consent::privacy_text;
use super::print::Printer;
use super::{status, talk, text};
use crate::card::{Card, Exit, Parcel, Retention, Switch};
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::run::Options;
use crate::egress::catalogue;
use crate::egress::consent::{PRIVACY_TEXT_DATE, PRIVACY_TEXT_VERSION};
use crate::wire::label::printable;
use crate::wire::privacy::Restrictable;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};

/// The verb that takes a device back from its hub.
const LEAVE: &str = "unregister";

/// The commands.
pub(super) fn noun() -> Command {
    let part = || {
        let help = "A parcel of `egress catalog`, or PARCEL.FIELD for a field that may be denied";
        Arg::new("part").value_name("PARCEL").required(true).help(help)
    };
    let feature = Arg::new("feature").help("Only this feature; without it, everything");
    Command::new("privacy")
        .about("See, correct, restrict, erase or deny what leaves this device")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("status").about("Show what is kept where, until when, and how to end it"),
        )
        .subcommand(
            Command::new("erase").about("Have the hub erase it, and sign for it").arg(feature),
        )
        .subcommand(Command::new("deny").about("Let a parcel or a field leave no more").arg(part()))
        .subcommand(Command::new("allow").about("Let it leave again").arg(part()))
}

/// Runs one of the verbs; `None` for those of the feature.
pub(super) async fn own(
    rows: &'static [Row],
    options: &Options,
    sub: &ArgMatches,
    printer: &Printer,
) -> Option<Exit> {
    match sub.subcommand() {
        Some(("status", _)) => Some(show(rows, options, printer).await),
        Some(("erase", matches)) => {
            let feature = matches.get_one::<String>("feature").map(String::as_str);
            Some(erase(rows, options, feature, printer).await)
        }
        Some((verb @ ("deny" | "allow"), matches)) => {
            let part = matches.get_one::<String>("part").map(String::as_str).unwrap_or_default();
            let args = json!({ "part": part });
            let request = Request { noun: DAEMON.into(), verb: verb.into(), args };
            Some(match talk::decide(rows, options, request).await {
                Ok(answer) => printer.answer(&answer),
                Err(failed) => printer.fail(failed.exit, &failed.text),
            })
        }
        Some(_) | None => None,
    }
}

/// The same ways as `FEATURE off` and `unregister`, which end with the hub's receipt.
async fn erase(
    rows: &'static [Row],
    options: &Options,
    feature: Option<&str>,
    printer: &Printer,
) -> Exit {
    let place = |card: &Card| card.switch == Switch::Always && card.forget.is_some();
    let erasable = rows.iter().map(|row| row.card).filter(|card| card.forget.is_some());
    let meant = match feature {
        None => erasable.clone().find(|card| place(card)),
        Some(name) => erasable.clone().find(|card| card.name == name),
    };
    let Some(card) = meant else {
        let known: Vec<_> = erasable.map(|card| card.name).collect();
        let text = format!(
            "the hub keeps nothing under `{}`; what can be erased: {}\nhint: qcloud-agent privacy status",
            printable(feature.unwrap_or_default(), 40),
            known.join(", ")
        );
        return printer.fail(Exit::Usage, &text);
    };
    let verb = if place(card) { LEAVE } else { "off" };
    let request = Request { noun: card.name.into(), verb: verb.into(), args: json!({}) };
    match talk::ask(rows, options, request, |progress| printer.progress(&progress)).await {
        Ok(answer) => printer.answer(&answer),
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}

async fn show(rows: &'static [Row], options: &Options, printer: &Printer) -> Exit {
    let status = match status::gather(rows, options).await {
        Ok(status) => status,
        Err(failed) => return printer.fail(failed.exit, &failed.text),
    };
    let cards: Vec<&'static Card> = rows.iter().map(|row| row.card).collect();
    printer.show(&screen(&cards, &status), &facts(&cards, &status))
}

/// One feature as it stands.
struct Stand<'a> {
    card: &'static Card,
    state: &'a str,
    restricted: bool,
    /// Whether the hub may hold something of it now.
    held: bool,
}

fn stands<'a>(cards: &[&'static Card], status: &'a Value) -> Vec<Stand<'a>> {
    let features = status["features"].as_array().map(Vec::as_slice).unwrap_or_default();
    let owed = |name: &str| status["owed"].as_array().into_iter().flatten().any(|o| o == name);
    let registered = !status["registered"].is_null();
    let stand = |card: &&'static Card| {
        let feature = features.iter().find(|feature| feature["name"] == card.name);
        let state = feature.map_or("off", |feature| text(feature, "state"));
        let restricted = feature.is_some_and(|feature| feature["restricted"] == true);
        let held = owed(card.name) || (registered && state != "off");
        Stand { card, state, restricted, held }
    };
    cards.iter().map(stand).collect()
}

fn kept(card: &'static Card) -> impl Iterator<Item = &'static Parcel> {
    card.parcels.iter().copied().filter(|parcel| parcel.retention != Retention::Nothing)
}

fn facts(cards: &[&'static Card], status: &Value) -> Value {
    let feature = |stand: Stand<'_>| {
        let parcels = kept(stand.card).filter(|_| stand.held);
        let parcels = parcels.map(|parcel| {
            json!({
                "parcel": parcel.id,
                "where": catalogue::recipient(parcel.to),
                "kept": catalogue::kept(parcel.retention),
            })
        });
        json!({
            "name": stand.card.name,
            "state": stand.state,
            "restricted": stand.restricted,
            "kept": parcels.collect::<Vec<_>>(),
            "switch": switch(&stand),
        })
    };
    json!({
        "registered": status["registered"],
        "features": stands(cards, status).into_iter().map(feature).collect::<Vec<_>>(),
        "denied": status["denied"],
        "consents": status["consents"],
        "owed": status["owed"],
        "receipts": status["receipts"],
        "privacy_text": privacy_text(),
    })
}

/// The whole screen: at most 24 lines of 80 columns for the features of today, unless something is denied or
/// owed (promise R2).
fn screen(cards: &[&'static Card], status: &Value) -> String {
    let place = status.get("registered").filter(|place| !place.is_null());
    let mut lines = match place {
        Some(place) => {
            let at = format!("registered as {} at {}", text(place, "name"), text(place, "hub"));
            vec![at, status::operator(place)]
        }
        None => vec!["not registered: no hub holds anything of this device".into()],
    };
    lines.push(format!("privacy text: version {PRIVACY_TEXT_VERSION} of {PRIVACY_TEXT_DATE}"));
    lines.push(match status["consents"].as_array().map_or(0, Vec::len) {
        0 => "consent: nothing that can leave needs it".into(),
        count => format!("consent: {count} parcels need it (qcloud-agent consent show)"),
    });
    lines.push(String::new());
    for stand in stands(cards, status) {
        lines.extend(feature(&stand));
    }
    for denied in status["denied"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("denied: {denied} (qcloud-agent privacy allow {denied})"));
    }
    for owed in status["owed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("owed: the hub has not erased its part of {owed} yet"));
    }
    let receipts = status["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(last) = receipts.last() {
        let (feature, at) = (text(last, "feature"), text(last, "erased_at"));
        let count = receipts.len();
        lines.push(format!("receipts: {count}, the last for {feature} at {at} (see --json)"));
    }
    lines.push("what exactly: qcloud-agent privacy export".into());
    lines.join("\n")
}

fn feature(stand: &Stand<'_>) -> Vec<String> {
    let restricted = if stand.restricted { ", restricted: kept and not used" } else { "" };
    let nothing = if stand.held { "" } else { ", nothing kept" };
    let mut lines = vec![format!("{:<14}{}{restricted}{nothing}", stand.card.name, stand.state)];
    // Those that are kept alike share a line.
    let mut alike: Vec<(String, String)> = Vec::new();
    for parcel in kept(stand.card).filter(|_| stand.held) {
        let until = catalogue::kept(parcel.retention);
        match alike.last_mut().filter(|(_, other)| *other == until) {
            Some((what, _)) => *what = format!("{what}, {}", parcel.id),
            None => {
                let what = format!("at {}: {}", catalogue::recipient(parcel.to), parcel.id);
                alike.push((what, until));
            }
        }
    }
    lines.extend(alike.into_iter().map(|(what, until)| format!("  {what:<40} {until}")));
    let commands = switch(stand);
    if !commands.is_empty() {
        lines.push(format!("  {}", commands.join(", ")));
    }
    lines
}

/// The commands that change how it stands, in the order of what they change.
fn switch(stand: &Stand<'_>) -> Vec<String> {
    if crate::sabotage::off("privacy-switch") {
        return Vec::new();
    }
    let name = stand.card.name;
    let mut commands = Vec::new();
    match (stand.card.switch, stand.state) {
        (Switch::OnOff, "off" | "leaving") => {
            commands.push(format!("qcloud-agent {name} on"));
        }
        (Switch::OnOff, _) => commands.push(format!("qcloud-agent {name} off")),
        (Switch::Always, _) if stand.held && stand.card.forget.is_some() => {
            commands.push(format!("qcloud-agent {LEAVE}"));
        }
        (Switch::Always, _) => {}
    }
    if stand.held && Restrictable::of(name).is_some() {
        let to = if stand.restricted { "off" } else { "on" };
        commands.push(format!("qcloud-agent privacy restrict {name} {to}"));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::ALL;

    fn cards() -> Vec<&'static Card> {
        ALL.iter().map(|row| row.card).collect()
    }

    fn status(registered: bool) -> Value {
        let feature = |card: &&'static Card| {
            let state = if card.switch == Switch::Always { "ready" } else { "on" };
            json!({ "name": card.name, "state": state, "restricted": card.name == "ddns" })
        };
        let place = json!({ "name": "box", "zone": "example.test", "hub": "hub.example.test:443" });
        json!({
            "registered": if registered { place } else { Value::Null },
            "features": cards().iter().map(feature).collect::<Vec<_>>(),
            "denied": [], "owed": [], "consents": [],
            "receipts": [{ "feature": "registration", "erased_at": "2026-11-22T10:00:00Z" }],
        })
    }

    #[test]
    fn everything_fits_on_one_screen() {
        let screen = screen(&cards(), &status(true));
        assert!(screen.lines().count() <= 24, "{screen}");
        for line in screen.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(screen.contains("ddns          on, restricted: kept and not used"), "{screen}");
        assert!(screen.contains("qcloud-agent privacy restrict ddns off"), "{screen}");
        assert!(screen.contains("qcloud-agent unregister"), "{screen}");
    }

    #[test]
    fn without_a_hub_nothing_is_kept_anywhere() {
        let facts = facts(&cards(), &status(false));
        for feature in facts["features"].as_array().expect("features") {
            assert_eq!(feature["kept"], json!([]), "{feature}");
        }
        assert_eq!(facts["privacy_text"]["version"], 1);
    }

    #[test]
    fn every_command_of_the_screen_is_one() {
        for stand in stands(&cards(), &status(true)) {
            for command in switch(&stand) {
                let words = command.split_whitespace();
                let parsed = super::super::tree::command(ALL).try_get_matches_from(words);
                assert!(parsed.is_ok(), "{command}");
            }
        }
    }
}
