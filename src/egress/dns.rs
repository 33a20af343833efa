//! One question of a stub resolver to one name server, over UDP, and over TCP when the answer is cut off.
//!
//! A and AAAA are asked at once over one connected socket: the kernel drops what another host sends, the
//! port is random, and so are the two ids. Nothing is believed that does not echo the question.

use super::ledger::Outcome;
use super::tcp;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Rtype, ToName};
use domain::rdata::{A, Aaaa, Cname};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Aliases that are followed inside one answer; a longer chain is a circle or a mistake.
const ALIASES: usize = 8;
/// RFC 1035 section 4.2.1 limits an answer over UDP to 512 bytes unless EDNS offers more, which we do not:
/// two addresses need neither.
const DATAGRAM: usize = 512;

/// How long an answer for one family waits for the other. RFC 8305 section 3 waits 50 ms; a slow resolver that
/// looks both up takes longer, and one that drops AAAA must not cost the whole wait.
const OTHER: Duration = Duration::from_millis(500);

/// A name as it is asked for.
pub(super) type Host = Name<Vec<u8>>;

/// The two families, in the order they are kept.
const TYPES: [Rtype; 2] = [Rtype::A, Rtype::AAAA];

/// What one server says of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These addresses, for so long.
    Addresses(Vec<IpAddr>, Duration),
    /// There are none, and asking another server makes no difference.
    None(&'static str),
    /// This server cannot say.
    Broken(String),
}

/// Asks `server` for both families. Always ends within `wait`, with what has come till then. The bytes
/// of the messages are counted as they go.
pub(super) async fn ask(
    host: &Host,
    server: SocketAddr,
    wait: Duration,
    bytes: &mut Outcome,
) -> Answer {
    let mut answers = [None, None];
    let asked = exchange(host, server, &mut answers, bytes);
    let broke = match tokio::time::timeout(wait, asked).await {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(e.to_string()),
        Err(_) => Some(format!("no answer in {} s", wait.as_secs())),
    };
    combine(answers, broke)
}

/// One usable family is enough: a server that is silent about AAAA is common, and not the host's fault.
fn combine(answers: [Option<Answer>; 2], broke: Option<String>) -> Answer {
    let mut all = Vec::new();
    let mut shortest = Duration::MAX;
    let mut none = None;
    let mut broken = broke;
    for answer in answers.into_iter().flatten() {
        match answer {
            Answer::Addresses(addresses, ttl) => {
                all.extend(addresses);
                shortest = shortest.min(ttl);
            }
            Answer::None(why) => none = Some(why),
            Answer::Broken(why) => broken = Some(why),
        }
    }
    match (all.is_empty(), broken, none) {
        (false, _, _) => Answer::Addresses(all, shortest),
        (true, Some(why), _) => Answer::Broken(why),
        (true, None, Some(why)) => Answer::None(why),
        (true, None, None) => Answer::Broken("no answer".into()),
    }
}

async fn exchange(
    host: &Host,
    server: SocketAddr,
    answers: &mut [Option<Answer>; 2],
    bytes: &mut Outcome,
) -> io::Result<()> {
    let socket = connected(server).await?;
    let questions = [question(host, TYPES[0])?, question(host, TYPES[1])?];
    for question in &questions {
        bytes.up += count(socket.send(question.as_slice()).await?);
        bytes.up_packets += 1;
    }
    let mut buffer = [0; DATAGRAM];
    while answers.iter().any(Option::is_none) {
        let enough = answers.iter().flatten().any(|a| matches!(a, Answer::Addresses(..)));
        let patience = if enough { OTHER } else { Duration::MAX };
        // An ICMP error shows here as ConnectionRefused and ends it.
        let Ok(received) = tokio::time::timeout(patience, socket.recv(&mut buffer)).await else {
            break;
        };
        let length = received?;
        bytes.down += count(length);
        bytes.down_packets += 1;
        let Ok(message) = Message::from_slice(&buffer[..length]) else { continue };
        let Some(which) = questions.iter().position(|q| message.is_answer(q)) else { continue };
        let Some(slot) = answers.get_mut(which).filter(|slot| slot.is_none()) else { continue };
        *slot = Some(if message.header().tc() {
            over_tcp(host, TYPES[which], server, bytes).await?
        } else {
            read(message, host, TYPES[which])
        });
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the question passed the gate with its permit")]
async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = if server.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// RFC 7766: the same question with a length before it.
#[allow(clippy::disallowed_methods, reason = "the question passed the gate with its permit")]
async fn over_tcp(
    host: &Host,
    rtype: Rtype,
    server: SocketAddr,
    bytes: &mut Outcome,
) -> io::Result<Answer> {
    let question = question(host, rtype)?;
    let mut stream = TcpStream::connect(server).await?;
    let asked = asked_over_tcp(&question, &mut stream, bytes).await;
    // The few segments that close it are not among them.
    let counted = tcp::count(stream.local_addr()?, server);
    if let Some(counted) = counted {
        bytes.up_packets += counted.up_packets;
        bytes.down_packets += counted.down_packets;
    }
    let answer = asked?;
    match Message::from_slice(&answer) {
        Ok(message) if message.is_answer(&question) => Ok(read(message, host, rtype)),
        Ok(_) | Err(_) => Ok(Answer::Broken("the answer is to another question".into())),
    }
}

async fn asked_over_tcp(
    question: &Message<Vec<u8>>,
    stream: &mut TcpStream,
    bytes: &mut Outcome,
) -> io::Result<Vec<u8>> {
    let body = question.as_slice();
    let length = u16::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), body].concat()).await?;
    bytes.up += count(body.len()) + 2;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    bytes.down += u64::from(length) + 2;
    Ok(answer)
}

