//! What the owner is told without asking: warnings, events, and the facts of `status` and of reports.

use super::book::State;
use super::work::Job;
use super::{CLOCK, DAY_SECONDS, ENDS, INVALID, License, NOTICES};
use crate::clock::{Now, Wall};
use crate::daemon::feature::{Event, Out, Section};
use serde_json::{Value, json};

impl License {
    /// Looks at everything that is installed, and raises or clears what follows from it.
    pub(super) fn review(&mut self, now: Now, out: &mut Out<Job>) {
        let moment = self.moment(now);
        let (mut ends, mut invalid) = (Vec::new(), Vec::new());
        let mut told = core::mem::take(&mut self.told);
        told.retain(|lid, _| self.book.saved.held.contains_key(lid));
        for (lid, held, verdict) in self.book.verdicts(&self.own_facts(), moment) {
            let end = verdict.entitlement.as_ref().and_then(|e| e.exp);
            let notice = end.and_then(|end| notice(end, moment));
            let days = notice.filter(|_| matches!(verdict.state, State::Valid | State::Grace));
            if let (Some(days), Some(end)) = (days, end) {
                let when =
                    if days == 1 { "within a day".into() } else { format!("within {days} days") };
                ends.push(format!("{} ends {when}, at {}", held.product, end.rfc3339()));
            }
            if verdict.state != State::Valid && verdict.state != State::NotYet {
                invalid.push(format!("{} is {}", held.product, verdict.state.word()));
            }
            let stands = (verdict.state, days);
            if told.insert(lid.clone(), stands).is_some_and(|before| before != stands) {
                let product = held.product.as_str().into();
                out.emit(Event::LicenseChanged(product, verdict.state.word(), days));
            }
        }
        self.told = told;
        let doubt =
            self.time.and_then(|time| time.doubt(now.boot)).filter(|_| !self.book.is_empty());
        set(&ENDS, ends, out);
        set(&INVALID, invalid, out);
        set(&CLOCK, doubt.into_iter().map(|doubt| doubt.text().into()).collect(), out);
    }

    /// Facts without anything that gives a license away: four characters of each id.
    pub(super) fn describe(&self, section: &mut Section) {
        let (held, foreign) = (&self.book.saved.held, &self.book.saved.foreign);
        let holding =
            self.told.values().filter(|(state, _)| matches!(state, State::Valid | State::Grace));
        section.summary = match (held.len(), foreign.len()) {
            (0, 0) => "no license is installed, and nothing is asked".into(),
            (0, others) => format!("{others} of other makers"),
            (own, 0) => format!("{} of {own} hold", holding.count()),
            (own, others) => format!("{} of {own} hold, {others} of other makers", holding.count()),
        };
        let row = |(lid, held): (&crate::wire::license::LicenseId, &super::book::Held)| -> Value {
            let text = lid.as_str();
            let tail = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
            let state = self.told.get(lid).map(|(state, _)| state.word());
            json!({ "license": format!("…{tail}"), "product": held.product, "state": state })
        };
        section.fact("licenses", held.iter().map(row).collect::<Vec<_>>());
        section.fact("foreign", foreign.len());
        section.fact("issuers", self.book.issuers_count());
    }
}

fn set(warning: &'static crate::card::Warning, details: Vec<String>, out: &mut Out<Job>) {
    if details.is_empty() {
        out.clear(warning);
    } else {
        out.raise(warning, details.join("; "));
    }
}

/// The smallest notice that an end falls under; `None` while it is far, and when it is over.
fn notice(end: Wall, now: Wall) -> Option<u64> {
    let left = end.unix_seconds().checked_sub(now.unix_seconds())?;
    NOTICES.into_iter().find(|days| left > 0 && left <= days * DAY_SECONDS)
}
