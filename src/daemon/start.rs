//! From the first instruction of the daemon to its first packet: what is opened as root, and how root is given up.
//!
//! The configuration is read, the state directory made and handed over, and the root helper started as root;
//! then the daemon becomes its own user, gives up every capability and new privileges, and confines itself
//! (promise S20). Started by anybody else it stays that user, and does the rest all the same. A command that
//! works on the state without a running daemon becomes the state's owner first, so that no file of it ever
//! belongs to somebody else.

use super::config::{self, AgentConfig, Config, ConfigError};
use super::feature::Row;
use super::moving::{self, Place};
use crate::card::{Exit, Warning};
use crate::identity::IdentityError;
use crate::platform::helper::{self, Helper, HelperError, Plan, Request};
use crate::platform::privilege::{self, PrivilegeError, User};
use crate::platform::root::Root;
use crate::platform::seccomp::{self, Confinement};
use crate::state::StateError;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Where state is kept when no directory is named.
pub const DEFAULT_STATE: &str = "/var/lib/qcloud-agent";
/// Above the control sockets of agents without a state directory.
const RUN_DIR: &str = "/run/qcloud-agent";

/// Raised while the agent is root by the owner's wish.
pub static KEPT_ROOT: Warning =
    Warning { code: "daemon-root", title: "The agent runs as root", hint: "qcloud-agent status" };

/// How the daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state directory.
    pub state_dir: PathBuf,
    /// A configuration that must exist, or the default one.
    pub config_path: Option<PathBuf>,
    /// Prefix of every system path.
    pub root: PathBuf,
}

/// Why the daemon cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// State.
    #[error(transparent)]
    State(#[from] StateError),
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Privilege.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The system.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl RunError {
    /// The exit code of a command that failed of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::State(error) | Self::Identity(IdentityError::State(error)) => error.exit(),
            Self::Config(_) => Exit::Usage,
            Self::Identity(_) | Self::Privilege(_) | Self::System { .. } => Exit::Failed,
        }
    }
}

/// How this process stands after its start.
#[derive(Default)]
pub struct Standing {
    /// The user it runs as.
    pub uid: u32,
    /// `None` for a process that is no daemon.
    pub confinement: Option<Confinement>,
    /// What asks root for the little that needs it.
    pub helper: Option<Helper>,
    /// The serial number of the box, as the helper read it.
    pub serial: Option<String>,
    /// Where the vendor says the box was sold.
    pub region: Option<String>,
    /// Where state is kept.
    pub place: Place,
    /// Whether a disk with another state is there.
    pub conflict: bool,
}

impl Standing {
    /// What `status` shows of it.
    pub fn facts(&self) -> Value {
        let (confined, why) = match &self.confinement {
            Some(Confinement::Filtered) => (true, None),
            Some(Confinement::None(why)) => (false, Some(why.as_ref())),
            None => (false, None),
        };
        json!({
            "uid": self.uid,
            "seccomp": confined,
            "seccomp_missing": why,
            "root_helper": self.helper.is_some(),
            "serial": self.serial,
            "region": self.region,
            "persistent": self.place == Place::Disk,
        })
    }

    /// Whether the owner should know that this is root.
    pub fn is_root(&self) -> bool {
        self.confinement.is_some() && self.uid == 0
    }
}

/// What a daemon begins with.
pub struct Started {
    /// Its configuration, read while it was root.
    pub config: Config,
    /// How it stands.
    pub standing: Standing,
}

/// Makes the daemon's place, gives up root, and confines the process. Must be called while it has one thread,
/// inside a tokio runtime.
///
/// # Errors
/// [`RunError::Config`], and [`RunError::Privilege`] when root could not be given up: nothing runs then.
pub async fn start(rows: &[Row], options: &Options) -> Result<Started, RunError> {
    let root = Root::new(&options.root);
    let config = config::load(options.config_path.as_deref(), &root, rows)?;
    let mut helper = None;
    let place = if privilege::is_root() {
        let user = service_user(&root, &config.agent)?;
        let place = moving::prepare(&options.state_dir, user)?;
        if place == Place::Memory {
            privilege::hand_over(&run_dir(options), user)?;
        }
        if !user.is_root() {
            helper = start_helper(options, user);
        }
        privilege::become_user(user)?;
        place
    } else {
        moving::look(&options.state_dir)
    };
    privilege::harden()?;
    let confinement = seccomp::confine();
    if let Confinement::None(why) = &confinement {
        tracing::warn!(%why, "the agent's system calls are not confined");
    }
    let serial = match &mut helper {
        Some(open) => open.serial().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "there is no root helper");
            helper = None;
            None
        }),
        None => None,
    };
    let region = config.agent.region.clone();
    let uid = super::control::own_uid();
    let standing = Standing {
        uid,
        confinement: Some(confinement),
        helper,
        serial,
        region,
        place,
        conflict: false,
    };
    Ok(Started { config, standing })
}

