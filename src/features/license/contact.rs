//! When the hub is asked, and what its answers do.

use super::License;
use super::book::{NotTaken, Taken};
use super::work::Job;
use crate::card::Exit;
use crate::clock::{Boot, Now, Wall};
use crate::daemon::dial::exit_of;
use crate::daemon::feature::{Answer, Event, Out};
use crate::egress::backoff::Backoff;
use crate::egress::outside::{Reply, SendError, UNKNOWN, UNKNOWN_WAIT};
use crate::wire::label::printable;
use crate::wire::license::parcels::REFUSED_RELEASED;
use crate::wire::license::{Documents, LicenseId};
use core::time::Duration;
use serde_json::{Value, json};

/// A renewal that failed is tried again after a quarter of an hour, doubling to a day: a lease has three weeks left
/// when the first one fails.
const RETRY_FIRST: Duration = Duration::from_secs(900);
const RETRY_MOST: Duration = Duration::from_secs(86_400);
/// Renewals that are due already when a box starts are spread over this, as a thousand boxes may start at once.
const SPREAD: Duration = Duration::from_secs(300);
/// The hub has spread `next` over days; boxes that got the same one are spread over this, and none is late.
const EARLY: Duration = Duration::from_secs(3600);

/// The next question about one license.
pub struct Renewal {
    /// When it is due; `None` while one is under way, and when none shall be asked.
    pub at: Option<Boot>,
    /// Of which lease, and whether the key that signed it was withdrawn.
    of: (u64, bool),
    backoff: Backoff,
}

impl License {
    /// Plans a renewal for each lease that has none.
    pub(super) fn plan(&mut self, now: Now) {
        let Some((time, facts)) = self.time.zip(self.facts.as_ref()) else { return };
        if !self.registered {
            return self.renewals.clear();
        }
        let moment = time.now(now.boot);
        let mut renewals = core::mem::take(&mut self.renewals);
        renewals.retain(|lid, _| self.book.saved.held.contains_key(lid));
        for (lid, held) in &self.book.saved.held {
            let seat = self.book.seat(held).filter(|(lease, _)| lease.bind.fits(facts));
            let Some((lease, withdrawn)) = seat.filter(|_| !held.revoked) else {
                renewals.remove(lid);
                continue;
            };
            let of = (lease.seq, withdrawn);
            if renewals.get(lid).is_some_and(|renewal| renewal.of == of) {
                continue;
            }
            let next = if withdrawn { Wall::default() } else { lease.next };
            let left = next.0.saturating_sub(moment.0);
            let wait = if crate::sabotage::off("license-next") {
                left + RETRY_MOST
            } else if left.is_zero() {
                SPREAD.mul_f64(now.fraction())
            } else {
                left.saturating_sub(EARLY.min(left / 10).mul_f64(now.fraction()))
            };
            let backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
            renewals.insert(lid.clone(), Renewal { at: Some(now.boot + wait), of, backoff });
        }
        self.renewals = renewals;
    }

    /// Asks what is due.
    pub(super) fn renew_due(&mut self, now: Now, out: &mut Out<Job>) {
        for (lid, renewal) in &mut self.renewals {
            if renewal.at.is_some_and(|at| at <= now.boot) {
                renewal.at = None;
                let ticket = out.run(Job::Renew(lid.clone(), renewal.of.0));
                self.pending.insert(ticket, super::Pending::Renew(lid.clone(), now.boot));
            }
        }
    }

    /// The hub said something about a renewal.
    pub(super) fn renewed(
        &mut self,
        lid: &LicenseId,
        answer: Result<Reply, SendError>,
        nonce: &str,
        since: Duration,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let result = match read(answer) {
            Ok(documents) => {
                self.take_answer(&documents, nonce, since, now, out).map_err(Refusal::NotTaken)
            }
            Err(refusal) => Err(refusal),
        };
        let known = self.renewals.get(lid).map(|renewal| renewal.of);
        self.plan(now);
        let Some(renewal) = self.renewals.get_mut(lid).filter(|r| Some(r.of) == known) else {
            return;
        };
        // No newer lease came: whatever was said, it is asked again, and never soon.
        let wait = match &result {
            Err(Refusal::Told { code, .. }) if code == REFUSED_RELEASED => None,
            Err(Refusal::Told { status: UNKNOWN, .. }) => Some(UNKNOWN_WAIT),
            Err(Refusal::Told { retry_after, .. }) => Some(renewal.backoff.fail(now, *retry_after)),
            Err(Refusal::Failed(_) | Refusal::NotTaken(_)) | Ok(_) => {
                Some(renewal.backoff.fail(now, None))
            }
        };
        renewal.at = wait.map(|wait| now.boot + wait);
        match result {
            Err(Refusal::Told { status: UNKNOWN, .. }) => self.ask_revoked(out),
            Err(Refusal::Failed(SendError::CertificateExpired)) => {
                out.emit(Event::CertificateExpired);
            }
            Err(refusal) => tracing::debug!(why = %refusal.text(), "a lease was not renewed"),
            Ok(_) => {}
        }
    }

    /// Asks, as nobody, whether what is here was revoked: the hub does not know this device any more.
    pub(super) fn ask_revoked(&mut self, out: &mut Out<Job>) {
        let mut prefixes: Vec<_> = self
            .book
            .saved
            .held
            .iter()
            .filter(|(_, held)| !held.revoked)
            .map(|(lid, _)| lid.prefix())
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        for prefix in prefixes {
            let ticket = out.run(Job::Revoked(prefix.into()));
            self.pending.insert(ticket, super::Pending::Revocations);
        }
    }

