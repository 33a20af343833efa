//! Rekey: another key for the same device, made and begun with here, and finished by itself after a power cut at any
//! step. `identity/keyring.rs` says in which order.

use super::renewal::Trouble;
use super::{Job, Note, Registration, Saved, State};
use crate::card::Exit;
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{Answer, Asker, Event, Out, Ticket};
use crate::egress::backoff::Backoff;
use crate::egress::outside::SendError;
use crate::wire::registration::{self as wire, Membership, rekey_message};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MOST: Duration = Duration::from_secs(600);

/// How far it has come, as it survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The owner asked for it; the hub may know the next key.
    Asked,
    /// The next key is the key; the hub may still take the old one, until it sees this one.
    Confirm,
}

/// A rekey, or none.
pub struct Rekey {
    pub(super) stage: Option<Stage>,
    due: Boot,
    backoff: Backoff,
    asker: Option<Asker>,
}

impl Rekey {
    pub(super) fn new(stage: Option<Stage>, now: Now) -> Self {
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        Self { stage, due: now.boot, backoff, asker: None }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<Boot> {
        self.stage.map(|_| self.due)
    }

    fn answer(&mut self, answer: Answer, out: &mut Out<Job>) {
        if let Some(asker) = self.asker.take() {
            out.answer(asker, answer);
        }
    }
}

/// Makes the next key, and has the hub certify it.
pub(super) async fn ask(
    membership: &Membership,
    hands: &Hands<Note>,
) -> Result<Membership, Trouble> {
    let next = hands.identity.next_key().map_err(|e| Trouble::identity(&e))?;
    let of_key = hands.identity.key();
    let message = rekey_message(membership.device_or(of_key.id()), next.spki());
    let body = wire::Rekey {
        spki: BASE64URL_NOPAD.encode(next.spki()),
        signature: BASE64URL_NOPAD.encode(&next.sign(&message)),
    };
    let answer = match hands.dial.send(&body).await {
        Ok(reply) => reply.read::<Membership>(),
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if next.fits(&answer.certificate) => Ok(answer),
        Ok(_) => Err(Trouble::Foreign),
        Err(error) => {
            if error.is_final() {
                hands.identity.drop_next().map_err(|e| Trouble::identity(&e))?;
            }
            Err(error.into())
        }
    }
}

impl Registration {
    /// `rekey`: notes the wish before anything is done about it.
    pub(super) fn begin_rekey(&mut self, asker: Asker, now: Now, out: &mut Out<Job>) {
        if !matches!(self.state, State::Member(_)) {
            let text =
                "this device is not registered: its key opens nothing\nhint: qcloud-agent register";
            return out.answer(asker, Answer::failed(Exit::Failed, text));
        }
        if self.rekey.stage.is_some() {
            let text = "a new key is under way already\nhint: qcloud-agent status";
            return out.answer(asker, Answer::failed(Exit::Busy, text));
        }
        self.rekey = Rekey::new(Some(Stage::Asked), now);
        self.rekey.asker = Some(asker);
        out.save();
        self.attend(now, out);
    }

    /// The step that is due.
    pub(super) fn rekey_job(&mut self, now: Now) -> Option<Job> {
        let stage = self.rekey.stage.filter(|_| self.rekey.due <= now.boot)?;
        let membership = Arc::clone(&self.member()?.membership);
        Some(match stage {
            Stage::Asked => Job::Rekey(membership),
            Stage::Confirm => Job::Renew(membership),
        })
    }

    /// The hub's answer to [`Job::Rekey`]. What is saved by this makes the next key the key.
    pub(super) fn rekeyed(
        &mut self,
        ticket: Ticket,
        result: Result<Membership, Trouble>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let Some(member) = self.member_of(ticket) else { return };
        let hub = member.hub.clone();
        match result {
            Ok(membership) => {
                self.rekey.stage = Some(Stage::Confirm);
                self.rekey.due = now.boot;
                self.rekey.backoff.succeed();
                out.save();
                out.emit(Event::Registered(Arc::new(membership), hub));
            }
            Err(trouble) if trouble.is_final() => {
                self.rekey.stage = None;
                out.save();
                let text = format!("this device keeps its key: {trouble}");
                self.rekey.answer(Answer::failed(trouble.exit(), text), out);
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Send(SendError::CertificateExpired)) {
                    member.renewal.is_over_by_word(now);
                }
                self.postpone(&trouble, now, out);
            }
        }
    }

    /// The hub has seen the key that this device uses: it takes no other one any more.
    pub(super) fn confirmed(&mut self, out: &mut Out<Job>) {
        if self.rekey.stage != Some(Stage::Confirm) {
            return;
        }
        self.rekey.stage = None;
        out.save();
        let text = "this device has a new key; the hub takes the old one no more";
        self.rekey.answer(Answer::done(text, json!({ "rekeyed": true })), out);
    }

    /// The hub could not be shown the new key yet.
    pub(super) fn not_confirmed(&mut self, trouble: &Trouble, now: Now, out: &mut Out<Job>) {
        if self.rekey.stage.is_some() {
            self.postpone(trouble, now, out);
        }
    }

    fn postpone(&mut self, trouble: &Trouble, now: Now, out: &mut Out<Job>) {
        self.rekey.due = now.boot + self.rekey.backoff.fail(now, trouble.retry_after());
        tracing::info!(%trouble, "the new key has to wait");
        let text = format!(
            "the new key has to wait: {trouble}\nhint: it goes on by itself; see `qcloud-agent status`"
        );
        self.rekey.answer(Answer::failed(trouble.exit(), text), out);
    }

    pub(super) fn saved(&self) -> Saved {
        Saved { rekey: self.rekey.stage, cloned: self.cloned }
    }
}
