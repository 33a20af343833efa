//! Boxes that nobody stands beside: a key of the hub's operator, kept in a file, in place of their approval.

use super::{Note, url};
use crate::card::Warning;
use crate::clock::{Boot, Now};
use crate::daemon::dial::Hands;
use crate::daemon::feature::{BadConfig, HubAddress, Opening};
use crate::daemon::run::error_chain;
use crate::egress::backoff::Backoff;
use crate::egress::outside::{Reply, SendError};
use crate::platform::facts;
use crate::platform::root::Root;
use crate::wire::authkey::{AuthKey, MAX_KEY};
use crate::wire::label::Label;
use crate::wire::registration::{About, Operator, Start, Started, check_words};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;

/// Raised while a box that shall register by itself cannot.
pub(super) static UNPROVISIONED: Warning = Warning {
    code: "registration-key",
    title: "This device cannot register with its auth key",
    hint: "qcloud-agent register",
};

/// While the hub or the network is away: soon at first, since both may be starting as well.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(600);
/// After a refusal, or without a usable file: only the operator can change that, and the hub counts wrong keys.
const RETRY_REFUSED: Duration = Duration::from_secs(3600);
/// The longest a person is kept waiting because the hub asks to.
const PATIENCE: Duration = Duration::from_secs(120);
/// What an owner has to read who runs the hub, and to stop before anything of this device is sent.
const READING: Duration = Duration::from_secs(2);
/// What the first tries of boxes that start together are spread over.
const START_SPREAD: Duration = Duration::from_secs(2);

/// What a start is made with.
pub struct Order {
    /// The name to ask for; without one the box's own.
    pub(super) name: Option<Label>,
    pub(super) key: KeyFrom,
}

/// Where the auth key comes from.
pub enum KeyFrom {
    /// A person approves this device.
    Nowhere,
    /// It was typed, or read from a file by whoever asked.
    Given(AuthKey),
    /// A file on this box, read anew for each try.
    File(String),
}

/// Why there is no start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The way to the hub, or the hub.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The file of the auth key.
    #[error("cannot use the auth key in {path}: {why}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl StartError {
    /// As [`SendError::explained`].
    pub(super) fn explained(&self) -> String {
        match self {
            Self::Send(error) => error.explained(),
            Self::KeyFile { .. } => self.to_string(),
        }
    }
}

/// What a start came to.
pub struct Begun {
    pub(super) started: Started,
    /// The check words.
    pub(super) words: [String; 4],
    /// Whether an auth key went with it.
    pub(super) with_key: bool,
}

/// Asks the hub for a code.
pub(super) async fn start(order: Order, hands: &Hands<Note>) -> Result<Begun, StartError> {
    hands.identity.keep().map_err(|e| SendError::NoIdentity(error_chain(&e)))?;
    let key = hands.identity.key();
    let spki = key.spki();
    let from_file = matches!(order.key, KeyFrom::File(_));
    let auth_key = match order.key {
        KeyFrom::Nowhere => None,
        KeyFrom::Given(key) => Some(key),
        KeyFrom::File(path) => Some(read_key(&hands.root, path)?),
    };
    let with_key = auth_key.is_some();
    if !from_file && !crate::sabotage::off("operator-first") {
        about(hands).await?;
    }
    let mut patience = if from_file { Duration::ZERO } else { PATIENCE };
    let name = order.name.unwrap_or_else(|| facts::default_name(&hands.root));
    let body = Start { spki: BASE64URL_NOPAD.encode(spki), name, auth_key };
    let started = loop {
        let error = match hands.dial.send(&body).await.and_then(Reply::read::<Started>) {
            Ok(started) => break started,
            Err(error) => error,
        };
        // A hub that is asked too much says when to come again, and is not asked before.
        let wait = error.retry_after().filter(|wait| *wait <= patience);
        let wait = wait.filter(|_| matches!(error, SendError::Declined { .. }));
        let Some(wait) = wait else { return Err(error.into()) };
        patience -= wait;
        hands.note(Note::Waiting(wait)).await;
        tokio::time::sleep(wait).await;
    };
    let challenge = BASE64URL_NOPAD
        .decode(started.challenge.as_bytes())
        .map_err(|_| SendError::NotUnderstood("its challenge is not base64url".into()))?;
    let words = check_words(&challenge, spki);
    Ok(Begun { started, words, with_key })
}

