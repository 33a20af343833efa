//! A hub that answers permits by parcel id, from memory.

use super::issuer::Issuer;
use super::power::Power;
use super::registry::Registry;
use core::net::IpAddr;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::Wall;
use qcloud_agent::egress::ledger::Outcome;
use qcloud_agent::egress::outside::{
    Flow, Outside, Pending, Reply, SendError, Session, SessionEvent,
};
use qcloud_agent::egress::permit::{Passage, Permit};
use qcloud_agent::wire::ddns::{Answer, Update, Updated};
use qcloud_agent::wire::label::Label;
use qcloud_agent::wire::receipt::{self, Forgotten, Receipt};
use qcloud_agent::wire::registration::{Membership, Polled, Started};
use qcloud_agent::wire::signed;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// The address it sees the device at.
pub const OBSERVED: &str = "203.0.113.50";

/// Handles to one hub.
#[derive(Clone)]
pub struct Hub(Arc<Mutex<Inner>>);

/// How it signs its receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Honest,
    /// The signature of the receipt is altered.
    Tampered,
    /// Signed by the key of somebody else.
    ForeignKey,
    /// A good receipt that speaks of another device.
    OtherDevice,
    /// A good receipt that speaks of another feature.
    OtherFeature,
    /// The first receipt it ever gave, again.
    Replayed,
}

