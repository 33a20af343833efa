//! The demands to forget. The answer is a signed receipt of what was erased.

use super::refusal::Refusal;
use super::registration::json;
use super::{Call, Reply};
use crate::hub::admin::tell_owner;
use crate::hub::keeping::hold;
use crate::hub::state::Hub;
use crate::hub::store::people::Happened;
use crate::hub::store::{Device, Scope, StoreError};
use crate::wire::receipt::{Forgotten, Kept, Receipt, TYPE};
use crate::wire::{
    ddns as wire_ddns, license as wire_license, link as wire_link,
    registration as wire_registration, signed,
};
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest nonce that comes back in a receipt.
const MAX_NONCE: usize = 128;

pub(super) fn registration(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let demand: wire_registration::Forget = call.read()?;
        forget(&hub, &call, Scope::Registration, demand.nonce).await
    })
}

pub(super) fn ddns(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let demand: wire_ddns::Forget = call.read()?;
        forget(&hub, &call, Scope::Ddns, demand.nonce).await
    })
}

pub(super) fn link(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let demand: wire_link::Forget = call.read()?;
        forget(&hub, &call, Scope::Link, demand.nonce).await
    })
}

pub(super) fn license(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let demand: wire_license::Forget = call.read()?;
        forget(&hub, &call, Scope::License, demand.nonce).await
    })
}

/// Answers a demand to forget a device that is forgotten already: the receipt of the first time was lost on
/// its way. The certificate proves that the device was ours once, by the id in it; that it has no rows is no secret
/// from it.
pub(super) async fn again(hub: &Hub, device: &str, body: &[u8]) -> Result<Value, Refusal> {
    let demand: wire_registration::Forget =
        serde_json::from_slice(body).map_err(|e| Refusal::not_understood(&e))?;
    check(&demand.nonce)?;
    let scope = Scope::Registration;
    let rows = scope.tables().iter().map(|table| (table.to_string(), 0)).collect();
    sign(hub, device.to_owned(), scope, demand.nonce, (rows, Vec::new())).await
}

fn check(nonce: &str) -> Result<(), Refusal> {
    if nonce.is_empty() || nonce.len() > MAX_NONCE {
        let error = format!("`nonce` must be 1 to {MAX_NONCE} bytes long");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error).field("nonce"));
    }
    Ok(())
}

async fn forget(hub: &Hub, call: &Call, scope: Scope, nonce: String) -> Result<Value, Refusal> {
    check(&nonce)?;
    let (_turn, device) = call.turn(hub).await?;
    let why = match scope {
        Scope::Registration => "this device was unregistered",
        Scope::Link => "link was switched off",
        Scope::Ddns | Scope::License => "",
    };
    let owner = hub.store.owner_of(device.id.clone()).await?;
    let (freed, seats) = leave_seats(hub, &device, scope).await?;
    let mut rows = erase(hub, &device, scope, why).await?;
    if freed > 0 {
        *rows.entry("license_seat".into()).or_default() += freed;
    }
    if scope == Scope::Registration {
        tell_owner(hub, owner, &device, Happened::Left).await;
    }
    tracing::info!(feature = scope.feature(), "a device's data was erased on its demand");
    sign(hub, device.id.clone(), scope, nonce, (rows, seats)).await
}

/// Frees the seats of a device that says it destroys its leases; how many. Those whose leases were carried to it by hand
/// stay taken, and the receipt says so.
async fn leave_seats(
    hub: &Hub,
    device: &Device,
    scope: Scope,
) -> Result<(u64, Vec<Kept>), StoreError> {
    if !scope.tables().contains(&"license_seat") {
        return Ok((0, Vec::new()));
    }
    let now = hub.clock.now().wall;
    let freed = hub.store.free_seats_of(device.id.clone(), now).await?;
    let kept = hub.store.seats_of(device.id.clone(), now).await?.into_iter().map(|seat| Kept {
        what: "that a seat of a license is taken, without by which device".into(),
        why: "its lease was carried away in a file and may be in use until then".into(),
        until: seat.ends_at,
    });
    Ok((freed, kept.collect()))
}

/// Erases what is kept of a device and what it is served by; the rows by table. `why` is what its session is told.
/// The caller has the device's turn.
///
/// # Errors
/// The store's; the session is over all the same.
pub(in crate::hub) async fn erase(
    hub: &Hub,
    device: &Device,
    scope: Scope,
    why: &'static str,
) -> Result<BTreeMap<String, u64>, StoreError> {
    // First the session: visitors that end by this write nothing down.
    match scope {
        Scope::Registration if crate::sabotage::off("hub-revoke-cut") => {}
        Scope::Registration | Scope::Link => hub.presence.forget(device.name.as_str(), why),
        Scope::Ddns | Scope::License => {}
    }
    let rows = hub.store.erase(device.clone(), scope).await?;
    hub.restrictions.forget(&device.id, scope);
    match scope {
        Scope::Registration => hub.zone.change(|zone| zone.remove(&device.name)),
        Scope::Ddns if crate::sabotage::off("hub-unname") => {}
        Scope::Ddns => hub.zone.change(|zone| zone.set(&device.name, None)),
        Scope::Link | Scope::License => {}
    }
    Ok(rows)
}

async fn sign(
    hub: &Hub,
    device: String,
    scope: Scope,
    nonce: String,
    (rows, seats): (BTreeMap<String, u64>, Vec<Kept>),
) -> Result<Value, Refusal> {
    let erased_at = hub.clock.now().wall;
    let mut kept = hold::kept(hub, &device, erased_at).await?;
    kept.extend(seats);
    let receipt = Receipt { device, feature: scope.feature().into(), nonce, erased_at, rows, kept };
    json(&Forgotten { receipt: signed::sign(&receipt, TYPE, &hub.keys.receipt) })
}
