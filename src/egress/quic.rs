//! Dials the session: one QUIC connection to the hub, as the device.

use super::datagrams::{Counted, Payer};
use super::faults;
use super::outside::SendError;
use super::permit::Target;
use crate::wire::link::MAX_VISITORS;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use nix::sys::socket::{setsockopt, sockopt};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, Runtime,
    TokioRuntime, TransportConfig, VarInt,
};
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// For all addresses together: quinn's first timeout is about 1 s and doubles, so two lost flights fit in.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// RFC 8305 section 5, "Connection Attempt Delay".
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses of one hub that are tried.
const ADDRESSES: usize = 4;
/// 16 ms at 1 Gbit/s (measured on x86_64 in network namespaces, 2026).
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;
/// Fills 500 Mbit/s at 20 ms RTT (measured on x86_64 in network namespaces, 2026).
const STREAM_WINDOW: u32 = 1280 * 1024;
/// All streams together; quinn's own default is unlimited.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Three heartbeats at their longest default of 25 s.
const IDLE: Duration = Duration::from_secs(75);
/// The smallest MTU of QUIC (RFC 9000 section 14), which passes every path it can run on at all.
const FIRST_MTU: u16 = 1200;
/// Ethernet's 1500 less the headers of IPv6 (40) and UDP (8).
const LARGEST_MTU: u16 = 1452;

/// How much memory the session may use for its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The full windows: 8 MiB each way.
    Ample,
    /// A quarter of them, for a box with less than 128 MiB available.
    Scarce,
}

impl Memory {
    /// What `MemAvailable` of `/proc/meminfo`, in bytes, allows.
    pub const fn for_available(bytes: u64) -> Self {
        if bytes < 128 * 1024 * 1024 { Self::Scarce } else { Self::Ample }
    }

    const fn part(self) -> u32 {
        match self {
            Self::Ample => 1,
            Self::Scarce => 4,
        }
    }
}

/// A connection with the endpoint that drives it.
pub(super) struct Dialled {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    /// Where its datagrams are counted.
    pub(super) payer: Payer,
}

/// The addresses that packets went to.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<Mutex<Vec<SocketAddr>>>);

impl Begun {
    fn note(&self, peer: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
    }

    /// Those that were tried, but for the one that served.
    pub(super) fn but(&self, served: Option<SocketAddr>) -> Vec<SocketAddr> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.iter().copied().filter(|peer| Some(*peer) != served).collect()
    }
}

/// Dials all addresses, each 250 ms after the one before it, and keeps the first that answers.
///
/// The handshakes of the others are dropped; their few datagrams count all the same.
pub(super) async fn dial(
    to: &Target,
    tls: Arc<rustls::ClientConfig>,
    addresses: &[IpAddr],
    memory: Memory,
    payer: &Payer,
    begun: &Begun,
) -> Result<Dialled, SendError> {
    let crypto = QuicClientConfig::try_from(tls)
        .map_err(|_| faults::unreachable(to, "the TLS configuration has no cipher of QUIC"))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport(memory)));
    let mut attempts = JoinSet::new();
    let mut delay = Duration::ZERO;
    let mut failed = faults::unreachable(to, "there is no address");
    for ip in addresses.iter().take(ADDRESSES) {
        let peer = SocketAddr::new(*ip, to.port);
        if let Err(e) = route(peer) {
            failed = faults::unreachable(to, e);
            continue;
        }
        let (config, to, payer) = (config.clone(), to.clone(), payer.clone());
        let begun = begun.clone();
        attempts.spawn(async move {
            tokio::time::sleep(delay).await;
            begun.note(peer);
            attempt(&to, config, peer, payer).await
        });
        delay += STAGGER;
    }
    let first = async {
        while let Some(done) = attempts.join_next().await {
            match done {
                Ok(Ok(dialled)) => return Ok(dialled),
                Ok(Err(error)) => failed = error,
                Err(e) => failed = faults::unreachable(to, e),
            }
        }
        Err(failed)
    };
    tokio::time::timeout(CONNECT, first)
        .await
        .unwrap_or_else(|_| Err(faults::timed_out(to, CONNECT)))
}

async fn attempt(
    to: &Target,
    config: ClientConfig,
    peer: SocketAddr,
    payer: Payer,
) -> Result<Dialled, SendError> {
    let endpoint = endpoint(peer, payer.clone()).map_err(|e| faults::unreachable(to, e))?;
    let connecting =
        endpoint.connect_with(config, peer, &to.host).map_err(|e| faults::unreachable(to, e))?;
    let connection = connecting.await.map_err(|e| faults::of_quinn(to, &e))?;
    Ok(Dialled { endpoint, connection, payer })
}

/// Fails when this box has no route to `peer`, such as to IPv6 on an IPv4 network: quinn would try in
/// silence until its time is over. Nothing is sent.
fn route(peer: SocketAddr) -> io::Result<()> {
    bind(peer)?.connect(peer)
}

