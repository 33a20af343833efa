//! What the verbs do.

use super::book::State;
use super::foreign::{self, Foreign};
use super::work::Job;
use super::{License, MOST_FOREIGN, Pending, verbs};
use crate::card::Exit;
use crate::clock::Now;
use crate::daemon::feature::{Answer, Asker, Out};
use crate::wire::label::printable;
use crate::wire::license::{BadLicense, LicenseId, Product, Release, Wanted, bundle};
use serde_json::{Value, json};

impl License {
    pub(super) fn ask(
        &mut self,
        asker: Asker,
        verb: &str,
        args: &Value,
        now: Now,
        out: &mut Out<Job>,
    ) {
        let arg = |name: &str| args.get(name).and_then(Value::as_str);
        let answer = match verb {
            "list" if !crate::sabotage::off("license-list-local") => Some(self.list(now)),
            "check" => Some(self.check(arg("product").unwrap_or_default(), now)),
            "install" => match (arg("documents"), arg("key")) {
                (Some(text), _) => Some(self.install(text, arg("opener"), now, out)),
                (None, key) => self.activate(asker, key.unwrap_or_default(), now, out),
            },
            "request" => {
                let license = arg("license").map(|text| Wanted::new(text.into()));
                let at = self.moment(now);
                let ticket = out.run(Job::Request(license, at));
                self.pending.insert(ticket, Pending::Request(asker, at));
                None
            }
            "release" => self.release(asker, arg("license"), arg("out").is_none(), now, out),
            "remove" => Some(self.remove(arg("license"), now, out)),
            _ => Some(Answer::failed(Exit::Usage, "license does not know this verb")),
        };
        if let Some(answer) = answer {
            out.answer(asker, answer);
        }
    }

    fn list(&self, now: Now) -> Answer {
        let foreign: Vec<_> = self.foreign(now).into_iter().map(|(.., json)| json).collect();
        let doubt = self.time.and_then(|time| time.doubt(now.boot));
        verbs::listed(&self.rows(now), &foreign, doubt)
    }

    fn check(&self, product: &str, now: Now) -> Answer {
        let product = match Product::parse(product) {
            Ok(product) => product,
            Err(error) => return Answer::failed(Exit::Usage, error.to_string()),
        };
        let doubt = self.time.and_then(|time| time.doubt(now.boot));
        let own = self.book.best(&product, &self.own_facts(), self.moment(now));
        let own = own.map(|(lid, v)| (v.state, verbs::facts_of(&lid, &product, &v)));
        let foreign = self.foreign(now).into_iter().filter(|(of, ..)| *of == product);
        let all = own.into_iter().chain(foreign.map(|(_, state, json)| (state, json)));
        match all.min_by_key(|(state, _)| *state) {
            Some((state, facts)) => verbs::checked(facts, state, doubt),
            None => {
                let text = format!(
                    "no license for {product} is installed\nhint: qcloud-agent license install FILE"
                );
                let json = json!({ "product": product, "state": "none", "exit": 1 });
                Answer { exit: Some(Exit::Failed), text, json }
            }
        }
    }

