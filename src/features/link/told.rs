//! What the hub is told of the published services: the whole list, whenever it is another one (promise M1).

use super::{Job, Link};
use crate::card::Warning;
use crate::clock::{Boot, Now};
use crate::daemon::feature::{Event, Out, Ticket};
use crate::egress::backoff::Backoff;
use crate::egress::outside::{Reply, SendError, UNKNOWN_WAIT};
use crate::wire::link::{Service, Services};
use core::time::Duration;

pub(super) static UNTOLD: Warning = Warning {
    code: "link-services",
    title: "The hub may show another list of services than this device publishes",
    hint: "qcloud-agent link status",
};

/// A change is to be at the hub within a minute of the hub's return.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(40);

/// What was told, and what is still to be told.
pub(super) struct Telling {
    confirmed: Vec<Service>,
    pending: Option<(Ticket, Vec<Service>)>,
    /// The hub, or the owner, said no for good to this; only a change asks again.
    declined: Option<Vec<Service>>,
    backoff: Backoff,
    wake: Option<Boot>,
    /// The hub asked to wait until then.
    not_before: Option<Boot>,
}

impl Telling {
    /// With what the hub last confirmed.
    pub(super) fn new(confirmed: Vec<Service>) -> Self {
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        Self { confirmed, pending: None, declined: None, backoff, wake: None, not_before: None }
    }

    pub(super) fn confirmed(&self) -> &[Service] {
        &self.confirmed
    }

    pub(super) fn next_wake(&self) -> Option<(Boot, &'static str)> {
        self.wake.map(|at| (at, "tell the hub what is published"))
    }

    /// Something happened after which the hub may be there again.
    pub(super) fn hurry(&mut self, now: Now) {
        self.wake = self.not_before.filter(|at| now.boot < *at);
    }

    /// The hub may hold something else than it confirmed, or take what was declined.
    pub(super) fn anew(&mut self, now: Now) {
        self.declined = None;
        self.pending = None;
        self.hurry(now);
    }

    /// Tells the hub, if this is not what it knows.
    pub(super) fn push(&mut self, wanted: Vec<Service>, now: Now, out: &mut Out<Job>) {
        let waits = self.wake.is_some_and(|at| now.boot < at);
        if waits {
            return;
        }
        self.wake = None;
        if self.pending.is_some() || crate::sabotage::off("link-services") {
            return;
        }
        if wanted != self.confirmed && self.declined.as_ref() != Some(&wanted) {
            let ticket = out.send(&Services { services: wanted.clone() });
            self.pending = Some((ticket, wanted));
        }
    }

    pub(super) fn replied(
        &mut self,
        ticket: Ticket,
        result: Result<Reply, SendError>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let Some((_, told)) = self.pending.take_if(|(asked, _)| *asked == ticket) else { return };
        match result.and_then(Reply::read::<Services>) {
            Ok(_) => {
                self.confirmed = told;
                self.declined = None;
                self.backoff.succeed();
                out.clear(&UNTOLD);
                out.save();
            }
            Err(error) => {
                out.raise(&UNTOLD, error.to_string());
                if matches!(error, SendError::Quarantined { .. }) {
                    out.emit(Event::Quarantined(true));
                }
                if error.is_unknown_device() {
                    self.wake = Some(now.boot + UNKNOWN_WAIT);
                    out.emit(Event::Disowned);
                } else if error.is_final() {
                    self.declined = Some(told);
                } else {
                    self.not_before = error.retry_after().map(|wait| now.boot + wait);
                    self.wake = Some(now.boot + self.backoff.fail(now, error.retry_after()));
                }
            }
        }
    }
}

impl Link {
    /// Leaves the hub for good: it holds no list of services any more, and the next one has none yet.
    pub(super) fn part(&mut self, out: &mut Out<Job>) {
        self.leave(out);
        self.telling = Telling::new(Vec::new());
        out.clear(&UNTOLD);
        out.save();
    }
}
