//! Quarantine: a feature that panicked is set aside, and tried again ever less often.

use super::supervisor::{Command, Supervisor};
use crate::card::Warning;
use crate::clock::{Boot, Now};
use crate::egress::backoff::Backoff;
use core::time::Duration;

/// Raised for a feature that panicked.
pub static QUARANTINE: Warning = Warning {
    code: "daemon-quarantine",
    title: "A feature broke down and was set aside; it is tried again by itself",
    hint: "qcloud-agent status",
};
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_MOST: Duration = Duration::from_secs(3600);

pub(super) struct Broken {
    pub(super) again_at: Boot,
    pub(super) backoff: Backoff,
}

impl Supervisor {
    pub(super) fn quarantine(&mut self, name: &'static str, why: &str, now: Now) {
        tracing::error!(feature = name, why, "a feature was set aside");
        let mended = self.live.remove(name).and_then(|live| live.mended);
        let mended = mended.filter(|(at, _)| now.boot - *at < RESTART_MOST).map(|(_, b)| b);
        let known = self.broken.remove(name).map(|b| b.backoff).or(mended);
        let mut backoff = known.unwrap_or(Backoff::new(RESTART_FIRST, RESTART_MOST));
        let wait = backoff.fail(now, None);
        self.gate.close(name);
        self.commands.push(Command::CancelAll(name));
        self.warnings.insert((QUARANTINE.code, name), (&QUARANTINE, format!("{name}: {why}")));
        self.broken.insert(name, Broken { again_at: now.boot + wait, backoff });
    }

    /// Tries features that broke again. The backoff is kept until the feature has lived for as long as the
    /// longest wait, so that one that keeps panicking is tried ever less often.
    pub(super) fn restart_broken(&mut self, now: Now) {
        let due: Vec<_> = self
            .broken
            .iter()
            .filter(|(_, b)| b.again_at <= now.boot)
            .map(|(name, _)| *name)
            .collect();
        for name in due {
            let Some(row) = self.row(name) else { continue };
            let backoff = self.broken.get(name).map(|b| b.backoff.clone());
            self.open(row, now);
            self.settle(now);
            if let Some(live) = self.live.get_mut(name) {
                live.mended = backoff.map(|backoff| (now.boot, backoff));
                self.broken.remove(name);
                self.warnings.remove(&(QUARANTINE.code, name));
            } else if let (Some(broken), Some(mut backoff)) = (self.broken.get_mut(name), backoff) {
                broken.again_at = now.boot + backoff.fail(now, None);
                broken.backoff = backoff;
            }
        }
    }
}
