//! The catalogue: everything that can ever leave, read from the cards.

use crate::card::{Caller, Card, Carriage, Destination, HTTP_HEADERS, Parcel, Retention};
use crate::wire::lookup::LOOKUP;
use serde_json::{Value, json};

/// All parcels of these cards and of the house itself, in their order.
pub fn parcels(cards: &[&'static Card]) -> Vec<&'static Parcel> {
    cards.iter().flat_map(|card| card.all_parcels()).chain([&LOOKUP]).collect()
}

/// One parcel as `egress catalog --json` shows it.
pub fn describe(parcel: &Parcel) -> Value {
    json!({
        "id": parcel.id,
        "what": parcel.what,
        "purpose": parcel.purpose,
        "consent": parcel.purpose.needs_consent(),
        "to": parcel.to,
        "how": parcel.how,
        "fields": parcel.fields,
        "kept": kept(parcel.retention),
    })
}

/// Whom a parcel goes to, in words.
pub const fn recipient(to: Destination) -> &'static str {
    match to {
        Destination::Hub => "your hub",
        Destination::Resolver => "this device's name servers",
        Destination::OwnService => "your own service",
    }
}

/// How long the other side keeps it, in words.
pub fn kept(retention: Retention) -> String {
    match retention {
        Retention::Nothing => "not kept".into(),
        Retention::UntilDisabled => "until switched off".into(),
        Retention::UntilUnregistered => "until unregistered".into(),
        Retention::For(time) if time.as_secs() < 2 * 86_400 => {
            format!("at most {} minutes", time.as_secs() / 60)
        }
        Retention::For(time) => format!("at most {} days", time.as_secs() / 86_400),
    }
}

/// What a parcel puts on the wire for a given body: the request as it is sent, or what the carrier shows.
pub fn preview(parcel: &Parcel, host: &str, body: &Value) -> String {
    let text = body.to_string();
    match parcel.how {
        Carriage::Https { path, caller } => {
            let shown = match caller {
                Caller::Anonymous => "without a client certificate",
                Caller::Applicant => "without a client certificate; the key is in the body",
                Caller::Device => "with the device's client certificate",
            };
            let headers: Vec<String> = HTTP_HEADERS
                .iter()
                .map(|name| match *name {
                    "host" => format!("host: {host}"),
                    "content-length" => format!("content-length: {}", text.len()),
                    "content-type" => "content-type: application/json".into(),
                    other => format!("{other}: */*"),
                })
                .collect();
            format!(
                "TLS to {host}, {shown}\n\nPOST {path} HTTP/1.1\n{}\n\n{text}",
                headers.join("\n")
            )
        }
        Carriage::Session => format!(
            "QUIC to {host}, TLS with server name and the device's client certificate, ALPN qcloud/1\n\nfirst frame: {text}\nthen heartbeats, and the bytes of visitors of published services"
        ),
        Carriage::Lookup => format!("DNS over UDP to {host}\n\nA and AAAA of {text}"),
        Carriage::Local => format!("TCP to {host}, the visitor's own request\n\n{text}"),
    }
}
