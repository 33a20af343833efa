//! What the cards say.

use core::time::Duration;
use qcloud_agent::card::{Caller, Card, Carriage, Destination, Parcel, Retention, Switch, Warning};
use qcloud_agent::daemon::feature::Row;
use qcloud_agent::daemon::quarantine::QUARANTINE;
use qcloud_agent::daemon::supervisor::BAD_CONFIG;
use qcloud_agent::daemon::warnings::{DAMAGED, NOT_RELOADED, UNSAVED};
use qcloud_agent::daemon::world::CLOCK;
use qcloud_agent::egress::catalogue;
use qcloud_agent::egress::gate::fields_of;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::TO_HUB;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn cards() -> impl Iterator<Item = &'static Card> {
    ALL.iter().map(|row| row.card)
}

/// Every parcel there is, the house's own among them.
fn parcels() -> Vec<&'static Parcel> {
    catalogue::parcels(&cards().collect::<Vec<_>>())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn assert_unique<'a>(kind: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name), "there are two {kind}s `{name}`");
    }
}

fn declared(parcel: &Parcel) -> Vec<String> {
    let mut fields: Vec<_> = parcel.fields.iter().map(|field| field.path.to_owned()).collect();
    fields.sort();
    fields
}

#[test]
fn features_are_called_by_one_lower_case_word_each() {
    assert_unique("feature", cards().map(|card| card.name));
    for card in cards() {
        assert!(is_word(card.name), "{}", card.name);
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/features").join(card.name);
        assert!(dir.is_dir(), "{} has no directory of its own", card.name);
    }
}

#[test]
fn every_feature_promises_something_to_a_person() {
    for card in cards() {
        assert!(card.promise.split(' ').count() > 2, "{}: `{}`", card.name, card.promise);
        assert!(!card.promise.ends_with('.'), "{}: it stands in lists", card.name);
        for verb in card.verbs {
            assert!(!verb.about.is_empty() && verb.args.iter().all(|arg| !arg.about.is_empty()));
            let taken = ["on", "off", "status"].contains(&verb.name);
            assert!(!taken, "{} {}: the house has this verb", card.name, verb.name);
        }
        assert_unique("verb", card.verbs.iter().map(|verb| verb.name));
    }
}

#[test]
fn parcels_are_named_after_their_feature() {
    assert_unique("parcel", parcels().iter().map(|parcel| parcel.id));
    for card in cards() {
        for parcel in card.all_parcels() {
            assert_eq!(parcel.feature(), card.name, "{}", parcel.id);
            assert!(parcel.id.split('.').count() == 2 && parcel.id.split('.').all(is_word));
        }
    }
}

#[test]
fn every_parcel_says_what_and_why() {
    for parcel in parcels() {
        assert!(!parcel.what.is_empty(), "{}", parcel.id);
        assert_unique("field", parcel.fields.iter().map(|field| field.path));
        for field in parcel.fields {
            assert!(!field.why.is_empty(), "{}: {}", parcel.id, field.path);
        }
    }
}

#[test]
fn what_is_kept_at_the_hub_can_be_forgotten_there() {
    for row in ALL {
        let is_kept = |parcel: &Parcel| match parcel.retention {
            Retention::Nothing => false,
            Retention::For(time) => time > Duration::ZERO,
            Retention::UntilDisabled => true,
            // What registration.forget erases with all the rest; the store's own contract sees to that.
            Retention::UntilUnregistered => false,
        };
        if row.card.parcels.iter().any(|parcel| is_kept(parcel)) {
            assert!(row.card.forget.is_some(), "{} is kept, and nothing erases it", row.card.name);
        }
        assert_forget(row);
    }
}

/// The demand is made without a live feature, from a device that saved nothing, and is what was declared.
fn assert_forget(row: &Row) {
    let name = row.card.name;
    let body = (row.forget)(&json!({}), &Value::Null, "NONCE");
    let Some(forget) = row.card.forget else {
        return assert!(body.is_none(), "{name} forgets with an undeclared parcel");
    };
    let body = body.unwrap_or_else(|| panic!("{name} makes no body for {}", forget.id));
    assert_eq!(body.parcel(), forget);
    assert_eq!(fields_of(body.json()), declared(forget), "{}", forget.id);
    assert_eq!(forget.retention, Retention::Nothing, "{}: a demand is not data", forget.id);
    assert!(body.json().to_string().contains("NONCE"), "{}: an old receipt would do", forget.id);
}

