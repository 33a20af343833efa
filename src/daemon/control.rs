//! The control socket: how commands on the device's shell reach the daemon.
//!
//! A unix socket in the state directory, 0660, never a TCP port. One request a connection: a line of
//! JSON in, lines of JSON out, the last one with an exit code. Who may ask is read from the socket
//! (SO_PEERCRED): root, and the user the daemon runs as.

use super::feature::Answer;
use crate::card::Exit;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// The file name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";
/// The longest request; the longest real one is below 1 KiB.
const MAX_REQUEST: u64 = 16 * 1024;
/// The noun of requests to the daemon itself.
pub const DAEMON: &str = "agent";

/// One question.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A feature's name, or [`DAEMON`].
    pub noun: String,
    /// What is asked.
    pub verb: String,
    /// Arguments by name.
    #[serde(default)]
    pub args: Value,
}

/// A question with the way back.
pub struct Asked {
    /// The question.
    pub request: Request,
    /// The user who asks, as the kernel knows them.
    pub uid: u32,
    /// Where answers go; the last one has an exit code.
    pub answers: mpsc::Sender<Answer>,
}

#[derive(Serialize, Deserialize)]
struct WireAnswer {
    exit: Option<u8>,
    text: String,
    json: Value,
}

/// Listens until dropped, and hands each question on.
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Opens the socket, replacing a dead one. The state directory's lock is held, so no other daemon lives.
    ///
    /// # Errors
    /// The system's own, a path over 107 bytes among them.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self { socket, path })
    }

    /// Takes connections for ever.
    pub async fn serve(self, asked: mpsc::Sender<Asked>) {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, asked.clone()));
                }
                // Out of descriptors: the connection waits in the backlog until some are free.
                Err(error) => {
                    tracing::warn!(%error, "cannot take a control connection");
                    tokio::time::sleep(core::time::Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A socket that stays behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(stream: UnixStream, asked: mpsc::Sender<Asked>) {
    let peer = getsockopt(&stream, PeerCredentials).map(|peer| Uid::from_raw(peer.uid()));
    let allowed = peer.is_ok_and(may_ask);
    let (reader, mut writer) = stream.into_split();
    let mut answers = match read_request(reader).await {
        Ok(_) if !allowed => {
            let text = "permission denied\nhint: only root and the agent's own user may ask";
            return write_answer(&mut writer, Answer::failed(Exit::Failed, text)).await;
        }
        Ok(request) => {
            let uid = peer.map_or(u32::MAX, Uid::as_raw);
            let (answers, receiver) = mpsc::channel(8);
            if asked.send(Asked { request, uid, answers }).await.is_err() {
                return;
            }
            receiver
        }
        Err(error) => {
            let answer =
                Answer::failed(Exit::Usage, format!("the request is not understood: {error}"));
            return write_answer(&mut writer, answer).await;
        }
    };
    while let Some(answer) = answers.recv().await {
        write_answer(&mut writer, answer).await;
    }
}

fn may_ask(uid: Uid) -> bool {
    uid.is_root() || uid == geteuid()
}

/// The user this very process runs as.
pub fn own_uid() -> u32 {
    geteuid().as_raw()
}

/// Reads the one line of a question.
///
/// # Errors
/// The stream's own; `InvalidData` for what is no [`Request`].
pub async fn read_request(reader: impl tokio::io::AsyncRead + Unpin) -> io::Result<Request> {
    let mut line = Vec::new();
    BufReader::new(reader.take(MAX_REQUEST)).read_until(b'\n', &mut line).await?;
    serde_json::from_slice(&line).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

async fn write_answer(writer: &mut (impl tokio::io::AsyncWrite + Unpin), answer: Answer) {
    let wire =
        WireAnswer { exit: answer.exit.map(Exit::code), text: answer.text, json: answer.json };
    let mut line = serde_json::to_vec(&wire).unwrap_or_default();
    line.push(b'\n');
    // A person who went away does not need the answer.
    let _ = writer.write_all(&line).await;
}

/// Asks a running daemon. `None` when none runs there.
///
/// # Errors
/// The system's own; `UnexpectedEof` when the daemon stops in the middle.
pub async fn ask(
    state_dir: &Path,
    request: &Request,
    mut show: impl FnMut(Answer),
) -> io::Result<Option<Answer>> {
    let stream = match UnixStream::connect(state_dir.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let WireAnswer { exit, text, json } = serde_json::from_str(&line)?;
        let exit = exit.map(|code| {
            Exit::ALL.iter().copied().find(|exit| exit.code() == code).unwrap_or(Exit::Failed)
        });
        let answer = Answer { exit, text, json };
        if exit.is_some() {
            return Ok(Some(answer));
        }
        show(answer);
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent stopped before it answered"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
