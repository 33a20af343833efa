//! What an operator asks for, done: permitted, noted, told to whom it is about, and shown as their role sees it.
//!
//! The note comes first: what cannot be noted is not done, and nothing is shown of it.

use super::act::{Act, Done, Refused, reason};
use super::{Operator, Role, shown, volume};
use crate::clock::Wall;
use crate::hub::admin;
use crate::hub::config::Config;
use crate::hub::people::audit::Details;
use crate::hub::people::email::Email;
use crate::hub::people::{People, Person, Ticket};
use crate::hub::state::Hub;
use crate::hub::store::people::{Account, Happened};
use crate::hub::store::second::Browsers;
use crate::hub::store::{Device, Scope, Store};
use crate::wire::label::{Label, printable};
use core::net::{IpAddr, Ipv4Addr};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Shows the names of devices.
const DEVICES: &str = "qcloud-hub devices";
/// Acts of operators come from no network.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What an act is done with.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// What was decided.
    pub config: &'a Config,
    /// The accounts.
    pub people: &'a People,
    /// What is kept.
    pub store: &'a dyn Store,
    /// What lives, when the hub serves.
    pub hub: Option<&'a Hub>,
    /// The moment.
    pub now: Wall,
}

/// Whom or what an act is about.
pub(super) enum Target {
    Nothing,
    Person(Box<(Person, Account)>),
    Invited(Box<(Person, Account)>, Ticket),
    Everybody(Vec<(Person, Account)>),
    Device(Box<Device>, Option<u64>),
    /// The account that holds a license, or is to.
    Holder(Option<u64>),
}

impl Target {
    /// A device's owner is told of the device. An account that nobody has signed in to has a log that nobody reads, and
    /// the invitation says it all.
    fn tells_by_itself(&self) -> bool {
        match self {
            Self::Person(found) | Self::Invited(found, _) => found.1.password.is_none(),
            Self::Device(..) => true,
            Self::Nothing | Self::Everybody(_) | Self::Holder(_) => false,
        }
    }

    fn device(&self) -> Option<&Device> {
        match self {
            Self::Device(device, _) => Some(device),
            Self::Nothing
            | Self::Person(_)
            | Self::Invited(..)
            | Self::Everybody(_)
            | Self::Holder(_) => None,
        }
    }

    fn accounts(&self, unmasked: bool) -> Vec<u64> {
        match self {
            Self::Person(found) | Self::Invited(found, _) => vec![found.0.account],
            Self::Device(_, owner) | Self::Holder(owner) => owner.iter().copied().collect(),
            // Masked and all at once: nobody was looked at.
            Self::Everybody(all) if unmasked => all.iter().map(|(p, _)| p.account).collect(),
            Self::Everybody(_) | Self::Nothing => Vec::new(),
        }
    }
}

/// Says an error and all it was caused by.
pub(super) fn failed(error: &dyn core::error::Error) -> Refused {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Refused::new(why.replace('\n', " "))
}

/// Notes an act that needs the hub's directory and is done elsewhere: letting devices in, refusing them, and showing the
/// access log. Only [`Role::Admin`] may, and the last one [`Role::Privacy`].
///
/// # Errors
/// [`Refused`] says why it may not be done.
pub async fn note(desk: Desk<'_>, who: &Operator, act: &str) -> Result<(), Refused> {
    // Whole addresses are shown to whom everything is shown unmasked.
    let shows = act == "access-log";
    let allowed = who.role == Role::Admin || (shows && who.role == Role::Privacy);
    let allowed = allowed || crate::sabotage::off("operator-role");
    let why = format!("{act} is not for the role {}", who.role.word());
    let details = Details {
        operator: who.name.clone(),
        uid: who.uid,
        role: who.role,
        act: act.into(),
        accounts: Vec::new(),
        device: None,
        unmasked: shows,
        reason: None,
        refused: (!allowed).then(|| why.clone()),
    };
    desk.people.note_act(&details, desk.now).await.map_err(|e| failed(&e))?;
    if allowed { Ok(()) } else { Err(Refused::new(why)) }
}

