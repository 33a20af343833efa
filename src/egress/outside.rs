//! What the carriers look like from inside: the world takes permits and passages, and gives replies and flows.
//!
//! The daemon has the real one (`egress::carriers`), tests have a simulated one; a feature cannot tell.

use super::gate::Refused;
use super::permit::{Passage, Permit};
use crate::identity::trust::Distrust;
use crate::wire::link::{QUARANTINED, Visitor};
use crate::wire::registration::CERTIFICATE_EXPIRED;
use core::net::IpAddr;
use core::pin::Pin;
use core::time::Duration;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Between two tries of a device that was set aside, and whose owner may take a day to see it.
const QUARANTINE_RETRY: Duration = Duration::from_secs(60);

/// A future that owns what it needs.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The status by which the hub says that it does not know the device's key.
pub const UNKNOWN: u16 = 401;
/// How long a feature waits before it asks a hub that does not know this device: an owner registers it again, and
/// nothing else but a hub's recovery from a backup changes that.
pub const UNKNOWN_WAIT: Duration = Duration::from_secs(3600);

/// The world outside, as the gate's permits reach it.
pub trait Outside: Send + Sync + 'static {
    /// Carries one message there and its answer back. Always ends: every carrier has its deadline.
    fn carry(&self, permit: Permit) -> Pending<Result<Reply, SendError>>;

    /// Joins the session to the hub, dialling it when nobody has. Dropping the [`Session`] leaves it, and
    /// the last to leave closes it. `heartbeat` is the time between two signs of life while nothing flows.
    fn session(&self, passage: Passage, heartbeat: Duration)
    -> Pending<Result<Session, SendError>>;

    /// Connects to a service of this box or its network.
    fn local(&self, passage: Passage) -> Pending<Result<Flow, SendError>>;
}

/// An answer of the hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON body; null when empty.
    pub body: Value,
    /// Retry-After, in either of its forms, as a wait from now.
    pub retry_after: Option<Duration>,
}

impl Reply {
    /// Whether the hub turned this away only because the device's certificate is over.
    pub fn is_certificate_expired(&self) -> bool {
        let code = self.body.get("code").and_then(Value::as_str);
        self.status == 401 && code == Some(CERTIFICATE_EXPIRED)
    }

    /// Reads the body of a success.
    ///
    /// # Errors
    /// [`SendError::CertificateExpired`] when that is the only reason,
    /// [`SendError::Declined`] and [`SendError::Quarantined`] with the hub's own words for any other status, and
    /// [`SendError::NotUnderstood`] for a body that is not a `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, SendError> {
        if self.is_certificate_expired() {
            return Err(SendError::CertificateExpired);
        }
        if !(200..300).contains(&self.status) {
            let words = self.body.get("error").and_then(Value::as_str).unwrap_or("no reason given");
            let reason = crate::wire::label::printable(words, 200);
            if self.body.get("code").and_then(Value::as_str) == Some(QUARANTINED) {
                return Err(SendError::Quarantined { reason });
            }
            return Err(SendError::Declined {
                status: self.status,
                reason,
                retry_after: self.retry_after,
            });
        }
        serde_json::from_value(self.body).map_err(|e| {
            SendError::NotUnderstood(crate::wire::label::printable(&e.to_string(), 200))
        })
    }
}

