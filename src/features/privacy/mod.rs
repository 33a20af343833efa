//! Privacy: what the hub holds of this device is shown, corrected, or set aside.
//!
//! Nothing leaves unless one of the verbs is typed. `privacy status`, `erase`, `deny` and `allow` are the
//! house's own (`cli/privacy.rs`): they work without this feature and without a running agent.

mod export;
#[cfg(test)]
mod tests;

use self::export::{Export, Stop};
use crate::card::{Arg, ArgKind, Card, Exit, Switch, Verb};
use crate::clock::{Boot, Now};
use crate::daemon::dial::{Hands, exit_of};
use crate::daemon::feature::{
    Answer, Asker, BadConfig, Depth, Event, Feature, HubAddress, Input, Out, Section, Ticket,
};
use crate::egress::outside::SendError;
use crate::wire::label::{Label, printable};
use crate::wire::privacy::{
    EXPORT, FIX, FIXABLE, Fix, RESTRICT, Restrict, Restrictable, Restrictions,
};
use crate::wire::registration::Membership;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Asks the hub on the owner's behalf.
pub struct Privacy {
    place: Option<(Arc<Membership>, HubAddress)>,
    asked: BTreeMap<Ticket, Asker>,
}

/// `[privacy]`: nothing to decide.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// Nothing: the house keeps what the hub confirmed.
#[derive(Default, Serialize, Deserialize)]
pub struct Saved {}

/// What the owner typed.
#[derive(Debug)]
pub enum Job {
    /// Everything the hub holds, page by page.
    Export,
    /// A correction.
    Fix(Fix),
    /// Set aside, or taken up again.
    Restrict(Restrict),
}

/// What the hub said.
pub enum Note {
    /// All pages, or as many as came.
    Exported(Result<Export, Stop>),
    /// The device's new place.
    Fixed(Result<Membership, SendError>),
    /// What was asked, and everything that is set aside now.
    Restricted(Restrict, Result<Restrictions, SendError>),
}

impl Feature for Privacy {
    const CARD: Card = Card {
        name: "privacy",
        promise: "shows, corrects, sets aside or erases what your hub holds, when you ask for it",
        promises: &["R2", "R6", "R7", "R9", "R11", "C1", "C4"],
        switch: Switch::Always,
        parcels: &[&EXPORT, &FIX, &RESTRICT],
        forget: None,
        warnings: &[],
        verbs: VERBS,
    };
    type Config = Config;
    type Saved = Saved;
    type Job = Job;
    type Note = Note;

    fn open(_: Config, _: Saved, _: Now) -> Result<Self, BadConfig> {
        Ok(Self { place: None, asked: BTreeMap::new() })
    }

    fn handle(&mut self, input: Input<'_, Note>, _: Now, out: &mut Out<Job>) {
        match input {
            Input::Verb { asker, name, args } => self.ask(asker, name, args, out),
            Input::Done(ticket, result) => {
                let Some(asker) = self.asked.remove(&ticket) else { return };
                let answer = match result {
                    Ok(note) => self.answer(note, out),
                    Err(_) => Answer::failed(Exit::Failed, "the question to the hub broke off"),
                };
                out.answer(asker, answer);
            }
            Input::Event(Event::Registered(membership, hub)) => {
                self.place = Some((Arc::clone(membership), hub.clone()));
            }
            Input::Event(Event::Unregistered) => self.place = None,
            Input::Opened(_)
            | Input::Closing
            | Input::Wake
            | Input::Reply(..)
            | Input::Note(..)
            | Input::Event(_) => {}
        }
    }

    fn next_wake(&self) -> Option<(Boot, &'static str)> {
        None
    }

    fn save(&self) -> Saved {
        Saved {}
    }

    async fn work(job: Job, hands: Hands<Note>) -> Note {
        match job {
            Job::Export => Note::Exported(export::all(&hands.dial).await),
            Job::Fix(fix) => Note::Fixed(match hands.dial.send(&fix).await {
                Ok(reply) => reply.read(),
                Err(error) => Err(error),
            }),
            Job::Restrict(wanted) => {
                let result = match hands.dial.send(&wanted).await {
                    Ok(reply) => reply.read(),
                    Err(error) => Err(error),
                };
                Note::Restricted(wanted, result)
            }
        }
    }

    fn report(&self, _: Depth, section: &mut Section) {
        section.summary = match self.asked.len() {
            0 => "sends nothing until you ask (qcloud-agent privacy status)".into(),
            _ => "asks the hub".into(),
        };
    }
}

const VERBS: &[Verb] = &[
    Verb {
        name: "export",
        about: "Print everything the hub holds of this device, as JSON",
        args: &[],
        top: false,
    },
    Verb {
        name: "fix",
        about: "Correct what the hub holds: `fix name NEW-NAME`",
        args: &[
            Arg { name: "field", about: "What is wrong: name", kind: ArgKind::Positional },
            Arg { name: "value", about: "What is right", kind: ArgKind::Positional },
        ],
        top: false,
    },
    Verb {
        name: "restrict",
        about: "Have the hub keep a feature's data without using it, or use it again",
        args: &[
            Arg { name: "feature", about: "Whose data: ddns or link", kind: ArgKind::Positional },
            Arg { name: "how", about: "on or off", kind: ArgKind::Positional },
        ],
        top: false,
    },
];

