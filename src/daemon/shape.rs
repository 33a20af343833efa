//! What a section of the configuration may hold, read from the type that takes it: no list of keys stands
//! beside the types, to go stale.

use core::fmt;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

/// The keys of a section, and whether its values are of their kinds.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Its keys; none of a type that is no struct.
    pub keys: fn() -> &'static [&'static str],
    /// Reads it and drops it.
    ///
    /// # Errors
    /// The parser's, with its place in the text.
    pub check: fn(Spanned<DeValue<'_>>) -> Result<(), toml::de::Error>,
}

impl Shape {
    /// The shape of what becomes a `T`.
    pub const fn of<T: DeserializeOwned>() -> Self {
        Self {
            keys: keys::<T>,
            check: |section| T::deserialize(ValueDeserializer::from(section)).map(drop),
        }
    }
}

/// The fields that `T` asks a deserializer for.
fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It always fails: there is nothing to read from, only the question to hear.
    let _ = T::deserialize(Listening(&mut keys));
    keys
}

struct Listening<'a>(&'a mut &'static [&'static str]);

/// The question was heard.
#[derive(Debug)]
struct Heard;

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only the question was wanted")
    }
}

impl core::error::Error for Heard {}

impl Error for Heard {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Listening<'_> {
    type Error = Heard;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Heard> {
        Err(Heard)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Heard> {
        *self.0 = fields;
        Err(Heard)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The one of `known` that was probably meant: at most two letters added, dropped, changed or swapped with
/// their neighbours, and fewer than half of them.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (distance(word, known), known));
    let near = near.filter(|(steps, known)| *steps <= 2 && *steps * 2 < known.chars().count());
    near.min().map(|(_, known)| known)
}

/// The steps from one word to the other (optimal string alignment). A long word is far from everything.
fn distance(a: &str, b: &str) -> usize {
    const LONG: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LONG || b.len() > LONG {
        return usize::MAX;
    }
    let mut rows = [Vec::new(), Vec::new(), (0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [before, above, row] = &mut rows;
        *row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = above[j] + usize::from(x != y);
            let mut steps = changed.min(above[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x;
            if swapped {
                steps = steps.min(before[j - 1] + 1);
            }
            row.push(steps);
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let keys = ["enabled", "heartbeat_seconds", "publish", "hub"];
        let meant = |word| nearest(word, keys.into_iter());
        for word in ["enabeld", "enable", "Enabled", "enabledd", "enabld"] {
            assert_eq!(meant(word), Some("enabled"), "{word}");
        }
        assert_eq!(meant("heartbeat_second"), Some("heartbeat_seconds"));
        assert_eq!(meant("hbu"), Some("hub"));
        for word in ["", "name", "x", "interval", "hash"] {
            assert_eq!(meant(word), None, "{word}");
        }
        assert_eq!(meant(&"e".repeat(100_000)), None);
    }

    #[test]
    fn the_keys_are_those_of_the_type() {
        assert_eq!((Shape::of::<super::super::config::AgentConfig>().keys)().len(), 8);
        assert!((Shape::of::<u8>().keys)().is_empty());
    }
}
