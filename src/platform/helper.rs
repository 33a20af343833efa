//! The root helper: what truly needs root, done by a small process that does nothing else.
//!
//! The daemon starts it before it gives up root, and talks to it over a pair of sockets that nobody else has. It
//! knows a closed list of verbs and takes no path and no argv from the daemon: where a certificate goes and
//! what reloads the web server stands in a configuration that only root can write. It ends with the daemon.

use super::exec::{Exec, Limits};
use super::kernel::Readable;
use super::privilege::{self, PrivilegeError, User};
use super::root::Root;
use core::time::Duration;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use tokio::process::Child;

/// The hidden verb of the command line that is the helper.
pub const VERB: &str = "root-helper";
/// The largest request and answer: a certificate chain with its key is below 20 KiB.
const MESSAGE_MOST: usize = 64 * 1024;
/// The longest the daemon waits for an answer: what reloads a web server may take a while.
const ANSWER: Duration = Duration::from_secs(40);
/// What a program of the configuration may take.
const RELOAD: Limits = Limits { timeout: Duration::from_secs(30), output_bytes: 16 * 1024 };
/// What the vendor's serial tool may take; it answers at once.
const SERIAL: Limits = Limits { timeout: Duration::from_secs(5), output_bytes: 256 };
/// QTS' tool for the serial number.
const GET_HWSN: &str = "/sbin/get_hwsn";
/// Where other boxes keep their serial number; the first needs root.
const SERIAL_FILES: [&str; 3] = [
    "/sys/class/dmi/id/product_serial",
    "/proc/sys/kernel/syno_serial",
    "/proc/device-tree/serial-number",
];
/// What makers leave where a serial number belongs, in lower case.
const PLACEHOLDERS: [&str; 7] = [
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "not specified",
    "none",
    "n/a",
    "123456789",
];

/// Everything the daemon can ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The serial number of the box.
    Serial {},
    /// Make the state directory, or hand it over to the daemon's user.
    PrepareState {},
    /// Put a certificate where the configuration says, and keep the one before it.
    InstallCertificate {
        /// The chain, PEM.
        certificate: String,
        /// Its key, PEM.
        key: String,
    },
    /// Put the certificate before it back.
    RestoreCertificate {},
    /// Run what the configuration names for this.
    Reload {},
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The serial number, if the box has one.
    Serial(Option<String>),
    /// Done.
    Done,
    /// Not done, and why.
    Failed(String),
}

/// What the helper may do, from the command line and a configuration of root's alone.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The user of the state directory.
    pub user: Option<User>,
    /// Where the chain goes; with no [`Plan::key_path`] its key goes there too.
    pub certificate_path: Option<PathBuf>,
    /// Where the key goes.
    pub key_path: Option<PathBuf>,
    /// What makes the web server read both again.
    pub reload: Vec<String>,
}

/// Why there is no helper, or no answer of it.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It could not be started.
    #[error("the root helper could not be started")]
    Start(#[source] io::Error),
    /// It did not answer.
    #[error("the root helper did not answer")]
    Silent(#[source] io::Error),
    /// It answered that it did not do it.
    #[error("the root helper refused: {0}")]
    Refused(String),
}

/// The daemon's end.
pub struct Helper {
    socket: Readable,
    /// Reaped by the runtime when it ends.
    _child: Child,
}

impl Helper {
    /// Starts this very program as the helper. Must be called inside a tokio runtime, as root.
    ///
    /// # Errors
    /// [`HelperError::Start`].
    pub fn start(arguments: &[&OsStr]) -> Result<Self, HelperError> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (ours, theirs) = pair.map_err(|errno| HelperError::Start(errno.into()))?;
        let child = Exec.attach(arguments, theirs).map_err(HelperError::Start)?;
        let socket = Readable::new(ours).map_err(HelperError::Start)?;
        Ok(Self { socket, _child: child })
    }

    /// Asks. One question at a time: the answers come in order.
    ///
    /// # Errors
    /// [`HelperError::Silent`] when it is gone, and [`HelperError::Refused`] with its reason.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, HelperError> {
        let silent = HelperError::Silent;
        write(self.socket.fd(), request).map_err(silent)?;
        let answer = tokio::time::timeout(ANSWER, receive(&self.socket)).await;
        let bytes = answer.map_err(|_| silent(io::ErrorKind::TimedOut.into()))?.map_err(silent)?;
        match parse(bytes.as_deref()) {
            Ok(Answer::Failed(why)) => Err(HelperError::Refused(why)),
            Ok(answer) => Ok(answer),
            Err(why) => Err(HelperError::Silent(io::Error::other(why))),
        }
    }

    /// The serial number of the box, if root can read one.
    ///
    /// # Errors
    /// As [`Helper::ask`].
    pub async fn serial(&mut self) -> Result<Option<String>, HelperError> {
        match self.ask(&Request::Serial {}).await? {
            Answer::Serial(serial) => Ok(serial),
            Answer::Done | Answer::Failed(_) => Ok(None),
        }
    }
}

