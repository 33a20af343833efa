//! The course of a registration: from the hub's code to its last word (RFC 8628 section 3.5).

use super::fleet::{Begun, StartError, UNPROVISIONED};
use super::renewal::Trouble;
use super::{Job, Polling, Registration, State};
use crate::card::Exit;
use crate::clock::Now;
use crate::daemon::dial::exit_of;
use crate::daemon::feature::{Answer, Asker, Event, HubAddress, JobEnd, Out, Ticket};
use crate::egress::outside::SendError;
use crate::wire::label::printable;
use crate::wire::registration::{CODE_LIFE, Membership, Operator, Polled, Started};
use core::time::Duration;
use serde_json::json;
use std::sync::Arc;

/// The longest wait between two polls that is the device's own choice (RFC 8628 section 3.5).
const POLL_MOST: Duration = Duration::from_secs(60);

/// In place of what the hub does not say of itself.
const UNTOLD: &str = "not told by the hub";

impl Registration {
    /// The hub asks to wait before it gives a code.
    pub(super) fn waiting(&self, ticket: Ticket, wait: Duration, out: &mut Out<Job>) {
        let State::Starting { asker: Some(asker), ticket: asked, .. } = &self.state else { return };
        if ticket == *asked {
            let text = format!("The hub asks to wait {} s. Waiting …", wait.as_secs());
            let json = json!({ "wait_seconds": wait.as_secs() });
            out.answer(*asker, Answer::progress(text, json));
        }
    }

    /// The hub says who runs it and where it stands; nothing of this device was sent so far. One that says neither is
    /// shown as that with its code.
    pub(super) fn introduced(&self, ticket: Ticket, operator: &Operator, out: &mut Out<Job>) {
        let State::Starting { asker: Some(asker), ticket: asked, .. } = &self.state else { return };
        if ticket != *asked || *operator == Operator::default() {
            return;
        }
        let (contact, region) = told(operator);
        let text = format!("run by       {contact}\nstands in    {region}\n");
        out.answer(*asker, Answer::progress(text, json!({ "operator": operator })));
    }

    pub(super) fn started(
        &mut self,
        ticket: Ticket,
        result: Result<Begun, StartError>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let State::Starting { asker, hub, ticket: asked } = &self.state else { return };
        if ticket != *asked {
            return;
        }
        let (asker, hub) = (*asker, hub.clone());
        match result {
            Ok(Begun { mut started, words, with_key }) => {
                started.user_code = printable(&started.user_code, 16);
                started.verification_uri = printable(&started.verification_uri, 200);
                let interval = Duration::from_secs(started.interval_seconds.max(1)).min(CODE_LIFE);
                let life = Duration::from_secs(started.expires_in_seconds.min(3600));
                // With a key the first answer is the last one; without it nobody can have approved yet.
                let first = if with_key { now.boot } else { now.boot + interval };
                let mut polling = Polling {
                    asker,
                    hub,
                    interval,
                    until: now.boot + life,
                    next: Some(first),
                    ticket: None,
                    invitation: Some(invitation(&started, &words)),
                    with_key,
                    started,
                };
                if !with_key {
                    polling.invite(out);
                }
                self.state = State::Polling(Box::new(polling));
            }
            Err(error) => {
                let exit = match &error {
                    StartError::Send(error) => exit_of(error),
                    StartError::KeyFile { .. } => Exit::Failed,
                };
                let text = format!("cannot register: {}", error.explained());
                self.fail_provision(asker, Some(&error), now);
                self.give_up(asker, Answer::failed(exit, text), out);
            }
        }
    }

    pub(super) fn poll(&mut self, now: Now, out: &mut Out<Job>) {
        let State::Polling(polling) = &mut self.state else { return };
        if now.boot >= polling.until {
            return self.expired(now, out);
        }
        polling.next = None;
        polling.ticket = Some(out.run(Job::Poll(polling.started.device_code.clone())));
    }

    pub(super) fn polled(
        &mut self,
        ticket: Ticket,
        result: Result<Polled, SendError>,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let State::Polling(polling) = &mut self.state else { return };
        if polling.ticket.take() != Some(ticket) {
            return;
        }
        let asker = polling.asker;
        match result {
            // The hub wants a person's word after all: the owner of this device may keep the key to themselves.
            Ok(Polled::AuthorizationPending) => polling.invite(out),
            // RFC 8628 section 3.5: five seconds more, from here on.
            Ok(Polled::SlowDown) => polling.interval += Duration::from_secs(5),
            Ok(Polled::Approved(membership)) => {
                let hub = polling.hub.clone();
                return self.approved(asker, *membership, hub, out);
            }
            Ok(Polled::AccessDenied) => {
                let text = if polling.with_key {
                    "the hub declined this device: its auth key was used, withdrawn or its name taken meanwhile\nhint: ask the hub's operator for another key"
                } else {
                    "the owner declined this device\nhint: qcloud-agent register"
                };
                self.fail_provision(asker, None, now);
                return self.give_up(asker, Answer::failed(Exit::Consent, text), out);
            }
            Ok(Polled::ExpiredToken) => return self.expired(now, out),
            Err(error) if error.is_final() => {
                let text = format!("cannot register: {}", error.explained());
                let answer = Answer::failed(exit_of(&error), text);
                self.fail_provision(asker, Some(&error.into()), now);
                return self.give_up(asker, answer, out);
            }
            // RFC 8628 section 3.5: an unreachable hub is asked again, at a slower pace; one that says how long to
            // wait, after that.
            Err(error) => {
                polling.interval = (polling.interval * 2).min(POLL_MOST).max(polling.interval);
                let wait = error.retry_after().unwrap_or_default().max(polling.interval);
                polling.next = Some(now.boot + wait);
                return;
            }
        }
        polling.next = Some(now.boot + polling.interval);
    }

