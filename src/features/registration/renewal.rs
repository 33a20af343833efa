//! Renewal: another certificate after two thirds of this one's life, or at once when it is over.
//!
//! A box that was off for longer than its certificate holds is still the device it was: the hub knows its key, and gives
//! a new certificate for it. It never registers anew.

use super::{Job, Member, Note, Registration};
use crate::clock::{Boot, Now, Wall};
use crate::daemon::dial::{Hands, exit_of};
use crate::daemon::feature::{Event, Out, Ticket};
use crate::egress::backoff::Backoff;
use crate::egress::outside::SendError;
use crate::wire::registration::{CERTIFICATE_LIFE, Membership, Renew};
use core::time::Duration;
use std::sync::Arc;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// It is renewed when a third of its life is left …
const LEFT: Duration = Duration::from_secs(CERTIFICATE_LIFE.as_secs() / 3);
/// … give or take a tenth of the two thirds before it, so that devices registered on one day part.
const SPREAD: Duration = Duration::from_secs(CERTIFICATE_LIFE.as_secs() / 15);
/// What renewals that are overdue at a start are spread over: after a power cut many boxes start together.
const START_SPREAD: Duration = Duration::from_secs(1);
/// Between two renewals, whatever a clock that jumps about says.
const GAP: Duration = DAY;
/// Between a renewal and the next one that the hub makes necessary by its own word.
const GAP_BY_WORD: Duration = Duration::from_secs(600);
const RETRY_FIRST: Duration = Duration::from_secs(10);
const RETRY_MOST: Duration = HOUR;
/// The longest pause while nothing else works for want of a certificate.
const RETRY_OVER: Duration = Duration::from_secs(300);
/// The owner is told when it does not succeed and less than this is left.
const LAST_DAYS: Duration = Duration::from_secs(5 * DAY.as_secs());

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The hub, or the way there.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The device's own keys.
    #[error("the key to come: {0}")]
    Identity(String),
    /// The hub certified another key than the one it was asked for.
    #[error("the hub's certificate is for another key")]
    Foreign,
    /// The new key's certificate is not on the disk, so that the key must not be used.
    #[error("the certificate of the new key could not be saved")]
    NotSaved,
    /// The job ended without a word.
    #[error("it broke off")]
    BrokeOff,
}

impl Trouble {
    /// What the device's own keys, or the place they are kept in, said.
    pub(super) fn identity(error: &dyn core::error::Error) -> Self {
        let source = error.source().map(|source| format!(": {source}"));
        Self::Identity(format!("{error}{}", source.unwrap_or_default()))
    }

    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Send(error) if error.is_final())
    }

    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Send(error) => error.retry_after(),
            Self::Identity(_) | Self::Foreign | Self::NotSaved | Self::BrokeOff => None,
        }
    }

    pub(super) const fn exit(&self) -> crate::card::Exit {
        match self {
            Self::Send(error) => exit_of(error),
            Self::Identity(_) | Self::Foreign | Self::NotSaved | Self::BrokeOff => {
                crate::card::Exit::Failed
            }
        }
    }
}

/// When the certificate is renewed.
pub struct Renewal {
    until: Wall,
    /// Where in the spread this one lies, 0 to 1.
    place: f64,
    due: Boot,
    not_before: Boot,
    not_before_by_word: Boot,
    backoff: Backoff,
    pub(super) why: Option<String>,
}