/// The helper itself: gives up what it does not need, and answers at stdin until the daemon is gone.
///
/// # Errors
/// The system's own when stdin is no such socket, or when root's rights could not be cut down.
pub async fn serve(plan: Plan, root: &Root) -> Result<(), HelperError> {
    let start = HelperError::Start;
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(start)?;
    let socket = Readable::new(stdin).map_err(start)?;
    let programs = !plan.reload.is_empty() || root.path(GET_HWSN).exists();
    privilege::keep_files_only(programs)
        .map_err(|error: PrivilegeError| start(io::Error::other(error)))?;
    answer_all(&socket, &plan, root).await
}

/// Answers until the other side is gone.
async fn answer_all(socket: &Readable, plan: &Plan, root: &Root) -> Result<(), HelperError> {
    loop {
        let Some(bytes) = receive(socket).await.map_err(HelperError::Silent)? else {
            return Ok(());
        };
        let answer = match parse(Some(&bytes)) {
            Ok(request) => obey(plan, root, request).await,
            Err(why) => Answer::Failed(why),
        };
        write(socket.fd(), &answer).map_err(HelperError::Silent)?;
    }
}

async fn obey(plan: &Plan, root: &Root, request: Request) -> Answer {
    let done = |result: Result<(), String>| match result {
        Ok(()) => Answer::Done,
        Err(why) => Answer::Failed(why),
    };
    match request {
        Request::Serial {} => Answer::Serial(serial(root).await),
        Request::PrepareState {} => done(match plan.user {
            Some(user) => {
                privilege::hand_over(&plan.state_dir, user).map_err(|error| error.to_string())
            }
            None => Err("there is no user to hand it to".into()),
        }),
        Request::InstallCertificate { certificate, key } => done(install(plan, &certificate, &key)),
        Request::RestoreCertificate {} => done(restore(plan)),
        Request::Reload {} => done(reload(plan).await),
    }
}

async fn serial(root: &Root) -> Option<String> {
    if root.is_live() && root.path(GET_HWSN).exists() {
        let output = Exec.run(&[GET_HWSN], SERIAL).await.ok().filter(|o| o.succeeded())?;
        return serial_of(&String::from_utf8_lossy(&output.stdout));
    }
    let texts = SERIAL_FILES.iter().filter_map(|path| root.read_text(path, 256).ok());
    texts.filter_map(|text| serial_of(&text)).next()
}

fn serial_of(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let lower = text.to_ascii_lowercase();
    let same = lower.chars().all(|c| c == '0') || lower.chars().all(|c| c == 'x');
    (fits && !same && !PLACEHOLDERS.contains(&lower.as_str())).then(|| text.to_owned())
}

async fn reload(plan: &Plan) -> Result<(), String> {
    let argv: Vec<&str> = plan.reload.iter().map(String::as_str).collect();
    let Some(program) = argv.first() else {
        return Err("the configuration names no web_reload".into());
    };
    if !program.starts_with('/') {
        return Err(format!("`{program}` is not an absolute path"));
    }
    let output = Exec.run(&argv, RELOAD).await.map_err(|error| error.to_string())?;
    if output.succeeded() { Ok(()) } else { Err(format!("`{program}` failed")) }
}