#[test]
fn examples_have_exactly_the_declared_fields() {
    for parcel in parcels() {
        assert_eq!(fields_of(&(parcel.example)()), declared(parcel), "{}", parcel.id);
    }
}

#[test]
fn nothing_anonymous_carries_what_identifies() {
    for parcel in parcels() {
        if let Carriage::Https { caller: Caller::Anonymous, .. } = parcel.how {
            let telling = parcel.fields.iter().find(|field| field.identifies);
            assert!(telling.is_none(), "{}: {telling:?}", parcel.id);
        }
    }
}

#[test]
fn what_needs_consent_belongs_to_a_feature_that_is_off_by_default() {
    for card in cards().filter(|card| card.switch != Switch::OnOff) {
        for parcel in card.all_parcels() {
            assert!(!parcel.purpose.needs_consent(), "{}", parcel.id);
        }
    }
}

#[test]
fn a_report_never_leaves_the_device() {
    for card in cards().filter(|card| card.name == "report") {
        assert_eq!(card.all_parcels().count(), 0, "the report feature declares a parcel");
    }
}

#[test]
fn every_parcel_for_the_hub_is_declared_by_exactly_one_feature() {
    for parcel in TO_HUB {
        let owners = cards().filter(|card| card.parcel(parcel.id).is_some()).count();
        assert_eq!(owners, 1, "{}", parcel.id);
    }
    for parcel in parcels().into_iter().filter(|parcel| parcel.to == Destination::Hub) {
        assert!(TO_HUB.contains(&parcel), "the hub does not know {}", parcel.id);
    }
}

#[test]
fn every_path_at_the_hub_is_one_parcels() {
    let path = |parcel: &&'static Parcel| match parcel.how {
        Carriage::Https { path, .. } => Some(path),
        Carriage::Session | Carriage::Lookup | Carriage::Local => None,
    };
    assert_unique("path", parcels().iter().filter_map(path));
}

#[test]
fn warnings_are_named_after_their_feature() {
    let of = |card: &'static Card| card.warnings.iter().map(move |w| (card.name, *w));
    let house = [&QUARANTINE, &BAD_CONFIG, &UNSAVED, &DAMAGED, &NOT_RELOADED, &CLOCK];
    let house = house.map(|warning| ("daemon", warning));
    let all: Vec<(&str, &Warning)> = cards().flat_map(of).chain(house).collect();
    assert_unique("warning", all.iter().map(|(_, warning)| warning.code));
    for (name, warning) in all {
        let rest = warning.code.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        assert!(rest.is_some_and(|rest| rest.split('-').all(is_word)), "{}", warning.code);
        assert!(warning.hint.starts_with("qcloud-agent "), "{}: {}", warning.code, warning.hint);
    }
}

/// The names of all tests of the promise suite; none before there is one.
fn promise_tests() -> Option<Vec<String>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let dir = tests.join("promises");
    if !dir.is_dir() {
        return None;
    }
    let mut names = Vec::new();
    for (_, text) in super::source::rust_files(&dir) {
        let words = text.split("fn ").skip(1);
        names.extend(words.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    // What needs days stands among the tests in virtual time; the rights of the owner have a file of their own.
    let world = super::source::rust_files(&tests.join("world"));
    let privacy = std::fs::read_to_string(tests.join("privacy.rs")).unwrap_or_default();
    for text in world.into_iter().map(|(_, text)| text).chain([privacy]) {
        let words = text.split("fn ").skip(1);
        names.extend(words.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    Some(names)
}

#[test]
#[allow(clippy::print_stderr, reason = "nothing is skipped in silence")]
fn every_promise_of_a_card_is_a_test() {
    for card in cards() {
        assert!(!card.promises.is_empty(), "{} keeps no promise", card.name);
        assert_unique("promise", card.promises.iter().copied());
    }
    let Some(tests) = promise_tests() else {
        return eprintln!("NOT CHECKED: there is no tests/promises yet");
    };
    for card in cards() {
        for id in card.promises {
            let start = format!("{}_", id.to_ascii_lowercase());
            let kept = tests.iter().any(|test| test.starts_with(&start));
            assert!(kept, "{} promises {id}, and no test is named {start}…", card.name);
        }
    }
}
