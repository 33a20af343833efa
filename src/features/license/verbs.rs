//! What a person can ask, and how it is answered.

use super::book::{State, Verdict};
use super::foreign::Reading;
use super::time::Doubt;
use crate::card::{Arg, ArgKind, Verb};
use crate::clock::Wall;
use crate::daemon::feature::Answer;
use crate::wire::label::printable;
use crate::wire::license::{LicenseId, Model, Plan, Product};
use serde_json::{Value, json};

const LICENSE: Arg =
    Arg { name: "license", about: "Its id, from `license list`", kind: ArgKind::Positional };
const OUT: &str = "out";

/// The verbs of the card.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "install",
        about: "Install a license: a file, a product key, or the id of one of your licenses",
        args: &[
            Arg {
                name: "what",
                about: "A file, `-` for standard input, a product key or an id",
                kind: ArgKind::Positional,
            },
            Arg {
                name: "key-file",
                about: "For an encrypted Keygen file: a file with its license key, and for a machine file the fingerprint in a second line",
                kind: ArgKind::Optional,
            },
        ],
        top: false,
    },
    Verb {
        name: "list",
        about: "List what is installed, and how it stands",
        args: &[],
        top: false,
    },
    Verb {
        name: "check",
        about: "Say by exit code whether there is a license for a product",
        args: &[Arg { name: "product", about: "Its name", kind: ArgKind::Positional }],
        top: false,
    },
    Verb {
        name: "request",
        about: "Write a file that gets a lease from a hub this box cannot reach",
        args: &[
            Arg { name: OUT, about: "The file to write", kind: ArgKind::Required },
            Arg {
                name: "license",
                about: "The product key or id; left out, it is said where the file is carried to",
                kind: ArgKind::Optional,
            },
        ],
        top: false,
    },
    Verb {
        name: "release",
        about: "Give the seat of a license back, at the hub or by a file that is carried there",
        args: &[LICENSE, Arg { name: OUT, about: "The file to write", kind: ArgKind::Optional }],
        top: false,
    },
    Verb {
        name: "remove",
        about: "Remove a license from this box; its seat stays taken until its lease ends",
        args: &[LICENSE],
        top: false,
    },
];

/// One license, for `list`, `check` and `--json`.
pub fn facts_of(lid: &LicenseId, product: &Product, verdict: &Verdict) -> Value {
    let entitlement = verdict.entitlement.as_ref();
    let lease = verdict.lease.as_ref();
    let plan = entitlement.map(|e| match e.plan {
        Plan::Subscription => "subscription",
        Plan::Perpetual => "perpetual",
    });
    let model = entitlement.map(|e| match e.model {
        Model::Device => "device",
        Model::Floating => "floating",
        Model::User => "user",
    });
    json!({
        "license": lid,
        "product": product,
        "state": verdict.state.word(),
        "exit": verdict.state.exit().code(),
        "until": verdict.until.map(Wall::rfc3339),
        "plan": plan,
        "model": model,
        "seats": entitlement.map(|e| e.seats),
        "ends": entitlement.and_then(|e| e.exp).map(Wall::rfc3339),
        "features": entitlement.map(|e| &e.features),
        "seat": lease.map(|l| l.seat),
        "next_contact": lease.map(|l| l.next.rfc3339()),
    })
}

/// One license of another maker.
pub fn foreign_facts(product: &Product, state: State, reading: Option<&Reading>) -> Value {
    json!({
        "product": product,
        "state": state.word(),
        "exit": state.exit().code(),
        "until": reading.and_then(Reading::until).map(Wall::rfc3339),
        "id": reading.map(|r| printable(&r.id, 64)),
        "foreign": true,
    })
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// One line for a person.
pub fn line(facts: &Value) -> String {
    let until = match text(facts, "until") {
        "" => String::new(),
        until => format!(" until {until}"),
    };
    format!("{}: {}{until}", text(facts, "product"), meaning(text(facts, "state")))
}

fn meaning(word: &str) -> &str {
    match word {
        "valid" => "valid",
        "grace" => "in grace, as no hub has renewed its lease:",
        "lease_stale" => "not valid, as it has no lease that is fresh enough",
        "not_yet" => "not valid",
        "expired" => "over",
        "hw_mismatch" => "not valid, as its lease is another box's",
        "revoked" => "revoked",
        "unknown_key" => "not valid, as it is signed by a key this device does not trust",
        "bad_signature" => "not valid, as its signature does not fit",
        "malformed" => "not valid, as it is damaged",
        other => other,
    }
}

/// What helps in a state.
const fn hint(state: State) -> Option<&'static str> {
    match state {
        State::Grace | State::LeaseStale => Some(
            "qcloud-agent status; without a way to the hub: qcloud-agent license request -o FILE",
        ),
        State::HwMismatch | State::Malformed | State::BadSignature => {
            Some("install it anew: qcloud-agent license install KEY")
        }
        State::UnknownKey => Some(
            "set issuers in [license] of the configuration; where the issuer has withdrawn the key of a hub: qcloud-agent license install KEY",
        ),
        State::Valid | State::NotYet | State::Expired | State::Revoked => None,
    }
}

/// The answer to `check`.
pub fn checked(mut facts: Value, state: State, doubt: Option<Doubt>) -> Answer {
    facts["clock"] = doubt.map(Doubt::word).into();
    let mut words = line(&facts);
    if let Some(doubt) = doubt {
        words = format!("{words} ({})", doubt.text());
    }
    if let Some(hint) = hint(state) {
        words = format!("{words}\nhint: {hint}");
    }
    Answer { exit: Some(state.exit()), text: words, json: facts }
}

/// The answer to `list`.
pub fn listed(licenses: &[Value], foreign: &[Value], doubt: Option<Doubt>) -> Answer {
    let json = json!({ "licenses": licenses, "foreign": foreign, "clock": doubt.map(Doubt::word) });
    let own = licenses.iter().map(|facts| format!("{}  {}", text(facts, "license"), line(facts)));
    let others = foreign.iter().map(|facts| format!("{:<26}  {}", "(Keygen)", line(facts)));
    let mut lines: Vec<_> = own.chain(others).collect();
    if lines.is_empty() {
        lines.push("no license is installed".into());
    }
    lines.extend(doubt.map(|doubt| doubt.text().to_owned()));
    Answer::done(lines.join("\n"), json)
}
