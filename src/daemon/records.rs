//! What the daemon writes: the household and the ledger, together and rarely.

use super::household::Household;
use crate::egress::gate::Gate;
use crate::state::{StateDir, StateError};
use std::path::Path;
use std::sync::Arc;

/// The household's name in the state directory.
pub const HOUSEHOLD: &str = "household";
/// The ledger's name in the state directory; the rotated part has `.1` in it.
pub const LEDGER: &str = "ledger.jsonl";
/// A ledger file is rotated above this; with the rotated one, the ledger takes at most twice as much.
const LEDGER_MOST: u64 = 1024 * 1024;

/// Writes to one state directory.
#[derive(Clone)]
pub struct Records {
    state: Arc<StateDir>,
}

impl Records {
    /// In this directory, or in RAM.
    pub fn new(state: Arc<StateDir>) -> Self {
        Self { state }
    }

    /// Reads the household, and says what was wrong with it if an older generation had to serve.
    ///
    /// # Errors
    /// Those of the state directory; nothing is lost or replaced by them.
    pub fn load(&self) -> Result<(Household, Option<String>), StateError> {
        let Some(loaded) = self.state.load(HOUSEHOLD)? else {
            return Ok((Household::default(), None));
        };
        match serde_json::from_value(loaded.body) {
            Ok(household) => Ok((household, loaded.damaged)),
            Err(error) => Err(StateError::Damaged {
                first: self.state.path().unwrap_or(Path::new("")).join("household.0.json"),
                second: self.state.path().unwrap_or(Path::new("")).join("household.1.json"),
                why: error.to_string(),
            }),
        }
    }

    /// Puts the ledger's new lines and then the household on disk, in this order: a household never
    /// speaks of lines that are not there.
    ///
    /// # Errors
    /// Those of the state directory. What could not be written stays in RAM for the next time.
    pub fn save(&self, household: &mut Household, gate: &Gate) -> Result<(), StateError> {
        gate.with_ledger(|ledger| {
            let lines = ledger.unsaved();
            if !lines.is_empty() {
                self.keep_lines(&lines)?;
                ledger.saved();
            }
            household.ledger = ledger.head().clone();
            Ok::<_, StateError>(())
        })?;
        let body = serde_json::to_value(&*household).unwrap_or_default();
        self.state.save(HOUSEHOLD, &body)
    }

    /// Appends ledger lines durably.
    ///
    /// # Errors
    /// Those of the state directory.
    pub fn keep_lines(&self, lines: &str) -> Result<(), StateError> {
        self.state.rotate(LEDGER, LEDGER_MOST)?;
        self.state.append(LEDGER, lines.as_bytes())
    }
}
