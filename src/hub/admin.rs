//! The operator's way to a serving hub: a unix socket in its directory, for what the store alone cannot do.
//!
//! What is kept is in the store, which commands change beside a hub that serves. Live sessions, presence and the zone
//! are in the serving process: a device that is revoked loses them at once because the command asks that process. When
//! none runs there is nothing live, and the store is all there is. One request a connection: a line of JSON in, one
//! out. Who asks is read from the socket (SO_PEERCRED), and what they may is in [`super::operators`].
//!
//! A revoked device has no other credentials: updates of DNS go over the API, there are no TSIG keys (RFC 8945). Who
//! adds them erases them in [`super::api::forget::erase`].

use super::api::forget::erase;
use super::health::{self, Reason};
use super::keeping::backup::{self, Made};
use super::operators::Operator;
use super::operators::act::{Act, Refused};
use super::operators::desk::{self, Desk};
use super::state::Hub;
use super::store::people::Happened;
use super::store::{Device, Scope, Store, StoreError};
use crate::wire::label::Label;
use core::net::Ipv4Addr;
use core::time::Duration;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The file name of the socket in the hub's directory.
pub const SOCKET: &str = "hub.sock";
/// The longest request; the longest real one is below 200 bytes.
const MAX_REQUEST: u64 = 32 * 1024;
/// The longest answer: the names of 100,000 devices are below it.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// How long either side waits for the other. A revocation is promised within 5 s (S10).
const PATIENCE: Duration = Duration::from_secs(4);
/// A backup reads everything and writes it to a disk.
const LONG: Duration = Duration::from_secs(600);
/// Conversations at once.
const MOST: usize = 16;
/// After an error of the listener (no file descriptors), so that it does not spin.
const PAUSE: Duration = Duration::from_millis(200);

/// What a session of a revoked device is told.
const REVOKED: &str = "this device was revoked by the hub's operator";

/// What a command asks of the serving hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it is.
    Health {},
    /// What an operator asks for.
    Desk {
        /// What.
        act: Act,
        /// Why, where the operator says so.
        reason: Option<String>,
    },
    /// Make a backup.
    Backup {
        /// The absolute path of the file, or of the directory for it.
        to: PathBuf,
    },
}

impl Request {
    /// How long the asker waits for the answer.
    const fn patience(&self) -> Duration {
        match self {
            Self::Backup { .. } => LONG,
            Self::Health {} | Self::Desk { .. } => PATIENCE,
        }
    }
}

/// What the serving hub says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Why it is not well; nothing when it is.
    Health {
        /// The reasons.
        reasons: Vec<Reason>,
    },
    /// It is done.
    Done {
        /// As `--json` prints it.
        value: Value,
    },
    /// It is not done.
    Refused {
        /// Why.
        refused: Refused,
    },
    /// There is a backup.
    BackedUp {
        /// Which.
        made: Made,
    },
    /// It could not be done.
    Failed {
        /// Why.
        why: String,
    },
}