pub struct Inner {
    /// Nobody answers.
    pub down: bool,
    /// From request to answer.
    pub latency: Duration,
    pub signing: Signing,
    /// Polls answered with "pending" before the approval.
    pub polls_to_approve: u32,
    pub observed: IpAddr,
    /// Answers that are given instead of the usual ones.
    pub scripted: BTreeMap<&'static str, VecDeque<Reply>>,
    /// What reached it, in order.
    pub seen: Vec<(&'static str, Value)>,
    /// Permits and passages the carrier was handed, whether the hub was up or down.
    pub handed: u64,
    /// When each message was handed to the carrier.
    pub times: Vec<(&'static str, Instant)>,
    /// It knows no device.
    pub forgetful: bool,
    /// When a session was dialled.
    pub dials: Vec<Instant>,
    /// Sessions that stand.
    pub sessions: usize,
    /// Whose keys it knows; without one it takes everybody for the device.
    pub registry: Option<Registry>,
    /// Whose licenses it gives out.
    pub issuer: Option<Issuer>,
    /// Counts what the device sends, and may take its power away.
    pub power: Option<Power>,
    /// The answer that gets lost, counted from 1.
    pub lost: Option<usize>,
    device: String,
    first_receipt: Option<String>,
    epoch: u64,
    cut: watch::Sender<u64>,
}

impl Hub {
    pub fn new(device: &str) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            down: false,
            latency: Duration::from_millis(20),
            signing: Signing::Honest,
            polls_to_approve: 1,
            observed: OBSERVED.parse().unwrap(),
            scripted: BTreeMap::new(),
            seen: Vec::new(),
            handed: 0,
            times: Vec::new(),
            forgetful: false,
            dials: Vec::new(),
            sessions: 0,
            registry: None,
            issuer: None,
            power: None,
            lost: None,
            device: device.into(),
            first_receipt: None,
            epoch: 0,
            cut: watch::Sender::new(0),
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The bodies of one parcel that reached it.
    pub fn bodies(&self, parcel: &str) -> Vec<Value> {
        let seen = self.lock().seen.clone();
        seen.into_iter().filter(|(id, _)| *id == parcel).map(|(_, body)| body).collect()
    }

    /// The ids of all that reached it.
    pub fn parcels(&self) -> Vec<&'static str> {
        let mut ids: Vec<_> = self.lock().seen.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Answers the next request for a parcel like this.
    pub fn script(&self, parcel: &'static str, status: u16, body: Value, retry_after: Option<u64>) {
        let retry_after = retry_after.map(Duration::from_secs);
        let reply = Reply { status, body, retry_after };
        self.lock().scripted.entry(parcel).or_default().push_back(reply);
    }

    /// The waits between messages of one kind.
    pub fn waits(&self, parcel: &str) -> Vec<Duration> {
        let times = self.lock().times.clone();
        let times: Vec<_> =
            times.into_iter().filter(|(id, _)| *id == parcel).map(|(_, at)| at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Forgets every device, and ends every session.
    pub fn forget_all(&self) {
        let mut inner = self.lock();
        inner.forgetful = true;
        inner.cut.send_modify(|cut| *cut += 1);
    }

    /// Goes away, and takes every session with it.
    pub fn go_down(&self) {
        let mut inner = self.lock();
        inner.down = true;
        inner.cut.send_modify(|cut| *cut += 1);
    }

    pub fn come_back(&self) {
        self.lock().down = false;
    }
}

impl Inner {
    fn answer(&mut self, parcel: &'static str, body: &Value) -> Reply {
        self.seen.push((parcel, body.clone()));
        if let Some(scripted) = self.scripted.get_mut(parcel).and_then(VecDeque::pop_front) {
            return scripted;
        }
        if let Some(reply) = self.registry.as_mut().and_then(|r| r.answer(parcel, body)) {
            return reply;
        }
        if let Some(reply) = self.issuer.as_mut().and_then(|issuer| issuer.answer(parcel, body)) {
            return reply;
        }
        if self.forgetful && !parcel.starts_with("registration.") {
            return unknown();
        }
        match parcel {
            "registration.start" => ok(&Started {
                device_code: "code".into(),
                user_code: "BCDF-GHJK".into(),
                verification_uri: "https://hub.example.test".into(),
                interval_seconds: 5,
                expires_in_seconds: 600,
                challenge: BASE64URL_NOPAD.encode(b"challenge"),
                operator: None,
            }),
            "registration.poll" if self.polls_to_approve > 0 => {
                self.polls_to_approve -= 1;
                ok(&Polled::AuthorizationPending)
            }
            "registration.poll" => ok(&Polled::Approved(Box::new(membership()))),
            "ddns.update" => ok(&self.updated(&serde_json::from_value(body.clone()).unwrap())),
            _ if parcel.ends_with(".forget") => {
                let feature = parcel.split('.').next().unwrap();
                ok(&Forgotten { receipt: self.receipt(feature, body["nonce"].as_str().unwrap()) })
            }
            _ => ok(&json!({})),
        }
    }

    fn updated(&self, update: &Update) -> Updated {
        let seen_v4 = |ip| if let IpAddr::V4(v4) = ip { Some(v4) } else { None };
        let seen_v6 = |ip| if let IpAddr::V6(v6) = ip { Some(v6) } else { None };
        Updated {
            a: match update.a {
                Answer::Address(v4) => Some(v4),
                Answer::Observed => seen_v4(self.observed),
                Answer::None => None,
            },
            aaaa: match update.aaaa {
                Answer::Address(v6) => Some(v6),
                Answer::Observed => seen_v6(self.observed),
                Answer::None => None,
            },
            observed: self.observed,
        }
    }

    fn receipt(&mut self, feature: &str, nonce: &str) -> String {
        let other = |yes: bool, text: &str| if yes { "other".into() } else { text.to_owned() };
        let receipt = Receipt {
            device: other(self.signing == Signing::OtherDevice, &self.device),
            feature: other(self.signing == Signing::OtherFeature, feature),
            nonce: nonce.into(),
            erased_at: Wall::from_unix_seconds(1_795_341_600),
            rows: BTreeMap::from([(feature.to_owned(), 1)]),
            kept: vec![],
        };
        let seed = if self.signing == Signing::ForeignKey { [8; 32] } else { [7; 32] };
        let document = signed::sign(&receipt, receipt::TYPE, &key(seed));
        let first = self.first_receipt.get_or_insert_with(|| document.clone()).clone();
        match self.signing {
            Signing::Replayed => first,
            // 63 more characters and the last one of 64 bytes in base64url follow.
            Signing::Tampered => {
                let (kept, signature) = document.split_at(document.len() - 64);
                let altered = if signature.starts_with('A') { "B" } else { "A" };
                format!("{kept}{altered}{}", &signature[1..])
            }
            Signing::Honest
            | Signing::ForeignKey
            | Signing::OtherDevice
            | Signing::OtherFeature => document,
        }
    }
}

/// The place this hub gives.
pub fn membership() -> Membership {
    Membership {
        name: Label::parse("box").unwrap(),
        zone: "example.test".into(),
        certificate: String::new(),
        receipt_key: BASE64URL_NOPAD.encode(key([7; 32]).public_key().as_ref()),
        certificate_until: Wall::from_unix_seconds(4_000_000_000),
        device: String::new(),
        operator: None,
    }
}

fn key(seed: [u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

pub fn ok(body: &impl Serialize) -> Reply {
    Reply { status: 200, body: serde_json::to_value(body).unwrap(), retry_after: None }
}

fn unknown() -> Reply {
    let body = json!({ "error": "this device is not registered here" });
    Reply { status: 401, body, retry_after: None }
}

fn gone(to: &impl ToString) -> SendError {
    SendError::Unreachable { to: to.to_string(), why: "nobody is there".into() }
}

impl Outside for Hub {
    fn carry(&self, permit: Permit) -> Pending<Result<Reply, SendError>> {
        let hub = self.clone();
        hub.lock().handed += 1;
        hub.lock().times.push((permit.parcel().id, Instant::now()));
        let latency = hub.lock().latency;
        let (power, caller) = {
            let inner = hub.lock();
            (inner.power.clone(), inner.registry.as_ref().and_then(Registry::shown))
        };
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            Power::step(power.as_ref(), "the request").await;
            let body = serde_json::from_slice(permit.body()).unwrap();
            let (to, up) = (permit.to().clone(), u64::try_from(permit.body().len()).unwrap());
            let down = hub.lock().down;
            let result = if down { "unreachable" } else { "ok" };
            let parcel = permit.parcel().id;
            permit.seal(Outcome { up, result: result.into(), ..Outcome::default() });
            if down {
                return Err(gone(&to));
            }
            let (reply, lost) = {
                let mut inner = hub.lock();
                let refusal = inner.registry.as_mut().and_then(|r| r.judge(parcel, caller));
                let reply = refusal.unwrap_or_else(|| inner.answer(parcel, &body));
                (reply, inner.lost == Some(inner.seen.len()))
            };
            Power::step(power.as_ref(), "the answer").await;
            if lost {
                Err(SendError::TimedOut { to: to.to_string(), seconds: 15 })
            } else {
                Ok(reply)
            }
        })
    }

    fn session(&self, passage: Passage, _: Duration) -> Pending<Result<Session, SendError>> {
        let hub = self.clone();
        let mut inner = self.lock();
        inner.handed += 1;
        inner.dials.push(Instant::now());
        let latency = inner.latency;
        let caller = inner.registry.as_ref().and_then(Registry::shown);
        drop(inner);
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            if hub.lock().down {
                return Err(gone(passage.permit().to()));
            }
            let refused =
                hub.lock().registry.as_mut().and_then(|r| r.judge("link.session", caller));
            if let Some(reply) = refused {
                return Err(reply.read::<Value>().unwrap_err());
            }
            if hub.lock().forgetful {
                return Err(unknown().read::<Value>().unwrap_err());
            }
            let (events, receiver) = mpsc::channel(16);
            let (hold, held) = oneshot::channel::<()>();
            let (epoch, observed) = {
                let mut inner = hub.lock();
                inner.epoch += 1;
                inner.sessions += 1;
                inner.seen.push((passage.permit().parcel().id, json!({})));
                (inner.epoch, inner.observed)
            };
            tokio::spawn(stand(hub, passage, events.clone(), held));
            let _ = events.send(SessionEvent::Up { epoch, observed }).await;
            Ok(Session { events: receiver, hold: Box::new(hold) })
        })
    }

    fn local(&self, passage: Passage) -> Pending<Result<Flow, SendError>> {
        Box::pin(async move { Err(gone(passage.permit().to())) })
    }
}

/// Keeps one session until somebody ends it.
async fn stand(
    hub: Hub,
    passage: Passage,
    events: mpsc::Sender<SessionEvent>,
    held: oneshot::Receiver<()>,
) {
    let mut cut = hub.lock().cut.subscribe();
    let down = tokio::select! {
        () = passage.revoked() => Some(SendError::Revoked),
        _ = cut.changed() => Some(gone(passage.permit().to())),
        _ = held => None,
    };
    hub.lock().sessions -= 1;
    if let Some(error) = down {
        // A session that nobody reads is over all the same.
        let _ = events.send(SessionEvent::Down(error)).await;
    }
}
