//! The address of a hub as people type it.

use crate::daemon::feature::HubAddress;
use crate::wire::label::printable;

/// Why a hub's address is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadUrl {
    #[error("`{0}` is not encrypted\nhint: use https://")]
    NotHttps(String),
    #[error("`{0}` is not the address of a hub\nhint: https://HOST or https://HOST:PORT")]
    Shape(String),
    #[error(
        "`{0}` is not a pin\nhint: sha256: and 64 hexadecimal digits, as `qcloud-hub init` printed it"
    )]
    Pin(String),
}

/// Reads `https://HOST[:PORT][/]`. Anything but https is refused, loopback included (promise S2).
pub(super) fn parse(text: &str, pin: Option<String>) -> Result<HubAddress, BadUrl> {
    let shown = || printable(text, 200);
    let rest = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some((_, rest)) if crate::sabotage::off("hub-https") => rest,
        Some(("http", _)) => return Err(BadUrl::NotHttps(shown())),
        Some(_) | None => return Err(BadUrl::Shape(shown())),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split(authority).ok_or_else(|| BadUrl::Shape(shown()))?;
    let pin =
        pin.map(|pin| pin.parse().map_err(|_| BadUrl::Pin(printable(&pin, 80)))).transpose()?;
    Ok(HubAddress { host, port, pin })
}

/// Host and port as they are understood.
pub fn fuzz(text: &str) -> Option<(String, u16)> {
    parse(text, None).ok().map(|hub| (hub.host, hub.port))
}

fn split(authority: &str) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']')?;
            inside.parse::<core::net::Ipv6Addr>().ok()?;
            let port = if after.is_empty() { "443" } else { after.strip_prefix(':')? };
            (inside, port)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            let fits = (1..=253).contains(&host.len()) && host.bytes().all(is_name);
            fits.then_some((host, port))?
        }
    };
    // `u16::from_str` takes a sign.
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|port| *port != 0 && digits)?;
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_named_by_https_addresses_only() {
        let of = |text: &str| parse(text, None).map(|hub| (hub.host, hub.port));
        assert_eq!(of("https://Hub.example.test"), Ok(("hub.example.test".into(), 443)));
        assert_eq!(of("https://127.0.0.1:8443/"), Ok(("127.0.0.1".into(), 8443)));
        assert_eq!(of("https://[::1]:8443"), Ok(("::1".into(), 8443)));
        assert_eq!(of("https://[::1]"), Ok(("::1".into(), 443)));
        assert!(matches!(of("http://127.0.0.1:8443"), Err(BadUrl::NotHttps(_))));
        for bad in [
            "hub",
            "ftp://hub",
            "https://",
            "https://a:0",
            "https://a:x",
            "https://a/b",
            "https://a:b:443",
            "https://a:+443",
            "https://[::1]a",
            "https://[::1]a:443",
            "https://::1",
            "https://u@a",
        ] {
            assert!(matches!(of(bad), Err(BadUrl::Shape(_))), "{bad}");
        }
        assert!(matches!(parse("https://a", Some("md5:1".into())), Err(BadUrl::Pin(_))));
    }
}
