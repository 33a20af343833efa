//! When two boxes have one identity: the copy becomes a device of its own, or is none after all.

use super::fleet::{KeyFrom, Order};
use super::{CLONED, Job, Note, Registration, State};
use crate::card::Exit;
use crate::daemon::clone::WAYS;
use crate::daemon::dial::Hands;
use crate::daemon::feature::{Answer, Asker, Event, HubAddress, Out, Ticket};
use crate::daemon::run::error_chain;
use crate::platform::facts;
use crate::wire::label::Label;
use serde_json::{Value, json};

/// What stands beside the warning.
pub(super) const ASIDE: &str = "on the copy, `qcloud-agent register --fork` makes it a device of its own; for the original, or a box restored from a backup, its hub's operator runs `qcloud-hub release NAME`";
/// What an ordinary registration is told while the key is not used.
pub(super) const SUSPECTED: &str = "clone suspected: this is another board than this device's identity was made on\nhint: qcloud-agent register --fork, or `register --keep` if only the mainboard was changed";
/// Characters of the new id behind the name of a copy that was given none.
const SUFFIX: usize = 4;

/// What `register` is to do.
pub(super) enum Way {
    Usual,
    Fork,
    Keep,
}

/// Reads the flags.
pub(super) fn chosen(args: &Value) -> Result<Way, Answer> {
    let given = |name: &str| args.get(name).is_some();
    match (given("fork"), given("keep")) {
        (false, false) => Ok(Way::Usual),
        (true, false) => Ok(Way::Fork),
        (false, true) => Ok(Way::Keep),
        (true, true) => {
            let text = "is it the copy (--fork) or the same box (--keep)?\nhint: qcloud-agent register --help";
            Err(Answer::failed(Exit::Usage, text))
        }
    }
}

/// Makes the key of a device of its own, and its name.
pub(super) fn begin(name: Option<Label>, hands: &Hands<Note>) -> Result<(String, Label), String> {
    let id = hands.identity.begin_anew().map_err(|e| error_chain(&e))?;
    let of_id = || {
        let base = facts::default_name(&hands.root);
        // A label has at most 63 characters.
        let base: String = base.as_str().chars().take(62 - SUFFIX).collect();
        let suffix: String = id.chars().take(SUFFIX).collect();
        Label::parse(&format!("{}-{}", base.trim_end_matches('-'), suffix.to_ascii_lowercase()))
    };
    let name = name.map_or_else(of_id, Ok).map_err(|e| e.to_string())?;
    Ok((id, name))
}

pub(super) fn keep_board(hands: &Hands<Note>) -> Result<(), String> {
    hands.identity.keep_board().map_err(|e| error_chain(&e))
}

impl Registration {
    pub(super) fn set_cloned(&mut self, cloned: bool, out: &mut Out<Job>) {
        if cloned == self.cloned {
            return;
        }
        self.cloned = cloned;
        if cloned {
            out.raise(&CLONED, ASIDE);
        } else {
            out.clear(&CLONED);
        }
        out.save();
    }

    /// `register --fork`: the hub keeps what it holds, since it is the other box's.
    pub(super) fn fork(&mut self, asker: Asker, args: &Value, out: &mut Out<Job>) {
        if !self.suspected && !self.cloned {
            let text = "this device is the only one with its identity, as far as its hub knows\nhint: qcloud-agent unregister, to leave the hub";
            return out.answer(asker, Answer::failed(Exit::Failed, text));
        }
        if let State::Starting { .. } | State::Changing { .. } | State::Polling(_) = self.state {
            let text = "a registration is under way\nhint: qcloud-agent status";
            return out.answer(asker, Answer::failed(Exit::Busy, text));
        }
        match self.wanted(args) {
            Ok((hub, name)) => {
                let ticket = out.run(Job::BeginAnew(name));
                self.change(asker, Some(hub), ticket);
            }
            Err(text) => out.answer(asker, Answer::failed(Exit::Usage, text)),
        }
    }

    /// The hub that was named, or the one this device knows; and the name, if one was given.
    fn wanted(&self, args: &Value) -> Result<(HubAddress, Option<Label>), String> {
        let name = args.get("name").and_then(Value::as_str).map(Label::parse);
        let name = name.transpose().map_err(|e| e.to_string())?;
        match (args.get("hub"), &self.hub) {
            (None, Some(hub)) => Ok((hub.clone(), name)),
            _ => Ok((self.request(args)?.0, name)),
        }
    }

    /// `register --keep`: the owner answers for it that this is the same box.
    pub(super) fn keep(&mut self, asker: Asker, out: &mut Out<Job>) {
        if self.suspected && matches!(self.state, State::Idle) {
            let ticket = out.run(Job::KeepBoard);
            return self.change(asker, None, ticket);
        }
        let text = if self.cloned {
            "the hub has seen two boxes with this identity; only its operator can say which one is the device\nhint: qcloud-hub release NAME, at the hub"
        } else {
            "this is the board this device's identity was made on\nhint: qcloud-agent status"
        };
        out.answer(asker, Answer::failed(Exit::Failed, text));
    }

    pub(super) fn changed(
        &mut self,
        ticket: Ticket,
        result: Result<(String, Label), String>,
        out: &mut Out<Job>,
    ) {
        let State::Changing { asker, hub: Some(hub), ticket: asked, .. } = &self.state else {
            return;
        };
        if ticket != *asked {
            return;
        }
        let (asker, hub) = (*asker, hub.clone());
        match result {
            Ok((id, name)) => {
                self.suspected = false;
                self.set_cloned(false, out);
                out.emit(Event::Anew(id));
                let order = Order { name: Some(name), key: KeyFrom::Nowhere };
                self.begin(Some(asker), hub, order, out);
            }
            Err(why) => self.unchanged(asker, &format!("no other key could be made: {why}"), out),
        }
    }

    pub(super) fn kept(&mut self, ticket: Ticket, result: Result<(), String>, out: &mut Out<Job>) {
        let State::Changing { asker, ticket: asked, .. } = self.state else { return };
        if ticket != asked {
            return;
        }
        match result {
            Ok(()) => {
                self.state = State::Idle;
                self.suspected = false;
                out.emit(Event::SameBoard);
                let text = "this board is noted as the one of this device; it goes on as before";
                out.answer(asker, Answer::done(text, json!({ "board": "kept" })));
            }
            Err(why) => self.unchanged(asker, &format!("the board could not be noted: {why}"), out),
        }
    }

    fn change(&mut self, asker: Asker, hub: Option<HubAddress>, ticket: Ticket) {
        let before = Box::new(core::mem::replace(&mut self.state, State::Idle));
        self.state = State::Changing { asker, hub, ticket, before };
    }

    /// Nothing came of it: the same verb may be tried again.
    pub(super) fn unchanged(&mut self, asker: Asker, what: &str, out: &mut Out<Job>) {
        if let State::Changing { before, .. } = core::mem::replace(&mut self.state, State::Idle) {
            self.state = *before;
        }
        out.answer(asker, Answer::failed(Exit::Failed, format!("{what}\n{WAYS}")));
    }
}
