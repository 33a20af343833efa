//! When to ask the hub whether it is there, and when to stop believing it. Knows no socket.

use core::time::Duration;
use tokio::time::Instant;

/// Heartbeats in a row without an answer that end the session.
const UNANSWERED: u32 = 3;

/// How fast the pulse is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Between heartbeats while no visitor is there.
    pub(super) idle: Duration,
    /// Between heartbeats while one is, and before an unanswered one is repeated.
    pub(super) busy: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send a heartbeat with this number.
    Send(u64),
    /// The hub is gone.
    Dead(&'static str),
    /// Nothing before [`Pulse::due`].
    Wait,
}

/// What the connection shows besides answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Visitors' flows that are open.
    pub(super) flows: usize,
    /// ACK frames received so far.
    pub(super) acks: u64,
}

/// The heartbeats of one session.
#[derive(Debug)]
pub(super) struct Pulse {
    rate: Rate,
    next: u64,
    due: Instant,
    unanswered: u32,
    /// The first of the unanswered ones, and the ACKs when it was sent.
    oldest: u64,
    acks: u64,
    /// Its answer must be there at this moment.
    urgent: Option<(u64, Instant)>,
}

impl Pulse {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let due = now + rate.idle;
        Self { rate, next: 1, due, unanswered: 0, oldest: 0, acks: 0, urgent: None }
    }

    /// When [`Pulse::tick`] has something to say.
    pub(super) fn due(&self) -> Instant {
        self.urgent.map_or(self.due, |(_, at)| at.min(self.due))
    }

    /// To be asked at [`Pulse::due`].
    ///
    /// While visitors' flows are open, acknowledgements of the hub's QUIC stack count as life: its answers may
    /// be stuck behind a connection window that a slow service has filled.
    pub(super) fn tick(&mut self, now: Instant, signs: Signs) -> Beat {
        if self.urgent.is_some_and(|(_, at)| at <= now) {
            return Beat::Dead("its end of the line was cut, and no heartbeat is answered");
        }
        if now < self.due {
            return Beat::Wait;
        }
        if self.unanswered >= UNANSWERED {
            if signs.flows == 0 || signs.acks <= self.acks {
                return Beat::Dead("3 heartbeats are unanswered");
            }
            self.unanswered = 0;
        }
        Beat::Send(self.ask(now, signs))
    }

    /// An immediate heartbeat, out of turn: the network changed, or the box woke up.
    pub(super) fn probe(&mut self, now: Instant, signs: Signs) -> u64 {
        // Its repetitions start afresh: what went unanswered before the change says little.
        self.unanswered = 0;
        self.ask(now, signs)
    }

    /// An immediate heartbeat whose answer must come within `wait`.
    pub(super) fn demand(&mut self, now: Instant, signs: Signs, wait: Duration) -> u64 {
        let number = self.probe(now, signs);
        self.urgent = Some((number, now + wait));
        number
    }

    /// An answer came.
    pub(super) fn answered(&mut self, number: u64, now: Instant, signs: Signs) {
        if self.urgent.is_some_and(|(urgent, _)| number >= urgent) {
            self.urgent = None;
        }
        if self.unanswered > 0 && number >= self.oldest {
            self.unanswered = 0;
            self.due = now + if signs.flows > 0 { self.rate.busy } else { self.rate.idle };
        }
    }

    /// A visitor came.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(now + self.rate.busy);
    }

    fn ask(&mut self, now: Instant, signs: Signs) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.unanswered == 0 {
            self.oldest = number;
            self.acks = signs.acks;
        }
        self.unanswered += 1;
        self.due = now + self.rate.busy;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { idle: Duration::from_secs(25), busy: Duration::from_secs(1) };
    const QUIET: Signs = Signs { flows: 0, acks: 0 };

    /// Lets it beat without an answer until it is dead, and says after how many seconds and heartbeats.
    fn dies(pulse: &mut Pulse, start: Instant, signs: impl Fn(u64) -> Signs) -> (u64, u64) {
        let mut sent = 0;
        loop {
            let now = pulse.due();
            let seconds = (now - start).as_secs();
            match pulse.tick(now, signs(seconds)) {
                Beat::Send(_) => sent += 1,
                Beat::Dead(_) => return (seconds, sent),
                Beat::Wait => {}
            }
            if seconds > 1000 {
                return (seconds, sent);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_hub_is_gone_three_seconds_after_the_first_question() {
        let start = Instant::now();
        assert_eq!(dies(&mut Pulse::new(RATE, start), start, |_| QUIET), (28, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_keep_it_at_its_rate() {
        let start = Instant::now();
        let mut pulse = Pulse::new(RATE, start);
        let visited = Signs { flows: 1, acks: 0 };
        assert_eq!(pulse.tick(start, QUIET), Beat::Wait);
        let first = pulse.due();
        assert_eq!(pulse.tick(first, QUIET), Beat::Send(1));
        pulse.answered(1, first, QUIET);
        assert_eq!(pulse.due() - first, RATE.idle);
        pulse.hurry(first);
        assert_eq!(pulse.due() - first, RATE.busy);
        let second = pulse.due();
        assert_eq!(pulse.tick(second, visited), Beat::Send(2));
        pulse.answered(1, second, visited);
        assert_eq!(pulse.unanswered, 1, "an old answer is no answer");
        pulse.answered(2, second, visited);
        assert_eq!(pulse.due() - second, RATE.busy);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stuck_behind_visitors_is_no_death_but_a_mute_hub_is() {
        let start = Instant::now();
        let acking = |seconds| Signs { flows: 1, acks: seconds };
        assert!(dies(&mut Pulse::new(RATE, start), start, acking).0 > 1000);
        let without_flows = |seconds| Signs { flows: 0, acks: seconds };
        assert_eq!(dies(&mut Pulse::new(RATE, start), start, without_flows), (28, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_demand_is_answered_in_its_time_or_never() {
        let start = Instant::now();
        let wait = Duration::from_millis(500);
        let mut pulse = Pulse::new(RATE, start);
        let number = pulse.demand(start, QUIET, wait);
        assert_eq!(pulse.due() - start, wait);
        assert!(matches!(pulse.tick(start + wait, QUIET), Beat::Dead(_)));
        pulse.answered(number, start, QUIET);
        assert_eq!(pulse.tick(start + wait, QUIET), Beat::Wait);
    }
}
