//! The real world: the carriers, told which hub there is and whom to show ourselves as.

use super::config::AgentConfig;
use super::feature::HubAddress;
use crate::card::Warning;
use crate::clock::Clock;
use crate::egress::carriers::{Carriers, Settings};
use crate::egress::outside::Outside;
use crate::egress::quic::Memory;
use crate::egress::resolver::{Resolver, servers_of};
use crate::identity::Identity;
use crate::platform::facts;
use crate::platform::netlink::Addresses;
use crate::platform::root::Root;
use crate::wire::registration::Membership;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// `/etc/resolv.conf` is a few lines; more than this is not one.
const RESOLV_CONF_MOST: u64 = 64 * 1024;

/// Raised while the hub's certificate begins later than this device's clock says it is.
pub static CLOCK: Warning = Warning {
    code: "daemon-clock",
    title: "Set this device's clock: by it the hub's certificate is not valid yet",
    hint: "qcloud-agent status",
};

/// The carriers and what they need to know.
pub struct World {
    carriers: Arc<Carriers>,
    identity: Arc<Identity>,
    own: Arc<RwLock<Addresses>>,
    root: Root,
    config: Mutex<AgentConfig>,
}

impl World {
    /// With the name servers of the configuration, or those of the box.
    pub fn new(config: &AgentConfig, root: &Root, clock: &Clock, identity: Arc<Identity>) -> Self {
        let servers = servers(config, root);
        let resolver = Resolver::new(servers, hosts(config), clock.clone());
        // A box that does not tell how much memory it has gets the small windows.
        let available = facts::Live::read(root).map_or(0, |live| live.available_bytes);
        let settings = Settings::new(Memory::for_available(available));
        let own: Arc<RwLock<Addresses>> = Arc::default();
        let known = Arc::clone(&own);
        let is_own =
            Arc::new(move |ip| known.read().unwrap_or_else(PoisonError::into_inner).contains(ip));
        let tickets = identity.tickets();
        let carriers = Carriers::new(resolver, settings, tickets, is_own, clock.clone());
        let carriers = Arc::new(carriers);
        Self { carriers, identity, own, root: root.clone(), config: Mutex::new(config.clone()) }
    }

    /// For dialling.
    pub fn outside(&self) -> Arc<dyn Outside> {
        Arc::<Carriers>::clone(&self.carriers)
    }

    /// Shows ourselves to this hub from here on.
    pub fn set_hub(&self, hub: Option<&HubAddress>, membership: Option<&Membership>) {
        if membership.is_none() {
            self.identity.leave_hub();
        }
        let tls = hub.and_then(|hub| match self.identity.hub_tls(hub.pin.as_ref(), membership) {
            Ok(tls) => Some(tls),
            Err(error) => {
                tracing::error!(%error, "this device cannot show itself to its hub");
                None
            }
        });
        self.carriers.set_hub(tls);
    }

    /// Takes a configuration that was read again.
    pub fn set_config(&self, config: &AgentConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config.clone();
        self.carriers.set_hosts(hosts(config));
        self.carriers.set_servers(servers(config, &self.root));
    }

    /// The box has other addresses now, and perhaps other name servers; the session must show that it lived
    /// through that.
    pub fn set_addresses(&self, addresses: &Addresses) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = addresses.clone();
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.carriers.set_servers(servers(&config, &self.root));
        self.probe();
    }

    /// The name servers that are asked.
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        servers(&config, &self.root)
    }

    /// The names that need no name server.
    pub fn known_hosts(&self) -> Vec<String> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.hosts.keys().cloned().collect()
    }

    /// Whether an address is one of this box.
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.own.read().unwrap_or_else(PoisonError::into_inner).contains(ip)
    }

    /// Why the hub is not met as long as this device's clock says what it says.
    pub fn clock_trouble(&self) -> Option<String> {
        self.carriers.clock_trouble()
    }

    /// Asks the session for a sign of life: the box was suspended.
    pub fn probe(&self) {
        self.carriers.probe();
    }

    /// Lets connections close in order, for at most this long.
    pub async fn goodbye(&self, at_most: Duration) {
        // What does not close in time is closed by the end of the process.
        let _ = tokio::time::timeout(at_most, self.carriers.goodbye()).await;
    }
}

fn hosts(config: &AgentConfig) -> Vec<(String, IpAddr)> {
    config.hosts.iter().map(|(host, ip)| (host.clone(), *ip)).collect()
}

/// The name servers of the configuration, or those the box has now.
fn servers(config: &AgentConfig, root: &Root) -> Vec<SocketAddr> {
    if !config.resolvers.is_empty() {
        return config.resolvers.clone();
    }
    let text = root.read_text("/etc/resolv.conf", RESOLV_CONF_MOST).unwrap_or_default();
    servers_of(&text)
}