impl Renewal {
    pub(super) fn new(until: Wall, now: Now) -> Self {
        let mut this = Self {
            until,
            place: now.fraction(),
            due: now.boot,
            not_before: Boot::default(),
            not_before_by_word: Boot::default(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            why: None,
        };
        this.plan(now);
        this
    }

    /// Takes a certificate that is over at another time.
    pub(super) fn follow(&mut self, until: Wall, now: Now) {
        if until != self.until {
            self.until = until;
            self.place = now.fraction();
            self.plan(now);
        }
    }

    /// Finds the moment anew: the wall clock was set.
    pub(super) fn plan(&mut self, now: Now) {
        let wait = match self.planned() {
            Some(at) if at > now.wall => at.0.saturating_sub(now.wall.0),
            Some(_) => START_SPREAD.mul_f64(self.place),
            // A hub of before its time did not say when the certificate is over; the next one does.
            None => HOUR.mul_f64(self.place),
        };
        self.due = (now.boot + wait).max(self.not_before);
    }

    fn planned(&self) -> Option<Wall> {
        let spread = SPREAD.mul_f64(2.0 * self.place);
        let at = self.until.0.saturating_sub(LEFT + SPREAD).saturating_add(spread);
        (self.until != Wall::default()).then_some(Wall(at))
    }

    pub(super) fn is_over(&self, now: Now) -> bool {
        self.until != Wall::default() && self.until <= now.wall
    }

    fn is_nearly_over(&self, now: Now) -> bool {
        self.until != Wall::default() && self.until.0 < now.wall.0.saturating_add(LAST_DAYS)
    }

    pub(super) fn due(&self) -> Boot {
        self.due
    }

    /// What `status` says of it.
    pub(super) fn text(&self) -> Option<(String, String)> {
        self.planned().map(|at| (self.until.rfc3339(), at.rfc3339()))
    }

    fn succeeded(&mut self, now: Now) {
        self.backoff.succeed();
        self.why = None;
        self.not_before = now.boot + GAP;
        self.not_before_by_word = now.boot + GAP_BY_WORD;
        self.due = self.not_before;
    }

    fn failed(&mut self, trouble: &Trouble, now: Now) {
        self.why = Some(trouble.to_string());
        let asked = trouble.retry_after();
        let wait = self.backoff.fail(now, asked);
        let wait = if trouble.is_final() {
            wait.max(DAY)
        } else if self.is_over(now) {
            wait.min(RETRY_OVER).max(asked.unwrap_or_default())
        } else {
            wait
        };
        self.due = now.boot + wait;
        self.not_before = self.due;
        self.not_before_by_word = now.boot + RETRY_FIRST.max(asked.unwrap_or_default());
    }

    /// The owner changed what may leave: what was refused for good may pass now.
    pub(super) fn may_pass(&mut self, now: Now) {
        if self.why.is_some() {
            self.not_before = now.boot;
            self.plan(now);
        }
    }

    /// The hub turned something away because the certificate is over.
    pub(super) fn is_over_by_word(&mut self, now: Now) {
        self.due = now.boot.max(self.not_before_by_word).min(self.due);
    }
}

/// Asks for another certificate for the key there is.
pub(super) async fn renew(
    membership: &Membership,
    hands: &Hands<Note>,
) -> Result<Membership, Trouble> {
    if hands.identity.is_of_next(&membership.certificate) {
        return Err(Trouble::NotSaved);
    }
    let renewed: Membership = hands.dial.send(&Renew {}).await?.read()?;
    if hands.identity.key().fits(&renewed.certificate) {
        Ok(renewed)
    } else {
        Err(Trouble::Foreign)
    }
}

impl Registration {
    /// Does what is due for a device that has its place.
    pub(super) fn attend(&mut self, now: Now, out: &mut Out<Job>) {
        let job = self.rekey_job(now);
        let Some(member) = self.member().filter(|member| member.under_way.is_none()) else {
            return;
        };
        let renew = || Job::Renew(Arc::clone(&member.membership));
        let job = match job {
            // Without a certificate nothing else passes.
            Some(_) if member.renewal.is_over(now) => Some(renew()),
            Some(job) => Some(job),
            None => (member.renewal.due() <= now.boot).then(renew),
        };
        member.under_way = job.map(|job| out.run(job));
    }

