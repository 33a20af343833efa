//! `registration/renew` and `registration/rekey`: another certificate, and another key.

use super::refusal::Refusal;
use super::registration::{json, membership};
use super::{Call, Reply};
use crate::hub::keys::DeviceKey;
use crate::hub::state::Hub;
use crate::hub::store::{Device, Staged};
use crate::wire::registration::{Rekey, Renew, rekey_message};
use axum::http::StatusCode;
use data_encoding::BASE64URL_NOPAD;
use std::sync::Arc;

/// The caller's key is the device's by now: whichever key opens a connection for a device is its key from then on.
pub(super) fn renew(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let Renew {} = call.read()?;
        let (_turn, device) = call.turn(&hub).await?;
        let now = hub.clock.now().wall;
        tracing::info!(device = %device.id, "a certificate was renewed");
        json(&membership(&hub, &device, now)?)
    })
}

pub(super) fn rekey(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let ask: Rekey = call.read()?;
        let (_turn, device) = call.turn(&hub).await?;
        let spki = proven(&device, &ask)?;
        let now = hub.clock.now().wall;
        match hub.store.stage_key(device.id.clone(), spki.clone(), now).await? {
            Staged::Yes => json(&membership(&hub, &Device { spki, ..device }, now)?),
            Staged::Taken => {
                let error = "the key belongs to another device";
                Err(Refusal::new(StatusCode::CONFLICT, error).field("spki"))
            }
        }
    })
}

/// The new key, once its holder has signed for being this device.
fn proven(device: &Device, ask: &Rekey) -> Result<Vec<u8>, Refusal> {
    let spki = BASE64URL_NOPAD.decode(ask.spki.as_bytes()).unwrap_or_default();
    let Some(key) = DeviceKey::from_spki(&spki) else {
        let error = "`spki` is not the SubjectPublicKeyInfo of an Ed25519 key in base64url";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error).field("spki"));
    };
    let signature = BASE64URL_NOPAD.decode(ask.signature.as_bytes()).unwrap_or_default();
    let signed = key.signed(&rekey_message(&device.id, &spki), &signature);
    if signed || crate::sabotage::off("hub-rekey-proof") {
        return Ok(spki);
    }
    let error = "the signature is not the new key's over this device and itself";
    Err(Refusal::new(StatusCode::FORBIDDEN, error).field("signature"))
}
