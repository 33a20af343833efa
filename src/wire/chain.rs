//! Lines chained by SHA-256: none can be altered, taken out or swapped without the one after it showing it.
//!
//! The ledger of a device and the audit log of a hub have this shape. A line is JSON that holds its number and the
//! hash of the text of the line before it.

use data_encoding::HEXLOWER;
use ring::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `prev` of the first line.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a chain stands: enough to continue it after a restart.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Head {
    /// The last number given.
    pub seq: u64,
    /// Hash of that line.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.into() }
    }
}

/// A line of a chain.
pub trait Link {
    /// Counts from 1 and never skips.
    fn seq(&self) -> u64;
    /// SHA-256 of the line before, hex.
    fn prev(&self) -> &str;
}

/// A chain that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {why}", .seq.map(|seq| format!(" (number {seq})")).unwrap_or_default())]
pub struct BrokenChain {
    /// Counted from 1 in what was read.
    pub line: usize,
    /// The number the line gives itself.
    pub seq: Option<u64>,
    /// What is wrong.
    pub why: &'static str,
}

/// Verifies that lines follow each other without a change, a hole or a swap. The first line may have any
/// predecessor: older ones go when their time is over.
///
/// # Errors
/// [`BrokenChain`] names the first line that does not follow from the one before it.
pub fn verify<'a, L: Link + DeserializeOwned>(
    lines: impl Iterator<Item = &'a str>,
) -> Result<Head, BrokenChain> {
    let mut head: Option<Head> = None;
    for (index, text) in lines.enumerate() {
        let broken = |seq, why| BrokenChain { line: index + 1, seq, why };
        let line: L = serde_json::from_str(text)
            .map_err(|_| broken(None, "this is not a line of this log"))?;
        if let Some(head) = &head {
            if line.prev() != head.hash && !crate::sabotage::off("ledger-chain") {
                let why = "the line before it was altered or is missing";
                return Err(broken(Some(line.seq()), why));
            }
            if line.seq() != head.seq + 1 {
                return Err(broken(Some(line.seq()), "its number does not follow"));
            }
        }
        head = Some(after(&line, text));
    }
    Ok(head.unwrap_or_default())
}

/// Where a chain stands after a line.
pub fn after(line: &impl Link, text: &str) -> Head {
    Head { seq: line.seq(), hash: hash(text) }
}

/// SHA-256 of a line's text, hex.
pub fn hash(text: &str) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}
