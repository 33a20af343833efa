//! One question in, one answer out: bytes to bytes, without a socket.

use super::zone::{Node, Zone};
use crate::wire::ddns::TTL_SECONDS;
use core::net::{Ipv4Addr, Ipv6Addr};
use domain::base::charstr::CharStr;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{
    AdditionalBuilder, AnswerBuilder, PushError, StaticCompressor,
};
use domain::base::name::ToLabelIter;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Question, Serial, Ttl};
use domain::rdata::{A, Aaaa, Hinfo, Ns, Soa};

/// Seconds a resolver may remember that a name has nothing: short, so that switching on is seen.
const NEGATIVE_TTL: u32 = 5;
/// Seconds a resolver may keep the zone's own records.
const ZONE_TTL: u32 = 3600;
/// The largest UDP answer that is not fragmented on today's paths (DNS flag day 2020).
const MAX_UDP_ANSWER: u16 = 1232;
/// What a resolver without EDNS takes (RFC 1035 section 2.3.4).
const MIN_UDP_ANSWER: u16 = 512;

/// How the question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Answers are bounded by what the asker takes.
    Udp,
    /// Answers may be as long as they need.
    Tcp,
}

type Asked<'a> = Question<ParsedName<&'a [u8]>>;
type Builder = AnswerBuilder<StaticCompressor<Vec<u8>>>;

/// What the asker said of itself by EDNS (RFC 6891).
#[derive(Clone, Copy)]
struct Edns {
    size: u16,
    version: u8,
}

/// Answers a message. `None` when it deserves none: no header, or itself an answer.
pub fn answer(zone: &Zone, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let message = Message::from_octets(bytes).ok()?;
    if message.header().qr() {
        return None;
    }
    if message.header().opcode() != Opcode::QUERY {
        return refuse(&message, Rcode::NOTIMP);
    }
    let (Ok(question), Ok(edns)) = (message.sole_question(), edns(&message)) else {
        return refuse(&message, Rcode::FORMERR);
    };
    let limit = match (transport, edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => usize::from(MIN_UDP_ANSWER),
        (Transport::Udp, Some(edns)) => {
            usize::from(edns.size.clamp(MIN_UDP_ANSWER, MAX_UDP_ANSWER))
        }
    };
    let full = build(zone, &message, &question, edns, false).ok()?;
    if full.len() <= limit {
        return Some(full);
    }
    build(zone, &message, &question, edns, true).ok().filter(|cut| cut.len() <= limit)
}

/// An answer of a bare header, for what is not understood.
fn refuse(message: &Message<&[u8]>, rcode: Rcode) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(message.header().id());
    header.set_qr(true);
    header.set_opcode(message.header().opcode());
    header.set_rd(message.header().rd());
    header.set_rcode(rcode);
    Some(builder.finish())
}

/// The one OPT record of the message; an error when there are several, or a section is broken.
fn edns(message: &Message<&[u8]>) -> Result<Option<Edns>, ()> {
    let mut found = None;
    for record in message.additional().map_err(drop)? {
        let record = record.map_err(drop)?;
        if record.rtype() != Rtype::OPT {
            continue;
        }
        if found.is_some() {
            return Err(());
        }
        // RFC 6891 section 6.1.3: the class is the size; the TTL is rcode, version and flags.
        let [_, version, _, _] = record.ttl().as_secs().to_be_bytes();
        found = Some(Edns { size: record.class().to_int(), version });
    }
    Ok(found)
}

fn build(
    zone: &Zone,
    message: &Message<&[u8]>,
    question: &Asked<'_>,
    edns: Option<Edns>,
    truncate: bool,
) -> Result<Vec<u8>, PushError> {
    let target = MessageBuilder::from_target(StaticCompressor::new(Vec::new()));
    let mut builder =
        target.map_err(|_| PushError::ShortBuf)?.start_answer(message, Rcode::NOERROR)?;
    let bad_version = edns.is_some_and(|edns| edns.version != 0);
    let mut additional = if truncate {
        builder.header_mut().set_tc(true);
        builder.header_mut().set_aa(true);
        builder.additional()
    } else if bad_version {
        builder.additional()
    } else {
        fill(zone, question, builder)?
    };
    if edns.is_some() {
        additional.opt(|opt| {
            opt.set_udp_payload_size(MAX_UDP_ANSWER);
            if bad_version {
                opt.set_rcode(OptRcode::BADVERS);
            }
            Ok(())
        })?;
    }
    Ok(additional.finish().into_target())
}

type Filled = AdditionalBuilder<StaticCompressor<Vec<u8>>>;

fn fill(zone: &Zone, question: &Asked<'_>, mut builder: Builder) -> Result<Filled, PushError> {
    let transfer = [Rtype::AXFR, Rtype::IXFR].contains(&question.qtype());
    let node = zone.node(&lower_case_labels(question));
    if question.qclass() != Class::IN || transfer || node == Node::Outside {
        builder.header_mut().set_rcode(Rcode::REFUSED);
        return Ok(builder.additional());
    }
    builder.header_mut().set_aa(true);
    let answered = push_records(zone, &node, question, &mut builder)?;
    if node == Node::Missing {
        builder.header_mut().set_rcode(Rcode::NXDOMAIN);
    }
    let mut authority = builder.authority();
    if !answered {
        let owner = name(zone.apex(), &[]);
        authority.push((owner, Ttl::from_secs(NEGATIVE_TTL), soa(zone)))?;
    }
    let mut additional = authority.additional();
    if answered && node == Node::Apex && question.qtype() == Rtype::NS {
        push_glue(zone, &mut additional)?;
    }
    Ok(additional)
}

