//! Session tickets: how a second box with the same key shows.
//!
//! A key can be copied with the disk it is on, and both copies prove it equally well. So the hub gives a device a
//! fresh random ticket with each session, which it must show at the next one. Two boxes that go on from one
//! disk then hold different tickets after the first session of either, and the other one shows an older one: a *fork*.
//! Which of the two is the device nobody can know from here, so both are set aside until a person decides.
//!
//! The rule is pure, and knows only hashes: what the hub keeps is of no use to whoever reads it.

use super::state::Hub;
use super::store::{Admitted, Device, Hash, StoreError};
use super::tls;
use crate::wire::link::ToDevice;
use crate::wire::privacy::Restrictable;
use core::net::IpAddr;
use data_encoding::BASE64URL_NOPAD;

/// What is said to both copies and to the operator.
pub const QUARANTINED: &str = "another copy of this device's identity exists; both are set aside";
/// A ticket, before it is text or a hash.
const BYTES: usize = 16;

/// What the hub keeps of the tickets of one device. A device that had no session yet has none of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tickets {
    /// The newest one given, hashed. `None` after a release: whatever comes next is right.
    pub current: Option<Hash>,
    /// The one that was shown when it was given, for as long as the device may not have the newest.
    pub previous: Option<Hash>,
    /// The device has said that the newest one is on its disk.
    pub acked: bool,
}

/// A ticket that only a second box with the same key can show; in words for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork(pub &'static str);

/// Judges what a device shows at the begin of a session, and says what is kept while `fresh` is on its way.
///
/// # Errors
/// [`Fork`].
pub fn present(kept: Option<Tickets>, shown: Option<Hash>, fresh: Hash) -> Result<Tickets, Fork> {
    let given = Tickets { current: Some(fresh), previous: shown, acked: false };
    if crate::sabotage::off("hub-ticket") {
        return Ok(given);
    }
    match (kept, shown) {
        // The first session, or one like it.
        (None, None) | (Some(Tickets { current: None, .. }), _) => Ok(given),
        (None, Some(_)) => Err(Fork("it showed a ticket, and none was given")),
        (Some(kept), Some(shown)) if kept.current == Some(shown) => Ok(given),
        // The welcome was lost, the device lost power before it had written it down, or its word of that was lost.
        (Some(kept), shown) if !kept.acked && kept.previous == shown => Ok(given),
        (Some(_), None) => Err(Fork("it showed no ticket, and had one")),
        (Some(_), Some(_)) => Err(Fork("it showed an older ticket, or a foreign one")),
    }
}

/// Takes the device's word on `given`; what is to be kept then. A word about an older ticket changes nothing.
pub fn settle(kept: Tickets, given: Hash, stored: bool) -> Option<Tickets> {
    if kept.current != Some(given) {
        return Some(kept);
    }
    // A box that cannot write shows what it showed, for ever.
    let current = if stored { Some(given) } else { kept.previous };
    current.map(|current| Tickets { current: Some(current), previous: None, acked: true })
}

/// A ticket on its way to a device.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// As the welcome has it.
    text: String,
    hash: Hash,
}

impl Fresh {
    /// Rolls one.
    ///
    /// # Errors
    /// [`std::io::Error`] when the system gives no random bytes.
    pub fn roll() -> std::io::Result<Self> {
        let bytes = super::state::token().map_err(std::io::Error::other)?;
        let hash = tls::hash(&bytes).ok_or(std::io::ErrorKind::Other)?;
        Ok(Self { text: BASE64URL_NOPAD.encode(&bytes), hash })
    }

    /// The welcome that brings it.
    pub fn welcome(&self, epoch: u64, observed: IpAddr, tripwire: String) -> ToDevice {
        ToDevice::Welcome { epoch, observed, tripwire, ticket: self.text.clone() }
    }
}

/// What a device shows, as it is compared; `None` for what is no ticket.
pub fn shown(text: &str) -> Option<Hash> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == BYTES);
    tls::hash(&bytes?)
}

/// Whether a session may begin. The device's lock must be held, so that the older session is not ended by one that
/// may not begin.
///
/// # Errors
/// The store's.
pub async fn admit(
    hub: &Hub,
    device: &Device,
    shown: Option<Hash>,
    fresh: &Fresh,
) -> Result<bool, StoreError> {
    let now = hub.clock.now().wall;
    match hub.store.admit(device.id.clone(), shown, fresh.hash, now).await? {
        Admitted::Yes => Ok(true),
        Admitted::Released => {
            let kept = hub.store.addresses(device.id.clone()).await?;
            let restricted = hub.restrictions.has(&device.id, Restrictable::Ddns);
            let answered = kept.filter(|_| !restricted);
            hub.zone.change(|zone| zone.set(&device.name, answered));
            tracing::info!(device = %device.id, "a device is back from quarantine");
            Ok(true)
        }
        Admitted::Forked(fork) => {
            hub.presence.end(device.name.as_str(), QUARANTINED);
            hub.zone.change(|zone| zone.set(&device.name, None));
            super::metrics::CLONES.count("quarantined");
            tell_owner(device, fork);
            Ok(false)
        }
        Admitted::Quarantined => Ok(false),
    }
}