/// The socket, there until dropped.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Opens it in the hub's directory, in place of one that a crash left. With `is_open` every local user may connect
    /// and is told apart by their role: the directory can be passed through then, and still not be read.
    ///
    /// # Errors
    /// The system's own, a path over 107 bytes among them; `AddrInUse` when another hub serves this directory.
    pub async fn open(dir: &Path, is_open: bool) -> io::Result<Self> {
        let path = dir.join(SOCKET);
        match UnixStream::connect(&path).await {
            Ok(_) => {
                let what = "another hub serves this directory";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => std::fs::remove_file(&path)?,
        }
        // The directory is closed to others (0700), so that nobody comes in between the two.
        let listener = UnixListener::bind(&path)?;
        if is_open {
            let passable = std::fs::metadata(dir)?.permissions().mode() | 0o011;
            std::fs::set_permissions(dir, Permissions::from_mode(passable))?;
        }
        let mode = if is_open { 0o666 } else { 0o600 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(Self { listener, path })
    }

    /// Answers for ever.
    pub async fn serve(self, hub: Arc<Hub>) {
        let room = Arc::new(Semaphore::new(MOST));
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let hub = Arc::clone(&hub);
            tokio::spawn(async move {
                // Who went away, or says nothing, gets no answer.
                let _ = converse(&hub, stream).await;
                drop(place);
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(hub: &Arc<Hub>, stream: UnixStream) -> io::Result<()> {
    let peer = Uid::from_raw(getsockopt(&stream, PeerCredentials)?.uid());
    let (reader, mut writer) = stream.into_split();
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let line = timeout(PATIENCE, read_line(reader, MAX_REQUEST)).await.map_err(late)??;
    let who = Operator::of(&hub.config.operators, peer, geteuid());
    let is_own = peer.is_root() || peer == geteuid();
    let answer = match (serde_json::from_slice::<Request>(&line), who) {
        (_, None) => failed("only root, the hub's own user and those in [operators] may ask"),
        (Ok(Request::Backup { .. }), Some(_)) if !is_own => {
            failed("only root and the hub's own user may make a backup")
        }
        // A task of its own: what was begun is done, whether the asker waits or not.
        (Ok(request), Some(who)) => {
            let hub = Arc::clone(hub);
            let patience = request.patience();
            let done = tokio::spawn(async move { answer(&hub, &who, request).await });
            timeout(patience, done).await.map_err(late)?.unwrap_or_else(failed)
        }
        (Err(error), _) => failed(format!("the request is not understood: {error}")),
    };
    timeout(PATIENCE, writer.write_all(&line_of(&answer)?)).await.map_err(late)?
}

async fn answer(hub: &Hub, who: &Operator, request: Request) -> Answer {
    match request {
        Request::Health {} => Answer::Health { reasons: health::of(hub).await },
        Request::Desk { act, reason } => {
            let desk = Desk {
                config: &hub.config,
                people: &hub.people,
                store: hub.store.as_ref(),
                hub: Some(hub),
                now: hub.clock.now().wall,
            };
            match desk::perform(desk, who, &act, reason.as_deref()).await {
                Ok(value) => Answer::Done { value },
                Err(refused) => Answer::Refused { refused },
            }
        }
        Request::Backup { to } => back_up(hub, &to).await,
    }
}

async fn back_up(hub: &Hub, to: &Path) -> Answer {
    let Some(keeping) = hub.keeping.as_ref().filter(|_| to.is_absolute()) else {
        return failed("a backup needs an absolute path");
    };
    match backup::make(hub.store.as_ref(), keeping, to).await {
        Ok(made) => {
            tracing::info!(rows = made.rows, "a backup was made");
            Answer::BackedUp { made }
        }
        Err(error) => {
            let mut why = error.to_string();
            let mut source = core::error::Error::source(&error);
            while let Some(cause) = source {
                why = format!("{why}: {cause}");
                source = cause.source();
            }
            Answer::Failed { why }
        }
    }
}

fn failed(why: impl ToString) -> Answer {
    Answer::Failed { why: why.to_string() }
}

/// Takes back a device's place: its session is closed, its names are gone, its credentials are refused. The rows erased,
/// by table; nothing when no device has this name.
///
/// # Errors
/// The store's.
pub(super) async fn revoke(
    hub: &Hub,
    name: &Label,
) -> Result<Option<BTreeMap<String, u64>>, StoreError> {
    let Some(device) = named(hub.store.as_ref(), name).await? else { return Ok(None) };
    take_back(hub, &device.id, None, REVOKED).await
}

/// Takes back a device's place: closes its session, erases what is kept of it, refuses its key (promise S10). With
/// an account only a device of that account. `None` when there is no such device; `why` is what its session is told.
///
/// # Errors
/// The store's; the session is over all the same.
pub async fn take_back(
    hub: &Hub,
    id: &str,
    account: Option<u64>,
    why: &'static str,
) -> Result<Option<BTreeMap<String, u64>>, StoreError> {
    let _turn = hub.locks.of(id).await;
    // As it is now that nobody else changes it.
    let devices = match account {
        Some(account) => hub.store.devices_of(account).await?,
        None => hub.store.devices().await?,
    };
    let Some(device) = devices.into_iter().find(|d| d.id == id) else { return Ok(None) };
    let owner = hub.store.owner_of(device.id.clone()).await?;
    let rows = erase(hub, &device, Scope::Registration, why).await?;
    // What an owner did at the pages is told from there.
    if account.is_none() {
        tell_owner(hub, owner, &device, Happened::Revoked).await;
    }
    tracing::info!(by_owner = account.is_some(), "a device was revoked");
    Ok(Some(rows))
}

/// Tells the owner of a device what became of it without them.
pub(in crate::hub) async fn tell_owner(
    hub: &Hub,
    owner: Option<u64>,
    device: &Device,
    what: Happened,
) {
    let Some(owner) = owner else { return };
    let (nobody, now) = (Ipv4Addr::UNSPECIFIED.into(), hub.clock.now().wall);
    let told = hub.people.tell(owner, what, Some(device.name.as_str()), nobody, now);
    // What was done is done, whether it can be told or not.
    if let Err(error) = told.await {
        tracing::error!(%error, "an owner could not be told of a device");
    }
}

/// The device of this name.
///
/// # Errors
/// The store's.
pub async fn named(store: &dyn Store, name: &Label) -> Result<Option<Device>, StoreError> {
    Ok(store.devices().await?.into_iter().find(|device| device.name == *name))
}

/// Asks the hub that serves this directory. `None` when none does.
///
/// # Errors
/// The system's own; `TimedOut` when it does not answer, `InvalidData` when its answer makes no sense.
pub async fn ask(dir: &Path, request: &Request) -> io::Result<Option<Answer>> {
    let stream = match UnixStream::connect(dir.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let asked = async {
        let (reader, mut writer) = stream.into_split();
        writer.write_all(&line_of(request)?).await?;
        let line = read_line(reader, MAX_ANSWER).await?;
        serde_json::from_slice(&line).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the serving hub does not answer");
    timeout(request.patience(), asked).await.map_err(late)?.map(Some)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn read_line(reader: impl tokio::io::AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(reader.take(most)).read_until(b'\n', &mut line).await?;
    Ok(line)
}

fn line_of(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