    /// Takes the documents of an answer in, and the time that came with them.
    pub(super) fn take_answer(
        &mut self,
        documents: &Documents,
        nonce: &str,
        since: Duration,
        now: Now,
        out: &mut Out<Job>,
    ) -> Result<Taken, NotTaken> {
        let texts: Vec<_> = documents.documents.iter().map(String::as_str).collect();
        let facts = self.facts.clone().unwrap_or_default();
        let taken = self.book.take(&texts, &facts)?;
        let Some(time) = &mut self.time else { return Ok(taken) };
        match &taken.time {
            Some(signed) if signed.nonce == nonce => time.correct(signed.iat, since, now.boot),
            Some(_) | None => time.raise(taken.latest, now.boot),
        }
        out.save();
        self.keep_mark(now, out);
        Ok(taken)
    }

    /// The answer to whoever asked for a seat.
    pub(super) fn activated(
        &mut self,
        answer: Result<Reply, SendError>,
        nonce: &str,
        since: Duration,
        now: Now,
        out: &mut Out<Job>,
    ) -> Answer {
        let documents = match read(answer) {
            Ok(documents) => documents,
            Err(refusal) => {
                if matches!(refusal, Refusal::Failed(SendError::CertificateExpired)) {
                    out.emit(Event::CertificateExpired);
                }
                return Answer::failed(
                    refusal.exit(),
                    format!("cannot activate: {}", refusal.text()),
                );
            }
        };
        match self.take_answer(&documents, nonce, since, now, out) {
            Ok(taken) => self.installed(&taken, now),
            Err(error) => {
                let why = format!("the hub's answer is not taken: {error}");
                Answer::failed(error.exit(), format!("{why}\nhint: {}", self.trust_hint()))
            }
        }
    }

    /// What is said after documents were taken in.
    pub(super) fn installed(&self, taken: &Taken, now: Now) -> Answer {
        let rows: Vec<_> = self
            .rows(now)
            .into_iter()
            .filter(|row| taken.lids.iter().any(|lid| row["license"] == lid.as_str()))
            .collect();
        let mut lines: Vec<_> = rows.iter().map(super::verbs::line).collect();
        if lines.is_empty() {
            lines.push("taken in; it names no license that is installed here".into());
        }
        let missing = rows.iter().any(|row| row["state"] == "lease_stale");
        if missing {
            lines.push("it needs a lease: qcloud-agent license install ID, or: qcloud-agent license request -o FILE".into());
        }
        Answer::done(lines.join("\n"), json!({ "installed": rows }))
    }

    pub(super) fn trust_hint(&self) -> &'static str {
        if self.book.has_issuers() {
            "qcloud-agent license list"
        } else {
            "set issuers in [license] of the configuration to the key your issuer gave you"
        }
    }

    /// What became of a seat that was to be given back.
    pub(super) fn returned(
        &mut self,
        lid: &LicenseId,
        seq: u64,
        sent: Option<Result<Reply, SendError>>,
        receipt: &str,
        out: &mut Out<Job>,
    ) -> Answer {
        let refusal = match sent {
            Some(Ok(reply)) => told(reply).err(),
            Some(Err(error)) => Some(Refusal::Failed(error)),
            None => None,
        };
        if let Some(refusal) = refusal {
            let text = refusal.text();
            let why = text.lines().next().unwrap_or_default();
            let hint = format!("qcloud-agent license release {lid} -o FILE");
            let text = format!("the seat was not given back: {why}\nhint: {hint}");
            return Answer::failed(refusal.exit(), text);
        }
        self.book.saved.held.remove(lid);
        let last = self.book.saved.released.entry(lid.clone()).or_default();
        *last = (*last).max(seq);
        self.renewals.remove(lid);
        out.save();
        let text = "the seat is given back, and the license is removed from this box";
        Answer::done(text, json!({ "released": lid, "file": receipt }))
    }
}

/// Why a hub gave nothing.
pub(super) enum Refusal {
    /// It said no.
    Told {
        /// HTTP status.
        status: u16,
        /// Its code.
        code: String,
        /// In its words.
        reason: String,
        /// When to come again.
        retry_after: Option<Duration>,
    },
    /// It was not reached, or not understood.
    Failed(SendError),
    /// What it sent is not taken.
    NotTaken(NotTaken),
}

impl Refusal {
    fn exit(&self) -> Exit {
        match self {
            Self::Told { .. } => Exit::Failed,
            Self::Failed(error) => exit_of(error),
            Self::NotTaken(error) => error.exit(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Told { reason, .. } => reason.clone(),
            Self::Failed(error) => error.explained(),
            Self::NotTaken(error) => error.to_string(),
        }
    }
}

pub(super) fn read(answer: Result<Reply, SendError>) -> Result<Documents, Refusal> {
    told(answer.map_err(Refusal::Failed)?)?.read().map_err(Refusal::Failed)
}

fn told(reply: Reply) -> Result<Reply, Refusal> {
    if (200..300).contains(&reply.status) {
        return Ok(reply);
    }
    if reply.is_certificate_expired() {
        return Err(Refusal::Failed(SendError::CertificateExpired));
    }
    let word = |name: &str| reply.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, reason) = (printable(word("code"), 64), printable(word("error"), 200));
    Err(Refusal::Told { status: reply.status, code, reason, retry_after: reply.retry_after })
}
