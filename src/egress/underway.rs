//! A permit whose bytes may be leaving: its line tells the truth even when the work is dropped half-way.

use super::ledger::Outcome;
use super::permit::Permit;
use core::net::IpAddr;

/// A permit with its outcome so far, sealed on drop. Until [`Underway::finish`] the result is `given up`.
pub(super) struct Underway {
    permit: Option<Permit>,
    /// What is known so far.
    pub(super) outcome: Outcome,
}

impl Underway {
    pub(super) fn new(permit: Permit) -> Self {
        let outcome = Outcome { result: "given up".into(), ..Outcome::default() };
        Self { permit: Some(permit), outcome }
    }

    /// Writes a line for an address that did not serve, and begins anew with the next one.
    pub(super) fn tried(&mut self, peer: (IpAddr, u16), why: String) {
        let mut outcome = core::mem::take(&mut self.outcome);
        outcome.peer = Some(peer);
        outcome.result = why;
        if let Some(permit) = &self.permit {
            permit.tried(outcome);
        }
        self.outcome.result = "given up".into();
    }

    /// Writes the line with this result.
    pub(super) fn finish(mut self, result: impl Into<String>) {
        self.outcome.result = result.into();
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.seal(core::mem::take(&mut self.outcome));
        }
    }
}
