//! Reads what `strace -f` wrote: which sockets there were, and to whom something was sent on them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// What packets are carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Its `connect` sends.
    Tcp,
    /// Its `connect` does not.
    Udp,
}

/// Where packets went.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// How.
    pub transport: Transport,
    /// To which address.
    pub ip: IpAddr,
    /// To which port.
    pub port: u16,
}

/// A socket of the agent.
#[derive(Clone, Debug)]
enum Socket {
    /// Of this machine alone: `AF_UNIX`, `AF_NETLINK`.
    Local,
    /// Of a network, with the peer it was connected to.
    Net { transport: Transport, peer: Option<SocketAddr>, sent: bool },
}

/// What the calls come to.
#[derive(Debug, Default)]
pub struct Calls {
    /// Everybody to whom something was sent.
    pub sent_to: BTreeSet<Destination>,
    /// UDP sockets that were connected and closed without a send.
    pub routes_asked: usize,
    /// Calls that no part of the agent should make, or that this does not understand.
    pub strange: Vec<String>,
    sockets: BTreeMap<i64, Socket>,
}

impl Calls {
    /// Reads all lines. A call that another thread's interrupted counts where it ended.
    pub fn read(text: &str) -> Self {
        let mut calls = Self::default();
        let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
        let helpers = helpers(text);
        for line in text.lines() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if helpers.contains(pid) {
                // Its descriptors have numbers of their own. It talks to its daemon and to nobody else.
                if rest.contains("AF_INET") {
                    calls.strange.push(line.into());
                }
                continue;
            }
            if let Some(start) = rest.strip_suffix("<unfinished ...>") {
                begun.insert(pid, start);
            } else if let Some((_, end)) = rest.split_once(" resumed>") {
                let start = begun.remove(pid).unwrap_or_default();
                calls.call(&format!("{start}{end}"));
            } else {
                calls.call(rest);
            }
        }
        // What was still going on at the end may have sent.
        for start in begun.into_values() {
            calls.call(&format!("{start}) = 0"));
        }
        calls
    }

    fn call(&mut self, call: &str) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let (args, result) = rest.rsplit_once(") = ").unwrap_or((rest.trim_end(), "?"));
        let number = |text: &str| text.split([',', ' ', ')']).next()?.parse::<i64>().ok();
        let (fd, result) = (number(args), number(result));
        match (name, fd, result) {
            ("socket", _, Some(new @ 0..)) => self.open(new, args, call),
            ("socketpair", ..) if !args.starts_with("AF_UNIX") => self.strange.push(call.into()),
            ("socketpair", ..) => {
                let pair = args.split(['[', ']']).nth(1).unwrap_or_default();
                for end in pair.split(", ").filter_map(|end| end.parse().ok()) {
                    self.sockets.insert(end, Socket::Local);
                }
            }
            ("accept" | "accept4" | "dup" | "dup2" | "dup3", Some(fd), Some(new @ 0..)) => {
                self.copy(fd, new);
            }
            ("fcntl", Some(fd), Some(new @ 0..)) if args.contains("F_DUPFD") => self.copy(fd, new),
            ("close", Some(fd), _) => self.close(fd),
            ("connect", Some(fd), _) => self.connect(fd, args, call),
            ("sendto" | "sendmsg" | "sendmmsg", Some(fd), Some(0..)) => {
                self.send(fd, args, call, true)
            }
            ("write" | "writev" | "sendfile" | "splice", Some(fd), Some(0..)) => {
                self.send(fd, "", call, false);
            }
            ("io_uring_setup", ..) => self.strange.push(call.into()),
            _ => {}
        }
    }

    fn open(&mut self, fd: i64, args: &str, call: &str) {
        let mut words = args.split(", ");
        let (family, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let net = |transport| Socket::Net { transport, peer: None, sent: false };
        let socket = match (family, kind.split('|').next().unwrap_or_default()) {
            ("AF_UNIX" | "AF_NETLINK", _) => Socket::Local,
            ("AF_INET" | "AF_INET6", "SOCK_STREAM") => net(Transport::Tcp),
            ("AF_INET" | "AF_INET6", "SOCK_DGRAM") if !args.contains("ICMP") => net(Transport::Udp),
            _ => return self.strange.push(call.into()),
        };
        self.sockets.insert(fd, socket);
    }

    fn copy(&mut self, fd: i64, new: i64) {
        if let Some(socket) = self.sockets.get(&fd).cloned() {
            self.sockets.insert(new, socket);
        }
    }

    fn close(&mut self, fd: i64) {
        let unsent = Socket::Net { transport: Transport::Udp, peer: None, sent: false };
        match self.sockets.remove(&fd).unwrap_or(unsent) {
            Socket::Net { transport: Transport::Udp, peer: Some(_), sent: false } => {
                self.routes_asked += 1;
            }
            Socket::Net { .. } | Socket::Local => {}
        }
    }

    fn connect(&mut self, fd: i64, args: &str, call: &str) {
        let to = addresses(args).pop();
        match (self.sockets.get_mut(&fd), to) {
            (Some(Socket::Local), None) => {}
            (Some(Socket::Net { transport, peer, .. }), Some(to)) => {
                *peer = Some(to);
                // Where the kernel knows no way, nothing goes.
                if *transport == Transport::Tcp && !call.contains("ENETUNREACH") {
                    let transport = *transport;
                    self.sent(transport, to);
                }
            }
            _ => self.strange.push(call.into()),
        }
    }

    /// A send on this socket: to who is named in the call, or else to the peer.
    fn send(&mut self, fd: i64, args: &str, call: &str, only_sockets: bool) {
        let Some(socket) = self.sockets.get_mut(&fd) else {
            if only_sockets {
                self.strange.push(call.into());
            }
            return;
        };
        let Socket::Net { transport, peer, sent } = socket else { return };
        *sent = true;
        let (transport, peer) = (*transport, *peer);
        let mut to = addresses(args);
        to.extend(peer.filter(|_| to.is_empty()));
        if to.is_empty() {
            self.strange.push(call.into());
        }
        for to in to {
            self.sent(transport, to);
        }
    }

    fn sent(&mut self, transport: Transport, to: SocketAddr) {
        let ip = to.ip().to_canonical();
        self.sent_to.insert(Destination { transport, ip, port: to.port() });
    }
}

