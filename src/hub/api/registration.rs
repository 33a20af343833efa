//! `register/start` and `register/poll`.

use super::refusal::Refusal;
use super::{Call, Reply};
use crate::clock::{Now, Wall};
use crate::hub::keys::{DeviceKey, random};
use crate::hub::state::Hub;
use crate::hub::store::{Device, Enrolled, Hash, Opened, Pending, State};
use crate::hub::tls;
use crate::identity::id::device_id;
use crate::wire::registration::{
    About, CERTIFICATE_LIFE, CODE_LIFE, Membership, Operator, POLL_SECONDS, Poll, Polled, Start,
    Started, poll_message,
};
use axum::http::StatusCode;
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::KeyPair;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Requests that may stand at once; the oldest of them is gone after [`CODE_LIFE`].
const MOST_PENDING: u64 = 1000;
/// Letters of a user code (RFC 8628 section 6.1): base 20, no vowels, no words.
const CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Length of a user code.
const CODE_LENGTH: usize = 8;
/// How often another user code is rolled when one is taken.
const ROLLS: u32 = 8;
/// Seconds between polls at a hub that is tried on one machine.
const SANDBOX_POLL_SECONDS: u64 = 1;

pub(super) fn about(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move {
        let About {} = call.read()?;
        json(&operator(&hub).unwrap_or_default())
    })
}

pub(super) fn start(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move { json(&open(&hub, call.peer.address, &call.read()?).await?) })
}

pub(super) fn poll(hub: Arc<Hub>, call: Call) -> Reply {
    Box::pin(async move { json(&polled(&hub, &call.read()?).await?) })
}

/// Packs an answer.
pub(super) fn json<T: Serialize>(answer: &T) -> Result<Value, Refusal> {
    let broken =
        |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer does not fit in JSON");
    serde_json::to_value(answer).map_err(broken)
}

fn interval_seconds(hub: &Hub) -> u64 {
    if hub.config.sandbox { SANDBOX_POLL_SECONDS } else { POLL_SECONDS }
}

async fn open(hub: &Hub, from: IpAddr, start: &Start) -> Result<Started, Refusal> {
    let bad_key = || {
        let error = "`spki` is not the SubjectPublicKeyInfo of an Ed25519 key in base64url";
        Refusal::new(StatusCode::BAD_REQUEST, error).field("spki")
    };
    let spki = BASE64URL_NOPAD.decode(start.spki.as_bytes()).map_err(|_| bad_key())?;
    DeviceKey::from_spki(&spki).ok_or_else(bad_key)?;
    // First of all, so that no other answer tells whether the key was good.
    let key = super::fleet::judge(hub, from, start, &spki).await?;
    if hub.zone.read(|zone| zone.reserved(&start.name)) {
        return Err(taken(format!("the name `{}` is reserved by the hub", start.name)));
    }
    let device_code = BASE64URL_NOPAD.encode(&random::<16>()?);
    let mut row = Pending {
        code_hash: code_hash(&device_code)?,
        user_code: String::new(),
        name: start.name.clone(),
        spki,
        challenge: random::<16>()?.to_vec(),
        state: State::Open,
        made_at: hub.clock.now().wall,
    };
    for _ in 0..ROLLS {
        row.user_code = user_code()?;
        let opened = match key.clone() {
            Some(key) => hub.store.open_authorised(row.clone(), key, MOST_PENDING).await?,
            None => hub.store.open_code(row.clone(), MOST_PENDING).await?,
        };
        match opened {
            Opened::Yes => return Ok(started(hub, device_code, &row)),
            Opened::CodeTaken => {}
            Opened::Full => {
                let error = "too many registrations wait for their owners";
                return Err(Refusal::full(error, CODE_LIFE / 10));
            }
            Opened::NameTaken => {
                return Err(taken(format!("the name `{}` belongs to another device", start.name)));
            }
        }
    }
    Err(Refusal::full("no free code was found", Duration::from_secs(1)))
}

pub(super) fn taken(error: String) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, error)
        .field("name")
        .hint("qcloud-agent register --name another-name")
}

fn started(hub: &Hub, device_code: String, row: &Pending) -> Started {
    let user_code = shown_code(&row.user_code);
    Started {
        device_code,
        verification_uri: match &hub.config.pages {
            Some(pages) => format!("https://{}/approve?code={user_code}", pages.host),
            None => format!("qcloud-hub approve {user_code}"),
        },
        user_code,
        interval_seconds: interval_seconds(hub),
        expires_in_seconds: CODE_LIFE.as_secs(),
        challenge: BASE64URL_NOPAD.encode(&row.challenge),
        operator: operator(hub),
    }
}

