//! `consent show|give|withdraw`: the owner's yes to what the service itself does not need.

use super::print::Printer;
use super::{status, talk, text};
use crate::card::Exit;
use crate::daemon::control::{DAEMON, Request};
use crate::daemon::feature::Row;
use crate::daemon::run::Options;
use crate::egress::consent::{PRIVACY_TEXT_DATE, PRIVACY_TEXT_VERSION};
use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};

/// The commands.
pub(super) fn noun() -> Command {
    let parcel = || {
        let help = "Its id, as `consent show` lists it";
        Arg::new("parcel").value_name("PARCEL").required(true).help(help)
    };
    Command::new("consent")
        .about("Agree, or stop agreeing, to what leaves only with your consent")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("show").about("List what needs your consent, and how it stands"))
        .subcommand(Command::new("give").about("Agree that a parcel leaves").arg(parcel()))
        .subcommand(
            Command::new("withdraw").about("Take it back; nothing more leaves").arg(parcel()),
        )
}

/// Runs one of them.
pub(super) async fn dispatch(
    rows: &'static [Row],
    options: &Options,
    sub: &ArgMatches,
    printer: &Printer,
) -> Exit {
    let (verb, matches) = match sub.subcommand() {
        Some(("give", matches)) => ("consent", matches),
        Some(("withdraw", matches)) => ("withdraw", matches),
        Some(_) | None => return show(rows, options, printer).await,
    };
    let id = matches.get_one::<String>("parcel").map(String::as_str).unwrap_or_default();
    let request = Request { noun: DAEMON.into(), verb: verb.into(), args: json!({ "parcel": id }) };
    match talk::decide(rows, options, request).await {
        Ok(answer) => printer.answer(&answer),
        Err(failed) => printer.fail(failed.exit, &failed.text),
    }
}

async fn show(rows: &'static [Row], options: &Options, printer: &Printer) -> Exit {
    let status = match status::gather(rows, options).await {
        Ok(status) => status,
        Err(failed) => return printer.fail(failed.exit, &failed.text),
    };
    let json = json!({ "privacy_text": privacy_text(), "consents": status["consents"] });
    printer.show(&screen(&status["consents"]), &json)
}

/// The privacy text that everything stands in (promise X14).
pub(super) fn privacy_text() -> Value {
    json!({ "version": PRIVACY_TEXT_VERSION, "date": PRIVACY_TEXT_DATE })
}

fn screen(consents: &Value) -> String {
    let mut lines = vec![format!(
        "privacy text: version {PRIVACY_TEXT_VERSION} of {PRIVACY_TEXT_DATE} (qcloud-agent egress catalog)"
    )];
    let consents = consents.as_array().map(Vec::as_slice).unwrap_or_default();
    if consents.is_empty() {
        lines.push("nothing that can leave this device needs your consent".into());
    }
    for parcel in consents {
        let id = text(parcel, "parcel");
        let consent = &parcel["consent"];
        lines.push(format!("{id}: {}", text(parcel, "what")));
        lines.push(match text(parcel, "state") {
            "given" => format!(
                "  given by {} with `{}`; undo: qcloud-agent consent withdraw {id}",
                text(consent, "actor"),
                text(consent, "how")
            ),
            "lapsed" => format!(
                "  lapsed: it has changed since {} agreed; qcloud-agent consent give {id}",
                text(consent, "actor")
            ),
            _ => format!("  not given, so it does not leave; qcloud-agent consent give {id}"),
        });
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_dated_and_every_state_names_its_command() {
        let none = screen(&json!([]));
        assert!(none.contains("version 1 of 2026-11-22"), "{none}");
        assert!(none.ends_with("nothing that can leave this device needs your consent"), "{none}");
        let consent = json!({ "actor": "uid 0", "how": "qcloud-agent consent give a.b" });
        for (state, command) in [
            ("given", "consent withdraw a.b"),
            ("lapsed", "consent give a.b"),
            ("missing", "consent give a.b"),
        ] {
            let one = json!([{ "parcel": "a.b", "what": "x", "state": state, "consent": consent }]);
            assert!(screen(&one).contains(command), "{}", screen(&one));
        }
    }
}
