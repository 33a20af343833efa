//! The end of an account: the one way there is.
//!
//! Sessions of its devices end first, so that no visit writes anything down any more; then the store takes everything
//! in one step; then the names leave the zone. A hub that dies between finds the zone in the store when it is back.

use super::keeping::hold;
use super::people::farewell::{FAREWELL_LIFE, Farewell};
use super::people::{PeopleError, Person};
use super::speech::Language;
use super::state::Hub;
use super::store::license::{VOID_KEPT, Whose};
use super::store::{Device, Scope, StoreError};
use crate::clock::Wall;
use crate::wire::receipt::{ACCOUNT_TYPE, AccountReceipt, Kept};
use crate::wire::signed;

/// What a session of a device is told whose account is gone.
const WHY: &str = "the account of this device was deleted";

/// An account that is gone.
pub struct Erased {
    /// What was erased.
    pub receipt: AccountReceipt,
    /// The same as the hub signed it: a JWS of [`ACCOUNT_TYPE`].
    pub document: String,
}

/// Erases an account, its devices and every row of either, and signs for it. `None` when it was gone already. Run it as
/// a task of its own: who asked may hang up, and the names must leave the zone all the same.
///
/// # Errors
/// The store's; sessions are over all the same, and nothing is erased.
pub async fn erase(
    hub: &Hub,
    person: &Person,
    language: Language,
) -> Result<Option<Erased>, PeopleError> {
    let devices = hub.store.devices_of(person.account).await?;
    let _turns = hub.locks.of_all(devices.iter().map(|device| device.id.as_str())).await;
    for device in &devices {
        hub.presence.forget(device.name.as_str(), WHY);
    }
    // Before it: of the licenses nothing is known afterwards.
    let mut kept_of_it = licenses(hub, person.account, hub.clock.now().wall).await?;
    let Some(gone) = hub.store.erase_account(person.account).await? else { return Ok(None) };
    for device in &gone.devices {
        // One that came in meanwhile too.
        hub.presence.forget(device.name.as_str(), WHY);
        hub.restrictions.forget(&device.id, Scope::Registration);
        hub.zone.change(|zone| zone.remove(&device.name));
    }
    let erased_at = hub.clock.now().wall;
    let names: Vec<String> = gone.devices.iter().map(|device| device.name.to_string()).collect();
    let receipt = AccountReceipt {
        account: person.email.to_string(),
        devices: names.clone(),
        erased_at,
        rows: gone.rows,
        kept: {
            kept_of_it.extend(kept(hub, person.account, &gone.devices, erased_at).await?);
            kept_of_it
        },
    };
    let document = signed::sign(&receipt, ACCOUNT_TYPE, &hub.keys.receipt);
    let rows = receipt.rows.values().sum();
    hub.people.bid_farewell(Farewell {
        to: person.email.clone(),
        language,
        rows,
        devices: names,
        receipt: document.clone(),
        erased_at,
    });
    tracing::info!(
        rows,
        devices = gone.devices.len(),
        "an account was erased on its owner's demand"
    );
    Ok(Some(Erased { receipt, document }))
}

/// What stays after an erasure of now; also what the page shows before it (promise R12).
///
/// # Errors
/// The store's.
pub async fn kept(
    hub: &Hub,
    account: u64,
    devices: &[Device],
    now: Wall,
) -> Result<Vec<Kept>, StoreError> {
    let mut all = hold::kept_of_account(hub, account, now).await?;
    for device in devices {
        for kept in hold::kept(hub, &device.id, now).await? {
            if !all.contains(&kept) {
                all.push(kept);
            }
        }
    }
    all.extend(licenses(hub, account, now).await?);
    if hub.people.mails() {
        all.push(Kept {
            what: "your mail address, in memory only".into(),
            why: "to send you a last letter; it is forgotten with the letter".into(),
            until: Wall(now.0.saturating_add(FAREWELL_LIFE)),
        });
    }
    Ok(all)
}

/// What stays of an account's licenses: that they are void (promises L11, P3).
async fn licenses(hub: &Hub, account: u64, now: Wall) -> Result<Vec<Kept>, StoreError> {
    if hub.store.licenses(Whose::Account(account)).await?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Kept {
        what: "the random numbers of your licenses, without whose they were".into(),
        why: "so that the devices that have them learn that they are void".into(),
        until: Wall(now.0.saturating_add(VOID_KEPT)),
    }])
}