/// Does what an operator asks.
///
/// # Errors
/// [`Refused`] says why it was not done.
pub async fn perform(desk: Desk<'_>, who: &Operator, act: &Act, typed: Option<&str>) -> Done {
    let reason = reason(typed);
    let target = match act.permit(who.role, reason.as_deref()) {
        Ok(unmasked) => desk.target(act).await.map(|target| (target, unmasked)),
        Err(refused) => Err(refused),
    };
    let details = |accounts, device, unmasked, refused| Details {
        operator: who.name.clone(),
        uid: who.uid,
        role: who.role,
        act: act.word().into(),
        accounts,
        device,
        unmasked,
        reason: reason.clone(),
        refused,
    };
    let (target, unmasked) = match target {
        Ok(found) => found,
        Err(refused) => {
            let details = details(Vec::new(), None, false, Some(refused.why.clone()));
            desk.people.note_act(&details, desk.now).await.map_err(|e| failed(&e))?;
            return Err(refused);
        }
    };
    let device = target.device().map(|device| device.id.clone());
    let accounts = target.accounts(unmasked);
    let details = details(accounts.clone(), device, unmasked, None);
    if crate::sabotage::off("operator-noted") {
        return desk.carry_out(act, target, unmasked).await;
    }
    let number = desk.people.note_act(&details, desk.now).await.map_err(|e| failed(&e))?;
    volume::judge(desk, who).await?;
    let about = format!("as {}, number {number} of the audit log", who.role.word());
    if act.is_look() {
        for account in accounts {
            desk.tell(account, Happened::OperatorLooked, &about).await?;
        }
        return desk.carry_out(act, target, unmasked).await;
    }
    let told = desk.told(act, &target);
    let accounts = if target.tells_by_itself() { Vec::new() } else { accounts };
    let done = desk.carry_out(act, target, unmasked).await?;
    for account in accounts {
        let (what, text) = told.unwrap_or((Happened::OperatorActed, act.word()));
        desk.tell(account, what, &format!("{text}, {about}")).await?;
    }
    Ok(done)
}

