//! Names to addresses: a stub resolver of our own, because `getaddrinfo` would pass the gate by.
//!
//! It asks this device's name servers and nobody else, only for the host of a permit that may leave, and
//! each server asked is a line of the ledger.

use super::dns::{self, Answer, Host};
use super::faults;
use super::outside::SendError;
use super::permit::{Permit, Target};
use super::underway::Underway;
use crate::clock::{Boot, Clock};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A server that takes longer is passed over; resolv.conf(5) waits 5 s, which is most of a connection's patience.
const WAIT: Duration = Duration::from_secs(2);
/// How often each server is asked: one lost datagram must not cost the connection.
const ROUNDS: usize = 2;
/// resolv.conf(5): MAXNS.
const SERVERS: usize = 3;
/// A hub that moves keeps its old address this long at most, whatever its TTL says.
const KEPT: Duration = Duration::from_secs(3600);
/// Hosts whose answer is remembered; a device speaks to one or two.
const HOSTS_KEPT: usize = 8;

/// The resolver. Its servers may be replaced while it is in use.
pub struct Resolver {
    servers: Mutex<Vec<SocketAddr>>,
    hosts: Mutex<Vec<(String, IpAddr)>>,
    kept: Mutex<BTreeMap<String, (Boot, Vec<IpAddr>)>>,
    clock: Clock,
    wait: Duration,
}

impl Resolver {
    /// Asks `servers` in their order; `hosts` (as in `/etc/hosts`) go before.
    pub fn new(servers: Vec<SocketAddr>, hosts: Vec<(String, IpAddr)>, clock: Clock) -> Self {
        let (servers, hosts) = (Mutex::new(servers), Mutex::new(hosts));
        Self { servers, hosts, kept: Mutex::default(), clock, wait: WAIT }
    }

    /// Replaces the servers, and forgets what the old ones said.
    pub fn set_servers(&self, servers: Vec<SocketAddr>) {
        *lock(&self.servers) = servers;
        lock(&self.kept).clear();
    }

    /// Replaces the names that need no question.
    pub fn set_hosts(&self, hosts: Vec<(String, IpAddr)>) {
        *lock(&self.hosts) = hosts;
    }