/// The processes that became another program: all but the first one, which is the agent.
fn helpers(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let agent = lines.clone().next().map(|(pid, _)| pid);
    let becomes = |rest: &str| rest.trim_start().starts_with("execve(");
    lines
        .filter(|(_, rest)| becomes(rest))
        .map(|(pid, _)| pid)
        .filter(|pid| Some(*pid) != agent)
        .collect()
}

/// All socket addresses of a call's arguments.
fn addresses(args: &str) -> Vec<SocketAddr> {
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        let rest = text.split_once(from)?.1;
        rest.split_once(to).map(|(found, _)| found.to_owned())
    };
    let parts = args.split("sa_family=AF_INET").skip(1);
    let found = parts.map(|part| {
        let port = between(part, "_port=htons(", ")").and_then(|port| port.parse().ok());
        let ip = between(part, "inet_addr(\"", "\")")
            .or_else(|| between(part, "inet_pton(AF_INET6, \"", "\""))
            .and_then(|ip| ip.parse().ok());
        let (Some(ip), Some(port)) = (ip, port) else { panic!("an address: {args}") };
        SocketAddr::new(ip, port)
    });
    found.collect()
}

#[test]
fn every_way_to_send_is_told_from_asking_for_a_route() {
    let calls = Calls::read(
        "7 socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 3\n\
         7 connect(3, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr(\"192.0.2.1\")}, 16) = 0\n\
         7 close(3) = 0\n\
         7 socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP) = 3\n\
         7 connect(3, {sa_family=AF_INET6, sin6_port=htons(2), sin6_flowinfo=htonl(0), \
         inet_pton(AF_INET6, \"2001:db8::2\", &sin6_addr), sin6_scope_id=0}, 28) = 0\n\
         7 write(3, \"\"..., 4) = 4\n\
         8 socket(AF_INET, SOCK_STREAM, IPPROTO_IP <unfinished ...>\n\
         7 sendto(3, \"\"..., 4, 0, NULL, 0) = 4\n\
         8 <... socket resumed>) = 4\n\
         8 connect(4, {sa_family=AF_INET, sin_port=htons(4), sin_addr=inet_addr(\"192.0.2.4\")}, 16) = -1 EINPROGRESS (Now)\n\
         8 socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) = 5\n\
         8 sendto(5, [{}], 4, 0, {sa_family=AF_NETLINK}, 12) = 4\n\
         8 socket(AF_PACKET, SOCK_RAW, 768) = 6\n",
    );
    let sent: Vec<String> = calls.sent_to.iter().map(|to| format!("{to:?}")).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent[0].contains("192.0.2.4") && sent[1].contains("2001:db8::2"), "{sent:?}");
    assert_eq!(calls.routes_asked, 1);
    assert_eq!(calls.strange.len(), 1, "{:?}", calls.strange);
}
