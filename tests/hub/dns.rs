//! The name server of a serving hub, asked over real sockets.

use super::support::{Device, Hub};
use core::time::Duration;
use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use qcloud_agent::wire::ddns;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

pub struct Answer {
    message: Message<Vec<u8>>,
}

impl Answer {
    pub fn rcode(&self) -> Rcode {
        self.message.header().rcode()
    }

    fn records(&self) -> Vec<String> {
        let records = self.message.answer().unwrap().map(Result::unwrap);
        let shown = records.map(|record| {
            let any = record.to_any_record::<domain::rdata::AllRecordData<_, _>>().unwrap();
            format!("{} {} {}", any.owner(), any.rtype(), any.data())
        });
        shown.collect()
    }

    fn authority(&self) -> Vec<Rtype> {
        let records = self.message.authority().unwrap();
        records.map(|record| record.unwrap().rtype()).collect()
    }
}

pub fn question(name: &str, rtype: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(77);
    let mut builder = builder.question();
    builder.push((name.parse::<Name<Vec<u8>>>().unwrap(), rtype)).unwrap();
    builder.finish()
}

pub async fn send(hub: &Hub, question: &[u8]) -> Option<Answer> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, hub.dns).await.unwrap();
    let mut bytes = vec![0; 4096];
    let wait = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut bytes));
    let length = wait.await.ok()?.unwrap();
    bytes.truncate(length);
    Some(Answer { message: Message::from_octets(bytes).unwrap() })
}

async fn ask(hub: &Hub, name: &str, rtype: Rtype) -> Answer {
    send(hub, &question(name, rtype)).await.unwrap()
}

/// How many IPv4 addresses a name answers with.
pub async fn addresses(hub: &Hub, name: &str) -> usize {
    ask(hub, name, Rtype::A).await.records().len()
}

#[tokio::test]
async fn names_answer_while_they_live() {
    let hub = Hub::start();
    let device = Device::registered(&hub, "box").await;
    let missing = ask(&hub, "box.example.test", Rtype::A).await;
    assert_eq!((missing.rcode(), missing.authority()), (Rcode::NXDOMAIN, vec![Rtype::SOA]));
    let address = ddns::Answer::Address("203.0.113.7".parse().unwrap());
    let update = ddns::Update { a: address, aaaa: ddns::Answer::None };
    assert_eq!(device.post(&hub, "/v1/ddns/update", &update).await.0, 200);
    let found = ask(&hub, "bOx.eXample.test", Rtype::A).await;
    assert_eq!(found.records(), ["bOx.eXample.test A 203.0.113.7"]);
    assert!(found.message.header().aa());
    let other = ask(&hub, "box.example.test", Rtype::AAAA).await;
    assert_eq!((other.rcode(), other.authority()), (Rcode::NOERROR, vec![Rtype::SOA]));
    let forget = json!({"nonce": "n"});
    assert_eq!(device.post(&hub, "/v1/ddns/forget", &forget).await.0, 200);
    assert_eq!(ask(&hub, "box.example.test", Rtype::A).await.rcode(), Rcode::NXDOMAIN);
    let link = ask(&hub, "web.box.link.example.test", Rtype::A).await;
    assert_eq!(link.records(), ["web.box.link.example.test A 127.0.0.1"]);
    assert_eq!(device.post(&hub, "/v1/registration/forget", &forget).await.0, 200);
    let gone = ask(&hub, "box.link.example.test", Rtype::A).await;
    assert_eq!(gone.rcode(), Rcode::NXDOMAIN);
}

#[tokio::test]
async fn the_zone_speaks_for_itself() {
    let hub = Hub::start();
    let soa = ask(&hub, "example.test", Rtype::SOA).await.records();
    assert!(soa[0].starts_with("example.test SOA ns1.example.test"), "{soa:?}");
    let ns = ask(&hub, "example.test", Rtype::NS).await;
    assert_eq!(ns.records(), ["example.test NS ns1.example.test."]);
    assert_eq!(ns.message.header_counts().arcount(), 1, "glue");
    let host = ask(&hub, "hub.example.test", Rtype::A).await.records();
    assert_eq!(host, ["hub.example.test A 127.0.0.1"]);
    assert_eq!(ask(&hub, "link.example.test", Rtype::A).await.rcode(), Rcode::NOERROR);
    let any = ask(&hub, "hub.example.test", Rtype::ANY).await;
    assert_eq!(any.message.header_counts().ancount(), 1);
    for rtype in [Rtype::AXFR, Rtype::IXFR] {
        assert_eq!(ask(&hub, "example.test", rtype).await.rcode(), Rcode::REFUSED);
    }
    assert_eq!(ask(&hub, "example.org", Rtype::A).await.rcode(), Rcode::REFUSED);
}

#[tokio::test]
async fn odd_messages_get_the_answer_they_deserve() {
    let hub = Hub::start();
    let good = question("hub.example.test", Rtype::A);
    assert!(send(&hub, &good[..11]).await.is_none(), "no header, no answer");
    let mut reply = good.clone();
    reply[2] |= 0x80;
    assert!(send(&hub, &reply).await.is_none(), "an answer gets no answer");
    let mut notify = good.clone();
    notify[2] |= Opcode::NOTIFY.to_int() << 3;
    assert_eq!(send(&hub, &notify).await.unwrap().rcode(), Rcode::NOTIMP);
    let mut two = good.clone();
    two[5] = 2;
    assert_eq!(send(&hub, &two).await.unwrap().rcode(), Rcode::FORMERR);
    assert_eq!(send(&hub, &good[..14]).await.unwrap().rcode(), Rcode::FORMERR);
}

#[tokio::test]
async fn one_tcp_connection_takes_several_questions() {
    let hub = Hub::start();
    let mut tcp = TcpStream::connect(hub.dns).await.unwrap();
    let question = question("hub.example.test", Rtype::A);
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    let twice = [&length, question.as_slice(), &length, question.as_slice()].concat();
    tcp.write_all(&twice).await.unwrap();
    for _ in 0..2 {
        let length = tcp.read_u16().await.unwrap();
        let mut bytes = vec![0; usize::from(length)];
        tcp.read_exact(&mut bytes).await.unwrap();
        let answer = Answer { message: Message::from_octets(bytes).unwrap() };
        assert_eq!(answer.records(), ["hub.example.test A 127.0.0.1"]);
    }
}