/// Where the control socket of an agent without a state directory is: each has its own.
pub fn run_dir(options: &Options) -> PathBuf {
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        options.state_dir.as_os_str().as_encoded_bytes(),
    );
    let name: String = HEXLOWER.encode(digest.as_ref()).chars().take(12).collect();
    Root::new(&options.root).path(RUN_DIR).join(name)
}

/// The configuration once more, for another life of the same daemon.
///
/// # Errors
/// [`RunError::Config`].
pub fn config(rows: &[Row], options: &Options) -> Result<Config, RunError> {
    let root = Root::new(&options.root);
    Ok(config::load(options.config_path.as_deref(), &root, rows)?)
}

/// Becomes the owner of the state directory, when this is root's command and no daemon runs; gives the
/// configuration, read before.
///
/// # Errors
/// As [`start`].
pub fn step_down(rows: &[Row], options: &Options) -> Result<Config, RunError> {
    let root = Root::new(&options.root);
    let config = config::load(options.config_path.as_deref(), &root, rows)?;
    if !privilege::is_root() || crate::sabotage::off("state-owner") {
        return Ok(config);
    }
    let user = match privilege::owner(&options.state_dir) {
        Some(owner) if !owner.is_root() => owner,
        Some(_) | None => service_user(&root, &config.agent)?,
    };
    privilege::hand_over(&options.state_dir, user)?;
    privilege::become_user(user)?;
    Ok(config)
}

fn service_user(root: &Root, agent: &AgentConfig) -> Result<User, RunError> {
    let wanted = agent.user.as_ref().map(ToString::to_string);
    Ok(privilege::service_user(root, wanted.as_deref())?)
}

/// The agent does its work without the helper, and says what it misses where it is missed.
fn start_helper(options: &Options, user: User) -> Option<Helper> {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let (state, root) = (absolute(&options.state_dir), absolute(&options.root));
    let config = options.config_path.as_ref().map(absolute);
    let user = format!("{}:{}", user.uid, user.gid);
    let mut arguments = vec![OsStr::new(helper::VERB), OsStr::new(&user)];
    arguments.extend([OsStr::new("--state"), state.as_os_str()]);
    arguments.extend([OsStr::new("--root"), root.as_os_str()]);
    if let Some(config) = &config {
        arguments.extend([OsStr::new("--config"), config.as_os_str()]);
    }
    match Helper::start(&arguments) {
        Ok(helper) => Some(helper),
        Err(error) => {
            tracing::warn!(%error, "there is no root helper");
            None
        }
    }
}

/// The root helper itself, until the daemon is gone. `user` is `UID:GID` of the daemon.
///
/// # Errors
/// [`HelperError`]: a configuration that others than root can write among them.
pub async fn serve_root(rows: &[Row], options: &Options, user: &str) -> Result<(), HelperError> {
    let refused = HelperError::Refused;
    let root = Root::new(&options.root);
    let (vendor, default) = (root.path(config::VENDOR_PATH), root.path(config::DEFAULT_PATH));
    let owner = options.config_path.as_ref().unwrap_or(&default);
    for path in [&vendor, owner].into_iter().filter(|path| path.exists()) {
        if !crate::sabotage::off("helper-config") {
            helper::is_roots_alone(path).map_err(refused)?;
        }
    }
    let config = config::load(options.config_path.as_deref(), &root, rows);
    let AgentConfig { web_certificate, web_key, web_reload, .. } =
        config.map_err(|error| refused(error.to_string()))?.agent;
    let user = user
        .split_once(':')
        .and_then(|(uid, gid)| Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? }));
    let plan = Plan {
        state_dir: options.state_dir.clone(),
        user,
        certificate_path: web_certificate,
        key_path: web_key,
        reload: web_reload,
    };
    helper::serve(plan, &root).await
}

/// Has the state directory made and handed over, by root where there is a helper.
pub(super) async fn prepare_state(standing: &mut Standing) -> Result<(), HelperError> {
    match &mut standing.helper {
        Some(helper) => helper.ask(&Request::PrepareState {}).await.map(|_| ()),
        None => Ok(()),
    }
}
