//! What takes time: looking at the box, signing with its key, and asking the hub.

use crate::clock::Wall;
use crate::daemon::dial::{Hands, Mark};
use crate::egress::outside::{Reply, SendError};
use crate::platform::facts;
use crate::wire::license::jws::sign_own;
use crate::wire::license::{
    Activate, Binding, Facts, LicenseId, Release, Renew, Request, Return, Revoked, Wanted,
};
use core::net::IpAddr;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};

/// The longest version of a firmware that is sent, in characters.
const MAX_FIRMWARE: usize = 64;

/// Work.
#[derive(Debug)]
pub enum Job {
    /// Sees what box this is and what its clock shows; with the sealed mark of the household.
    Look(Option<String>),
    /// Keeps a mark.
    Keep(Mark),
    /// Asks for a seat.
    Activate(Wanted, Option<IpAddr>),
    /// Asks for the next lease.
    Renew(LicenseId, u64),
    /// Asks what was revoked, as nobody.
    Revoked(String),
    /// Writes a request file.
    Request(Option<Wanted>, Wall),
    /// Signs that a seat is given back, and sends it where that is wanted.
    Release(Box<Release>, bool),
}

/// What came of it.
pub enum Note {
    /// The box.
    Seen(Box<Seen>),
    /// The mark, sealed.
    Kept(Option<String>),
    /// The hub's answer, and the nonce it answers.
    Answered(Result<Reply, SendError>, String),
    /// A request file and its nonce.
    Requested(String, String),
    /// A release receipt, and the hub's answer where it was sent.
    Receipt(String, Option<Result<Reply, SendError>>),
    /// There is no randomness, without which nothing is asked.
    NoRandomness,
}

/// The box as it is.
pub struct Seen {
    /// What it is known by.
    pub facts: Facts,
    /// The version of its firmware.
    pub firmware: String,
    /// What its wall clock shows.
    pub shown: Wall,
    /// The mark that was kept.
    pub mark: Option<Mark>,
    /// Whether a copy of it was missing or false.
    pub broken_seal: bool,
}

/// Does it.
pub async fn work(job: Job, hands: Hands<Note>) -> Note {
    match job {
        Job::Look(mark) => {
            let (mark, broken_seal) = hands.identity.marks(mark.as_deref());
            let shown = hands.identity.shown_time();
            let (facts, firmware) = (own(&hands), firmware(&hands));
            Note::Seen(Box::new(Seen { facts, firmware, shown, mark, broken_seal }))
        }
        Job::Keep(mark) => {
            let kept = hands.identity.keep_mark(mark);
            Note::Kept(kept.inspect_err(|e| tracing::debug!(error = %e, "no mark was kept")).ok())
        }
        Job::Activate(license, ip) => {
            let Some((salt, nonce)) = random().zip(random()) else { return Note::NoRandomness };
            let nonce = BASE64URL_NOPAD.encode(&nonce);
            let (facts, firmware) = (own(&hands), firmware(&hands));
            let body = activation(license, &facts, salt, firmware, ip, nonce.clone());
            Note::Answered(hands.dial.send(&body).await, nonce)
        }
        Job::Renew(lid, seq) => {
            let Some(nonce) = random() else { return Note::NoRandomness };
            let nonce = BASE64URL_NOPAD.encode(&nonce);
            let body = Renew { lid, seq, nonce: nonce.clone() };
            Note::Answered(hands.dial.send(&body).await, nonce)
        }
        Job::Revoked(prefix) => {
            Note::Answered(hands.dial.send(&Revoked { prefix }).await, String::new())
        }
        Job::Request(license, iat) => request(license, iat, &hands),
        Job::Release(release, send) => {
            let Some(nonce) = random() else { return Note::NoRandomness };
            let release = Release { nonce: BASE64URL_NOPAD.encode(&nonce), ..*release };
            let key = hands.identity.key();
            let receipt = sign_own(&release, key.as_ref(), key.public_key());
            let body = Return { receipt: receipt.clone() };
            let sent = if send { Some(hands.dial.send(&body).await) } else { None };
            Note::Receipt(receipt, sent)
        }
    }
}

/// What is said to get a seat.
pub fn activation(
    license: Wanted,
    facts: &Facts,
    salt: [u8; 16],
    firmware: String,
    ip: Option<IpAddr>,
    nonce: String,
) -> Activate {
    let Binding { salt, mut serial, macs, .. } = facts.bound(salt);
    if crate::sabotage::off("license-facts") {
        serial.clone_from(&facts.serial);
    }
    Activate { license, salt, serial, macs, firmware, ip, nonce }
}

fn request(license: Option<Wanted>, iat: Wall, hands: &Hands<Note>) -> Note {
    let Some((salt, nonce)) = random().zip(random()) else { return Note::NoRandomness };
    let nonce = BASE64URL_NOPAD.encode(&nonce);
    let (bind, firmware) = (own(hands).bound(salt), firmware(hands));
    let request = Request { v: 1, license, bind, firmware, nonce: nonce.clone(), iat };
    let key = hands.identity.key();
    Note::Requested(sign_own(&request, key.as_ref(), key.public_key()), nonce)
}

/// What this box is known by.
fn own(hands: &Hands<Note>) -> Facts {
    let macs = facts::permanent_macs(&hands.root);
    Facts {
        key: hands.identity.key().public_key().to_vec(),
        serial: facts::serial(&hands.root).or_else(|| hands.identity.told_serial()),
        macs: macs.iter().map(ToString::to_string).collect(),
    }
}

fn firmware(hands: &Hands<Note>) -> String {
    let version = facts::Facts::read(&hands.root).firmware.value.unwrap_or_default();
    version.chars().take(MAX_FIRMWARE).collect()
}

fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
}
