//! What is published, under which name.

use crate::egress::permit::Target;
use crate::wire::label::{Label, printable};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;

/// The service that answers at the device's bare link name.
const BARE: &str = "web";

/// A local service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service(Target);

/// Why a URL cannot be published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` cannot be published: {why}\nhint: http://127.0.0.1:8080")]
pub(super) struct BadService {
    url: String,
    why: &'static str,
}

impl Service {
    /// Reads `http://ADDRESS:PORT[/]`. The address must be a literal or `localhost`, so that no look-up is needed.
    pub(super) fn parse(url: &str) -> Result<Self, BadService> {
        let bad = |why| BadService { url: printable(url, 200), why };
        let rest =
            url.strip_prefix("http://").ok_or_else(|| bad("it does not begin with http://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                // `u16::from_str` takes a sign.
                let digits = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
                let number = digits.and_then(|digits| digits.parse().ok());
                (host, number.ok_or_else(|| bad("the port is not a number up to 65535"))?)
            }
            Some(_) | None => (authority, 80),
        };
        let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = match v6 {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<Ipv4Addr>().is_ok(),
        };
        if host != "localhost" && !is_address {
            return Err(bad(
                "the host is neither localhost nor an address; a path cannot be published",
            ));
        }
        let host = v6.unwrap_or(host);
        if port == 0 {
            return Err(bad("the port is 0"));
        }
        Ok(Self(Target { host: host.into(), port }))
    }

    pub(super) fn target(&self) -> Target {
        self.0.clone()
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.0.host == "localhost" || self.0.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl core::fmt::Display for Service {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// The URL as it is understood.
pub fn fuzz(url: &str) -> Option<String> {
    Service::parse(url).ok().map(|service| service.to_string())
}

/// All that is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Services(BTreeMap<Label, Service>);

impl Services {
    pub(super) fn parse(texts: &BTreeMap<Label, String>) -> Result<Self, BadService> {
        let each = texts.iter().map(|(name, url)| Ok((name.clone(), Service::parse(url)?)));
        each.collect::<Result<_, _>>().map(Self)
    }

    /// These and those; those win.
    pub(super) fn with(&self, those: &Self) -> Self {
        Self(self.0.iter().chain(&those.0).map(|(n, s)| (n.clone(), s.clone())).collect())
    }

    /// The service a visitor means by a host name: `NAME.link.ZONE` is `web`, `S.NAME.link.ZONE` is `S`.
    pub(super) fn meant_by(&self, host: &str, link_host: &str) -> Option<(Label, Service)> {
        let host = host.to_ascii_lowercase();
        let name = if host == link_host {
            BARE
        } else {
            host.strip_suffix(link_host)?.strip_suffix('.')?
        };
        let name = Label::parse(name).ok()?;
        let service = self.get(&name)?.clone();
        Some((name, service))
    }

    pub(super) fn get(&self, name: &Label) -> Option<&Service> {
        let any = || self.0.values().next().filter(|_| crate::sabotage::off("link-published"));
        self.0.get(name).or_else(any)
    }

    pub(super) fn insert(&mut self, name: Label, service: Service) {
        self.0.insert(name, service);
    }

    pub(super) fn remove(&mut self, name: &Label) -> bool {
        self.0.remove(name).is_some()
    }

    pub(super) fn contains(&self, name: &Label) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> String {
        self.0.keys().map(Label::as_str).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn to_texts(&self) -> BTreeMap<Label, String> {
        self.0.iter().map(|(name, service)| (name.clone(), service.to_string())).collect()
    }
}

/// The host name a service answers at.
pub(super) fn host_of(name: &Label, link_host: &str) -> String {
    if name.as_str() == BARE { link_host.into() } else { format!("{name}.{link_host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_plain_http_at_an_address() {
        let of = |url: &str| Service::parse(url).map(|s| s.to_string());
        assert_eq!(of("http://127.0.0.1:8080/"), Ok("http://127.0.0.1:8080".into()));
        assert_eq!(of("http://localhost"), Ok("http://localhost:80".into()));
        assert_eq!(of("http://[::1]:81"), Ok("http://[::1]:81".into()));
        for bad in [
            "https://127.0.0.1",
            "http://nas.local",
            "http://127.0.0.1/admin",
            "http://127.0.0.1:0",
            "http://127.0.0.1:+80",
            "http://::1:80",
            "http://[127.0.0.1]:80",
            "http://[[::1]]:80",
            "x",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_visitor_reaches_only_the_service_of_the_name() {
        let texts = [("web", "http://127.0.0.1:1"), ("files", "http://127.0.0.1:2")];
        let texts = texts.map(|(n, u)| (Label::parse(n).expect("a label"), u.to_string()));
        let services = Services::parse(&texts.into()).expect("services");
        let meant = |host: &str| {
            services.meant_by(host, "box.link.example.test").map(|(_, s)| s.to_string())
        };
        assert_eq!(meant("box.link.example.test"), Some("http://127.0.0.1:1".into()));
        assert_eq!(meant("Web.BOX.link.example.test"), Some("http://127.0.0.1:1".into()));
        assert_eq!(meant("files.box.link.example.test"), Some("http://127.0.0.1:2".into()));
        for other in [
            "mail.box.link.example.test",
            "xbox.link.example.test",
            "a.web.box.link.example.test",
            "",
        ] {
            assert_eq!(meant(other), None, "{other}");
        }
    }
}
