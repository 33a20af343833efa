//! The blind middle: a visitor's bytes, carried unread between its TCP connection and the device's session.

use super::hello::REFUSAL;
use super::presence::Session;
use super::state::Hub;
use super::store::Visit;
use crate::wire::address::masked;
use crate::wire::frame;
use crate::wire::link::{VISITOR_WAIT, Verdict, Visitor};
use bytes::{Bytes, BytesMut};
use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use quinn::{RecvStream, SendStream, VarInt};
use std::io::{self, IoSlice};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

/// Read from a visitor at once (measured: beyond 64 KiB nothing is gained).
const BLOCK: usize = 64 * 1024;
/// Chunks taken from a stream at once and written together (measured: 8.3 -> 1.8 CPU s/GiB against one write each).
const CHUNKS: usize = 64;
/// How long a refused visitor may go on sending.
const DRAIN: Duration = Duration::from_millis(500);
/// A stream is cut because its other side was.
const CUT: VarInt = VarInt::from_u32(1);

/// A visitor with its first bytes.
pub struct Caller {
    /// Its connection.
    pub tcp: TcpStream,
    /// Where it comes from.
    pub from: IpAddr,
    /// The name it asked for.
    pub host: String,
    /// What was read of it already: its TLS hello.
    pub kept: Bytes,
}

#[derive(Default)]
struct Meter {
    up: AtomicU64,
    down: AtomicU64,
}

/// Carries a visitor to a device. `Err` gives the connection back when the device does not take it.
pub async fn carry(hub: &Hub, session: &Arc<Session>, mut caller: Caller) -> Result<(), TcpStream> {
    let visitor = Visitor { host: caller.host.clone(), from: caller.from };
    let Ok(Ok((send, receive))) = timeout(VISITOR_WAIT, announce(session, &visitor)).await else {
        return Err(caller.tcp);
    };
    let began = hub.clock.now().boot;
    let meter = Meter::default();
    let kept = core::mem::take(&mut caller.kept);
    let outcome = pump(&mut caller.tcp, send, receive, kept, &meter).await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a visitor's connection was cut");
    }
    write_down(hub, session, &caller, &meter, began).await;
    Ok(())
}

async fn announce(session: &Session, visitor: &Visitor) -> io::Result<(SendStream, RecvStream)> {
    let (mut send, mut receive) = session.connection.open_bi().await?;
    frame::write(&mut send, visitor).await?;
    match Verdict::from_byte(receive.read_u8().await?) {
        Verdict::Welcome => Ok((send, receive)),
        Verdict::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

async fn pump(
    tcp: &mut TcpStream,
    mut send: SendStream,
    mut receive: RecvStream,
    kept: Bytes,
    meter: &Meter,
) -> io::Result<()> {
    let (mut from_visitor, mut to_visitor) = tcp.split();
    let outcome = tokio::try_join!(
        up(&mut from_visitor, &mut send, kept, meter),
        down(&mut receive, &mut to_visitor, meter),
    );
    if outcome.is_err() {
        // Whichever side broke, the other must not take it for a clean end. Ended streams stay as they are.
        let _ = send.reset(CUT);
        let _ = receive.stop(CUT);
    }
    outcome.map(drop)
}

async fn up(
    tcp: &mut ReadHalf<'_>,
    send: &mut SendStream,
    kept: Bytes,
    meter: &Meter,
) -> io::Result<()> {
    meter.up.fetch_add(length(kept.len()), Ordering::Relaxed);
    send.write_chunk(kept).await?;
    let mut block = BytesMut::new();
    loop {
        block.reserve(BLOCK);
        let read = tcp.read_buf(&mut block).await?;
        if read == 0 {
            return Ok(send.finish()?);
        }
        meter.up.fetch_add(length(read), Ordering::Relaxed);
        send.write_chunk(block.split().freeze()).await?;
    }
}

async fn down(receive: &mut RecvStream, tcp: &mut WriteHalf<'_>, meter: &Meter) -> io::Result<()> {
    let mut chunks: [Bytes; CHUNKS] = core::array::from_fn(|_| Bytes::new());
    while let Some(count) = receive.read_chunks(&mut chunks).await? {
        let filled = chunks.get_mut(..count).unwrap_or_default();
        let total: usize = filled.iter().map(Bytes::len).sum();
        write_all(tcp, filled).await?;
        meter.down.fetch_add(length(total), Ordering::Relaxed);
    }
    tcp.shutdown().await
}

/// Writes all chunks, as many as the kernel takes with each call.
async fn write_all(tcp: &mut WriteHalf<'_>, chunks: &mut [Bytes]) -> io::Result<()> {
    let mut slices: [IoSlice<'_>; CHUNKS] = core::array::from_fn(|_| IoSlice::new(&[]));
    for (slice, chunk) in slices.iter_mut().zip(chunks.iter()) {
        *slice = IoSlice::new(chunk);
    }
    let count = chunks.len().min(CHUNKS);
    let mut rest = slices.get_mut(..count).unwrap_or_default();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let written = tcp.write_vectored(rest).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// One line of the log, unless the device demanded that there be none.
async fn write_down(
    hub: &Hub,
    session: &Session,
    caller: &Caller,
    meter: &Meter,
    began: crate::clock::Boot,
) {
    let now = hub.clock.now();
    let guarded = !crate::sabotage::off("hub-mask");
    let visit = Visit {
        device: session.device.id.clone(),
        made_at: now.wall,
        masked: if guarded { masked(caller.from) } else { caller.from },
        host: caller.host.clone(),
        up: meter.up.load(Ordering::Relaxed),
        down: meter.down.load(Ordering::Relaxed),
        seconds: (now.boot - began).as_secs(),
    };
    let _turn = hub.locks.of(&session.device.id).await;
    if session.forgotten() {
        return;
    }
    if let Err(error) = hub.store.log_visit(visit).await {
        tracing::warn!(%error, "a line of the connection log was lost");
    }
}

/// Refuses, with the same bytes whatever the reason.
pub async fn refuse(mut tcp: TcpStream) {
    // A visitor that is gone already needs no refusal.
    let _ = tcp.write_all(REFUSAL).await;
    let _ = tcp.shutdown().await;
    // Closed with bytes unread, the kernel would send a reset, which can overtake the refusal.
    let mut unread = [0; 4096];
    let drain = async { while tcp.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
    let _ = timeout(DRAIN, drain).await;
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
