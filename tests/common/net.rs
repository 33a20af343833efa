//! Networks of the test's own: a hub, a router, a device's line and a visitor, each in a namespace.
//!
//! All addresses are of the documentation ranges (RFC 5737, RFC 3849) or private. Namespaces bear the
//! test's process id and go on drop, also when the test fails.

use super::process::tool;
use super::scratch::unique;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::process::Command;

/// The hub's address.
pub const HUB: &str = "198.51.100.1";
/// The hub's IPv6 address.
pub const HUB6: &str = "2001:db8:1::1";
/// The device's address on a direct line.
pub const DEVICE: &str = "203.0.113.10";
/// The device's address behind a router.
pub const INSIDE: &str = "192.168.77.2";
/// What the hub sees of a device behind a router.
pub const OUTSIDE: &str = "198.51.100.254";
/// The visitor's address.
pub const VISITOR: &str = "192.0.2.177";
/// The visitor's IPv6 address.
pub const VISITOR6: &str = "2001:db8:9:1::7b3d";

/// How the device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// With a public address of its own.
    Direct,
    /// With a private address, behind a router that masquerades.
    Nat,
    /// With a private address that the hub sees as it is.
    Private,
}

/// Where a program runs: a namespace.
#[derive(Clone, Debug)]
pub struct Place(String);

