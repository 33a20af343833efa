//! `ddns/update`.

use super::refusal::Refusal;
use super::registration::json;
use super::{Call, Reply};
use crate::hub::state::Hub;
use crate::hub::store::Addresses;
use crate::wire::address::publishable;
use crate::wire::ddns::{Answer, Update, Updated};
use crate::wire::privacy::Restrictable;
use axum::http::StatusCode;
use core::net::IpAddr;
use std::sync::Arc;

pub(super) fn update(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let update: Update = call.read()?;
        let observed = call.peer.address;
        let addresses = wanted(&hub, update, observed)?;
        let now = hub.clock.now().wall;
        let (_turn, device) = call.turn(&hub).await?;
        if hub.restrictions.has(&device.id, Restrictable::Ddns) {
            return Err(restricted());
        }
        let changed = hub.store.set_addresses(device.id.clone(), addresses, now).await?;
        // Answers show it before the device hears that they do.
        hub.zone.change(|zone| zone.set(&device.name, Some(addresses)));
        if changed {
            tracing::info!(device = %device.id, "the addresses of a name changed");
        }
        json(&Updated { a: addresses.a, aaaa: addresses.aaaa, observed })
    })
}

fn restricted() -> Refusal {
    let error = "ddns is restricted at its owner's wish: its row is kept as it is, and not used";
    Refusal::new(StatusCode::CONFLICT, error).hint("qcloud-agent privacy restrict ddns off")
}

fn wanted(hub: &Hub, update: Update, observed: IpAddr) -> Result<Addresses, Refusal> {
    let seen = Some(observed).filter(|ip| allowed(hub, *ip));
    let seen = seen.filter(|_| !crate::sabotage::off("hub-observed"));
    let a = match update.a {
        Answer::None => None,
        Answer::Observed => {
            seen.and_then(|ip| if let IpAddr::V4(v4) = ip { Some(v4) } else { None })
        }
        Answer::Address(v4) => Some(checked(hub, v4, "a")?),
    };
    let aaaa = match update.aaaa {
        Answer::None => None,
        Answer::Observed => {
            seen.and_then(|ip| if let IpAddr::V6(v6) = ip { Some(v6) } else { None })
        }
        Answer::Address(v6) => Some(checked(hub, v6, "aaaa")?),
    };
    Ok(Addresses { a, aaaa })
}

fn checked<A: Copy + Into<IpAddr>>(
    hub: &Hub,
    address: A,
    field: &'static str,
) -> Result<A, Refusal> {
    if allowed(hub, address.into()) {
        return Ok(address);
    }
    let address: IpAddr = address.into();
    let error =
        format!("{address} is not a public address; names answer with public addresses only");
    Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error).field(field))
}

fn allowed(hub: &Hub, address: IpAddr) -> bool {
    publishable(address)
        || (hub.config.sandbox && address.is_loopback())
        || crate::sabotage::off("hub-publishable")
}
