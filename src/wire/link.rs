//! Link: the session of a device with its hub, and the visitors that come through it.
//!
//! One QUIC connection, mutually authenticated. Its first stream, opened by the device, is the control
//! stream: frames of [`ToHub`] and [`ToDevice`]. Each further stream is opened by the hub and carries
//! one visitor: a [`Visitor`] frame, one byte of verdict back, then the visitor's own TLS bytes.

use super::label::Label;
use super::receipt::{EXAMPLE_NONCE, FORGET_FIELDS};
use super::{ParcelBody, example_of};
use crate::card::{Caller, Carriage, Destination, Field, Parcel, Purpose, Retention};
use core::net::IpAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How long the hub keeps a line of its connection log (masked address, name, bytes, duration).
pub const LOG_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The longest the hub waits for the device to take a visitor, and the device for its local service.
pub const VISITOR_WAIT: Duration = Duration::from_secs(10);
/// The most visitors at once through one session.
pub const MAX_VISITORS: u32 = 2048;
/// The most services one device may publish.
pub const MAX_SERVICES: usize = 64;
/// Where visitors of every published service connect.
pub const PUBLIC_PORT: u16 = 443;
/// Closed by the hub because the device's identity is in quarantine: two boxes have used it.
pub const CLOSED_QUARANTINED: u32 = 3;
/// The `code` of a refusal for the same reason.
pub const QUARANTINED: &str = "quarantined";
/// First byte of the TCP connection that lets a device notice a dead hub at once; never 0x16, which begins TLS.
pub const TRIPWIRE_MAGIC: u8 = b'Q';
/// The hub closes a session with this application error code when the device's certificate is over: it renews, and
/// dials again.
pub const CLOSED_CERTIFICATE_EXPIRED: u32 = 4;

/// The code a session is closed with because the hub does not know the device's key.
pub const UNKNOWN_DEVICE: u32 = 1;

/// The session itself, with all that visitors send and get through it.
pub static SESSION: Parcel = Parcel {
    id: "link.session",
    what: "one standing connection to the hub, through which visitors of published services are carried unread",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Session,
    fields: &[
        Field {
            path: "version",
            why: "which frames this device understands",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "ticket",
            why: "shows a copy of this device's disk: the hub's random word of the last session, of which it keeps a hash until this device is unregistered",
            identifies: true,
            optional: false,
            secret: false,
        },
    ],
    retention: Retention::For(LOG_KEPT),
    example: example_of::<Hello>,
};

/// Says at which names, ports and in which scheme visitors find what is published (promise M1).
pub static SERVICES: Parcel = Parcel {
    id: "link.services",
    what: "the list of published services, sent when it changes: the names and ports visitors use, never where the services listen on this box",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/link/services", caller: Caller::Device },
    fields: &[
        Field {
            path: "services.name",
            why: "tells the services apart where they are listed",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "services.host",
            why: "the name that visitors type",
            identifies: true,
            optional: false,
            secret: false,
        },
        Field {
            path: "services.port",
            why: "the port that visitors connect to",
            identifies: false,
            optional: false,
            secret: false,
        },
        Field {
            path: "services.scheme",
            why: "how the visitor's program must speak",
            identifies: false,
            optional: false,
            secret: false,
        },
    ],
    retention: Retention::UntilDisabled,
    example: example_of::<Services>,
};

/// Erases what the hub keeps of the services and logged of visitors of this device.
pub static FORGET: Parcel = Parcel {
    id: "link.forget",
    what: "the demand to close the session and erase the published services and the connection log of this device",
    purpose: Purpose::Service,
    to: Destination::Hub,
    how: Carriage::Https { path: "/v1/link/forget", caller: Caller::Device },
    fields: FORGET_FIELDS,
    retention: Retention::Nothing,
    example: example_of::<Forget>,
};

/// A visitor's bytes on their last step, from the agent to the published service on this box.
pub static ORIGIN: Parcel = Parcel {
    id: "link.origin",
    what: "visitors' requests, handed to the service the owner published; they stay on this box or its network",
    purpose: Purpose::Service,
    to: Destination::OwnService,
    how: Carriage::Local,
    fields: &[Field {
        path: "service",
        why: "which published service is meant",
        identifies: false,
        optional: false,
        secret: false,
    }],
    retention: Retention::Nothing,
    example: example_of::<Origin>,
};

