//! The board this device's identity was made on, so that a disk in another box does not speak in its name.
//!
//! Three facts are compared: the serial number, the permanent addresses of the network cards, and the machine id.
//! They are kept as HMACs under a random salt beside the key, and nothing of them ever leaves the box.
//! One that changes alone is a repair (a new network card, a reinstalled system); two are another box.

use super::IdentityError;
use crate::platform::root::Root;
use crate::platform::{facts, serial};
use crate::state::StateDir;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The document in the state directory.
pub const STATE_NAME: &str = "board";
/// This many of the three facts make another box.
const ANOTHER: usize = 2;
/// A machine id is 33 bytes long.
const SMALL: u64 = 256;

/// What the box says of itself now; only what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, String>);

impl Facts {
    /// Reads them.
    pub fn read(root: &Root) -> Self {
        let mut macs: Vec<_> =
            facts::permanent_macs(root).iter().map(ToString::to_string).collect();
        macs.sort();
        let machine = root.read_text("/etc/machine-id", SMALL).ok();
        let machine = machine.map(|text| text.trim().to_owned());
        let all = [
            ("serial number", serial::serial(root)),
            ("network cards", Some(macs.join(" "))),
            ("machine id", machine),
        ];
        let has =
            |(name, value): (_, Option<String>)| Some((name, value.filter(|v| !v.is_empty())?));
        Self(all.into_iter().filter_map(has).collect())
    }
}

/// The facts of the board a key was made on.
#[derive(Serialize, Deserialize)]
struct Board {
    device: String,
    salt: String,
    facts: BTreeMap<String, String>,
}

/// Notes the board of a key.
///
/// # Errors
/// [`IdentityError::State`] and [`IdentityError::Randomness`].
pub fn keep(state: &StateDir, device: &str, facts: &Facts) -> Result<(), IdentityError> {
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).map_err(|_| IdentityError::Randomness)?;
    let hashed = |(name, value): (&&str, &String)| ((*name).to_owned(), hash(&salt, name, value));
    let facts = facts.0.iter().map(hashed).collect();
    let board = Board { device: device.into(), salt: BASE64URL_NOPAD.encode(&salt), facts };
    Ok(state.save(STATE_NAME, &json!(board))?)
}

/// What is different now, when it is enough to be another box. A key without a board gets this one.
pub fn check(state: &StateDir, device: &str, facts: &Facts) -> Vec<&'static str> {
    // A board that cannot be read is no reason to stay away from the hub: the session's ticket guards the key too.
    let found = state.load(STATE_NAME).ok().flatten();
    let board = found.and_then(|loaded| serde_json::from_value::<Board>(loaded.body).ok());
    let Some(board) = board.filter(|board| board.device == device) else {
        if let Err(error) = keep(state, device, facts) {
            tracing::debug!(%error, "the board of this key was not noted");
        }
        return Vec::new();
    };
    let salt = BASE64URL_NOPAD.decode(board.salt.as_bytes()).unwrap_or_default();
    let differs = |(name, value): (&&'static str, &String)| {
        let before = board.facts.get(*name)?;
        (*before != hash(&salt, name, value)).then_some(*name)
    };
    let differing: Vec<_> = facts.0.iter().filter_map(differs).collect();
    let another = differing.len() >= ANOTHER && !crate::sabotage::off("board-facts");
    if another { differing } else { Vec::new() }
}

fn hash(salt: &[u8], name: &str, value: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    HEXLOWER.encode(hmac::sign(&key, format!("{name}\n{value}").as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(serial: &str, macs: &str, machine: &str) -> Facts {
        let all = [("serial number", serial), ("network cards", macs), ("machine id", machine)];
        let has = all.into_iter().filter(|(_, value)| !value.is_empty());
        Facts(has.map(|(name, value)| (name, value.to_owned())).collect())
    }

    #[test]
    fn two_of_three_make_another_box_and_one_does_not() {
        let state = StateDir::memory();
        assert!(check(&state, "id", &facts("s", "m", "i")).is_empty(), "the first board is right");
        for same in [
            facts("s", "m", "i"),
            facts("s", "another", "i"),
            facts("s", "m", "another"),
            facts("another", "m", "i"),
            facts("", "another", "i"),
            facts("", "", ""),
        ] {
            assert!(check(&state, "id", &same).is_empty(), "{same:?}");
        }
        for other in [
            facts("other", "other", "i"),
            facts("s", "other", "other"),
            facts("other", "m", "other"),
            facts("other", "other", "other"),
            facts("", "other", "other"),
        ] {
            assert!(check(&state, "id", &other).len() >= 2, "{other:?}");
        }
        keep(&state, "id", &facts("other", "other", "i")).unwrap();
        assert!(check(&state, "id", &facts("other", "other", "i")).is_empty());
        assert!(check(&state, "another key", &facts("x", "y", "z")).is_empty());
    }

    #[test]
    fn what_was_not_there_before_is_no_difference() {
        let state = StateDir::memory();
        assert!(check(&state, "id", &facts("", "m", "")).is_empty());
        assert!(check(&state, "id", &facts("s", "other", "i")).is_empty());
    }

    #[test]
    fn only_salted_hashes_are_kept() {
        let (one, two) = (StateDir::memory(), StateDir::memory());
        for state in [&one, &two] {
            keep(state, "id", &facts("Q205I01234", "24:5E:BE:00:00:01", "4f")).unwrap();
        }
        let text = |state: &StateDir| state.load(STATE_NAME).unwrap().unwrap().body.to_string();
        assert!(!text(&one).contains("Q205I01234") && !text(&one).contains("24:5E"));
        assert_ne!(text(&one), text(&two), "each box has its own salt");
    }
}
