//! What the daemon writes: the household and the ledger, together and rarely.

use super::household::Household;
use crate::clock::Wall;
use crate::egress::gate::Gate;
use crate::egress::ledger::{HEAD_TYPE, Head, SignedHead, head_after};
use crate::identity::Identity;
use crate::state::{StateDir, StateError};
use crate::wire::signed;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The household's name in the state directory.
pub const HOUSEHOLD: &str = "household";
/// The ledger's name in the state directory; the part that was rotated away has `.1` behind it.
pub const LEDGER: &str = "ledger.jsonl";
/// A ledger file is rotated above this; with the rotated one, the ledger takes at most twice as much.
const LEDGER_MOST: u64 = 1024 * 1024;
/// More than the longest ledger line, which is below 2 KiB.
const TAIL: u64 = 16 * 1024;

/// Writes to one state directory.
#[derive(Clone)]
pub struct Records {
    state: Arc<StateDir>,
    identity: Arc<Identity>,
    /// Lines stay in RAM and are never written, as the owner wished.
    volatile: bool,
}

impl Records {
    /// In this directory, or in RAM; with `volatile`, the ledger in RAM in any case.
    pub fn new(state: Arc<StateDir>, identity: Arc<Identity>, volatile: bool) -> Self {
        Self { state, identity, volatile }
    }

    /// Reads the household, and says what was wrong with it if an older generation had to serve.
    ///
    /// # Errors
    /// Those of the state directory; nothing is lost or replaced by them.
    pub fn load(state: &StateDir) -> Result<(Household, Option<String>), StateError> {
        let Some(loaded) = state.load(HOUSEHOLD)? else {
            return Ok((Household::default(), None));
        };
        match serde_json::from_value(loaded.body) {
            Ok(household) => Ok((household, loaded.damaged)),
            Err(error) => Err(StateError::Damaged {
                first: state.path().unwrap_or(Path::new("")).join("household.0.json"),
                second: state.path().unwrap_or(Path::new("")).join("household.1.json"),
                why: error.to_string(),
            }),
        }
    }

    /// Where the ledger's chain stands on disk. The file knows better than the household when a power cut
    /// came between the two; a line it tore is cut off.
    ///
    /// # Errors
    /// Those of the state directory.
    pub fn ledger_head(&self, household: &Household) -> Result<Head, StateError> {
        let Some(path) = self.ledger_path() else { return Ok(household.ledger.clone()) };
        let Ok((tail, length)) = tail(&path, TAIL) else { return Ok(household.ledger.clone()) };
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = tail.len() - whole;
        if torn > 0 {
            let torn = u64::try_from(torn).unwrap_or(u64::MAX);
            self.state.cut(LEDGER, length.saturating_sub(torn))?;
        }
        let text = String::from_utf8_lossy(tail.get(..whole).unwrap_or_default());
        let last = text.trim_end().rsplit('\n').next().and_then(head_after);
        Ok(last.filter(|last| last.seq >= household.ledger.seq).unwrap_or(household.ledger.clone()))
    }

    /// Puts the ledger's new lines and then the household on disk, in this order: a household never
    /// speaks of lines that are not there.
    ///
    /// # Errors
    /// Those of the state directory. What could not be written stays in RAM for the next time.
    pub fn save(&self, household: &mut Household, gate: &Gate, at: Wall) -> Result<(), StateError> {
        gate.with_ledger(|ledger| {
            let lines = ledger.unsaved();
            if !lines.is_empty() {
                if !self.volatile {
                    self.keep_lines(&lines)?;
                }
                ledger.saved();
            }
            household.ledger = ledger.head().clone();
            Ok::<_, StateError>(())
        })?;
        // Switches alone are nothing to vouch for, and give a box no identity.
        let vouches = household.ledger.seq > 0 || household.membership.is_some();
        if self.volatile || !vouches {
            household.signed_head = None;
        } else {
            // A head that was signed by a key of which nothing is left vouches for nothing.
            self.identity.keep()?;
            self.sign_head(household, at);
        }
        let body = serde_json::to_value(&*household).unwrap_or_default();
        self.state.save(HOUSEHOLD, &body)
    }

