//! The control socket: how commands on the device's shell reach the daemon.
//!
//! A unix socket in the state directory, 0660, never a TCP port. One request a connection: a line of
//! JSON in, lines of JSON out, the last one with an exit code. Who may ask is read from the socket
//! (SO_PEERCRED): root and the user the daemon runs as may ask everything, their group may read, and
//! others get no answer but a refusal.

use super::feature::Answer;
use crate::card::Exit;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{getegid, geteuid};
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
    let peer = getsockopt(&stream, PeerCredentials).map(|peer| (peer.uid(), peer.gid()));
    let access = peer.map_or(Access::Nothing, |(uid, gid)| {
        access(uid, gid, geteuid().as_raw(), getegid().as_raw())
    });
    let (reader, mut writer) = stream.into_split();
    let mut answers = match read_request(reader).await {
        Ok(request) if !access.covers(&request) => {
            let text = "permission denied\nhint: run this as root or as the agent's own user";
            return write_answer(&mut writer, Answer::failed(Exit::Failed, text)).await;
        }
        Ok(request) => {
            let uid = peer.map_or(u32::MAX, |(uid, _)| uid);
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

/// What somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Everything,
    Reading,
    Nothing,
}

/// What the daemon itself is asked without changing anything; `checkpoint` puts on disk what it reads out.
const READING: [&str; 5] = ["status", "checkpoint", "show", "preview", "reconcile"];

/// What packages of the box ask a feature, which changes nothing either.
const ASKED: [(&str, &str); 2] = [("license", "check"), ("license", "list")];

impl Access {
    fn covers(self, request: &Request) -> bool {
        match self {
            Self::Everything => true,
            Self::Reading => {
                let (noun, verb) = (request.noun.as_str(), request.verb.as_str());
                noun == DAEMON && READING.contains(&verb) || ASKED.contains(&(noun, verb))
            }
            Self::Nothing => false,
        }
    }
}

/// Root's group has no word here: its members are not root.
fn access(uid: u32, gid: u32, own_uid: u32, own_gid: u32) -> Access {
    match (uid, gid) {
        (uid, _) if uid == 0 || uid == own_uid => Access::Everything,
        (_, gid) if gid == own_gid && gid != 0 => Access::Reading,
        _ => Access::Nothing,
    }
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

/// Asks a running daemon that listens in one of these directories. `None` when none does.
///
/// # Errors
/// The system's own; `UnexpectedEof` when the daemon stops in the middle.
pub async fn ask(
    dirs: &[PathBuf],
    request: &Request,
    mut show: impl FnMut(Answer),
) -> io::Result<Option<Answer>> {
    let mut found = None;
    for dir in dirs {
        match UnixStream::connect(dir.join(SOCKET)).await {
            Ok(stream) => {
                found = Some(stream);
                break;
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let Some(stream) = found else { return Ok(None) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_agents_user_may_all_its_group_may_read_and_others_nothing() {
        let (own_uid, own_gid) = (60653, 60653);
        let of = |uid, gid| access(uid, gid, own_uid, own_gid);
        let request = |noun: &str, verb: &str| Request {
            noun: noun.into(),
            verb: verb.into(),
            args: Value::Null,
        };
        let own = READING.map(|verb| (DAEMON, verb));
        let reads: Vec<_> =
            own.into_iter().chain(ASKED).map(|(noun, verb)| request(noun, verb)).collect();
        let changes = [
            request(DAEMON, "reset"),
            request(DAEMON, "consent"),
            request(DAEMON, "deny"),
            request("ddns", "off"),
            request("ddns", "status"),
            request("registration", "unregister"),
            request("link", "publish"),
        ];
        for (uid, gid, may_read, may_change) in [
            (0, 0, true, true),
            (own_uid, 1, true, true),
            (1000, own_gid, true, false),
            (1000, 1000, false, false),
            (1000, 0, false, false),
            (u32::MAX, u32::MAX, false, false),
        ] {
            let access = of(uid, gid);
            assert!(reads.iter().all(|r| access.covers(r) == may_read), "{uid}:{gid}");
            assert!(changes.iter().all(|r| access.covers(r) == may_change), "{uid}:{gid}");
        }
        assert_eq!(access(1000, 0, 0, 0), Access::Nothing, "root's group");
    }
}