/// Who runs the hub and where it stands is shown before anything of this device is sent (promise G1). A hub that
/// does not answer this is told of nothing either way: it says so with its code.
async fn about(hands: &Hands<Note>) -> Result<(), SendError> {
    match hands.dial.send(&About {}).await.and_then(Reply::read::<Operator>) {
        Ok(operator) => {
            let says_something = operator != Operator::default();
            hands.note(Note::Operator(operator)).await;
            if says_something {
                tokio::time::sleep(READING).await;
            }
        }
        Err(SendError::Declined { .. } | SendError::NotUnderstood(_) | SendError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn read_key(root: &Root, path: String) -> Result<AuthKey, StartError> {
    let cap = u64::try_from(MAX_KEY).unwrap_or(u64::MAX);
    let key = match root.read_private(&path, cap) {
        Ok(text) => AuthKey::new(text.expose().trim().into()),
        Err(error) => return Err(StartError::KeyFile { path, why: error.to_string() }),
    };
    if key.parts().is_none() {
        return Err(StartError::KeyFile { path, why: "it does not hold a key (qk1_…)".into() });
    }
    Ok(key)
}

/// What the configuration provides a box with that shall register by itself.
pub(super) struct Provision {
    pub(super) hub: HubAddress,
    file: String,
    name: Option<Label>,
    backoff: Backoff,
    at: Option<Boot>,
}

impl Provision {
    /// Reads `[registration]`; `None` without `auth_key_file`.
    pub(super) fn of(config: &super::Config) -> Result<Option<Self>, BadConfig> {
        let Some(file) = config.auth_key_file.clone() else { return Ok(None) };
        let bad = |why: &str| BadConfig::new("registration", why);
        let Some(hub) = &config.hub else {
            return Err(bad("auth_key_file: `hub` must say where the key is good"));
        };
        if !file.starts_with('/') {
            return Err(bad("auth_key_file: the path must begin with `/`"));
        }
        let hub = url::parse(hub, config.hub_pin.clone()).map_err(|e| bad(&format!("hub: {e}")))?;
        let backoff = Backoff::new(RETRY_FIRST, RETRY_MOST);
        Ok(Some(Self { hub, file, name: config.name.clone(), backoff, at: None }))
    }

    /// The agent opens the feature: a box without a place at a hub tries to get one, unless its owner took it off.
    pub(super) fn opened(&mut self, why: Opening, now: Now) {
        self.at = match why {
            Opening::Started => Some(now.boot + START_SPREAD.mul_f64(now.fraction())),
            Opening::Wanted => Some(now.boot),
            Opening::Left => None,
        };
    }

    pub(super) fn next(&self) -> Option<Boot> {
        self.at
    }

    /// Whoever else registered this box, nothing is left to be done.
    pub(super) fn settled(&mut self) {
        self.at = None;
        self.backoff.succeed();
    }

    /// What the next try starts with, when it is time for it.
    pub(super) fn due(&mut self, now: Now) -> Option<Order> {
        self.at.take_if(|at| *at <= now.boot)?;
        Some(Order { name: self.name.clone(), key: KeyFrom::File(self.file.clone()) })
    }

    /// A try came to nothing. `error` is `None` when the hub refused in the answer to a poll.
    pub(super) fn failed(&mut self, error: Option<&StartError>, now: Now) {
        let passing = match error {
            Some(StartError::Send(error)) if !error.is_final() => Some(error.retry_after()),
            Some(_) | None => None,
        };
        let wait = match passing {
            Some(at_least) => self.backoff.fail(now, at_least),
            None => self.backoff.fail(now, Some(RETRY_REFUSED)),
        };
        self.at = Some(now.boot + wait);
    }
}
