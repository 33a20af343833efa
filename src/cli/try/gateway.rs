//! The home router of the stage: forwards TCP and UDP to the hub from an outside address that can change.
//!
//! A change works as it does on a real line: flows that had the old address go on from the new
//! one (UDP, seen by the hub as a rebinding) or end (TCP).
#![allow(clippy::disallowed_methods, reason = "stands for the router, outside the agent")]

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The largest UDP payload there is.
const DATAGRAM: usize = 65_535;

/// A running gateway. Dropping it ends it.
pub(super) struct Gateway {
    inside: SocketAddr,
    outside: watch::Sender<Ipv4Addr>,
    hub: watch::Sender<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Opens one on a free port of 127.0.0.1, the same for TCP and UDP.
    pub(super) async fn open(outside: Ipv4Addr) -> io::Result<Self> {
        let (tcp, udp) = same_port().await?;
        let inside = tcp.local_addr()?;
        let (outside, hub) = (watch::Sender::new(outside), watch::Sender::new(inside));
        let mut tasks = JoinSet::new();
        tasks.spawn(forward_tcp(tcp, outside.subscribe(), hub.subscribe()));
        tasks.spawn(forward_udp(Arc::new(udp), outside.subscribe(), hub.subscribe()));
        Ok(Self { inside, outside, hub, _tasks: tasks })
    }

    /// Where the agent reaches the hub.
    pub(super) fn inside(&self) -> SocketAddr {
        self.inside
    }

    /// Says where the hub is.
    pub(super) fn lead_to(&self, hub: SocketAddr) {
        self.hub.send_replace(hub);
    }

    /// Gives the line another outside address.
    pub(super) fn change_address(&self, outside: Ipv4Addr) {
        self.outside.send_replace(outside);
    }
}

async fn same_port() -> io::Result<(TcpListener, UdpSocket)> {
    let mut last = None;
    for _ in 0..16 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

async fn forward_tcp(
    listener: TcpListener,
    outside: watch::Receiver<Ipv4Addr>,
    hub: watch::Receiver<SocketAddr>,
) {
    let mut flows = JoinSet::new();
    while let Ok((inside, _)) = listener.accept().await {
        while flows.try_join_next().is_some() {}
        let (outside, hub) = (outside.clone(), *hub.borrow());
        flows.spawn(async move {
            // A flow that breaks is seen by both of its ends.
            let _ = one_tcp(inside, outside, hub).await;
        });
    }
}

async fn one_tcp(
    mut inside: TcpStream,
    mut outside: watch::Receiver<Ipv4Addr>,
    hub: SocketAddr,
) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(*outside.borrow_and_update()), 0))?;
    let mut far = socket.connect(hub).await?;
    tokio::select! {
        done = tokio::io::copy_bidirectional(&mut inside, &mut far) => done.map(|_| ()),
        _ = outside.changed() => Ok(()),
    }
}

async fn forward_udp(
    inside: Arc<UdpSocket>,
    mut outside: watch::Receiver<Ipv4Addr>,
    hub: watch::Receiver<SocketAddr>,
) {
    let mut flows: HashMap<SocketAddr, (Arc<UdpSocket>, JoinSet<()>)> = HashMap::new();
    let mut datagram = vec![0; DATAGRAM];
    loop {
        tokio::select! {
            changed = outside.changed() => match changed {
                Ok(()) => flows.clear(),
                Err(_) => return,
            },
            received = inside.recv_from(&mut datagram) => {
                let Ok((length, from)) = received else { continue };
                let flow = match flows.entry(from) {
                    Entry::Occupied(flow) => flow.into_mut(),
                    Entry::Vacant(place) => {
                        let source = *outside.borrow();
                        match open_udp(source, from, Arc::clone(&inside)).await {
                            Ok(flow) => place.insert(flow),
                            Err(_) => continue,
                        }
                    }
                };
                let hub = *hub.borrow();
                // Lost, as datagrams may be.
                let _ = flow.0.send_to(&datagram[..length], hub).await;
            }
        }
    }
}

/// The way out for one inside socket, and back.
async fn open_udp(
    source: Ipv4Addr,
    inside_peer: SocketAddr,
    inside: Arc<UdpSocket>,
) -> io::Result<(Arc<UdpSocket>, JoinSet<()>)> {
    let far = Arc::new(UdpSocket::bind((source, 0)).await?);
    let back = Arc::clone(&far);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            // An ICMP error of a hub that is down comes as an error of a later call; the flow goes on.
            if let Ok((length, _)) = back.recv_from(&mut datagram).await {
                let _ = inside.send_to(&datagram[..length], inside_peer).await;
            }
        }
    });
    Ok((far, task))
}
