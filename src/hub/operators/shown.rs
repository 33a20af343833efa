//! What accounts and devices look like to an operator: masked, or as they are.

use super::act::Done;
use super::desk::{Desk, failed};
use crate::hub::people::Person;
use crate::hub::people::email::Email;
use crate::hub::store::people::Account;
use crate::hub::store::second::Browsers;
use crate::hub::store::{Device, Quarantined};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A mail address as a role sees it: `a***@example.net`.
pub(super) fn email(email: &Email, unmasked: bool) -> String {
    if unmasked {
        return email.as_str().to_owned();
    }
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{domain}")
}

impl Desk<'_> {
    pub(super) async fn list_people(&self, all: &[(Person, Account)], unmasked: bool) -> Done {
        let locked: BTreeMap<_, _> =
            self.store.locked().await.map_err(|e| failed(&e))?.into_iter().collect();
        let rows = all.iter().map(|(person, account)| {
            json!({
                "account": person.account,
                "email": email(&person.email, unmasked),
                "password": account.password.is_some(),
                "locked": locked.contains_key(&person.account),
                "made": account.made_at.rfc3339(),
            })
        });
        Ok(json!({ "accounts": rows.collect::<Vec<_>>(), "masked": !unmasked }))
    }

    pub(super) async fn show_person(&self, found: &(Person, Account), unmasked: bool) -> Done {
        let ((person, account), store) = (found, self.store);
        let number = person.account;
        let locked = store.locked().await.map_err(|e| failed(&e))?;
        let locked = locked.iter().find(|(of, _)| *of == number).map(|(_, since)| since.rfc3339());
        let second = store.second(number).await.map_err(|e| failed(&e))?;
        let devices = store.devices_of(number).await.map_err(|e| failed(&e))?;
        let mut browsers = Vec::new();
        for list in [Browsers::SignedIn, Browsers::Trusted] {
            let all = self.people.browsers(list, person, self.now).await.map_err(|e| failed(&e))?;
            let networks = all.iter().map(|browser| browser.masked);
            let networks = unmasked.then(|| networks.collect::<Vec<_>>());
            browsers.push(json!({ "number": all.len(), "networks": networks }));
        }
        let trusted = browsers.pop();
        Ok(json!({
            "account": number,
            "email": email(&person.email, unmasked),
            "password": account.password.is_some(),
            "locked": locked,
            "second": second.map(|factor| factor.made_at.rfc3339()),
            "signed_in": browsers.pop(),
            "trusted": trusted,
            "devices": devices.iter().map(|device| &device.name).collect::<Vec<_>>(),
            "made": account.made_at.rfc3339(),
            "masked": !unmasked,
        }))
    }

    pub(super) async fn list_devices(&self) -> Done {
        let devices = self.store.devices().await.map_err(|e| failed(&e))?;
        let aside = self.store.quarantined().await.map_err(|e| failed(&e))?;
        let mut rows = Vec::new();
        for device in &devices {
            rows.push(self.row(device, &aside).await?);
        }
        Ok(json!({ "devices": rows }))
    }

    /// A device without what is only its owner's: names of devices and services are in DNS for everybody.
    async fn row(&self, device: &Device, aside: &[Quarantined]) -> Done {
        let services = self.store.services(device.id.clone()).await.map_err(|e| failed(&e))?;
        let aside = aside.iter().find(|quarantined| quarantined.device == device.id);
        let online = self.hub.map(|hub| hub.presence.find(device.name.as_str()).is_some());
        Ok(json!({
            "id": device.id,
            "name": device.name,
            "registered": device.made_at.rfc3339(),
            "online": online,
            "services": services,
            "quarantined": aside.map(|quarantined| quarantined.made_at.rfc3339()),
            "why": aside.map(|quarantined| &quarantined.why),
        }))
    }

    pub(super) async fn show_device(
        &self,
        device: &Device,
        owner: Option<u64>,
        unmasked: bool,
    ) -> Done {
        let aside = self.store.quarantined().await.map_err(|e| failed(&e))?;
        let mut row = self.row(device, &aside).await?;
        let people = self.people.all().await.map_err(|e| failed(&e))?;
        let owner = people.iter().find(|(person, _)| Some(person.account) == owner);
        row["owner"] = owner.map_or(Value::Null, |(person, _)| {
            json!({ "account": person.account, "email": email(&person.email, unmasked) })
        });
        if unmasked {
            let kept = self.store.addresses(device.id.clone()).await.map_err(|e| failed(&e))?;
            row["a"] = json!(kept.and_then(|addresses| addresses.a));
            row["aaaa"] = json!(kept.and_then(|addresses| addresses.aaaa));
        }
        row["masked"] = json!(!unmasked);
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_shows_one_letter_and_the_domain() {
        let of = |text: &str| email(&Email::parse(text).unwrap(), false);
        assert_eq!(of("anna.berg@mail.example.org"), "a***@mail.example.org");
        assert_eq!(of("å@example.net"), "å***@example.net");
        assert_eq!(email(&Email::parse("a@example.net").unwrap(), true), "a@example.net");
    }
}
