//! The audit log: every act of an operator on what is somebody's (promise S4).
//!
//! A line says when, and sealed who did what to whom and why. Lines are chained as those of a device's ledger
//! ([`crate::wire::chain`]), and where the chain ends is vouched for with the hub's key: whoever can write the
//! database and has no key can neither alter a line nor cut the end off. Lines go when their time is over, oldest
//! first; each says when the one before it was written, so that a line that went too early is missed. Whoever has
//! the keys as well, or puts a whole older database in the place of this one, is found by the hub's own log, where
//! each line's number and hash stand too.

use super::{People, PeopleError};
use crate::clock::Wall;
use crate::hub::operators::Role;
use crate::hub::store::operator::{AuditHead, AuditRow};
use crate::wire::chain::{self, BrokenChain, Head, Link};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// How long a line is kept.
pub const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many others may come in between before a note is given up.
const TRIES: usize = 64;
/// Lines read at once.
const BATCH: u64 = 1000;

const DETAILS: &str = "audit.details";
const HEAD: &str = "audit.head";

/// One line. The field names are the log's format, version 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Counts from 1 and never skips.
    seq: u64,
    /// When, in Unix seconds.
    at: Wall,
    /// When the line before it was written; the same as `at` in the first one.
    before: Wall,
    /// [`Details`], sealed, base64url.
    sealed: String,
    /// SHA-256 of the line before, hex.
    prev: String,
}

impl Link for Line {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn prev(&self) -> &str {
        &self.prev
    }
}

/// What is vouched for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    head: Head,
    at: Wall,
}

/// Who did what to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The local user.
    pub operator: String,
    /// Their number.
    pub uid: u32,
    /// In which role.
    pub role: Role,
    /// What, as the command is called.
    pub act: String,
    /// The accounts it was about, by number: an address would outlive the account here.
    pub accounts: Vec<u64>,
    /// The device it was about, by its id.
    pub device: Option<String>,
    /// Whether what was shown was not masked.
    pub unmasked: bool,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Why it was not done, when it was not.
    pub refused: Option<String>,
}

/// A line as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: Wall,
    /// What; nothing where it was sealed with another key.
    pub details: Option<Details>,
}

/// An audit log that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAudit {
    /// In the chain.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A line that does not fit what stands beside it.
    #[error("number {seq}: {why}")]
    Line {
        /// Its number.
        seq: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// At the end.
    #[error("lines are missing at the end, or the record of where it ends was altered")]
    End,
}

impl People {
    /// Notes an act; its number.
    ///
    /// # Errors
    /// The store's, and the system's when it gives no random bytes.
    pub async fn note_act(&self, details: &Details, now: Wall) -> Result<u64, PeopleError> {
        for _ in 0..TRIES {
            let before = self.store.audit_head().await?;
            let end = before.as_ref().and_then(|head| self.end(head));
            // Where the end is not vouched for, the line does not continue: that is what the next check finds.
            let last = self.last_number(end.as_ref(), now).await?;
            let text = serde_json::to_string(details).unwrap_or_default();
            let line = Line {
                seq: last + 1,
                at: now,
                before: end.as_ref().map_or(now, |end| end.at),
                sealed: BASE64URL_NOPAD.encode(&self.seal.seal(DETAILS, &text)?),
                prev: end.map_or_else(|| Head::default().hash, |end| end.head.hash),
            };
            // Strings and numbers: writing them as JSON cannot fail.
            let text = serde_json::to_string(&line).unwrap_or_default();
            let head = chain::after(&line, &text);
            let shown = head.hash.clone();
            let row = AuditRow { seq: line.seq, line: text, made_at: now };
            if self.store.add_audit(before, row, self.vouched(head, now)).await? {
                tracing::info!(number = line.seq, hash = shown, "an operator's act was noted");
                return Ok(line.seq);
            }
        }
        Err(super::StoreError::Closed.into())
    }

    async fn last_number(&self, end: Option<&End>, now: Wall) -> Result<u64, PeopleError> {
        if let Some(end) = end {
            return Ok(end.head.seq);
        }
        Ok(self.acts(Wall::default(), now).await?.last().map_or(0, |noted| noted.seq))
    }

    fn vouched(&self, head: Head, at: Wall) -> AuditHead {
        let head = serde_json::to_string(&End { head, at }).unwrap_or_default();
        let mac = self.seal.index(HEAD, &head).to_vec();
        AuditHead { head, mac }
    }

    fn end(&self, head: &AuditHead) -> Option<End> {
        let real = self.seal.is_index(HEAD, &head.head, &head.mac);
        serde_json::from_str(&head.head).ok().filter(|_| real)
    }

    /// The acts noted between two moments, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn acts(&self, since: Wall, until: Wall) -> Result<Vec<Noted>, PeopleError> {
        let rows = self.audit_rows(since).await?;
        let read = |row: AuditRow| {
            let line = serde_json::from_str::<Line>(&row.line).ok();
            let bytes = line.and_then(|line| BASE64URL_NOPAD.decode(line.sealed.as_bytes()).ok());
            let text = bytes.and_then(|bytes| self.seal.open(DETAILS, &bytes));
            let details = text.and_then(|text| serde_json::from_str(&text).ok());
            Noted { seq: row.seq, at: row.made_at, details }
        };
        Ok(rows.into_iter().filter(|row| row.made_at <= until).map(read).collect())
    }

    async fn audit_rows(&self, since: Wall) -> Result<Vec<AuditRow>, PeopleError> {
        let mut all: Vec<AuditRow> = Vec::new();
        loop {
            let after = all.last().map_or(0, |row| row.seq);
            let more = self.store.audit(since, after, BATCH).await?;
            if more.is_empty() {
                return Ok(all);
            }
            all.extend(more);
        }
    }

    /// Verifies the whole log: how many lines it has, and where it stands.
    ///
    /// # Errors
    /// The store's; the inner error says what does not hold.
    pub async fn verify_acts(
        &self,
        now: Wall,
    ) -> Result<Result<(usize, Head), BadAudit>, PeopleError> {
        let (rows, end) = (self.audit_rows(Wall::default()).await?, self.store.audit_head().await?);
        Ok(self.judge(&rows, end.as_ref(), now).map(|head| (rows.len(), head)))
    }

    fn judge(
        &self,
        rows: &[AuditRow],
        end: Option<&AuditHead>,
        now: Wall,
    ) -> Result<Head, BadAudit> {
        let head = chain::verify::<Line>(rows.iter().map(|row| row.line.as_str()))?;
        for (at, row) in rows.iter().enumerate() {
            let bad = |why| Err(BadAudit::Line { seq: row.seq, why });
            let Ok(line) = serde_json::from_str::<Line>(&row.line) else {
                return bad("it is not understood");
            };
            if (line.seq, line.at) != (row.seq, row.made_at) {
                return bad("it is filed under another number or time");
            }
            let is_first = line.seq == 1 && line.prev == chain::GENESIS;
            let over = line.before.0.saturating_add(KEPT) <= now.0;
            if at == 0 && !is_first && !over {
                return bad("the line before it is missing, and its time is not over");
            }
        }
        match end {
            None if rows.is_empty() => Ok(head),
            Some(end) => match self.end(end) {
                // All lines may have gone in their time, and the end with them.
                Some(end) if end.head == head => Ok(head),
                _ => Err(BadAudit::End),
            },
            None => Err(BadAudit::End),
        }
    }
}