    fn expired(&mut self, now: Now, out: &mut Out<Job>) {
        let State::Polling(polling) = &self.state else { return };
        let text = "the code expired before it was approved\nhint: qcloud-agent register";
        let asker = polling.asker;
        self.fail_provision(asker, None, now);
        self.give_up(asker, Answer::failed(Exit::Failed, text), out);
    }

    /// Has a box that registers by itself try again. What a person began is tried again by that person.
    fn fail_provision(&mut self, asker: Option<Asker>, error: Option<&StartError>, now: Now) {
        if let (None, Some(provision)) = (asker, &mut self.provision) {
            provision.failed(error, now);
        }
    }

    fn approved(
        &mut self,
        asker: Option<Asker>,
        membership: Membership,
        hub: HubAddress,
        out: &mut Out<Job>,
    ) {
        let text = format!(
            "registered as {} at {}:{}\nnext: qcloud-agent ddns on, qcloud-agent link on",
            membership.name, hub.host, hub.port
        );
        let json = json!({
            "name": membership.name,
            "zone": membership.zone,
            "ddns_host": membership.ddns_host(),
            "link_host": membership.link_host(),
            "receipt_key": membership.receipt_key,
        });
        out.emit(Event::Registered(Arc::new(membership), hub));
        if let Some(asker) = asker {
            out.answer(asker, Answer::done(text, json));
        }
    }

    pub(super) fn ended(&mut self, ticket: Ticket, _: JobEnd, now: Now, out: &mut Out<Job>) {
        let asker = match &self.state {
            State::Starting { asker, ticket: asked, .. } if *asked == ticket => *asker,
            State::Polling(polling) if polling.ticket == Some(ticket) => polling.asker,
            State::Changing { asker, ticket: asked, .. } if *asked == ticket => {
                return self.unchanged(*asker, "the change of the identity broke off", out);
            }
            State::Member(_) => return self.renewed(ticket, Err(Trouble::BrokeOff), now, out),
            State::Idle | State::Starting { .. } | State::Changing { .. } | State::Polling(_) => {
                return;
            }
        };
        self.fail_provision(asker, None, now);
        self.give_up(
            asker,
            Answer::failed(Exit::Failed, "the registration broke off\nhint: qcloud-agent register"),
            out,
        );
    }

    /// Back to nothing: the hub is no longer ours to talk to.
    fn give_up(&mut self, asker: Option<Asker>, answer: Answer, out: &mut Out<Job>) {
        self.state = State::Idle;
        out.emit(Event::Unregistered);
        match asker {
            Some(asker) => out.answer(asker, answer),
            None => {
                let why = answer.text.lines().next().unwrap_or_default();
                tracing::warn!(why, "this device did not register by itself; it tries again");
                out.raise(&UNPROVISIONED, why);
            }
        }
    }
}

impl Polling {
    /// Asks the owner to approve, once.
    fn invite(&mut self, out: &mut Out<Job>) {
        if let (Some(asker), Some(invitation)) = (self.asker, self.invitation.take()) {
            out.answer(asker, invitation);
        }
    }
}

/// Contact and region as they are shown.
fn told(operator: &Operator) -> (&str, &str) {
    let Operator { contact, region } = operator;
    let contact = if contact.is_empty() { UNTOLD } else { contact };
    (contact, if region.is_empty() { UNTOLD } else { region })
}

fn invitation(started: &Started, words: &[String; 4]) -> Answer {
    let Started { user_code: code, verification_uri: uri, .. } = started;
    let words = words.join(" ");
    let operator = started.operator.clone().unwrap_or_default();
    let (contact, region) = told(&operator);
    let text = format!(
        "To approve this device:\n\n    {uri}\n\ncode         {code}\ncheck words  {words}\n\nrun by       {contact}\nstands in    {region}\n\nApprove only if the hub shows the same four words. Waiting …"
    );
    let json = json!({
        "user_code": code,
        "verification_uri": uri,
        "check_words": words,
        "operator": started.operator,
    });
    Answer::progress(text, json)
}
