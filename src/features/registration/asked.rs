//! What a person, or the configuration, asks of this device's place at a hub.

use super::fleet::{KeyFrom, Order};
use super::{DISOWNED, Job, Member, Registration, State, anew, url};
use crate::card::Exit;
use crate::clock::Now;
use crate::daemon::feature::{Answer, Asker, Event, HubAddress, Out};
use crate::wire::authkey::AuthKey;
use crate::wire::label::Label;
use serde_json::Value;

impl Registration {
    pub(super) fn register(&mut self, asker: Asker, args: &Value, out: &mut Out<Job>) {
        match &self.state {
            State::Idle if self.suspected => {
                return out.answer(asker, Answer::failed(Exit::Failed, anew::SUSPECTED));
            }
            State::Idle => {}
            State::Member(_) if self.disowned => {}
            State::Member(member) => {
                let Member { membership, hub, .. } = member.as_ref();
                let text = format!(
                    "this device is registered as {} at {}:{} already\nhint: qcloud-agent unregister",
                    membership.name, hub.host, hub.port
                );
                return out.answer(asker, Answer::failed(Exit::Failed, text));
            }
            State::Starting { .. } | State::Changing { .. } | State::Polling(_) => {
                let text = "a registration is under way\nhint: qcloud-agent status";
                return out.answer(asker, Answer::failed(Exit::Busy, text));
            }
        }
        match self.request(args) {
            Ok((hub, order)) => {
                if self.disowned {
                    // The place that the hub took away is given up on this side too.
                    self.owned(out);
                    out.emit(Event::Unregistered);
                }
                self.begin(Some(asker), hub, order, out);
            }
            Err(text) => out.answer(asker, Answer::failed(Exit::Usage, text)),
        }
    }

    pub(super) fn begin(
        &mut self,
        asker: Option<Asker>,
        hub: HubAddress,
        order: Order,
        out: &mut Out<Job>,
    ) {
        out.emit(Event::HubChosen(hub.clone()));
        let ticket = out.run(Job::Start(order));
        self.state = State::Starting { asker, hub, ticket };
    }

    /// The hub knows this device, or it has no place there to be known at.
    pub(super) fn owned(&mut self, out: &mut Out<Job>) {
        if core::mem::take(&mut self.disowned) {
            out.clear(&DISOWNED);
        }
    }

    pub(super) fn wake(&mut self, now: Now, out: &mut Out<Job>) {
        match self.state {
            State::Idle => {}
            State::Member(_) => return self.attend(now, out),
            State::Starting { .. } | State::Changing { .. } | State::Polling(_) => {
                return self.poll(now, out);
            }
        }
        let due = self.provision.as_mut().and_then(|p| Some((p.due(now)?, p.hub.clone())));
        if let Some((order, hub)) = due {
            self.begin(None, hub, order, out);
        }
    }

    pub(super) fn request(&self, args: &Value) -> Result<(HubAddress, Order), String> {
        let arg = |name: &str| args.get(name).and_then(Value::as_str).map(String::from);
        let given = arg("hub");
        let pin = match &given {
            Some(_) => arg("hub-pin"),
            None => arg("hub-pin").or_else(|| self.config.hub_pin.clone()),
        };
        let known = given.or_else(|| self.config.hub.clone());
        let hub = match (known, &self.state) {
            (Some(hub), _) => url::parse(&hub, pin).map_err(|e| e.to_string())?,
            // A device that its hub does not know comes back to it, unless it is told otherwise.
            (None, State::Member(member)) => member.hub.clone(),
            (None, _) => {
                return Err("which hub?\nhint: qcloud-agent register --hub https://HOST".into());
            }
        };
        let name = arg("name").unwrap_or_else(|| "nas".into());
        let name = Label::parse(&name).map_err(|e| e.to_string())?;
        let key = arg("auth-key").map_or(KeyFrom::Nowhere, |key| KeyFrom::Given(AuthKey::new(key)));
        Ok((hub, Order { name: Some(name), key }))
    }

    pub(super) fn unregister(&mut self, asker: Asker, out: &mut Out<Job>) {
        match &self.state {
            State::Member(_) => out.forget(asker),
            State::Idle | State::Starting { .. } | State::Changing { .. } | State::Polling(_) => {
                let text = "this device is not registered";
                out.answer(asker, Answer::failed(Exit::Failed, text));
            }
        }
    }
}