/// First frame of the control stream, and the declared body of [`SESSION`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Version of these frames: 1.
    pub version: u16,
    /// The ticket this device holds, base64url of 16 bytes: from the welcome of its last session. A device without
    /// one, in its first session, does not have the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

impl Hello {
    /// The hello of version 1, with the ticket this device holds.
    pub const fn new(ticket: Option<String>) -> Self {
        Self { version: 1, ticket }
    }
}

impl ParcelBody for Hello {
    const PARCEL: &'static Parcel = &SESSION;
    fn example() -> Self {
        Self::new(Some("AAECAwQFBgcICQoLDA0ODw".into()))
    }
}

/// Frames of the control stream from the device.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToHub {
    /// The first one.
    Hello(Hello),
    /// What became of the welcome's ticket.
    Ticket {
        /// It is on this device's disk. If not, the device goes on with the one it showed.
        stored: bool,
    },
    /// "Are you there?"
    Heartbeat {
        /// Comes back in the answer.
        number: u64,
    },
}

/// Frames of the control stream from the hub.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToDevice {
    /// The session stands.
    Welcome {
        /// Counts this device's sessions; the newest wins.
        epoch: u64,
        /// The address the hub sees the device at.
        observed: IpAddr,
        /// Opens the tripwire connection, base64url of 16 bytes.
        tripwire: String,
        /// To be shown at the next session, base64url of 16 bytes.
        ticket: String,
    },
    /// "Yes."
    Heartbeat {
        /// From the question.
        number: u64,
        /// The address the hub sees the device at.
        observed: IpAddr,
    },
    /// The hub closes the session, and says why.
    Goodbye {
        /// For a person.
        reason: String,
    },
}

/// What stands before a visitor's bytes. Its `type` tells it from the other kinds of streams to come.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename = "visitor")]
pub struct Visitor {
    /// The name the visitor asked for, from the TLS hello.
    pub host: String,
    /// Where the visitor comes from, for the device's own session log; the hub keeps it masked only.
    pub from: IpAddr,
}

/// The byte a device answers a [`Visitor`] with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service is published: bytes follow.
    Welcome,
    /// It is not, or it does not answer.
    Refused,
}

impl Verdict {
    /// On the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Welcome => 1,
            Self::Refused => 0,
        }
    }

    /// From the wire; anything unknown is a refusal.
    pub const fn from_byte(byte: u8) -> Self {
        if byte == 1 { Self::Welcome } else { Self::Refused }
    }
}

/// Declared body of [`ORIGIN`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The name it is published under.
    pub service: String,
}

impl ParcelBody for Origin {
    const PARCEL: &'static Parcel = &ORIGIN;
    fn example() -> Self {
        Self { service: "web".into() }
    }
}

/// Body of [`SERVICES`]: all that is published, and nothing of what was before. Without services it is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Each service, by name; at most [`MAX_SERVICES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
}

/// One published service, as visitors reach it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name it is published under.
    pub name: Label,
    /// The name visitors use: the device's link name, or one below it.
    pub host: String,
    /// The port visitors use.
    pub port: u16,
    /// How they speak there.
    pub scheme: Scheme,
}

/// How visitors speak to a service.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HTTP in TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
        }
    }
}

impl ParcelBody for Services {
    const PARCEL: &'static Parcel = &SERVICES;
    fn example() -> Self {
        let host = "box.link.example.test".to_owned();
        let of =
            |name| Service { name, host: host.clone(), port: PUBLIC_PORT, scheme: Scheme::Https };
        // The word is a label, so that there always is one.
        Self { services: Label::parse("web").map(of).into_iter().collect() }
    }
}

/// Body of [`FORGET`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Comes back in the receipt.
    pub nonce: String,
}

impl ParcelBody for Forget {
    const PARCEL: &'static Parcel = &FORGET;
    fn example() -> Self {
        Self { nonce: EXAMPLE_NONCE.into() }
    }
}
