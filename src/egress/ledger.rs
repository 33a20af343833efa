//! The ledger: one line for everything that left or was refused, chained by SHA-256.
//!
//! It lives in RAM and reaches the disk with the next change of state, when it has grown, and at stop,
//! so that a steady agent writes nothing. What a crash took with it is recorded as a gap.

use super::totals::Counts;
use crate::clock::Wall;
use crate::wire::chain::{self, Link};
use core::net::IpAddr;
use data_encoding::HEXLOWER;
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

pub use crate::wire::chain::{BrokenChain, Head};

/// Lines are due for the disk when this many bytes of them are in RAM only.
const CHECKPOINT_BYTES: usize = 128 * 1024;
/// The most bytes of lines kept in RAM, written ones included, for `egress ledger`.
const KEPT_BYTES: usize = 256 * 1024;
/// The most bodies kept in RAM for `egress show`, and the most bytes of them.
const BODIES: usize = 64;
const BODIES_BYTES: usize = 64 * 1024;

/// One line. The field names are the file format, version 1.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Counts from 1 and never skips.
    pub seq: u64,
    /// RFC 3339, UTC.
    pub t: String,
    /// The parcel's id, or `egress.gap`.
    pub parcel: String,
    /// On whose behalf.
    pub feature: String,
    /// Host and port it was meant for.
    pub dest: String,
    /// The address it went to.
    pub ip: Option<IpAddr>,
    /// The port it went to.
    pub port: Option<u16>,
    /// `https`, `quic`, `dns` or `tcp`.
    pub proto: String,
    /// Bytes that left, above the headers of IP and TCP or UDP: TLS and HTTP's own are among them.
    pub up: u64,
    /// Bytes that came back.
    pub down: u64,
    /// Packets that left; with `up` and the headers of `proto` they are the bytes on the wire.
    #[serde(default)]
    pub up_packets: u64,
    /// Packets that came back.
    #[serde(default)]
    pub down_packets: u64,
    /// HMAC-SHA-256 of the body under a device key, hex: a bare hash of a guessable body would reveal it.
    pub body_hmac: Option<String>,
    /// The fields the body had.
    pub fields: Vec<String>,
    /// The version of the consent it stood on.
    pub consent: Option<String>,
    /// `ok`, `open`, `refused: …`, or what failed.
    pub result: String,
    /// SHA-256 of the line before, hex.
    pub prev: String,
}

/// What the gate knows of a line before its number and place in the chain.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// See [`Line::parcel`].
    pub parcel: String,
    /// See [`Line::feature`].
    pub feature: String,
    /// See [`Line::dest`].
    pub dest: String,
    /// See [`Line::proto`].
    pub proto: String,
    /// See [`Line::fields`].
    pub fields: Vec<String>,
    /// See [`Line::consent`].
    pub consent: Option<String>,
    /// See [`Line::body_hmac`].
    pub body_hmac: Option<String>,
    /// The body itself, for `egress show`. Stays in RAM.
    pub body: Option<Arc<[u8]>>,
}

/// How it ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The peer, once there was one.
    pub peer: Option<(IpAddr, u16)>,
    /// Bytes out.
    pub up: u64,
    /// Bytes in.
    pub down: u64,
    /// Packets out.
    pub up_packets: u64,
    /// Packets in.
    pub down_packets: u64,
    /// See [`Line::result`].
    pub result: String,
}

impl Outcome {
    /// Puts these numbers in.
    pub const fn set(&mut self, counts: Counts) {
        let Counts { up, down, up_packets, down_packets } = counts;
        (self.up, self.down) = (up, down);
        (self.up_packets, self.down_packets) = (up_packets, down_packets);
    }
}

impl Link for Line {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn prev(&self) -> &str {
        &self.prev
    }
}

/// The chain in RAM.
pub struct Ledger {
    head: Head,
    lines: VecDeque<String>,
    bytes: usize,
    /// How many of the youngest lines are in RAM only.
    unsaved: usize,
    unsaved_bytes: usize,
    was_saved: bool,
    key: hmac::Key,
    bodies: VecDeque<(u64, Arc<[u8]>)>,
    bodies_bytes: usize,
}

impl Ledger {
    /// Continues after `head`. `key` is this device's own, for the bodies.
    pub fn new(head: Head, key: hmac::Key) -> Self {
        Self {
            head,
            lines: VecDeque::new(),
            bytes: 0,
            unsaved: 0,
            unsaved_bytes: 0,
            was_saved: false,
            key,
            bodies: VecDeque::new(),
            bodies_bytes: 0,
        }
    }

    /// HMAC of a body, hex.
    pub fn body_hmac(&self, body: &[u8]) -> String {
        HEXLOWER.encode(hmac::sign(&self.key, body).as_ref())
    }

    /// Adds a line and gives its number.
    pub fn append(&mut self, mut draft: Draft, outcome: Outcome, at: Wall) -> u64 {
        let body = draft.body.take();
        let line = Line {
            seq: self.head.seq + 1,
            t: at.rfc3339(),
            parcel: draft.parcel,
            feature: draft.feature,
            dest: draft.dest,
            ip: outcome.peer.map(|peer| peer.0),
            port: outcome.peer.map(|peer| peer.1),
            proto: draft.proto,
            up: outcome.up,
            down: outcome.down,
            up_packets: outcome.up_packets,
            down_packets: outcome.down_packets,
            body_hmac: draft.body_hmac,
            fields: draft.fields,
            consent: draft.consent,
            result: outcome.result,
            prev: self.head.hash.clone(),
        };
        // A line is strings and numbers: serialising it cannot fail.
        let text = serde_json::to_string(&line).unwrap_or_default();
        self.head = chain::after(&line, &text);
        self.bytes += text.len();
        self.unsaved += 1;
        self.unsaved_bytes += text.len();
        self.lines.push_back(text);
        self.trim();
        if let Some(body) = body {
            self.keep_body(line.seq, body);
        }
        line.seq
    }

