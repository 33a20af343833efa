//! How a device is reached: what its owner sees, and whoever may find it.

use crate::clock::Wall;
use crate::hub::dns::zone::LINK;
use crate::hub::pages::layout;
use crate::hub::state::Hub;
use crate::hub::store::{Device, StoreError};
use crate::wire::link::{PUBLIC_PORT, Service};
use crate::wire::privacy::Restrictable;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use maud::{Markup, html};

/// A session that stands.
pub(in super::super) struct Live {
    /// Since when.
    pub(super) since: Wall,
    /// From where, as the hub sees it.
    pub(super) from: SocketAddr,
    /// A packet's way there and back.
    pub(super) round_trip: Duration,
}

/// What becomes of a device's name in DNS.
pub(in super::super) enum Ddns {
    /// Nothing is kept.
    Off,
    /// Kept and not used, at its owner's wish.
    Restricted,
    /// It answers with these.
    Answers(Vec<IpAddr>),
}

/// How a device is reached.
pub(in super::super) struct Reach {
    /// Its name.
    pub(super) name: String,
    pub(super) live: Option<Live>,
    pub(super) ddns: Ddns,
    pub(super) ddns_host: String,
    /// Its link may not be used, at its owner's wish.
    pub(super) link_restricted: bool,
    pub(super) link_host: String,
    pub(super) services: Vec<Service>,
    /// Two boxes have used its identity.
    pub(super) aside: bool,
}

impl Reach {
    /// Whether a session stands.
    pub(in super::super) fn online(&self) -> bool {
        self.live.is_some()
    }

    /// The features that are on, as the hub can tell.
    pub(in super::super) fn features(&self) -> String {
        let mut on = Vec::new();
        match &self.ddns {
            Ddns::Answers(_) => on.push("DDNS"),
            Ddns::Restricted => on.push("DDNS (restricted)"),
            Ddns::Off => {}
        }
        if self.link_restricted {
            on.push("link (restricted)");
        } else if self.online() || !self.services.is_empty() {
            on.push("link");
        }
        if on.is_empty() { "none that leaves anything here".into() } else { on.join(", ") }
    }
}

/// Gathers it. What its owner has restricted, and what is set aside, is not there for anybody.
pub(in super::super) async fn of(hub: &Hub, device: &Device) -> Result<Reach, StoreError> {
    let name = device.name.to_string();
    let zone = &hub.config.zone;
    let restricted = |feature| hub.restrictions.has(&device.id, feature);
    let aside = hub.store.is_quarantined(device.id.clone()).await?;
    let session = hub.presence.find(&name).filter(|session| session.device.id == device.id);
    let live = session.map(|session| Live {
        since: session.since,
        from: session.connection.remote_address(),
        round_trip: session.connection.rtt(),
    });
    let ddns = match hub.store.addresses(device.id.clone()).await? {
        None => Ddns::Off,
        Some(_) if restricted(Restrictable::Ddns) => Ddns::Restricted,
        Some(_) if aside => Ddns::Answers(Vec::new()),
        Some(all) => {
            let all = [all.a.map(IpAddr::V4), all.aaaa.map(IpAddr::V6)];
            Ddns::Answers(all.into_iter().flatten().collect())
        }
    };
    let link_restricted = restricted(Restrictable::Link);
    let services = match link_restricted || aside {
        true => Vec::new(),
        false => hub.store.services(device.id.clone()).await?,
    };
    let (ddns_host, link_host) = (format!("{name}.{zone}"), format!("{name}.{LINK}.{zone}"));
    Ok(Reach { name, live, ddns, ddns_host, link_restricted, link_host, services, aside })
}

/// Whether it is connected, how and since when.
pub(in super::super) fn state(reach: &Reach) -> Markup {
    html! {
        @match &reach.live {
            Some(live) => p.state.on { "● connected over QUIC since " (layout::moment(live.since)) },
            None if reach.aside => p.state.off { "■ set aside: two boxes used its identity" },
            None => p.state { "○ not connected" },
        }
    }
}

/// Its names, as rows of a list.
pub(in super::super) fn names(reach: &Reach) -> Markup {
    html! {
        dt { "Name in DNS" }
        dd {
            @match &reach.ddns {
                Ddns::Off => "DDNS is off: nothing is kept",
                Ddns::Restricted => "restricted at its owner's wish",
                Ddns::Answers(all) if all.is_empty() => { code { (reach.ddns_host) } " has no address just now" }
                Ddns::Answers(all) => {
                    code { (reach.ddns_host) } " → "
                    @for (at, address) in all.iter().enumerate() {
                        @if at > 0 { ", " }
                        code { (address) }
                    }
                }
            }
        }
        @if reach.link_restricted {
            dt { "Through the relay" }
            dd { "restricted at its owner's wish" }
        } @else if reach.online() {
            dt { "Through the relay" }
            dd { code { (reach.link_host) } }
        }
    }
}

/// Its services, as links.
pub(in super::super) fn list(reach: &Reach) -> Markup {
    html! {
        ul.services {
            @for service in &reach.services {
                @let url = url(service);
                li { strong { (service.name) } " " a rel="noreferrer" href=(url) { (url) } " " span.hint { "port " (service.port) } }
            }
        }
    }
}

fn url(service: &Service) -> String {
    let Service { host, port, scheme, .. } = service;
    let scheme = scheme.word();
    match *port {
        PUBLIC_PORT => format!("{scheme}://{host}/"),
        port => format!("{scheme}://{host}:{port}/"),
    }
}