impl Place {
    /// A command that runs there. The guard that shall be off is passed on.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        for name in ["QCLOUD_SABOTAGE", "QCLOUD_PANIC"] {
            if let Ok(value) = std::env::var(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs a tool there that must succeed.
    pub fn tool(&self, program: &str, args: &[&str]) -> String {
        tool("ip", ["netns", "exec", &self.0, program].iter().chain(args))
    }

    /// Runs `ip` there with these words.
    pub fn ip(&self, words: &str) -> String {
        tool("ip", ["-n", &self.0].into_iter().chain(words.split_whitespace()))
    }

    /// Does something there, on a thread of its own; sockets that it opens stay there.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let path = format!("/run/netns/{}", self.0);
                let file = File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
                setns(file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| panic!("{path}: {e}"));
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// The four namespaces. Removed on drop.
pub struct Net {
    /// Where the hub is.
    pub hub: Place,
    /// Between all of them.
    pub router: Place,
    /// Where the agent is.
    pub device: Place,
    /// Where people ask from.
    pub visitor: Place,
}

impl Net {
    /// Makes them and joins them.
    pub fn new(line: Line) -> Self {
        needs_what_is_installed();
        let id = unique();
        let place = |role: &str| Place(format!("qc{id}{role}"));
        let net =
            Self { hub: place("h"), router: place("r"), device: place("d"), visitor: place("v") };
        for place in net.places() {
            tool("ip", ["netns", "add", &place.0]);
            place.ip("link set lo up");
            // Addresses are there at once, and do not change state while a test runs: a browser drops what it
            // was loading when they do.
            for of in ["all", "default"] {
                place.tool("sysctl", &["-q", "-w", &format!("net.ipv6.conf.{of}.accept_dad=0")]);
            }
        }
        for (place, port) in [(&net.hub, "h0"), (&net.device, "d0"), (&net.visitor, "v0")] {
            let to = &net.router.0;
            place.ip(&format!("link add eth0 type veth peer name {port} netns {to}"));
            place.ip("link set eth0 up");
            net.router.ip(&format!("link set {port} up"));
        }
        net.give_addresses(line);
        net.route(line);
        net.name_servers();
        net
    }

    fn places(&self) -> [&Place; 4] {
        [&self.hub, &self.router, &self.device, &self.visitor]
    }

    fn give_addresses(&self, line: Line) {
        let (device, gate) = match line {
            Line::Direct => (DEVICE, "203.0.113.254"),
            Line::Nat | Line::Private => (INSIDE, "192.168.77.1"),
        };
        let legs = [
            (&self.hub, "h0", format!("{HUB}/24"), OUTSIDE),
            (&self.device, "d0", format!("{device}/24"), gate),
            (&self.visitor, "v0", format!("{VISITOR}/24"), "192.0.2.254"),
        ];
        for (place, port, address, gate) in legs {
            place.ip(&format!("addr add {address} dev eth0"));
            self.router.ip(&format!("addr add {gate}/24 dev {port}"));
            place.ip(&format!("route add default via {gate}"));
        }
        let legs6 = [
            (&self.hub, "h0", format!("{HUB6}/64"), "2001:db8:1::fe"),
            (&self.visitor, "v0", format!("{VISITOR6}/64"), "2001:db8:9:1::fe"),
        ];
        for (place, port, address, gate) in legs6 {
            place.ip(&format!("addr add {address} dev eth0 nodad"));
            self.router.ip(&format!("addr add {gate}/64 dev {port} nodad"));
            place.ip(&format!("-6 route add default via {gate}"));
        }
    }

    fn route(&self, line: Line) {
        let forward = ["-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
        self.router.tool("sysctl", &forward);
        // Without it the last but one address of a subnet takes the others along.
        self.device.tool("sysctl", &["-q", "-w", "net.ipv4.conf.all.promote_secondaries=1"]);
        if line == Line::Nat {
            let rules = "table ip nat { chain post { type nat hook postrouting priority 100; \
                         ip saddr 192.168.77.0/24 oifname \"h0\" masquerade; }; }";
            self.router.tool("nft", &[rules]);
        }
    }

    /// Visitors ask the hub's DNS, by way of `/etc/resolv.conf` as `ip netns exec` puts it in place.
    fn name_servers(&self) {
        let dir = format!("/etc/netns/{}", self.visitor.0);
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot make {dir}: {e}"));
        std::fs::write(format!("{dir}/resolv.conf"), format!("nameserver {HUB}\n"))
            .expect("a file");
    }

    /// Drops everything between the device and the rest of the world, without a word to either.
    pub fn cut(&self) {
        let rules = "table ip cut { chain way { type filter hook forward priority 0; \
                     iifname \"d0\" drop; oifname \"d0\" drop; }; }";
        self.router.tool("nft", &[rules]);
    }

    /// Ends [`Net::cut`], as a line that comes back: the device's own link goes down and up.
    pub fn mend(&self) {
        self.router.tool("nft", &["delete", "table", "ip", "cut"]);
        self.device.ip("link set eth0 down");
        self.device.ip("link set eth0 up");
        self.device.ip("route replace default via 203.0.113.254");
    }

    /// Leads what comes to the hub's port 443 by TCP or UDP to another port of the hub's machine, until
    /// [`Net::undivert`]. Its name server goes on.
    pub fn divert(&self, tcp: u16, udp: u16) {
        let rules = format!(
            "table ip divert {{ chain pre {{ type nat hook prerouting priority -100; \
             tcp dport 443 redirect to :{tcp}; udp dport 443 redirect to :{udp}; }}; }}"
        );
        self.hub.tool("nft", &[&rules]);
    }

    /// Ends [`Net::divert`].
    pub fn undivert(&self) {
        self.hub.tool("nft", &["delete", "table", "ip", "divert"]);
    }

    /// Gives the device on a direct line another address, as a provider does.
    pub fn move_device(&self, from: &str, to: &str) {
        self.device.ip(&format!("addr add {to}/24 dev eth0"));
        self.device.ip(&format!("addr del {from}/24 dev eth0"));
        self.device.ip(&format!("route replace default via 203.0.113.254 src {to}"));
    }
}

/// These tests are never skipped: what they miss, they name.
fn needs_what_is_installed() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests make network namespaces: run them as root"
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = || path.split(':').chain(["/usr/sbin", "/sbin"]);
    let tools =
        ["ip", "ss", "nft", "sysctl", "tcpdump", "curl", "dig", "openssl", "setpriv", "unshare"];
    let there = |tool: &&str| dirs().any(|dir| std::path::Path::new(dir).join(tool).exists());
    let missing: Vec<_> = tools.into_iter().filter(|tool| !there(tool)).collect();
    assert!(
        missing.is_empty(),
        "these tests need {missing:?}\nhint: apt-get install -y iproute2 nftables procps tcpdump curl bind9-dnsutils openssl util-linux"
    );
}

impl Drop for Net {
    fn drop(&mut self) {
        for place in self.places() {
            // One that was never made needs no removal.
            let _ = Command::new("ip").args(["netns", "del", &place.0]).output();
        }
        let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.visitor.0));
    }
}
