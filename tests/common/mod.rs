//! The programs as processes, in networks of their own: what the promise tests and the life tests stand on.
//!
//! Everything here is real: `qcloud-hub` and `qcloud-agent` are child processes, the networks are
//! namespaces of the kernel, the visitors are `curl`, `dig` and `openssl`. Every wait has a deadline, and
//! a test that fails prints what its processes logged. Needs root, iproute2, nftables, tcpdump, curl,
//! dig and openssl; a test that misses one fails and names it.
#![allow(dead_code, reason = "each test program uses its part of this")]

pub mod agent;
pub mod fake;
pub mod hub;
pub mod impostor;
pub mod net;
pub mod page;
pub mod process;
pub mod scratch;
pub mod visitor;
pub mod watch;

use agent::Agent;
use hub::Hub;
use net::{Line, Net};
use scratch::Scratch;

/// A hub, a device's line and a visitor, with nothing on the device yet. Parts end in the order they stand.
pub struct World {
    /// The hub, which serves.
    pub hub: Hub,
    /// The four namespaces.
    pub net: Net,
    /// A directory that goes with the test.
    pub scratch: Scratch,
}

impl World {
    /// A hub that serves, and a device's line of this kind.
    pub fn new(line: Line) -> Self {
        Self::with_hub(line, &[])
    }

    /// The same, with more arguments to `qcloud-hub init`.
    pub fn with_hub(line: Line, init: &[&str]) -> Self {
        let scratch = Scratch::new();
        let net = Net::new(line);
        let hub = Hub::start(&net.hub, &scratch.path("hub"), init);
        Self { hub, net, scratch }
    }

    /// An agent on the device that does not run yet, with these sections in its configuration.
    pub fn agent(&self, sections: &str) -> Agent {
        Agent::new(&self.net.device, &self.scratch.path("agent"), None, sections)
    }

    /// Another one beside it that does not run yet, with a copy of its disk.
    pub fn copy_of(&self, agent: &Agent) -> Agent {
        let copy = Agent::new(&self.net.device, &self.scratch.path("copy"), None, "");
        let (from, to) = (agent.state_dir(), copy.state_dir());
        process::tool("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
        copy
    }

    /// An agent that runs and is registered under this name.
    pub fn member(&self, name: &str, sections: &str) -> Agent {
        let mut agent = self.agent(sections);
        agent.start();
        agent.register(&self.hub, name);
        agent
    }
}
