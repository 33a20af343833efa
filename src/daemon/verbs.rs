//! What a person asks of the daemon: `on`, `off`, and the verbs of the features' cards.

use super::erasure::By;
use super::feature::{Answer, Asker};
use super::supervisor::{Command, Supervisor};
use crate::card::{Card, Exit, Switch};
use crate::clock::Now;
use serde_json::{Value, json};

impl Supervisor {
    /// A person asks a feature something; the answer comes as a [`Command::Answer`], perhaps later.
    pub fn ask(&mut self, asker: Asker, noun: &str, verb: &str, args: Value, now: Now) {
        let Some(row) = self.row(noun) else {
            let text = format!("there is no feature `{noun}`\nhint: qcloud-agent status");
            return self.reply(asker, Answer::failed(Exit::Usage, text));
        };
        let name = row.card.name;
        if let Some(answer) = self.not_with_this_key(name, verb) {
            return self.reply(asker, answer);
        }
        match (verb, row.card.switch) {
            ("on", Switch::OnOff) => self.switch_on(row.card, asker, now),
            ("off", Switch::OnOff) => self.turn_off(row.card, asker, now),
            _ if self.erasures.has(name) => {
                let text =
                    format!("{name} is still being erased at the hub\nhint: qcloud-agent status");
                self.reply(asker, Answer::failed(Exit::Busy, text));
            }
            _ if self.broken.contains_key(name) => {
                let text = format!("{name} broke down and is set aside\nhint: qcloud-agent status");
                self.reply(asker, Answer::failed(Exit::Failed, text));
            }
            _ if !self.live.contains_key(name) => {
                let text = format!("{name} is off\nhint: qcloud-agent {name} on");
                self.reply(asker, Answer::failed(Exit::Off, text));
            }
            _ if row.card.verbs.iter().any(|v| v.name == verb) => {
                self.forward(name, asker, verb, args);
            }
            _ => {
                let text =
                    format!("{name} does not know `{verb}`\nhint: qcloud-agent {name} --help");
                self.reply(asker, Answer::failed(Exit::Usage, text));
            }
        }
        self.settle(now);
    }

    /// Takes a configuration that was read again: what changed is opened anew, what was switched off by it is
    /// forgotten at the hub, what was switched on by it is opened.
    pub fn reload(&mut self, sections: super::supervisor::Sections, now: Now) {
        let before = core::mem::replace(&mut self.sections, sections);
        for row in self.rows {
            let name = row.card.name;
            let is_live = self.live.contains_key(name);
            let changed = before.values.get(name) != self.sections.values.get(name);
            match (is_live, self.is_on(row.card)) {
                (true, false) => self.switch_off(name, By::Configuration, now),
                (true, true) if changed => {
                    self.close(name, now);
                    self.open(row, now);
                }
                (false, true) if !self.broken.contains_key(name) => {
                    self.waive_erasure(name);
                    self.open(row, now);
                }
                (true, true) | (false, _) => {}
            }
        }
        self.settle(now);
    }

    fn switch_on(&mut self, card: &'static Card, asker: Asker, now: Now) {
        let name = card.name;
        let Some(row) = self.row(name) else { return };
        if self.erasures.is_in_flight(name) {
            let text =
                format!("{name} is just being erased at the hub\nhint: try again in a moment");
            return self.reply(asker, Answer::failed(Exit::Busy, text));
        }
        self.waive_erasure(name);
        self.household.switches.insert(name.into(), true);
        self.save();
        if !self.live.contains_key(name) && !self.broken.contains_key(name) {
            self.open(row, now);
        }
        self.settle(now);
        let answer = match self.warnings.get(&(super::supervisor::BAD_CONFIG.code, name)) {
            Some((_, why)) => {
                Answer::failed(Exit::Failed, format!("{name} cannot be opened: {why}"))
            }
            None => {
                let waits = self.household.membership.is_none() && card.forget.is_some();
                let text = if waits {
                    format!(
                        "{name} is on, and waits for this device to be registered\nhint: qcloud-agent register --hub URL"
                    )
                } else {
                    format!("{name} is on")
                };
                Answer::done(text, json!({ "on": name, "registered": !waits }))
            }
        };
        self.reply(asker, answer);
    }

    fn turn_off(&mut self, card: &'static Card, asker: Asker, now: Now) {
        let is_open = self.live.contains_key(card.name) || self.broken.contains_key(card.name);
        if is_open || self.is_on(card) {
            self.switch_off(card.name, By::Person(asker), now);
        } else {
            let owed = self.erasures.has(card.name);
            let text = if owed {
                format!("{} is off; its erasure at the hub is still owed", card.name)
            } else {
                format!("{} is off already", card.name)
            };
            self.reply(asker, Answer::done(text, json!({ "off": card.name, "owed": owed })));
        }
    }

    fn reply(&mut self, asker: Asker, answer: Answer) {
        self.commands.push(Command::Answer(asker, answer));
    }
}