/// The one place where the owner hears of a fork.
fn tell_owner(device: &Device, Fork(why): Fork) {
    // It names the device, and the command that releases it.
    let hint = "qcloud-hub devices";
    tracing::warn!(device = %device.id, why, hint, "{QUARANTINED}");
}

/// Notes the device's word on its fresh ticket.
pub async fn settled(hub: &Hub, device: &Device, fresh: &Fresh, stored: bool) {
    if let Err(error) = hub.store.settle(device.id.clone(), fresh.hash, stored).await {
        // Unsettled, both tickets stay good.
        tracing::warn!(%error, "a device's word on its ticket was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash {
        let mut hash = [0; 32];
        hash.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        hash
    }

    /// A box with a disk, and what can go wrong with a session of it.
    #[derive(Clone, Copy)]
    enum Goes {
        Well,
        WelcomeLost,
        NotStored,
        NotStoredAndWordLost,
        WordLost,
        WordLate,
    }

    const GOES: [Goes; 6] = [
        Goes::Well,
        Goes::WelcomeLost,
        Goes::NotStored,
        Goes::NotStoredAndWordLost,
        Goes::WordLost,
        Goes::WordLate,
    ];

    #[derive(Clone, Default)]
    struct Disk {
        ticket: Option<Hash>,
    }

    #[derive(Default)]
    struct Side {
        kept: Option<Tickets>,
        given: u64,
        /// A word that is still on its way.
        late: Option<(Hash, bool)>,
    }

    impl Side {
        fn session(&mut self, disk: &mut Disk, goes: Goes) -> Result<(), Fork> {
            self.given += 1;
            let fresh = hash(self.given);
            self.kept = Some(present(self.kept, disk.ticket, fresh)?);
            if let Some((given, stored)) = self.late.take() {
                self.word(given, stored);
            }
            match goes {
                Goes::Well => disk.ticket = Some(fresh),
                Goes::WordLost => disk.ticket = Some(fresh),
                Goes::WordLate => {
                    disk.ticket = Some(fresh);
                    self.late = Some((fresh, true));
                }
                Goes::WelcomeLost | Goes::NotStored | Goes::NotStoredAndWordLost => {}
            }
            match goes {
                Goes::Well => self.word(fresh, true),
                Goes::NotStored => self.word(fresh, false),
                Goes::WelcomeLost
                | Goes::NotStoredAndWordLost
                | Goes::WordLost
                | Goes::WordLate => {}
            }
            Ok(())
        }

        fn word(&mut self, given: Hash, stored: bool) {
            if let Some(kept) = self.kept {
                self.kept = settle(kept, given, stored);
            }
        }
    }

    /// Knuth's MMIX generator: the same lives on every machine.
    fn next(seed: &mut u64) -> usize {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 40).unwrap()
    }

    #[test]
    fn one_box_is_never_taken_for_two_whatever_is_lost() {
        for goes in GOES {
            let (mut hub, mut disk) = (Side::default(), Disk::default());
            for number in 0..1000 {
                assert_eq!(hub.session(&mut disk, goes), Ok(()), "session {number}");
            }
        }
        for life in 0..500 {
            let (mut hub, mut disk, mut seed) = (Side::default(), Disk::default(), life);
            for number in 0..100 {
                let goes = GOES[next(&mut seed) % GOES.len()];
                assert_eq!(hub.session(&mut disk, goes), Ok(()), "life {life}, session {number}");
            }
        }
    }

    /// Both boxes can write, and both their words arrive: then the second of the two to come for the second time is late.
    #[test]
    fn two_boxes_are_found_at_the_third_session_of_both_together() {
        for life in 0..500 {
            let (mut hub, mut disk, mut seed) = (Side::default(), Disk::default(), life);
            for _ in 0..=next(&mut seed) % 20 {
                let goes = GOES[next(&mut seed) % GOES.len()];
                hub.session(&mut disk, goes).unwrap();
            }
            hub.session(&mut disk, Goes::Well).unwrap();
            let mut copy = disk.clone();
            hub.session(&mut copy, Goes::Well).unwrap();
            assert!(hub.session(&mut disk, Goes::Well).is_err(), "life {life}");
        }
    }

    #[test]
    fn a_ticket_that_was_never_given_or_is_missing_is_a_fork() {
        let fresh = hash(9);
        let acked = Tickets { current: Some(hash(2)), previous: None, acked: true };
        let open = Tickets { current: Some(hash(2)), previous: Some(hash(1)), acked: false };
        assert!(present(None, Some(hash(1)), fresh).is_err());
        for (kept, shown) in [
            (acked, None),
            (acked, Some(hash(1))),
            (acked, Some(hash(3))),
            (open, None),
            (open, Some(hash(3))),
        ] {
            assert!(present(Some(kept), shown, fresh).is_err(), "{kept:?} {shown:?}");
        }
        let released = Tickets { current: None, previous: None, acked: false };
        for shown in [None, Some(hash(7))] {
            assert!(present(Some(released), shown, fresh).is_ok());
        }
    }

    #[test]
    fn only_a_ticket_is_a_ticket() {
        assert!(shown("AAECAwQFBgcICQoLDA0ODw").is_some());
        for text in ["", "AAEC", "not base64url!!!!!!!!", "AAECAwQFBgcICQoLDA0ODxA"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