/// Why something did not get there, or its answer not back.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SendError {
    /// The gate said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name of the host has no address, or no name server answers.
    #[error("no address for {host}: {why}")]
    NoAddress {
        /// The host.
        host: String,
        /// The resolver's reason.
        why: String,
    },
    /// No connection.
    #[error("cannot reach {to}: {why}")]
    Unreachable {
        /// Host and port.
        to: String,
        /// The reason of the system or of the peer.
        why: String,
    },
    /// The peer is not whom the pin or the certificate authorities say, or the clocks disagree.
    #[error("{to} is not trusted: {why}")]
    NotTrusted {
        /// Host and port.
        to: String,
        /// The reason of the verifier.
        why: String,
    },
    /// Too slow.
    #[error("{to} did not answer in {seconds} s")]
    TimedOut {
        /// Host and port.
        to: String,
        /// The deadline.
        seconds: u64,
    },
    /// The hub understood and said no.
    #[error("the hub declined ({status}): {reason}")]
    Declined {
        /// HTTP status.
        status: u16,
        /// Its words, made printable.
        reason: String,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The hub says that this device's certificate is over. It is renewed, and then the same passes.
    #[error("this device's certificate is over, and is being renewed")]
    CertificateExpired,
    /// The hub sees two boxes with this device's identity, and serves neither until a person decides.
    #[error("the hub has set this device aside: {reason}")]
    Quarantined {
        /// Its words, made printable.
        reason: String,
    },
    /// This device's key is not to be had, or not to be kept.
    #[error("the identity of this device cannot be used: {0}")]
    NoIdentity(String),
    /// The hub's answer makes no sense.
    #[error("the hub's answer is not understood: {0}")]
    NotUnderstood(String),
    /// The gate took the passage back.
    #[error("it was switched off meanwhile")]
    Revoked,
}

impl SendError {
    /// Whether the hub itself said no for good, so that asking again the same way is pointless.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Declined { status, .. } => {
                matches!(*status, 400..=499) && !matches!(*status, 408 | 425 | 429)
            }
            Self::Refused(Refused::OverBudget { .. }) => false,
            Self::Refused(_) | Self::Revoked => true,
            // Its owner decides on a quarantine: nothing tells this device when.
            Self::CertificateExpired
            | Self::Quarantined { .. }
            | Self::NoIdentity(_)
            | Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::NotTrusted { .. }
            | Self::TimedOut { .. }
            | Self::NotUnderstood(_) => false,
        }
    }

    /// Whether this device's clock is to blame: the hub's certificate begins later than now.
    pub fn is_clock(&self) -> bool {
        matches!(self, Self::NotTrusted { why, .. } if Distrust::is_clock(why))
    }

    /// What went wrong, and on a line of its own a hint of what can be done about it.
    pub fn explained(&self) -> String {
        let hint = match self {
            Self::NotTrusted { why, .. } => Distrust::hint(why),
            Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::NoIdentity(_) => "qcloud-agent doctor",
            Self::Declined { .. } | Self::CertificateExpired => "qcloud-agent status",
            Self::Quarantined { .. } => "qcloud-agent register --fork",
            Self::NotUnderstood(_) => "nothing was changed; ask the hub's operator",
            Self::Refused(_) | Self::Revoked => "qcloud-agent privacy status",
        };
        format!("{self}\nhint: {hint}")
    }

    /// Whether the hub does not know this device's key: it was revoked, or never registered there.
    pub const fn is_unknown_device(&self) -> bool {
        matches!(self, Self::Declined { status: UNKNOWN, .. })
    }

    /// How long the other side asked us to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Declined { retry_after, .. } => *retry_after,
            Self::Refused(Refused::OverBudget { wait, .. }) => Some(*wait),
            Self::Quarantined { .. } => Some(QUARANTINE_RETRY),
            Self::Refused(_)
            | Self::Revoked
            | Self::CertificateExpired
            | Self::NoIdentity(_)
            | Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::NotTrusted { .. }
            | Self::TimedOut { .. }
            | Self::NotUnderstood(_) => None,
        }
    }
}

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A flow that a carrier opened, metered by its passage.
pub type Flow = Box<dyn Duplex>;

/// One share of the session to the hub.
pub struct Session {
    /// What happens on it. Closed without [`SessionEvent::Down`] only when this end lets go.
    pub events: mpsc::Receiver<SessionEvent>,
    /// Dropped with the session, which leaves it.
    pub hold: Box<dyn Send>,
}

/// Something that happens on the session.
pub enum SessionEvent {
    /// The hub welcomed us.
    Up {
        /// Counts this device's sessions.
        epoch: u64,
        /// The address it sees us at.
        observed: IpAddr,
    },
    /// It sees us at another address.
    Observed(IpAddr),
    /// A visitor asks in. The first byte written to the flow is the verdict.
    Visitor(Visitor, Flow),
    /// It is over.
    Down(SendError),
}