    /// The line of this number, if it is among those in RAM.
    pub fn line(&self, seq: u64) -> Option<&str> {
        let youngest = self.head.seq;
        let back = usize::try_from(youngest.checked_sub(seq)?).ok()?;
        let index = self.lines.len().checked_sub(back + 1)?;
        self.lines.get(index).map(String::as_str)
    }

    /// The body of the line of this number, while it is kept.
    pub fn body(&self, seq: u64) -> Option<&[u8]> {
        self.bodies.iter().find(|(of, _)| *of == seq).map(|(_, body)| body.as_ref())
    }

    fn keep_body(&mut self, seq: u64, body: Arc<[u8]>) {
        self.bodies_bytes += body.len();
        self.bodies.push_back((seq, body));
        while self.bodies_bytes > BODIES_BYTES || self.bodies.len() > BODIES {
            let Some((_, oldest)) = self.bodies.pop_front() else { return };
            self.bodies_bytes -= oldest.len();
        }
    }

    /// Records that lines may be missing here: the program did not stop in an orderly way.
    pub fn append_gap(&mut self, why: &str, at: Wall) {
        let draft =
            Draft { parcel: "egress.gap".into(), feature: "egress".into(), ..Draft::default() };
        self.append(draft, Outcome { result: why.into(), ..Outcome::default() }, at);
    }

    /// Whether the lines should reach the disk now: enough has gathered, or this is the first line of
    /// this run, whose place on disk is what shows a later crash as a gap.
    pub fn is_due(&self) -> bool {
        self.unsaved_bytes >= CHECKPOINT_BYTES || (!self.was_saved && self.unsaved > 0)
    }

    /// The lines that are in RAM only, oldest first, each ended by a newline.
    pub fn unsaved(&self) -> String {
        let from = self.lines.len() - self.unsaved;
        self.lines.iter().skip(from).flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Notes that what [`Ledger::unsaved`] gave is on disk.
    pub fn saved(&mut self) {
        self.unsaved = 0;
        self.unsaved_bytes = 0;
        self.was_saved = true;
        self.trim();
    }

    /// Where the chain stands.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The youngest lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// Drops the oldest written lines above the bound; unwritten ones only above twice the bound,
    /// which a device without any disk reaches (the chain still shows that they existed).
    fn trim(&mut self) {
        while self.bytes > KEPT_BYTES
            && (self.lines.len() > self.unsaved || self.bytes > 2 * KEPT_BYTES)
        {
            let Some(line) = self.lines.pop_front() else { return };
            self.bytes -= line.len();
            if self.unsaved > self.lines.len() {
                self.unsaved = self.lines.len();
                self.unsaved_bytes = self.unsaved_bytes.saturating_sub(line.len());
            }
        }
    }
}

/// A head that the device vouches for: whoever cuts the end of the ledger off, or writes it all anew,
/// cannot make one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SignedHead {
    /// Where the chain stood.
    pub head: Head,
    /// When.
    pub at: Wall,
}

/// JWS type of a [`SignedHead`].
pub const HEAD_TYPE: &str = "qcloud-ledger+jws";

/// Where the chain stands after a line, read from its text.
pub fn head_after(text: &str) -> Option<Head> {
    let line: Line = serde_json::from_str(text).ok()?;
    Some(chain::after(&line, text))
}

/// Verifies that lines follow each other without a change, a hole or a swap. The first line may have any
/// predecessor: older files are rotated away.
///
/// # Errors
/// [`BrokenChain`] names the first line that does not follow from the one before it.
pub fn verify<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Head, BrokenChain> {
    chain::verify::<Line>(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(Head::default(), hmac::Key::new(hmac::HMAC_SHA256, b"test"))
    }

    fn grow(ledger: &mut Ledger, lines: usize) {
        for _ in 0..lines {
            let draft = Draft { parcel: "ddns.update".into(), ..Draft::default() };
            ledger.append(
                draft,
                Outcome { result: "ok".into(), ..Outcome::default() },
                Wall::default(),
            );
        }
    }

    #[test]
    fn an_altered_removed_or_swapped_line_breaks_the_chain_there() {
        let mut ledger = ledger();
        grow(&mut ledger, 5);
        let lines: Vec<String> = ledger.lines().map(String::from).collect();
        let check = |lines: &[String]| verify(lines.iter().map(String::as_str));
        assert_eq!(check(&lines), Ok(ledger.head().clone()));

        let mut altered = lines.clone();
        altered[2] = altered[2].replace("\"up\":0", "\"up\":1");
        assert_eq!(check(&altered).expect_err("altered").seq, Some(4));
        let mut removed = lines.clone();
        removed.remove(2);
        assert_eq!(check(&removed).expect_err("removed").line, 3);
        let mut swapped = lines;
        swapped.swap(1, 2);
        assert!(check(&swapped).is_err());
    }

    #[test]
    fn memory_is_bounded_and_unsaved_lines_are_kept_longest() {
        let mut ledger = ledger();
        grow(&mut ledger, 20_000);
        assert!(ledger.bytes <= 2 * KEPT_BYTES && ledger.is_due());
        assert_eq!(ledger.unsaved().lines().count(), ledger.lines.len());
        ledger.saved();
        assert!(ledger.bytes <= KEPT_BYTES && ledger.unsaved().is_empty());
        assert_eq!(ledger.head().seq, 20_000);
    }
}