    /// The addresses of the host a permit goes to, IPv6 first. Literals, `localhost` (RFC 6761) and
    /// static hosts need no question; an answer is remembered for its TTL, at most 1 h.
    ///
    /// Ends within 12 s: three servers, two rounds, 2 s each. Cancel-safe: a question dropped on its way
    /// stands in the ledger as given up.
    ///
    /// # Errors
    /// [`SendError::NoAddress`] when the name does not exist, has no address, or no server can say.
    pub async fn resolve(&self, permit: &Permit) -> Result<Vec<IpAddr>, SendError> {
        let to = permit.to();
        if let Some(known) = self.known(&to.host) {
            return Ok(known);
        }
        let host = Host::from_str(&to.host).map_err(|e| faults::no_address(to, e))?;
        let servers = lock(&self.servers).clone();
        let mut last = "this device has no name server".to_owned();
        for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
            match self.ask(permit, &host, *server).await {
                Answer::Addresses(mut addresses, ttl) => {
                    addresses.sort_by_key(IpAddr::is_ipv4);
                    self.keep(&to.host, &addresses, ttl);
                    return Ok(addresses);
                }
                Answer::None(why) => return Err(faults::no_address(to, why)),
                Answer::Broken(why) => last = format!("{server}: {why}"),
            }
        }
        Err(faults::no_address(to, last))
    }

    async fn ask(&self, permit: &Permit, host: &Host, server: SocketAddr) -> Answer {
        let target = Target { host: server.ip().to_string(), port: server.port() };
        let question = match permit.gate().lookup(permit, target) {
            Ok(question) => question,
            Err(refused) => return Answer::Broken(refused.to_string()),
        };
        let mut question = Underway::new(question);
        question.outcome.peer = Some((server.ip(), server.port()));
        let answer = dns::ask(host, server, self.wait, &mut question.outcome).await;
        let result = match &answer {
            Answer::Addresses(..) => "ok".to_owned(),
            Answer::None(why) => (*why).to_owned(),
            Answer::Broken(why) => why.clone(),
        };
        question.finish(result);
        answer
    }

    fn known(&self, host: &str) -> Option<Vec<IpAddr>> {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse() {
            return Some(vec![literal]);
        }
        let is_it = |(name, _): &&(String, IpAddr)| name.eq_ignore_ascii_case(host);
        let fixed: Vec<IpAddr> =
            lock(&self.hosts).iter().filter(is_it).map(|(_, ip)| *ip).collect();
        if !fixed.is_empty() {
            return Some(fixed);
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Some(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let now = self.clock.now().boot;
        lock(&self.kept)
            .get(&host.to_ascii_lowercase())
            .filter(|(until, _)| *until > now)
            .map(|(_, addresses)| addresses.clone())
    }

    fn keep(&self, host: &str, addresses: &[IpAddr], ttl: Duration) {
        let now = self.clock.now().boot;
        let mut kept = lock(&self.kept);
        kept.retain(|_, (until, _)| *until > now);
        if kept.len() >= HOSTS_KEPT {
            kept.pop_first();
        }
        kept.insert(host.to_ascii_lowercase(), (now + ttl.min(KEPT), addresses.to_vec()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both hold plain data that is replaced whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name servers of a resolv.conf(5): at most 3, on port 53, in order; anything not understood is passed
/// over. A zone (`fe80::1%eth0`) that this system does not know counts as none.
pub fn servers_of(resolv_conf: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in resolv_conf.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("nameserver")
            && let Some(server) = words.next().and_then(server)
        {
            servers.push(server);
        }
    }
    servers.truncate(SERVERS);
    servers
}

fn server(text: &str) -> Option<SocketAddr> {
    const PORT: u16 = 53;
    if let Some((ip, zone)) = text.split_once('%') {
        let ip = ip.parse().ok()?;
        let named = || nix::net::if_::if_nametoindex(zone).ok();
        let index = zone.parse().ok().or_else(named).unwrap_or(0);
        return Some(SocketAddr::V6(SocketAddrV6::new(ip, PORT, 0, index)));
    }
    Some(SocketAddr::new(text.parse().ok()?, PORT))
}

/// The names of an `/etc/hosts`, for [`Resolver::new`]; anything not understood is passed over.
pub fn hosts_of(text: &str) -> Vec<(String, IpAddr)> {
    let mut hosts = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        if let Some(ip) = words.next().and_then(|ip| ip.parse().ok()) {
            hosts.extend(words.map(|name| (name.to_owned(), ip)));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::{clock, gate, lines, permit, target};
    use domain::base::iana::{Class, Rcode};
    use domain::base::{Message, MessageBuilder, Rtype};
    use domain::rdata::{A, Aaaa};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UdpSocket};

    type Behave = fn(&Message<[u8]>) -> Vec<Vec<u8>>;

    /// A name server that answers each datagram with what `behave` says, and questions over TCP well.
    #[allow(clippy::disallowed_methods, reason = "the other side of the test")]
    async fn name_server(behave: Behave) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                for reply in behave(Message::from_slice(&buffer[..length]).unwrap()) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await.unwrap();
                let reply = good(Message::from_slice(&question).unwrap()).remove(0);
                stream.write_u16(reply.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&reply).await.unwrap();
            }
        });
        address
    }

    fn good(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let asked = question.sole_question().unwrap();
        let name = asked.qname();
        let mut reply = MessageBuilder::new_vec().start_answer(question, Rcode::NOERROR).unwrap();
        if asked.qtype() == Rtype::A {
            reply.push((name, Class::IN, 300, A::from_octets(192, 0, 2, 7))).unwrap();
        } else {
            let ip = "2001:db8::7".parse().unwrap();
            reply.push((name, Class::IN, 300, Aaaa::new(ip))).unwrap();
        }
        vec![reply.finish()]
    }

    fn missing(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let reply = MessageBuilder::new_vec().start_answer(question, Rcode::NXDOMAIN).unwrap();
        vec![reply.finish()]
    }

    fn failing(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let reply = MessageBuilder::new_vec().start_answer(question, Rcode::SERVFAIL).unwrap();
        vec![reply.finish()]
    }

    fn truncated(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let mut reply = MessageBuilder::new_vec().start_answer(question, Rcode::NOERROR).unwrap();
        reply.header_mut().set_tc(true);
        vec![reply.finish()]
    }

    /// Garbage, a forged answer with a wrong id, one to another question; then the true one.
    fn noisy(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let mut forged = good(question).remove(0);
        forged[0] ^= 0xff;
        *forged.last_mut().unwrap() = 66;
        let mut other = good(question).remove(0);
        other[14] = b'x';
        vec![vec![], vec![0xff; 3], vec![0xff; 40], forged, other, good(question).remove(0)]
    }

    fn silent(_: &Message<[u8]>) -> Vec<Vec<u8>> {
        vec![]
    }

    fn only_v4(question: &Message<[u8]>) -> Vec<Vec<u8>> {
        let v4 = question.sole_question().unwrap().qtype() == Rtype::A;
        if v4 { good(question) } else { vec![] }
    }

    async fn resolver(servers: &[Behave]) -> Resolver {
        let mut addresses = Vec::new();
        for behave in servers {
            addresses.push(name_server(*behave).await);
        }
        let mut resolver = Resolver::new(addresses, vec![], clock());
        resolver.wait = Duration::from_millis(100);
        resolver
    }

    async fn ask(servers: &[Behave]) -> (Result<Vec<IpAddr>, SendError>, Vec<(String, u64, u64)>) {
        let gate = gate(target("hub.example.test", 443));
        let permit = permit(&gate);
        let answer = resolver(servers).await.resolve(&permit).await;
        let lines = lines(&gate).into_iter().map(|line| (line.result, line.up, line.down));
        (answer, lines.collect())
    }

    fn both() -> Vec<IpAddr> {
        vec!["2001:db8::7".parse().unwrap(), "192.0.2.7".parse().unwrap()]
    }

    #[tokio::test]
    async fn both_families_are_asked_and_stand_in_the_ledger() {
        let (answer, lines) = ask(&[good]).await;
        assert_eq!(answer, Ok(both()));
        // Twice a header of 12 bytes and a question of 22.
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].0.as_str(), lines[0].1), ("ok", 68));
    }

    #[tokio::test]
    async fn a_missing_name_is_final_and_a_failing_server_is_not() {
        let (answer, lines) = ask(&[failing, missing]).await;
        let why = answer.unwrap_err().to_string();
        assert_eq!(why, "no address for hub.example.test: the name does not exist");
        assert_eq!(lines.len(), 2);
        let (answer, lines) = ask(&[silent, good]).await;
        assert_eq!((answer, lines.len()), (Ok(both()), 2));
        let (answer, lines) = ask(&[silent]).await;
        assert!(matches!(answer, Err(SendError::NoAddress { .. })));
        assert_eq!(lines.len(), ROUNDS);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_asked_for_over_tcp() {
        assert_eq!(ask(&[truncated]).await.0, Ok(both()));
    }

    #[tokio::test]
    async fn garbage_and_forged_answers_are_passed_over() {
        assert_eq!(ask(&[noisy]).await.0, Ok(both()));
    }

    #[tokio::test]
    async fn a_server_silent_about_one_family_still_helps() {
        assert_eq!(ask(&[only_v4]).await.0, Ok(vec!["192.0.2.7".parse().unwrap()]));
    }

    #[tokio::test]
    async fn an_answer_is_remembered_and_literals_are_not_asked_for() {
        let hub = gate(target("hub.example.test", 443));
        let resolver = resolver(&[good]).await;
        assert_eq!(resolver.resolve(&permit(&hub)).await, Ok(both()));
        resolver.set_servers(vec![]);
        assert!(resolver.resolve(&permit(&hub)).await.is_err(), "other servers, other answers");
        resolver.keep("HUB.example.test", &both(), KEPT);
        assert_eq!(resolver.resolve(&permit(&hub)).await, Ok(both()));
        let literal = gate(target("::1", 443));
        let answer = resolver.resolve(&permit(&literal)).await;
        assert_eq!(answer, Ok(vec!["::1".parse().unwrap()]));
    }

    #[test]
    fn resolv_conf_is_read_as_the_libc_does() {
        let text = "# nameserver 9.9.9.9\nnameserver 192.0.2.1\nnameserver fe80::1%7\nnameserver junk\n\
                    options rotate\n nameserver\t2001:db8::1 # x\nnameserver 192.0.2.3\n";
        let servers: Vec<String> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fe80::1%7]:53", "[2001:db8::1]:53"]);
        assert_eq!(servers_of("nameserver fe80::1%no-such-zone").len(), 1);
        let hosts = hosts_of("127.0.0.1 localhost lo # x\n::1 lo\njunk\n");
        assert_eq!(hosts.len(), 3);
    }
}