    fn install(
        &mut self,
        text: &str,
        opener: Option<&str>,
        now: Now,
        out: &mut Out<Job>,
    ) -> Answer {
        if foreign::is_one(text) {
            return self.install_foreign(text, opener, now, out);
        }
        let facts = self.own_facts();
        let taken =
            bundle(text).map_err(Into::into).and_then(|texts| self.book.take(&texts, &facts));
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                let text = format!("nothing was installed: {error}\nhint: {}", self.trust_hint());
                return Answer::failed(error.exit(), text);
            }
        };
        let question = self.book.saved.question.clone();
        if let Some(time) = &mut self.time {
            match (&taken.time, question) {
                (Some(signed), Some(asked)) if signed.nonce == asked.nonce => {
                    let since = time.now(now.boot).0.saturating_sub(asked.at.0);
                    time.correct(signed.iat, since, now.boot);
                    self.book.saved.question = None;
                }
                _ => time.raise(taken.latest, now.boot),
            }
        }
        out.save();
        self.keep_mark(now, out);
        self.plan(now);
        self.review(now, out);
        self.installed(&taken, now)
    }

    fn install_foreign(
        &mut self,
        text: &str,
        opener: Option<&str>,
        now: Now,
        out: &mut Out<Job>,
    ) -> Answer {
        let mut why =
            BadLicense::UnknownKey("no [[license.keygen]] of the configuration has it".into());
        for product in self.makers.iter().map(|maker| maker.product.clone()) {
            let read = self.read_foreign(text, opener, &product);
            let Err(bad) = read else {
                let foreign =
                    Foreign { product, text: text.into(), opener: opener.map(String::from) };
                self.book.saved.foreign.retain(|known| known.text != foreign.text);
                if self.book.saved.foreign.len() >= MOST_FOREIGN {
                    return Answer::failed(
                        Exit::NoSpace,
                        "there are too many licenses of other makers here",
                    );
                }
                let row = verbs::line(&verbs::foreign_facts(&foreign.product, State::Valid, None));
                self.book.saved.foreign.push(foreign);
                out.save();
                self.keep_mark(now, out);
                return Answer::done(
                    format!("installed {row}"),
                    json!({ "installed": self.list(now).json["foreign"] }),
                );
            };
            why = bad;
        }
        Answer::failed(State::from(&why).exit(), format!("nothing was installed: {why}"))
    }

    fn activate(
        &mut self,
        asker: Asker,
        key: &str,
        now: Now,
        out: &mut Out<Job>,
    ) -> Option<Answer> {
        let wanted = Wanted::new(key.trim().into());
        if wanted.lid().is_none() && wanted.product_key().is_none() {
            let text = "this is neither a file, a product key (5 groups of 5) nor the id of a license\nhint: check it for a mistyped character";
            return Some(Answer::failed(Exit::Usage, text));
        }
        if !self.registered {
            let text = "this device is not registered, so no hub can be asked\nhint: qcloud-agent register --hub URL, or: qcloud-agent license request -o FILE";
            return Some(Answer::failed(Exit::Failed, text));
        }
        let ticket = out.run(Job::Activate(wanted, self.address));
        self.pending.insert(ticket, Pending::Activate(asker, now.boot));
        None
    }

    fn find(&self, text: Option<&str>) -> Result<LicenseId, Answer> {
        let lid = LicenseId::parse(text.unwrap_or_default()).ok();
        let lid = lid.filter(|lid| self.book.saved.held.contains_key(lid));
        lid.ok_or_else(|| {
            let shown = printable(text.unwrap_or_default(), 40);
            let text =
                format!("no license `{shown}` is installed\nhint: qcloud-agent license list");
            Answer::failed(Exit::Failed, text)
        })
    }

    fn release(
        &mut self,
        asker: Asker,
        lid: Option<&str>,
        send: bool,
        now: Now,
        out: &mut Out<Job>,
    ) -> Option<Answer> {
        let lid = match self.find(lid) {
            Ok(lid) => lid,
            Err(answer) => return Some(answer),
        };
        let seat = self.book.saved.held.get(&lid).and_then(|held| self.book.seat(held));
        let Some((lease, _)) = seat else {
            let text = format!(
                "license {lid} has no seat to give back\nhint: qcloud-agent license remove {lid}"
            );
            return Some(Answer::failed(Exit::Failed, text));
        };
        if send && !self.registered {
            let text = format!(
                "this device is not registered\nhint: qcloud-agent license release {lid} -o FILE"
            );
            return Some(Answer::failed(Exit::Failed, text));
        }
        let iat = self.moment(now);
        let seq = lease.seq;
        let release =
            Release { v: 1, lid: lid.clone(), seat: lease.seat, seq, nonce: String::new(), iat };
        let ticket = out.run(Job::Release(Box::new(release), send));
        self.pending.insert(ticket, Pending::Release(asker, lid, seq));
        None
    }

    fn remove(&mut self, lid: Option<&str>, now: Now, out: &mut Out<Job>) -> Answer {
        let lid = match self.find(lid) {
            Ok(lid) => lid,
            Err(answer) => return answer,
        };
        self.book.saved.held.remove(&lid);
        self.renewals.remove(&lid);
        out.save();
        self.keep_mark(now, out);
        self.review(now, out);
        let text =
            format!("license {lid} is removed from this box; its seat is free when its lease ends");
        Answer::done(text, json!({ "removed": lid }))
    }
}