    /// The hub's answer to [`Job::Renew`], which also tells that it knows the key.
    pub(super) fn renewed(
        &mut self,
        ticket: Ticket,
        result: Result<Membership, Trouble>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let Some(member) = self.member_of(ticket) else { return };
        match result {
            Ok(membership) => {
                member.renewal.succeeded(now);
                let hub = member.hub.clone();
                out.clear(&super::RENEWAL);
                out.emit(Event::Registered(Arc::new(membership), hub));
                self.confirmed(out);
            }
            Err(trouble) => {
                member.renewal.failed(&trouble, now);
                tracing::info!(%trouble, "the certificate was not renewed");
                if member.renewal.is_nearly_over(now) || trouble.is_final() {
                    let until = member.renewal.until.rfc3339();
                    out.raise(&super::RENEWAL, format!("it holds until {until}: {trouble}"));
                }
                if matches!(trouble, Trouble::NotSaved) {
                    let (membership, hub) = (Arc::clone(&member.membership), member.hub.clone());
                    out.emit(Event::Registered(membership, hub));
                }
                self.not_confirmed(&trouble, now, out);
            }
        }
    }

    pub(super) fn member(&mut self) -> Option<&mut Member> {
        match &mut self.state {
            super::State::Member(member) => Some(member),
            super::State::Idle
            | super::State::Starting { .. }
            | super::State::Changing { .. }
            | super::State::Polling(_) => None,
        }
    }

    /// The member whose job this was.
    pub(super) fn member_of(&mut self, ticket: Ticket) -> Option<&mut Member> {
        let member = self.member()?;
        member.under_way.take_if(|under_way| *under_way == ticket)?;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_811_808_000;

    fn at(days: u64, dice: u64) -> Now {
        let since = DAY * u32::try_from(days).unwrap();
        let wall = Wall(Duration::from_secs(NOON) + since);
        Now { boot: Boot(since), wall, dice }
    }

    fn days(renewal: &Renewal) -> f64 {
        renewal.due().0.as_secs_f64() / DAY.as_secs_f64()
    }

    fn fresh(dice: u64) -> Renewal {
        let until = Wall(at(0, 0).wall.0 + CERTIFICATE_LIFE);
        Renewal::new(until, at(0, dice))
    }

    #[test]
    fn it_is_renewed_at_two_thirds_give_or_take_a_tenth() {
        let (first, middle, last) = (fresh(0), fresh(u64::MAX / 2), fresh(u64::MAX));
        assert_eq!((days(&first), days(&last)), (18.0, 22.0));
        assert!((19.9..20.1).contains(&days(&middle)));
    }

    #[test]
    fn a_clock_that_jumps_moves_it_and_never_makes_it_spin() {
        let mut renewal = fresh(0);
        renewal.plan(Now { wall: Wall::default(), ..at(1, 0) });
        assert!(days(&renewal) > 1000.0, "a clock that was never set waits for the hub's word");
        renewal.plan(Now { wall: at(400, 0).wall, ..at(1, 0) });
        assert_eq!(days(&renewal), 1.0, "over: at once");
        // The hub's clock is right and ours is 400 days ahead: what it gives is over already.
        let now = Now { wall: at(400, 0).wall, ..at(1, 0) };
        renewal.succeeded(now);
        renewal.follow(Wall(at(1, 0).wall.0 + CERTIFICATE_LIFE), now);
        assert_eq!(days(&renewal), 2.0, "once a day");
        renewal.is_over_by_word(now);
        assert_eq!(renewal.due(), now.boot + GAP_BY_WORD);
    }

    #[test]
    fn failures_slow_it_down_and_the_hubs_word_makes_it_haste() {
        let mut renewal = fresh(0);
        let unreachable = Trouble::Send(SendError::TimedOut { to: "hub".into(), seconds: 5 });
        for _ in 0..20 {
            renewal.failed(&unreachable, at(20, u64::MAX));
        }
        assert_eq!(renewal.due(), at(20, 0).boot + RETRY_MOST);
        renewal.failed(&unreachable, at(31, u64::MAX));
        assert_eq!(renewal.due(), at(31, 0).boot + RETRY_OVER);
        renewal.is_over_by_word(at(31, 0));
        assert_eq!(renewal.due(), at(31, 0).boot + RETRY_FIRST);
        renewal.failed(&Trouble::Send(SendError::Revoked), at(31, 0));
        assert_eq!(renewal.due(), at(32, 0).boot);
    }
}