impl Desk<'_> {
    async fn target(&self, act: &Act) -> Result<Target, Refused> {
        Ok(match act {
            Act::UserList {} => Target::Everybody(self.people.all().await.map_err(|e| failed(&e))?),
            Act::UserInvite { email } => self.invited(email).await?,
            Act::UserShow { who }
            | Act::UserLock { who }
            | Act::UserUnlock { who }
            | Act::UserResetSecond { who }
            | Act::UserSignOut { who } => Target::Person(Box::new(self.person(who).await?)),
            Act::DeviceShow { name } | Act::DeviceRevoke { name } => self.device(name).await?,
            Act::DeviceRelease { name: Some(name) } => {
                let none = Refused::new(format!("there is no device {name}")).hint(DEVICES);
                self.device(name).await.map_err(|_| none)?
            }
            Act::DeviceRelease { name: None }
            | Act::DeviceList {}
            | Act::AuditList {}
            | Act::AuditVerify {} => Target::Nothing,
            Act::License { what } => self.holder(what).await?,
        })
    }

    /// Whoever is invited has an account from here on, so that the note can say which. The invitation is worth nothing
    /// to anybody before it is shown.
    async fn invited(&self, typed: &str) -> Result<Target, Refused> {
        if self.config.pages.is_none() {
            let hint =
                "add [pages] with host = \"cloud.example.org\" to hub.toml, and restart the hub";
            return Err(Refused::new("this hub has no pages to sign in at").hint(hint));
        }
        let email = Email::parse(typed).map_err(|e| failed(&e))?;
        let ticket = self.people.invite(&email, self.now).await.map_err(|e| failed(&e))?;
        let found = self.people.find(&email).await.map_err(|e| failed(&e))?;
        let found = found.ok_or_else(|| nobody(typed))?;
        Ok(Target::Invited(Box::new(found), ticket))
    }

    fn invitation(&self, person: &Person, ticket: &Ticket) -> Value {
        let host = self.config.pages.as_ref().map_or("", |pages| &pages.host);
        let link = format!("https://{host}/welcome/{}", ticket.text());
        // Who typed the address knows it.
        json!({ "account": person.account, "email": person.email.as_str(), "invitation": link })
    }

    pub(super) async fn person(&self, typed: &str) -> Result<(Person, Account), Refused> {
        let found = match (typed.parse::<u64>(), Email::parse(typed)) {
            (Ok(number), _) => {
                let all = self.people.all().await.map_err(|e| failed(&e))?;
                all.into_iter().find(|(person, _)| person.account == number)
            }
            (_, Ok(email)) => self.people.find(&email).await.map_err(|e| failed(&e))?,
            (_, Err(error)) => return Err(failed(&error)),
        };
        found.ok_or_else(|| nobody(typed))
    }

    async fn device(&self, name: &Label) -> Result<Target, Refused> {
        let found = admin::named(self.store, name).await.map_err(|e| failed(&e))?;
        let none = || Refused::new(format!("no device is named {name}")).hint(DEVICES);
        let device = found.ok_or_else(none)?;
        let owner = self.store.owner_of(device.id.clone()).await.map_err(|e| failed(&e))?;
        Ok(Target::Device(Box::new(device), owner))
    }

    pub(super) async fn tell_holder(&self, account: u64, about: &str) -> Result<(), Refused> {
        self.tell(account, Happened::LicenseChanged, about).await
    }

    async fn tell(&self, account: u64, what: Happened, about: &str) -> Result<(), Refused> {
        let told = self.people.tell(account, what, Some(about), HERE, self.now).await;
        told.map_err(|e| failed(&e))
    }

    async fn tell_of(
        &self,
        owner: Option<u64>,
        what: Happened,
        name: &Label,
    ) -> Result<(), Refused> {
        match owner {
            Some(owner) => self.tell(owner, what, name.as_str()).await,
            None => Ok(()),
        }
    }

    fn told(&self, act: &Act, target: &Target) -> Option<(Happened, &'static str)> {
        let acted = Happened::OperatorActed;
        Some(match (act, target) {
            (Act::UserResetSecond { .. }, _) => (Happened::SecondReset, "and signed you out"),
            (Act::UserInvite { .. }, _) => (acted, "another password can be set"),
            (Act::UserLock { .. }, _) => (acted, "it is locked"),
            (Act::UserUnlock { .. }, _) => (acted, "it is not locked any more"),
            (Act::UserSignOut { .. }, _) => (acted, "all browsers were signed out"),
            (Act::License { what }, _) => (Happened::LicenseChanged, what.word()),
            _ => return None,
        })
    }

    async fn carry_out(&self, act: &Act, target: Target, unmasked: bool) -> Done {
        match (act, target) {
            (Act::UserList {}, Target::Everybody(all)) => self.list_people(&all, unmasked).await,
            (Act::UserShow { .. }, Target::Person(found)) => {
                self.show_person(&found, unmasked).await
            }
            (Act::UserInvite { .. }, Target::Invited(found, ticket)) => {
                Ok(self.invitation(&found.0, &ticket))
            }
            (Act::DeviceList {}, _) => self.list_devices().await,
            (Act::DeviceShow { .. }, Target::Device(device, owner)) => {
                self.show_device(&device, owner, unmasked).await
            }
            (Act::DeviceRevoke { .. }, Target::Device(device, _)) => self.revoke(*device).await,
            (Act::DeviceRelease { name }, target) => self.release(name.as_ref(), &target).await,
            (Act::AuditList {}, _) => self.list_acts().await,
            (Act::AuditVerify {}, _) => self.verify_acts().await,
            (Act::License { what }, target) => self.license(what, &target, unmasked).await,
            (_, Target::Person(found)) => self.change(act, &found.0, unmasked).await,
            _ => Err(Refused::new("this is not done")),
        }
    }

    async fn change(&self, act: &Act, person: &Person, unmasked: bool) -> Done {
        let (store, account) = (self.store, person.account);
        let email = shown::email(&person.email, unmasked);
        let kept =
            |done: Result<bool, _>| done.map_err(|e: crate::hub::store::StoreError| failed(&e));
        match act {
            Act::UserLock { .. } => {
                let fresh = kept(store.lock(account, self.now).await)?;
                Ok(json!({ "account": account, "email": email, "locked": true, "changed": fresh }))
            }
            Act::UserUnlock { .. } => {
                let was = kept(store.unlock(account).await)?;
                Ok(json!({ "account": account, "email": email, "locked": false, "changed": was }))
            }
            Act::UserResetSecond { .. } => {
                let was = store.second(account).await.map_err(|e| failed(&e))?.is_some();
                // No browser's ticket has this hash: everything that was begun ends.
                store.second_off(account, Default::default()).await.map_err(|e| failed(&e))?;
                Ok(json!({ "account": account, "email": email, "second": false, "changed": was }))
            }
            Act::UserSignOut { .. } => {
                let list = Browsers::SignedIn;
                let ended =
                    store.end_browsers(list, account, None).await.map_err(|e| failed(&e))?;
                store.end_all(account).await.map_err(|e| failed(&e))?;
                Ok(json!({ "account": account, "email": email, "signed_out": ended }))
            }
            Act::UserList {}
            | Act::UserShow { .. }
            | Act::UserInvite { .. }
            | Act::DeviceList {}
            | Act::DeviceShow { .. }
            | Act::DeviceRevoke { .. }
            | Act::DeviceRelease { .. }
            | Act::AuditList {}
            | Act::AuditVerify {}
            | Act::License { .. } => Err(Refused::new("this changes nothing")),
        }
    }

    async fn revoke(&self, device: Device) -> Done {
        let name = device.name.clone();
        let rows: BTreeMap<String, u64> = match self.hub {
            Some(hub) => {
                let rows = admin::revoke(hub, &name).await.map_err(|e| failed(&e))?;
                rows.ok_or_else(|| Refused::new(format!("no device is named {name}")))?
            }
            None => {
                let owner = self.store.owner_of(device.id.clone()).await.map_err(|e| failed(&e))?;
                let erased = self.store.erase(device, Scope::Registration).await;
                let rows = erased.map_err(|e| failed(&e))?;
                self.tell_of(owner, Happened::Revoked, &name).await?;
                rows
            }
        };
        Ok(json!({ "revoked": name, "rows": rows, "serving": self.hub.is_some() }))
    }

    async fn release(&self, name: Option<&Label>, target: &Target) -> Done {
        let devices = match target.device() {
            Some(device) => vec![device.clone()],
            None => self.store.devices().await.map_err(|e| failed(&e))?,
        };
        let mut released: Vec<Label> = Vec::new();
        for device in devices {
            let owner = self.store.owner_of(device.id.clone()).await.map_err(|e| failed(&e))?;
            let lifted = self.store.release(device.id, name.is_none(), self.now).await;
            if lifted.map_err(|e| failed(&e))? {
                self.tell_of(owner, Happened::Released, &device.name).await?;
                released.push(device.name);
            } else if let Some(name) = name {
                let what = format!("{name} is not quarantined");
                return Err(Refused::new(what).hint(DEVICES));
            }
        }
        Ok(json!({ "released": released }))
    }

    async fn list_acts(&self) -> Done {
        let acts = self.people.acts(Wall::default(), self.now).await.map_err(|e| failed(&e))?;
        let rows: Vec<Value> = acts
            .iter()
            .map(|noted| {
                json!({
                    "number": noted.seq,
                    "at": noted.at.rfc3339(),
                    "operator": noted.details.as_ref().map(|d| &d.operator),
                    "uid": noted.details.as_ref().map(|d| d.uid),
                    "role": noted.details.as_ref().map(|d| d.role),
                    "act": noted.details.as_ref().map(|d| &d.act),
                    "accounts": noted.details.as_ref().map(|d| &d.accounts),
                    "device": noted.details.as_ref().and_then(|d| d.device.as_ref()),
                    "unmasked": noted.details.as_ref().map(|d| d.unmasked),
                    "reason": noted.details.as_ref().and_then(|d| d.reason.as_ref()),
                    "refused": noted.details.as_ref().and_then(|d| d.refused.as_ref()),
                })
            })
            .collect();
        Ok(json!({ "audit": rows }))
    }

    async fn verify_acts(&self) -> Done {
        match self.people.verify_acts(self.now).await.map_err(|e| failed(&e))? {
            Ok((lines, head)) => {
                Ok(json!({ "lines": lines, "number": head.seq, "hash": head.hash }))
            }
            Err(bad) => Err(Refused::new(format!("the audit log does not hold: {bad}")).hint(
                "journalctl -u qcloud-hub: each line's number and hash stand in the hub's log",
            )),
        }
    }
}

fn nobody(typed: &str) -> Refused {
    // Somebody who may not see an address may type one.
    Refused::new(format!("there is no account {}", printable(typed, 80)))
        .hint("qcloud-hub user list")
}
