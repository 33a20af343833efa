//! `license/activate`, `license/renew`, `license/release` and `license/revoked`.

use super::refusal::Refusal;
use super::registration::json;
use super::{Call, Reply};
use crate::hub::license::office::{Asker, Brought, Denied, Office, Said};
use crate::hub::people::PeopleError;
use crate::hub::state::Hub;
use crate::hub::store::{Device, StoreError};
use crate::wire::license::claims::is_nonce;
use crate::wire::license::{
    Activate, Binding, Documents, Release, Released, Renew, Return, Revoked, jws, kid_of, parcels,
};
use axum::http::StatusCode;
use std::sync::Arc;

fn office(hub: &Hub) -> Office<'_> {
    Office { store: hub.store.as_ref(), people: &hub.people, now: hub.clock.now().wall }
}

/// The most leases a device may be behind or ahead of what the hub knows: a hub that was restored has forgotten some.
const MOST_AHEAD: u64 = 100_000;

pub(super) fn activate(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let ask: Activate = call.read()?;
        bounded(&hub, &call)?;
        let (_turn, device) = call.turn(&hub).await?;
        let asker = asker(&hub, &device).await?;
        let Activate { license, salt, serial, macs, firmware, ip, nonce } = ask;
        let bind = Binding { device: kid_of(&asker.key), salt, serial, macs };
        let said = Said { bind, firmware, ip, nonce };
        let given = office(&hub).activate(&asker, &license, said).await;
        if matches!(given, Err(Denied::Unknown)) {
            guessed(&hub, &call)?;
        }
        let documents = given?;
        tracing::info!(device = %device.id, "a device was answered about a license");
        json(&Documents { documents })
    })
}

pub(super) fn renew(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let ask: Renew = call.read()?;
        bounded(&hub, &call)?;
        if !is_nonce(&ask.nonce) {
            return Err(bad("`nonce` is not 16 bytes in base64url").field("nonce"));
        }
        let (_turn, device) = call.turn(&hub).await?;
        let asker = asker(&hub, &device).await?;
        let seats = hub.store.seats_of(device.id.clone(), hub.clock.now().wall).await?;
        let known = seats.iter().find(|seat| seat.lid == ask.lid.as_str());
        if known.is_some_and(|seat| ask.seq > seat.seq.saturating_add(MOST_AHEAD)) {
            return Err(bad("`seq` is of no lease this hub has made").field("seq"));
        }
        let documents = office(&hub).renew(&asker, &ask.lid, ask.seq, &ask.nonce).await?;
        json(&Documents { documents })
    })
}

pub(super) fn release(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let Return { receipt } = call.read()?;
        bounded(&hub, &call)?;
        let opened = jws::open_own::<Release>(&receipt);
        let (receipt, key) = opened.map_err(|e| bad(&e.to_string()).field("receipt"))?;
        let (_turn, device) = call.turn(&hub).await?;
        match office(&hub).receipt(&receipt, &key).await? {
            Brought::Freed { was_taken, .. } => {
                tracing::info!(device = %device.id, was_taken, "a device gave a seat back");
                json(&Released { freed: was_taken })
            }
            Brought::Answer { .. } => Err(Refusal::nothing_here()),
        }
    })
}

pub(super) fn revoked(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let Revoked { prefix } = call.read()?;
        json(&Documents { documents: office(&hub).revoked(&prefix).await? })
    })
}

async fn asker(hub: &Hub, device: &Device) -> Result<Asker, Refusal> {
    let owner = hub.store.owner_of(device.id.clone()).await?;
    Asker::new(device.id.clone(), &device.spki, owner)
        .ok_or_else(|| bad("licenses are for devices with an Ed25519 key"))
}

/// Bounds what a network asks about licenses.
fn bounded(hub: &Hub, call: &Call) -> Result<(), Refusal> {
    if hub.config.sandbox {
        return Ok(());
    }
    hub.polls.take(call.peer.address, hub.clock.now().boot).map_err(Refusal::too_many)
}

/// Bounds how often a network names what is not there.
fn guessed(hub: &Hub, call: &Call) -> Result<(), Refusal> {
    hub.guesses.take(call.peer.address, hub.clock.now().boot).map_err(Refusal::too_many)
}

fn bad(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let error = denied.to_string();
        let say = |status, code| Self::new(status, error.clone()).code(code);
        match denied {
            Denied::Unknown => say(StatusCode::NOT_FOUND, parcels::REFUSED_UNKNOWN),
            Denied::NoSeat(_) => say(StatusCode::CONFLICT, parcels::REFUSED_NO_SEAT)
                .hint("qcloud-agent license release, on the device that has the seat"),
            Denied::Offline(_) => say(StatusCode::CONFLICT, parcels::REFUSED_OFFLINE)
                .hint("qcloud-agent license release, on the device that has the seat"),
            Denied::Firmware(_) => say(StatusCode::CONFLICT, parcels::REFUSED_FIRMWARE),
            Denied::Ended => say(StatusCode::GONE, parcels::REFUSED_EXPIRED),
            Denied::Released => say(StatusCode::GONE, parcels::REFUSED_RELEASED),
            Denied::NoOwner | Denied::OnlineOnly | Denied::OldReceipt => {
                Self::new(StatusCode::CONFLICT, error)
            }
            Denied::Bad(_) => Self::new(StatusCode::BAD_REQUEST, error),
            Denied::NoKey => Self::new(StatusCode::SERVICE_UNAVAILABLE, error),
            Denied::Broken(PeopleError::Store(error)) => error.into(),
            Denied::Broken(PeopleError::Key(error)) => error.into(),
            Denied::Broken(PeopleError::Password(_)) => StoreError::Closed.into(),
        }
    }
}
