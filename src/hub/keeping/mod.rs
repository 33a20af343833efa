//! Backups, restores, and what must outlive both: deletions.
//!
//! A backup is a copy from before an erasure, so it is where erased data could come back from. Three things keep it
//! from that (promise H3): a backup is good for [`MONTHS`] calendar months and no longer; from the first backup on each
//! deletion is noted in the [`journal`], outside the database and before it is acknowledged; and [`restore`] carries out
//! again what was noted after the backup was made. While no backup is younger than that, nothing is noted, because
//! nothing could come back.
//!
//! A backup is a dump of the rows and not of the file's pages: pages would have to lie in plain beside the hub until
//! they are encrypted, and a copy of them brings what is free with it. The keys are never in it. Whoever has a backup
//! and the key that seals the store has the data, so the two are kept apart.

pub mod archive;
pub mod backup;
pub mod hold;
pub mod journal;
pub mod restore;
pub mod stuck;

use self::journal::{Journal, JournalError};
use super::seal::Seal;
use crate::clock::{Clock, Wall};
use crate::wire::privacy::Restrictable;
use crate::wire::receipt::Kept;
use data_encoding::BASE64URL_NOPAD;
use std::path::Path;
use std::sync::Arc;

/// For how many calendar months a backup is good, a hold may last and a line of the journal is kept (H3, R4).
pub const MONTHS: u64 = 6;

/// The moment [`MONTHS`] after this one.
pub fn end_of(moment: Wall) -> Wall {
    moment.months_later(MONTHS)
}

/// Something that was deleted, or taken back, and must stay so.
#[derive(Clone, Copy, Debug)]
pub enum Deletion<'a> {
    /// What a feature kept of a device; `registration` is all of it.
    Device {
        /// The device id.
        id: &'a str,
        /// The feature.
        feature: &'static str,
    },
    /// A key that a device has given up, by its hash.
    Key(&'a [u8]),
    /// An auth key, by its id.
    AuthKey(&'a str),
    /// An account, by its number.
    Account(u64),
    /// A hold that was ended, by its subject.
    Hold(&'a [u8]),
    /// A license that was made void, by its number.
    License(&'a str),
    /// A person's word on what may be done with a feature's data of a device (promise R9).
    Restriction {
        /// The device id.
        id: &'a str,
        /// The feature.
        feature: Restrictable,
        /// Whether it is only kept from here on, or used again.
        on: bool,
    },
}

impl Deletion<'_> {
    /// The word it is noted by.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Device { feature, .. } => feature,
            Self::Key(_) => "key",
            Self::AuthKey(_) => "authkey",
            Self::Account(_) => "account",
            Self::Hold(_) => "hold",
            Self::License(_) => "void",
            Self::Restriction { feature: Restrictable::Ddns, on: true, .. } => "restrict-ddns",
            Self::Restriction { feature: Restrictable::Ddns, on: false, .. } => "lift-ddns",
            Self::Restriction { feature: Restrictable::Link, on: true, .. } => "restrict-link",
            Self::Restriction { feature: Restrictable::Link, on: false, .. } => "lift-link",
        }
    }
}

/// What the store needs to keep deletions and holds: the seal, the journal and the time.
pub struct Keeping {
    /// Seals what is held.
    pub seal: Arc<Seal>,
    /// Deletions.
    pub journal: Journal,
    /// Time.
    pub clock: Clock,
}

impl Keeping {
    /// That of a hub's directory.
    pub fn new(dir: &Path, seal: Arc<Seal>, clock: Clock) -> Self {
        let journal = Journal::new(dir, &seal);
        Self { seal, journal, clock }
    }

    /// What a deletion is noted as: a keyed hash, which tells nothing without the key and little with it.
    pub fn id_of(&self, deletion: Deletion<'_>) -> String {
        let hash = match deletion {
            Deletion::Device { id, .. } | Deletion::Restriction { id, .. } => {
                self.seal.index("journal.device", id)
            }
            Deletion::Key(hash) => self.seal.index("journal.key", &BASE64URL_NOPAD.encode(hash)),
            Deletion::Hold(subject) => {
                self.seal.index("journal.hold", &BASE64URL_NOPAD.encode(subject))
            }
            Deletion::AuthKey(id) => self.seal.index("journal.authkey", id),
            Deletion::License(lid) => self.seal.index("journal.license", lid),
            Deletion::Account(number) => self.seal.index("journal.account", &number.to_string()),
        };
        BASE64URL_NOPAD.encode(&hash)
    }

    /// Notes a deletion that is about to be done; on disk when this returns. The number of its line, or `None` while
    /// there is no backup that it could come back from.
    ///
    /// # Errors
    /// [`JournalError`]; the deletion must not be acknowledged then.
    pub fn note(&self, deletion: Deletion<'_>) -> Result<Option<u64>, JournalError> {
        if crate::sabotage::off("hub-journal") {
            return Ok(None);
        }
        let now = self.clock.now().wall;
        self.journal.note(deletion.kind(), &self.id_of(deletion), now)
    }

    /// What stays of anything that was erased at this moment, because there are backups (promise R12).
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn kept(&self, erased_at: Wall) -> Result<Vec<Kept>, JournalError> {
        let Some(newest) = self.journal.newest_backup(erased_at)? else { return Ok(Vec::new()) };
        Ok(vec![
            Kept {
                what: "encrypted backups made before".into(),
                why: "to restore the hub after a loss; a restore carries this erasure out again"
                    .into(),
                until: end_of(newest),
            },
            Kept {
                what: "a keyed hash in the journal of deletions".into(),
                why: "so that a restored backup is erased again".into(),
                until: end_of(erased_at),
            },
        ])
    }
}