/// Pushes the records asked for, owned by the name as it was written; whether there were any.
fn push_records(
    zone: &Zone,
    node: &Node,
    question: &Asked<'_>,
    builder: &mut Builder,
) -> Result<bool, PushError> {
    let owner = question.qname();
    let mut count = 0_u32;
    let exists = !matches!(node, Node::Missing | Node::Empty | Node::Outside);
    let zone_ttl = Ttl::from_secs(ZONE_TTL);
    match question.qtype() {
        Rtype::A => {
            for address in v4(zone, node) {
                builder.push((owner, ttl(node), A::new(address)))?;
                count += 1;
            }
        }
        Rtype::AAAA => {
            for address in v6(zone, node) {
                builder.push((owner, ttl(node), Aaaa::new(address)))?;
                count += 1;
            }
        }
        Rtype::SOA if *node == Node::Apex => {
            builder.push((owner, zone_ttl, soa(zone)))?;
            count += 1;
        }
        Rtype::NS if *node == Node::Apex => {
            builder.push((owner, zone_ttl, Ns::new(name_server(zone))))?;
            count += 1;
        }
        Rtype::ANY if exists => {
            // RFC 8482 section 4.2: one synthesised HINFO, nothing to amplify with.
            let cpu =
                CharStr::from_octets("RFC8482".as_bytes()).map_err(|_| PushError::ShortBuf)?;
            builder.push((owner, zone_ttl, Hinfo::new(cpu, CharStr::empty())))?;
            count += 1;
        }
        _ => {}
    }
    Ok(count > 0)
}

fn push_glue(zone: &Zone, additional: &mut Filled) -> Result<(), PushError> {
    for address in zone.hub_v4() {
        additional.push((name_server(zone), Ttl::from_secs(ZONE_TTL), A::new(address)))?;
    }
    for address in zone.hub_v6() {
        additional.push((name_server(zone), Ttl::from_secs(ZONE_TTL), Aaaa::new(address)))?;
    }
    Ok(())
}

fn v4(zone: &Zone, node: &Node) -> Vec<Ipv4Addr> {
    match node {
        Node::Hub => zone.hub_v4().collect(),
        Node::Device(addresses) => addresses.a.into_iter().collect(),
        Node::Outside | Node::Missing | Node::Empty | Node::Apex => Vec::new(),
    }
}

fn v6(zone: &Zone, node: &Node) -> Vec<Ipv6Addr> {
    match node {
        Node::Hub => zone.hub_v6().collect(),
        Node::Device(addresses) => addresses.aaaa.into_iter().collect(),
        Node::Outside | Node::Missing | Node::Empty | Node::Apex => Vec::new(),
    }
}

fn ttl(_node: &Node) -> Ttl {
    Ttl::from_secs(TTL_SECONDS)
}

fn soa(zone: &Zone) -> Soa<Name<Vec<u8>>> {
    // RFC 1912 section 2.2: refresh, retry and expire only speak to secondaries.
    let [refresh, retry, expire] = [3600, 600, 604_800].map(Ttl::from_secs);
    let contact = name(zone.apex(), b"hostmaster");
    let minimum = Ttl::from_secs(NEGATIVE_TTL);
    Soa::new(name_server(zone), contact, Serial(zone.serial()), refresh, retry, expire, minimum)
}

fn name_server(zone: &Zone) -> Name<Vec<u8>> {
    name(zone.apex(), super::zone::NAME_SERVER.as_bytes())
}

/// A name below the apex, of at most one more label.
fn name(apex: &[Vec<u8>], label: &[u8]) -> Name<Vec<u8>> {
    let mut octets = Vec::new();
    for part in [label].into_iter().filter(|l| !l.is_empty()).chain(apex.iter().map(Vec::as_slice))
    {
        // The configuration let only labels of 63 bytes through.
        octets.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        octets.extend_from_slice(part);
    }
    octets.push(0);
    Name::from_octets(octets).unwrap_or_else(|_| Name::root_vec())
}

fn lower_case_labels(question: &Asked<'_>) -> Vec<Vec<u8>> {
    let labels = question.qname().iter_labels().filter(|label| !label.is_root());
    labels.map(|label| label.as_slice().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_or_bit_of_a_question_panics_or_grows() {
        let zone = Zone::new("example.test", "hub.example.test", vec![], 1);
        let mut builder = MessageBuilder::new_vec().question();
        let qname: Name<Vec<u8>> = "hub.example.test".parse().expect("a name");
        builder.push((qname, Rtype::ANY)).expect("room");
        let mut additional = builder.additional();
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(4096);
                Ok(())
            })
            .expect("room");
        let question = additional.finish();
        for length in 0..question.len() {
            let _ = answer(&zone, &question[..length], Transport::Udp);
        }
        for bit in 0..question.len() * 8 {
            let mut broken = question.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let length = answer(&zone, &broken, Transport::Udp).map_or(0, |a| a.len());
            assert!(length <= 1232, "bit {bit}");
        }
    }
}
