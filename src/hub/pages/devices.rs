//! What is a person's own: devices.

use super::visit::{Visit, to_sign_in};
use super::{Shared, broken, layout};
use crate::hub::store::{Addresses, Device, StoreError};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

/// What was done, for the page that is shown next: a code, and what is said.
const DONE: [(&str, &str); 1] = [(
    "added",
    "The device was let in. It is on this page as soon as it has heard so, in a few seconds.",
)];

#[derive(Deserialize)]
pub(super) struct Back {
    done: Option<String>,
}

/// A device as its owner sees it.
struct Shown {
    device: Device,
    online: bool,
    addresses: Option<Addresses>,
}

/// `GET /`.
pub(super) async fn show(State(pages): Shared, visit: Visit, Query(back): Query<Back>) -> Response {
    let Some(person) = &visit.person else { return to_sign_in("/") };
    let hub = &pages.hub;
    let all = async {
        let mut shown = Vec::new();
        for device in hub.store.devices_of(person.account).await? {
            let online = hub.presence.find(device.name.as_str()).is_some();
            let addresses = hub.store.addresses(device.id.clone()).await?;
            shown.push(Shown { device, online, addresses });
        }
        Ok::<_, StoreError>(shown)
    };
    let shown = match all.await {
        Ok(shown) => shown,
        Err(error) => return broken(&error),
    };
    let done = DONE.iter().find(|(code, _)| Some(*code) == back.done.as_deref());
    let body = html! {
        h1 { "Devices" }
        @if let Some((_, text)) = done {
            p.done role="status" { (text) }
        } @else if shown.is_empty() {
            section.card {
                h2 { "No device is yours yet" }
                p { "Type this on one:" }
                pre { code { "qcloud-agent register --hub https://" (hub.config.host) } }
                p { "It shows a code, and four words that only it and this hub know." }
                div.actions { a.button.main href="/approve" { "It showed a code" } }
            }
        }
        @for one in &shown { (card(one, &hub.config.zone)) }
    };
    let top = layout::top(&visit, &visit.mark(&pages), "/");
    layout::page("Devices", top, body).into_response()
}

fn card(shown: &Shown, zone: &str) -> Markup {
    let name = &shown.device.name;
    let ddns = shown.addresses.map(|all| {
        let each = [all.a.map(|ip| ip.to_string()), all.aaaa.map(|ip| ip.to_string())];
        each.into_iter().flatten().collect::<Vec<_>>().join(", ")
    });
    html! {
        section.card {
            h2 { (name) }
            @if shown.online {
                p.state.on { "● connected" }
            } @else {
                p.state { "○ no session" }
            }
            dl {
                dt { "Name in DNS" }
                dd {
                    @match &ddns {
                        Some(addresses) if !addresses.is_empty() => {
                            code { (name) "." (zone) } " → " code { (addresses) }
                        }
                        Some(_) => "no address just now",
                        None => "DDNS is off: nothing is kept",
                    }
                }
                @if shown.online {
                    dt { "Through the relay" }
                    dd { a rel="noreferrer" href={ "https://" (name) ".link." (zone) "/" } { (name) ".link." (zone) } }
                }
                dt { "Registered" }
                dd { (layout::moment(shown.device.made_at)) }
                dt { "Device id" }
                dd { code { (shown.device.id) } }
            }
        }
    }
}