/// The files of a certificate, as pairs of path and content.
fn files<'a>(
    plan: &'a Plan,
    certificate: &str,
    key: &str,
) -> Result<Vec<(&'a Path, String)>, String> {
    let path =
        plan.certificate_path.as_deref().ok_or("the configuration names no web_certificate")?;
    let files = match plan.key_path.as_deref() {
        // The key first: a web server that reloads in between keeps what it has.
        Some(key_path) => vec![(key_path, key.to_owned()), (path, certificate.to_owned())],
        None => vec![(path, format!("{}\n{}\n", key.trim_end(), certificate.trim_end()))],
    };
    match files.iter().find(|(path, _)| !is_plain(path)) {
        Some((path, _)) => Err(format!("{} is not an absolute path without `..`", path.display())),
        None => Ok(files),
    }
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|c| !matches!(c, Component::ParentDir))
}

fn install(plan: &Plan, certificate: &str, key: &str) -> Result<(), String> {
    let is_pem = |text: &str, what: &str| {
        text.starts_with("-----BEGIN ")
            && text.contains(what)
            && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\n')
    };
    if !is_pem(certificate, "-----BEGIN CERTIFICATE-----") || !is_pem(key, "PRIVATE KEY-----") {
        return Err("that is no certificate with its key".into());
    }
    let files = files(plan, certificate, key)?;
    for (path, text) in &files {
        put(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    for (at, (path, _)) in files.iter().enumerate() {
        let swapped = keep_old(path).and_then(|()| std::fs::rename(beside(path, "new"), path));
        if let Err(error) = swapped {
            for (done, _) in files.iter().take(at) {
                // What cannot be put back stays beside it under its own name.
                let _ = std::fs::rename(beside(done, "previous"), done);
            }
            return Err(format!("cannot replace {}: {error}", path.display()));
        }
    }
    Ok(())
}

/// Writes what shall take the place of a file beside it, with the owner and mode of the one that is there.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let new = beside(path, "new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    if let Ok(old) = std::fs::symlink_metadata(path) {
        if !old.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.sync_all()
}

fn keep_old(path: &Path) -> io::Result<()> {
    let previous = beside(path, "previous");
    match std::fs::remove_file(&previous).and_then(|()| std::fs::hard_link(path, &previous)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match std::fs::hard_link(path, &previous) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        }
        other => other,
    }
}

fn restore(plan: &Plan) -> Result<(), String> {
    for (path, _) in files(plan, "", "")? {
        let previous = beside(path, "previous");
        std::fs::rename(&previous, path)
            .map_err(|error| format!("cannot put {} back: {error}", path.display()))?;
    }
    Ok(())
}

fn beside(path: &Path, what: &str) -> PathBuf {
    path.with_added_extension(what)
}

/// Whether only root can have written a file, and only root can put another in its place.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn is_roots_alone(path: &Path) -> Result<(), String> {
    let above = path.parent().unwrap_or(Path::new("/"));
    for (path, is_file) in [(path, true), (above, false)] {
        let found = std::fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let (mode, uid) = (found.mode() & 0o7777, found.uid());
        if uid != 0 || mode & 0o022 != 0 || (is_file && !found.is_file()) {
            return Err(format!(
                "{} belongs to uid {uid} with mode {mode:04o}; only root may be able to write it",
                path.display()
            ));
        }
    }
    Ok(())
}

fn parse<T: for<'a> Deserialize<'a>>(bytes: Option<&[u8]>) -> Result<T, String> {
    let bytes = bytes.ok_or("it ended")?;
    if bytes.len() > MESSAGE_MOST {
        return Err("a message is too large".into());
    }
    serde_json::from_slice(bytes).map_err(|error| format!("it is not understood: {error}"))
}

fn write(fd: &OwnedFd, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    send(fd.as_raw_fd(), &bytes, flags)?;
    Ok(())
}

/// One message, its real length kept when it is too large; `None` when the other side is gone.
async fn receive(socket: &Readable) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; MESSAGE_MOST + 1];
    let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
    let length = socket.read(|fd| Ok(recv(fd.as_raw_fd(), &mut bytes, flags)?)).await?;
    bytes.truncate(length);
    Ok(Some(bytes).filter(|_| length > 0))
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