fn question(host: &Host, rtype: Rtype) -> io::Result<Message<Vec<u8>>> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(random_id()?);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((host, rtype)).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(message.into_message())
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id)
        .map_err(|_| io::Error::other("no randomness for the question"))?;
    Ok(u16::from_be_bytes(id))
}

/// Reads the answer to a question for `host`; what cannot be parsed is [`Answer::Broken`].
fn read(message: &Message<[u8]>, host: &Host, rtype: Rtype) -> Answer {
    match message.header().rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Answer::None("the name does not exist"),
        other => return Answer::Broken(format!("the name server says {other}")),
    }
    addresses(message, host, rtype)
        .unwrap_or_else(|_| Answer::Broken("the answer is malformed".into()))
}

/// Reads an answer for `host` from bytes.
pub fn fuzz(bytes: &[u8], host: &str) -> Option<(Vec<IpAddr>, Duration)> {
    let (message, host) = (Message::from_slice(bytes).ok()?, host.parse().ok()?);
    match read(message, &host, Rtype::A) {
        Answer::Addresses(addresses, ttl) => Some((addresses, ttl)),
        Answer::None(_) | Answer::Broken(_) => None,
    }
}

fn addresses(
    message: &Message<[u8]>,
    host: &Host,
    rtype: Rtype,
) -> Result<Answer, domain::base::wire::ParseError> {
    let section = message.answer()?;
    let mut owner = host.clone();
    let mut ttl = Duration::MAX;
    for _ in 0..ALIASES {
        let mut alias = None;
        for record in section.limit_to::<Cname<ParsedName<&[u8]>>>() {
            let record = record?;
            if record.owner().name_eq(&owner) {
                ttl = ttl.min(record.ttl().into_duration());
                alias = Some(record.data().cname().to_vec());
            }
        }
        let Some(alias) = alias else { break };
        owner = alias;
    }
    let mut found = Vec::new();
    for record in section.limit_to::<A>() {
        let record = record?;
        if rtype == Rtype::A && record.owner().name_eq(&owner) {
            ttl = ttl.min(record.ttl().into_duration());
            found.push(IpAddr::V4(record.data().addr()));
        }
    }
    for record in section.limit_to::<Aaaa>() {
        let record = record?;
        if rtype == Rtype::AAAA && record.owner().name_eq(&owner) {
            ttl = ttl.min(record.ttl().into_duration());
            found.push(IpAddr::V6(record.data().addr()));
        }
    }
    found.retain(|ip| !ip.is_unspecified() && !ip.is_multicast());
    if found.is_empty() {
        return Ok(Answer::None("the name has no address"));
    }
    Ok(Answer::Addresses(found, ttl))
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::str::FromStr;
    use domain::base::iana::Class;

    fn host() -> Host {
        Name::from_str("hub.example.test").unwrap()
    }

    fn reply(chain: &[(&str, &str)], last: &str) -> Vec<u8> {
        let question = question(&host(), Rtype::A).unwrap();
        let mut reply = MessageBuilder::new_vec().start_answer(&question, Rcode::NOERROR).unwrap();
        for (from, to) in chain {
            let (from, to) = (Host::from_str(from).unwrap(), Host::from_str(to).unwrap());
            reply.push((from, Class::IN, 60, Cname::new(to))).unwrap();
        }
        let last = Host::from_str(last).unwrap();
        reply.push((last, Class::IN, 300, A::from_octets(192, 0, 2, 7))).unwrap();
        reply.finish()
    }

    fn understood(bytes: &[u8]) -> Answer {
        read(Message::from_slice(bytes).unwrap(), &host(), Rtype::A)
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_the_shortest_ttl_counts() {
        let good = Answer::Addresses(vec!["192.0.2.7".parse().unwrap()], Duration::from_secs(60));
        let chain = [("b.test", "c.test"), ("HUB.example.test", "b.test")];
        assert_eq!(understood(&reply(&chain, "c.test")), good);
        let none = Answer::None("the name has no address");
        assert_eq!(understood(&reply(&chain, "other.test")), none);
    }

    #[test]
    fn a_circle_of_aliases_ends() {
        let circle = [("hub.example.test", "b.test"), ("b.test", "hub.example.test")];
        assert_eq!(understood(&reply(&circle, "c.test")), Answer::None("the name has no address"));
    }

    #[test]
    fn no_answer_however_mangled_panics() {
        let good = reply(&[("hub.example.test", "b.test")], "b.test");
        for at in 0..good.len() {
            for value in [0, 1, 0x3f, 0xc0, 0xc1, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                if let Ok(message) = Message::from_slice(&bad) {
                    let _ = (read(message, &host(), Rtype::A), read(message, &host(), Rtype::AAAA));
                }
            }
            if let Ok(message) = Message::from_slice(&good[..at]) {
                let _ = read(message, &host(), Rtype::A);
            }
        }
    }
}
