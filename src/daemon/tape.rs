//! The tape: what the features were told last, in order, so that a fault in the field can be told from what led
//! to it.
//!
//! Of an input its kind, its ticket and its outcome are kept: never a body, an address, a name of a person or the
//! arguments of a verb. It lives in memory, in a ring; the panic journal takes its end, and a crash report the whole.

use super::feature::{Event, Input, JobEnd, Opening};
use crate::clock::Boot;
use crate::egress::outside::{Reply, SendError};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// Inputs that are kept: some 10 KiB.
const KEPT: usize = 128;
/// The longest name of a verb.
const VERB: usize = 24;

struct Line {
    at: Boot,
    feature: &'static str,
    what: Cow<'static, str>,
    ticket: Option<u32>,
    outcome: Cow<'static, str>,
}

/// The last inputs. Clones are the same tape.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<VecDeque<Line>>>);

impl Tape {
    /// Notes an input.
    pub fn note<N>(&self, at: Boot, feature: &'static str, input: &Input<'_, N>) {
        let (what, ticket, outcome): (Cow<'static, str>, _, Cow<'static, str>) = match input {
            Input::Opened(why) => ("opened".into(), None, opening(*why).into()),
            Input::Wake => ("wake".into(), None, "".into()),
            Input::Reply(ticket, result) => ("reply".into(), Some(ticket.number), replied(result)),
            Input::Note(ticket, _) => ("note".into(), Some(ticket.number), "".into()),
            Input::Done(ticket, result) => {
                ("done".into(), Some(ticket.number), done(result.as_ref().err().copied()).into())
            }
            Input::Event(event) => ("event".into(), None, happened(event).into()),
            // Whoever may ask may also make words up.
            Input::Verb { name, .. } => {
                let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
                let plain = name.len() <= VERB && name.chars().all(is_word);
                let shown = if plain { (*name).to_owned() } else { "?".to_owned() };
                ("verb".into(), None, shown.into())
            }
            Input::Closing => ("closing".into(), None, "".into()),
        };
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(Line { at, feature, what, ticket, outcome });
    }

    /// The newest lines, the newest last: `seconds since boot, feature, input, ticket, outcome`. None while somebody
    /// writes one.
    pub fn last(&self, most: usize) -> Vec<String> {
        let lines = match self.0.try_lock() {
            Ok(lines) => lines,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Vec::new(),
        };
        lines.iter().skip(lines.len().saturating_sub(most)).map(Line::text).collect()
    }
}

impl Line {
    fn text(&self) -> String {
        let Self { at, feature, what, ticket, outcome } = self;
        let mut text = format!("{}.{:03} {feature} {what}", at.0.as_secs(), at.0.subsec_millis());
        if let Some(ticket) = ticket {
            text.push_str(&format!(" #{ticket}"));
        }
        if !outcome.is_empty() {
            text.push(' ');
            text.push_str(outcome);
        }
        text
    }
}

const fn opening(why: Opening) -> &'static str {
    match why {
        Opening::Started => "started",
        Opening::Wanted => "wanted",
        Opening::Left => "left",
    }
}

fn replied(result: &Result<Reply, SendError>) -> Cow<'static, str> {
    match result {
        Ok(reply) => reply.status.to_string().into(),
        Err(SendError::Declined { status, .. }) => format!("declined {status}").into(),
        Err(error) => failed(error).into(),
    }
}

const fn failed(error: &SendError) -> &'static str {
    match error {
        SendError::Refused(_) => "refused by the gate",
        SendError::NoAddress { .. } => "no address",
        SendError::Unreachable { .. } => "unreachable",
        SendError::NotTrusted { .. } => "not trusted",
        SendError::TimedOut { .. } => "timed out",
        SendError::Declined { .. } => "declined",
        SendError::CertificateExpired => "certificate over",
        SendError::Quarantined { .. } => "quarantined",
        SendError::NoIdentity(_) => "no identity",
        SendError::NotUnderstood(_) => "not understood",
        SendError::Revoked => "revoked",
    }
}

const fn done(end: Option<JobEnd>) -> &'static str {
    match end {
        None => "",
        Some(JobEnd::Panicked) => "panicked",
        Some(JobEnd::Cancelled) => "cancelled",
    }
}

const fn happened(event: &Event) -> &'static str {
    match event {
        Event::HubChosen(_) => "hub chosen",
        Event::Registered(..) => "registered",
        Event::Unregistered => "unregistered",
        Event::Disowned => "disowned",
        Event::Addresses(_) => "addresses",
        Event::Observed(_) => "observed",
        Event::Resumed => "resumed",
        Event::WallClockSet => "wall clock set",
        Event::CertificateExpired => "certificate over",
        Event::Restricted(..) => "restricted",
        Event::Quarantined(_) => "quarantined",
        Event::Suspected(_) => "suspected",
        Event::SameBoard => "same board",
        Event::Anew(_) => "anew",
        Event::RulesChanged(_) => "rules changed",
        Event::LicenseChanged(..) => "license changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::feature::Asker;
    use core::time::Duration;
    use serde_json::json;

    #[test]
    fn the_newest_inputs_are_kept_without_what_was_in_them() {
        let tape = Tape::default();
        let at = Boot(Duration::from_millis(1500));
        for _ in 0..KEPT {
            tape.note::<()>(at, "ddns", &Input::Wake);
        }
        let args = json!({ "key": "secret-of-anna" });
        let verb = Input::Verb { asker: Asker(1), name: "set;of-anna", args: &args };
        tape.note::<()>(at, "link", &verb);
        tape.note::<()>(at, "link", &Input::Event(&Event::Anew("secret-of-anna".into())));
        let lines = tape.last(1000);
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines[KEPT - 1], "1.500 link event anew");
        assert_eq!(lines[KEPT - 2], "1.500 link verb ?");
        assert_eq!(tape.last(1), ["1.500 link event anew"]);
        let held = tape.0.lock().unwrap();
        assert!(tape.last(1).is_empty(), "who panics while it is written must not wait for ever");
        drop(held);
    }
}
