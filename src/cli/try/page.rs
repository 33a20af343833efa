//! The page that stands for the NAS's own web interface.
#![allow(clippy::disallowed_methods, reason = "stands for the NAS, outside the agent")]

use core::net::{Ipv4Addr, SocketAddr};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The longest request head that is read.
const HEAD: usize = 16 * 1024;

/// A running page. Dropping it ends it.
pub(super) struct Page {
    address: SocketAddr,
    body: Vec<u8>,
    _task: JoinSet<()>,
}

impl Page {
    /// Serves a page on a free port of 127.0.0.1: a few words, and enough bytes behind them to span many packets.
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let body = body();
        let mut task = JoinSet::new();
        let served = body.clone();
        task.spawn(async move {
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while visits.try_join_next().is_some() {}
                let body = served.clone();
                visits.spawn(async move {
                    // A visitor that went away needs no answer.
                    let _ = serve(stream, &body).await;
                });
            }
        });
        Ok(Self { address, body, _task: task })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

fn body() -> Vec<u8> {
    let mut body = b"<!doctype html><title>Your NAS</title><h1>This is your NAS</h1>\n<p>This page came from the device itself; the relay carried it and could not read it.</p>\n<!-- ".to_vec();
    for number in 0..20_000_u32 {
        body.extend_from_slice(format!("{number:x} ").as_bytes());
    }
    body.extend_from_slice(b"-->\n");
    body
}

async fn serve(mut stream: TcpStream, body: &[u8]) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let lines = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(lines.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}
