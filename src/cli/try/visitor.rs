//! A visitor from the internet: asks DNS as `dig` does and fetches a page as `curl` does.
#![allow(clippy::disallowed_methods, reason = "stands for a visitor, outside the agent")]

use crate::identity::tls::provider;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::A;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The longest a visitor waits for anything.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than any page of the stage.
const PAGE_MOST: u64 = 4 * 1024 * 1024;

/// What DNS says of a name's IPv4 address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Address(Ipv4Addr),
    NoAddress,
    NoSuchName,
}

/// Asks over UDP.
pub(super) async fn ask_udp(server: SocketAddr, name: &str) -> Result<Answered, String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
    socket.connect(server).await.map_err(text)?;
    socket.send(&question(name)?).await.map_err(text)?;
    let mut answer = vec![0; 4096];
    let received = patiently(socket.recv(&mut answer)).await?;
    read(&answer[..received])
}

/// Asks over TCP.
pub(super) async fn ask_tcp(server: SocketAddr, name: &str) -> Result<Answered, String> {
    let mut stream = patiently(TcpStream::connect(server)).await?;
    let question = question(name)?;
    let length = u16::try_from(question.len()).map_err(text)?;
    stream.write_u16(length).await.map_err(text)?;
    stream.write_all(&question).await.map_err(text)?;
    let length = patiently(stream.read_u16()).await?;
    let mut answer = vec![0; usize::from(length)];
    patiently(stream.read_exact(&mut answer)).await?;
    read(&answer)
}

fn question(name: &str) -> Result<Vec<u8>, String> {
    let name: Name<Vec<u8>> = name.parse().map_err(text)?;
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((&name, Rtype::A)).map_err(text)?;
    Ok(builder.finish())
}

fn read(answer: &[u8]) -> Result<Answered, String> {
    let message = Message::from_octets(answer).map_err(text)?;
    if !message.header().aa() {
        return Err("the answer is not authoritative".into());
    }
    match message.header().rcode() {
        Rcode::NXDOMAIN => return Ok(Answered::NoSuchName),
        Rcode::NOERROR => {}
        other => return Err(format!("the server answered {other}")),
    }
    let section = message.answer().map_err(text)?;
    let address = section.limit_to::<A>().find_map(|record| record.ok().map(|r| r.data().addr()));
    Ok(address.map_or(Answered::NoAddress, Answered::Address))
}

/// Fetches `https://HOST/` by way of the relay and gives the body.
pub(super) async fn fetch(relay: SocketAddr, host: &str, trusted: &str) -> Result<Vec<u8>, String> {
    let certificate = CertificateDer::from_pem_slice(trusted.as_bytes()).map_err(text)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(text)?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let (head, body) = exchange(relay, host, roots, &request).await?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the answer is {}", head.lines().next().unwrap_or_default()));
    }
    Ok(body)
}

/// One request over TLS to a host, and its answer: the head and the body. The request asks for the end of the
/// connection.
pub(super) async fn exchange(
    relay: SocketAddr,
    host: &str,
    roots: RootCertStore,
    request: &str,
) -> Result<(String, Vec<u8>), String> {
    let mut stream = connect(relay, host, roots).await.map_err(text)?;
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let mut answer = Vec::new();
    patiently((&mut stream).take(PAGE_MOST).read_to_end(&mut answer)).await?;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("there is no answer")?;
    let body = answer.split_off(head + 4);
    Ok((String::from_utf8_lossy(&answer).into_owned(), body))
}

/// Whether the relay refuses a host in its uniform way: the TLS alert `unrecognized_name`.
pub(super) async fn is_refused(relay: SocketAddr, host: &str) -> Result<(), String> {
    match connect(relay, host, RootCertStore::empty()).await {
        Ok(_) => Err("it was let in".into()),
        Err(error) => match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => Ok(()),
            Some(_) | None => Err(format!("not refused, but: {error}")),
        },
    }
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(relay: SocketAddr, host: &str, roots: RootCertStore) -> io::Result<Tls> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
    let connecting = async {
        let tcp = TcpStream::connect(relay).await?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    timeout(PATIENCE, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(text),
        Err(_) => Err("no answer in 3 s".into()),
    }
}

fn text(error: impl core::fmt::Display) -> String {
    error.to_string()
}
