//! What a person asks of the link.

use super::services::{self, Service};
use super::{Job, Link};
use crate::card::Exit;
use crate::daemon::feature::{Answer, Asker, Out};
use crate::wire::label::Label;
use serde_json::{Value, json};

impl Link {
    pub(super) fn publish(&mut self, asker: Asker, args: &Value, out: &mut Out<Job>) {
        let arg = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
        let parsed = Label::parse(arg("name"))
            .map_err(|e| e.to_string())
            .and_then(|name| Ok((name, Service::parse(arg("url")).map_err(|e| e.to_string())?)));
        let (name, service) = match parsed {
            Ok(parsed) => parsed,
            Err(text) => return out.answer(asker, Answer::failed(Exit::Usage, text)),
        };
        let mut text = format!("{name} is published: {service}");
        if let Some(host) = &self.host {
            text = format!("{text} is reachable at https://{}", services::host_of(&name, host));
        }
        if service.is_loopback() {
            text.push_str("\nnote: the service sees its visitors come from this box itself; it must ask for a password from there too");
        }
        let json = json!({ "published": name, "url": service.to_string() });
        self.own.insert(name, service);
        self.republish(out);
        out.answer(asker, Answer::done(text, json));
    }

    pub(super) fn unpublish(&mut self, asker: Asker, args: &Value, out: &mut Out<Job>) {
        let name = args.get("name").and_then(Value::as_str).unwrap_or_default();
        let answer = match Label::parse(name) {
            Err(bad) => Answer::failed(Exit::Usage, bad.to_string()),
            Ok(name) if self.own.remove(&name) => Answer::done(
                format!("{name} is no longer published"),
                json!({ "unpublished": name }),
            ),
            Ok(name) if self.configured.contains(&name) => {
                let text = format!(
                    "{name} is published by the configuration file\nhint: remove it from [link.publish] and reload"
                );
                Answer::failed(Exit::Failed, text)
            }
            Ok(name) => {
                let text = format!("{name} is not published\nhint: qcloud-agent link status");
                Answer::failed(Exit::Failed, text)
            }
        };
        self.republish(out);
        out.answer(asker, answer);
    }

    fn republish(&mut self, out: &mut Out<Job>) {
        self.published.send_replace(self.configured.with(&self.own));
        out.save();
    }

    pub(super) fn show_certificate(&self, asker: Asker, out: &mut Out<Job>) {
        let answer = match &self.certificate {
            Some(certificate) => Answer::done(
                certificate.pem.clone(),
                json!({ "fingerprint": certificate.fingerprint, "pem": certificate.pem }),
            ),
            None => Answer::failed(
                Exit::Failed,
                "there is no certificate yet: the session has not been dialled\nhint: qcloud-agent link status",
            ),
        };
        out.answer(asker, answer);
    }
}
