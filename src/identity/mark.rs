//! A time that has passed, sealed with the device key: the high-water mark of the license clock.
//!
//! It is kept twice, here and in the household, so that neither a lost file nor an old copy of one takes it back.
//! Whoever has no device key can make none.

use crate::clock::{Boot, Wall};
use crate::state::{StateDir, StateError};
use core::time::Duration;
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The document in the state directory.
pub const STATE_NAME: &str = "mark";

/// A wall time, and what the boot clock said then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The time.
    pub wall: Wall,
    /// Whole seconds on the boot clock.
    pub boot_seconds: u64,
}

impl Mark {
    /// Of this moment.
    pub fn of(wall: Wall, boot: Boot) -> Self {
        Self { wall, boot_seconds: boot.0.as_secs() }
    }

    /// Where its time counts on from, on a boot clock that stands at `now`: a box that was started again has been up
    /// for at least as long as its boot clock says.
    pub fn counts_from(&self, now: Boot) -> Boot {
        let then = Boot(Duration::from_secs(self.boot_seconds));
        if then <= now { then } else { Boot::default() }
    }

    fn text(&self) -> String {
        format!("{} {}", self.wall.unix_seconds(), self.boot_seconds)
    }
}

/// Makes and checks seals. Its key comes from the device key and is kept nowhere.
pub struct Sealer(hmac::Key);

impl Sealer {
    /// From a signature by the device key over [`Sealer::MESSAGE`]: Ed25519 always makes the same one (RFC 8032), and
    /// nobody else can.
    pub fn new(signature: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, digest(&SHA256, signature).as_ref()))
    }

    /// What the device key signs for it, and never sends.
    pub const MESSAGE: &[u8] = b"qcloud-license-mark/1\0";

    /// A mark with its seal.
    pub fn seal(&self, mark: Mark) -> String {
        let seal = hmac::sign(&self.0, mark.text().as_bytes());
        format!("{} {}", mark.text(), data_encoding::HEXLOWER.encode(seal.as_ref()))
    }

    /// The mark of a seal that holds.
    pub fn open(&self, text: &str) -> Option<Mark> {
        let (plain, seal) = text.rsplit_once(' ')?;
        let seal = data_encoding::HEXLOWER.decode(seal.as_bytes()).ok()?;
        let holds = hmac::verify(&self.0, plain.as_bytes(), &seal).is_ok();
        if !holds && !crate::sabotage::off("license-mark-seal") {
            return None;
        }
        let (wall, boot) = plain.split_once(' ')?;
        let wall = Wall::from_unix_seconds(wall.parse().ok()?);
        Some(Mark { wall, boot_seconds: boot.parse().ok()? })
    }
}

/// Keeps a sealed mark.
///
/// # Errors
/// [`StateError`].
pub fn keep(state: &StateDir, sealed: &str) -> Result<(), StateError> {
    state.save(STATE_NAME, &json!({ "mark": sealed }))
}

/// The sealed mark that was kept.
pub fn kept(state: &StateDir) -> Option<String> {
    let loaded = state.load(STATE_NAME).ok().flatten()?;
    Some(loaded.body.get("mark")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_sealed_it_opens_a_mark() {
        let (own, other) = (Sealer::new(b"own"), Sealer::new(b"other"));
        let mark = Mark { wall: Wall::from_unix_seconds(1_800_000_000), boot_seconds: 7 };
        let sealed = own.seal(mark);
        assert_eq!(own.open(&sealed), Some(mark));
        assert_eq!(other.open(&sealed), None);
        assert_eq!(own.open(&sealed.replace("1800000000", "1700000000")), None);
        assert_eq!(own.open(""), None);
    }

    #[test]
    fn a_mark_counts_on_after_a_start_and_within_one_boot() {
        let mark = Mark { wall: Wall::default(), boot_seconds: 100 };
        let at = |seconds| Boot(Duration::from_secs(seconds));
        assert_eq!(mark.counts_from(at(150)), at(100));
        assert_eq!(mark.counts_from(at(50)), at(0));
    }
}
