//! What the owner does not let leave, though its feature is on (promise C1): whole parcels, and optional fields.

use super::gate::Refused;
use crate::card::{Field, Parcel};
use crate::wire::Body;
use crate::wire::label::printable;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything that is denied: `PARCEL` or `PARCEL.FIELD`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Denied(BTreeSet<String>);

impl Denied {
    /// Denies a part; says whether that is new.
    pub fn deny(&mut self, part: &Part) -> bool {
        self.0.insert(part.to_string())
    }

    /// Allows a part again; says whether it was denied.
    pub fn allow(&mut self, part: &Part) -> bool {
        self.0.remove(&part.to_string())
    }

    /// All of it, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the whole parcel is denied.
    pub fn parcel(&self, parcel: &Parcel) -> bool {
        self.0.contains(parcel.id)
    }

    fn field(&self, parcel: &Parcel, path: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&format!("{}.{path}", parcel.id))
    }

    /// The body without the optional fields that are denied.
    pub(super) fn shaped(&self, body: &Body) -> Value {
        let mut json = body.json().clone();
        let parcel = body.parcel();
        let left_out = |f: &&Field| f.optional && self.field(parcel, f.path);
        if !crate::sabotage::off("gate-denied") {
            for field in parcel.fields.iter().filter(left_out) {
                remove(&mut json, field.path);
            }
        }
        json
    }

    /// Judges a body by the fields it still has: one that was denied while it was optional, and no
    /// longer is, takes the whole parcel with it.
    pub(super) fn judge(&self, parcel: &Parcel, fields: &[String]) -> Result<(), Refused> {
        if crate::sabotage::off("gate-denied") {
            return Ok(());
        }
        if self.parcel(parcel) {
            return Err(Refused::Denied(parcel.id.into()));
        }
        match fields.iter().find(|field| self.field(parcel, field)) {
            Some(field) => Err(Refused::Denied(format!("{}.{field}", parcel.id))),
            None => Ok(()),
        }
    }
}

/// Takes a path out of a body; lists are passed through, as in the declaration.
fn remove(value: &mut Value, path: &str) {
    match (value, path.split_once('.')) {
        (Value::Object(members), None) => {
            members.remove(path);
        }
        (Value::Object(members), Some((first, rest))) => {
            if let Some(member) = members.get_mut(first) {
                remove(member, rest);
            }
        }
        (Value::Array(items), _) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

/// What a word of the owner names: a parcel, or an optional field of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The parcel.
    pub parcel: &'static Parcel,
    /// The field, if only that is meant.
    pub field: Option<&'static Field>,
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.parcel.id)?;
        self.field.map_or(Ok(()), |field| write!(f, ".{}", field.path))
    }
}

/// Why a word names nothing that can be switched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPart {
    /// No such parcel, or no such field of it.
    #[error("nothing that leaves is called `{0}`\nhint: qcloud-agent egress catalog")]
    Unknown(String),
    /// The parcel is nothing without it.
    #[error(
        "{parcel} cannot leave without `{field}`: {why}\nhint: qcloud-agent privacy deny {parcel}"
    )]
    Needed {
        /// The parcel.
        parcel: &'static str,
        /// The field.
        field: &'static str,
        /// What breaks.
        why: &'static str,
    },
}

/// Finds what a word names among these parcels.
///
/// # Errors
/// See [`NoPart`].
pub fn part(parcels: &[&'static Parcel], word: &str) -> Result<Part, NoPart> {
    let named = |parcel: &&&'static Parcel| {
        word.strip_prefix(parcel.id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let unknown = || NoPart::Unknown(printable(word, 60));
    let parcel = *parcels.iter().find(named).ok_or_else(unknown)?;
    let path = word.strip_prefix(parcel.id).and_then(|rest| rest.strip_prefix('.'));
    let Some(path) = path else { return Ok(Part { parcel, field: None }) };
    let field = parcel.fields.iter().find(|field| field.path == path).ok_or_else(unknown)?;
    if !field.optional {
        return Err(NoPart::Needed { parcel: parcel.id, field: field.path, why: field.why });
    }
    Ok(Part { parcel, field: Some(field) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ddns::{UPDATE, Update};
    use crate::wire::lookup::LOOKUP;
    use crate::wire::{Body, ParcelBody};
    use serde_json::json;

    fn denied(words: &[&str]) -> Denied {
        let mut denied = Denied::default();
        for word in words {
            assert!(denied.deny(&part(&[&UPDATE, &LOOKUP], word).expect(word)));
        }
        denied
    }

    #[test]
    fn a_word_names_a_parcel_or_an_optional_field() {
        let of = |word| part(&[&UPDATE, &LOOKUP], word).map(|part| part.to_string());
        assert_eq!(of("ddns.update"), Ok("ddns.update".into()));
        assert_eq!(of("ddns.update.aaaa"), Ok("ddns.update.aaaa".into()));
        for wrong in ["ddns", "ddns.updates", "ddns.update.", "ddns.update.b", "", "\u{1b}"] {
            assert!(matches!(of(wrong), Err(NoPart::Unknown(_))), "{wrong}");
        }
        assert!(matches!(of("egress.lookup.host"), Err(NoPart::Needed { field: "host", .. })));
    }

    #[test]
    fn a_denied_optional_field_is_left_out_and_the_other_side_reads_the_rest() {
        let denied = denied(&["ddns.update.a"]);
        let shaped = denied.shaped(&Body::of(&Update::example()));
        assert_eq!(shaped, json!({ "aaaa": "2001:db8::7" }));
        let read: Update = serde_json::from_value(shaped).expect("an update");
        assert_eq!(read, Update { a: crate::wire::ddns::Answer::None, ..Update::example() });
        assert_eq!(denied.judge(&UPDATE, &["aaaa".into()]), Ok(()));
        let left = denied.judge(&UPDATE, &["a".into()]);
        assert_eq!(left, Err(Refused::Denied("ddns.update.a".into())), "should it ever be left in");
    }

    #[test]
    fn fields_are_found_below_objects_and_lists() {
        let mut body = json!({ "list": [{ "a": 1, "b": { "c": 2 } }, { "a": 3 }], "a": 4 });
        remove(&mut body, "list.a");
        remove(&mut body, "list.b.c");
        remove(&mut body, "nothing.here");
        assert_eq!(body, json!({ "list": [{ "b": {} }, {}], "a": 4 }));
    }

    #[test]
    fn what_is_denied_can_be_allowed_again() {
        let mut denied = denied(&["ddns.update", "egress.lookup"]);
        let update = part(&[&UPDATE], "ddns.update").expect("a part");
        assert!(denied.judge(&UPDATE, &[]).is_err());
        assert!(denied.allow(&update) && !denied.allow(&update));
        assert_eq!(denied.judge(&UPDATE, &[]), Ok(()));
        assert_eq!(denied.iter().collect::<Vec<_>>(), ["egress.lookup"]);
    }
}
