//! `link/services`.

use super::refusal::Refusal;
use super::registration::json;
use super::{Call, Reply};
use crate::hub::state::Hub;
use crate::hub::store::Device;
use crate::wire::link::{MAX_SERVICES, Services};
use crate::wire::privacy::Restrictable;
use axum::http::StatusCode;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) fn services(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let told: Services = call.read()?;
        let (_turn, device) = call.turn(&hub).await?;
        check(&hub, &device, &told)?;
        if hub.restrictions.has(&device.id, Restrictable::Link) {
            let error = "link is restricted at its owner's wish: its rows are kept as they are, and not used";
            return Err(Refusal::new(StatusCode::CONFLICT, error)
                .hint("qcloud-agent privacy restrict link off"));
        }
        let now = hub.clock.now().wall;
        if hub.store.set_services(device.id.clone(), told.services.clone(), now).await? {
            tracing::info!(device = %device.id, services = told.services.len(), "what a device publishes changed");
        }
        json(&told)
    })
}

/// A device speaks of names of its own, each once.
fn check(hub: &Hub, device: &Device, told: &Services) -> Result<(), Refusal> {
    let wrong = |field: &str, error: String| {
        Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error).field(field))
    };
    if told.services.len() > MAX_SERVICES {
        return wrong("services", format!("more than {MAX_SERVICES} services"));
    }
    let own = format!("{}.link.{}", device.name, hub.config.zone);
    let mut names = BTreeSet::new();
    for service in &told.services {
        let below = service.host.strip_suffix(&own).is_some_and(|rest| {
            rest.is_empty()
                || rest.strip_suffix('.').is_some_and(|rest| rest == service.name.as_str())
        });
        if !below {
            return wrong("host", format!("the host of {} is not one of {own}", service.name));
        }
        if !names.insert(&service.name) {
            return wrong("name", format!("{} is there twice", service.name));
        }
    }
    Ok(())
}