fn endpoint(peer: SocketAddr, payer: Payer) -> io::Result<Endpoint> {
    let socket = bind(peer)?;
    // The system may grant less (net.core.rmem_max); a small buffer costs speed only.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
    let _ = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
    let runtime = Arc::new(TokioRuntime);
    let counted = Arc::new(Counted::new(runtime.wrap_udp_socket(socket)?, payer));
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, counted, runtime)
}

#[allow(clippy::disallowed_methods, reason = "the session's passage was judged by the gate")]
fn bind(peer: SocketAddr) -> io::Result<UdpSocket> {
    // To a hub on this very machine nothing is opened that others could reach.
    let local = match peer.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((local, 0))
}

/// The transport parameters that the session shows, by their names in RFC 9000 section 18.2, for a box with ample
/// memory; one with little shows a quarter of the windows. Those that quinn sets itself stand here too, and the
/// test compares all of them. Besides these there are a random connection id and a reserved parameter of random
/// content (section 18.1), both fresh for each connection: none tells one device from another.
pub fn transport_parameters() -> [(&'static str, u64); 13] {
    [
        ("max_idle_timeout", u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX)),
        ("max_udp_payload_size", 1472),
        ("initial_max_data", u64::from(CONNECTION_WINDOW)),
        ("initial_max_stream_data_bidi_local", u64::from(STREAM_WINDOW)),
        ("initial_max_stream_data_bidi_remote", u64::from(STREAM_WINDOW)),
        ("initial_max_stream_data_uni", u64::from(STREAM_WINDOW)),
        ("initial_max_streams_bidi", u64::from(MAX_VISITORS)),
        ("initial_max_streams_uni", 0),
        ("ack_delay_exponent", 3),
        ("max_ack_delay", 25),
        ("active_connection_id_limit", 5),
        // RFC 9287; draft-ietf-quic-ack-frequency.
        ("grease_quic_bit", 1),
        ("min_ack_delay", 1000),
    ]
}

fn transport(memory: Memory) -> TransportConfig {
    let connection = CONNECTION_WINDOW / memory.part();
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(LARGEST_MTU);
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW / memory.part()))
        .receive_window(VarInt::from_u32(connection))
        .send_window(u64::from(connection))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok())
        .keep_alive_interval(None)
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_VISITORS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .initial_mtu(FIRST_MTU)
        .mtu_discovery_config(Some(discovery));
    transport
}

#[cfg(test)]
#[cfg(feature = "hub")]
mod tests {
    use super::*;
    use crate::egress::permit::Meter;
    use crate::egress::testing::pki;
    use quinn::crypto::{ClientConfig as Crypto, Session};
    use std::sync::Mutex;

    /// Writes down the parameters and goes on.
    struct Spy(Arc<QuicClientConfig>, Arc<Mutex<String>>);

    impl Crypto for Spy {
        fn start_session(
            self: Arc<Self>,
            version: u32,
            name: &str,
            parameters: &quinn_proto::transport_parameters::TransportParameters,
        ) -> Result<Box<dyn Session>, quinn::ConnectError> {
            *self.1.lock().unwrap() = format!("{parameters:?}");
            Arc::clone(&self.0).start_session(version, name, parameters)
        }
    }

    #[tokio::test]
    async fn the_transport_parameters_are_those_of_the_preview() {
        let seen = Arc::new(Mutex::new(String::new()));
        let tls = QuicClientConfig::try_from(pki(crate::wire::SESSION_ALPN).trusting).unwrap();
        let mut config = ClientConfig::new(Arc::new(Spy(Arc::new(tls), Arc::clone(&seen))));
        config.transport_config(Arc::new(transport(Memory::Ample)));
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let meter = Arc::new(Meter::default());
        let endpoint = endpoint(peer, Payer::new(Arc::clone(&meter), meter)).unwrap();
        drop(endpoint.connect_with(config, peer, "hub.example.test").unwrap());
        let seen = seen.lock().unwrap().clone();
        let seen = seen.trim_start_matches("TransportParameters { ").trim_end_matches(" }");
        let fields = seen.split(", ").filter_map(|field| field.split_once(": "));
        let number = |value: &str| {
            let value = value.trim_start_matches("Some(").trim_end_matches(')');
            value.parse().ok().or_else(|| value.parse::<bool>().ok().map(u64::from))
        };
        let is_fresh = |name: &str| {
            [
                "initial_src_cid",
                "grease_transport_parameter",
                "payload",
                "payload_len",
                "write_order",
            ]
            .contains(&name)
        };
        let found: Vec<(&str, u64)> = fields
            .filter(|(name, value)| !is_fresh(name) && *value != "None" && *value != "false")
            .filter_map(|(name, value)| Some((name, number(value)?)))
            .collect();
        assert_eq!(found, transport_parameters());
    }
}
