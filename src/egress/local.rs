//! The last step of a visitor: TCP to a service the owner published, on this box or its network.

use super::faults;
use super::metered::Metered;
use super::outside::{Flow, SendError};
use super::permit::{Passage, Target};
use crate::card::Destination;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use tokio::net::TcpStream;

/// A service of one's own network that takes longer is down; the hub waits twice as long for the verdict.
const CONNECT: Duration = Duration::from_secs(5);

/// Connects to the published service a passage was made for.
///
/// Only `localhost` and address literals that [`stays_here`] are dialled: a name could be made to point
/// anywhere. `localhost` is tried on 127.0.0.1, then on ::1.
///
/// # Errors
/// [`SendError::Unreachable`] for another kind of target or when nothing answers,
/// [`SendError::TimedOut`] after 5 s, [`SendError::Revoked`] when the gate took it back meanwhile.
pub async fn connect(
    mut passage: Passage,
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<Flow, SendError> {
    let to = passage.permit().to().clone();
    let addresses = match judge(&passage, &to, is_own) {
        Ok(addresses) => addresses,
        Err(error) => {
            passage.ended(error.to_string());
            return Err(error);
        }
    };
    passage.ended("given up");
    let result = tokio::select! {
        () = passage.revoked() => Err(SendError::Revoked),
        dialled = tokio::time::timeout(CONNECT, dial(&to, &addresses)) => {
            dialled.unwrap_or_else(|_| Err(faults::timed_out(&to, CONNECT)))
        }
    };
    match result {
        Ok((stream, peer)) => {
            passage.reached(peer.ip(), peer.port());
            if let Ok(local) = stream.local_addr() {
                passage.goes_over(local, peer);
            }
            passage.ended("ok");
            Ok(Box::new(Metered::new(stream, passage)))
        }
        Err(error) => {
            passage.ended(error.to_string());
            Err(error)
        }
    }
}

fn judge(
    passage: &Passage,
    to: &Target,
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<Vec<IpAddr>, SendError> {
    if passage.permit().parcel().to != Destination::OwnService {
        return Err(faults::unreachable(to, "this parcel does not go to a service of this box"));
    }
    if to.host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let ip: IpAddr = to.host.parse().map_err(|_| {
        faults::unreachable(to, "a service is published by its address, not by a name")
    })?;
    if stays_here(ip) || is_own(ip) {
        Ok(vec![ip])
    } else {
        Err(faults::unreachable(to, "this address is neither of this box nor of its network"))
    }
}

/// Whether packets to this address stay on this box or its network: loopback, private (RFC 1918),
/// link-local and unique local (RFC 4193) addresses, written as IPv4 or IPv6.
pub fn stays_here(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[allow(clippy::disallowed_methods, reason = "the passage was judged by the gate")]
async fn dial(to: &Target, addresses: &[IpAddr]) -> Result<(TcpStream, SocketAddr), SendError> {
    let mut failed = faults::unreachable(to, "there is no address");
    for ip in addresses {
        let peer = SocketAddr::new(*ip, to.port);
        match TcpStream::connect(peer).await {
            Ok(stream) => {
                // A visitor's small writes must not wait for acknowledgements; a failure costs only speed.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer));
            }
            Err(e) => failed = faults::unreachable(to, e),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::testing::{lines, service_passage};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn at(host: &str, port: u16) -> Target {
        Target { host: host.into(), port }
    }

    #[tokio::test]
    async fn a_service_is_reached_and_its_bytes_stand_in_the_ledger() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
        });
        let (gate, passage) = service_passage(at("localhost", port));
        let mut flow = connect(passage, |_| false).await.unwrap();
        flow.write_all(b"what").await.unwrap();
        let mut answer = String::new();
        flow.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        drop(flow);
        let line = lines(&gate).pop().unwrap();
        assert_eq!((line.up, line.down, line.port, line.result.as_str()), (4, 6, Some(port), "ok"));
        assert!(line.up_packets >= 3 && line.down_packets >= 2, "SYN, ACK, 4 bytes: {line:?}");
    }

    #[tokio::test]
    async fn an_address_outside_and_a_name_are_never_dialled() {
        for host in ["192.0.2.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "0.0.0.0", "nas.lan"]
        {
            let (gate, passage) = service_passage(at(host, 80));
            let error = connect(passage, |_| false).await.err().unwrap();
            assert!(matches!(error, SendError::Unreachable { .. }), "{host}: {error}");
            assert_eq!(lines(&gate).pop().unwrap().ip, None);
        }
        let own: IpAddr = "192.0.2.1".parse().unwrap();
        let (_, passage) = service_passage(at("192.0.2.1", 80));
        assert_eq!(judge(&passage, passage.permit().to(), |ip| ip == own), Ok(vec![own]));
    }

    #[tokio::test]
    async fn switching_off_breaks_a_waiting_flow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (gate, passage) =
            service_passage(at("127.0.0.1", listener.local_addr().unwrap().port()));
        let mut flow = connect(passage, |_| false).await.unwrap();
        let waiting = tokio::spawn(async move {
            let error = flow.read_u8().await.unwrap_err();
            (error.kind(), flow.write_u8(1).await.unwrap_err().kind())
        });
        tokio::task::yield_now().await;
        gate.close("link");
        let aborted = std::io::ErrorKind::ConnectionAborted;
        assert_eq!(waiting.await.unwrap(), (aborted, aborted));
        assert_eq!(lines(&gate).pop().unwrap().result, "revoked");
    }
}
