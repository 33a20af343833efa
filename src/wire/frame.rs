//! Frames: a 16-bit big-endian length, then JSON.

use serde::{Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame either side accepts. The largest one sent is below 400 bytes.
pub const MAX_FRAME: u16 = 4096;

/// Reads one frame.
///
/// Not cancel-safe: a frame half read is lost with the future.
///
/// # Errors
/// The stream's own, `UnexpectedEof` at its end, `InvalidData` for a frame that is too long or not a `T`.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u16().await?;
    if length > MAX_FRAME {
        return Err(invalid(format!("a frame of {length} bytes, more than {MAX_FRAME}")));
    }
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| invalid(format!("a frame that is not understood: {e}")))
}

/// Writes one frame and flushes it.
///
/// # Errors
/// The stream's own, `InvalidData` for a frame that would be too long.
pub async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &T,
) -> io::Result<()> {
    let body = serde_json::to_vec(frame).map_err(|e| invalid(e.to_string()))?;
    let length = u16::try_from(body.len()).ok().filter(|n| *n <= MAX_FRAME);
    let length = length.ok_or_else(|| invalid(format!("a frame of {} bytes", body.len())))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
