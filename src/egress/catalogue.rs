//! The catalogue: everything that can ever leave, read from the cards.

use super::quic;
use crate::card::{Caller, Card, Carriage, Destination, HTTP_HEADERS, Parcel, Retention};
use crate::wire::link::ToHub;
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

/// The HTTP request of a parcel as it stands inside TLS, to the byte; nothing for those carried otherwise. `authority` is
/// the hub as in a URL: without the port when that is 443.
pub fn request(parcel: &Parcel, authority: &str, body: &Value) -> Option<String> {
    let Carriage::Https { path, .. } = parcel.how else { return None };
    let text = body.to_string();
    let mut head = format!("POST {path} HTTP/1.1\r\n");
    for name in HTTP_HEADERS {
        let value = match *name {
            "content-type" => "application/json",
            "host" => authority,
            "content-length" => &text.len().to_string(),
            _ => "*/*",
        };
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    Some(format!("{head}\r\n{text}"))
}

/// What a parcel puts on the wire for a given body: the request as it is sent, or what the carrier shows.
pub fn preview(parcel: &Parcel, authority: &str, body: &Value) -> String {
    let text = body.to_string();
    let host = host_of(authority);
    match parcel.how {
        Carriage::Https { caller, .. } => {
            let shown = match caller {
                Caller::Anonymous => "no client certificate",
                Caller::Applicant => "no client certificate; the key is in the body",
                Caller::Device => "the device's client certificate",
            };
            let request = request(parcel, authority, body).unwrap_or_default().replace('\r', "");
            format!("TLS to {authority}: server name {host}, ALPN http/1.1, {shown}\n\n{request}")
        }
        Carriage::Session => {
            let parameters: Vec<String> = quic::transport_parameters()
                .into_iter()
                .map(|(name, value)| format!("  {name} = {value}"))
                .collect();
            let alpn = String::from_utf8_lossy(crate::wire::SESSION_ALPN);
            let hello = serde_json::from_value(body.clone()).map(ToHub::Hello);
            let frame = hello.and_then(|hello| serde_json::to_string(&hello)).unwrap_or(text);
            format!(
                "QUIC to {authority}: server name {host}, ALPN {alpn}, the device's client certificate\n\
                 transport parameters, the same on every device with as much memory:\n{}\n\n\
                 first frame: {frame}\n\
                 then heartbeats, and the bytes of visitors of published services;\n\
                 and a plain TCP connection to the same place, with a token of the hub's own",
                parameters.join("\n")
            )
        }
        Carriage::Lookup => {
            let name = body.get("host").and_then(Value::as_str).unwrap_or(host);
            format!(
                "DNS over UDP to this device's name servers, over TCP when an answer is cut off:\n\
                 {name}. IN A\n{name}. IN AAAA\n\
                 each with a random id, recursion desired, no EDNS"
            )
        }
        Carriage::Local => {
            format!("TCP to a published service of this box, the visitor's own request\n\n{text}")
        }
    }
}

/// The host of an authority, without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    }
}