    /// Vouches for the chain with the key that this very document makes the device's: a rekey and its signature reach
    /// the disk together or not at all, so that the head always fits the key of the next start.
    fn sign_head(&self, household: &mut Household, at: Wall) {
        let membership = household.membership.as_ref();
        let certificate = membership.map(|(membership, _)| membership.certificate.as_str());
        let key = self.identity.key_of(certificate.unwrap_or_default());
        let holds = |document: &String| {
            signed::verify::<SignedHead>(document, HEAD_TYPE, key.public_key()).is_ok()
        };
        let is_newest = household.signed_head_seq == household.ledger.seq;
        if is_newest && household.signed_head.as_ref().is_some_and(holds) {
            return;
        }
        let head = SignedHead { head: household.ledger.clone(), at };
        household.signed_head = Some(signed::sign(&head, HEAD_TYPE, key.as_ref()));
        household.signed_head_seq = household.ledger.seq;
    }

    /// Whether consent-gated bytes could be put on record durably before they leave, and were.
    pub fn keep_first(&self, lines: &str) -> bool {
        !self.volatile && self.state.path().is_some() && self.keep_lines(lines).is_ok()
    }

    fn keep_lines(&self, lines: &str) -> Result<(), StateError> {
        self.state.rotate(LEDGER, LEDGER_MOST)?;
        self.state.append(LEDGER, lines.as_bytes())
    }

    /// The state directory, `None` in RAM.
    pub fn dir(&self) -> Option<&Path> {
        self.state.path()
    }

    fn ledger_path(&self) -> Option<PathBuf> {
        self.state.path().filter(|_| !self.volatile).map(|dir| dir.join(LEDGER))
    }
}

/// The last bytes of a file, at most `most`, and how long all of it is.
///
/// # Errors
/// The system's own.
pub fn tail(path: &Path, most: u64) -> std::io::Result<(Vec<u8>, u64)> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Boot, Clock, Now};
    use crate::egress::ledger::{Draft, Ledger, Outcome, verify};

    #[test]
    fn the_ledger_on_disk_is_bounded_and_its_chain_holds_across_rotation_and_a_torn_end() {
        let dir = std::env::temp_dir().join(format!("qcloud-records-{}", std::process::id()));
        let state = Arc::new(StateDir::open(&dir).unwrap());
        let now = Now { boot: Boot::default(), wall: Wall::default(), dice: 0 };
        let clock = Clock::from_fn(move || now);
        let root = crate::platform::root::Root::new("/nowhere");
        let identity = Identity::open(Arc::clone(&state), clock.clone(), root).unwrap();
        let identity = Arc::new(identity);
        let records = Records::new(state, Arc::clone(&identity), false);
        let gate = Gate::new(clock, Ledger::new(Head::default(), identity.ledger_key()));
        let mut household = Household::default();
        for _ in 0..40 {
            gate.with_ledger(|ledger| {
                for _ in 0..300 {
                    let draft = Draft { parcel: "ddns.update".into(), ..Draft::default() };
                    ledger.append(draft, Outcome::default(), Wall::default());
                }
            });
            records.save(&mut household, &gate, Wall::default()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let (old, new) = (read("ledger.jsonl.1"), read(LEDGER));
        let chunk = 300 * 512;
        assert!(old.len() + new.len() < usize::try_from(2 * LEDGER_MOST).unwrap() + 2 * chunk);
        let head = verify(old.lines().chain(new.lines())).unwrap();
        assert_eq!((head.seq, &head), (12_000, &household.ledger));

        std::fs::write(dir.join(LEDGER), format!("{new}{{\"seq\":120")).unwrap();
        assert_eq!(records.ledger_head(&household).unwrap(), head);
        assert_eq!(read(LEDGER), new, "what a power cut tore is cut off");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