/// Who runs this hub, for those who are about to trust it (promise R10).
fn operator(hub: &Hub) -> Option<Operator> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let operator =
        Operator { contact: text(&hub.config.contact), region: text(&hub.config.region) };
    (operator != Operator::default() && !crate::sabotage::off("hub-operator")).then_some(operator)
}

/// A user code as it is shown: `BCDF-GHJK`.
pub(in crate::hub) fn shown_code(code: &str) -> String {
    code.split_at_checked(CODE_LENGTH / 2).map_or_else(|| code.into(), |(a, b)| format!("{a}-{b}"))
}

fn user_code() -> Result<String, Refusal> {
    let mut code = String::new();
    while code.len() < CODE_LENGTH {
        // 240 is the largest multiple of 20 in a byte: beyond it letters would not be equally likely.
        let fair = random::<16>()?.into_iter().filter(|byte| *byte < 240);
        let letters = fair.filter_map(|byte| CODE_LETTERS.get(usize::from(byte % 20)));
        code.extend(letters.take(CODE_LENGTH - code.len()).map(|letter| char::from(*letter)));
    }
    Ok(code)
}

fn code_hash(device_code: &str) -> Result<Hash, Refusal> {
    let broken = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "SHA-256 is not 32 bytes here");
    tls::hash(device_code.as_bytes()).ok_or_else(broken)
}

async fn polled(hub: &Hub, poll: &Poll) -> Result<Polled, Refusal> {
    let hash = code_hash(&poll.device_code)?;
    let now = hub.clock.now();
    // A code is 128 random bits: that one is unknown tells nobody anything.
    let Some(row) = hub.store.pending_by_code(hash).await? else { return Ok(Polled::ExpiredToken) };
    prove(&row, poll)?;
    if row.made_at.0.saturating_add(CODE_LIFE) < now.wall.0 {
        return Ok(Polled::ExpiredToken);
    }
    let interval = Duration::from_secs(interval_seconds(hub));
    if hub.pace.too_fast(hash, now.boot, interval) {
        return Ok(Polled::SlowDown);
    }
    match row.state {
        State::Open => Ok(Polled::AuthorizationPending),
        State::Denied => Ok(Polled::AccessDenied),
        State::Approved => approved(hub, &row, now).await,
    }
}

/// Only the key's holder learns anything of a request.
fn prove(row: &Pending, poll: &Poll) -> Result<(), Refusal> {
    let signature = BASE64URL_NOPAD.decode(poll.signature.as_bytes()).unwrap_or_default();
    let message = poll_message(&poll.device_code);
    let signed =
        DeviceKey::from_spki(&row.spki).is_some_and(|key| key.signed(&message, &signature));
    if signed || crate::sabotage::off("hub-poll-signature") {
        return Ok(());
    }
    let error = "the signature does not fit the key of this registration";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, error).field("signature"))
}

async fn approved(hub: &Hub, row: &Pending, now: Now) -> Result<Polled, Refusal> {
    let id = device_id(&row.spki);
    let device = Device {
        id: id.clone(),
        name: row.name.clone(),
        spki: row.spki.clone(),
        made_at: now.wall,
    };
    let _turn = hub.locks.of(&id).await;
    match hub.store.enrol(row.code_hash, device).await? {
        Enrolled::Yes { device, before } => {
            match before {
                Some(before) => {
                    hub.presence.end(before.as_str(), "this device has another name now");
                    hub.zone.change(|zone| zone.rename(&before, device.name.clone()));
                }
                None => hub.zone.change(|zone| zone.add(device.name.clone())),
            }
            tracing::info!(device = %device.id, "a device was registered");
            Ok(Polled::Approved(Box::new(membership(hub, &device, now.wall)?)))
        }
        Enrolled::NameTaken | Enrolled::KeySpent => Ok(Polled::AccessDenied),
        Enrolled::NotApproved => Ok(Polled::ExpiredToken),
    }
}

/// What a device is told of its place here.
pub(super) fn membership(hub: &Hub, device: &Device, now: Wall) -> Result<Membership, Refusal> {
    let broken = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the key kept here is broken");
    let key = DeviceKey::from_spki(&device.spki).ok_or_else(broken)?;
    Ok(Membership {
        name: device.name.clone(),
        zone: hub.config.zone.clone(),
        certificate: hub.keys.device_leaf(&key, &device.id, now)?,
        receipt_key: BASE64URL_NOPAD.encode(hub.keys.receipt.public_key().as_ref()),
        certificate_until: Wall(now.0.saturating_add(CERTIFICATE_LIFE)),
        device: device.id.clone(),
        operator: operator(hub),
    })
}