impl Privacy {
    fn ask(&mut self, asker: Asker, verb: &str, args: &Value, out: &mut Out<Job>) {
        let job = match wanted(verb, args) {
            Ok(job) => job,
            Err(text) => return out.answer(asker, Answer::failed(Exit::Usage, text)),
        };
        if self.place.is_none() {
            let text = "this device is not registered: no hub holds anything of it\nhint: qcloud-agent privacy status";
            return out.answer(asker, Answer::failed(Exit::Failed, text));
        }
        self.asked.insert(out.run(job), asker);
    }

    fn answer(&self, note: Note, out: &mut Out<Job>) -> Answer {
        match note {
            Note::Exported(result) => self.exported(result, out),
            Note::Fixed(Ok(membership)) => self.fixed(membership, out),
            Note::Fixed(Err(error)) => failed("correct it", &error, out),
            Note::Restricted(wanted, Ok(now)) => {
                confirm(&now.restricted, out);
                restricted(wanted, &now.restricted)
            }
            Note::Restricted(_, Err(error)) => failed("restrict it", &error, out),
        }
    }

    fn exported(&self, result: Result<Export, Stop>, out: &mut Out<Job>) -> Answer {
        let export = match result {
            Ok(export) => export,
            Err(Stop::Send(error)) => return failed("show what the hub holds", &error, out),
            Err(Stop::Endless) => {
                let text = format!(
                    "the hub's answer has more than {} pages, or takes too long; nothing of it is shown\nhint: ask the hub's operator",
                    export::MOST_PAGES
                );
                return Answer::failed(Exit::Failed, text);
            }
        };
        confirm(&export.restricted, out);
        let hub = self.place.as_ref().map(|(_, hub)| format!("{}:{}", hub.host, hub.port));
        let json = export.json(hub);
        Answer::done(serde_json::to_string_pretty(&json).unwrap_or_default(), json)
    }

    fn fixed(&self, membership: Membership, out: &mut Out<Job>) -> Answer {
        let text = format!(
            "the hub knows this device as {} from here on: {} and {}",
            membership.name,
            membership.ddns_host(),
            membership.link_host()
        );
        let json = json!({
            "name": membership.name,
            "ddns_host": membership.ddns_host(),
            "link_host": membership.link_host(),
        });
        if let Some((before, hub)) = self.place.clone() {
            // The certificate stays: this answer may be older than a rekey.
            let certificate = before.certificate.clone();
            let certificate_until = before.certificate_until;
            let membership = Membership { certificate, certificate_until, ..membership };
            out.emit(Event::Registered(Arc::new(membership), hub));
        }
        Answer::done(text, json)
    }
}

/// What the house keeps of the hub's word.
fn confirm(restricted: &[Restrictable], out: &mut Out<Job>) {
    for feature in Restrictable::ALL {
        out.emit(Event::Restricted(feature.name(), restricted.contains(feature)));
    }
}

fn restricted(wanted: Restrict, now: &[Restrictable]) -> Answer {
    let name = wanted.feature.name();
    if now.contains(&wanted.feature) != wanted.restricted {
        let text = format!("the hub did not do it: ask again, or switch {name} off");
        return Answer::failed(Exit::Failed, text);
    }
    let text = if wanted.restricted {
        format!(
            "the hub keeps the data of {name} and does not use it\nundo: qcloud-agent privacy restrict {name} off"
        )
    } else {
        format!("the hub uses the data of {name} again")
    };
    Answer::done(text, json!({ "feature": name, "restricted": wanted.restricted }))
}

fn failed(what: &str, error: &SendError, out: &mut Out<Job>) -> Answer {
    if *error == SendError::CertificateExpired {
        out.emit(Event::CertificateExpired);
    }
    Answer::failed(exit_of(error), format!("cannot {what}: {}", error.explained()))
}

/// What was typed, or why it cannot be.
fn wanted(verb: &str, args: &Value) -> Result<Job, String> {
    let arg = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    match verb {
        "export" => Ok(Job::Export),
        "fix" if arg("field") == "name" => {
            Label::parse(arg("value")).map(|name| Job::Fix(Fix { name })).map_err(|e| e.to_string())
        }
        "fix" => {
            let (field, known) = (printable(arg("field"), 40), FIXABLE.join(", "));
            Err(format!(
                "`{field}` cannot be corrected at the hub; what can: {known}\nhint: qcloud-agent privacy export"
            ))
        }
        "restrict" => {
            let known: Vec<_> = Restrictable::ALL.iter().map(|feature| feature.name()).collect();
            let known = known.join(", ");
            let feature = Restrictable::of(arg("feature")).ok_or_else(|| {
                let shown = printable(arg("feature"), 40);
                format!("`{shown}` cannot be restricted; what can: {known}\nhint: qcloud-agent privacy status")
            })?;
            let restricted = match arg("how") {
                "on" => true,
                "off" => false,
                other => return Err(format!("`{}` is neither on nor off", printable(other, 40))),
            };
            Ok(Job::Restrict(Restrict { feature, restricted }))
        }
        _ => Err(format!("privacy does not know `{}`", printable(verb, 40))),
    }
}
