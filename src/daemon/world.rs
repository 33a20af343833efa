//! The real world: the carriers, told which hub there is and whom to show ourselves as.

use super::config::AgentConfig;
use super::feature::HubAddress;
use crate::clock::Clock;
use crate::egress::carriers::Carriers;
use crate::egress::outside::Outside;
use crate::egress::resolver::{Resolver, servers_of};
use crate::identity::Identity;
use crate::platform::root::Root;
use crate::wire::registration::Membership;
use core::time::Duration;
use std::sync::Arc;

/// `/etc/resolv.conf` is a few lines; more than this is not one.
const RESOLV_CONF_MOST: u64 = 64 * 1024;

/// The carriers and what they need to know.
pub struct World {
    carriers: Arc<Carriers>,
    identity: Arc<Identity>,
}

impl World {
    /// With the name servers of the configuration, or those of the box.
    pub fn new(config: &AgentConfig, root: &Root, clock: &Clock, identity: Arc<Identity>) -> Self {
        let servers = if config.resolvers.is_empty() {
            let text = root.read_text("/etc/resolv.conf", RESOLV_CONF_MOST).unwrap_or_default();
            servers_of(&text)
        } else {
            config.resolvers.clone()
        };
        let hosts = config.hosts.iter().map(|(host, ip)| (host.clone(), *ip)).collect();
        let resolver = Resolver::new(servers, hosts, clock.clone());
        Self { carriers: Arc::new(Carriers::new(resolver, clock.clone())), identity }
    }

    /// For dialling.
    pub fn outside(&self) -> Arc<dyn Outside> {
        Arc::clone(&self.carriers) as Arc<dyn Outside>
    }

    /// Shows ourselves to this hub from here on.
    pub fn set_hub(&self, hub: Option<&HubAddress>, membership: Option<&Membership>) {
        let tls = hub.and_then(|hub| match self.identity.hub_tls(hub.pin.as_ref(), membership) {
            Ok(tls) => Some(tls),
            Err(error) => {
                tracing::error!(%error, "this device cannot show itself to its hub");
                None
            }
        });
        self.carriers.set_hub(tls);
    }

    /// Asks the session for a sign of life: the network changed, or the box was suspended.
    pub fn probe(&self) {
        self.carriers.probe();
    }

    /// Lets connections close in order, for at most this long.
    pub async fn goodbye(&self, at_most: Duration) {
        // What does not close in time is closed by the end of the process.
        let _ = tokio::time::timeout(at_most, self.carriers.goodbye()).await;
    }
}
